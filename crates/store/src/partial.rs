//! Downloads that survive a crash.
//!
//! `downloads/<hex>.partial` is written by one process at a time, the one that holds its lock. Whoever waits for the
//! lock while another finishes the same download gets a new, empty file, and finds the blob in the store.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;

use corten_oci::Digest;

use crate::disk::Renamed;
use crate::{Store, StoreError, disk, scratch};

/// A download under way: the bytes so far, in a file that survives a crash and that one process at a time writes.
///
/// Dropped without [`Store::keep`], the file stays, to be gone on with.
pub struct Partial {
    /// Open for reading (from its start) and for appending.
    pub file: File,
    /// Bytes in it already.
    pub length: u64,
    path: PathBuf,
    /// Bytes that are on their way to the disk, or there.
    begun: u64,
}

impl Partial {
    /// Where the bytes lie.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Says that so many bytes are in the file now: the disk begins to write them, and [`Store::keep`] has less to wait for.
    /// A wish, whose errors are the sync's.
    pub fn write_back(&mut self, length: u64) {
        self.begun = disk::write_back(&self.file, self.begun, length);
    }
}

/// Removes downloads of blobs that are there: leftovers of a process that died while it waited for another one.
pub(crate) fn clean(store: &Store) {
    let folder = store.folder("downloads");
    for name in crate::names::names_in(&folder).unwrap_or_default() {
        let digest = name.strip_suffix(".partial").and_then(|hex| crate::names::digest_of_name(hex.as_ref()));
        let Some(digest) = digest else { continue };
        let path = folder.join(&name);
        if !store.size_now(&digest).is_ok_and(|size| size.is_some()) {
            continue;
        }
        let Ok(file) = disk::open_regular(&path) else { continue };
        // Who holds the lock is about to find the blob by himself.
        if file.try_lock().is_ok() && scratch::is_still(&file, &path) {
            drop(std::fs::remove_file(&path));
        }
    }
}

impl Store {
    /// A download to begin or go on with (`downloads/<hex>.partial`), locked against other threads and processes.
    ///
    /// Waits while somebody else downloads the same. The caller owes: ask [`Store::size`] again afterwards, and where
    /// the blob is there now, drop or [discard](Self::discard) the partial.
    pub fn partial(&self, digest: &Digest) -> Result<Partial, StoreError> {
        self.note([crate::lease::Noted::Blob(*digest)])?;
        let path = self.partial_path(digest);
        let open = || OpenOptions::new().read(true).append(true).create(true).open(&path);
        loop {
            let file = open().map_err(|error| StoreError::disk("writing", &path, 1, error))?;
            file.lock().map_err(|error| StoreError::disk("locking", &path, 0, error))?;
            if !scratch::is_still(&file, &path) {
                continue;
            }
            let found = file.metadata().map_err(|error| StoreError::disk("looking at", &path, 0, error))?;
            return Ok(Partial { file, length: found.len(), path, begun: 0 });
        }
    }

    /// A download that is complete: its hash must be `digest` (the caller has hashed it), it becomes a blob, durably.
    pub fn keep(&self, partial: Partial, digest: &Digest) -> Result<(), StoreError> {
        let Partial { file, path, .. } = partial;
        let size = file.metadata().map_or(0, |found| found.len());
        disk::set_mode(&file, 0o444)
            .and_then(|()| file.sync_data())
            .map_err(|error| StoreError::disk("syncing", &path, size, error))?;
        self.place(&path, &self.blob_path(digest))?;
        disk::sync_folders(&mut vec![self.blobs_folder()])
    }

    /// Throws away a download whose bytes turned out wrong, or that nobody needs any more.
    pub fn discard(&self, partial: Partial) -> Result<(), StoreError> {
        std::fs::remove_file(&partial.path).map_err(|error| StoreError::disk("removing", &partial.path, 0, error))
    }

    /// Gives a durable file its name below `blobs/`. A blob of that name with the same bytes stays; one with others is
    /// torn or has rotted, and is replaced.
    pub(crate) fn place(&self, from: &std::path::Path, to: &std::path::Path) -> Result<(), StoreError> {
        let naming = |error| StoreError::disk("naming", to, 4096, error);
        if disk::rename_without_replace(from, to).map_err(naming)? == Renamed::New {
            return Ok(());
        }
        match disk::same_bytes(from, to) {
            true => drop(std::fs::remove_file(from)),
            false => std::fs::rename(from, to).map_err(naming)?,
        }
        Ok(())
    }
}
