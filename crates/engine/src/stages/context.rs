//! The folder that is built: looked at as far as steps ask for it, and never left.
//!
//! Every path goes from the root's descriptor with `openat2`, beneath it and through no link: links are read and followed
//! by us, inside the root, so one that leads out, or one that somebody puts there meanwhile, leads nowhere. Pipes, sockets and
//! devices are never opened. Sockets are left out, as BuildKit does.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use corten_diagnostic::Failure;
use corten_layer::attributes::is_kept;
use corten_oci::{Kind, LayerPath};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::view::{Found, Place, View};

/// Bytes that the extended attributes of one file may have.
const ATTRIBUTES_LIMIT: usize = 1 << 20;
/// Bytes of a link's target (`PATH_MAX`).
const LINK_LIMIT: usize = 4096;

/// Patterns of .dockerignore's language.
pub trait Patterns: Send + Sync {
    /// Is the path, or a folder above it, matched, and not excepted again? Relative, with slashes.
    fn matches(&self, path: &str) -> bool;
    /// May something below a matched folder be excepted?
    fn excepts_below(&self, folder: &str) -> bool;
    /// May something below the folder match?
    fn reaches_into(&self, folder: &str) -> bool;
}

/// A folder whose files may be copied.
pub struct Context {
    root: OwnedFd,
    path: PathBuf,
    ignore: Option<Box<dyn Patterns>>,
}

/// What a file was when it was looked at: while it is still that, its content is too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    /// Nanoseconds since 1970.
    pub(super) mtime: i64,
    /// Nanoseconds since 1970.
    pub(super) ctime: i64,
    pub(super) size: u64,
}

impl Stamp {
    #[allow(clippy::unnecessary_cast, reason = "the fields' types differ from machine to machine")]
    fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            inode: stat.st_ino as u64,
            mtime: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        }
    }
}

impl Stamp {
    /// Of a file that is open.
    pub(super) fn of_file(file: &File) -> std::io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }
}

impl Context {
    /// A folder of this machine; what `ignore` matches is not there.
    ///
    /// # Errors
    /// A folder that is not there or cannot be read.
    pub fn open(path: &Path, ignore: Option<Box<dyn Patterns>>) -> Result<Self, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| {
            let what = format!("opening the folder {} to build: {}", path.display(), std::io::Error::from(error));
            match error {
                Errno::NOENT | Errno::NOTDIR => Failure::input(what),
                _ => Failure::world(what),
            }
        })?;
        Ok(Self { root, path: path.to_owned(), ignore })
    }

    /// Its path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, doing: &str, path: &LayerPath, error: impl Into<std::io::Error>) -> Failure {
        let place = self.path.join(OsStr::from_bytes(path.as_bytes()));
        Failure::world(format!("{doing} {}: {}", place.display(), error.into()))
    }

    fn at(&self, path: &LayerPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() { b".".as_slice() } else { path.as_bytes() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat2(&self.root, OsStr::from_bytes(name), flags, Mode::empty(), resolve)
    }

    /// A regular file, for reading.
    pub(super) fn file(&self, path: &LayerPath) -> Result<(File, Stamp), Failure> {
        let failed = |error: Errno| self.failed("reading", path, error);
        let file = self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(failed)?;
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.failed("reading", path, std::io::Error::other("it is no file any more")));
        }
        Ok((File::from(file), Stamp::of(&stat)))
    }

    /// A folder, to be handed on.
    pub(super) fn folder(&self, path: &LayerPath) -> Result<File, std::io::Error> {
        Ok(File::from(self.at(path, OFlags::PATH | OFlags::DIRECTORY)?))
    }

    /// Removes an empty file or an empty folder; anything else stays.
    pub(super) fn remove_stub(&self, path: &LayerPath) -> Result<(), Failure> {
        let Some(found) = self.look(path)? else { return Ok(()) };
        let parent = path.parent().unwrap_or_default();
        let folder = self
            .at(&parent, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|error| self.failed("looking at", &parent, error))?;
        let flags = match found.kind {
            Kind::Directory => AtFlags::REMOVEDIR,
            Kind::File if found.size == 0 => AtFlags::empty(),
            _ => return Ok(()),
        };
        match rustix::fs::unlinkat(&folder, OsStr::from_bytes(path.name()), flags) {
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("removing", path, error)),
        }
    }

    /// Seconds since 1970.
    pub(super) fn mtime(&self, path: &LayerPath) -> Result<i64, Failure> {
        match self.look(path)?.map(|found| found.place) {
            Some(Place::Context(stamp, _)) => Ok(stamp.mtime.div_euclid(1_000_000_000)),
            _ => Err(self.failed("looking at", path, Errno::NOENT)),
        }
    }

    fn is_left_out(&self, path: &LayerPath, is_folder: bool) -> bool {
        let Some(ignore) = &self.ignore else { return false };
        let text = String::from_utf8_lossy(path.as_bytes());
        !path.is_root() && ignore.matches(&text) && !(is_folder && ignore.excepts_below(&text))
    }

    /// A folder that is there for what is below it alone.
    fn is_ignored(&self, path: &LayerPath) -> bool {
        let text = String::from_utf8_lossy(path.as_bytes());
        !path.is_root() && self.ignore.as_ref().is_some_and(|ignore| ignore.matches(&text))
    }

    fn found(
        &self,
        path: LayerPath,
        stat: &Stat,
        link: impl FnOnce(&LayerPath) -> Result<String, Failure>,
    ) -> Result<Option<Found>, Failure> {
        let device = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink(link(&path)?),
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharacterDevice(device().0, device().1),
            FileType::BlockDevice => Kind::BlockDevice(device().0, device().1),
            _ => return Ok(None),
        };
        if self.is_left_out(&path, kind == Kind::Directory) {
            return Ok(None);
        }
        let stamp = Stamp::of(stat);
        let size = if kind == Kind::File { stamp.size } else { 0 };
        // The owner on this machine says nothing about the image's.
        Ok(Some(Found {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: 0,
            gid: 0,
            size,
            place: Place::Context(stamp, u64::from(stat.st_nlink > 1)),
        }))
    }

    fn entries(&self, folder: &LayerPath) -> Result<Vec<Found>, Failure> {
        let failed = |error: Errno| self.failed("listing", folder, error);
        let descriptor = self.at(folder, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
        let mut all = Vec::new();
        for entry in Dir::read_from(&descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = folder.join(name.to_bytes()).map_err(|error| Failure::input(error.to_string()))?;
            match rustix::fs::statat(&descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => all.extend(self.found(path, &stat, |path| self.link(&descriptor, name, path))?),
                // Somebody took it away in this moment.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(self.failed("looking at", &path, error)),
            }
        }
        Ok(all)
    }

    fn link(&self, folder: impl AsFd, name: &CStr, path: &LayerPath) -> Result<String, Failure> {
        let target = rustix::fs::readlinkat(folder, name, Vec::with_capacity(256))
            .map_err(|error| self.failed("reading the link", path, error))?;
        if target.as_bytes().len() >= LINK_LIMIT {
            return Err(Failure::input(format!("the link {path} has a target that is longer than any path")));
        }
        target.into_string().map_err(|_| Failure::input(format!("the link {path} has a target that is not UTF-8")))
    }

    /// Attributes that go into an image.
    pub(super) fn attributes(&self, path: &LayerPath) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Failure> {
        let failed = |error: Errno| self.failed("reading the attributes of", path, error);
        let parent = path.parent().unwrap_or_default();
        let folder = self.at(&parent, OFlags::PATH | OFlags::DIRECTORY).map_err(failed)?;
        let mut place = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
        place.extend_from_slice(if path.is_root() { b"." } else { path.name() });
        let place = OsStr::from_bytes(&place);
        let list = |names: &mut [u8]| rustix::fs::llistxattr(place, names);
        attributes_by(list, |name, value| rustix::fs::lgetxattr(place, name, value)).map_err(failed)
    }

    /// The same of a file that is open.
    pub(super) fn attributes_of(&self, file: &File, path: &LayerPath) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Failure> {
        let list = |names: &mut [u8]| rustix::fs::flistxattr(file, names);
        attributes_by(list, |name, value| rustix::fs::fgetxattr(file, name, value))
            .map_err(|error| self.failed("reading the attributes of", path, error))
    }
}

/// Attributes of a file that go into an image.
fn attributes_by(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&OsStr, &mut [u8]) -> Result<usize, Errno>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let mut names = vec![0; 256];
    let length = loop {
        match list(&mut names) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < ATTRIBUTES_LIMIT => names.resize(names.len() * 4, 0),
            Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        }
    };
    let mut all = BTreeMap::new();
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; 1 << 16];
        match get(OsStr::from_bytes(name), &mut value) {
            Ok(length) => {
                value.truncate(length);
                all.insert(name.to_vec(), value);
            }
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

impl View for Context {
    fn look(&self, path: &LayerPath) -> Result<Option<Found>, Failure> {
        let absent = |error: Errno| match error {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Ok(None),
            other => Err(self.failed("looking at", path, other)),
        };
        let parent = path.parent().unwrap_or_default();
        let folder = match self.at(&parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(error) => return absent(error),
        };
        let name = if path.is_root() { b".".as_slice() } else { path.name() };
        let Ok(name) = std::ffi::CString::new(name) else { return Ok(None) };
        match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match self.found(path.clone(), &stat, |path| self.link(&folder, &name, path))? {
                // An ignored folder is there for what is excepted below it, if anything is.
                Some(found) if found.is_folder() && self.is_ignored(path) && self.below(path, 1)?.is_empty() => {
                    Ok(None)
                }
                found => Ok(found),
            },
            Err(error) => absent(error),
        }
    }

    fn children(&self, folder: &LayerPath) -> Result<Vec<Found>, Failure> {
        let mut all = self.entries(folder)?;
        all.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(all)
    }

    fn below(&self, folder: &LayerPath, jobs: usize) -> Result<Vec<Found>, Failure> {
        let walk = Walk {
            context: self,
            queue: Mutex::new(Queue { folders: VecDeque::from([folder.clone()]), busy: 0 }),
            more: Condvar::new(),
        };
        let results: Vec<Result<Vec<Found>, Failure>> =
            std::thread::scope(|scope| {
                let threads: Vec<_> = (1..jobs.clamp(1, 8)).map(|_| scope.spawn(|| walk.work())).collect();
                let mut all = vec![walk.work()];
                all.extend(threads.into_iter().map(|thread| {
                    thread.join().unwrap_or_else(|_| Err(Failure::bug("a thread that listed files died")))
                }));
                all
            });
        let mut all = Vec::new();
        for result in results {
            all.append(&mut result?);
        }
        all.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(self.without_empty(all))
    }
}

impl Context {
    /// Ignored folders stay only where something below them is excepted.
    fn without_empty(&self, all: Vec<Found>) -> Vec<Found> {
        if self.ignore.is_none() {
            return all;
        }
        let mut kept: Vec<Found> = Vec::with_capacity(all.len());
        for found in all.into_iter().rev() {
            let is_needed = kept.last().is_some_and(|below| below.path.starts_with(&found.path));
            if found.kind == Kind::Directory && !is_needed && self.is_ignored(&found.path) {
                continue;
            }
            kept.push(found);
        }
        kept.reverse();
        kept
    }
}

/// Folders that are listed by several threads.
struct Walk<'a> {
    context: &'a Context,
    queue: Mutex<Queue>,
    more: Condvar,
}

struct Queue {
    folders: VecDeque<LayerPath>,
    /// Threads that may still add some.
    busy: usize,
}

impl Walk<'_> {
    fn work(&self) -> Result<Vec<Found>, Failure> {
        let mut all = Vec::new();
        while let Some(folder) = self.next() {
            let listed = self.context.entries(&folder);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.busy -= 1;
            match listed {
                Ok(mut listed) => {
                    let folders = listed.iter().filter(|found| found.kind == Kind::Directory);
                    queue.folders.extend(folders.map(|found| found.path.clone()));
                    all.append(&mut listed);
                    self.more.notify_all();
                }
                Err(failure) => {
                    queue.folders.clear();
                    self.more.notify_all();
                    return Err(failure);
                }
            }
        }
        Ok(all)
    }

    fn next(&self) -> Option<LayerPath> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(folder) = queue.folders.pop_back() {
                queue.busy += 1;
                return Some(folder);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
