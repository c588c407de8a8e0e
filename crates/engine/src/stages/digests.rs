//! What the files of a context hashed to, so that a folder in which nothing changed costs looks alone.
//!
//! A digest holds while inode, size and both times of its file are the same. A file that changed in the moments before it
//! was hashed may change again within the same tick of the file system's clock: its digest is remembered to say later
//! what changed, and never trusted (git's "racy" rule). All is one record of the store; it may be lost.
//!
//! ```text
//! per file, by path: path length:u16 path  flags:u8 mode:u16 inode:u64 mtime:i64 ctime:i64 size:u64  sha256:[32]
//! ```

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use corten_oci::{Digest, LayerPath};
use corten_store::{Key, Store};

use super::context::Stamp;

/// Files younger than that when the build began are hashed again by the next one.
const RACY: Duration = Duration::from_secs(2);

const PLAIN: u8 = 1;
const TRUSTED: u8 = 2;
/// Bytes of one file, less its path.
const FIXED: usize = 2 + 1 + 2 + 4 * 8 + 32;

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) stamp: Stamp,
    pub(super) digest: Digest,
    pub(super) mode: u16,
    /// It has no extended attributes.
    pub(super) is_plain: bool,
    is_trusted: bool,
}

/// Digests of one context.
pub(super) struct Digests {
    key: Key,
    old: HashMap<Vec<u8>, Remembered>,
    new: Mutex<New>,
    /// What is older than that may be trusted; nanoseconds since 1970.
    horizon: i64,
}

#[derive(Default)]
struct New {
    files: HashMap<Vec<u8>, Remembered>,
    /// Folders of which all files were looked at.
    walked: HashSet<LayerPath>,
    is_changed: bool,
}

impl Digests {
    /// Of a folder of this machine; `now` is when the build began.
    pub(super) fn load(store: &Store, folder: &Path, now: Duration) -> Self {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let key = Key(Digest::of(format!("corten context files 1\n{}", folder.display())));
        let old = store.record(&key).ok().flatten().and_then(|bytes| decode(&bytes)).unwrap_or_default();
        let horizon = i64::try_from(now.saturating_sub(RACY).as_nanos()).unwrap_or(i64::MAX);
        Self { key, old, new: Mutex::default(), horizon }
    }

    /// What a file was the last time, whether or not it has changed.
    pub(super) fn before(&self, path: &LayerPath) -> Option<&Remembered> {
        self.old.get(path.as_bytes())
    }

    /// All that was there last time below a folder.
    pub(super) fn all_before<'a>(&'a self, folder: &'a LayerPath) -> impl Iterator<Item = &'a [u8]> {
        let is_below = |path: &&[u8]| {
            folder.is_root() || path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        self.old.keys().map(Vec::as_slice).filter(is_below)
    }

    /// The file's digest, where it can be trusted still.
    pub(super) fn get(&self, path: &LayerPath, stamp: &Stamp) -> Option<Remembered> {
        let same = |known: &&Remembered| known.is_trusted && known.stamp == *stamp;
        if let Some(known) = self.lock().files.get(path.as_bytes()).filter(|known| known.stamp == *stamp) {
            return Some(*known);
        }
        let known = *self.old.get(path.as_bytes()).filter(same)?;
        self.lock().files.insert(path.as_bytes().to_vec(), known);
        Some(known)
    }

    pub(super) fn put(&self, path: &LayerPath, stamp: Stamp, digest: Digest, mode: u32, is_plain: bool) {
        let is_trusted = stamp.mtime.max(stamp.ctime) < self.horizon;
        let mode = (mode & 0o7777) as u16;
        let mut new = self.lock();
        new.is_changed = true;
        new.files.insert(path.as_bytes().to_vec(), Remembered { stamp, digest, mode, is_plain, is_trusted });
    }

    /// All files of a folder were looked at: what is not among them is gone.
    pub(super) fn walked(&self, folder: &LayerPath) {
        self.lock().walked.insert(folder.clone());
    }

    /// The record, where anything is new.
    pub(super) fn record(&self) -> Option<(Key, Vec<u8>)> {
        let new = self.lock();
        let is_gone = |path: &[u8]| {
            new.walked.iter().any(|folder| {
                folder.is_root() || path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
            })
        };
        let kept: Vec<_> =
            self.old.iter().filter(|(path, _)| !new.files.contains_key(*path) && !is_gone(path)).collect();
        let is_same = !new.is_changed && kept.len() + new.files.len() == self.old.len();
        if is_same {
            return None;
        }
        let mut all: Vec<(&Vec<u8>, &Remembered)> = kept.into_iter().chain(&new.files).collect();
        all.sort_unstable_by_key(|(path, _)| *path);
        Some((self.key, encode(&all)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, New> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(all: &[(&Vec<u8>, &Remembered)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(all.len() * (FIXED + 40));
    for (path, known) in all {
        let Ok(length) = u16::try_from(path.len()) else { continue };
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(path);
        bytes.push(if known.is_plain { PLAIN } else { 0 } | if known.is_trusted { TRUSTED } else { 0 });
        bytes.extend_from_slice(&known.mode.to_le_bytes());
        bytes.extend_from_slice(&known.stamp.inode.to_le_bytes());
        bytes.extend_from_slice(&known.stamp.mtime.to_le_bytes());
        bytes.extend_from_slice(&known.stamp.ctime.to_le_bytes());
        bytes.extend_from_slice(&known.stamp.size.to_le_bytes());
        bytes.extend_from_slice(known.digest.as_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<HashMap<Vec<u8>, Remembered>> {
    let mut all = HashMap::with_capacity(bytes.len() / (FIXED + 30));
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let (path, after) = rest.split_at_checked(length)?;
        rest = after;
        let [flags] = take(&mut rest)?;
        let mode = u16::from_le_bytes(take(&mut rest)?);
        let stamp = Stamp {
            inode: u64::from_le_bytes(take(&mut rest)?),
            mtime: i64::from_le_bytes(take(&mut rest)?),
            ctime: i64::from_le_bytes(take(&mut rest)?),
            size: u64::from_le_bytes(take(&mut rest)?),
        };
        let digest = Digest::from(take::<32>(&mut rest)?);
        let (is_plain, is_trusted) = (flags & PLAIN != 0, flags & TRUSTED != 0);
        all.insert(path.to_vec(), Remembered { stamp, digest, mode, is_plain, is_trusted });
    }
    Some(all)
}

fn take<const COUNT: usize>(rest: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (head, tail) = rest.split_first_chunk::<COUNT>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(mtime: i64) -> Stamp {
        Stamp { inode: 7, mtime, ctime: mtime, size: 3 }
    }

    #[test]
    fn a_file_that_changed_just_now_is_not_trusted_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let now = Duration::from_secs(100);
        let path = |name: &str| LayerPath::new(name).unwrap();
        let first = Digests::load(&store, folder.path(), now);
        let (old, young) = (stamp(97_000_000_000), stamp(98_500_000_000));
        first.put(&path("old"), old, Digest::of("1"), 0o644, true);
        first.put(&path("young"), young, Digest::of("2"), 0o644, true);
        first.put(&path("d/gone"), old, Digest::of("3"), 0o644, true);
        let (key, bytes) = first.record().unwrap();
        let batch = store.batch();
        batch.record(&key, &bytes).unwrap();
        batch.finish().unwrap();

        let second = Digests::load(&store, folder.path(), now);
        assert_eq!(second.get(&path("old"), &old).unwrap().digest, Digest::of("1"));
        assert_eq!(second.get(&path("young"), &young), None, "it may have changed again in the same tick");
        assert_eq!(second.before(&path("young")).unwrap().digest, Digest::of("2"), "but it tells what changed");
        assert_eq!(second.get(&path("old"), &Stamp { inode: 8, ..old }), None);
        assert!(second.record().is_none(), "nothing is new");
        second.walked(&path("d"));
        let (_, bytes) = second.record().unwrap();
        let left = decode(&bytes).unwrap();
        assert_eq!(left.len(), 2, "what is gone from a folder that was walked is forgotten");
        for length in 0..bytes.len() {
            let cut = decode(&bytes[..length]);
            assert!(cut.is_none_or(|files| files.len() < 2), "{length}");
        }
    }
}
