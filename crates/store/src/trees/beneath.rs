//! Files of an unpacked tree, by descriptors: nothing leads out of its root.
//!
//! Every folder is opened from the root's descriptor with `openat2` (beneath it, no links, no other mounts), and everything in it
//! is done by name in that folder, without following a link. So neither what a layer holds nor who swaps a folder for a
//! link meanwhile decides a path outside.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_layer::attributes::{Attributes, is_kept};
use corten_oci::LayerPath;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

/// What overlayfs with `userxattr` marks a folder with that hides what is below it.
pub(crate) const OPAQUE: &[u8] = b"user.overlay.opaque";
/// Extended attributes of one file together: their names, and each value, are at most this long (`XATTR_LIST_MAX`).
const XATTRS_LIMIT: usize = 64 << 10;

/// The root of a tree.
pub(crate) struct Root {
    fd: OwnedFd,
    /// The folder that was opened last.
    last: Option<(Vec<u8>, OwnedFd)>,
}

/// What a file is, as `lstat` says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found(pub(crate) Stat);

impl Found {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.0.st_mode)
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(crate) fn mode(&self) -> u32 {
        self.0.st_mode & 0o7777
    }

    /// overlayfs' mark of something that is gone.
    pub(crate) fn is_whiteout(&self) -> bool {
        self.kind() == FileType::CharacterDevice && self.0.st_rdev == 0
    }

    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.0.st_size).unwrap_or_default()
    }

    /// Whole seconds, rounded down, and nanoseconds.
    pub(crate) fn mtime(&self) -> (i64, i64) {
        (self.0.st_mtime, i64::try_from(self.0.st_mtime_nsec).unwrap_or_default())
    }
}

impl Root {
    /// The folder itself, which must be none that a link leads to.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
        Ok(Self { fd, last: None })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The folder that `path` lies in; every parent of it must be a folder.
    pub(crate) fn parent(&mut self, path: &LayerPath) -> io::Result<BorrowedFd<'_>> {
        let length = path.as_bytes().len().saturating_sub(path.name().len() + 1);
        let folder = path.as_bytes().get(..length).unwrap_or_default();
        self.folder(folder)
    }

    /// A folder; the root for the empty path.
    pub(crate) fn folder(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.fd.as_fd());
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            self.last = Some((path.to_vec(), open_folder(self.fd.as_fd(), path)?));
        }
        match &self.last {
            Some((_, fd)) => Ok(fd.as_fd()),
            None => Ok(self.fd.as_fd()),
        }
    }

    /// Folders may have gone.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// What lies at a path below the root; none where nothing does, or where one of its parents is no folder.
    pub(crate) fn look(&self, path: &LayerPath) -> io::Result<Option<Found>> {
        look_below(self.fd.as_fd(), path.as_bytes())
    }

    /// Opens a regular file for reading, whatever its mode where we own it.
    pub(crate) fn read(&mut self, path: &LayerPath) -> io::Result<File> {
        let parent = self.parent(path)?;
        open_file(parent, path.name())
    }
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV
}

/// A folder below another one.
pub(crate) fn open_folder(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    again(|| rustix::fs::openat2(root, OsStr::from_bytes(path), flags, Mode::empty(), beneath()))
}

/// As [`Root::look`].
pub(crate) fn look_below(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<Found>> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match again(|| rustix::fs::openat2(root, OsStr::from_bytes(path), flags, Mode::empty(), beneath())) {
        Ok(fd) => Ok(Some(Found(rustix::fs::fstat(fd)?))),
        Err(error) if crate::disk::is_absent(&error) || is(&error, Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `openat2` may be asked to try again when something is renamed meanwhile.
fn again<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    for _ in 0..1000 {
        match call() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
    Err(io::Error::other("its folders are renamed all the time"))
}

pub(crate) fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// What a name in a folder is; none where it is free.
pub(crate) fn look(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Found>> {
    match rustix::fs::statat(folder, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(Found(found))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Names in a folder, sorted by their bytes.
pub(crate) fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = allowed(folder, || rustix::fs::openat(folder, ".", flags, Mode::empty()))?;
    for entry in rustix::fs::Dir::read_from(open)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort();
    Ok(names)
}

/// Opens a regular file for reading. One that we own may forbid us that: the bits are given for that moment.
pub(crate) fn open_file(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<File> {
    let name = OsStr::from_bytes(name);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(folder, name, flags, Mode::empty());
    let fd = match open() {
        Err(Errno::ACCESS) => {
            let handle = handle(folder, name)?;
            allowed(handle.as_fd(), open)?
        }
        other => other?,
    };
    let file = File::from(fd);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
    }
}

/// A descriptor of whatever has the name, good for `fstat` and for its `/proc` name.
pub(crate) fn handle(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}

/// Does something for which the owner's bits of `what` may be missing.
fn allowed<T>(what: BorrowedFd<'_>, mut act: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    match act() {
        Err(Errno::ACCESS) => {
            let mode = Found(rustix::fs::fstat(what)?).mode();
            set_mode(what, mode | 0o700)?;
            let done = act();
            set_mode(what, mode)?;
            Ok(done?)
        }
        other => Ok(other?),
    }
}

/// A folder of ours that forbids us to look into it, open as long as this value lives. Root needs none.
pub(crate) struct Opened(Option<(OwnedFd, u32)>);

impl Opened {
    pub(crate) fn new(folder: BorrowedFd<'_>) -> io::Result<Self> {
        let mode = Found(rustix::fs::fstat(folder)?).mode();
        if mode & 0o500 == 0o500 || rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        set_mode(folder, mode | 0o700)?;
        Ok(Self(Some((rustix::io::fcntl_dupfd_cloexec(folder, 0)?, mode))))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some((folder, mode)) = &self.0 {
            drop(set_mode(folder.as_fd(), *mode));
        }
    }
}

/// Where a descriptor that is only a handle can be named.
fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmodat(CWD, proc_path(fd), Mode::from_raw_mode(mode), AtFlags::empty())?)
}

/// Owner of what has the name, not of what it leads to.
pub(crate) fn set_owner(fd: BorrowedFd<'_>, user: u64, group: u64) -> io::Result<()> {
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(Errno::INVAL);
    let (user, group) = (Uid::from_raw(id(user)?), Gid::from_raw(id(group)?));
    Ok(rustix::fs::chownat(fd, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?)
}

pub(crate) fn times(seconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    }
}

pub(crate) fn set_time(folder: BorrowedFd<'_>, name: &[u8], seconds: i64) -> io::Result<()> {
    let name = if name.is_empty() { b"." } else { name };
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(folder, OsStr::from_bytes(name), &times(seconds), flags)?)
}

/// Sets one attribute of a file or folder.
pub(crate) fn set_xattr(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::setxattr(proc_path(fd), OsStr::from_bytes(name), value, XattrFlags::empty())?)
}

pub(crate) fn remove_xattr(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::removexattr(proc_path(fd), OsStr::from_bytes(name))?)
}

/// Those that an image may have. What the file system or our user cannot hold stays behind: the layer itself has it.
pub(crate) fn set_xattrs(fd: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    for (name, value) in attributes.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        match set_xattr(fd, name, value) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is(&error, Errno::OPNOTSUPP) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Names of all attributes of a file or folder.
pub(crate) fn xattr_names(fd: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let path = proc_path(fd);
    let mut buffer = vec![0_u8; 512];
    loop {
        match rustix::fs::listxattr(&path, buffer.as_mut_slice()) {
            Ok(length) => {
                let names = buffer.get(..length).unwrap_or_default();
                return Ok(names
                    .split(|byte| *byte == 0)
                    .filter(|name| !name.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect());
            }
            Err(Errno::RANGE) if buffer.len() < XATTRS_LIMIT => buffer.resize(XATTRS_LIMIT, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub(crate) fn xattr(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0_u8; 256];
    loop {
        match rustix::fs::getxattr(proc_path(fd), OsStr::from_bytes(name), buffer.as_mut_slice()) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            Err(Errno::RANGE) if buffer.len() < XATTRS_LIMIT => buffer.resize(XATTRS_LIMIT, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Folders in folders that are open at the same time while they are removed.
const OPEN_AT_ONCE: usize = 64;
/// What folders are called for a moment that lie deeper.
const DEEP: &str = ".corten-deep-";

/// Removes whatever has the name, with all that lies in it. Never leaves the folder.
pub(crate) fn remove(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let mut deep = vec![name.to_vec()];
    let mut number = 0;
    while let Some(name) = deep.pop() {
        remove_at(folder, &name, 0, &mut |inner, name| {
            number += 1;
            let new = format!("{DEEP}{}-{number}", std::process::id());
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            rustix::fs::renameat_with(inner, OsStr::from_bytes(name), folder, &new, flags)?;
            deep.push(new.into_bytes());
            Ok(())
        })?;
    }
    Ok(())
}

/// What lies too deep is handed to `lift`, which takes it out of there.
fn remove_at(
    folder: BorrowedFd<'_>,
    name: &[u8],
    depth: usize,
    lift: &mut dyn FnMut(BorrowedFd<'_>, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let shown = OsStr::from_bytes(name);
    match allowed(folder, || rustix::fs::unlinkat(folder, shown, AtFlags::empty())) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if is(&error, Errno::ISDIR) || is(&error, Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(folder, shown, flags, Mode::empty())?;
    if Found(rustix::fs::fstat(&inner)?).mode() & 0o700 != 0o700 {
        // Root needs no bits; others may give them to what is theirs.
        drop(set_mode(inner.as_fd(), 0o700));
    }
    if depth >= OPEN_AT_ONCE {
        return lift(folder, name);
    }
    for inside in names(inner.as_fd())? {
        remove_at(inner.as_fd(), &inside, depth + 1, lift)?;
    }
    allowed(folder, || rustix::fs::unlinkat(folder, shown, AtFlags::REMOVEDIR))
}

/// Removes a folder of ours with all that lies in it, also where its folders forbid that to others than root.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match rustix::fs::openat(CWD, parent, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    remove(parent.as_fd(), name.as_bytes())
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = allowed(folder, || rustix::fs::openat(folder, ".", flags, Mode::empty()))?;
    Ok(rustix::fs::fsync(open)?)
}
