//! What an image has where a volume is mounted goes into the volume, while that is empty: as docker does it.
//!
//! Both sides are walked by descriptors, and no link is followed: neither the image nor what another container puts into the
//! volume meanwhile leads anywhere else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

/// Folders in folders; no path of a system is longer.
const DEEPEST: usize = 1024;

/// Copies everything below `root` into `volume`, if that is empty.
pub(super) fn fill(volume: &OwnedFd, root: &OwnedFd) -> io::Result<()> {
    let (volume, root) = (readable(volume.as_fd())?, readable(root.as_fd())?);
    if !is_empty(&volume)? {
        return Ok(());
    }
    copy_folder(&root, &volume, 0)
}

/// A descriptor that may be read, of one that is only a path.
fn readable(folder: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn is_empty(folder: &OwnedFd) -> rustix::io::Result<bool> {
    let mut entries = Dir::read_from(folder)?;
    // A file system's own, of a volume that is one.
    let is_content = |name: &std::ffi::CStr| ![c".", c"..", c"lost+found"].contains(&name);
    Ok(!entries.any(|entry| entry.is_ok_and(|entry| is_content(entry.file_name()))))
}

fn copy_folder(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("folders are too deep"));
    }
    let names: Vec<_> = Dir::read_from(from)?.map(|entry| entry.map(|entry| entry.file_name().to_owned())).collect();
    for name in names {
        let name = name?;
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            copy(from, to, &name, depth)?;
        }
    }
    let stat = rustix::fs::fstat(from)?;
    attributes(from, to)?;
    finish(to, &stat)
}

fn copy(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr, depth: usize) -> io::Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(0o700);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            match rustix::fs::mkdirat(to, name, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let from = rustix::fs::openat(from, name, flags, Mode::empty())?;
            copy_folder(&from, &rustix::fs::openat(to, name, flags, Mode::empty())?, depth + 1)
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut from = File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut to = File::from(rustix::fs::openat(to, name, flags, mode)?);
            io::copy(&mut from, &mut to)?;
            let (from, to) = (OwnedFd::from(from), OwnedFd::from(to));
            attributes(&from, &to)?;
            finish(&to, &stat)
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(target, to, name)?;
            let (user, group) = owner(&stat);
            match rustix::fs::chownat(to, name, user, group, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::PERM | Errno::INVAL) | Ok(()) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        // Devices cannot be made here, and a pipe or a socket is its maker's.
        _ => Ok(()),
    }
}

fn owner(stat: &Stat) -> (Option<rustix::fs::Uid>, Option<rustix::fs::Gid>) {
    (Some(rustix::fs::Uid::from_raw(stat.st_uid)), Some(rustix::fs::Gid::from_raw(stat.st_gid)))
}

/// Owner, mode and times. With one id there is one owner.
fn finish(to: &OwnedFd, stat: &Stat) -> io::Result<()> {
    let (user, group) = owner(stat);
    match rustix::fs::fchown(to, user, group) {
        Err(Errno::PERM | Errno::INVAL) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let time = |seconds: i64, nanoseconds: i64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let nanoseconds = |value: u64| i64::try_from(value).unwrap_or_default();
    let times = Timestamps {
        last_access: time(stat.st_atime, nanoseconds(stat.st_atime_nsec)),
        last_modification: time(stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
    };
    Ok(rustix::fs::futimens(to, &times)?)
}

/// Attributes of users, and capabilities where they can be set.
fn attributes(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let mut names = vec![0_u8; 64 << 10];
    let count = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(count) => count,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let wanted = |name: &&[u8]| {
        (name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")) || *name == b"security.capability"
    };
    for name in names.get(..count).unwrap_or_default().split(|byte| *byte == 0).filter(wanted) {
        let mut value = vec![0_u8; 64 << 10];
        let count = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        let value = value.get(..count).unwrap_or_default();
        match rustix::fs::fsetxattr(to, name, value, rustix::fs::XattrFlags::empty()) {
            Ok(()) | Err(Errno::PERM | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
