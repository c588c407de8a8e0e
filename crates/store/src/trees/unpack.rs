//! A layer onto the disk, in a tree of its own as overlayfs wants it.
//!
//! Entries are made in the order of the tar, each where the [`Plan`] says. Folders get mode, owner and time at the end, so that
//! one that forbids writing can be filled. Whiteouts (devices 0:0) and opaque marks come last, because they are about lower
//! layers wherever in the layer they stand.
//!
//! | as | owners | devices | capabilities of files |
//! |---|---|---|---|
//! | root | set | made, where the kernel lets us (not in a user namespace) | set |
//! | others | only in the index | left out | only in the tar |
//!
//! Nothing gets its final name before the whole tar was read and has the diff id that was asked for.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use corten_layer::attributes::Attributes;
use corten_layer::tar::{TarError, TarReader};
use corten_layer::tree::{Place, Target};
use corten_oci::{DiffId, Digester, Entry, Kind, LayerIndex, LayerPath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::beneath::{self, OPAQUE, Root};
use super::plan::{Folder, Plan, USUAL};
use crate::error::of_entry;

const CHUNK: usize = 256 << 10;

/// One layer on its way to the disk.
pub(super) struct Unpacking<'a> {
    root: Root,
    plan: &'a Plan,
    /// Trees of lower layers, the uppermost first.
    lower: &'a [PathBuf],
    is_root: bool,
    /// Folders, to be finished at the end.
    folders: BTreeMap<LayerPath, (Folder, Attributes)>,
    /// The latest time of all entries: that of folders that have none.
    latest: i64,
    buffer: Vec<u8>,
}

/// Unpacks `tar` into the empty folder `to`.
///
/// # Errors
/// Another tar than the index tells of, or than `diff_id` names; a disk that says no.
pub(super) fn unpack(
    tar: impl Read,
    diff_id: &DiffId,
    index: &LayerIndex,
    plan: &Plan,
    to: &Path,
    lower: &[PathBuf],
) -> io::Result<()> {
    let mut hashing = Hashing { source: tar, digester: Digester::new() };
    let is_root = rustix::process::geteuid().is_root();
    let root = Root::open(to)?;
    let buffer = vec![0; CHUNK];
    let mut work = Unpacking { root, plan, lower, is_root, folders: BTreeMap::new(), latest: 0, buffer };
    let mut reader = TarReader::new(io::BufReader::with_capacity(CHUNK, &mut hashing));
    let mut number = 0;
    let wrong = |error| match error {
        TarError::Read(error) => error,
        refused @ TarError::Refused { .. } => io::Error::new(io::ErrorKind::InvalidData, refused),
    };
    while let Some(entry) = reader.next_entry().map_err(wrong)? {
        let (Some(told), Some(place)) = (index.entries.get(number), plan.places.get(number)) else {
            return Err(other(&entry));
        };
        if told.path != entry.path || told.kind != entry.kind || told.size != entry.size {
            return Err(other(&entry));
        }
        number += 1;
        if let Some(place) = place {
            let attributes = reader.attributes().clone();
            work.put(&entry, place, &attributes, &mut reader.content())
                .map_err(|error| of_entry(&entry.path, error))?;
        }
    }
    drop(reader);
    if number != index.entries.len() || hashing.digester.finish() != diff_id.0 {
        let why = "its bytes are not those that its diff id names";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    work.finish(index)
}

fn other(entry: &Entry) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("'{}' is not what its index says", entry.path))
}

impl Unpacking<'_> {
    fn put(&mut self, entry: &Entry, place: &Place, attributes: &Attributes, content: &mut dyn Read) -> io::Result<()> {
        match &entry.kind {
            Kind::Whiteout | Kind::Opaque => return Ok(()),
            Kind::Directory => {
                self.latest = self.latest.max(attributes.mtime);
                self.make_folder(&place.path)?;
                let folder = Folder { mode: entry.mode, user: entry.uid, group: entry.gid };
                self.folders.insert(place.path.clone(), (folder, attributes.clone()));
                return Ok(());
            }
            _ => self.latest = self.latest.max(attributes.mtime),
        }
        self.make_parents(&place.path)?;
        self.free(&place.path)?;
        match &entry.kind {
            Kind::File => self.file(entry, &place.path, attributes, content),
            Kind::HardLink(_) => match &place.target {
                Some(target) => self.link(entry, &place.path, target, attributes),
                None => Ok(()),
            },
            Kind::Symlink(target) => {
                let parent = self.root.parent(&place.path)?;
                rustix::fs::symlinkat(target.as_str(), parent, name(&place.path))?;
                self.attributes(entry, &place.path, attributes)
            }
            Kind::Fifo => self.node(entry, &place.path, FileType::Fifo, 0, attributes),
            Kind::CharacterDevice(major, minor) => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(entry, &place.path, FileType::CharacterDevice, device, attributes)
            }
            Kind::BlockDevice(major, minor) => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(entry, &place.path, FileType::BlockDevice, device, attributes)
            }
            Kind::Directory | Kind::Whiteout | Kind::Opaque => Ok(()),
        }
    }

    fn file(
        &mut self,
        entry: &Entry,
        path: &LayerPath,
        attributes: &Attributes,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.root.parent(path)?;
        let mut file = File::from(rustix::fs::openat(parent, name(path), flags, Mode::from_raw_mode(0o600))?);
        let mut left = entry.size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let got = match content.read(self.buffer.get_mut(..want).unwrap_or_default()) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its content is cut off")),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            file.write_all(self.buffer.get(..got).unwrap_or_default())?;
            left -= got as u64;
        }
        if self.is_root {
            std::os::unix::fs::fchown(&file, Some(id(entry.uid)?), Some(id(entry.gid)?))?;
        }
        if !attributes.xattrs.is_empty() {
            beneath::set_xattrs(file.as_fd(), attributes)?;
        }
        // After the owner: changing that takes set-user-id away.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
        Ok(rustix::fs::futimens(&file, &beneath::times(attributes.mtime))?)
    }

    fn node(
        &mut self,
        entry: &Entry,
        path: &LayerPath,
        kind: FileType,
        device: u64,
        attributes: &Attributes,
    ) -> io::Result<()> {
        if kind != FileType::Fifo && device == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a device 0:0 is none that an image may hold"));
        }
        let parent = self.root.parent(path)?;
        match rustix::fs::mknodat(parent, name(path), kind, Mode::from_raw_mode(0o600), device) {
            // In a user namespace, and for all but root: the index tells of it, the tree does without.
            Err(Errno::PERM) if kind != FileType::Fifo => return Ok(()),
            other => other?,
        }
        self.attributes(entry, path, attributes)
    }

    fn link(&mut self, entry: &Entry, path: &LayerPath, target: &Target, attributes: &Attributes) -> io::Result<()> {
        // As the kernel does where a file is linked in an overlay: it is copied up first.
        if target.is_lower && self.root.look(&target.path)?.is_none() {
            self.make_parents(&target.path)?;
            self.copy_up(&target.path)?;
        }
        let from = {
            let parent = self.root.parent(&target.path)?;
            rustix::io::fcntl_dupfd_cloexec(parent, 0)?
        };
        let parent = self.root.parent(path)?;
        rustix::fs::linkat(&from, name(&target.path), parent, name(path), AtFlags::empty())?;
        self.attributes(entry, path, attributes)
    }

    /// Takes a file from the lower trees.
    fn copy_up(&mut self, path: &LayerPath) -> io::Result<()> {
        for tree in self.lower {
            let mut lower = Root::open(tree)?;
            let Some(found) = lower.look(path)? else { continue };
            let parent = self.root.parent(path)?;
            match found.kind() {
                FileType::Symlink => {
                    let from = lower.parent(path)?;
                    let target = rustix::fs::readlinkat(from, name(path), Vec::new())?;
                    rustix::fs::symlinkat(target.as_c_str(), parent, name(path))?;
                }
                FileType::RegularFile => {
                    let mut from = lower.read(path)?;
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let to = rustix::fs::openat(parent, name(path), flags, Mode::from_raw_mode(0o600))?;
                    let mut to = File::from(to);
                    io::copy(&mut from, &mut to)?;
                    if self.is_root {
                        std::os::unix::fs::fchown(&to, Some(found.0.st_uid), Some(found.0.st_gid))?;
                    }
                    rustix::fs::fchmod(&to, Mode::from_raw_mode(found.mode()))?;
                    rustix::fs::futimens(&to, &beneath::times(found.mtime().0))?;
                }
                _ => break,
            }
            return Ok(());
        }
        let why = format!("a hard link to '{path}' of a lower layer, which is no file there");
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// Owner, mode, attributes and time of what has been made; a link has no mode.
    fn attributes(&mut self, entry: &Entry, path: &LayerPath, attributes: &Attributes) -> io::Result<()> {
        let is_root = self.is_root;
        let parent = self.root.parent(path)?;
        let made = beneath::handle(parent, name(path))?;
        let kind = beneath::Found(rustix::fs::fstat(&made)?).kind();
        if is_root {
            beneath::set_owner(made.as_fd(), entry.uid, entry.gid)?;
        }
        if kind != FileType::Symlink {
            if kind == FileType::RegularFile && !attributes.xattrs.is_empty() {
                beneath::set_xattrs(made.as_fd(), attributes)?;
            }
            beneath::set_mode(made.as_fd(), entry.mode)?;
        }
        beneath::set_time(parent, path.name(), attributes.mtime)
    }

    fn make_parents(&mut self, path: &LayerPath) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !parent.is_root() && !self.folders.contains_key(&parent) => self.make_folder(&parent),
            _ => Ok(()),
        }
    }

    /// A folder with all above it; what else has the name goes.
    fn make_folder(&mut self, path: &LayerPath) -> io::Result<()> {
        for path in path.ancestors().chain([path.clone()]).filter(|path| !path.is_root()) {
            if self.folders.contains_key(&path) {
                continue;
            }
            let found = beneath::look(self.root.parent(&path)?, path.name())?;
            if !found.is_some_and(|found| found.is_folder()) {
                if found.is_some() {
                    self.free(&path)?;
                }
                let parent = self.root.parent(&path)?;
                rustix::fs::mkdirat(parent, name(&path), Mode::from_raw_mode(0o700))?;
            }
            let folder = self.plan.implied.get(&path).copied().unwrap_or(USUAL);
            self.folders.insert(path, (folder, Attributes::at(i64::MAX)));
        }
        Ok(())
    }

    /// Makes a name free.
    fn free(&mut self, path: &LayerPath) -> io::Result<()> {
        let parent = self.root.parent(path)?;
        let Some(found) = beneath::look(parent, path.name())? else { return Ok(()) };
        beneath::remove(parent, path.name())?;
        if found.is_folder() {
            self.root.forget();
            self.folders.retain(|folder, _| !folder.starts_with(path));
        }
        Ok(())
    }

    fn finish(mut self, index: &LayerIndex) -> io::Result<()> {
        let plan = self.plan;
        let places = || index.entries.iter().zip(&plan.places).filter_map(|(it, place)| Some((it, place.as_ref()?)));
        let mut gone: Vec<&LayerPath> = plan.hidden.iter().collect();
        gone.extend(
            places().filter(|(it, place)| it.kind == Kind::Whiteout && place.hides).map(|(_, place)| &place.path),
        );
        gone.sort();
        gone.dedup();
        let mut hidden: Option<&LayerPath> = None;
        for path in gone {
            if path.is_root() || hidden.is_some_and(|above| path.starts_with(above)) {
                continue;
            }
            hidden = self.whiteout(path)?.then_some(path);
        }
        for (_, place) in places().filter(|(entry, _)| entry.kind == Kind::Opaque) {
            if !place.path.is_root() {
                self.make_folder(&place.path)?;
                self.opaque(&place.path)?;
            }
        }
        self.finish_folders()
    }

    /// Hides what lower layers have at a path: true where nothing of this layer is there.
    fn whiteout(&mut self, path: &LayerPath) -> io::Result<bool> {
        match self.root.look(path)? {
            Some(found) if found.is_folder() => self.opaque(path).map(|()| false),
            Some(_) => Ok(false),
            None => {
                self.make_parents(path)?;
                let parent = self.root.parent(path)?;
                rustix::fs::mknodat(parent, name(path), FileType::CharacterDevice, Mode::empty(), 0)?;
                beneath::set_time(parent, path.name(), 0)?;
                Ok(true)
            }
        }
    }

    fn opaque(&mut self, path: &LayerPath) -> io::Result<()> {
        let folder = self.root.folder(path.as_bytes())?;
        beneath::set_xattr(folder, OPAQUE, b"y")
    }

    /// What lies deeper comes first: a folder that may not be entered is closed last.
    fn finish_folders(mut self) -> io::Result<()> {
        let mut folders = std::mem::take(&mut self.folders);
        let root = self.plan.implied.get(&LayerPath::root()).copied().unwrap_or(USUAL);
        folders.entry(LayerPath::root()).or_insert((root, Attributes::at(i64::MAX)));
        self.root.forget();
        for (path, (folder, attributes)) in folders.iter().rev() {
            let time = if attributes.mtime == i64::MAX { self.latest } else { attributes.mtime };
            let is_root = self.is_root;
            let fd = match path.is_root() {
                true => rustix::io::fcntl_dupfd_cloexec(self.root.as_fd(), 0)?,
                false => beneath::open_folder(self.root.as_fd(), path.as_bytes())?,
            };
            finish_folder(fd.as_fd(), folder, attributes, time, is_root)?;
        }
        Ok(())
    }
}

fn finish_folder(
    fd: BorrowedFd<'_>,
    folder: &Folder,
    attributes: &Attributes,
    time: i64,
    is_root: bool,
) -> io::Result<()> {
    beneath::set_xattrs(fd, attributes)?;
    beneath::set_time(fd, b"", time)?;
    if is_root {
        beneath::set_owner(fd, folder.user, folder.group)?;
    }
    beneath::set_mode(fd, folder.mode)
}

fn id(id: u64) -> io::Result<u32> {
    let why = || io::Error::new(io::ErrorKind::InvalidData, format!("owner {id} is none that this system knows"));
    u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(why)
}

fn name(path: &LayerPath) -> &OsStr {
    OsStr::from_bytes(path.name())
}

struct Hashing<R> {
    source: R,
    digester: Digester,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.digester.update(buffer.get(..got).unwrap_or_default());
        Ok(got)
    }
}
