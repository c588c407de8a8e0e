//! The project's own wheel, without running its build backend.
//!
//! ```text
//! folder ─► Tree ──────────┐
//! pyproject.toml ─► detect ┼─► hatchling · setuptools · flit · poetry · pdm · uv_build ─► Payload ─► OwnWheel
//! setup.cfg, setup.py ─────┘          (one file each: which files, which version)          └► Refusal: build it in the sandbox
//! ```
//!
//! Each backend is a pure function of the listing and of a few texts. What they do was read in their sources and compared
//! with what they build: hatchling 1.33, setuptools 84.2, flit-core 4.2, poetry-core 2.5, pdm-backend 2.5, uv 0.13.9.
//! Nothing is imported, nothing is evaluated: a value is a literal or the wheel is refused, and the closed list of
//! build requirements ([`backend`]) keeps plugins from acting unseen.
//!
//! Different from `uv sync --no-editable` on purpose: what an earlier build left in the tree (`build/lib`,
//! `*.egg-info/SOURCES.txt` outside an sdist) is not read; a virtual environment or `.git` inside a package is not shipped; a
//! link that leaves the project is an error once it is shipped; a dirty checkout's version has no date.

mod backend;
mod config;
mod core;
mod flit;
mod folder;
mod gitignore;
mod glob;
mod hatchling;
mod ini;
mod licence;
mod pdm;
mod poetry;
mod python;
mod refusal;
mod setuptools;
mod tree;
mod uv_build;
mod version;
mod wheel;
mod write;

use std::collections::BTreeSet;
use std::path::Path;

use corten_package::PackageName;

pub use backend::{Backend, BuildSystem};
pub use folder::{Folder, Kind, Listed};
pub use gitignore::{IsFolder, Repository as Ignored};
pub use refusal::{Refusal, RefusalKind};
pub use wheel::{Content, OwnWheel, WheelFile};

use config::Toml;
use folder::{Text, read_text};
use refusal::Outcome;
use tree::{Source, Tree};
use version::PkgInfo;

/// A project whose wheel is asked for.
#[derive(Clone, Copy)]
pub struct Project<'a> {
    /// Its files.
    pub folder: &'a dyn Folder,
    /// The folder as the user knows it; empty for the working directory.
    pub shown: &'a Path,
    /// A version that the user states (`SETUPTOOLS_SCM_PRETEND_VERSION` and the like): beats every dynamic one.
    pub version: Option<&'a str>,
    /// What git says; none outside a checkout.
    pub git: Option<&'a Git>,
    /// The `.gitignore` files of the folders above, up to the workspace's root or the repository's, outermost first.
    pub ignored_above: &'a [IgnoreFile],
    /// What the lock says of the project's metadata; used where it is dynamic.
    pub locked: Option<&'a LockedMetadata>,
}

/// Facts of a git checkout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Git {
    /// `git ls-files`: tracked files of the project, relative to it.
    pub tracked: BTreeSet<String>,
    /// `.git/info/exclude`.
    pub exclude: Option<IgnoreFile>,
    /// `git describe --dirty --tags --long --abbrev=40 --match '*[0-9]*'`; none without a tag.
    pub describe: Option<Describe>,
}

/// An ignore file that lies above the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreFile {
    /// The path from its folder to the project: `services/api`.
    pub inside: String,
    /// Content.
    pub text: String,
}

/// Where a checkout stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Describe {
    /// The nearest tag.
    pub tag: String,
    /// Commits since then.
    pub distance: u64,
    /// All 40 digits.
    pub commit: String,
    /// As `git rev-parse --short HEAD` has it; pdm uses it.
    pub short: String,
    /// Are there changes that are not committed?
    pub dirty: bool,
}

impl Describe {
    /// Reads `v1.2-3-g<40 digits>[-dirty]`; `short` is then its first seven digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, dirty) = match text.trim().strip_suffix("-dirty") {
            Some(text) => (text, true),
            None => (text.trim(), false),
        };
        let (rest, node) = text.rsplit_once("-g")?;
        let (tag, distance) = rest.rsplit_once('-')?;
        if node.is_empty() || !node.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let short = node.get(..7).unwrap_or(node).to_owned();
        Some(Self { tag: tag.to_owned(), distance: distance.parse().ok()?, commit: node.to_owned(), short, dirty })
    }
}

/// `[package.metadata]` of uv.lock: the answer that the backend gave when it was locked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockedMetadata {
    /// Requirements as metadata writes them, extras as `; extra == "x"`.
    pub requires: Vec<String>,
    /// The extras that it has.
    pub extras: Vec<PackageName>,
}

/// Computes the wheel that `uv sync --no-editable` would build and install.
///
/// # Errors
/// A [`Refusal`] that says whether a build in the sandbox would help, with the place in the project's files.
pub fn own_wheel(project: &Project<'_>) -> Result<OwnWheel, Refusal> {
    let mut context = Context::read(project)?;
    let name = backend::name(&context);
    compute(&mut context).map_err(|refusal| refusal.of_project(&name))
}

/// How the project says that it is built.
///
/// # Errors
/// A [`Refusal`] where pyproject.toml cannot be read.
pub fn build_system(project: &Project<'_>) -> Result<BuildSystem, Refusal> {
    let context = Context::read(project)?;
    backend::build_system(&context).map_err(|refusal| refusal.of_project(&backend::name(&context)))
}

fn compute(context: &mut Context<'_>) -> Outcome<OwnWheel> {
    let backend = backend::detect(context)?;
    let payload = match backend {
        Backend::Hatchling => hatchling::payload(context),
        Backend::Setuptools => setuptools::payload(context),
        Backend::Flit => flit::payload(context),
        Backend::Poetry => poetry::payload(context),
        Backend::Pdm => pdm::payload(context),
        Backend::Uv => uv_build::payload(context),
    }?;
    payload.finish(backend, context)
}

/// What a backend's function sees.
struct Context<'a> {
    project: &'a Project<'a>,
    /// Empty where there is none.
    pyproject: Toml,
    tree: Tree,
    /// Of an sdist.
    pkg_info: Option<PkgInfo>,
}

impl<'a> Context<'a> {
    fn read(project: &'a Project<'a>) -> Outcome<Self> {
        let listed = project.folder.entries().map_err(|failure| Refusal::unreadable(&failure))?;
        let tree = Tree::new(listed)?;
        let empty = Text { path: project.shown.join("pyproject.toml"), text: "".into() };
        let mut context = Self { project, pyproject: Toml::parse(empty)?, tree, pkg_info: None };
        if let Some(text) = context.text("pyproject.toml")? {
            context.pyproject = Toml::parse(text)?;
        }
        context.pkg_info =
            context.text("PKG-INFO")?.filter(|_| context.is_sdist()).map(|text| PkgInfo::parse(&text.text));
        Ok(context)
    }

    /// A PKG-INFO that was written by hand into a checkout does not make it an sdist.
    fn is_sdist(&self) -> bool {
        self.tree.file("PKG-INFO").is_some() && self.project.git.is_none_or(|git| !git.tracked.contains("PKG-INFO"))
    }

    /// A text of the tree; none where there is no such file.
    fn text(&self, path: &str) -> Outcome<Option<Text>> {
        let shown = self.project.shown.join(path);
        let cleaned = tree::clean(path).ok_or_else(|| Refusal::broken(format!("'{path}' leaves the project")))?;
        match self.tree.file(&cleaned).map(|entry| &entry.source) {
            None => Ok(None),
            Some(Source::File(source)) => read_text(self.project.folder, source, shown).map(Some),
            Some(Source::Text(text)) => Ok(Some(Text { path: shown, text: std::sync::Arc::clone(text) })),
            Some(Source::Bad(why)) => Err(Refusal::broken(format!("cannot read {}: {why}", shown.display()))),
        }
    }
}
