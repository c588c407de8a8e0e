//! The command line as it is typed. What it means is decided in `commands`.

mod docker;
mod gpu;
mod lint;
mod look;
mod parse;
mod registry;
mod run;
mod store;
mod test;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use corten_frontend::settings::Frontend;

use crate::quantities;
use crate::render::progress::Progress;

pub use docker::*;
pub use gpu::*;
pub use lint::*;
pub use look::*;
pub use parse::parse;
pub use registry::*;
pub use run::*;
pub use store::*;
pub use test::*;

/// From a machine-learning project to a small, reproducible, published container image.
///
/// Layers come straight from the project's lock: no container, no root and no daemon are needed. What has no wheel is
/// built in a sandbox.
#[derive(Debug, Parser)]
#[command(name = "corten", version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where images, downloads and caches are kept.
    #[arg(long, env = "CORTEN_HOME", global = true, value_name = "FOLDER", help_heading = "Global options")]
    pub home: Option<PathBuf>,
    /// How results are printed on stdout.
    #[arg(long, global = true, value_parser = text_or_json(), default_value = "text", help_heading = "Global options")]
    pub format: Format,
    /// Only errors and findings on stderr; data on stdout stays.
    #[arg(
        long,
        short,
        env = "CORTEN_QUIET",
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    pub quiet: bool,
    /// Each request to a registry, an index or an archive, and what of the cache was used and why not.
    #[arg(long, short, env = "CORTEN_VERBOSE", global = true, help_heading = "Global options")]
    pub verbose: bool,
    /// How progress is shown on stderr.
    #[arg(long, env = "CORTEN_PROGRESS", global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub progress: Progress,
    /// How many threads work at once [default: as many as there are processors].
    #[arg(long, short, env = "CORTEN_JOBS", global = true, value_name = "N", value_parser = jobs, help_heading = "Global options")]
    pub jobs: Option<NonZeroUsize>,
    /// Use the store alone; connect to nothing.
    #[arg(long, env = "CORTEN_OFFLINE", global = true, help_heading = "Global options")]
    pub offline: bool,
    /// How many seconds a server may stay silent.
    #[arg(long, env = "CORTEN_HTTP_TIMEOUT", global = true, value_name = "SECONDS", value_parser = seconds, default_value = "30", help_heading = "Global options")]
    pub http_timeout: Duration,
    /// Trust these certificate authorities (PEM), too.
    #[arg(long, env = "CORTEN_CA_FILE", global = true, value_name = "FILE", help_heading = "Global options")]
    pub ca_file: Option<PathBuf>,
    /// Keep the store below this size: after a build, remove what no image needs, least recently used first.
    #[arg(long, env = "CORTEN_STORE_KEEP", global = true, value_name = "SIZE", value_parser = quantities::size, help_heading = "Global options")]
    pub store_keep: Option<u64>,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("expected seconds, at least 0.01 and at most a day")
}

fn jobs(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a number from 1 on")
}

/// How results are printed. Only findings have more forms than the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One documented object.
    Json,
    /// SARIF 2.1.0, for code scanning and editors.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
    /// A code quality report of GitLab.
    Gitlab,
    /// JUnit, for Jenkins and most CI.
    Junit,
    /// Checkstyle, for Jenkins and reviewdog.
    Checkstyle,
    /// Issues of Code Climate.
    Codeclimate,
}

/// What commands print whose results are no findings.
fn text_or_json() -> impl TypedValueParser<Value = Format> {
    let values = [Format::Text, Format::Json].map(|format| format.to_possible_value());
    PossibleValuesParser::new(values.into_iter().flatten())
        .map(|text| if text == "json" { Format::Json } else { Format::Text })
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, check, write the bill of materials, publish under three tags, record the release.
    Ship(Ship),
    /// Build and check an image.
    Build(Box<Build>),
    /// Say what would be built: layers, what is in them, what stays out.
    Plan(Plan),
    /// Write settings from what the folder shows: [tool.corten] of pyproject.toml, or corten.toml.
    Init(Init),
    /// List the bases there are, or make one that several projects stand on.
    Base(Base),
    /// Renew the pins of corten.lock; make pylock.toml where the project has no lock.
    Lock(Lock),
    /// Answer the checklist of a production image, with evidence and what mends it; builds nothing unless told to.
    Check(Check),
    /// Say what a Dockerfile or compose file does badly, why, and what to write instead.
    Lint(Lint),
    /// Print what a rule says and why, with a bad and a good example; or list them all.
    Rule(Rule),
    /// Answer an editor, by the Language Server Protocol: findings, quick fixes, pages of rules.
    Lsp,
    /// Run the project's tests in its image, with what they need beside it; or a command in an image.
    Test(Box<Test>),
    /// Print the bill of materials of an image.
    Sbom(Sbom),
    /// Run an image, in a sandbox of its own.
    Run(Box<Run>),
    /// Start a further process in a container that runs.
    Exec(Exec),
    /// List containers.
    Ps(Ps),
    /// Print what a container has written.
    Logs(Logs),
    /// End containers.
    Stop(Stop),
    /// Remove containers that have ended.
    Rm(Rm),
    /// List the images of the store, or take names away.
    Images(Images),
    /// Show all that an image says of itself: platforms, config, layers, what hangs on it.
    Inspect(Inspect),
    /// Show how an image came about, newest first.
    History(History),
    /// Compare two images: config, layers, packages, files.
    Diff(Diff),
    /// Give an image further names.
    Tag(Tag),
    /// Free space: remove what no image needs, least recently used first.
    Prune(Prune),
    /// Bring an image of the store to a registry, with all that hangs on it.
    Push(Push),
    /// Bring an image of a registry to the store.
    Pull(Pull),
    /// Print the digest that a name has at its registry now.
    Resolve(Resolve),
    /// Keep user and password for a registry, once it has let them in.
    Login(Login),
    /// Forget user and password for a registry.
    Logout(Logout),
    /// Write images, with all that hangs on them, to one file that travels.
    Save(Save),
    /// Take the images of such a file, or of `docker save`, `podman save`, skopeo, into the store.
    Load(Load),
    /// Be a registry: others pull from this store, and push to it.
    Registry(Registry),
    /// Print the JSON Schema of the settings, for editors.
    Schema(Schema),
    /// Look after the store.
    Store(Store),
    /// Say what this machine has of GPUs; whether the CUDA of a project, a lock or an image fits a driver and GPUs.
    Gpu(Gpu),
    /// Say what an error around CUDA and GPUs means, what to look at, what helps.
    Explain(Explain),
    /// Say whether all is there that is needed, what does not work, and what to do.
    Doctor(Doctor),
    /// Print what makes a shell complete `corten`: bash, zsh, fish.
    Completions(Completions),
    /// Write manual pages.
    #[command(hide = true)]
    Man(Man),
}

impl Command {
    /// Does the store grow by it?
    pub fn fills(&self) -> bool {
        matches!(
            self,
            Self::Ship(_)
                | Self::Build(_)
                | Self::Check(_)
                | Self::Plan(_)
                | Self::Lock(_)
                | Self::Base(_)
                | Self::Pull(_)
                | Self::Run(_)
                | Self::Test(_)
                | Self::Diff(_)
        )
    }

    /// Which project, where there is one that settings are read of.
    pub fn project(&self) -> Option<&ProjectArguments> {
        match self {
            Self::Ship(ship) => Some(&ship.project),
            Self::Build(build) => Some(&build.project),
            Self::Plan(plan) => Some(&plan.project),
            Self::Lock(lock) => Some(&lock.project),
            Self::Check(check) => Some(&check.project),
            Self::Test(test) => Some(&test.project),
            Self::Base(Base { command: BaseCommand::Build(build) }) => Some(&build.project),
            _ => None,
        }
    }
}

/// `corten schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// That of your own settings for all projects, ~/.config/corten/config.toml.
    #[arg(long)]
    pub user: bool,
}

/// Which project, and what of it.
#[derive(Debug, Clone, Args)]
pub struct ProjectArguments {
    /// The project's folder.
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Install this dependency group too (may be given several times).
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Install this extra of the project (may be given several times).
    #[arg(long = "extra", value_name = "NAME")]
    pub extras: Vec<String>,
    /// Which way to build.
    #[arg(long, value_enum)]
    pub frontend: Option<FrontendArgument>,
    /// What the image is for; several make one index.
    #[arg(long, value_name = "OS/ARCHITECTURE[,…]", value_delimiter = ',', default_value = "linux/amd64")]
    pub platform: Vec<String>,
    /// Refuse to change corten.lock.
    #[arg(long)]
    pub locked: bool,
    /// Take the project's lock as it is, also where it is out of step with pyproject.toml.
    #[arg(long)]
    pub frozen: bool,
    /// Only say what each setting is, where that comes from, and what it does.
    #[arg(long)]
    pub explain_settings: bool,
    #[command(flatten)]
    pub target: TargetArguments,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// Which way to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FrontendArgument {
    /// From the project's lock.
    Native,
    /// From its Dockerfile.
    Dockerfile,
}

impl FrontendArgument {
    /// As the settings have it.
    pub fn meant(self) -> Frontend {
        match self {
            Self::Native => Frontend::Native,
            Self::Dockerfile => Frontend::Dockerfile,
        }
    }
}

/// `corten ship`.
#[derive(Debug, Args)]
pub struct Ship {
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Make every layer again from downloaded inputs.
    #[arg(long)]
    pub no_cache: bool,
    /// Write the release file here too, with times.
    #[arg(long, value_name = "FILE")]
    pub release_file: Option<PathBuf>,
    /// List every file in the bill of materials.
    #[arg(long)]
    pub sbom_files: bool,
    /// Bring the image, its bill of materials and its release to the repository of `[publish]`.
    #[arg(long)]
    pub push: bool,
}

/// `corten build`.
#[derive(Debug, Args)]
pub struct Build {
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Make every layer again from downloaded inputs.
    #[arg(long)]
    pub no_cache: bool,
    /// Name and tag of the image (may be given several times) [default: the project's].
    #[arg(long = "tag", short, value_name = "NAME[:TAG]")]
    pub tags: Vec<String>,
    /// Write the image: type=oci,dest=FILE or type=docker,dest=FILE; of a Dockerfile also type=tar and type=local (may be
    /// given several times).
    #[arg(long = "output", short, value_name = "type=TYPE,dest=FILE")]
    pub outputs: Vec<String>,
    /// Load the image into the local docker or podman.
    #[arg(long)]
    pub load: bool,
    #[command(flatten)]
    pub docker: DockerArguments,
    #[command(flatten)]
    pub docker_build: DockerBuild,
}

/// `corten base`.
#[derive(Debug, Args)]
pub struct Base {
    #[command(subcommand)]
    pub command: BaseCommand,
}

/// What can be done with bases.
#[derive(Debug, Subcommand)]
pub enum BaseCommand {
    /// Say which bases there are: Python, size, what is in them, when to use them.
    List,
    /// Make a base: of what the project stands on and packages of its lock, without the project itself; or, by the name that
    /// Dockerfiles have for it (python:3.11-slim, debian:bookworm-slim), from Debian's signed archive.
    #[command(mut_arg("folder", |folder| folder
        .value_name("FOLDER|NAME")
        .help("The project's folder; or the base: python:3.11-slim, python:3.13-slim, debian:bookworm-slim, debian:trixie-slim")))]
    Build(Box<BaseBuild>),
    /// Bring a base to a registry, and say what other projects write as theirs.
    Push(BasePush),
}

/// `corten base push`.
#[derive(Debug, Args)]
pub struct BasePush {
    /// Name or digest of an image of the store, or the folder of an OCI layout.
    #[arg(value_name = "NAME|FOLDER")]
    pub base: String,
    /// Where to: HOST/REPOSITORY:TAG.
    #[arg(value_name = "REFERENCE")]
    pub to: String,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten base build`.
#[derive(Debug, Args)]
pub struct BaseBuild {
    #[command(flatten)]
    pub project: ProjectArguments,
    /// What the store calls it: others name it as base = "store:NAME" [default: the project's name with "-base"].
    #[arg(long, value_name = "NAME[:TAG]")]
    pub name: Option<String>,
    /// Put this package of the lock in, not all of them; what it needs is not followed (may be given several times).
    #[arg(long, value_name = "PACKAGE", conflicts_with = "bare")]
    pub only: Vec<String>,
    /// Put no Python package in.
    #[arg(long)]
    pub bare: bool,
    /// Write it to this OCI layout, too: others name it as base = "oci-layout:FOLDER".
    #[arg(long, value_name = "FOLDER")]
    pub layout: Option<PathBuf>,
    /// Of a base by name: pin what it is made of in this file, or make it of what is pinned there.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Make every layer again from downloaded inputs.
    #[arg(long)]
    pub no_cache: bool,
}

/// `corten plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub project: ProjectArguments,
    #[command(flatten)]
    pub docker: DockerArguments,
}

/// `corten init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The project's folder.
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Take the settings from a Dockerfile, and list what they cannot say [default of FILE: the folder's Dockerfile].
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub from_dockerfile: Option<Option<PathBuf>>,
    /// Write a Dockerfile, too, whose image is that of the settings, and the .dockerignore that it needs; settings that stand
    /// there stay.
    #[arg(long, conflicts_with = "from_dockerfile")]
    pub dockerfile: bool,
    /// Write compose.yaml, too: ports, GPU, shared memory, redis and postgres where they are used.
    #[arg(long, conflicts_with = "from_dockerfile")]
    pub compose: bool,
    /// Write nothing; show what would change.
    #[arg(long, visible_alias = "diff")]
    pub dry_run: bool,
    /// Replace what stands there already: settings, or the files that are asked for.
    #[arg(long, short, conflicts_with = "dry_run")]
    pub yes: bool,
    /// Write down which driver the image is for, version or branch: 580.65.06, 535.
    #[arg(long, value_name = "VERSION", conflicts_with = "from_dockerfile")]
    pub driver: Option<String>,
    /// Write down which GPU the image is for, name or compute capability; `none` for processors alone (may be given several
    /// times).
    #[arg(long, value_name = "NAME[,…]", value_delimiter = ',', conflicts_with = "from_dockerfile")]
    pub gpu: Vec<String>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// `corten lock`.
#[derive(Debug, Args)]
pub struct Lock {
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Renew the base alone, and say which of its packages change, which by security updates, and the CVEs that they name.
    #[arg(long)]
    pub upgrade_base: bool,
}

/// `corten check`.
#[derive(Debug, Args)]
#[command(mut_arg("folder", |folder| folder
    .value_name("FOLDER|IMAGE")
    .help("The project's folder; or name or digest of an image of the store, or HOST/REPOSITORY[:TAG][@DIGEST]")))]
pub struct Check {
    #[command(flatten)]
    pub project: ProjectArguments,
    /// Build the image first, and say what the rules find in it, too.
    #[arg(long)]
    pub build: bool,
    /// Status 1 for each point that is not so, whatever the settings deny.
    #[arg(long)]
    pub strict: bool,
}

/// `corten sbom`.
#[derive(Debug, Args)]
pub struct Sbom {
    /// Name, name and tag, or digest of an image of the store.
    pub image: String,
    /// Which of an index's images [default: that of this machine, else the first].
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
}

/// `corten doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Ask the package index, Debian's archive, and the registries that one is logged in to, too.
    #[arg(long, conflicts_with = "offline")]
    pub network: bool,
    /// Where /proc and /sys are.
    #[arg(long, hide = true, default_value = "/", value_name = "FOLDER")]
    pub root: PathBuf,
}

/// `corten completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell.
    pub shell: Shell,
}

/// A shell that is completed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `corten completions bash > ~/.local/share/bash-completion/completions/corten`
    Bash,
    /// `corten completions zsh > FOLDER/_corten`, with the folder in `fpath`
    Zsh,
    /// `corten completions fish > ~/.config/fish/completions/corten.fish`
    Fish,
}

/// `corten man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Where to; the folder is made.
    pub folder: PathBuf,
}
