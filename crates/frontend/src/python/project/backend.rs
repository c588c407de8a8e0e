//! Which backend a project names, and whether anything else could change what is built.

use corten_package::{PackageName, Requirement};

use super::Context;
use super::refusal::{Outcome, Refusal};

/// A build backend whose rules are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// `hatchling.build`.
    Hatchling,
    /// `setuptools.build_meta`, also where no backend is named.
    Setuptools,
    /// `flit_core.buildapi`.
    Flit,
    /// `poetry.core.masonry.api`.
    Poetry,
    /// `pdm.backend`.
    Pdm,
    /// `uv_build`.
    Uv,
}

impl Backend {
    /// The package whose rules are followed, with the version that they were read in.
    pub fn emulated(self) -> (&'static str, &'static str) {
        match self {
            Self::Hatchling => ("hatchling", "1.33.0"),
            Self::Setuptools => ("setuptools", "84.2.1"),
            Self::Flit => ("flit-core", "4.2.0"),
            Self::Poetry => ("poetry-core", "2.5.0"),
            Self::Pdm => ("pdm-backend", "2.5.0"),
            Self::Uv => ("uv-build", "0.13.9"),
        }
    }

    fn of(module: &str) -> Option<Self> {
        Some(match module {
            "hatchling.build" => Self::Hatchling,
            "setuptools.build_meta" | "setuptools.build_meta:__legacy__" => Self::Setuptools,
            "flit_core.buildapi" => Self::Flit,
            "poetry.core.masonry.api" | "poetry.masonry.api" => Self::Poetry,
            "pdm.backend" => Self::Pdm,
            "uv_build" => Self::Uv,
            _ => return None,
        })
    }

    /// Build requirements that are the backend itself, or plugins whose effect is computed.
    fn known_requirements(self) -> &'static [&'static str] {
        match self {
            Self::Hatchling => &["hatchling", "hatch-vcs", "hatch-fancy-pypi-readme"],
            Self::Setuptools => {
                &["setuptools", "wheel", "setuptools-scm", "vcs-versioning", "tomli", "toml", "packaging"]
            }
            Self::Flit => &["flit-core"],
            Self::Poetry => &["poetry-core", "poetry"],
            // pdm-build-locked adds extras, where it is switched on: see pdm.rs.
            Self::Pdm => &["pdm-backend", "pdm-build-locked"],
            Self::Uv => &["uv-build", "uv"],
        }
    }
}

/// How a project says that it is built (`[build-system]`), for those who run its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSystem {
    /// What its build needs, as written.
    pub requires: Vec<String>,
    /// `hatchling.build`.
    pub backend: String,
    /// Folders of the project in which the backend may lie.
    pub backend_path: Vec<String>,
}

/// Reads `[build-system]`, with what stands for it where it is absent (PEP 517, PEP 518).
pub(super) fn build_system(context: &Context<'_>) -> Outcome<BuildSystem> {
    let table = context.pyproject.path("build-system");
    let texts = |texts: Option<Vec<&str>>| texts.map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let requires = texts(table.key("requires").texts()?);
    let backend_path = texts(table.key("backend-path").texts()?).unwrap_or_default();
    if backend_path.iter().any(|path| super::tree::clean(path).is_none()) {
        return Err(Refusal::broken("build-system.backend-path leaves the project").at(table.span()));
    }
    Ok(BuildSystem {
        requires: requires.unwrap_or_else(|| vec!["setuptools>=40.8.0".to_owned(), "wheel".to_owned()]),
        backend: table.key("build-backend").text()?.unwrap_or("setuptools.build_meta:__legacy__").to_owned(),
        backend_path,
    })
}

/// The project's name, as far as it is known before anything else is.
pub(super) fn name(context: &Context<'_>) -> String {
    let written = |path: &str| context.pyproject.path(path).text().ok().flatten().map(str::to_owned);
    let folder = || context.project.shown.file_name().map(|name| name.to_string_lossy().into_owned());
    written("project.name").or_else(|| written("tool.poetry.name")).or_else(folder).unwrap_or_default()
}

/// What to do about a project that only its backend can make a wheel of.
const WITHOUT: &str =
    "build the wheel yourself and depend on it by path, or set tool.uv.package = false and lock again";

/// The backend, or what could act unseen.
pub(super) fn detect(context: &Context<'_>) -> Outcome<Backend> {
    let table = context.pyproject.path("build-system");
    let path = table.key("backend-path");
    if path.exists() {
        return Err(Refusal::needs_build("build-system.backend-path names code in this project").at(path.span()));
    }
    let named = table.key("build-backend");
    let backend = match named.text()? {
        None => Backend::Setuptools,
        Some(module) => Backend::of(module).ok_or_else(|| {
            Refusal::needs_build(format!("build backend \"{module}\" is not one that corten computes"))
                .at(named.span())
                .hint(WITHOUT)
        })?,
    };
    check_requirements(context, backend)?;
    check_uv(context)?;
    Ok(backend)
}

fn check_requirements(context: &Context<'_>, backend: Backend) -> Outcome<()> {
    for item in context.pyproject.path("build-system.requires").items()? {
        let text = item.text()?.unwrap_or_default();
        let requirement: Requirement = text.parse().map_err(|error| item.wrong(format!("is wrong: {error}")))?;
        if !backend.known_requirements().contains(&requirement.name.as_str()) {
            let why = format!("build requirement \"{}\" can change what is built", requirement.name);
            return Err(Refusal::needs_build(why).at(item.span()).hint(WITHOUT));
        }
    }
    Ok(())
}

/// Does a build requirement have this name?
pub(super) fn requires(context: &Context<'_>, name: &str) -> Outcome<bool> {
    let texts = context.pyproject.path("build-system.requires").texts()?.unwrap_or_default();
    let name_of = |text: &str| text.parse::<Requirement>().ok().map(|requirement| requirement.name);
    let wanted = PackageName::new(name).ok();
    Ok(texts.into_iter().any(|text| wanted.is_some() && name_of(text) == wanted))
}

/// Settings by which uv would build it otherwise.
fn check_uv(context: &Context<'_>) -> Outcome<()> {
    let settings = context.pyproject.path("tool.uv.config-settings");
    if settings.exists() {
        return Err(settings.needs_build("is handed to the build backend"));
    }
    let own = PackageName::new(&name(context)).ok();
    for key in ["tool.uv.config-settings-package", "tool.uv.extra-build-dependencies"] {
        for (package, at) in context.pyproject.path(key).entries()? {
            if PackageName::new(package).ok() == own {
                return Err(at.needs_build("changes how it is built"));
            }
        }
    }
    Ok(())
}
