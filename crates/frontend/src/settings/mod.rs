//! What a project says about its image: `corten.toml`, or `[tool.corten]` in `pyproject.toml`.
//!
//! Everything has a default; a project with a lock and one FastAPI object needs no settings at all. In full:
//!
//! ```toml
//! name = "text-classifier"           # of the image; default: [project] name, else the folder's name
//! version = "1.3.0"                  # default: [project] version
//! base = "debian:bookworm"           # made from Debian's signed archive; or "debian:trixie"; default: whose Python fits
//!                                    # or an image: of a registry ("python:3.12-slim", "gcr.io/distroless/python3-debian12",
//!                                    # with or without @sha256:…), "oci-layout:FOLDER[:TAG]", "docker-archive:FILE[:NAME]", "store:NAME"
//!                                    # or { image = "…", aliases = { "python:3.11-slim" = "oci-layout:base" } }: what stands
//!                                    # for a name in a Dockerfile
//! variant = "distroless"             # or "slim": with a shell and a package manager
//! python = "3.11"                    # default: .python-version, else the base's
//! interpreter = { url = "https://example.org/python.tar.gz", sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
//!                                    # in place of Debian's Python: an install_only archive of python-build-standalone
//! lock = "uv.lock"                   # which lock, where a project has several
//! package = "api"                    # the member of a workspace to install; default: the root
//! groups = ["serve"]                 # dependency groups besides the project's default ones
//! extras = ["cpu"]                   # extras of the project
//! packages = ["ffmpeg", "libgl1"]    # Debian packages beside those of the base
//! allow-unconfigured = ["graphviz"]  # of these: what their maintainer scripts would do may stay undone
//! build-packages = ["build-essential"]  # Debian packages for building sdists; not in the image
//!
//! run = "uvicorn app:app --port 80"  # or an array; default: found in the source
//! entrypoint = ["tini", "--"]        # put before `run`; rarely needed
//! workdir = "/app"                   # where the project's files lie and the service starts
//! user = "app"                       # its number is always 10001
//! port = 8000                        # false for a batch job
//! healthcheck = { path = "/health", interval = "30s", timeout = "3s", start-period = "60s", retries = 3 }
//!                                    # or { command = ["python", "check.py"] }, or false
//! compression = "splice"             # of layers: "splice" (gzip, fast), "gzip" (made anew) or "zstd" (7 % smaller)
//! estargz = false                    # true: every gzip layer can be pulled lazily, file by file
//! bytecode = "none"                  # "all": of packages and application; "app": of the project's own
//! weights-compression = "none"       # or "zstd"
//! weights = ["weights/*.onnx"]       # a layer of their own, matched before anything is ignored; fetched ones:
//!                                    # { url = "https://…", sha256 = "…", to = "weights/model.onnx" }
//! extra-files = [{ from = "nginx.conf", to = "/etc/nginx/nginx.conf", mode = "0644" }]
//! frontend = "native"                # or "dockerfile"
//!
//! [env]                              # for the service
//! LOG_LEVEL = "info"
//!
//! [labels]                           # of the image
//! "com.example.team" = "language"
//!
//! [ignore]                           # besides .dockerignore
//! defaults = true                    # .git, .venv, wandb, mlruns … (see `crate::ignore`)
//! patterns = ["data/", "!data/labels.json"]
//!
//! [check]
//! deny = ["error", "ML125"]          # severities and rules that fail the build; default: errors
//! allow = ["ML161"]                  # rules that say nothing
//! size = "500MB"                     # compressed, at most
//! require = ["sbom", "tags"]         # points of `corten check` that have to be yes; "all" of them
//! licences = { allow = ["MIT", "Apache-2.0"], deny = ["AGPL-3.0-only"], except = ["our-own-package"] }
//!
//! [lint]                             # `corten lint`
//! select = ["DL", "SC", "ML101"]     # these rules alone, by number or its beginning; default: all that speak usually
//! extend-select = ["DL3057"]         # these too
//! ignore = ["DL3008"]
//! severity = { DL3015 = "error" }
//! threshold = "warning"              # what fails: this and worse
//! exclude = ["vendor/"]              # files that are not looked for in folders
//! trusted-registries = ["docker.io", "*.example.com"]
//! labels = { maintainer = "email", version = "semver" }
//! strict-labels = true               # and no others
//! per-path = { "dev/" = { ignore = ["ML151"], extend-select = ["ML1"], severity = { SC2086 = "info" } } }
//!
//! [gpu]                              # on what the image is to run; --driver and --gpu win, else it is this machine
//! driver = "535.104.05"              # of the host; or its branch: "580"
//! gpus = ["L4", "H100"]              # each has to do; names, compute capabilities ("9.0"), or "none" for processors alone
//!
//! [archive]                          # where Debian's packages come from
//! main = "https://deb.debian.org/debian"
//! security = "https://deb.debian.org/debian-security"
//! snapshot = "https://snapshot.debian.org"
//! keyring = "keys/archive.gpg"
//!
//! [index]                            # where wheels come from
//! url = "https://pypi.org/simple"
//! [index.mirrors]                    # what a lock names → where to fetch it instead
//! "https://files.pythonhosted.org" = "https://mirror.example/files"
//!
//! [publish]
//! repository = "registry.example/team/text-classifier"
//!
//! [test]                             # `corten test`; nothing of it is in the image
//! command = "python -m pytest -q"    # or an array; default: python -m pytest, where it is there
//! groups = ["test"]                  # default: test, tests, testing, dev or develop
//! extras = ["test"]                  # of the project
//! lock = "requirements-dev.txt"      # where what tests need is no group of the lock
//! paths = ["tests", "pytest.ini"]    # mounted, read-only
//! junit = "reports/junit.xml"        # where the report goes
//! network = "none"                   # default: as `corten run` has it
//! env = { MODEL = "tiny" }
//! ```

mod base;
mod gpu;
mod keys;
mod lint;
mod project;
mod schema;
mod sections;
mod stated;
mod table;
mod trial;
mod user;
mod value;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use corten_diagnostic::{Failure, Fault, Span};
use corten_oci::{Digest, Repository};
use corten_plan::{Compression, Variant};

pub use base::{Base, ImageBase, ImageKind, InterpreterSource};
pub use gpu::GpuSettings;
pub use lint::{LintSettings, PathSettings, RuleSeverity};
pub use project::Project;
pub use schema::{schema, user_schema};
pub use stated::{Stated, stated};
pub use trial::{TestNetwork, TestSettings};
pub use user::{UserRegistry, UserSettings};
pub use value::words;
pub use write::{Line, has_settings, settings_text, with_section, without_section};

pub(crate) use table::{Source, Table, Value};

/// A value, and where it was written; nowhere if it is a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// What.
    pub value: T,
    /// Where.
    pub at: Option<Span>,
}

impl<T> Setting<T> {
    /// What holds where nothing is written.
    pub fn default_of(value: T) -> Self {
        Self { value, at: None }
    }

    /// Another value from the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        Setting { value: change(self.value), at: self.at }
    }
}

impl<T> std::ops::Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Everything that a project says about its image, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image's name: a path component of a repository.
    pub name: Setting<String>,
    /// As tags and labels have it; none where the project computes its version.
    pub version: Option<Setting<String>>,
    /// What the image stands on.
    pub base: Setting<Base>,
    /// `[base.aliases]`: what Dockerfiles name, and what stands in its place.
    pub aliases: BTreeMap<String, Setting<String>>,
    /// How much of Debian is in it.
    pub variant: Setting<Variant>,
    /// Major and minor version; none: the base's.
    pub python: Option<Setting<(u32, u32)>>,
    /// Instead of Debian's Python.
    pub interpreter: Option<Setting<InterpreterSource>>,
    /// The lock to take, by name below the project.
    pub lock: Option<Setting<String>>,
    /// The member of the workspace to install instead of the root.
    pub package: Option<Setting<String>>,
    /// Dependency groups to install besides the default ones.
    pub groups: Vec<Setting<String>>,
    /// Extras to install.
    pub extras: Vec<Setting<String>>,
    /// Debian packages to add to the base.
    pub packages: Vec<Setting<String>>,
    /// Debian packages that may stay as they are unpacked.
    pub allow_unconfigured: Vec<Setting<String>>,
    /// Debian packages that are there when source distributions are built, and not in the image.
    pub build_packages: Vec<Setting<String>>,
    /// The command; none: found in the source.
    pub run: Option<Setting<Vec<String>>>,
    /// What stands before the command.
    pub entrypoint: Option<Setting<Vec<String>>>,
    /// Where the project's files lie, absolute.
    pub workdir: Setting<String>,
    /// The name of user 10001.
    pub user: Setting<String>,
    /// What the service listens on.
    pub port: Setting<Port>,
    /// How health is found out.
    pub healthcheck: Setting<HealthSetting>,
    /// Variables of the service.
    pub env: BTreeMap<String, Setting<String>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, Setting<String>>,
    /// Files to put elsewhere than below `workdir`.
    pub extra_files: Vec<Setting<ExtraFile>>,
    /// How layers become blobs.
    pub layers: LayerSettings,
    /// Patterns of weights.
    pub weights: Vec<Setting<String>>,
    /// Weights that are fetched: `weights = [{ url = "…", to = "…" }]`.
    pub remote_weights: Vec<Setting<RemoteWeight>>,
    /// What stays out.
    pub ignore: IgnoreSettings,
    /// What the checks take offence at.
    pub check: CheckSettings,
    /// On what the image is to run.
    pub gpu: GpuSettings,
    /// Which rules `corten lint` asks.
    pub lint: LintSettings,
    /// Where Debian's packages come from.
    pub archive: ArchiveSettings,
    /// Where wheels come from.
    pub index: IndexSettings,
    /// Which way to build; none: whichever fits.
    pub frontend: Option<Setting<Frontend>>,
    /// Where the image is published.
    pub publish: PublishSettings,
    /// What `corten test` does.
    pub test: TestSettings,
    /// `[project]` of pyproject.toml, where there is one.
    pub project: Option<Project>,
    /// The first setting that only a native build has a use for.
    pub native: Option<Span>,
}

/// What a service listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Nothing is said: a web service gets [`Port::USUAL`], a script none.
    Auto,
    /// None: a batch job.
    None,
    /// This one.
    Number(u16),
}

impl Port {
    /// Where nothing else is said.
    pub const USUAL: u16 = 8000;
}

/// What the settings say about health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthSetting {
    /// Nothing: a web service is asked for [`Health::default`]'s path if its source has it, else for a connection.
    Auto,
    /// No check is wanted.
    Off,
    /// So.
    On(Health),
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is done.
    pub probe: Probe,
    /// Between two checks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How long failures at the start do not count: as long as a model may take to load.
    pub start_period: Duration,
    /// How many failures in a row make a container unhealthy.
    pub retries: u32,
}

/// What a health check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Asks the service for a path, wants a status below 400.
    Http(String),
    /// Opens a connection to the port.
    Connect,
    /// Runs a program, wants status 0.
    Command(Vec<String>),
}

/// A file to put elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    /// Below the project.
    pub from: String,
    /// Absolute, in the image.
    pub to: String,
    /// Permission bits; none: the file's own, as an app file has them.
    pub mode: Option<u32>,
}

/// How layers become blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSettings {
    /// Of all layers but weights; what `compression` and `estargz` say together.
    pub compression: Setting<Compression>,
    /// Of weights.
    pub weights: Setting<Compression>,
    /// What is compiled when the image is built.
    pub bytecode: Setting<BytecodeSetting>,
}

/// What is compiled when the image is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BytecodeSetting {
    /// Wheels, the project's packages and files.
    All,
    /// The project's packages and files.
    App,
    /// Nothing: each start compiles what it imports.
    None,
}

/// Weights that are fetched from an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteWeight {
    /// Without user and password.
    pub url: String,
    /// Of the file; none: that of the first fetch, kept in corten.lock.
    pub sha256: Option<Digest>,
    /// Below the workdir, or absolute in the image.
    pub to: String,
}

/// `[ignore]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreSettings {
    /// Do the groups for machine-learning projects apply?
    pub defaults: Setting<bool>,
    /// As lines of .dockerignore.
    pub patterns: Vec<Setting<String>>,
}

/// `[check]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSettings {
    /// Rules and severities that fail the build.
    pub deny: Vec<Setting<String>>,
    /// Rules that say nothing.
    pub allow: Vec<Setting<String>>,
    /// Bytes that the compressed layers may have together.
    pub size: Option<Setting<u64>>,
    /// Points of the checklist that have to be yes: [`POINTS`].
    pub require: Vec<Setting<String>>,
    /// Which licences packages may have; none: any.
    pub licences: Option<LicenceSettings>,
}

/// Points that `check.require` may name.
pub const POINTS: [&str; 15] = [
    "all", "stages", "user", "health", "size", "tags", "base", "digest", "sbom", "cache", "secrets", "data", "lock",
    "python", "licences",
];

/// `[check.licences]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LicenceSettings {
    /// SPDX identifiers; where there are any, no other is allowed.
    pub allow: Vec<Setting<String>>,
    /// SPDX identifiers that are not.
    pub deny: Vec<Setting<String>>,
    /// Packages that are not judged.
    pub except: Vec<Setting<String>>,
}

/// `[archive]`: addresses without trailing slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// Main and updates.
    pub main: Option<Setting<String>>,
    /// Security.
    pub security: Option<Setting<String>>,
    /// Where packages that have left the archive are sought.
    pub snapshot: Option<Setting<String>>,
    /// Keys that sign the archive, below the project; none: Debian's.
    pub keyring: Option<Setting<String>>,
}

/// `[index]`: addresses without trailing slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSettings {
    /// Asked where a lock names no index.
    pub url: Option<Setting<String>>,
    /// Beginnings of addresses, with what to put in their place.
    pub mirrors: Vec<(String, Setting<String>)>,
}

/// Which way a project is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frontend {
    /// From its lock.
    Native,
    /// From its Dockerfile.
    Dockerfile,
}

/// `[publish]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishSettings {
    /// Where to.
    pub repository: Option<Setting<Repository>>,
}

/// A text with the name under which the user knows it.
#[derive(Debug, Clone)]
pub struct Text {
    /// For instance `examples/text-classifier/corten.toml`.
    pub path: PathBuf,
    /// Its content.
    pub text: Arc<str>,
}

impl Text {
    /// A file's content.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// The texts that settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// `corten.toml`.
    pub corten: Option<Text>,
    /// `pyproject.toml`.
    pub pyproject: Option<Text>,
    /// Names the image where nothing else does.
    pub folder: String,
}

impl Settings {
    /// Reads the settings of a project.
    ///
    /// # Errors
    /// Usage, where a setting is wrong or unknown; input, where pyproject.toml is no TOML or its `[project]` is wrong.
    pub fn read(texts: &Texts) -> Result<Self, Failure> {
        let corten = texts.corten.as_ref().map(|text| source(text, Fault::Usage));
        let pyproject = texts.pyproject.as_ref().map(|text| source(text, Fault::Input));
        let corten_root = corten.as_ref().map(Source::parse).transpose()?;
        let pyproject_root = pyproject.as_ref().map(Source::parse).transpose()?;

        let pyproject = pyproject.as_ref().zip(pyproject_root.as_ref().map(toml::Spanned::get_ref));
        let project = pyproject.map(|(source, root)| Project::read(source, root)).transpose()?.flatten();
        let tool = pyproject.map(|(source, root)| sections::tool_corten(source, root)).transpose()?.flatten();
        let own = corten.as_ref().zip(corten_root.as_ref().map(toml::Spanned::get_ref));
        let settings = match (own, tool) {
            (Some(_), Some((_, _, at))) => {
                return Err(Failure::usage("settings stand both in corten.toml and in [tool.corten]")
                    .at(at)
                    .hint("keep one of the two"));
            }
            (Some((source, root)), None) => Table::read(source, "", root, &keys::SETTINGS, sections::settings)?,
            (None, Some((source, root, _))) => Table::read(source, "", root, &keys::SETTINGS, sections::settings)?,
            (None, None) => sections::none(),
        };
        settings.completed(project, &texts.folder)
    }
}

fn source(text: &Text, fault: Fault) -> Source {
    Source::new(&text.path, Arc::clone(&text.text), fault)
}

#[cfg(test)]
mod judged;
#[cfg(test)]
mod tests;
