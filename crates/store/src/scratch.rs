//! Where files lie while they are written: `tmp/<pid>-<n>/`, on the same file system as their places.
//!
//! A process holds `tmp/<pid>-<n>.lock` locked as long as it uses the folder, and the kernel lets go of the lock when
//! the process dies, however it dies. So whoever gets the lock of a folder that is not his own may remove it. The lock
//! is made before the folder and removed after it, thus there is no folder without a lock file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;

/// A folder for temporary files that nobody else touches.
pub(crate) struct Scratch {
    folder: PathBuf,
    lock_path: PathBuf,
    next: AtomicU64,
    _lock: File,
}

impl Scratch {
    /// Makes a folder below `tmp`.
    pub(crate) fn new(tmp: &Path) -> Result<Self, StoreError> {
        let process = std::process::id();
        for number in 0_u64.. {
            let lock_path = tmp.join(format!("{process}-{number}.lock"));
            let taken = take(&lock_path).map_err(|error| StoreError::disk("writing", &lock_path, 1, error))?;
            let Some(lock) = taken else { continue };
            let folder = lock_path.with_extension("");
            fs::create_dir(&folder).map_err(|error| StoreError::disk("making the folder", &folder, 4096, error))?;
            return Ok(Self { folder, lock_path, next: AtomicU64::new(0), _lock: lock });
        }
        Err(StoreError::damaged(tmp, "no name is free"))
    }

    /// A path that nobody has used.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.folder, &self.lock_path);
    }
}

/// An empty folder on the store's disk, for programs that need one. It is removed with this value; where the process
/// dies before that, by the next one that opens the store.
#[derive(Debug)]
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    pub(crate) fn new(path: PathBuf) -> Result<Self, StoreError> {
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(StoreError::disk("making the folder", &path, 4096, error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        drop(crate::trees::remove_tree(&self.0));
    }
}

/// Removes what dead processes left. What cannot be removed now is left to the next one.
pub(crate) fn clean(tmp: &Path) {
    let Ok(entries) = fs::read_dir(tmp) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "lock") {
            clean_one(&path);
        }
    }
}

fn clean_one(lock_path: &Path) {
    let Ok(lock) = crate::disk::open_regular(lock_path) else { return };
    if lock.try_lock().is_ok() && is_still(&lock, lock_path) {
        remove(&lock_path.with_extension(""), lock_path);
    }
}

fn remove(folder: &Path, lock_path: &Path) {
    match crate::trees::remove_tree(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {}
        _ => drop(fs::remove_file(lock_path)),
    }
}

/// A new lock file, locked; none where somebody has the name, or cleaned it away before it was locked.
pub(crate) fn take(path: &Path) -> io::Result<Option<File>> {
    let lock = match File::create_new(path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => Ok(is_still(&lock, path).then_some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Is the open file still the one of that name?
pub(crate) fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
