//! Publishing while building: a layer goes up as soon as it is made, beside those that are still being made. Names and
//! manifests come later, after the verdict, by [`crate::registry::push`]: until then nobody can find what went up.
//!
//! ```text
//! engine ─ a layer is durable ─► queue (bounded: who makes too fast, waits) ─► threads ─► HEAD, mount, or its bytes
//!    ▲──────────────────────────────── the first refusal ends the build ◄────────┘
//! ```
//!
//! Where the build fails, or its verdict is no, nobody waits for what is still going up: it is broken off.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use corten_diagnostic::{Failure, Report};
use corten_engine::Publish;
use corten_oci::{Blobs, Descriptor, Digest, Repository};
use corten_registry::{PushOptions, Pushed, Remote, push_blob};

use crate::blobs::Everywhere;
use crate::places;
use crate::registry::{self, RegistryOptions};
use crate::world::World;

/// Layers that wait for a thread.
const QUEUE: usize = 16;
/// How many go up at a time.
const UPLOADS: usize = 4;

struct Uploads<'w> {
    remote: Remote<'w>,
    everywhere: Everywhere<'w>,
    queue: Mutex<Option<SyncSender<Descriptor>>>,
    known: Mutex<BTreeSet<Digest>>,
    failed: Mutex<Option<Report>>,
    pushed: Mutex<Pushed>,
    gone_up: Mutex<Vec<Descriptor>>,
    stop: AtomicBool,
}

/// Lets `build` work with a place for its finished layers; gives what it gave, and what went up, once all of that is
/// there. Of what is not `wanted`, nothing more goes up.
///
/// # Errors
/// Those of `build`, and the first refusal of the registry.
pub fn while_building<T>(
    to: &Repository,
    options: &RegistryOptions,
    world: &World<'_>,
    build: impl FnOnce(&dyn Publish) -> Result<T, Report>,
    wanted: impl FnOnce(&T) -> bool,
) -> Result<(T, Pushed), Report> {
    let (sender, receiver) = sync_channel(QUEUE);
    let receiver = Mutex::new(receiver);
    let uploads = Uploads {
        remote: registry::registry(world, options).remote(to)?,
        everywhere: Everywhere { world, options },
        queue: Mutex::new(Some(sender)),
        known: Mutex::default(),
        failed: Mutex::default(),
        pushed: Mutex::default(),
        gone_up: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    let built = std::thread::scope(|scope| {
        for _ in 0..UPLOADS {
            scope.spawn(|| uploads.work(&receiver));
        }
        // The threads wait for the queue to end, also where the build dies.
        let built = catch_unwind(AssertUnwindSafe(|| build(&uploads)))
            .unwrap_or_else(|_| Err(Failure::bug("the build died").into()));
        uploads.stop.store(!built.as_ref().is_ok_and(wanted), Ordering::Relaxed);
        // The threads end once the queue is empty.
        lock(&uploads.queue).take();
        built
    });
    // Also of a build that failed: the next one need not ask.
    let remembered = places::remember(to, lock(&uploads.gone_up).iter(), world);
    let built = built?;
    remembered?;
    if let Some(failed) = lock(&uploads.failed).take().filter(|_| !uploads.stop.load(Ordering::Relaxed)) {
        return Err(failed);
    }
    let pushed = *lock(&uploads.pushed);
    Ok((built, pushed))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uploads<'_> {
    /// Goes on taking after a failure, so that nobody waits for room in the queue.
    fn work(&self, receiver: &Mutex<Receiver<Descriptor>>) {
        loop {
            let next = lock(receiver).recv();
            let Ok(blob) = next else { return };
            if self.stop.load(Ordering::Relaxed) || lock(&self.failed).is_some() {
                continue;
            }
            match self.bring(&blob) {
                Ok(sent) => {
                    *lock(&self.pushed) += sent;
                    lock(&self.gone_up).push(blob);
                }
                Err(report) => drop(lock(&self.failed).get_or_insert(report)),
            }
        }
    }

    fn bring(&self, blob: &Descriptor) -> Result<Pushed, Report> {
        let world = self.everywhere.world;
        let neighbours = places::known(&self.remote.repository, std::slice::from_ref(blob), world)?;
        let options = PushOptions { neighbours, ..PushOptions::default() };
        Ok(push_blob(&self.remote, blob, self, &options, world.events)?)
    }
}

/// The bytes, for as long as they are wanted.
impl Blobs for Uploads<'_> {
    fn open(&self, descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Wanted { inner: self.everywhere.open(descriptor)?, stop: &self.stop }))
    }

    fn open_unchecked(&self, descriptor: &Descriptor, from: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Wanted { inner: self.everywhere.open_unchecked(descriptor, from)?, stop: &self.stop }))
    }

    fn has(&self, digest: &Digest) -> io::Result<bool> {
        self.everywhere.has(digest)
    }
}

struct Wanted<'a> {
    inner: Box<dyn Read + 'a>,
    stop: &'a AtomicBool,
}

impl Read for Wanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::Error::other("it is no longer wanted")),
            false => self.inner.read(buffer),
        }
    }
}

impl Publish for Uploads<'_> {
    /// At the repository itself, or at another one of the same registry, from which it is mounted.
    fn has(&self, blob: &Descriptor) -> Result<bool, Report> {
        if self.remote.has_blob(blob)? {
            places::remember(&self.remote.repository, [blob], self.everywhere.world)?;
            return Ok(true);
        }
        let blobs = std::slice::from_ref(blob);
        let known: BTreeMap<_, _> = places::known(&self.remote.repository, blobs, self.everywhere.world)?;
        for place in known.values().flatten() {
            let neighbour = registry::registry(self.everywhere.world, self.everywhere.options).remote(place)?;
            // Who may not look there makes the layer.
            if neighbour.has_blob(blob).unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finished(&self, blob: &Descriptor) -> Result<(), Report> {
        if let Some(failed) = lock(&self.failed).take() {
            // Taken away here, it no longer stops the threads by itself.
            self.stop.store(true, Ordering::Relaxed);
            return Err(failed);
        }
        if !lock(&self.known).insert(blob.digest) {
            return Ok(());
        }
        let queue = lock(&self.queue).clone();
        match queue.map(|queue| queue.send(blob.clone()).is_ok()) {
            Some(false) => Err(Failure::bug("the threads that send layers died").into()),
            Some(true) | None => Ok(()),
        }
    }
}
