//! What a build may use, and what comes of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_oci::{Descriptor, DiffId, ImageConfig};
use corten_sandbox::{EachLimit, Exit, Sandbox, Streams};
use corten_store::{Doubled, Store};

use super::context::{Context, Patterns};
use super::why::Miss;
use crate::make::Bring;

/// Reads patterns; says what is wrong with one that is none.
pub type Understand<'a> = dyn Fn(&[String]) -> Result<Box<dyn Patterns>, String> + Sync + 'a;

/// What a build of stages may use.
pub struct Means<'a> {
    /// Bytes on disk.
    pub store: &'a Store,
    /// How many threads may work.
    pub jobs: usize,
    /// The folder that is built; none where there is none (a Dockerfile alone).
    pub context: Option<Arc<Context>>,
    /// Folders beside it, by the names that `--build-context` gives them.
    pub folders: BTreeMap<String, Arc<Context>>,
    /// Understands patterns of .dockerignore, for `--exclude` and `--parents`.
    pub patterns: &'a Understand<'a>,
    /// Secrets and agents.
    pub secrets: &'a dyn Secrets,
    /// What ADD takes from elsewhere.
    pub remote: &'a dyn Remote,
    /// Brings blobs to the store that it has not.
    pub bring: &'a Bring<'a>,
    /// Who listens.
    pub progress: &'a dyn Progress,
    /// Who runs commands.
    pub runner: &'a dyn Runner,
    /// Must a stage (by its name) be made anew?
    pub no_cache: &'a (dyn Fn(&str) -> bool + Sync),
    /// What steps may do beyond the usual.
    pub allowed: Allowed,
    /// Bytes of `/dev/shm`.
    pub shm: Option<u64>,
    /// `--ulimit`: what each process of a command has for itself.
    pub each: Vec<EachLimit>,
    /// Proxies and authorities that a command gets.
    pub passage: &'a corten_sandbox::Passage,
    /// `--add-host`: names and addresses.
    pub hosts: Vec<(String, String)>,
    /// `--network`: what `default` of a RUN means; `default` itself where nothing was said.
    pub network: String,
    /// The Dockerfile: its path as it is told, and its text, for places in errors and names of steps.
    pub dockerfile: (PathBuf, Arc<str>),
    /// When the build began; seconds since 1970 and nanoseconds.
    pub now: Duration,
    /// Tells builds of one project from those of others, to say why a step was made again.
    pub project: String,
}

/// What steps may do beyond the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `RUN --security=insecure`.
    pub insecure: bool,
    /// `RUN --network=host`.
    pub host_network: bool,
}

/// Runs the process of a step.
pub trait Runner: Sync {
    /// As [`Sandbox::run`].
    fn run(&self, sandbox: &Sandbox, streams: Streams<'_>) -> Result<Exit, Failure>;
    /// The program that becomes pid 1 in a sandbox.
    fn helper(&self) -> corten_sandbox::Helper {
        corten_sandbox::Helper::default()
    }
    /// Does somebody want to look at what a failing command leaves?
    fn wants_wrecks(&self) -> bool {
        false
    }
    /// Shows it: the sandbox of the step `name` as the command left it, with all its mounts. Nothing else runs any more; afterwards
    /// it is gone.
    fn show(&self, _sandbox: &Sandbox, _name: &str, _why: &Report) {}
}

/// Secrets of a build: no key, layer, log or record ever holds one.
pub trait Secrets: Sync {
    /// The bytes of a secret, none where it was not given.
    fn secret(&self, id: &str) -> Result<Option<Vec<u8>>, Failure>;
    /// The socket of an agent, none where it was not given.
    fn agent(&self, id: &str) -> Result<Option<PathBuf>, Failure>;
}

/// What ADD fetches.
pub trait Remote: Sync {
    /// A file at an address, checked against `checksum` where there is one.
    fn http(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, Report>;
    /// A commit's files, in a folder.
    fn git(&self, url: &str, keep: bool, checksum: Option<&str>) -> Result<Fetched, Report>;
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// A file or folder on this machine that stays until the build ends.
    pub path: PathBuf,
    /// What decides its content: a digest or commit.
    pub pin: String,
    /// The name that the answer gave the file; the address's where it gave none.
    pub name: Option<String>,
    /// When it was changed last, as the answer says: seconds since 1970.
    pub mtime: Option<i64>,
}

/// Tells a step of the build from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// The stage's place in the recipe.
    pub stage: usize,
    /// The step's place in the stage.
    pub step: usize,
}

/// Listens to steps. Called from many threads.
pub trait Progress: Sync {
    /// A step begins.
    fn started(&self, _step: StepId, _name: &str) {}
    /// It wrote something: whole lines, as they came.
    fn output(&self, _step: StepId, _lines: &[u8]) {}
    /// It is over, well or not.
    fn finished(&self, _step: StepId, _result: Result<&StepResult, &Report>) {}
    /// Everything has stopped, and why; somebody else takes the terminal.
    fn rest(&self, _why: &Report) {}
    /// Something that people want to read.
    fn note(&self, _text: &str) {}
}

/// Does not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}

/// What a build of stages came to: the target's image, not yet packed.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// With diff ids and history.
    pub config: ImageConfig,
    /// The lowest first.
    pub layers: Vec<LocalLayer>,
    /// All steps of all stages, in the recipe's order.
    pub steps: Vec<StepResult>,
}

/// A layer of a local result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalLayer {
    /// Of its tar; its index is in the store.
    pub diff_id: DiffId,
    /// Bytes of its tar.
    pub tar_size: u64,
    /// Its blob, where it came with an image; the bytes may be at a registry still.
    pub blob: Option<Descriptor>,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq)]
pub struct StepResult {
    /// Which.
    pub id: StepId,
    /// As BuildKit names it: `[build 2/5] RUN make`.
    pub name: String,
    /// Bytes of the Dockerfile.
    pub range: Range<usize>,
    /// Was it there already?
    pub cached: bool,
    /// Why it was not.
    pub miss: Option<Miss>,
    /// How long it took.
    pub wall: Duration,
    /// The layer that it left.
    pub diff_id: DiffId,
    /// Bytes of its tar.
    pub tar_size: u64,
    /// Files of which it changed nothing but mode and owner.
    pub doubled: Doubled,
}
