//! Layers that leave while others are made: who takes them, and the order of work that lets them leave early.
//!
//! Without anybody who takes them, a wave's inputs are fetched together and its layers become durable together, which is
//! the least work. With somebody, each layer is fetched, made and made durable for itself; while some are made, others are
//! fetched.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use corten_diagnostic::{Failure, Report};
use corten_oci::Descriptor;
use corten_plan::StepId;

use crate::bytecode::Workshop;
use crate::make::fetch_inputs;
use crate::solve::{Done, LocalEngine, Made, Missing, means};

/// Who fetches at a time: they wait for the network, not for processors.
const FETCHING: usize = 6;
/// Connections of each.
const CONNECTIONS: usize = 2;

/// A place that layers go to.
pub trait Publish: Sync {
    /// Is it there already? Asked of a layer whose digest, size and diff id are known, and whose bytes are here no more: if
    /// it is there, it is not made again.
    fn has(&self, blob: &Descriptor) -> Result<bool, Report>;

    /// A layer of the image is there to be read. Told of a layer more than once, too. May wait; an error ends the build.
    fn finished(&self, blob: &Descriptor) -> Result<(), Report>;
}

/// So many may work at once.
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let _slot = Slot(self);
        work()
    }
}

/// Given back also where the work dies.
struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl LocalEngine<'_> {
    /// Each layer for itself: fetched, made, durable, gone.
    pub(crate) fn one_by_one(
        &self,
        missing: &[Missing<'_>],
        done: &Done,
        workshop: Option<&Workshop>,
        publish: &dyn Publish,
    ) -> Result<Vec<(StepId, Made)>, Report> {
        let jobs = self.capabilities.jobs.max(1);
        let slots = Slots { free: Mutex::new(jobs), freed: Condvar::new() };
        let threads = NonZeroUsize::new(jobs / missing.len().clamp(1, jobs)).unwrap_or(NonZeroUsize::MIN);
        let one = |one: &Missing<'_>| -> Result<Made, Report> {
            fetch_inputs([&one.step.op].into_iter(), &self.capabilities, CONNECTIONS)?;
            let made = slots.with(|| {
                let batch = self.capabilities.store.batch();
                let made = self.make(one, &means(one, done, workshop, threads), &batch)?;
                batch.finish()?;
                Ok::<_, Report>(made)
            })?;
            if one.is_of_image && !made.is_empty {
                publish.finished(&made.blob)?;
            }
            Ok(made)
        };
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(missing_one) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = one(missing_one).map(|made| (missing_one.id, made));
                if result.is_err() {
                    next.store(missing.len(), Ordering::Relaxed);
                }
                results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..missing.len().min(jobs.max(FETCHING)) {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().map_err(|_| Failure::bug("a thread that made a layer died"))?;
        results.into_iter().collect()
    }
}
