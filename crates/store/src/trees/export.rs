//! The files of an image, without the image: as one tar (`type=tar`), or in a folder (`type=local`).
//!
//! Names, modes and owners come from the indexes, bytes and times from the layers' trees. A folder that is written to may hold
//! anything, also links that an earlier export left there: every path is opened beneath it, no link is followed, and what
//! stands where a folder must be is replaced. Files get their names when they are complete.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_layer::attributes::Attributes;
use corten_layer::tree::{Node, Tree};
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Blobs, DiffId, Digest, Digester, Entry, Kind, LayerPath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::beneath::{self, Root};
use super::{TreeLayer, tar};
use crate::{Store, StoreError};

/// A file that is not complete.
const PARTIAL: &[u8] = b".corten-incomplete";

/// A file that is written beside those of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedFile {
    /// One component: it lies in the root.
    pub name: LayerPath,
    /// What is in it.
    pub content: Vec<u8>,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// Mode of a file that is added, as BuildKit has it.
const ADDED: u32 = 0o600;

/// Files of an image, and where their bytes are.
struct Files {
    tree: Tree,
    roots: HashMap<DiffId, Root>,
    epoch: Option<i64>,
}

impl Store {
    /// Writes all files of an image as a tar, by path, and after them `added`, which stand for files of the image that have
    /// their names. `epoch`: no time is later.
    ///
    /// # Errors
    /// As [`Store::trees`], and the sink's own.
    pub fn export_tar(
        &self,
        layers: &[TreeLayer],
        blobs: &(dyn Blobs + Sync),
        epoch: Option<u64>,
        added: &[AddedFile],
        to: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let mut files = self.files(layers, blobs, epoch)?;
        let failed = |error| StoreError::from_io("writing", Path::new("the tar of the image's files"), error);
        files.write_tar(added, to).map_err(failed)
    }

    /// Writes all files of an image into a folder, which may have others. They belong to who writes them, as with buildx.
    /// Devices are left out where they cannot be made.
    ///
    /// # Errors
    /// As [`Store::trees`], and a disk that says no.
    pub fn export_folder(
        &self,
        layers: &[TreeLayer],
        blobs: &(dyn Blobs + Sync),
        epoch: Option<u64>,
        added: &[AddedFile],
        to: &Path,
    ) -> Result<(), StoreError> {
        let mut files = self.files(layers, blobs, epoch)?;
        let failed = |error| StoreError::disk("writing", to, 0, error);
        fs::create_dir_all(to).map_err(failed)?;
        // The folder itself may be what a link of the user's leads to.
        let root = to.canonicalize().and_then(|to| Root::open(&to)).map_err(failed)?;
        files.write_folder(added, root).map_err(|error| StoreError::from_io("writing", to, error))
    }

    /// The path of every file of an image, and the digest of what is in it, by path.
    ///
    /// # Errors
    /// As [`Store::trees`].
    pub fn file_digests(
        &self,
        layers: &[TreeLayer],
        blobs: &(dyn Blobs + Sync),
    ) -> Result<Vec<(LayerPath, Digest)>, StoreError> {
        let mut files = self.files(layers, blobs, None)?;
        files.digests().map_err(|error| StoreError::from_io("reading", Path::new("the image's files"), error))
    }

    fn files(&self, layers: &[TreeLayer], blobs: &(dyn Blobs + Sync), epoch: Option<u64>) -> Result<Files, StoreError> {
        let folders = self.trees(layers, blobs)?;
        let ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
        let tree = self.files_of(&ids)?;
        let mut roots = HashMap::new();
        // One layer may be there twice; its files are the same.
        for (id, folder) in ids.iter().zip(folders.iter().rev()) {
            let root = Root::open(folder).map_err(|error| StoreError::disk("opening", folder, 0, error))?;
            roots.insert(*id, root);
        }
        Ok(Files { tree, roots, epoch: epoch.map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX)) })
    }
}

impl Files {
    fn digests(&mut self) -> io::Result<Vec<(LayerPath, Digest)>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 128 << 10]);
        // A file may have many names.
        let mut known: HashMap<(DiffId, u64), Digest> = HashMap::new();
        for (path, node) in self.tree.iter().filter(|(_, node)| node.entry.kind == Kind::File) {
            if let Some(digest) = known.get(&(node.layer, node.entry.offset)) {
                all.push((path.clone(), *digest));
                continue;
            }
            let Some(root) = self.roots.get_mut(&node.layer) else { continue };
            let mut digester = Digester::new();
            let mut file = root.read(&node.entry.path)?;
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    count => digester.update(buffer.get(..count).unwrap_or_default()),
                }
            }
            let digest = digester.finish();
            known.insert((node.layer, node.entry.offset), digest);
            all.push((path.clone(), digest));
        }
        Ok(all)
    }

    fn write_tar(&mut self, added: &[AddedFile], to: &mut dyn Write) -> io::Result<()> {
        let mut writer = LayerWriter::new(to, Compression::Stored, 0);
        let mut first: HashMap<(DiffId, u64), LayerPath> = HashMap::new();
        for (path, node) in self.tree.iter().filter(|(path, _)| !path.is_root() && !is_added(path, added)) {
            let mut entry = node.entry.clone();
            let Some(root) = self.roots.get_mut(&node.layer) else { continue };
            let (attributes, file) = open(root, node, self.epoch)?;
            if entry.kind == Kind::File {
                let first = first.entry((node.layer, node.entry.offset)).or_insert_with(|| path.clone());
                if first != path {
                    (entry.kind, entry.size) = (Kind::HardLink(first.clone()), 0);
                }
            }
            match file.filter(|_| entry.kind == Kind::File) {
                Some(mut file) => writer.with(entry, &attributes, &mut file)?,
                None => writer.with(entry, &attributes, &mut io::empty())?,
            }
        }
        for file in added {
            writer.with(file.entry(), &Attributes::at(file.mtime), &mut file.content.as_slice())?;
        }
        let (to, _) = writer.finish()?;
        to.flush()
    }

    fn write_folder(&mut self, added: &[AddedFile], mut to: Root) -> io::Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        let mut first: HashMap<(DiffId, u64), LayerPath> = HashMap::new();
        let mut folders: Vec<(LayerPath, u32, Attributes)> = Vec::new();
        for (path, node) in self.tree.iter().filter(|(path, _)| !path.is_root() && !is_added(path, added)) {
            let Some(root) = self.roots.get_mut(&node.layer) else { continue };
            let (attributes, file) = open(root, node, self.epoch)?;
            if node.entry.kind == Kind::Directory {
                make_folder(&mut to, path)?;
                folders.push((path.clone(), node.entry.mode, attributes));
                continue;
            }
            let linked = first.get(&(node.layer, node.entry.offset)).filter(|_| node.entry.kind == Kind::File);
            if !put(&mut to, node, path, linked, file, is_root)? {
                continue;
            }
            finish(&mut to, path, node, &attributes)?;
            first.entry((node.layer, node.entry.offset)).or_insert_with(|| path.clone());
        }
        for file in added {
            file.write(&mut to)?;
        }
        to.forget();
        for (path, mode, attributes) in folders.iter().rev() {
            let folder = beneath::open_folder(to.as_fd(), path.as_bytes())?;
            beneath::set_xattrs(folder.as_fd(), attributes)?;
            beneath::set_time(folder.as_fd(), b"", attributes.mtime)?;
            beneath::set_mode(folder.as_fd(), *mode)?;
        }
        Ok(())
    }
}

/// Does a file that is added stand for a path of the image, or for a folder that it is in?
fn is_added(path: &LayerPath, added: &[AddedFile]) -> bool {
    added.iter().any(|file| path.starts_with(&file.name))
}

impl AddedFile {
    fn entry(&self) -> Entry {
        let (path, size) = (self.name.clone(), self.content.len() as u64);
        Entry { path, kind: Kind::File, mode: ADDED, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
    }

    /// Replaces what stands there.
    fn write(&self, to: &mut Root) -> io::Result<()> {
        let (parent, partial) = (to.parent(&self.name)?, OsStr::from_bytes(PARTIAL));
        beneath::remove(parent, PARTIAL)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = rustix::fs::openat(parent, partial, flags, Mode::from_raw_mode(ADDED))?;
        File::from(new).write_all(&self.content)?;
        if beneath::look(parent, self.name.name())?.is_some_and(|found| found.is_folder()) {
            beneath::remove(parent, self.name.name())?;
        }
        rustix::fs::renameat(parent, partial, parent, name(&self.name))?;
        beneath::set_time(parent, self.name.name(), self.mtime)
    }
}

/// Time and attributes of a file of a tree, and the file, if it is one.
fn open(root: &mut Root, node: &Node, epoch: Option<i64>) -> io::Result<(Attributes, Option<File>)> {
    let path = &node.entry.path;
    let about = |error: io::Error| io::Error::new(error.kind(), format!("'{path}': {error}"));
    let file = match node.entry.kind {
        Kind::File => Some(root.read(path).map_err(about)?),
        _ => None,
    };
    let mut attributes = match (&file, &node.entry.kind) {
        (Some(file), _) => tar::of_file(file).map_err(about)?,
        (None, Kind::Directory) => {
            let folder = beneath::open_folder(root.as_fd(), path.as_bytes()).map_err(about)?;
            let mtime = beneath::Found(rustix::fs::fstat(&folder)?).mtime().0;
            Attributes { mtime, xattrs: tar::xattrs_of(folder.as_fd())?.into_iter().collect() }
        }
        // A device that could not be made has no time.
        _ => Attributes::at(root.look(path)?.map_or(0, |found| found.mtime().0)),
    };
    attributes.mtime = epoch.map_or(attributes.mtime, |epoch| attributes.mtime.min(epoch));
    Ok((attributes, file))
}

fn name(path: &LayerPath) -> &OsStr {
    OsStr::from_bytes(path.name())
}

fn make_folder(to: &mut Root, path: &LayerPath) -> io::Result<()> {
    let parent = to.parent(path)?;
    match beneath::look(parent, path.name())? {
        Some(found) if found.is_folder() => return Ok(()),
        Some(_) => beneath::remove(parent, path.name())?,
        None => {}
    }
    Ok(rustix::fs::mkdirat(parent, name(path), Mode::from_raw_mode(0o700))?)
}

/// Makes anything but a folder, under another name first. False where the kernel does not let us.
fn put(
    to: &mut Root,
    node: &Node,
    path: &LayerPath,
    linked: Option<&LayerPath>,
    file: Option<File>,
    is_root: bool,
) -> io::Result<bool> {
    let partial = OsStr::from_bytes(PARTIAL);
    let linked_in = match linked {
        Some(first) => Some((rustix::io::fcntl_dupfd_cloexec(to.parent(first)?, 0)?, first)),
        None => None,
    };
    let parent = to.parent(path)?;
    beneath::remove(parent, PARTIAL)?;
    match (&node.entry.kind, linked_in) {
        (_, Some((folder, first))) => rustix::fs::linkat(folder, name(first), parent, partial, AtFlags::empty())?,
        (Kind::File, None) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let new = rustix::fs::openat(parent, partial, flags, Mode::from_raw_mode(0o600))?;
            let mut from = file.ok_or(io::ErrorKind::NotFound)?;
            io::copy(&mut from, &mut File::from(new))?;
        }
        (Kind::Symlink(target), None) => rustix::fs::symlinkat(target.as_str(), parent, partial)?,
        (Kind::Fifo, None) => {
            rustix::fs::mknodat(parent, partial, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        }
        (Kind::CharacterDevice(..) | Kind::BlockDevice(..), None) if !is_root => return Ok(false),
        (Kind::CharacterDevice(major, minor) | Kind::BlockDevice(major, minor), None) => {
            let is_block = matches!(node.entry.kind, Kind::BlockDevice(..));
            let kind = if is_block { FileType::BlockDevice } else { FileType::CharacterDevice };
            let device = rustix::fs::makedev(*major, *minor);
            match rustix::fs::mknodat(parent, partial, kind, Mode::from_raw_mode(0o600), device) {
                Err(Errno::PERM) => return Ok(false),
                other => other?,
            }
        }
        (Kind::Directory | Kind::HardLink(_) | Kind::Whiteout | Kind::Opaque, None) => return Ok(false),
    }
    if beneath::look(parent, path.name())?.is_some_and(|found| found.is_folder()) {
        beneath::remove(parent, path.name())?;
    }
    rustix::fs::renameat(parent, partial, parent, name(path))?;
    // Two names of one file: a rename of one to the other does nothing.
    beneath::remove(parent, PARTIAL)?;
    Ok(true)
}

fn finish(to: &mut Root, path: &LayerPath, node: &Node, attributes: &Attributes) -> io::Result<()> {
    let parent = to.parent(path)?;
    let made = beneath::handle(parent, name(path))?;
    if !matches!(node.entry.kind, Kind::Symlink(_)) {
        if node.entry.kind == Kind::File {
            beneath::set_xattrs(made.as_fd(), attributes)?;
        }
        beneath::set_mode(made.as_fd(), node.entry.mode)?;
    }
    beneath::set_time(parent, path.name(), attributes.mtime)
}
