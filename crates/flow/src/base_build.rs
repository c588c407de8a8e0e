//! A base made from a project: what it stands on and Python packages of its lock, without the project itself. Other projects
//! stand on it, by digest, and install only what it lacks.
//!
//! It depends on the base and the packages alone: no commit, version or variable of the project is in it, and its time is
//! that of the archive. So it stays the same bytes until one of them changes.

use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_frontend::entry::{Certainty, Entry, Kind};
use corten_frontend::settings::{HealthSetting, Port, Setting, Settings};
use corten_oci::{ContainerConfig, Reference};
use corten_plan::{LockedBase, LockedWheel, Sdist};
use corten_store::layout;

use crate::blobs;
use crate::build::{BuildOptions, Outcome, build};
use crate::lower::Answers;
use crate::project::Project;
use crate::start::{self, VENV};
use crate::tags::rfc3339;
use crate::world::World;

/// Which packages of the lock a base has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Contents {
    /// All that the project installs, but for the project itself.
    #[default]
    All,
    /// These, by name; what they need is not followed.
    Named(Vec<String>),
    /// None.
    None,
}

impl Contents {
    /// Leaves in a plan's answers what the base has.
    ///
    /// # Errors
    /// Usage where a package is named that the lock does not install.
    pub fn narrow(&self, answers: &mut Answers, project: &Project) -> Result<(), Failure> {
        let names = match self {
            Self::All => return Ok(()),
            Self::Named(names) => names.iter().map(|name| normalised(name)).collect(),
            Self::None => Vec::new(),
        };
        let built = |builds: &Option<(LockedBase, Vec<Sdist>)>| -> Vec<String> {
            builds.iter().flat_map(|(_, sdists)| sdists).map(|one| one.sdist.name.clone()).collect()
        };
        let known: Vec<String> =
            answers.wheels.iter().map(|wheel| wheel.name.clone()).chain(built(&answers.builds)).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            let failure = Failure::usage(format!("--only {unknown}: {} does not install it here", project.lock_name()));
            return Err(match known.as_slice() {
                [] => failure,
                known => failure.hint(format!("it installs: {}", known.join(", "))),
            });
        }
        answers.wheels.retain(|wheel: &LockedWheel| names.contains(&wheel.name));
        if let Some((_, sdists)) = &mut answers.builds {
            sdists.retain(|one| names.contains(&one.sdist.name));
        }
        if built(&answers.builds).is_empty() {
            answers.builds = None;
        }
        Ok(())
    }
}

fn normalised(name: &str) -> String {
    corten_package::PackageName::new(name).map_or_else(|_| name.to_owned(), |name| name.as_str().to_owned())
}

/// What starts where nothing is said: Python.
pub fn entry() -> Entry {
    Entry {
        command: vec![format!("/{VENV}/bin/python")],
        rule: "a base starts Python".to_owned(),
        certainty: Certainty::Certain,
        at: None,
        web: false,
        kind: Kind::Script,
        health_path: None,
        python_path: String::new(),
        env: Vec::new(),
        warning: None,
    }
}

/// The config of a base: nothing of the project but its user.
pub fn config(settings: &Settings) -> ContainerConfig {
    let mut bare = settings.clone();
    bare.env.clear();
    bare.port = Setting::default_of(Port::None);
    bare.healthcheck = Setting::default_of(HealthSetting::Off);
    bare.entrypoint = None;
    bare.workdir = Setting::default_of("/".to_owned());
    let mut config = start::config(&bare, &entry());
    if let Some(variables) = &mut config.env {
        variables.retain(|variable| !variable.starts_with("PYTHONPATH="));
    }
    config
}

/// When a base was made: when the archive was as it is in it.
pub fn created(base: &LockedBase) -> Result<Option<String>, Failure> {
    let epoch = i64::try_from(base.archive.epoch).ok().filter(|epoch| *epoch > 0);
    epoch.map(rfc3339).transpose()
}

/// What is asked of a base.
#[derive(Debug, Clone)]
pub struct BaseOptions {
    /// What to build; which packages.
    pub build: BuildOptions,
    /// What the store calls it; none: by the project, with "-base".
    pub name: Option<Reference>,
    /// An OCI layout that gets it, too.
    pub layout: Option<std::path::PathBuf>,
}

/// Builds a base into the store: the image, and its name.
pub fn build_base(folder: &Path, options: &BaseOptions, world: &World<'_>) -> Result<(Outcome, Reference), Report> {
    let outcome = build(folder, &options.build, world)?;
    let usual = || {
        let name = format!("{}-base:latest", outcome.planned.project.settings.name.value);
        name.parse().map_err(|error| Failure::usage(format!("the name of the base: {error}")))
    };
    let name: Reference = options.name.clone().map_or_else(usual, Ok)?;
    let names = std::slice::from_ref(&name);
    if let Some(layout) = &options.layout {
        let what = format!("writing {}", layout.display());
        blobs::bring_image(&outcome.root().digest, &what, &options.build.plan.registry, world)?;
        layout::export(world.store, &outcome.root().digest, names, layout)?;
    }
    outcome.name(names, world)?;
    Ok((outcome, name))
}
