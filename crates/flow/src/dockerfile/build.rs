//! Builds what is planned: one call of the engine, then the image's id and its names.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_engine::stages::{self, Allowed, Context, Finished, Means, Patterns, Progress};
use corten_frontend::ignore::{Matcher, read_ignore_file};
use corten_oci::{Descriptor, Digest, ImageConfig, Reference};
use corten_store::{Key, TreeLayer};

use super::checks::{self, Checked};
use super::findings::Terms;
use super::plan::{Planned, plan};
use super::remote::Remote;
use super::request::Request;
use super::secrets::Secrets;
use super::shell;
use crate::blobs;
use crate::gpu::TargetOptions;
use crate::world::World;

/// How it is built.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// `--no-cache`: every step is made anew.
    pub no_cache: bool,
    /// `--no-cache-filter`: those of these stages.
    pub no_cache_stages: Vec<String>,
    /// `--secret`, `--ssh`.
    pub secrets: Secrets,
    /// `--add-host`.
    pub hosts: Vec<(String, String)>,
    /// `--network`: `default`, `none` or `host`.
    pub network: Option<String>,
    /// `--allow security.insecure`, `--allow network.host`.
    pub allowed: Allowed,
    /// `--shm-size`, bytes.
    pub shm: Option<u64>,
    /// `--ulimit`.
    pub each: Vec<corten_sandbox::EachLimit>,
    /// `--allow-private-add`.
    pub private: bool,
    /// `--debug-shell`: a shell in what a failing RUN left, on the terminal that stdin is.
    pub debug_shell: bool,
    /// `--driver`, `--gpu`: on what the image is to run.
    pub target: TargetOptions,
}

/// What a build came to.
pub struct Outcome {
    /// From what.
    pub planned: Planned,
    /// Config, layers, steps.
    pub finished: Finished,
    /// Of the config: what docker calls the image's id.
    pub id: Digest,
    /// What ADD took from elsewhere: addresses, and the digests or commits that they had.
    pub fetched: Vec<(String, String)>,
    /// What BuildKit's checks say of the Dockerfile.
    pub checked: Checked,
    /// On which terms its image is judged.
    pub(super) terms: Terms,
}

/// Builds into the store.
///
/// # Errors
/// As [`plan`]; input where a step fails; world where the machine does.
pub fn build(
    request: &Request,
    way: &Way,
    standard: &mut dyn Read,
    progress: &dyn Progress,
    world: &World<'_>,
) -> Result<Outcome, Report> {
    let planned = plan(request, standard, world)?;
    let checked = checks::of_planned(&planned, request)?;
    checked.require()?;
    let terms = Terms::of(&planned, &way.target, world)?;
    let (finished, fetched) = solve(&planned, request, way, progress, world)?;
    let config = same_as_before(&finished, planned.pinned.recipe.epoch, world)?;
    let layers = finished.layers.iter().map(|layer| TreeLayer { diff_id: layer.diff_id, blob: layer.blob.clone() });
    let id = world.store.keep_local(&config, &layers.collect::<Vec<_>>())?;
    Ok(Outcome { planned, finished, id, fetched, checked, terms })
}

/// The config; where nothing was made, with the times of the build that made it, so that the same image keeps its id.
fn same_as_before(finished: &Finished, epoch: Option<u64>, world: &World<'_>) -> Result<Vec<u8>, Report> {
    let json = |config: &ImageConfig| {
        serde_json::to_vec(config).map_err(|error| Failure::bug(format!("writing the image's config: {error}")))
    };
    let mut timeless = finished.config.clone();
    let made = timeless.created.take();
    for history in timeless.history.iter_mut().filter(|history| history.created == made) {
        history.created = None;
    }
    let facts = format!("config without times {epoch:?} ").into_bytes();
    let key = Key(Digest::of([facts, json(&timeless)?].concat()));
    let is_cached = finished.steps.iter().all(|step| step.cached);
    if let (true, Some(before)) = (is_cached, world.store.record(&key)?) {
        return Ok(before);
    }
    let config = json(&finished.config)?;
    let batch = world.store.batch();
    batch.record(&key, &config)?;
    batch.finish()?;
    Ok(config)
}

impl Outcome {
    /// Lets names of the store point to `image`: the id, or the manifest that was made for it.
    pub fn name(&self, names: &[Reference], image: &Digest, world: &World<'_>) -> Result<(), Report> {
        let batch = world.store.batch();
        for name in names {
            batch.image(name, image)?;
        }
        Ok(batch.finish()?)
    }
}

fn solve(
    planned: &Planned,
    request: &Request,
    way: &Way,
    progress: &dyn Progress,
    world: &World<'_>,
) -> Result<(Finished, Vec<(String, String)>), Report> {
    let open =
        |path: &std::path::Path, ignore: Matcher| Context::open(path, Some(Box::new(Ignored(ignore)))).map(Arc::new);
    let context = planned.source.folder.as_deref().map(|folder| open(folder, planned.ignore.clone())).transpose()?;
    let mut folders = BTreeMap::new();
    for (name, beside) in &planned.folders {
        folders.insert(name.clone(), open(&beside.path, ignored_in(&beside.path)?)?);
    }
    let remote = Remote::new(way.private, world);
    let bring = |blobs: &[Descriptor], what: &str| blobs::bring(blobs, what, &request.registry, world);
    let no_cache =
        |stage: &str| way.no_cache || way.no_cache_stages.iter().any(|name| name.eq_ignore_ascii_case(stage));
    let path = planned.source.shown().unwrap_or_else(|| planned.source.file.path.display().to_string());
    let means = Means {
        store: world.store,
        jobs: world.jobs,
        context,
        folders,
        patterns: &patterns,
        secrets: &way.secrets,
        remote: &remote,
        bring: &bring,
        progress,
        runner: &Sandboxes { shell: way.debug_shell.then_some(progress) },
        no_cache: &no_cache,
        allowed: way.allowed,
        shm: way.shm,
        each: way.each.clone(),
        passage: world.passage,
        hosts: way.hosts.clone(),
        network: way.network.clone().unwrap_or_else(|| "default".to_owned()),
        dockerfile: (planned.source.file.path.clone(), Arc::clone(&planned.source.file.text)),
        now: Duration::from_secs(u64::try_from(world.now).unwrap_or_default()),
        project: std::fs::canonicalize(&path).map_or(path, |path| path.display().to_string()),
    };
    let finished = stages::solve(&planned.pinned, &means)?;
    Ok((finished, remote.fetched()))
}

/// A folder of `--build-context` has an ignore file of its own.
fn ignored_in(folder: &std::path::Path) -> Result<Matcher, Failure> {
    let Some(file) = super::source::inside(folder, ".dockerignore")? else { return Ok(Matcher::default()) };
    let lines = read_ignore_file(&file.text);
    Matcher::new(lines.iter().map(|(_, line)| line.as_str()))
        .map_err(|error| Failure::input(format!("{}/.dockerignore: {error}", folder.display())))
}

/// For `--exclude` and `--parents`.
fn patterns(all: &[String]) -> Result<Box<dyn Patterns>, String> {
    let matcher = Matcher::new(all.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    Ok(Box::new(Ignored(matcher)))
}

struct Ignored(Matcher);

impl Patterns for Ignored {
    fn matches(&self, path: &str) -> bool {
        self.0.matches(path)
    }

    fn excepts_below(&self, folder: &str) -> bool {
        self.0.excepts_below(folder)
    }

    fn reaches_into(&self, folder: &str) -> bool {
        self.0.reaches_into(folder)
    }
}

/// The machine's own.
struct Sandboxes<'a> {
    /// Who is told of a shell, where one is wanted.
    shell: Option<&'a dyn Progress>,
}

impl stages::Runner for Sandboxes<'_> {
    fn run(
        &self,
        sandbox: &corten_sandbox::Sandbox,
        streams: corten_sandbox::Streams<'_>,
    ) -> Result<corten_sandbox::Exit, Failure> {
        sandbox.run(streams)
    }

    fn wants_wrecks(&self) -> bool {
        self.shell.is_some()
    }

    fn show(&self, sandbox: &corten_sandbox::Sandbox, name: &str, why: &Report) {
        if let Some(progress) = self.shell {
            shell::open(sandbox, name, why, progress);
        }
    }
}
