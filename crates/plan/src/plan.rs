//! A plan: steps in the order of their inputs, each pure data.
//!
//! ```text
//! Debs ──┬────────────┐
//! Wheels ┼► Bytecode ─┤
//! Files  ┼────────────┼──► Image (config, tags' labels)
//! App    ┴────────────┘
//! ```

use std::path::PathBuf;

use corten_diagnostic::Span;
use corten_oci::{Architecture, ContainerConfig, Descriptor, DiffId, Digest, History, SetId};
use serde::{Deserialize, Serialize};

use crate::engine::Installed;
use crate::lock::{ArchiveState, LockedDeb};

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// A step's inputs come before it.
    pub steps: Vec<Step>,
    /// What is wanted of it.
    pub targets: Vec<Target>,
    /// Of every layer that says nothing else.
    pub compression: Compression,
}

/// How a layer's blob is compressed; `corten_layer` has the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all: a plain tar.
    Stored,
    /// gzip around what the wheels have compressed already.
    #[default]
    Splice,
    /// gzip, made anew.
    Gzip,
    /// zstd.
    Zstd,
    /// gzip that can be pulled file by file.
    Estargz,
}

/// A step's place in [`Plan::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct StepId(pub usize);

/// A step that is wanted, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// As the user calls it.
    pub name: String,
    /// Which step.
    pub step: StepId,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it does.
    pub op: Op,
    /// Whose results it takes, lowest layer first.
    pub inputs: Vec<StepId>,
    /// For people: `numpy 2.4.6`, `base debian:bookworm distroless`.
    pub name: String,
}

/// What a step does. All but `Image` make one layer (`Debs` may make more, `Bytecode` none).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// A base made from Debian's packages.
    Debs(Debs),
    /// A layer of an image that is there already.
    Given(Box<GivenLayer>),
    /// Debian packages beside those of the base.
    Packages(Packages),
    /// Wheels, spliced.
    Wheels(Wheels),
    /// A package built from its source distribution, in the sandbox; its inputs are the layers that it is built in.
    Sdist(Box<Sdist>),
    /// Packages of the project itself, installed as their build backends would.
    Own(OwnWheels),
    /// Files whose content the plan holds.
    Files {
        /// Sorted by path; parents are made by the engine.
        files: Vec<GeneratedFile>,
    },
    /// Files of the project.
    App(AppFiles),
    /// Bytecode of what the step's inputs have; the base among them has the interpreter. None is made where there is no
    /// source.
    Bytecode(Bytecode),
    /// Layers under a config.
    Image(Box<ImageSpec>),
}

/// How much of Debian is in a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// No shell, no package manager.
    #[default]
    Distroless,
    /// Both.
    Slim,
}

impl Variant {
    /// As it is written in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Distroless => "distroless",
            Self::Slim => "slim",
        }
    }
}

/// A base made from Debian's packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Debs {
    /// `bookworm`.
    pub suite: String,
    /// How much.
    pub variant: Variant,
    /// For which processor.
    pub architecture: Architecture,
    /// Where the packages are and how old the archive was (its date is the mtime of every file).
    pub archive: ArchiveState,
    /// Packages that were asked for beside those of the variant.
    pub seeds: Vec<String>,
    /// Sorted by name.
    pub packages: Vec<LockedDeb>,
    /// Where Dockerfiles build on it: the packages of which only headers are there. Images of Corten's own: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfiles: Option<Vec<String>>,
    /// Who compiles the standard library where the base's own Python does not run; decides nothing about the bytes.
    #[serde(skip)]
    pub compiler: Option<Compiler>,
}

/// Python as Debian has it for the building machine's processor, of the same version as a base's for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiler {
    /// The building machine's.
    pub architecture: Architecture,
    /// The interpreter and the libraries that it needs.
    pub packages: Vec<LockedDeb>,
}

/// A layer of the image that is the base, taken as it is: it is in the store, with its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenLayer {
    /// As it is stored.
    pub blob: Descriptor,
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// What it brings, by its package manager's database.
    pub installed: Vec<Installed>,
    /// Its programs that run with others' rights.
    pub set_id: Vec<SetId>,
}

/// Debian packages that are added to a base, in a layer of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packages {
    /// The base that they are added to.
    pub base: Debs,
    /// As the settings name them, sorted.
    pub asked: Vec<String>,
    /// The archive's age: seconds since 1970, the mtime of every file.
    pub epoch: u64,
    /// Sorted by name.
    pub packages: Vec<LockedDeb>,
    /// Of these, what their maintainer scripts do may stay undone.
    pub unconfigured: Vec<String>,
}

/// The Python that wheels are installed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonTarget {
    /// Major and minor: 3, 11.
    pub version: (u32, u32),
    /// In full: `3.11.2`.
    pub full_version: String,
    /// Major and minor of the base's C library: 2, 36.
    pub glibc: (u32, u32),
    /// Processor.
    pub architecture: Architecture,
}

impl PythonTarget {
    /// `3.11`.
    pub fn minor(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }
}

/// Wheels that share a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wheels {
    /// Sorted by name.
    pub wheels: Vec<LockedWheel>,
    /// Where the venv is: `opt/venv`.
    pub prefix: String,
    /// Which Python's `site-packages`.
    pub python: PythonTarget,
}

/// A wheel as a lock names it, chosen for the target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LockedWheel {
    /// Normalised (PEP 503).
    pub name: String,
    /// As locked, with `+local`.
    pub version: String,
    /// The wheel's file name.
    pub file: String,
    /// Where to get it.
    pub url: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Bytes of the file.
    pub size: u64,
    /// For a wheel given by URL or from a VCS: the content of `direct_url.json` (PEP 610).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_url: Option<String>,
}

/// A package that is built from its source distribution, in a layer of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sdist {
    /// The source distribution: `file`, `url`, `digest` and `size` are its own.
    pub sdist: LockedWheel,
    /// Why its wheel cannot be computed.
    pub why: String,
    /// Where the lock names it.
    #[serde(skip)]
    pub at: Option<Span>,
    /// What builds it: `setuptools.build_meta`.
    pub backend: String,
    /// Where in the source the backend may lie.
    pub backend_path: Vec<String>,
    /// What its build needs, sorted by name.
    pub requires: Vec<LockedWheel>,
    /// Only a wheel without compiled code will do: what is built here does not run there.
    pub pure: bool,
    /// Where the venv is: `opt/venv`.
    pub prefix: String,
    /// Which Python's `site-packages`.
    pub python: PythonTarget,
}

/// The project's own packages, which share a layer: they all change with the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnWheels {
    /// Sorted by name.
    pub wheels: Vec<OwnWheel>,
    /// Where the venv is: `opt/venv`.
    pub prefix: String,
    /// Which Python's `site-packages`.
    pub python: PythonTarget,
}

/// A package of the project: what its wheel would hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnWheel {
    /// Normalised (PEP 503).
    pub name: String,
    /// Normalised (PEP 440).
    pub version: String,
    /// `demo-1.0.dist-info`.
    pub dist_info: String,
    /// All but RECORD, sorted by path.
    pub members: Vec<WheelMember>,
    /// Content of `direct_url.json` (PEP 610): where its source lies in the image.
    pub direct_url: String,
}

impl OwnWheel {
    /// The files of the project that it holds.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> + Clone {
        self.members.iter().filter_map(|member| match member {
            WheelMember::File(file) => Some(file),
            WheelMember::Text { .. } => None,
        })
    }
}

/// A member of a wheel that is made here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum WheelMember {
    /// A text of its dist-info folder, or one that a backend writes.
    Text {
        /// In the wheel.
        path: String,
        /// Content.
        text: String,
    },
    /// A file of the project; its `path` is that in the wheel.
    File(SourceFile),
}

/// A file that the plan holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneratedFile {
    /// Below the root, without leading slash.
    pub path: String,
    /// What.
    pub kind: GeneratedKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
}

/// What a generated file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratedKind {
    /// A directory.
    Directory,
    /// Content.
    File(String),
    /// A link.
    Symlink(String),
    /// The file of the step's inputs with this text behind it (`etc/passwd` of the base and one line more).
    Append(String),
}

/// Files of the project that make one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppFiles {
    /// Sorted by path.
    pub files: Vec<SourceFile>,
    /// Of weights, as a rule: not at all.
    pub compression: Compression,
    /// Those whose bytes come from an address; it decides nothing about the layer.
    #[serde(skip)]
    pub fetched: Vec<FetchedFile>,
}

/// A file that is fetched into the store before it is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFile {
    /// Below the image's root.
    pub path: String,
    /// Where it is had.
    pub url: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Sources that are compiled by the base's interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bytecode {
    /// Which.
    pub of: Sources,
    /// Where the venv is: `opt/venv`.
    pub prefix: String,
    /// Which interpreter.
    pub python: PythonTarget,
    /// Where it lies in the base: `usr/bin/python3.11`. Decides nothing about the bytes.
    #[serde(skip)]
    pub program: String,
}

/// Sources to compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// Of wheels, sorted by name.
    Wheels(Vec<LockedWheel>),
    /// Of the project's own packages, sorted by name.
    Own(Vec<OwnWheel>),
    /// Files of the project, sorted by path.
    App(Vec<SourceFile>),
}

/// One file of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceFile {
    /// Below the image's root: `app/main.py`.
    pub path: String,
    /// On this machine; decides nothing about the layer.
    #[serde(skip)]
    pub source: PathBuf,
    /// Permission bits in the image.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Of the content.
    pub digest: Digest,
    /// Of a symbolic link (then size 0 and the digest that of nothing).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Layers under a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSpec {
    /// For which processor.
    pub architecture: Architecture,
    /// How a container starts, with labels.
    pub config: ContainerConfig,
    /// RFC 3339, where a reproducible time is known.
    pub created: Option<String>,
    /// How the lowest layers came about: the base's own history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}
