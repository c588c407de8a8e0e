//! One step: what decides it, whether it was made before, and making it.

use std::sync::Arc;
use std::time::Instant;

use corten_diagnostic::{Diagnose, Failure, Fault, Report, Span};
use corten_oci::{DiffId, Digest};
use corten_plan::recipe::{Action, CopyAction, CopySource, Files, Stage, Step};
use corten_store::{Batch, Doubled, Key, Store};
use serde_json::Value;

use super::accounts::Accounts;
use super::context::Context;
use super::copy::{self, From, Selection, Unknown};
use super::details;
use super::files::Origins;
use super::key;
use super::means::{LocalLayer, StepId, StepResult};
use super::names;
use super::old::Old;
use super::paths::{Change, Target};
use super::run::{self, Inputs};
use super::saved::Saved;
use super::solve::{Solver, State};
use super::unpack;
use super::view::{Empty, View};
use super::why::{self, MadeOf, Miss};
use super::write::{self, Times, Wrote};

/// What a step takes, found before it is known whether it was made before.
enum Taken {
    Copy(From, Selection),
    Run(Inputs),
    Folder,
}

/// Does a step, or finds it done.
pub(super) fn step(solver: &Solver<'_>, stage: &Stage, id: StepId, step: &Step, state: State) -> Result<State, Report> {
    // A step begins when what it takes from other stages is there.
    for files in sources(&step.action) {
        if let Files::Stage(stage) = files {
            solver.wait(*stage)?;
        }
    }
    let begun = Instant::now();
    let name = names::step(&solver.means.dockerfile.1, &solver.pinned.recipe, stage, id, step);
    solver.means.progress.started(id, &name);
    let done = attempt(solver, stage, id, step, &name, state);
    match done {
        Ok((state, saved, cached, miss)) => {
            let Saved { diff_id, tar_size, doubled, .. } = saved;
            let (range, wall) = (step.range.clone(), begun.elapsed());
            solver.tell(StepResult { id, name, range, cached, miss, wall, diff_id, tar_size, doubled });
            Ok(state)
        }
        Err(report) => {
            solver.means.progress.finished(id, Err(&report));
            Err(report)
        }
    }
}

fn sources(action: &Action) -> Vec<&Files> {
    match action {
        Action::Copy(copy) => vec![&copy.from],
        Action::Run(run) => run.mounts.iter().map(|(_, files)| files).collect(),
        Action::Folder { .. } => Vec::new(),
    }
}

fn attempt(
    solver: &Solver<'_>,
    stage: &Stage,
    id: StepId,
    step: &Step,
    name: &str,
    mut state: State,
) -> Result<(State, Saved, bool, Option<Miss>), Report> {
    let placed = |report: Report| at(solver, step, report);
    let operation = operation(solver, stage, step);
    // A linked layer does not depend on what is below it.
    let parent = if is_linked(&step.action) { key::of_base(&[]) } else { state.chain };
    let store = solver.means.store;
    let place = why::place(&solver.means.project, &stage.name, id.step);
    let asked = (solver.means.no_cache)(&stage.name);
    let seen = Key(key::of_seen(&operation, &parent));
    let may_be_there = || Ok::<_, Report>(!asked && store.record(&seen)?.is_some());
    let mut taken = taken(solver, step, may_be_there).map_err(placed)?;
    let early = early(solver, step, &mut taken, &state, &place).map_err(placed)?;
    let content = taken.digest();
    let digest = key::of_step(&operation, &parent, content.as_ref());
    let key = Key(digest);
    let made_of = MadeOf { key: digest, operation, parent, content };
    let find = || match asked {
        true => Ok(None),
        false => found(solver, &key),
    };
    let mut miss = None;
    let make = || {
        let old = why::before(store, &place);
        miss = Some(match asked {
            true => Miss::Asked,
            false => why::miss(old.as_ref(), &made_of, || changed(&taken), state.made.as_deref()),
        });
        let made = match early {
            Some(made) => made,
            None => Made { before: last_layer(store, old.as_ref()), ..Made::new(store) },
        };
        made.batch.record(&place, &made_of.encode()?)?;
        made.batch.record(&seen, &[])?;
        make(solver, id, step, name, &state, &taken, &key, made).map_err(placed)
    };
    let (saved, cached) = solver.once(&key, find, make)?;
    state.layers.push(LocalLayer { diff_id: saved.diff_id, tar_size: saved.tar_size, blob: None });
    state.chain = key::after(&state.chain, &saved.left);
    if !cached {
        state.made = Some(name.to_owned());
    }
    Ok((state, saved, cached, miss))
}

/// What a step does, as its key has it.
fn operation(solver: &Solver<'_>, stage: &Stage, step: &Step) -> Value {
    let mut operation = match &step.action {
        Action::Copy(action) => key::copy(action),
        Action::Folder { path, user } => key::folder(path, user),
        Action::Run(action) => {
            key::run(action, solver.means, &format!("{}/{}", stage.config.os, stage.config.architecture))
        }
    };
    // No time in a layer is later.
    if let (Some(epoch), Some(all)) = (solver.pinned.recipe.epoch, operation.as_object_mut()) {
        all.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.into());
    }
    operation
}

/// A step on its way into the store.
struct Made<'a> {
    batch: Batch<'a>,
    /// Its layer, where that was written before its key was known.
    wrote: Option<Wrote>,
    /// What was made in its place the last time.
    before: Option<DiffId>,
}

impl<'a> Made<'a> {
    fn new(store: &'a Store) -> Self {
        Self { batch: store.batch(), wrote: None, before: None }
    }
}

/// What a step left the last time.
fn last_layer(store: &Store, old: Option<&MadeOf>) -> Option<DiffId> {
    Some(Saved::find(store, &Key(old?.key)).ok()??.diff_id)
}

/// Writes the layer of a COPY whose files nobody has hashed: they are hashed on the way, and then its key is known.
fn early<'a>(
    solver: &Solver<'a>,
    step: &Step,
    taken: &mut Taken,
    state: &State,
    place: &Key,
) -> Result<Option<Made<'a>>, Report> {
    let Taken::Copy(From::Folder(..), selection) = &*taken else { return Ok(None) };
    if !selection.has_left() {
        return Ok(None);
    }
    let store = solver.means.store;
    let mut made = Made { before: last_layer(store, why::before(store, place).as_ref()), ..Made::new(store) };
    let write = || layer(solver, &step.action, taken, state, made.before, &made.batch);
    made.wrote = Some(solver.working(write)?);
    if let Taken::Copy(from, selection) = taken {
        selection.settle(from)?;
    }
    Ok(Some(made))
}

fn is_linked(action: &Action) -> bool {
    matches!(action, Action::Copy(copy) if copy.link && copy.mode.is_none())
}

/// A remembered layer counts while its index and its bytes are there.
fn found(solver: &Solver<'_>, key: &Key) -> Result<Option<Saved>, Report> {
    match Saved::find(solver.means.store, key)? {
        Some(saved) if solver.layers.has(&saved.diff_id)? => Ok(Some(saved)),
        _ => Ok(None),
    }
}

/// `may_be_there`: may the store have what it comes to? Where it has not, files are left to who writes them.
fn taken(
    solver: &Solver<'_>,
    step: &Step,
    may_be_there: impl FnOnce() -> Result<bool, Report>,
) -> Result<Taken, Report> {
    match &step.action {
        Action::Copy(action) => {
            let from = from(solver, &action.from, action)?;
            let unknown = if may_be_there()? { Unknown::Hashed } else { Unknown::Left };
            let selection = copy::select(action, &from, &solver.layers, solver.means, unknown)?;
            Ok(Taken::Copy(from, selection))
        }
        Action::Folder { .. } => Ok(Taken::Folder),
        Action::Run(action) => Ok(Taken::Run(run::inputs(solver, action)?)),
    }
}

impl Taken {
    /// Of the content.
    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Copy(_, selection) => Some(selection.digest()),
            Self::Run(inputs) => inputs.digest(),
            Self::Folder => None,
        }
    }
}

/// Where files are looked up.
pub(super) fn place(solver: &Solver<'_>, files: &Files) -> Result<From, Report> {
    let folder = |context: &Arc<Context>| From::Folder(context.clone(), solver.digests(context));
    match files {
        Files::None => Ok(From::Nothing),
        Files::Context => Ok(solver.means.context.as_ref().map_or(From::Nothing, folder)),
        Files::Folder(name) => {
            let context = solver.means.folders.get(name);
            Ok(folder(context.ok_or_else(|| Failure::bug(format!("the folder '{name}' was not opened")))?))
        }
        Files::Stage(stage) => Ok(From::Layers(solver.layers.view(&solver.wait(*stage)?.diff_ids())?)),
        Files::Image(name) => Ok(From::Layers(solver.layers.view(&solver.image(name)?.diff_ids())?)),
    }
}

fn from(solver: &Solver<'_>, files: &Files, action: &CopyAction) -> Result<From, Report> {
    let looks = action.sources.iter().any(|source| matches!(source, CopySource::Path { .. }));
    if looks { place(solver, files) } else { Ok(From::Nothing) }
}

/// Of files of a folder: the first that differs from the last time, and how many do.
fn changed(taken: &Taken) -> (Option<String>, usize) {
    let Taken::Copy(From::Folder(_, digests), selection) = taken else { return (None, 0) };
    let mut first: Option<String> = None;
    let mut count = 0;
    let mut add = |path: String| {
        count += 1;
        if first.as_ref().is_none_or(|first| path < *first) {
            first = Some(path);
        }
    };
    let mut seen = vec![false; digests.count_before()];
    for told in selection.files() {
        let Some(digest) = told.digest else { continue };
        let before = digests.before(&told.found.path);
        before.and_then(|(at, _)| seen.get_mut(at)).into_iter().for_each(|seen| *seen = true);
        if before.is_none_or(|(_, before)| before.digest != digest || u32::from(before.mode) != told.found.mode) {
            add(told.found.path.to_string());
        }
    }
    for source in &selection.sources {
        if source.root.found.is_folder() {
            let gone =
                digests.all_before(&source.root.found.path).filter(|(at, _)| !seen.get(*at).is_some_and(|seen| *seen));
            gone.for_each(|(_, path)| add(String::from_utf8_lossy(path).into_owned()));
        }
    }
    (first, count)
}

#[allow(clippy::too_many_arguments, reason = "what is known of one step")]
fn make(
    solver: &Solver<'_>,
    id: StepId,
    step: &Step,
    name: &str,
    state: &State,
    taken: &Taken,
    key: &Key,
    Made { batch, wrote, before }: Made<'_>,
) -> Result<Saved, Report> {
    let saved = match (&step.action, taken) {
        (Action::Run(action), Taken::Run(inputs)) => run::run(solver, id, name, action, inputs, state, key, &batch)?,
        (action, taken) => {
            let wrote = wrote.map_or_else(|| layer(solver, action, taken, state, before, &batch), Ok)?;
            batch.layer_index(&wrote.diff_id, &wrote.index)?;
            batch.record(&details::key(&wrote.diff_id), &wrote.details.encode())?;
            let (diff_id, tar_size) = (wrote.diff_id, wrote.tar_size);
            let saved = Saved { diff_id, tar_size, left: key.0, doubled: Doubled::default() };
            solver.layers.add_details(wrote.diff_id, wrote.details);
            saved
        }
    };
    batch.record(key, &saved.encode()?)?;
    batch.finish_later()?;
    Ok(saved)
}

/// The layer of a step that runs nothing.
fn layer(
    solver: &Solver<'_>,
    action: &Action,
    taken: &Taken,
    state: &State,
    before: Option<DiffId>,
    batch: &Batch<'_>,
) -> Result<Wrote, Report> {
    let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX - 1);
    let times = Times { now: seconds(solver.means.now.as_secs()), epoch: solver.pinned.recipe.epoch.map(seconds) };
    let owner = |written: &str, linked: bool| -> Result<(u64, u64), Report> {
        let accounts = match linked {
            true => Accounts::read(&solver.layers, &[])?,
            false => Accounts::read(&solver.layers, &state.diff_ids())?,
        };
        Ok(accounts.owner(written)?)
    };
    match (action, taken) {
        (Action::Folder { path, user }, _) => {
            // As BuildKit has it: the folder of a user whom the stage does not know is root's.
            let owner = match user.is_empty() {
                true => None,
                false => Accounts::read(&solver.layers, &state.diff_ids())?.owner(user).ok(),
            };
            let view = solver.layers.view(&state.diff_ids())?;
            let mut target = Target::new(view.as_ref(), Change { owner, mode: None });
            target.folder(path)?;
            write::layer(&target.finish(), Origins::default(), &solver.layers, times, batch)
        }
        (Action::Copy(action), Taken::Copy(from, selection)) => {
            let linked = action.link && action.mode.is_none();
            let owner = action
                .owner
                .as_ref()
                .filter(|owner| !owner.is_empty())
                .map(|written| owner(written, linked))
                .transpose()?;
            let view = solver.layers.view(&state.diff_ids())?;
            let stage: &dyn View = if linked { &Empty } else { view.as_ref() };
            let mut target = Target::new(stage, Change { owner, mode: action.mode.clone() });
            copy_all(solver, action, from, selection, &mut target)?;
            let items = target.finish();
            let old = before.and_then(|layer| Old::find(&layer, &solver.layers, &items));
            let jobs = solver.means.jobs;
            let origins = match from {
                From::Folder(context, digests) => Origins { context: Some(context), digests: Some(digests), old, jobs },
                _ => Origins { old, ..Origins::default() },
            };
            write::layer(&items, origins, &solver.layers, times, batch)
        }
        _ => Err(Failure::bug("a step without what it takes").into()),
    }
}

fn copy_all<'a>(
    solver: &Solver<'_>,
    action: &CopyAction,
    from: &From,
    selection: &'a Selection,
    target: &mut Target<'a>,
) -> Result<(), Report> {
    for selected in &selection.sources {
        let root = &selected.root.found;
        if selected.unpack && root.kind == corten_oci::Kind::File {
            let file = match (from, &selected.own) {
                (_, Some(own)) => Some(own.file(&root.path)?.0),
                (From::Folder(context, _), None) => Some(context.file(&root.path)?.0),
                _ => None,
            };
            let name = String::from_utf8_lossy(&selected.name).into_owned();
            let archive = match file {
                Some(file) => {
                    unpack::archive(file).map_err(|error| Failure::world(format!("reading {name}: {error}")))?
                }
                None => None,
            };
            if let Some(archive) = archive {
                let mode = target.change.mode.take();
                let unpacked = unpack::unpack(archive, &name, target, &action.destination, &solver.layers);
                target.change.mode = mode;
                unpacked?;
                continue;
            }
        }
        target.copy(selected, &action.destination)?;
    }
    Ok(())
}

/// The step's place in the Dockerfile, where the error has none.
pub(super) fn at(solver: &Solver<'_>, step: &Step, report: Report) -> Report {
    let (path, text) = &solver.means.dockerfile;
    if report.error().span().is_some() || text.get(step.range.clone()).is_none() {
        return report;
    }
    Placed { span: Span::new(path.clone(), text.clone(), step.range.clone()), report }.into()
}

/// An error with its place in the Dockerfile.
#[derive(Debug)]
struct Placed {
    span: Span,
    report: Report,
}

impl std::fmt::Display for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self.report.error(), f)
    }
}

impl std::error::Error for Placed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.report.error().source()
    }
}

impl Diagnose for Placed {
    fn fault(&self) -> Fault {
        self.report.error().fault()
    }

    fn hints(&self) -> Vec<String> {
        self.report.error().hints()
    }

    fn span(&self) -> Option<&Span> {
        Some(&self.span)
    }

    fn subject(&self) -> Option<&str> {
        self.report.error().subject()
    }
}
