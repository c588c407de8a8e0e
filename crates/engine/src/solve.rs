//! Solving: wave by wave, what is remembered is reused, the rest is made side by side, and each wave becomes durable
//! in one batch.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_diagnostic::{Event, Failure, Report, TaskId, Unit};
use corten_oci::{Descriptor, DiffId, Layer, SetId};
use corten_plan::{Built, BuiltLayer, Engine, Installed, Op, Plan, Step, StepId};
use corten_store::{Batch, Key};
use serde::{Deserialize, Serialize};

use crate::make::{Capabilities, fetch_inputs, make_layer};
use crate::{image, key};

/// The engine of this machine.
pub struct LocalEngine<'a> {
    capabilities: Capabilities<'a>,
}

/// What the store remembers of a layer, under its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub blob: Descriptor,
    pub diff_id: DiffId,
    pub tar_size: u64,
    pub installed: Vec<Installed>,
    pub set_id: Vec<SetId>,
    #[serde(skip)]
    pub reused: bool,
}

type Done = BTreeMap<StepId, Made>;

impl<'a> LocalEngine<'a> {
    /// An engine with these capabilities.
    pub fn new(capabilities: Capabilities<'a>) -> Self {
        Self { capabilities }
    }

    fn wave(&self, plan: &Plan, wave: &[StepId], done: &mut Done) -> Result<(), Report> {
        let mut missing = Vec::new();
        for &id in wave {
            let step = step(plan, id)?;
            let key = self.key(step, done)?;
            match self.remembered(&key)? {
                Some(made) => drop(done.insert(id, made)),
                None => missing.push((id, step, key)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        fetch_inputs(missing.iter().map(|(_, step, _)| &step.op), &self.capabilities)?;
        let batch = self.capabilities.store.batch();
        let made = self.side_by_side(&missing, done, &batch)?;
        batch.finish()?;
        done.extend(made);
        Ok(())
    }

    fn key(&self, step: &Step, done: &Done) -> Result<Key, Report> {
        let below: Vec<DiffId> =
            step.inputs.iter().filter_map(|input| done.get(input)).map(|made| made.diff_id).collect();
        let key = key::of(&step.op, &below);
        key.ok_or_else(|| Failure::bug(format!("step '{}' makes no layer", step.name)).into())
    }

    /// A remembered layer counts only while its blob and its index are there.
    fn remembered(&self, key: &Key) -> Result<Option<Made>, Report> {
        let store = self.capabilities.store;
        if !self.capabilities.reuse {
            return Ok(None);
        }
        let Some(record) = store.record(key)? else { return Ok(None) };
        let Ok(made) = serde_json::from_slice::<Made>(&record) else { return Ok(None) };
        let there = store.size(&made.blob.digest)? == Some(made.blob.size) && store.has_layer_index(&made.diff_id);
        Ok(there.then_some(Made { reused: true, ..made }))
    }

    fn side_by_side(
        &self,
        missing: &[(StepId, &Step, Key)],
        done: &Done,
        batch: &Batch<'_>,
    ) -> Result<Vec<(StepId, Made)>, Report> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let work = || {
            while let Some((id, step, key)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = self.make(step, key, done, batch).map(|made| (*id, made));
                if result.is_err() {
                    next.store(missing.len(), Ordering::Relaxed);
                }
                if let Ok(mut results) = results.lock() {
                    results.push(result);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.capabilities.jobs.min(missing.len()) {
                scope.spawn(work);
            }
            work();
        });
        let results = results.into_inner().map_err(|_| Failure::bug("a thread that made a layer died"))?;
        results.into_iter().collect()
    }

    fn make(&self, step: &Step, key: &Key, done: &Done, batch: &Batch<'_>) -> Result<Made, Report> {
        let task = TaskId::fresh();
        let events = self.capabilities.events;
        events.emit(Event::Started { task, what: &format!("layer {}", step.name), unit: Unit::Things, total: None });
        let below: Vec<&Made> = step.inputs.iter().filter_map(|input| done.get(input)).collect();
        let made = make_layer(&step.op, &below, &self.capabilities, batch);
        events.emit(Event::Finished { task });
        let (made, index) = made?;
        batch.layer_index(&made.diff_id, &index)?;
        let record =
            serde_json::to_vec(&made).map_err(|error| Failure::bug(format!("remembering a layer: {error}")))?;
        batch.record(key, &record)?;
        Ok(made)
    }
}

impl Engine for LocalEngine<'_> {
    fn solve(&self, plan: &Plan, target: StepId) -> Result<Built, Report> {
        let image_step = step(plan, target)?;
        let Op::Image(spec) = &image_step.op else {
            return Err(Failure::bug(format!("step '{}' makes no image", image_step.name)).into());
        };
        let mut done = Done::new();
        for wave in waves(plan, &image_step.inputs)? {
            self.wave(plan, &wave, &mut done)?;
        }
        let layers = image_step.inputs.iter().map(|&id| built(plan, id, &done)).collect::<Result<Vec<_>, _>>()?;
        let batch = self.capabilities.store.batch();
        let image = image::assemble(spec, layers.iter().map(|built| built.layer.clone()).collect(), &batch)?;
        batch.finish()?;
        Ok(Built { image, layers })
    }
}

fn step(plan: &Plan, id: StepId) -> Result<&Step, Failure> {
    plan.steps.get(id.0).ok_or_else(|| Failure::bug(format!("the plan has no step {}", id.0)))
}

fn built(plan: &Plan, id: StepId, done: &Done) -> Result<BuiltLayer, Failure> {
    let step = step(plan, id)?;
    let made = done.get(&id).ok_or_else(|| Failure::bug(format!("step '{}' was not made", step.name)))?;
    let layer = Layer { blob: made.blob.clone(), diff_id: made.diff_id, created_by: format!("corten: {}", step.name) };
    Ok(BuiltLayer {
        layer,
        step: id,
        what: step.name.clone(),
        tar_size: made.tar_size,
        reused: made.reused,
        installed: made.installed.clone(),
        set_id: made.set_id.clone(),
    })
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
