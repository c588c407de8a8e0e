//! All stages at once, each in a thread of its own: it waits where it needs another one, and works when it gets a turn.
//!
//! A step that several stages have is made once. When one fails, the others stop where they are; what was made until then stays.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_oci::{DiffId, Digest};
use corten_plan::GivenLayer;
use corten_plan::recipe::{Base, BaseName, Pinned, PinnedImage};
use corten_store::{Key, Store};

use super::config;
use super::content::Layers;
use super::context::Context;
use super::digests::Digests;
use super::key;
use super::means::{Finished, LocalLayer, Means, StepId, StepResult};
use super::saved::Saved;
use super::stage;
use super::wreck::Wreck;

/// Bytes.
const STACK: usize = 8 << 20;
/// How often somebody is asked who tells nobody.
const MOMENT: Duration = Duration::from_millis(50);

/// Builds the last stage of a recipe, and those that it needs.
///
/// # Errors
/// Input where a step cannot be done: a file that is not there, a command that fails. World where the disk, the network or the
/// kernel says no.
pub fn solve(pinned: &Pinned, means: &Means<'_>) -> Result<Finished, Report> {
    let solver = Solver::new(pinned, means);
    // What is made gets its name beside the work, and all of it before anybody hears of success.
    let mut failure = None;
    let saved = means.store.later(|| {
        solver.all();
        let saved = solver.save();
        // Here: what was made twice is gone with the last name, and a wreck may stand on it.
        failure = solver.show_failure();
        saved
    });
    if let Some(report) = failure {
        return Err(report);
    }
    saved??;
    solver.finish()
}

/// What a stage came to, up to some step.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) layers: Vec<LocalLayer>,
    /// What decides the next step, with its operation and content.
    pub(super) chain: Digest,
    /// The last step of it, or below it, that was made now.
    pub(super) made: Option<String>,
}

impl State {
    pub(super) fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }
}

pub(super) struct Solver<'a> {
    pub(super) pinned: &'a Pinned,
    pub(super) means: &'a Means<'a>,
    pub(super) layers: Layers<'a>,
    shared: Mutex<Shared>,
    changed: Condvar,
    stopped: AtomicBool,
    /// What files hashed to, by folder.
    folders: Mutex<HashMap<PathBuf, Arc<OnceLock<Arc<Digests>>>>>,
}

#[derive(Default)]
struct Shared {
    stages: HashMap<usize, State>,
    /// With the stage that it belongs to.
    failure: Option<(Report, usize)>,
    /// Keys of steps that are being made.
    busy: HashMap<Digest, bool>,
    /// Steps that work.
    working: usize,
    results: Vec<StepResult>,
    running: HashMap<StepId, corten_sandbox::Remote>,
    wrecks: Vec<Wreck>,
}

impl<'a> Solver<'a> {
    fn new(pinned: &'a Pinned, means: &'a Means<'a>) -> Self {
        let layers = Layers::new(means.store, means.bring);
        for layer in pinned.images.values().flat_map(|image| &image.layers) {
            if is_blob(layer, means.store) {
                layers.add_blob(layer.diff_id, &layer.blob);
            }
        }
        Self {
            pinned,
            means,
            layers,
            shared: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            folders: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds all stages.
    fn all(&self) {
        std::thread::scope(|scope| {
            for number in 0..self.pinned.recipe.stages.len() {
                let work = move || self.stage(number);
                // Folders within folders are walked by calls within calls; what is not used of a stack costs nothing.
                let named = std::thread::Builder::new().name(format!("stage {number}")).stack_size(STACK);
                if named.spawn_scoped(scope, work).is_err() {
                    self.fail(Failure::world(format!("no thread can be started for stage {number}")).into(), number);
                }
            }
        });
    }

    fn stage(&self, number: usize) {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.steps(number)));
        match done.unwrap_or_else(|_| Err(Failure::bug(format!("the thread of stage {number} died")).into())) {
            Ok(state) => {
                self.lock().stages.insert(number, state);
                self.changed.notify_all();
            }
            Err(report) => self.fail(report, number),
        }
    }

    /// The first failure is the build's; what others say then follows from it.
    fn fail(&self, report: Report, stage: usize) {
        let mut shared = self.lock();
        shared.failure.get_or_insert((report, stage));
        // Only then, so that nobody who stops because of it comes first.
        self.stopped.store(true, Ordering::SeqCst);
        shared.running.values().for_each(corten_sandbox::Remote::kill);
        drop(shared);
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn steps(&self, number: usize) -> Result<State, Report> {
        let stage = self
            .pinned
            .recipe
            .stages
            .get(number)
            .ok_or_else(|| Failure::bug(format!("the recipe has no stage {number}")))?;
        let mut state = self.base(&stage.base)?;
        for (step, action) in stage.steps.iter().enumerate() {
            if self.is_stopped() {
                return Err(stopped());
            }
            state = stage::step(self, stage, StepId { stage: number, step }, action, state)?;
        }
        Ok(state)
    }

    fn base(&self, base: &Base) -> Result<State, Report> {
        match base {
            Base::Scratch => Ok(State { layers: Vec::new(), chain: key::of_base(&[]), made: None }),
            Base::Image(name) => Ok(self.image(name)?),
            Base::Stage(stage) => self.wait(*stage),
        }
    }

    fn pinned_image(&self, name: &BaseName) -> Result<&'a PinnedImage, Failure> {
        self.pinned
            .images
            .get(name)
            .ok_or_else(|| Failure::bug(format!("the image {} was not found before it was built with", name.image)))
    }

    /// An image's layers.
    pub(super) fn image(&self, name: &BaseName) -> Result<State, Failure> {
        let image = self.pinned_image(name)?;
        let layers: Vec<LocalLayer> = image
            .layers
            .iter()
            .map(|layer| LocalLayer {
                diff_id: layer.diff_id,
                tar_size: layer.tar_size,
                blob: Some(layer.blob.clone()).filter(|_| is_blob(layer, self.means.store)),
            })
            .collect();
        let chain = key::of_base(&layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
        Ok(State { layers, chain, made: None })
    }

    /// Another stage, when it is done.
    pub(super) fn wait(&self, stage: usize) -> Result<State, Report> {
        let mut shared = self.lock();
        loop {
            if let Some(state) = shared.stages.get(&stage) {
                return Ok(state.clone());
            }
            if self.is_stopped() {
                return Err(stopped());
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What the files of a folder hashed to the last time.
    pub(super) fn digests(&self, folder: &Context) -> Arc<Digests> {
        let slot = self
            .folders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(folder.path().to_owned())
            .or_default()
            .clone();
        slot.get_or_init(|| Arc::new(Digests::load(self.means.store, folder.path(), self.means.now))).clone()
    }

    /// The result of a step with this key: `find` looks for it where nobody makes it now, `make` makes it, one at a time for each key.
    pub(super) fn once(
        &self,
        key: &Key,
        find: impl FnOnce() -> Result<Option<Saved>, Report>,
        make: impl FnOnce() -> Result<Saved, Report>,
    ) -> Result<(Saved, bool), Report> {
        let mut shared = self.lock();
        let mut is_fresh = false;
        while shared.busy.get(&key.0).copied().unwrap_or_default() {
            is_fresh = true;
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
            if self.is_stopped() {
                return Err(stopped());
            }
        }
        shared.busy.insert(key.0, true);
        drop(shared);
        let result = (|| {
            // Made by another stage a moment ago: good even where nothing remembered is.
            let found = if is_fresh { Saved::find(self.means.store, key)? } else { find()? };
            match found {
                Some(saved) => Ok((saved, true)),
                None => self.working(make).map(|saved| (saved, false)),
            }
        })();
        self.lock().busy.remove(&key.0);
        self.changed.notify_all();
        result
    }

    /// Waits until another step has ended, or a moment.
    ///
    /// # Errors
    /// Another step has failed meanwhile.
    pub(super) fn pause(&self) -> Result<(), Report> {
        let shared = self.lock();
        if !self.is_stopped() {
            drop(self.changed.wait_timeout(shared, MOMENT).unwrap_or_else(PoisonError::into_inner));
        }
        if self.is_stopped() { Err(stopped()) } else { Ok(()) }
    }

    /// Does something when it is its turn.
    pub(super) fn working<T>(&self, work: impl FnOnce() -> Result<T, Report>) -> Result<T, Report> {
        let mut shared = self.lock();
        while shared.working >= self.means.jobs.max(1) && !self.is_stopped() {
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        if self.is_stopped() {
            return Err(stopped());
        }
        shared.working += 1;
        drop(shared);
        let result = work();
        self.lock().working -= 1;
        self.changed.notify_all();
        result
    }

    /// A command runs: it is ended when another step fails.
    pub(super) fn running(&self, step: StepId, remote: &corten_sandbox::Remote) {
        self.lock().running.insert(step, remote.clone());
        if self.is_stopped() {
            remote.kill();
        }
    }

    pub(super) fn ended(&self, step: StepId) {
        self.lock().running.remove(&step);
    }

    /// The failure, after somebody has looked at what it left.
    fn show_failure(&self) -> Option<Report> {
        let (report, stage) = self.lock().failure.take()?;
        let wrecks = std::mem::take(&mut self.lock().wrecks);
        if let Some(wreck) = wrecks.into_iter().find(|wreck| wreck.step.stage == stage) {
            wreck.show(self, &report);
        }
        Some(report)
    }

    /// Keeps what a failing command left, if somebody wants to look at it.
    pub(super) fn keep_wreck(&self, wreck: Wreck) {
        if self.means.runner.wants_wrecks() && !self.is_stopped() {
            self.lock().wrecks.push(wreck);
        }
    }

    pub(super) fn tell(&self, result: StepResult) {
        self.means.progress.finished(result.id, Ok(&result));
        self.lock().results.push(result);
    }

    /// Writes down what files hashed to.
    fn save(&self) -> Result<(), Report> {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let records: Vec<_> =
            folders.values().filter_map(|slot| slot.get()).filter_map(|digests| digests.record()).collect();
        if records.is_empty() {
            return Ok(());
        }
        let batch = self.means.store.batch();
        for (key, bytes) in records {
            batch.record(&key, &bytes)?;
        }
        Ok(batch.finish_later()?)
    }

    fn finish(&self) -> Result<Finished, Report> {
        let recipe = &self.pinned.recipe;
        let last = recipe.stages.len().checked_sub(1).ok_or_else(|| Failure::bug("a recipe without a stage"))?;
        let state = self.lock().stages.get(&last).cloned().ok_or_else(|| Failure::bug("the last stage is not done"))?;
        let stage = recipe.stages.get(last).ok_or_else(|| Failure::bug("a recipe without a stage"))?;
        let below = self.inherited(last)?;
        let config = config::finish(stage, &state.layers, below, recipe.epoch, self.means.now)?;
        let mut steps = std::mem::take(&mut self.lock().results);
        steps.sort_by_key(|step| step.id);
        Ok(Finished { config, layers: state.layers, steps })
    }

    /// How many entries of a stage's history came with the image that it stands on.
    fn inherited(&self, stage: usize) -> Result<usize, Failure> {
        match self.pinned.recipe.stages.get(stage).map(|stage| &stage.base) {
            Some(Base::Stage(below)) => self.inherited(*below),
            Some(Base::Image(name)) => Ok(self.pinned_image(name)?.config.history.len()),
            _ => Ok(0),
        }
    }
}

/// Said by a stage that another one's failure has stopped: nobody is told.
fn stopped() -> Report {
    Failure::world("another step failed").into()
}

/// Is there such a blob, here or at a registry? A layer that was made here may have none yet: it is known by its diff id alone.
fn is_blob(layer: &GivenLayer, store: &Store) -> bool {
    layer.blob.digest != layer.diff_id.0
        || matches!(store.size(&layer.blob.digest), Ok(Some(size)) if size == layer.blob.size)
        || store.origins(&layer.blob.digest).is_ok_and(|all| !all.is_empty())
}
