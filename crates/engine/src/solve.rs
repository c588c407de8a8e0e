//! Solving: wave by wave, what is remembered is reused, the rest is made side by side, and each wave becomes durable
//! in one batch.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_diagnostic::{Event, Failure, Report, TaskId, Unit};
use corten_install::libraries::{self, Watcher};
use corten_install::python::Conflict;
use corten_layer::write::Compression;
use corten_oci::{Descriptor, DiffId, Layer, SetId};
use corten_plan::{Built, BuiltLayer, Bytecode, Engine, GivenLayer, Installed, Op, Plan, Sources, Step, StepId};
use corten_store::{Batch, Key, Store};
use serde::{Deserialize, Serialize};

use crate::bytecode::{self, Workshop};
use crate::convert::{self, Encoding};
use crate::make::{Capabilities, Means, fetch_inputs, make_layer};
use crate::{image, key};

/// Connections at a time, at least: more than processors, they wait for the network.
const CONNECTIONS: usize = 6;

/// The engine of this machine.
pub struct LocalEngine<'a> {
    pub(crate) capabilities: Capabilities<'a>,
}

/// What the store remembers of a layer, under its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub blob: Descriptor,
    pub diff_id: DiffId,
    pub tar_size: u64,
    pub installed: Vec<Installed>,
    pub set_id: Vec<SetId>,
    /// Of wheels that share the layer.
    pub conflicts: Vec<Conflict>,
    /// Bytecode of nothing: no layer of an image.
    pub is_empty: bool,
    #[serde(skip)]
    pub reused: bool,
}

pub(crate) type Done = BTreeMap<StepId, Made>;

/// A layer that has to be made.
pub(crate) struct Missing<'p> {
    pub id: StepId,
    pub step: &'p Step,
    /// Is it a layer of the image, not only what others are made with?
    pub is_of_image: bool,
    key: Key,
    compression: Compression,
    hidden: Vec<Conflict>,
}

impl<'a> LocalEngine<'a> {
    /// An engine with these capabilities.
    pub fn new(capabilities: Capabilities<'a>) -> Self {
        Self { capabilities }
    }

    fn wave(&self, plan: &Plan, wave: &[StepId], of_image: &[StepId], done: &mut Done) -> Result<(), Report> {
        let mut missing = Vec::new();
        let mut hidden = Hidden::default();
        for &id in wave {
            let step = step(plan, id)?;
            let is_of_image = of_image.contains(&id);
            if let Op::Given(layer) = &step.op {
                let made = self.given(layer)?;
                self.is_there(&made, is_of_image)?;
                done.insert(id, made);
                continue;
            }
            let hidden = hidden.of(plan, step, done, self.capabilities.store)?;
            let compression = convert::compression(plan, &step.op);
            let key = self.key(step, compression, &hidden, done)?;
            match self.remembered(step, &key)? {
                Some(made) => {
                    self.is_there(&made, is_of_image)?;
                    done.insert(id, made);
                }
                None => missing.push(Missing { id, step, is_of_image, key, compression, hidden }),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(publish) = self.capabilities.publish {
            let workshop = self.workshop(plan, &missing, done)?;
            done.extend(self.one_by_one(&missing, done, workshop.as_ref(), publish)?);
            return Ok(());
        }
        let connections = self.capabilities.jobs.max(CONNECTIONS);
        fetch_inputs(missing.iter().map(|missing| &missing.step.op), &self.capabilities, connections)?;
        let workshop = self.workshop(plan, &missing, done)?;
        let batch = self.capabilities.store.batch();
        let made = self.side_by_side(&missing, done, workshop.as_ref(), &batch)?;
        // Before all that is written has to reach the disk.
        drop(workshop);
        batch.finish()?;
        done.extend(made);
        Ok(())
    }

    /// What bytecode is made with, where some is to be made.
    fn workshop(&self, plan: &Plan, missing: &[Missing<'_>], done: &Done) -> Result<Option<Workshop>, Report> {
        let compiled = missing.iter().find_map(|missing| match &missing.step.op {
            Op::Bytecode(bytecode) => Some((missing.step, bytecode)),
            _ => None,
        });
        let Some((step, bytecode)) = compiled else { return Ok(None) };
        let base = step.inputs.iter().filter(|input| plan.steps.get(input.0).is_some_and(is_base));
        let base: Vec<&Made> = base.filter_map(|input| done.get(input)).collect();
        let layers: Vec<Descriptor> = base.iter().map(|made| made.blob.clone()).collect();
        (self.capabilities.bring)(&layers, "compiling with the base's interpreter")?;
        Workshop::new(&base, &bytecode.program, self.capabilities.store).map(Some)
    }

    fn key(&self, step: &Step, compression: Compression, hidden: &[Conflict], done: &Done) -> Result<Key, Report> {
        let below: Vec<DiffId> =
            step.inputs.iter().filter_map(|input| done.get(input)).map(|made| made.diff_id).collect();
        let key = key::of(&step.op, compression, &below, hidden);
        key.ok_or_else(|| Failure::bug(format!("step '{}' makes no layer", step.name)).into())
    }

    /// A layer that was taken into the store with its image. Its bytes may be at a registry.
    fn given(&self, layer: &GivenLayer) -> Result<Made, Report> {
        if !self.capabilities.store.has_layer_index(&layer.diff_id) {
            let failure = Failure::world(format!("layer {} of the base is no longer in the store", layer.blob.digest));
            return Err(failure.hint("build again: it is taken from where the base is").into());
        }
        Ok(Made {
            blob: layer.blob.clone(),
            diff_id: layer.diff_id,
            tar_size: layer.tar_size,
            installed: layer.installed.clone(),
            set_id: layer.set_id.clone(),
            conflicts: Vec::new(),
            is_empty: false,
            reused: true,
        })
    }

    /// A layer that nobody had to make goes, too.
    fn is_there(&self, made: &Made, is_of_image: bool) -> Result<(), Report> {
        match self.capabilities.publish {
            Some(publish) if is_of_image && !made.is_empty => publish.finished(&made.blob),
            _ => Ok(()),
        }
    }

    /// A remembered layer counts only while its index is there, and its blob, here or where it would go.
    fn remembered(&self, step: &Step, key: &Key) -> Result<Option<Made>, Report> {
        let store = self.capabilities.store;
        let miss = |why: &str| {
            self.capabilities.events.detail("cache", &format!("{}: made, {why}", step.name));
            Ok(None)
        };
        if !self.capabilities.reuse {
            return miss("as --no-cache asks");
        }
        let Some(record) = store.record(key)? else { return miss("the store has not made it of these inputs before") };
        let Ok(made) = serde_json::from_slice::<Made>(&record) else {
            return miss("what the store remembers of it is of another version");
        };
        if !store.has_layer_index(&made.diff_id) {
            return miss("it was made before, and what lies in it is no longer known");
        }
        let there = match (store.size(&made.blob.digest)?, self.capabilities.publish) {
            (Some(size), _) => size == made.blob.size,
            (None, Some(publish)) => publish.has(&made.blob)?,
            (None, None) => false,
        };
        if !there {
            return miss("it was made before, and is no longer in the store");
        }
        self.capabilities.events.detail("cache", &format!("{}: in the store, {}", step.name, made.blob.digest));
        Ok(Some(Made { reused: true, ..made }))
    }

    fn side_by_side(
        &self,
        missing: &[Missing<'_>],
        done: &Done,
        workshop: Option<&Workshop>,
        batch: &Batch<'_>,
    ) -> Result<Vec<(StepId, Made)>, Report> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let at_once = self.capabilities.jobs.min(missing.len()).max(1);
        // Layers that are made at once share the threads.
        let threads = NonZeroUsize::new(self.capabilities.jobs / at_once).unwrap_or(NonZeroUsize::MIN);
        let work = || {
            while let Some(one) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let means = means(one, done, workshop, threads);
                let result = self.make(one, &means, batch).map(|made| (one.id, made));
                if result.is_err() {
                    next.store(missing.len(), Ordering::Relaxed);
                }
                if let Ok(mut results) = results.lock() {
                    results.push(result);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..at_once {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().map_err(|_| Failure::bug("a thread that made a layer died"))?;
        results.into_iter().collect()
    }

    pub(crate) fn make(&self, missing: &Missing<'_>, means: &Means<'_>, batch: &Batch<'_>) -> Result<Made, Report> {
        let step = missing.step;
        let task = TaskId::fresh();
        let events = self.capabilities.events;
        events.emit(Event::Started { task, what: &format!("layer {}", step.name), unit: Unit::Things, total: None });
        let made = make_layer(&step.op, means, &self.capabilities, batch);
        events.emit(Event::Finished { task });
        let (made, index) = made?;
        batch.layer_index(&made.diff_id, &index)?;
        let programs = serde_json::to_vec(&means.encoding.watcher.finish())
            .map_err(|error| Failure::bug(format!("remembering programs: {error}")))?;
        batch.record(&libraries::key(&made.diff_id), &programs)?;
        let record =
            serde_json::to_vec(&made).map_err(|error| Failure::bug(format!("remembering a layer: {error}")))?;
        batch.record(&missing.key, &record)?;
        Ok(made)
    }
}

impl LocalEngine<'_> {
    /// Makes layers without an image, in their order; those that would be empty are left out.
    ///
    /// # Errors
    /// As [`Engine::solve`].
    pub fn layers(&self, plan: &Plan, wanted: &[StepId]) -> Result<Vec<BuiltLayer>, Report> {
        let mut done = Done::new();
        for wave in waves(plan, wanted)? {
            self.wave(plan, &wave, wanted, &mut done)?;
        }
        let layers = wanted.iter().map(|&id| built(plan, id, &done));
        Ok(layers.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?)
    }
}

impl Engine for LocalEngine<'_> {
    fn solve(&self, plan: &Plan, target: StepId) -> Result<Built, Report> {
        let image_step = step(plan, target)?;
        let Op::Image(spec) = &image_step.op else {
            return Err(Failure::bug(format!("step '{}' makes no image", image_step.name)).into());
        };
        let layers = self.layers(plan, &image_step.inputs)?;
        let batch = self.capabilities.store.batch();
        let image = image::assemble(spec, layers.iter().map(|built| built.layer.clone()).collect(), &batch)?;
        batch.finish()?;
        Ok(Built { image, layers })
    }
}

fn step(plan: &Plan, id: StepId) -> Result<&Step, Failure> {
    plan.steps.get(id.0).ok_or_else(|| Failure::bug(format!("the plan has no step {}", id.0)))
}

fn is_base(step: &Step) -> bool {
    matches!(step.op, Op::Debs(_) | Op::Given(_))
}

pub(crate) fn means<'a>(
    missing: &'a Missing<'_>,
    done: &'a Done,
    workshop: Option<&'a Workshop>,
    threads: NonZeroUsize,
) -> Means<'a> {
    let below = missing.step.inputs.iter().filter_map(|input| done.get(input)).collect();
    let encoding = Encoding { compression: missing.compression, threads, watcher: Watcher::default() };
    Means { below, hidden: &missing.hidden, workshop, encoding }
}

/// Sources that are not seen, found once for all steps that stand on the same layers.
#[derive(Default)]
struct Hidden(Option<(Vec<StepId>, Vec<Conflict>)>);

impl Hidden {
    /// Those that matter for a step: of bytecode's own packages.
    fn of(&mut self, plan: &Plan, step: &Step, done: &Done, store: &Store) -> Result<Vec<Conflict>, Report> {
        let Op::Bytecode(bytecode) = &step.op else { return Ok(Vec::new()) };
        if self.0.as_ref().is_none_or(|(inputs, _)| *inputs != step.inputs) {
            let layers = step.inputs.iter().filter(|id| brings_packages(plan, **id, &bytecode.prefix));
            let layers: Vec<&Made> = layers.filter_map(|id| done.get(id)).collect();
            self.0 = Some((step.inputs.clone(), bytecode::hidden(&layers, store)?));
        }
        let all = self.0.iter().flat_map(|(_, hidden)| hidden);
        Ok(all.filter(|conflict| compiles(bytecode, &conflict.loser)).cloned().collect())
    }
}

/// Can it have files where packages are? The project's own files lie elsewhere, as a rule.
fn brings_packages(plan: &Plan, id: StepId, prefix: &str) -> bool {
    match plan.steps.get(id.0).map(|step| &step.op) {
        Some(Op::App(app)) => app.files.iter().any(|file| file.path.starts_with(prefix)),
        Some(op) => matches!(op, Op::Wheels(_) | Op::Own(_)),
        None => false,
    }
}

/// Is it bytecode of this package, given by its URL?
fn compiles(bytecode: &Bytecode, purl: &str) -> bool {
    let is = |name: &str| {
        purl.strip_prefix("pkg:pypi/").and_then(|rest| rest.split_once('@')).is_some_and(|it| it.0 == name)
    };
    match &bytecode.of {
        Sources::Wheels(wheels) => wheels.iter().any(|wheel| is(&wheel.name)),
        Sources::Own(wheels) => wheels.iter().any(|wheel| is(&wheel.name)),
        Sources::App(_) => false,
    }
}

/// None for a layer that would be empty.
fn built(plan: &Plan, id: StepId, done: &Done) -> Result<Option<BuiltLayer>, Failure> {
    let step = step(plan, id)?;
    let made = done.get(&id).ok_or_else(|| Failure::bug(format!("step '{}' was not made", step.name)))?;
    if made.is_empty {
        return Ok(None);
    }
    let layer = Layer { blob: made.blob.clone(), diff_id: made.diff_id, created_by: format!("corten: {}", step.name) };
    Ok(Some(BuiltLayer {
        layer,
        step: id,
        what: step.name.clone(),
        tar_size: made.tar_size,
        reused: made.reused,
        installed: made.installed.clone(),
        set_id: made.set_id.clone(),
    }))
}

/// Steps that are needed, in waves: a step comes after all of its inputs.
fn waves(plan: &Plan, wanted: &[StepId]) -> Result<Vec<Vec<StepId>>, Failure> {
    let mut depth: BTreeMap<StepId, usize> = BTreeMap::new();
    for &id in wanted {
        depth_of(plan, id, &mut depth)?;
    }
    let count = depth.values().max().map_or(0, |deepest| deepest + 1);
    let mut waves = vec![Vec::new(); count];
    for (id, depth) in depth {
        waves[depth].push(id);
    }
    Ok(waves)
}

/// Ends because inputs come before their users.
fn depth_of(plan: &Plan, id: StepId, depth: &mut BTreeMap<StepId, usize>) -> Result<usize, Failure> {
    if let Some(&known) = depth.get(&id) {
        return Ok(known);
    }
    let mut deepest = 0;
    for &input in &step(plan, id)?.inputs {
        if input >= id {
            return Err(Failure::bug(format!("step {} comes before its input {}", id.0, input.0)));
        }
        deepest = deepest.max(depth_of(plan, input, depth)? + 1);
    }
    depth.insert(id, deepest);
    Ok(deepest)
}
