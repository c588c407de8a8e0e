//! The one durable write: temp files → hash while writing → sync all → rename without replace → sync folders → then
//! the pointers, the same way.
//!
//! The order is what makes a crash harmless: a blob gets its name when its bytes are durable, a pointer when the names
//! of all blobs are. What is in the store already, byte for byte, is not written again, and a batch that has nothing to
//! write syncs nothing. How files are synced: see `disk.rs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use corten_oci::{Descriptor, DiffId, Digest, Digester, LayerIndex, Reference, Repository};

use crate::disk::{self, SYNCED_SINGLY};
use crate::lease::{self, Noted};
use crate::scratch::ScratchFolder;
use crate::trees::State;
use crate::{Key, Store, StoreError, index_file, pointer, usage};

/// Bytes that are collected before they are hashed and written.
const CHUNK: usize = 256 << 10;

/// Many blobs and pointers, one durable [`Batch::finish`]. Shared by threads; dropped without `finish`, it leaves nothing.
pub struct Batch<'store> {
    store: &'store Store,
    staged: Mutex<Staged>,
}

/// What has no name yet.
#[derive(Default)]
pub(crate) struct Staged {
    blobs: Vec<Temporary>,
    pointers: Vec<Temporary>,
    trees: Vec<StagedTree>,
    /// What pointers of this batch point to.
    wanted: Vec<Digest>,
}

/// A layer unpacked, in a folder without its name.
pub(crate) struct StagedTree {
    pub(crate) wrapper: ScratchFolder,
    pub(crate) diff_id: DiffId,
    pub(crate) place: PathBuf,
    pub(crate) state: State,
}

impl Staged {
    fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.pointers.is_empty() && self.trees.is_empty()
    }

    /// Places, and what is to be there.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.blobs.iter().chain(&self.pointers).map(|one| (one.place.as_path(), one.path.as_path()))
    }

    /// Layers unpacked.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &StagedTree> {
        self.trees.iter()
    }

    /// What has to stay while others are at work: the folders of trees, or everything.
    pub(crate) fn kept(mut self, all: bool) -> Option<Self> {
        if !all {
            self.blobs.clear();
            self.pointers.clear();
        }
        self.blobs.iter_mut().chain(&mut self.pointers).for_each(|temporary| temporary.file = None);
        (!self.is_empty()).then_some(self)
    }

    /// How many files and folders are synced, at most one more than are synced one by one.
    fn weight(&self) -> u64 {
        let of_trees: u64 = self.trees.iter().map(|tree| tree.state.files.saturating_add(2)).sum();
        of_trees.saturating_add((self.blobs.len() + self.pointers.len()) as u64)
    }
}

/// A file without its name yet. It is removed with this value.
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
    pub(crate) place: PathBuf,
    pub(crate) size: u64,
    /// Kept open while there are few: errors of writing back are told to those who had the file open.
    pub(crate) file: Option<File>,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl<'store> Batch<'store> {
    pub(crate) fn new(store: &'store Store) -> Self {
        Self { store, staged: Mutex::default() }
    }

    /// Which store it is for.
    pub(crate) fn store(&self) -> &'store Store {
        self.store
    }

    /// Begins a blob. Many may be under way at once.
    pub fn blob(&self) -> Result<BlobWriter<'_>, StoreError> {
        let temporary = Temporary::new(self.store)?;
        Ok(BlobWriter {
            batch: self,
            temporary,
            digester: Some(Digester::new()),
            pending: Vec::new(),
            begun: 0,
            failed: false,
        })
    }

    /// Begins a blob that the caller hashes while he writes it: see [`BlobWriter::finish_as`].
    pub fn blob_hashed_elsewhere(&self) -> Result<BlobWriter<'_>, StoreError> {
        Ok(BlobWriter { digester: None, ..self.blob()? })
    }

    /// A small blob that is in hand.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        self.store.note([Noted::Blob(digest)])?;
        let place = self.store.blob_path(&digest);
        if !holds(&place, bytes) {
            let mut temporary = Temporary::new(self.store)?;
            temporary.place = place;
            temporary.append(bytes)?;
            self.stage_blob(temporary)?;
        }
        Ok(digest)
    }

    /// What lies in a layer.
    pub fn layer_index(&self, diff_id: &DiffId, index: &LayerIndex) -> Result<(), StoreError> {
        self.store.note([Noted::Layer(*diff_id)])?;
        self.point(self.store.index_path(diff_id), &index_file::encode(diff_id, index))
    }

    /// Remembers a result.
    pub fn record(&self, key: &Key, value: &[u8]) -> Result<(), StoreError> {
        self.point(self.store.record_path(key), &pointer::encode_record(&key.0, value))
    }

    /// Lets a name point to a manifest (of the store or of this batch). Without a tag, the name is `latest`.
    pub fn image(&self, reference: &Reference, digest: &Digest) -> Result<(), StoreError> {
        self.lock().wanted.push(*digest);
        self.point(self.store.image_path(reference), &pointer::encode_image(digest))
    }

    /// Remembers that the artifact `referrer` (of the store or of this batch) is about `subject`.
    pub fn referrer(&self, subject: &Digest, referrer: &Descriptor) -> Result<(), StoreError> {
        self.store.note([Noted::Blob(*subject)])?;
        self.lock().wanted.push(referrer.digest);
        let place = self.store.referrers_folder(subject).join(referrer.digest.hex());
        self.point(place, &pointer::encode_referrer(referrer))
    }

    /// Lets a repository keep a manifest (of the store or of this batch) by its digest, whatever its tags are.
    pub fn hold(&self, repository: &Repository, digest: &Digest) -> Result<(), StoreError> {
        self.lock().wanted.push(*digest);
        self.point(self.store.held_path(repository, digest), &pointer::encode_image(digest))
    }

    /// A layer unpacked: `wrapper` holds `root/` and what is written beside it.
    pub(crate) fn tree(&self, tree: StagedTree) {
        self.lock().trees.push(tree);
    }

    /// Makes everything durable, blobs and trees first, then pointers. A pointer to a blob that is neither in the store nor in
    /// the batch is an error, and nothing gets a name.
    pub fn finish(self) -> Result<(), StoreError> {
        let staged = std::mem::take(&mut *self.lock());
        check_targets(self.store, &staged)?;
        name_all(self.store, &[staged])
    }

    /// The same, but the caller does not wait for the disk where [`Store::later`] does: this store has everything from now on,
    /// others have it when that returns at the latest.
    pub fn finish_later(self) -> Result<(), StoreError> {
        let staged = std::mem::take(&mut *self.lock());
        check_targets(self.store, &staged)?;
        if staged.is_empty() {
            return Ok(());
        }
        match self.store.wait_for_name(staged)? {
            Some(staged) => name_all(self.store, &[staged]),
            None => Ok(()),
        }
    }

    /// Stages a small file, unless the store has it with these bytes.
    fn point(&self, place: PathBuf, bytes: &[u8]) -> Result<(), StoreError> {
        let comes = || self.store.later.file(&place).is_some();
        if holds(&place, bytes) && !comes() && !self.lock().pointers.iter().any(|staged| staged.place == place) {
            usage::mark_path(self.store, &place);
            return Ok(());
        }
        let mut temporary = Temporary::new(self.store)?;
        temporary.place = place;
        temporary.append(bytes)?;
        let mut staged = self.lock();
        if staged.blobs.len() + staged.pointers.len() >= SYNCED_SINGLY {
            temporary.file = None;
        }
        // Pointers are renamed in the order of the calls: of two for one place, the last wins.
        staged.pointers.push(temporary);
        Ok(())
    }

    pub(crate) fn stage_blob(&self, mut temporary: Temporary) -> Result<(), StoreError> {
        if let Some(file) = &temporary.file {
            disk::set_mode(file, 0o444).map_err(|error| StoreError::disk("writing", &temporary.path, 0, error))?;
        }
        let mut staged = self.lock();
        if staged.blobs.iter().any(|blob| blob.place == temporary.place) {
            return Ok(());
        }
        if staged.blobs.len() + staged.pointers.len() >= SYNCED_SINGLY {
            temporary.file = None;
        }
        staged.blobs.push(temporary);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_targets(store: &Store, staged: &Staged) -> Result<(), StoreError> {
    for digest in &staged.wanted {
        let place = store.blob_path(digest);
        let is_staged = staged.blobs.iter().any(|blob| blob.place == place);
        if !is_staged && store.size(digest)?.is_none() {
            return Err(StoreError::Missing(digest.to_string()));
        }
    }
    Ok(())
}

/// Makes batches durable and gives names, in the order that the module tells.
pub(crate) fn name_all(store: &Store, all: &[Staged]) -> Result<(), StoreError> {
    if all.iter().all(Staged::is_empty) {
        return Ok(());
    }
    sync_files(store, all)?;
    for blob in all.iter().flat_map(|staged| &staged.blobs) {
        store.place(&blob.path, &blob.place)?;
    }
    // Also where all blobs were there: another process may have named them a moment ago.
    let mut changed = vec![store.blobs_folder()];
    for tree in all.iter().flat_map(|staged| &staged.trees) {
        store.name_tree(tree, &mut changed)?;
    }
    disk::sync_folders(&mut changed)?;
    place_pointers(store, all.iter().flat_map(|staged| &staged.pointers))
}

fn sync_files(store: &Store, all: &[Staged]) -> Result<(), StoreError> {
    let weight = all.iter().map(Staged::weight).fold(0, u64::saturating_add);
    if weight > SYNCED_SINGLY as u64 {
        return disk::sync_file_system(store.root());
    }
    for tree in all.iter().flat_map(|staged| &staged.trees) {
        tree.state.sync(tree.wrapper.path())?;
    }
    let files = all.iter().flat_map(|staged| staged.blobs.iter().chain(&staged.pointers));
    for Temporary { path, size, file, .. } in files {
        let sync = || match file {
            Some(file) => file.sync_data(),
            None => File::open(path)?.sync_data(),
        };
        sync().map_err(|error| StoreError::disk("syncing", path, *size, error))?;
    }
    Ok(())
}

fn place_pointers<'a>(store: &Store, pointers: impl Iterator<Item = &'a Temporary>) -> Result<(), StoreError> {
    let mut changed = Vec::new();
    // A sweep removes folders that are empty, and names.
    let leases = store.folder(lease::FOLDER);
    let _gate = lease::share(&leases).map_err(|error| StoreError::disk("locking", &leases, 0, error))?;
    for Temporary { path, place, .. } in pointers {
        if let Some(folder) = place.parent() {
            disk::make_folder(folder, &mut changed)?;
            changed.push(folder.to_owned());
        }
        fs::rename(path, place).map_err(|error| StoreError::disk("naming", place, 4096, error))?;
    }
    match changed.is_empty() {
        true => Ok(()),
        false => disk::sync_folders(&mut changed),
    }
}

/// Has the file exactly these bytes?
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let same_size = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64);
    same_size && disk::read_small(path, bytes.len() as u64).is_ok_and(|found| found.as_deref() == Some(bytes))
}

impl Temporary {
    pub(crate) fn new(store: &Store) -> Result<Self, StoreError> {
        let path = store.scratch_path()?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| StoreError::disk("writing", &path, 1, error))?;
        Ok(Self { path, place: PathBuf::new(), size: 0, file: Some(file) })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        match file.write_all(bytes) {
            Ok(()) => self.size += bytes.len() as u64,
            Err(error) => return Err(StoreError::disk("writing", &self.path, bytes.len() as u64, error)),
        }
        Ok(())
    }
}

/// A blob being written; hashes on the way. Dropped without `finish`, it leaves nothing.
pub struct BlobWriter<'batch> {
    batch: &'batch Batch<'batch>,
    temporary: Temporary,
    /// None where somebody else hashes.
    digester: Option<Digester>,
    pending: Vec<u8>,
    /// Bytes that the disk has begun to write.
    begun: u64,
    /// A write has failed: the blob cannot be finished.
    failed: bool,
}

impl BlobWriter<'_> {
    /// Adds the blob to the batch: digest and size in bytes.
    ///
    /// # Errors
    /// A disk that says no.
    pub fn finish(mut self) -> Result<(Digest, u64), StoreError> {
        self.write_pending()?;
        match self.digester.take() {
            Some(digester) => self.finish_as(digester.finish()),
            None => {
                let error = io::Error::other("nobody has hashed it");
                Err(StoreError::disk("writing", &self.temporary.path, 0, error))
            }
        }
    }

    /// The same by the digest of all that was written, which the caller has made of it on the way.
    ///
    /// # Errors
    /// As [`BlobWriter::finish`].
    pub fn finish_as(mut self, digest: Digest) -> Result<(Digest, u64), StoreError> {
        self.write_pending()?;
        let Self { batch, mut temporary, .. } = self;
        let size = temporary.size;
        temporary.place = batch.store.blob_path(&digest);
        batch.store.note([Noted::Blob(digest)])?;
        if !disk::same_bytes(&temporary.path, &temporary.place) {
            batch.stage_blob(temporary)?;
        }
        Ok((digest, size))
    }

    fn write_pending(&mut self) -> Result<(), StoreError> {
        let mut pending = std::mem::take(&mut self.pending);
        self.write_out(&pending)?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    fn write_out(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.failed {
            let error = io::Error::other("a write before this one failed");
            return Err(StoreError::disk("writing", &self.temporary.path, 0, error));
        }
        self.failed = true;
        self.temporary.append(bytes)?;
        if let Some(digester) = &mut self.digester {
            digester.update(bytes);
        }
        if let Some(file) = &self.temporary.file {
            // The sync at the end has less to wait for.
            self.begun = disk::write_back(file, self.begun, self.temporary.size);
        }
        self.failed = false;
        Ok(())
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.is_empty() && bytes.len() >= CHUNK {
            self.write_out(bytes).map_err(StoreError::into_io)?;
            return Ok(bytes.len());
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            self.write_pending().map_err(StoreError::into_io)?;
        }
        Ok(bytes.len())
    }

    /// Nothing: bytes reach the disk with `finish`.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
