//! The tar of a tree, made from its files: their bytes, times and attributes from the disk, all else from the entries.
//!
//! The same code makes the tar when a layer comes into being and when somebody wants it again, so that it is the same; its
//! diff id says whether it is.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread::JoinHandle;

use corten_layer::attributes::{Attributes, is_kept};
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Entry, Kind};
use rustix::io::Errno;

use super::beneath::{self, Found, Root};
use super::{ROOT, plan, state};
use crate::error::of_entry;
use crate::later::Trees;
use crate::{Store, StoreError, names};

/// overlayfs keeps something elsewhere for such a file: nothing that we mount does that.
const FOREIGN: [&[u8]; 2] = [b"user.overlay.redirect", b"user.overlay.metacopy"];
/// In front of what is overlayfs' own.
const OVERLAY: &[u8] = b"user.overlay.";

/// Writes all of them.
pub(super) fn write<W: Write>(
    root: &mut Root,
    entries: impl IntoIterator<Item = Entry>,
    writer: &mut LayerWriter<W>,
) -> io::Result<()> {
    for entry in entries {
        let path = entry.path.clone();
        one(root, entry, writer).map_err(|error| of_entry(&path, error))?;
    }
    Ok(())
}

fn one<W: Write>(root: &mut Root, entry: Entry, writer: &mut LayerWriter<W>) -> io::Result<()> {
    match entry.kind {
        Kind::Whiteout | Kind::Opaque => writer.with(entry, &Attributes::at(0), &mut io::empty()),
        Kind::File => {
            let mut file = root.read(&entry.path)?;
            let attributes = of_file(&file)?;
            writer.with(entry, &attributes, &mut file)
        }
        Kind::Directory => {
            let folder = beneath::open_folder(root.as_fd(), entry.path.as_bytes())?;
            let xattrs = xattrs_of(folder.as_fd())?.into_iter().collect();
            let mtime = Found(rustix::fs::fstat(&folder)?).mtime().0;
            writer.with(entry, &Attributes { mtime, xattrs }, &mut io::empty())
        }
        _ => {
            let found = root.look(&entry.path)?.ok_or(io::ErrorKind::NotFound)?;
            writer.with(entry, &Attributes::at(found.mtime().0), &mut io::empty())
        }
    }
}

/// Time and attributes of an open file.
pub(super) fn of_file(file: &File) -> io::Result<Attributes> {
    let mtime = Found(rustix::fs::fstat(file)?).mtime().0;
    Ok(Attributes { mtime, xattrs: xattrs_of(file.as_fd())?.into_iter().collect() })
}

/// Those that an image may have.
pub(super) fn xattrs_of(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut xattrs = Vec::new();
    for name in beneath::xattr_names(fd)? {
        if FOREIGN.contains(&name.as_slice()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "overlayfs keeps a part of it elsewhere"));
        }
        if is_kept(&name)
            && let Some(value) = beneath::xattr(fd, &name)?
        {
            xattrs.push((name, value));
        }
    }
    Ok(xattrs)
}

/// Takes overlayfs' notes away that say where a file was copied from; as a lower folder it has no use for them.
pub(super) fn forget_origin(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    for name in beneath::xattr_names(fd)? {
        if name.starts_with(OVERLAY) && name != beneath::OPAQUE && !FOREIGN.contains(&name.as_slice()) {
            match beneath::remove_xattr(fd, &name) {
                Err(error) if beneath::is(&error, Errno::NODATA) => {}
                other => other?,
            }
        }
    }
    Ok(())
}

impl Store {
    /// The files of a layer that was made here by a command, if there are any: one folder.
    pub(super) fn made_here(&self, diff_id: &DiffId) -> Result<Option<Trees>, StoreError> {
        let folder = self.folder("layers").join(diff_id.0.hex());
        let mut trees = Trees::default();
        if let Some(open) = self.later.tree_in(&folder, true) {
            trees.push_open(open);
            return Ok(Some(trees));
        }
        let names = names::names_in(&folder)?.into_iter().filter(|name| name.starts_with(plan::PLAIN));
        let made_here = |path: &PathBuf| {
            state::read(path, diff_id).is_some_and(|state| state.made_here) && state_is_whole(self, diff_id, path)
        };
        let Some(found) = names.map(|name| folder.join(name)).find(made_here) else { return Ok(None) };
        trees.push(found.join(ROOT));
        Ok(Some(trees))
    }

    /// Are the bytes of a layer in the store, in whatever form: as a tar, as the tree that a command left, as a blob that was
    /// made here, or as one that is at a registry?
    ///
    /// # Errors
    /// A disk that says no.
    pub fn has_layer(&self, diff_id: &DiffId) -> Result<bool, StoreError> {
        if self.size(&diff_id.0)?.is_some() || self.made_here(diff_id)?.is_some() {
            return Ok(true);
        }
        for blob in self.packed(diff_id)? {
            if self.size(&blob.digest)? == Some(blob.size) || !self.origins(&blob.digest)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The uncompressed tar of a layer that is in the store, as a tar, as a blob that was made here, or as the tree that a
    /// command left. Read to its end, it was checked.
    ///
    /// # Errors
    /// A layer that is in none of these forms.
    pub fn tar(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>, StoreError> {
        if self.size(&diff_id.0)?.is_some() {
            return Ok(Box::new(self.stream(&diff_id.0)?.0));
        }
        match self.made_here(diff_id)? {
            Some(_) => reader(self, diff_id),
            None => Err(StoreError::Missing(format!("layer {diff_id}"))),
        }
    }
}

fn state_is_whole(store: &Store, diff_id: &DiffId, path: &std::path::Path) -> bool {
    state::check(store, diff_id, path).unwrap_or(false)
}

/// The tar of a tree that was made here.
pub(super) fn reader(store: &Store, diff_id: &DiffId) -> Result<Box<dyn Read + Send>, StoreError> {
    let missing = || StoreError::Missing(format!("layer {diff_id}"));
    let held = store.made_here(diff_id)?.ok_or_else(missing)?;
    let folder = held.first().cloned().ok_or_else(missing)?;
    let index = store.layer_index(diff_id)?.ok_or_else(missing)?;
    let failed = |error| StoreError::disk("reading", &folder, 0, error);
    let (pipe, sink) = io::pipe().map_err(failed)?;
    let wanted = *diff_id;
    let mut root = Root::open(&folder).map_err(failed)?;
    let work = move || -> io::Result<()> {
        let mut writer = LayerWriter::new(io::BufWriter::with_capacity(1 << 18, sink), Compression::Stored, 0);
        write(&mut root, index.entries, &mut writer)?;
        let (mut sink, written) = writer.finish()?;
        sink.flush()?;
        match written.diff_id == wanted {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "its files are not those that were stored")),
        }
    };
    let thread = std::thread::Builder::new().name("tar".into()).spawn(work).map_err(failed)?;
    Ok(Box::new(Tar { pipe, thread: Some(thread), folder }))
}

/// Ends well only if the thread that writes does.
struct Tar {
    pipe: PipeReader,
    thread: Option<JoinHandle<io::Result<()>>>,
    folder: PathBuf,
}

impl Read for Tar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.pipe.read(buffer)?;
        if got > 0 || buffer.is_empty() {
            return Ok(got);
        }
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        let ended = ended.unwrap_or_else(|_| Err(io::Error::other("the thread that reads it is gone")));
        ended.map(|()| 0).map_err(|error| {
            StoreError::damaged(&self.folder, format!("its tar cannot be made again: {error}")).into_io()
        })
    }
}
