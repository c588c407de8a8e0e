//! Small files of a folder that nobody has hashed yet. What they cost is being opened, so that is done once and on several
//! threads: each is read, hashed and handed on in the order of the layer while the layer is written.
//!
//! Threads take batches of files; who writes waits for the next one, and reads it itself where nobody has begun with it. Memory
//! stays at [`AHEAD`] batches for each thread.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, LayerPath};

use super::context::Context;
use super::digests::Digests;
use super::files::{Origins, changed, is_small, lost, of_folder};
use super::paths::{Item, Items};
use super::view::Place;

/// Files that a thread takes at a time.
const BATCH: usize = 32;
/// Batches that may wait for who writes, for each thread.
const AHEAD: usize = 2;
/// More threads do not open files faster.
const MOST_THREADS: usize = 8;

/// One file, as it was read.
pub(super) struct Small<'a> {
    pub(super) content: &'a [u8],
    pub(super) digest: Digest,
    pub(super) xattrs: Xattrs,
}

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Files that were read together, one behind the other.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    files: Vec<(Range<usize>, Digest, Xattrs)>,
}

/// All of a layer, in its order.
pub(super) struct SmallFiles<'a> {
    all: Vec<(&'a LayerPath, &'a Item<'a>)>,
    context: Option<&'a Arc<Context>>,
    digests: Option<&'a Digests>,
    jobs: usize,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    /// Batches that somebody has begun with.
    taken: usize,
    /// Batches that were handed on.
    given: usize,
    ready: HashMap<usize, Result<Batch, Report>>,
    /// Batches that were written, to be filled again.
    used: Vec<Batch>,
    /// Nobody wants more.
    is_over: bool,
}

impl<'a> SmallFiles<'a> {
    pub(super) fn new(items: &'a Items<'a>, origins: &Origins<'a>) -> Self {
        let all = items.iter().filter(|(_, item)| is_small(item)).collect();
        let Origins { context, digests, jobs, .. } = *origins;
        Self { all, context, digests, jobs: jobs.clamp(1, MOST_THREADS), state: Mutex::default(), more: Condvar::new() }
    }

    /// The files are read ahead while `write` asks for them.
    pub(super) fn while_writing<T>(&self, write: impl FnOnce(&mut InOrder<'_>) -> T) -> T {
        thread::scope(|scope| {
            // Who writes reads the first batch, and all that no thread does.
            for _ in 0..self.jobs.min(self.batches().saturating_sub(1)) {
                drop(thread::Builder::new().name("small files".into()).spawn_scoped(scope, || self.work()));
            }
            let _over = Over(self);
            write(&mut InOrder { files: self, batch: Batch::default(), at: 0 })
        })
    }

    fn batches(&self) -> usize {
        self.all.len().div_ceil(BATCH)
    }

    fn work(&self) {
        let may_wait = AHEAD * self.jobs;
        loop {
            let mut state = self.lock();
            while !state.is_over && state.taken < self.batches() && state.taken >= state.given + may_wait {
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_over || state.taken >= self.batches() {
                return;
            }
            let number = state.taken;
            state.taken += 1;
            let used = state.used.pop().unwrap_or_default();
            drop(state);
            let died = |_| Err(Failure::bug("a thread that read files died").into());
            let batch = catch_unwind(AssertUnwindSafe(|| self.batch(number, used))).unwrap_or_else(died);
            self.lock().ready.insert(number, batch);
            self.more.notify_all();
        }
    }

    /// The next batch in order, for one that was written.
    fn next_batch(&self, used: Batch) -> Result<Batch, Report> {
        let mut state = self.lock();
        let number = state.given;
        state.given += 1;
        if state.taken == number {
            state.taken += 1;
            drop(state);
            return self.batch(number, used);
        }
        state.used.push(used);
        self.more.notify_all();
        loop {
            if let Some(batch) = state.ready.remove(&number) {
                return batch;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn batch(&self, number: usize, mut batch: Batch) -> Result<Batch, Report> {
        batch.bytes.clear();
        batch.files.clear();
        for (path, item) in self.all.chunks(BATCH).nth(number).unwrap_or_default() {
            self.read(path, item, &mut batch)?;
        }
        Ok(batch)
    }

    fn read(&self, path: &LayerPath, item: &Item<'_>, batch: &mut Batch) -> Result<(), Report> {
        let (Some(found), Some(context)) = (of_folder(item), self.context) else { return Err(lost(path).into()) };
        let (file, opened) = context.file(&found.path)?;
        // Another file than was looked at: another size, other permissions.
        if !matches!(found.place, Place::Context(stamp, _) if stamp == opened) {
            return Err(changed(path));
        }
        let failed = |error| Failure::world(format!("copying /{path}: {error}"));
        let range = append(&file, item.size, &mut batch.bytes).map_err(failed)?.ok_or_else(|| changed(path))?;
        let xattrs = context.attributes_of(&file, &found.path)?;
        let digest = Digest::of(batch.bytes.get(range.clone()).unwrap_or_default());
        if let Some(digests) = self.digests {
            digests.put(&found.path, opened, digest, found.mode, xattrs.is_empty());
        }
        batch.files.push((range, digest, xattrs));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the content of a file of so many bytes, and says where it is; none where it has more or fewer.
fn append(mut file: &File, size: u64, to: &mut Vec<u8>) -> io::Result<Option<Range<usize>>> {
    let Ok(size) = usize::try_from(size) else { return Ok(None) };
    let start = to.len();
    // With space for one more byte, the end is seen by the same read.
    to.resize(start + size + 1, 0);
    let mut filled = 0;
    while filled < size || filled == 0 {
        match file.read(to.get_mut(start + filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    to.truncate(start + size);
    Ok((filled == size).then_some(start..start + size))
}

/// Threads end with who writes, however that ends.
struct Over<'a, 'f>(&'a SmallFiles<'f>);

impl Drop for Over<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.more.notify_all();
    }
}

/// Gives the files one after the other.
pub(super) struct InOrder<'a> {
    files: &'a SmallFiles<'a>,
    batch: Batch,
    /// Which of the batch comes next.
    at: usize,
}

impl InOrder<'_> {
    /// The next file, which is that at `path`.
    pub(super) fn next(&mut self, path: &LayerPath) -> Result<Small<'_>, Report> {
        if self.at == self.batch.files.len() {
            self.batch = self.files.next_batch(std::mem::take(&mut self.batch))?;
            self.at = 0;
        }
        let (range, digest, xattrs) = self.batch.files.get_mut(self.at).ok_or_else(|| lost(path))?;
        self.at += 1;
        let content = self.batch.bytes.get(range.clone()).ok_or_else(|| lost(path))?;
        Ok(Small { content, digest: *digest, xattrs: std::mem::take(xattrs) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use corten_store::Store;

    use super::super::files::tests::{found, items, write};
    use super::*;

    fn context(folder: &Path) -> Arc<Context> {
        Arc::new(Context::open(folder, None).unwrap())
    }

    #[test]
    fn files_come_in_their_order_whoever_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let names: Vec<String> = (0..BATCH * 20 + 7).map(|number| format!("{number:04}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let size = |at: usize| if at == 5 { 0 } else { at * 37 };
        let all: Vec<Vec<u8>> =
            names.iter().enumerate().map(|(at, name)| write(folder.path(), name, at as u8, size(at))).collect();
        let has_xattrs =
            rustix::fs::setxattr(folder.path().join("0003"), "user.corten", b"here", rustix::fs::XattrFlags::empty())
                .is_ok();
        let context = context(folder.path());
        let found = found(&context, &names);
        let items = items(&found);
        for jobs in [0, 1, 3, 100] {
            let digests = Digests::load(&store, folder.path(), Duration::from_secs(1 << 40));
            let origins = Origins { context: Some(&context), digests: Some(&digests), old: None, jobs };
            SmallFiles::new(&items, &origins).while_writing(|files| {
                for (at, path) in items.keys().enumerate() {
                    let small = files.next(path).unwrap();
                    assert!(small.content == all[at], "{path} with {jobs} threads");
                    assert_eq!(small.digest, Digest::of(&all[at]));
                    let Place::Context(stamp, _) = found[at].place else { panic!() };
                    let known = digests.get(path, &stamp).unwrap();
                    assert_eq!(known.digest, small.digest);
                    assert_eq!(known.is_plain, small.xattrs.is_empty());
                    assert_eq!(small.xattrs.len(), usize::from(at == 3 && has_xattrs));
                }
                assert!(files.next(&LayerPath::root()).is_err(), "there are no more");
            });
        }
    }

    #[test]
    fn a_file_that_is_another_one_than_was_looked_at_is_told_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..BATCH * 4 {
            write(folder.path(), &format!("{number:04}"), 1, 100);
        }
        let names: Vec<String> = (0..BATCH * 4).map(|number| format!("{number:04}")).collect();
        let context = context(folder.path());
        let found = found(&context, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let items = items(&found);
        let broken = BATCH * 2 + 5;
        let path = folder.path().join(&names[broken]);
        let read = || {
            let origins = Origins { context: Some(&context), jobs: 2, ..Origins::default() };
            SmallFiles::new(&items, &origins).while_writing(|files| {
                // Who writes stops at the first error; the threads do, too.
                items.keys().try_for_each(|path| files.next(path).map(drop)).unwrap_err().error().to_string()
            })
        };
        for size in [99, 101] {
            std::fs::write(&path, vec![2; size]).unwrap();
            assert_eq!(read(), format!("copying /{}: it was changed while it was read", names[broken]));
        }
        std::fs::remove_file(&path).unwrap();
        let why = read();
        assert!(why.starts_with("reading ") && why.contains(&names[broken]), "{why}");
    }

    #[test]
    fn a_file_has_the_bytes_that_it_had_or_none() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, 4096, 70_000] {
            let bytes = write(folder.path(), "file", 9, size);
            let read = |size: usize| {
                let (file, mut to) = (File::open(folder.path().join("file")).unwrap(), vec![7; 3]);
                let range = append(&file, size as u64, &mut to).unwrap()?;
                assert_eq!(to.len(), range.end);
                Some(to[range].to_vec())
            };
            assert_eq!(read(size), Some(bytes));
            assert_eq!(read(size + 1), None);
            assert_eq!(read(size.saturating_sub(1)).is_none(), size > 0);
        }
    }
}
