//! The files of a folder as one stream, in the order of a layer. A thread reads and hashes them ahead of who writes the tar, so
//! that a large file is read once, and the disk writes the first while the last are hashed.

use std::collections::btree_map;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, Digester, LayerPath};
use corten_store::read_in_order;

use super::context::{Context, Stamp};
use super::digests::Digests;
use super::old::Old;
use super::paths::{Content, Item, Items};
use super::view::{Found, Place};

/// Bytes of a file from which on reading and hashing it takes longer than opening it.
pub(super) const LARGE: u64 = 64 << 10;

/// Where files of a folder are read from.
#[derive(Default)]
pub(super) struct Origins<'a> {
    /// The folder.
    pub(super) context: Option<&'a Arc<Context>>,
    /// What its files hash to: those that nobody has hashed yet are added.
    pub(super) digests: Option<&'a Digests>,
    /// What the step made the last time.
    pub(super) old: Option<Old>,
    /// Threads that may read.
    pub(super) jobs: usize,
}

/// What the thread that reads has to say, beside the bytes.
#[derive(Default)]
pub(super) struct Tidings {
    digests: Mutex<Vec<Digest>>,
    failure: Mutex<Option<Report>>,
}

impl Tidings {
    /// Of the files that had no digest, in their order.
    pub(super) fn digests(&self) -> Vec<Digest> {
        std::mem::take(&mut *self.digests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the stream broke off.
    pub(super) fn failure(&self) -> Option<Report> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, report: impl Into<Report>) -> io::Error {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(report.into());
        io::Error::other("a file cannot be read")
    }
}

/// The file of a folder whose content an entry has.
pub(super) fn of_folder<'a>(item: &Item<'a>) -> Option<&'a Found> {
    match item.content {
        Content::Found(found) if matches!(found.place, Place::Context(..)) => Some(found),
        _ => None,
    }
}

/// Is it one of those that are read by several threads (see `small`)?
pub(super) fn is_small(item: &Item<'_>) -> bool {
    item.digest.is_none() && item.size < LARGE && of_folder(item).is_some()
}

/// The content of all entries that have it from a folder, those aside that [`is_small`] tells.
pub(super) struct Files<'a> {
    items: btree_map::Iter<'a, LayerPath, Item<'a>>,
    origins: Origins<'a>,
    tidings: &'a Tidings,
    now: Now<'a>,
}

enum Now<'a> {
    Nothing,
    /// What is left of these bytes of the old layer.
    Old(Range<usize>),
    File(Open<'a>),
}

/// A file that is read.
struct Open<'a> {
    file: File,
    path: &'a LayerPath,
    found: &'a Found,
    left: u64,
    /// Where nobody has said its digest; is it without attributes?
    digester: Option<(Digester, bool)>,
}

impl<'a> Files<'a> {
    pub(super) fn new(items: &'a Items<'a>, origins: Origins<'a>, tidings: &'a Tidings) -> Self {
        Self { items: items.iter(), origins, tidings, now: Now::Nothing }
    }

    /// The next file; none after the last.
    fn next(&mut self) -> Result<Option<Now<'a>>, Report> {
        let all = self.items.by_ref();
        let streamed = |item: &Item<'a>| of_folder(item).filter(|_| !is_small(item));
        let Some((path, item, found)) = all.find_map(|(path, item)| Some((path, item, streamed(item)?))) else {
            return Ok(None);
        };
        if let Some(range) = self.origins.old.as_mut().and_then(|old| old.content(item)) {
            return Ok(Some(Now::Old(range)));
        }
        let context = self.origins.context;
        let context = context.ok_or_else(|| lost(path))?;
        let (file, _) = context.file(&found.path)?;
        read_in_order(&file, item.size);
        let digester = item.digest.is_none().then(|| (Digester::new(), item.attributes.xattrs.is_empty()));
        Ok(Some(Now::File(Open { file, path, found, left: item.size, digester })))
    }
}

impl Read for Files<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = match &mut self.now {
                Now::Nothing => 0,
                Now::Old(left) => {
                    let old = self.origins.old.as_ref();
                    let got = old.map_or(&[][..], |old| old.bytes(left.clone())).read(buffer)?;
                    left.start += got;
                    got
                }
                Now::File(open) => open.read(buffer).map_err(|report| self.tidings.fail(report))?,
            };
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            if let Now::File(open) = std::mem::replace(&mut self.now, Now::Nothing) {
                open.end(self.origins.digests, self.tidings).map_err(|report| self.tidings.fail(report))?;
            }
            match self.next().map_err(|report| self.tidings.fail(report))? {
                Some(next) => self.now = next,
                None => return Ok(0),
            }
        }
    }
}

impl Open<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Report> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let space = buffer.get_mut(..want).unwrap_or_default();
        if space.is_empty() {
            return Ok(0);
        }
        let got = loop {
            match self.file.read(space) {
                Ok(0) => return Err(changed(self.path)),
                Ok(got) => break got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::world(format!("copying /{}: {error}", self.path)).into()),
            }
        };
        if let (Some((digester, _)), Some(bytes)) = (&mut self.digester, space.get(..got)) {
            digester.update(bytes);
        }
        self.left -= got as u64;
        Ok(got)
    }

    /// A file that is another one than when it was looked at would lie under the key of the old one.
    fn end(self, digests: Option<&Digests>, tidings: &Tidings) -> Result<(), Report> {
        let stamp = match self.found.place {
            Place::Context(stamp, _) if Stamp::of_file(&self.file).is_ok_and(|now| now == stamp) => stamp,
            _ => return Err(changed(self.path)),
        };
        if let Some((digester, is_plain)) = self.digester {
            let digest = digester.finish();
            if let Some(digests) = digests {
                digests.put(&self.found.path, stamp, digest, self.found.mode, is_plain);
            }
            tidings.digests.lock().unwrap_or_else(PoisonError::into_inner).push(digest);
        }
        Ok(())
    }
}

pub(super) fn lost(path: &LayerPath) -> Failure {
    Failure::bug(format!("nobody knows where the content of {path} is"))
}

pub(super) fn changed(path: &LayerPath) -> Report {
    Failure::world(format!("copying /{path}: it was changed while it was read")).hint("build again").into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::time::Duration;

    use corten_store::{Store, read_ahead};

    use super::super::paths::{Change, Target};
    use super::super::view::{Empty, View};
    use super::*;

    /// Entries for files of a folder.
    pub(crate) fn items(all: &[Found]) -> Items<'_> {
        let mut target = Target::new(&Empty, Change { owner: None, mode: None });
        for found in all {
            let item = Item {
                kind: found.kind.clone(),
                mode: found.mode,
                uid: 0,
                gid: 0,
                size: found.size,
                attributes: Default::default(),
                content: Content::Found(found),
                digest: None,
                file: None,
            };
            target.place(&found.path, item).unwrap();
        }
        target.finish()
    }

    pub(crate) fn found(context: &Context, names: &[&str]) -> Vec<Found> {
        let look = |name: &&str| context.look(&LayerPath::new(*name).unwrap()).unwrap().unwrap();
        names.iter().map(look).collect()
    }

    /// All bytes, or why there are not.
    fn read(items: &Items<'_>, origins: Origins<'_>) -> Result<(Vec<u8>, Vec<Digest>), String> {
        let (tidings, mut bytes) = (Tidings::default(), Vec::new());
        let read = read_ahead(Files::new(items, origins, &tidings), |files| files.read_to_end(&mut bytes));
        match (read, tidings.failure()) {
            (Ok(_), None) => Ok((bytes, tidings.digests())),
            (Err(_), Some(report)) => Err(report.error().to_string()),
            (read, _) => panic!("{read:?}"),
        }
    }

    pub(crate) fn write(folder: &Path, name: &str, byte: u8, size: usize) -> Vec<u8> {
        let bytes: Vec<u8> = (0..size).map(|at| byte.wrapping_add((at % 251) as u8)).collect();
        std::fs::write(folder.join(name), &bytes).unwrap();
        bytes
    }

    #[test]
    fn files_are_one_stream_and_hashed_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let files = [("a", 70_000), ("b", 0), ("c", 3 << 18), ("d", 1), ("e", 600_000)];
        let all: Vec<Vec<u8>> = files.iter().map(|(name, size)| write(folder.path(), name, 7, *size)).collect();
        let context = Arc::new(Context::open(folder.path(), None).unwrap());
        let digests = Digests::load(&store, folder.path(), Duration::from_secs(1 << 40));
        let found = found(&context, &files.map(|(name, _)| name));
        let mut items = items(&found);
        // Somebody knows this one's already. What is small and unknown is not in the stream.
        items.values_mut().nth(3).unwrap().digest = Some(Digest::of(&all[3]));
        let origins = Origins { context: Some(&context), digests: Some(&digests), ..Origins::default() };
        let (bytes, hashed) = read(&items, origins).unwrap();
        assert!(bytes == [0, 2, 3, 4].map(|at: usize| all[at].as_slice()).concat());
        let expected: Vec<Digest> = [0, 2, 4].map(|at: usize| Digest::of(&all[at])).to_vec();
        assert_eq!(hashed, expected);
        let Place::Context(stamp, _) = of_folder(items.values().nth(4).unwrap()).unwrap().place else { panic!() };
        assert_eq!(digests.get(&LayerPath::new("e").unwrap(), &stamp).unwrap().digest, Digest::of(&all[4]));
        assert_eq!(digests.get(&LayerPath::new("d").unwrap(), &stamp), None);
    }

    #[test]
    fn a_file_that_is_another_one_than_was_looked_at_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let context = Arc::new(Context::open(folder.path(), None).unwrap());
        let origins = || Origins { context: Some(&context), ..Origins::default() };
        for (name, size) in [("longer", 1_000_000), ("same", 600_000), ("shorter", 10)] {
            // The one before it fits into the same buffer: it is not the one that is blamed.
            let before = write(folder.path(), "before", 1, 100);
            write(folder.path(), name, 1, 600_000);
            let found = found(&context, &["before", name]);
            let mut items = items(&found);
            items.values_mut().next().unwrap().digest = Some(Digest::of(before));
            write(folder.path(), name, 2, size);
            // Whatever the clock's ticks are.
            let file = File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            let why = format!("copying /{name}: it was changed while it was read");
            assert_eq!(read(&items, origins()).unwrap_err(), why);
            std::fs::remove_file(folder.path().join(name)).unwrap();
            let why = read(&items, origins()).unwrap_err();
            assert!(why.starts_with("reading ") && why.contains(name), "{why}");
        }
    }
}
