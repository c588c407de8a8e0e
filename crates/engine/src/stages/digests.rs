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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    old: Table,
    /// Which of the old ones hold still.
    held: Vec<AtomicBool>,
    new: Mutex<New>,
    /// What is older than that may be trusted; nanoseconds since 1970.
    horizon: i64,
}

#[derive(Default)]
struct New {
    files: HashMap<Vec<u8>, Remembered>,
    /// Folders of which all files were looked at.
    walked: HashSet<LayerPath>,
}

impl Digests {
    /// Of a folder of this machine; `now` is when the build began.
    pub(super) fn load(store: &Store, folder: &Path, now: Duration) -> Self {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let key = Key(Digest::of(format!("corten context files 1\n{}", folder.display())));
        let old = store.record(&key).ok().flatten().and_then(Table::decode).unwrap_or_default();
        let horizon = i64::try_from(now.saturating_sub(RACY).as_nanos()).unwrap_or(i64::MAX);
        let held = std::iter::repeat_with(AtomicBool::default).take(old.starts.len()).collect();
        Self { key, old, held, new: Mutex::default(), horizon }
    }

    /// What a file was the last time, whether or not it has changed, and its number.
    pub(super) fn before(&self, path: &LayerPath) -> Option<(usize, Remembered)> {
        self.old.find(path.as_bytes())
    }

    /// All that was there last time below a folder, with their numbers.
    pub(super) fn all_before<'a>(&'a self, folder: &'a LayerPath) -> impl Iterator<Item = (usize, &'a [u8])> {
        self.old.paths().enumerate().filter(|(_, path)| is_below(path, folder))
    }

    /// How many files were there last time.
    pub(super) fn count_before(&self) -> usize {
        self.old.starts.len()
    }

    /// The file's digest, where it can be trusted still.
    pub(super) fn get(&self, path: &LayerPath, stamp: &Stamp) -> Option<Remembered> {
        let old = self.old.find(path.as_bytes()).filter(|(_, known)| known.is_trusted && known.stamp == *stamp);
        if let Some((at, known)) = old {
            self.held.get(at).into_iter().for_each(|held| held.store(true, Ordering::Relaxed));
            return Some(known);
        }
        self.lock().files.get(path.as_bytes()).filter(|known| known.stamp == *stamp).copied()
    }

    pub(super) fn put(&self, path: &LayerPath, stamp: Stamp, digest: Digest, mode: u32, is_plain: bool) {
        let is_trusted = stamp.mtime.max(stamp.ctime) < self.horizon;
        let mode = (mode & 0o7777) as u16;
        let known = Remembered { stamp, digest, mode, is_plain, is_trusted };
        self.lock().files.insert(path.as_bytes().to_vec(), known);
    }

    /// All files of a folder were looked at: what is not among them is gone.
    pub(super) fn walked(&self, folder: &LayerPath) {
        self.lock().walked.insert(folder.clone());
    }

    /// The record, where anything is new.
    pub(super) fn record(&self) -> Option<(Key, Vec<u8>)> {
        let new = self.lock();
        let is_gone = |path: &[u8]| new.walked.iter().any(|folder| is_below(path, folder));
        let stays = |at: usize, path: &[u8]| {
            self.held.get(at).is_some_and(|held| held.load(Ordering::Relaxed)) || !is_gone(path)
        };
        if new.files.is_empty() && self.old.paths().enumerate().all(|(at, path)| stays(at, path)) {
            return None;
        }
        let mut made: Vec<_> = new.files.iter().collect();
        made.sort_unstable_by_key(|(path, _)| *path);
        let mut made = made.into_iter().peekable();
        let mut bytes = Vec::with_capacity(self.old.bytes.len());
        for (at, old) in self.old.paths().enumerate() {
            let mut is_replaced = false;
            while let Some((path, known)) = made.next_if(|(path, _)| path.as_slice() <= old) {
                encode(&mut bytes, path, known);
                is_replaced = path == old;
            }
            if !is_replaced && stays(at, old) {
                bytes.extend_from_slice(self.old.whole(at).unwrap_or_default());
            }
        }
        made.for_each(|(path, known)| encode(&mut bytes, path, known));
        Some((self.key, bytes))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, New> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_below(path: &[u8], folder: &LayerPath) -> bool {
    folder.is_root() || path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// The record as it was read, and where its files begin: a hundred thousand of them cost no allocation.
#[derive(Default)]
struct Table {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// What was found last: files are asked for in their order, so the next one is near.
    last: AtomicUsize,
}

impl Table {
    /// None where it is cut off, or not in the order of its paths.
    fn decode(bytes: Vec<u8>) -> Option<Self> {
        let mut starts = Vec::with_capacity(bytes.len() / (FIXED + 30));
        let (mut rest, mut last): (&[u8], Option<&[u8]>) = (&bytes, None);
        while !rest.is_empty() {
            starts.push(bytes.len() - rest.len());
            let length = usize::from(u16::from_le_bytes(take(&mut rest)?));
            let (path, after) = rest.split_at_checked(length)?;
            rest = after.get(FIXED - 2..)?;
            if last.is_some_and(|last| last >= path) {
                return None;
            }
            last = Some(path);
        }
        Some(Self { bytes, starts, last: AtomicUsize::default() })
    }

    fn whole(&self, at: usize) -> Option<&[u8]> {
        let end = self.starts.get(at + 1).copied().unwrap_or(self.bytes.len());
        self.bytes.get(*self.starts.get(at)?..end)
    }

    fn paths(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.starts.len()).map(|at| self.path(at))
    }

    fn path(&self, at: usize) -> &[u8] {
        let whole = self.whole(at).unwrap_or_default();
        whole.get(2..whole.len().saturating_sub(FIXED - 2)).unwrap_or_default()
    }

    fn find(&self, path: &[u8]) -> Option<(usize, Remembered)> {
        let (mut low, mut high) = self.around(path);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.path(middle).cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    self.last.store(middle, Ordering::Relaxed);
                    return Some((middle, decode(self.whole(middle)?.get(2 + path.len()..)?)?));
                }
            }
        }
        None
    }

    /// A path is among these, if it is anywhere: from the last one on, in steps that double.
    fn around(&self, path: &[u8]) -> (usize, usize) {
        let (count, last) = (self.starts.len(), self.last.load(Ordering::Relaxed));
        let (mut low, mut high, mut step) = (last, last, 1);
        while high < count && self.path(high) < path {
            low = high;
            high = high.saturating_add(step).min(count);
            step *= 2;
        }
        while low > 0 && self.path(low) > path {
            high = low + 1;
            low = low.saturating_sub(step);
            step *= 2;
        }
        (low, high.saturating_add(1).min(count))
    }
}

fn encode(bytes: &mut Vec<u8>, path: &[u8], known: &Remembered) {
    let Ok(length) = u16::try_from(path.len()) else { return };
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

/// What follows the path.
fn decode(mut rest: &[u8]) -> Option<Remembered> {
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
    Some(Remembered { stamp, digest, mode, is_plain, is_trusted })
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
        assert_eq!(second.before(&path("young")).unwrap().1.digest, Digest::of("2"), "but it tells what changed");
        assert_eq!(second.get(&path("old"), &Stamp { inode: 8, ..old }), None);
        assert!(second.record().is_none(), "nothing is new");
        second.walked(&path("d"));
        second.put(&path("new"), old, Digest::of("4"), 0o644, true);
        second.put(&path("young"), young, Digest::of("5"), 0o644, true);
        second.put(&path("zero"), old, Digest::of("6"), 0o644, true);
        let (_, bytes) = second.record().unwrap();
        let left = Table::decode(bytes.clone()).unwrap();
        assert_eq!(
            left.paths().collect::<Vec<_>>(),
            ["new", "old", "young", "zero"].map(str::as_bytes),
            "what is gone from a folder that was walked is forgotten"
        );
        assert_eq!(left.find(b"young").unwrap().1.digest, Digest::of("5"));
        let middle = |path: &str| [path, "0"].concat();
        let paths = ["a", "new", "old", "young", "zero"];
        for (from, to) in paths.iter().flat_map(|from| paths.map(|to| (from, to))) {
            left.find(from.as_bytes());
            assert_eq!(
                left.find(to.as_bytes()).map(|(at, _)| at + 1),
                paths.iter().position(|path| *path == to).filter(|at| *at > 0)
            );
            assert_eq!(left.find(middle(to).as_bytes()), None);
        }
        for length in 0..bytes.len() {
            let cut = Table::decode(bytes[..length].to_vec());
            assert!(cut.is_none_or(|files| files.starts.len() < 4), "{length}");
        }
    }
}
