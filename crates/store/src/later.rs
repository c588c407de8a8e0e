//! Names that come a little later: a build of many steps does not wait for the disk after each.
//!
//! ```text
//! Batch::finish_later ─► waits: this store finds it already, in its temporary file ─► a thread: sync, names ─► an ordinary name
//!                                                      all that waits at once ─────────┘
//! ```
//!
//! The order is that of `batch.rs`: bytes are durable before they have a name, and what a pointer means before the pointer.
//! Until then no other process sees anything of it, and a crash leaves temporary files of a process that is gone. Nobody is told
//! of success before all have their names: [`Store::later`] returns only then.
//!
//! A disk takes about as long to make the bytes of twenty steps durable as those of one, so what is finished while the thread
//! syncs goes together the next time.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, Mode, OFlags};

use crate::batch::{self, Staged, StagedTree};
use crate::trees::ROOT;
use crate::{Store, StoreError};

/// Batches that wait, at most: each holds files open.
const MOST: usize = 16;

/// What waits for its name.
#[derive(Default)]
pub(crate) struct Later {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Threads that give names.
    threads: usize,
    /// Batches that one of them is at.
    busy: usize,
    queue: Vec<Staged>,
    /// By the place that they will have: the files that they are in now.
    files: HashMap<PathBuf, PathBuf>,
    trees: HashMap<PathBuf, Tree>,
    /// The disk has said no.
    is_broken: bool,
    /// What is removed at the end.
    kept: Vec<Staged>,
}

struct Tree {
    root: Arc<File>,
    /// By a command: its bytes are nowhere else.
    made_here: bool,
}

/// Stops the thread when the work is done, however it ends.
struct Closing<'a> {
    later: &'a Later,
    is_closed: &'a Mutex<bool>,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        *self.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        // Whoever looks at `is_closed` does it with this lock held.
        drop(self.later.lock());
        self.later.changed.notify_all();
    }
}

impl Later {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the file is that is to be at a place, if it waits for that.
    pub(crate) fn file(&self, place: &Path) -> Option<PathBuf> {
        self.lock().files.get(place).cloned()
    }

    /// The files of a tree that waits for its place.
    pub(crate) fn tree(&self, place: &Path) -> Option<Arc<File>> {
        self.lock().trees.get(place).map(|tree| tree.root.clone())
    }

    /// Waits until a tree has its place, if it waits for that and ever gets it.
    pub(crate) fn settle(&self, place: &Path) {
        let mut waiting = self.lock();
        while waiting.trees.contains_key(place) && waiting.threads > 0 && !waiting.is_broken {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One that waits for a place in a folder; `made_here`: by a command.
    pub(crate) fn tree_in(&self, folder: &Path, made_here: bool) -> Option<Arc<File>> {
        let waiting = self.lock();
        let mut there = waiting.trees.iter().filter(|(place, _)| place.parent() == Some(folder));
        there.find(|(_, tree)| tree.made_here || !made_here).map(|(_, tree)| tree.root.clone())
    }

    /// Names what waits, until `is_closed` and nothing does.
    fn work(&self, store: &Store, is_closed: &Mutex<bool>) -> Result<(), StoreError> {
        let mut first = Ok(());
        loop {
            let mut waiting = self.lock();
            while waiting.queue.is_empty() {
                let is_closed = *is_closed.lock().unwrap_or_else(PoisonError::into_inner);
                if is_closed && waiting.busy == 0 {
                    // In the same moment: nobody lets anything wait for a thread that has gone.
                    waiting.threads -= 1;
                    return first;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            let group = std::mem::take(&mut waiting.queue);
            waiting.busy += 1;
            let is_broken = waiting.is_broken;
            drop(waiting);
            self.changed.notify_all();
            // What was finished after something that has no name may rest on it.
            let named = if is_broken { Err(store.not_kept()) } else { batch::name_all(store, &group) };
            let mut waiting = self.lock();
            waiting.busy -= 1;
            if named.is_ok() {
                waiting.forget(&group);
            }
            // What could not be named is still found by those who are at work. And of a tree that another process has named
            // meanwhile, somebody may use ours.
            waiting.kept.extend(group.into_iter().filter_map(|staged| staged.kept(named.is_err())));
            waiting.is_broken |= named.is_err();
            drop(waiting);
            if let (Err(error), true) = (named, first.is_ok()) {
                first = Err(error);
            }
            self.changed.notify_all();
        }
    }
}

impl Waiting {
    fn add(&mut self, staged: Staged) -> io::Result<()> {
        let open = |tree: &StagedTree| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let root = rustix::fs::openat(CWD, tree.wrapper.path().join(ROOT), flags, Mode::empty())?;
            Ok((tree.place.clone(), Tree { root: Arc::new(File::from(root)), made_here: tree.state.made_here }))
        };
        let trees = staged.trees().map(open).collect::<io::Result<Vec<_>>>()?;
        self.trees.extend(trees);
        self.files.extend(staged.files().map(|(place, path)| (place.to_owned(), path.to_owned())));
        self.queue.push(staged);
        Ok(())
    }

    /// What has its name is found by that; where one came later for the same place, that one still waits.
    fn forget(&mut self, group: &[Staged]) {
        for (place, path) in group.iter().flat_map(Staged::files) {
            if self.files.get(place).is_some_and(|known| known == path) {
                self.files.remove(place);
            }
        }
        for tree in group.iter().flat_map(Staged::trees) {
            self.trees.remove(&tree.place);
        }
    }
}

impl Store {
    /// Does work whose results get their names while it goes on ([`Batch::finish_later`](crate::Batch::finish_later)). When this
    /// returns, all of them have their names.
    ///
    /// # Errors
    /// A disk that says no. Then not everything that was made was kept.
    pub fn later<T>(&self, work: impl FnOnce() -> T) -> Result<T, StoreError> {
        let is_closed = Mutex::new(false);
        self.later.lock().threads += 1;
        let (done, named) = std::thread::scope(|scope| {
            let closing = Closing { later: &self.later, is_closed: &is_closed };
            let thread = std::thread::Builder::new().name("names".into());
            let thread = thread.spawn_scoped(scope, || self.later.work(self, &is_closed));
            if thread.is_err() {
                // Without a thread each batch is named when it is finished.
                self.later.lock().threads -= 1;
            }
            let done = work();
            drop(closing);
            let named = thread.map(|thread| thread.join().unwrap_or_else(|_| Err(self.gone())));
            (done, named.unwrap_or(Ok(())))
        });
        let mut waiting = self.later.lock();
        let is_broken = waiting.is_broken || waiting.threads == 0 && !waiting.queue.is_empty();
        if waiting.threads == 0 {
            // Whatever is left could not be named.
            let Waiting { kept, .. } = std::mem::take(&mut *waiting);
            drop(waiting);
            drop(kept);
        } else {
            drop(waiting);
        }
        named?;
        if is_broken { Err(self.not_kept()) } else { Ok(done) }
    }

    /// The thread has ended before its time, at a batch.
    fn gone(&self) -> StoreError {
        let mut waiting = self.later.lock();
        waiting.threads -= 1;
        waiting.busy = waiting.busy.saturating_sub(1);
        waiting.is_broken = true;
        self.later.changed.notify_all();
        self.not_kept()
    }

    fn not_kept(&self) -> StoreError {
        let why = io::Error::other("what was made a moment ago could not be made durable");
        StoreError::disk("writing", self.root(), 0, why)
    }

    /// True where the batch will be named by a thread; else it is given back.
    pub(crate) fn wait_for_name(&self, staged: Staged) -> Result<Option<Staged>, StoreError> {
        let mut waiting = self.later.lock();
        while waiting.queue.len() >= MOST && waiting.threads > 0 && !waiting.is_broken {
            waiting = self.later.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.is_broken {
            return Err(self.not_kept());
        }
        if waiting.threads == 0 {
            return Ok(Some(staged));
        }
        if let Err(error) = waiting.add(staged) {
            waiting.is_broken = true;
            return Err(StoreError::disk("opening", self.root(), 0, error));
        }
        drop(waiting);
        self.later.changed.notify_all();
        Ok(None)
    }
}

/// Folders of trees, for overlayfs. Those that have no name yet are held open, and named by that.
#[derive(Debug, Clone, Default)]
pub struct Trees {
    folders: Vec<PathBuf>,
    open: Vec<Arc<File>>,
}

impl Trees {
    pub(crate) fn push(&mut self, folder: PathBuf) {
        self.folders.push(folder);
    }

    pub(crate) fn push_open(&mut self, folder: Arc<File>) {
        // The last component is the folder itself: who opens it need not follow a link at its end.
        let path = format!("/proc/{}/fd/{}/.", std::process::id(), folder.as_raw_fd());
        self.folders.push(path.into());
        self.open.push(folder);
    }

    pub(crate) fn reverse(&mut self) {
        self.folders.reverse();
    }
}

impl std::ops::Deref for Trees {
    type Target = [PathBuf];

    fn deref(&self) -> &[PathBuf] {
        &self.folders
    }
}
