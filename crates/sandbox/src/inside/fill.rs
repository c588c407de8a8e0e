//! What an image has where a volume is mounted goes into the volume, while that is empty: as docker does it.
//!
//! Both sides are walked by descriptors, and no link is followed: neither the image nor what another container puts into the
//! volume meanwhile leads anywhere else. Nothing that is mounted in the root (`/proc`, other volumes) is walked into.
//!
//! A volume is filled whole or not at all, whoever is killed meanwhile, and by one container:
//!
//! ```text
//! flock of the volume ─► .corten-filling/ (copied; begun anew where it is left) ─► .corten-filled/ ─► each entry to its place
//!                                                                                 └─ left: the rest is moved next time
//! ```

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps,
};
use rustix::io::Errno;

/// Folders in folders; no path of a system is longer.
const DEEPEST: usize = 1024;
/// What is copied, until all is.
const FILLING: &CStr = c".corten-filling";
/// What is copied, when all is.
const FILLED: &CStr = c".corten-filled";
/// How often the lock of a volume is tried, and the pause between; who shares a volume may hold it without end.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// Copies everything below `root` into `volume`, if that is empty.
pub(super) fn fill(volume: &OwnedFd, root: &OwnedFd) -> io::Result<()> {
    let (volume, root) = (readable(volume.as_fd())?, readable(root.as_fd())?);
    if state(&volume)? == State::Used {
        return Ok(());
    }
    lock(&volume)?;
    let state = state(&volume)?;
    if state == State::Empty {
        remove(&volume, FILLING, 0)?;
        rustix::fs::mkdirat(&volume, FILLING, Mode::from_raw_mode(0o700))?;
        let to = open_folder(&volume, FILLING)?;
        copy_entries(&root, &to, 0)?;
        rustix::fs::renameat_with(&volume, FILLING, &volume, FILLED, RenameFlags::NOREPLACE)?;
    }
    if state != State::Used {
        settle(&volume)?;
        attributes(&root, &volume)?;
        finish(&volume, &rustix::fs::fstat(&root)?)?;
    }
    Ok(())
}

/// What a volume holds.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing, or a copy that is not whole.
    Empty,
    /// A whole copy, of which not all may be in its place.
    Filled,
    /// Something of its own.
    Used,
}

fn state(volume: &OwnedFd) -> io::Result<State> {
    match rustix::fs::statat(volume, FILLED, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => return Ok(State::Filled),
        _ => {}
    }
    Ok(if is_empty(volume)? { State::Empty } else { State::Used })
}

fn lock(volume: &OwnedFd) -> io::Result<()> {
    for _ in 0..TRIES {
        match rustix::fs::flock(volume, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            result => return Ok(result?),
        }
    }
    Err(io::Error::other("another container fills it, or holds a lock on it"))
}

/// Moves what was copied to its place; what is there already stays.
fn settle(volume: &OwnedFd) -> io::Result<()> {
    let from = open_folder(volume, FILLED)?;
    for name in names(&from)? {
        match rustix::fs::renameat_with(&from, &name, volume, &name, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    remove(volume, FILLED, 0)
}

/// Removes a folder with all that is in it; what is not there is removed.
fn remove(parent: &OwnedFd, name: &CStr, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("folders are too deep"));
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let folder = open_folder(parent, name)?;
    for name in names(&folder)? {
        remove(&folder, &name, depth + 1)?;
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// A descriptor that may be read, of one that is only a path.
fn readable(folder: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Of the same mount, through no link.
fn open_folder(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    open(parent, name, OFlags::RDONLY | OFlags::DIRECTORY)
}

fn open(parent: &OwnedFd, name: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)
}

fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<std::ffi::CString>> {
    let entries = Dir::read_from(folder)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    let is_one = |name: &rustix::io::Result<std::ffi::CString>| {
        name.as_ref().map_or(true, |name| ![c".", c".."].contains(&name.as_c_str()))
    };
    entries.filter(is_one).collect()
}

fn is_empty(folder: &OwnedFd) -> rustix::io::Result<bool> {
    let mut entries = Dir::read_from(folder)?;
    // A file system's own, of a volume that is one.
    let is_content = |name: &CStr| ![c".", c"..", c"lost+found", FILLING].contains(&name);
    Ok(!entries.any(|entry| entry.is_ok_and(|entry| is_content(entry.file_name()))))
}

fn copy_folder(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    copy_entries(from, to, depth)?;
    let stat = rustix::fs::fstat(from)?;
    attributes(from, to)?;
    finish(to, &stat)
}

fn copy_entries(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other("folders are too deep"));
    }
    // An image's own files of these names would be taken for ours.
    let is_ours = |name: &CStr| depth == 0 && [FILLING, FILLED].contains(&name);
    names(from)?.iter().filter(|name| !is_ours(name)).try_for_each(|name| copy(from, to, name, depth))
}

fn copy(from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: usize) -> io::Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(0o700);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, mode)?;
            match open_folder(from, name) {
                Ok(from) => copy_folder(&from, &open_folder(to, name)?, depth + 1),
                // Something is mounted there.
                Err(Errno::XDEV) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        FileType::RegularFile => {
            let mut from = match open(from, name, OFlags::RDONLY | OFlags::NONBLOCK) {
                Ok(from) => File::from(from),
                Err(Errno::XDEV) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
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
