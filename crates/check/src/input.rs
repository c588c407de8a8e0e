//! What rules are asked about: facts, already read. A rule opens no file.

use corten_diagnostic::Span;
use corten_oci::{ContainerConfig, DiffId, LayerPath, SetId};

/// Everything that is known of an image, built or planned.
#[derive(Debug, Clone)]
pub struct CheckInput<'a> {
    /// How a container starts.
    pub config: &'a ContainerConfig,
    /// Does it listen, by what was found in the source? A batch job does not.
    pub listens: bool,
    /// Where the settings are that decide the config, if there are any.
    pub settings: Option<Span>,
    /// What the image stands on.
    pub base: BaseFacts,
    /// The Python lock.
    pub lock: Option<LockFacts>,
    /// The project's files in the image.
    pub files: &'a [FileFacts<'a>],
    /// The layers, once they are built, lowest first.
    pub layers: &'a [LayerFacts<'a>],
    /// Libraries that are nowhere in it.
    pub libraries: LibrariesFacts,
    /// How large the image may be.
    pub budget: Option<Budget>,
    /// The steps of its Dockerfile that ran commands.
    pub steps: &'a [StepFacts],
    /// How its CUDA fits a driver and GPUs.
    pub gpu: &'a [crate::cuda::Reason],
    /// What the project asks for, and what it got.
    pub project: ProjectFacts,
}

impl<'a> CheckInput<'a> {
    /// An image of which its config is known, and nothing else.
    pub fn of(config: &'a ContainerConfig) -> Self {
        Self {
            config,
            listens: false,
            settings: None,
            base: BaseFacts { pinned: true, ..BaseFacts::default() },
            lock: None,
            files: &[],
            layers: &[],
            libraries: LibrariesFacts::default(),
            budget: None,
            steps: &[],
            gpu: &[],
            project: ProjectFacts::default(),
        }
    }

    /// The same of an image that nobody has planned: it listens where it exposes a port.
    pub fn of_image(config: &'a ContainerConfig) -> Self {
        let listens = config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty());
        Self { listens, ..Self::of(config) }
    }
}

/// What a project asks for, and what it got.
#[derive(Debug, Clone, Default)]
pub struct ProjectFacts {
    /// Requirements without a version: `numpy>=2`.
    pub unpinned: Vec<PackageFacts>,
    /// Packages that are built from source; `why` says why.
    pub sdists: Vec<PackageFacts>,
    /// The image's Python, where nobody mends it any more.
    pub python_ended: Option<PythonFacts>,
    /// Licences of the packages, where their wheels were read.
    pub licences: Vec<LicenceFacts>,
    /// Which of them are allowed; none: any.
    pub licence_policy: Option<LicencePolicy>,
}

/// A Python past its end of life.
#[derive(Debug, Clone)]
pub struct PythonFacts {
    /// `3.9`.
    pub version: String,
    /// The day: `2025-10-31`.
    pub ended: String,
    /// Where it is asked for.
    pub at: Option<Span>,
}

/// Under which licence a package is.
#[derive(Debug, Clone)]
pub struct LicenceFacts {
    /// Normalised (PEP 503).
    pub name: String,
    /// `numpy 2.4.6`.
    pub package: String,
    /// SPDX expression; none where it states none that can be told.
    pub licence: Option<String>,
}

/// `[check.licences]`.
#[derive(Debug, Clone, Default)]
pub struct LicencePolicy {
    /// SPDX identifiers; empty: any.
    pub allow: Vec<String>,
    /// SPDX identifiers.
    pub deny: Vec<String>,
    /// Normalised names of packages that are not judged.
    pub except: Vec<String>,
    /// Where it is written.
    pub at: Option<Span>,
}

/// A step that ran a command, and what it left.
#[derive(Debug, Clone, Default)]
pub struct StepFacts {
    /// As it is told: `[2/3] RUN make`.
    pub name: String,
    /// In the Dockerfile.
    pub at: Option<Span>,
    /// Files of which it changed mode or owner alone, and their bytes, which its layer has once more.
    pub doubled: (u64, u64),
    /// Where it installs packages from a file of the project: that file.
    pub installs: Option<String>,
    /// How long it took, seconds; none where it was done before.
    pub seconds: Option<f64>,
    /// Its layer, where the image has it.
    pub layer: Option<StepLayer>,
}

/// Bytes of a layer that a command left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepLayer {
    /// All.
    pub bytes: u64,
    /// Of caches of package managers.
    pub caches: u64,
    /// Of Python's compiled files.
    pub bytecode: u64,
    /// Of compilers.
    pub compilers: u64,
}

/// What an image stands on.
#[derive(Debug, Clone, Default)]
pub struct BaseFacts {
    /// As the user wrote it.
    pub name: String,
    /// Is every byte of it decided, by digest or by exact packages with hashes?
    pub pinned: bool,
    /// Where it was written.
    pub at: Option<Span>,
}

/// What is known of the Python lock.
#[derive(Debug, Clone)]
pub struct LockFacts {
    /// `uv.lock`.
    pub name: String,
    /// What differs between lock and pyproject.toml, one clause each; empty where they agree.
    pub out_of_step: Vec<String>,
    /// Where pyproject.toml says the first of it.
    pub differs_at: Option<Span>,
    /// Packages that are locked without a hash.
    pub unhashed: Vec<PackageFacts>,
    /// Packages that their index has withdrawn.
    pub yanked: Vec<PackageFacts>,
    /// Installed packages without one that they need; `why` says which.
    pub unmet: Vec<PackageFacts>,
    /// How to get a lock with all packages, where this one may have been written by hand and some are absent.
    pub completed_by: Option<String>,
}

/// What is known of shared libraries.
#[derive(Debug, Clone, Default)]
pub struct LibrariesFacts {
    /// Those that files of the image need and no layer has.
    pub missing: Vec<LibraryFacts>,
    /// The Debian packages that the settings ask for.
    pub asked: Vec<String>,
    /// Where they do.
    pub at: Option<Span>,
}

/// A library that is nowhere.
#[derive(Debug, Clone)]
pub struct LibraryFacts {
    /// `libGL.so.1`.
    pub library: String,
    /// The first file that needs it, absolute.
    pub file: String,
    /// Name and version of that file's package.
    pub package: Option<String>,
    /// How many files need it.
    pub files: usize,
    /// Does an import of a wheel's modules fail?
    pub breaks_import: bool,
    /// The Debian package that has it, where the archive knows one.
    pub deb: Option<String>,
}

/// A locked package that something is wrong with.
#[derive(Debug, Clone)]
pub struct PackageFacts {
    /// `pypdfium2 4.30.1`.
    pub package: String,
    /// Why, in the index's words; may be empty.
    pub why: String,
    /// Where the lock names it.
    pub at: Option<Span>,
}

/// A file of the project that enters the image.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts<'a> {
    /// Relative to the project, with slashes.
    pub path: &'a str,
    /// Bytes.
    pub size: u64,
    /// Is it in the layer of weights?
    pub weight: bool,
    /// Does loading it as a model run code that it brings along?
    pub runs_code: bool,
}

/// A layer that has been built.
#[derive(Debug, Clone, Copy)]
pub struct LayerFacts<'a> {
    /// For people: `numpy 2.4.6`.
    pub name: &'a str,
    /// Bytes of the blob.
    pub size: u64,
    /// Which.
    pub diff_id: DiffId,
    /// Its programs that run with others' rights.
    pub set_id: &'a [SetId],
    /// Its ELF files for another processor than the image's.
    pub foreign: &'a [ForeignFile],
}

/// An ELF file that does not run in its image.
#[derive(Debug, Clone)]
pub struct ForeignFile {
    /// In the image.
    pub path: LayerPath,
    /// For which processor it is: `amd64`.
    pub machine: String,
    /// For which processor the image is.
    pub image: String,
}

/// How large an image may be.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Of all blobs together.
    pub bytes: u64,
    /// Where it was written.
    pub at: Option<Span>,
}
