//! `corten test`: the project's tests in the very image that is built, with what they need laid over it for this run alone.
//!
//! ```text
//!  project ─► build ─► image (as `corten build` makes it; its digest is told)
//!     │                  │ its trees, and over them
//!     ├─► lock: the group's packages ─► layers that no image has ─┐
//!     └─► [test] paths ─► mounts, read-only ──────────────────────┴─► a container ─► exit status, JUnit report
//! ```
//!
//! What a Dockerfile builds is tested the same way ([`dockerfile`]).
//!
//! Nothing of this is written to the image: it is the same before and after, byte by byte. What a test changes is gone with the
//! container.

mod dockerfile;
mod packages;
mod report;

pub use dockerfile::test_dockerfile;

use std::path::{Path, PathBuf};

use corten_diagnostic::{Event, Failure, Report};
use corten_frontend::settings::{Setting, Settings, TestNetwork};
use corten_oci::{Descriptor, DiffId};

use crate::build::{BuildOptions, build};
use crate::plan::Planned;
use crate::project;
use crate::registry::RegistryOptions;
use crate::run::{self, NetworkChoice, Options, Outcome, Pull, Runnable, VolumeOption, Wanted};
use crate::world::World;
use packages::Beside;
use report::Junit;

/// What the command line says about tests.
#[derive(Debug, Clone, Default)]
pub struct TestOptions {
    /// What follows `--`: arguments for the project's command, or a command of its own.
    pub arguments: Vec<String>,
    /// Where the JUnit report goes, instead of the settings' place.
    pub junit: Option<PathBuf>,
    /// Instead of the settings' network.
    pub network: Option<NetworkChoice>,
    /// Variables, over those of the settings.
    pub environment: Vec<(String, String)>,
    /// stdin is open to the tests.
    pub is_interactive: bool,
    /// They have a terminal.
    pub has_terminal: bool,
}

/// Builds the image of a folder and runs the project's tests in it.
///
/// # Errors
/// Whatever keeps the image from being built, or the tests from being started. That they fail is an outcome.
pub fn test(
    folder: &Path,
    build_options: &BuildOptions,
    options: &TestOptions,
    world: &World<'_>,
) -> Result<Outcome, Report> {
    let outcome = build(folder, build_options, world)?;
    let (_, platform) = outcome.loadable();
    let part = outcome.parts().find(|(planned, _)| planned.base.architecture.to_string() == platform.architecture);
    let Some((planned, built)) = part else { return Err(Failure::bug("no platform was built").into()) };
    let digest = built.image.manifest.digest.to_string();
    let image = run::find(&digest, Pull::Never, None, &planned.registry, world)?;
    let beside = packages::beside(planned, &build_options.plan.project, world)?;
    let settings = &planned.project.settings;
    let command = command(planned, &beside, options)?;
    world.events.emit(Event::Decision { about: "test", choice: &command.join(" "), why: &format!("in {digest}") });
    let mounts = mounts(folder, settings, Path::new(&settings.workdir.value))?;
    let layers: Vec<(DiffId, Option<Descriptor>)> = image
        .layers
        .iter()
        .cloned()
        .chain(beside.layers.iter().map(|(diff, blob)| (*diff, Some(blob.clone()))))
        .collect();
    let (name, registry) = (settings.name.value.clone(), &planned.registry);
    let run = Trial { name, folder, settings, command, mounts, paths: Vec::new(), registry };
    run.run(Runnable { layers, ..image }, options, world)
}

/// Runs a command in an image that is there, with the tests of `folder` where it has some.
///
/// # Errors
/// Usage where nothing says what is to be run; whatever keeps it from being started.
pub fn test_image(
    image: &str,
    folder: &Path,
    registry: &RegistryOptions,
    options: &TestOptions,
    world: &World<'_>,
) -> Result<Outcome, Report> {
    let settings = Settings::read(&project::texts(folder)?)?;
    let command = match (&settings.test.command, is_command(folder, &options.arguments)) {
        (_, true) => options.arguments.clone(),
        (Some(set), false) => set.value.iter().chain(&options.arguments).cloned().collect(),
        (None, false) => {
            return Err(Failure::usage(format!("what is to be run in {image}?"))
                .hint(format!("corten test {image} -- COMMAND, for instance python -m pytest"))
                .hint("or write command = \"…\" under [test] in the settings")
                .into());
        }
    };
    let found = run::find(image, Pull::Missing, None, registry, world)?;
    let workdir = match found.config.config.working_dir.as_str() {
        "" => Path::new("/").to_owned(),
        folder => PathBuf::from(folder),
    };
    let mounts = mounts(folder, &settings, &workdir)?;
    let name = image.to_owned();
    let run = Trial { name, folder, settings: &settings, command, mounts, paths: Vec::new(), registry };
    run.run(found, options, world)
}

/// Is what follows `--` a command of its own? An option or a file of the project is for the command that there is.
fn is_command(folder: &Path, arguments: &[String]) -> bool {
    arguments.first().is_some_and(|first| !first.starts_with('-') && !is_of_project(folder, first))
}

/// `tests/test_a.py::test_one`?
fn is_of_project(folder: &Path, argument: &str) -> bool {
    let path = argument.split("::").next().unwrap_or_default();
    !path.is_empty() && !path.starts_with('-') && folder.join(path).exists()
}

/// What is run of a project.
fn command(planned: &Planned, beside: &Beside, options: &TestOptions) -> Result<Vec<String>, Failure> {
    let (folder, arguments) = (&planned.project.folder, &options.arguments);
    if is_command(folder, arguments) {
        return Ok(arguments.clone());
    }
    if let Some(set) = &planned.project.settings.test.command {
        return Ok(set.value.iter().chain(arguments).cloned().collect());
    }
    let there = planned.packages.wheels.iter().any(|wheel| wheel.name == "pytest") || beside.has("pytest");
    if !there {
        return Err(Failure::usage(
            "pytest is neither in the image nor in a group for tests, and no other command is set",
        )
        .hint(match beside.choices.as_slice() {
            [] => "put it into a dependency group named test, and lock again".to_owned(),
            groups => {
                format!("the lock has these groups: {}; say which with groups = […] under [test]", groups.join(", "))
            }
        })
        .hint("or write command = \"…\" under [test] in the settings"));
    }
    Ok(pytest("python", (folder, &planned.project.settings), arguments))
}

fn pytest(python: &str, (folder, settings): (&Path, &Settings), arguments: &[String]) -> Vec<String> {
    let mut command = [python, "-m", "pytest"].map(str::to_owned).to_vec();
    if !arguments.iter().any(|argument| is_of_project(folder, argument)) {
        // Files such as pytest.ini are read without being named.
        command.extend(paths(folder, settings).into_iter().filter(|path| folder.join(path).is_dir()));
    }
    command.extend(arguments.iter().cloned());
    command
}

/// What pytest looks for: folders of tests, fixtures of all, settings.
const USUAL: [&str; 8] =
    ["tests", "test", "conftest.py", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"];

/// What is mounted, below the project.
fn paths(folder: &Path, settings: &Settings) -> Vec<String> {
    match &settings.test.paths {
        Some(paths) => paths.iter().map(|path| path.value.clone()).collect(),
        None => USUAL.iter().filter(|name| folder.join(name).exists()).map(|name| (*name).to_owned()).collect(),
    }
}

fn mounts(folder: &Path, settings: &Settings, workdir: &Path) -> Result<Vec<VolumeOption>, Failure> {
    let root = std::path::absolute(folder)
        .map_err(|error| Failure::world(format!("finding {}: {error}", folder.display())))?;
    let missing = |path: &Setting<String>| !folder.join(&path.value).exists();
    if let Some(path) = settings.test.paths.iter().flatten().find(|path| missing(path)) {
        let failure = Failure::usage(format!("[test] paths: there is no {}", folder.join(&path.value).display()));
        return Err(match &path.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        });
    }
    let mount = |path: String| VolumeOption {
        source: corten_run::VolumeSource::Path(root.join(&path), false),
        target: workdir.join(path),
        is_read_only: true,
    };
    Ok(paths(folder, settings).into_iter().map(mount).collect())
}

/// One run.
struct Trial<'a> {
    /// For people.
    name: String,
    folder: &'a Path,
    settings: &'a Settings,
    command: Vec<String>,
    mounts: Vec<VolumeOption>,
    /// Variables with which packages are found that lie over the image; those of the settings and the user go before.
    paths: Vec<(String, String)>,
    registry: &'a RegistryOptions,
}

impl Trial<'_> {
    fn run(self, image: Runnable, options: &TestOptions, world: &World<'_>) -> Result<Outcome, Report> {
        let of_settings = self.settings.test.junit.as_ref().map(|path| self.folder.join(&path.value));
        let place = options.junit.clone().or(of_settings);
        let junit = place.map(|place| Junit::new(place, world.store)).transpose()?;
        let set = self.settings.test.network.as_ref().map(|network| match network.value {
            TestNetwork::Usual => NetworkChoice::Usual,
            TestNetwork::Host => NetworkChoice::Host,
            TestNetwork::None => NetworkChoice::None,
        });
        let environment = self.environment(&image, options, junit.as_ref());
        let run_options = Options {
            arguments: self.command.clone(),
            entrypoint: Some(String::new()),
            environment,
            volumes: self.mounts.iter().cloned().chain(junit.as_ref().map(Junit::mount)).collect(),
            network: options.network.or(set).unwrap_or_default(),
            is_interactive: options.is_interactive,
            has_terminal: options.has_terminal,
            is_removed: true,
            ..Options::default()
        };
        let wanted = Wanted {
            image: &self.name,
            pull: Pull::Never,
            platform: None,
            options: &run_options,
            registry: self.registry,
        };
        let mut outcome = run::run_found(&wanted, image, world)?;
        if let Some(junit) = junit {
            outcome.notes.push(junit.keep()?);
        }
        Ok(outcome)
    }

    /// What is mounted cannot be written to: caches go elsewhere.
    fn environment(
        &self,
        image: &Runnable,
        options: &TestOptions,
        junit: Option<&Junit>,
    ) -> std::collections::BTreeMap<String, String> {
        let mut all = std::collections::BTreeMap::from([
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ("COVERAGE_FILE".to_owned(), "/tmp/.coverage".to_owned()),
        ]);
        let of_image = image.config.config.env.iter().flatten().filter_map(|variable| variable.split_once('='));
        let set = self.settings.test.env.iter().map(|(name, value)| (name.as_str(), value.value.as_str()));
        let given = options.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let paths = self.paths.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let said: Vec<_> = of_image.chain(paths).chain(set).chain(given).collect();
        all.extend(said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let own = all.get("PYTEST_ADDOPTS").map(|own| format!(" {own}")).unwrap_or_default();
        let junit = junit.map(|_| format!(" --junitxml={}", report::INSIDE)).unwrap_or_default();
        all.insert("PYTEST_ADDOPTS".to_owned(), format!("-o cache_dir=/tmp/.pytest_cache{junit}{own}"));
        all
    }
}
