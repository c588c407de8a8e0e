//! The version of the store's folders and files, so that no program spoils what it does not understand.
//!
//! `format` holds `corten-store <version>`, written like a record (see `pointer.rs`), so that a torn file is seen to be
//! one. Without it, and where it is torn, a store is of version 1: the first ones had none. What a version is:
//!
//! | version | what is new |
//! |---|---|
//! | 1 | all that `store.rs` says; older ones lack `leases/` and `format`, which are made when the store is opened |

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use corten_oci::Digest;

use crate::scratch::Scratch;
use crate::{StoreError, disk, pointer};

/// What this program reads and writes.
const VERSION: u32 = 1;
pub(crate) const FILE: &str = "format";
const WORD: &str = "corten-store ";

/// Is it a version that this program knows?
pub(crate) fn check(root: &Path) -> Result<(), StoreError> {
    match read(root)? {
        Some(found) if found > VERSION => Err(StoreError::Newer { path: root.to_owned(), found, known: VERSION }),
        _ => Ok(()),
    }
}

/// The version that is written there; none where none is, or a torn one.
fn read(root: &Path) -> Result<Option<u32>, StoreError> {
    let path = root.join(FILE);
    match disk::read_small(&path, pointer::LARGEST) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| decode(&bytes))),
        // Something else lies there: as torn as can be.
        Err(_) if !path.symlink_metadata().is_ok_and(|found| found.is_file()) => Ok(None),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn decode(bytes: &[u8]) -> Option<u32> {
    let value = pointer::decode_record(&key(), bytes)?;
    std::str::from_utf8(&value).ok()?.strip_prefix(WORD)?.trim_end().parse().ok()
}

fn key() -> Digest {
    Digest::of(FILE)
}

fn encode(version: u32) -> Vec<u8> {
    pointer::encode_record(&key(), format!("{WORD}{version}\n").as_bytes())
}

/// Is the file torn? Told by `verify`, written anew by `repair`.
pub(crate) fn is_torn(root: &Path) -> bool {
    match disk::read_small(&root.join(FILE), pointer::LARGEST) {
        Ok(None) => false,
        Ok(Some(bytes)) => decode(&bytes).is_none(),
        Err(_) => true,
    }
}

/// Writes the version where none is: the folder that has a new entry then.
pub(crate) fn write(root: &Path) -> Result<Option<PathBuf>, StoreError> {
    match root.join(FILE).exists() {
        true => Ok(None),
        false => write_anew(root).map(Some),
    }
}

pub(crate) fn write_anew(root: &Path) -> Result<PathBuf, StoreError> {
    let bytes = encode(VERSION);
    // Whoever is killed leaves nothing that the next one does not remove.
    let scratch = Scratch::new(&root.join("tmp"))?;
    let new = scratch.path();
    let write = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&new, root.join(FILE))
    };
    write().map_err(|error| StoreError::disk("writing", &root.join(FILE), bytes.len() as u64, error))?;
    Ok(root.to_owned())
}
