//! Folders that commands of builds keep from one build to the next (`RUN --mount=type=cache`).
//!
//! ```text
//! cache-mounts/<digest of what it is>/about     for people: its id, owner and mode
//!                                     <n>/      its files
//!                                     <n>.lock  held while they are used; its time is that of the last use
//! ```
//!
//! Who uses the files holds the lock, together with others or alone; who makes them or prunes them holds it alone. The lock is
//! removed with the files, so whoever gets it looks whether it is still the one of that name, as in `scratch.rs`.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use corten_oci::Digest;

use crate::scratch::is_still;
use crate::{Store, StoreError, usage};

pub(crate) const FOLDER: &str = "cache-mounts";
/// Caches of one kind at the same time, for [`CacheUse::Alone`].
const MOST: usize = 1000;

/// With whom the files are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheUse {
    /// With nobody: where somebody is at them, there are others.
    Alone,
    /// With everybody.
    Together,
    /// With nobody: others wait.
    InTurn,
}

/// A cache that is used. It is let go with this value.
#[derive(Debug)]
pub struct CacheMount {
    folder: PathBuf,
    number: usize,
    lock: File,
}

impl Store {
    /// Takes a cache, made by `make` if it is new: that gets a path at which nothing is. `about` says for people what it is.
    /// None where somebody else is at it: then the caller tries again in a while.
    ///
    /// # Errors
    /// A disk that says no; those of `make`.
    pub fn cache_mount<E: From<StoreError>>(
        &self,
        key: &Digest,
        how: CacheUse,
        about: &str,
        make: &mut dyn FnMut(&Path) -> Result<(), E>,
    ) -> Result<Option<CacheMount>, E> {
        let folder = self.folder(FOLDER).join(key.hex());
        let failed = |error| StoreError::disk("preparing the cache in", &folder, 4096, error);
        let numbers = if how == CacheUse::Alone { 0..MOST } else { 0..1 };
        for number in numbers {
            let Some(lock) = self.lock(&folder, number, how).map_err(failed)? else { continue };
            let cache = CacheMount { folder: folder.clone(), number, lock };
            if !cache.files().exists() {
                fs::write(folder.join("about"), about).map_err(failed)?;
                cache.begin(make, &failed)?;
            }
            if how == CacheUse::Together && !cache.share().map_err(failed)? {
                return Ok(None);
            }
            return Ok(Some(cache));
        }
        Ok(None)
    }

    /// The lock, as it is to be held while the files are made, if they are not there.
    fn lock(&self, folder: &Path, number: usize, how: CacheUse) -> io::Result<Option<File>> {
        let path = folder.join(format!("{number}.lock"));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = File::options().create(true).truncate(false).write(true).open(&path)?;
        let is_made = folder.join(number.to_string()).exists();
        let taken = if how == CacheUse::Together && is_made { lock.try_lock_shared() } else { lock.try_lock() };
        match taken {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // It was pruned in this moment.
        if !is_still(&lock, &path) || is_made && !folder.join(number.to_string()).exists() {
            return Ok(None);
        }
        usage::mark_path(self, &path);
        Ok(Some(lock))
    }
}

impl CacheMount {
    /// The folder of its files.
    pub fn files(&self) -> PathBuf {
        self.folder.join(self.number.to_string())
    }

    /// Makes the files under another name first, so that they are there whole or not.
    fn begin<E: From<StoreError>>(
        &self,
        make: &mut dyn FnMut(&Path) -> Result<(), E>,
        failed: &dyn Fn(io::Error) -> StoreError,
    ) -> Result<(), E> {
        let new = self.files().with_extension("new");
        match crate::trees::remove_tree(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error).into()),
            _ => {}
        }
        make(&new)?;
        Ok(fs::rename(&new, self.files()).map_err(failed)?)
    }

    /// Lets others in. False where somebody who waited for it alone was faster.
    fn share(&self) -> io::Result<bool> {
        match self.lock.try_lock_shared() {
            // To be shared, the lock was let go for a moment: it may have been pruned in that.
            Ok(()) => Ok(self.files().exists() && is_still(&self.lock, &self.files().with_extension("lock"))),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// The locks of all caches, with the folders of their files.
pub(crate) fn all(store: &Store) -> Result<Vec<(PathBuf, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for name in crate::names::names_in(&store.folder(FOLDER))? {
        let folder = store.folder(FOLDER).join(name);
        for file in crate::names::names_in(&folder)? {
            let Some(number) = file.strip_suffix(".lock").filter(|number| number.parse::<usize>().is_ok()) else {
                continue;
            };
            found.push((folder.join(&file), folder.join(number)));
        }
    }
    Ok(found)
}
