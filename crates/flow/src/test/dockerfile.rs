//! Tests of a project that its Dockerfile builds.
//!
//! | what is run | where |
//! |---|---|
//! | the target's image, packages for tests laid over it | the folder has a lock whose wheels fit the image's Python |
//! | the stage `test`, as its CMD says | there is no such lock, or nothing in it is for tests |
//! | the target's image as it is | there is no such stage either |
//!
//! `--target` says which stage, and that is taken then.

use std::path::{Path, PathBuf};

use corten_diagnostic::{Diagnose, Event, Failure, Fault, Nobody, Report};
use corten_engine::stages::Progress;
use corten_frontend::dockerfile::Keyword;
use corten_frontend::settings::{Frontend, Settings};
use corten_oci::ContainerConfig;

use super::packages::{self, Beside};
use super::{Trial, is_command, mounts, pytest};
use crate::dockerfile::{Outcome as Built, Request, Way, build, call};
use crate::project::{self, Project, ProjectOptions};
use crate::run::{self, Outcome, Pull, Runnable};
use crate::scan::{Inside, inside, packages as packages_of};
use crate::start::VENV;
use crate::test::TestOptions;
use crate::world::World;

/// The stage that is for tests, where there is one of this name.
const STAGE: &str = "test";

/// Builds what a Dockerfile says and runs the project's tests in it.
///
/// # Errors
/// Whatever keeps the image from being built, or the tests from being started. That they fail is an outcome.
pub fn test_dockerfile(
    request: &Request,
    way: &Way,
    options: &TestOptions,
    progress: &dyn Progress,
    world: &World<'_>,
) -> Result<Outcome, Report> {
    let folder = folder(request)?;
    let trial = DockerfileTrial {
        folder,
        settings: Settings::read(&project::texts(folder)?)?,
        request,
        way,
        options,
        progress,
        world,
    };
    trial.run()
}

/// Tests are mounted from a folder of this machine.
fn folder(request: &Request) -> Result<&Path, Failure> {
    let folder = Path::new(&request.context);
    match folder.is_dir() && request.file.as_deref() != Some("-") {
        true => Ok(folder),
        false => Err(Failure::usage(format!("corten test {}: the tests are mounted from a folder", request.context))
            .hint("give the project's folder, and its Dockerfile as a file")),
    }
}

struct DockerfileTrial<'a> {
    folder: &'a Path,
    settings: Settings,
    request: &'a Request,
    way: &'a Way,
    options: &'a TestOptions,
    progress: &'a dyn Progress,
    world: &'a World<'a>,
}

impl DockerfileTrial<'_> {
    fn run(&self) -> Result<Outcome, Report> {
        let targets = call(self.request, &mut std::io::empty(), self.world)?.readable?.targets(self.request)?;
        let has_stage =
            self.request.target.is_none() && targets.iter().any(|target| target.name.as_deref() == Some(STAGE));
        let lock = match self.lock() {
            Ok(lock) => lock,
            Err(why) if why.fault() == Fault::World => return Err(why.into()),
            Err(why) => self.without(&why.to_string()),
        };
        if lock.is_none() && has_stage {
            return self.stage();
        }
        let built = self.build(self.request)?;
        let image = self.image(&built)?;
        let found = match self.look(&image) {
            Ok(found) => Some(found),
            // Where nothing is to be laid over it, it need not be Python's.
            Err(report) if lock.is_none() && report.error().fault() == Fault::Input => None,
            Err(report) if report.error().fault() == Fault::Input => self.without(&report.error().to_string()),
            Err(report) => return Err(report),
        };
        let beside = match (&lock, &found) {
            (Some(project), Some(inside)) => self.over(project, inside)?,
            _ => None,
        };
        if beside.as_ref().is_none_or(|beside| beside.layers.is_empty()) && has_stage {
            return self.stage();
        }
        let beside = beside.unwrap_or_default();
        let has_pytest = beside.has("pytest") || self.has_pytest(&image, found.as_ref())?;
        let command = self.command(has_pytest, &beside, None)?;
        self.start(&built, image, command, (&beside, found.as_ref()))
    }

    /// In the stage that is for tests.
    fn stage(&self) -> Result<Outcome, Report> {
        let target = Some(STAGE.to_owned());
        let built = self.build(&Request { target, ..self.request.clone() })?;
        let image = self.image(&built)?;
        let found = match self.look(&image) {
            Err(report) if report.error().fault() == Fault::Input => None,
            found => Some(found?),
        };
        let own = own_command(&built, &image.config.config);
        let is_said = self.settings.test.command.is_some() || is_command(self.folder, &self.options.arguments);
        let has_pytest = self.has_pytest(&image, found.as_ref())?;
        if own.is_none() && !is_said && !has_pytest {
            let note = format!("the stage {STAGE} was built, and has no CMD of its own: its RUN are the tests");
            return Ok(Outcome { status: 0, why: None, notes: vec![note] });
        }
        let beside = Beside::default();
        let command = self.command(has_pytest, &beside, own)?;
        self.start(&built, image, command, (&beside, None))
    }

    /// The lock of the folder, where it has one.
    fn lock(&self) -> Result<Option<Project>, Failure> {
        if !project::has_lock(self.folder)? {
            return Ok(None);
        }
        let options = ProjectOptions { frontend: Some(Frontend::Native), ..ProjectOptions::default() };
        Project::open(self.folder, &options, &Nobody).map(Some)
    }

    /// Nothing is laid over, and why.
    fn without<T>(&self, why: &str) -> Option<T> {
        self.world.events.note(&format!("no packages for tests are laid over the image: {why}"));
        None
    }

    fn build(&self, request: &Request) -> Result<Built, Report> {
        build(request, self.way, &mut std::io::empty(), self.progress, self.world)
    }

    fn image(&self, built: &Built) -> Result<Runnable, Report> {
        run::find(&built.id.to_string(), Pull::Never, None, &self.request.registry, self.world)
    }

    fn look(&self, image: &Runnable) -> Result<Inside, Report> {
        let layers = self.world.store.local_layers(&image.config)?;
        let environment = image.config.config.env.as_deref().unwrap_or_default();
        inside(&layers, environment, &self.request.registry, self.world)
    }

    /// Also in an image whose Python takes other wheels, as those made with musl have.
    fn has_pytest(&self, image: &Runnable, inside: Option<&Inside>) -> Result<bool, Report> {
        if let Some(inside) = inside {
            return Ok(inside.installed.contains_key("pytest"));
        }
        let layers = self.world.store.local_layers(&image.config)?;
        let found = packages_of(&layers, &self.request.registry, self.world)?;
        Ok(found.iter().any(|package| package.purl.starts_with("pkg:pypi/pytest@")))
    }

    fn over(&self, project: &Project, inside: &Inside) -> Result<Option<Beside>, Report> {
        self.world.indexes.introduce(project, self.world.client);
        match packages::over(project, inside, &self.request.registry, self.world) {
            Ok(beside) => Ok(Some(beside)),
            Err(report) if report.error().fault() == Fault::Input => {
                Ok(self.without(&format!("{}: {}", project.lock_name(), report.error())))
            }
            Err(report) => Err(report),
        }
    }

    /// `own`: what the image runs by itself.
    fn command(&self, has_pytest: bool, beside: &Beside, own: Option<Vec<String>>) -> Result<Vec<String>, Failure> {
        let arguments = &self.options.arguments;
        if is_command(self.folder, arguments) {
            return Ok(arguments.clone());
        }
        let with = |command: &[String]| command.iter().chain(arguments).cloned().collect();
        if let Some(set) = &self.settings.test.command {
            return Ok(with(&set.value));
        }
        if let Some(own) = own {
            if is_line(&own) && !arguments.is_empty() {
                return Err(Failure::usage(format!(
                    "the CMD of the stage {STAGE} is a line for a shell, and takes no arguments"
                ))
                .hint("write it as CMD [\"pytest\"], or write command = \"…\" under [test] in the settings"));
            }
            return Ok(with(&own));
        }
        match has_pytest {
            true => Ok(pytest("python3", (self.folder, &self.settings), arguments)),
            false => Err(self.nothing(beside)),
        }
    }

    fn nothing(&self, beside: &Beside) -> Failure {
        let failure = Failure::usage("what is to be run? pytest is not in the image, and no command is set")
            .hint("write command = \"…\" under [test] in the settings, or corten test . -- COMMAND")
            .hint(format!("a stage `FROM … AS {STAGE}` with what tests need is taken by itself"));
        match beside.choices.as_slice() {
            [] => failure,
            groups => failure.hint(format!(
                "the lock has these groups: {}; say which with groups = […] under [test]",
                groups.join(", ")
            )),
        }
    }

    fn start(
        &self,
        built: &Built,
        image: Runnable,
        command: Vec<String>,
        (beside, inside): (&Beside, Option<&Inside>),
    ) -> Result<Outcome, Report> {
        let why = format!("in {}", built.id);
        self.world.events.emit(Event::Decision { about: "test", choice: &command.join(" "), why: &why });
        let workdir = match image.config.config.working_dir.as_str() {
            "" => PathBuf::from("/"),
            folder => PathBuf::from(folder),
        };
        let mounts = mounts(self.folder, &self.settings, &workdir)?;
        let paths = match inside {
            Some(inside) if !beside.layers.is_empty() => paths(&image.config.config, inside),
            _ => Vec::new(),
        };
        let over = beside.layers.iter().map(|(diff, blob)| (*diff, Some(blob.clone())));
        let layers = image.layers.iter().cloned().chain(over).collect();
        let (settings, registry) = (&self.settings, &self.request.registry);
        let name = self.settings.name.value.clone();
        Trial { name, folder: self.folder, settings, command, mounts, paths, registry }.run(
            Runnable { layers, ..image },
            self.options,
            self.world,
        )
    }
}

/// The stage's own CMD and ENTRYPOINT; none where it only inherits them.
fn own_command(built: &Built, config: &ContainerConfig) -> Option<Vec<String>> {
    let instructions = &built.planned.dockerfile.instructions;
    let mut is_stage = false;
    let mut is_own = false;
    for instruction in instructions {
        match instruction.keyword {
            Keyword::From => {
                let mut words = instruction.line.text.split_whitespace().rev();
                let is_named = words.next().is_some_and(|name| name.eq_ignore_ascii_case(STAGE));
                is_stage = is_named && words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
                is_own &= !is_stage;
            }
            Keyword::Cmd | Keyword::Entrypoint => is_own |= is_stage,
            _ => {}
        }
    }
    let all = config.entrypoint.iter().chain(&config.cmd).flatten().cloned().collect::<Vec<_>>();
    (is_own && !all.is_empty()).then_some(all)
}

/// Is it a line for a shell, as CMD without brackets is?
fn is_line(command: &[String]) -> bool {
    let [shell, .., option, _] = command else { return false };
    let name = shell.rsplit('/').next().unwrap_or_default();
    option == "-c" && ["sh", "ash", "bash", "dash"].contains(&name)
}

/// Where the packages that are laid over the image are found: behind what the image itself says.
fn paths(config: &ContainerConfig, inside: &Inside) -> Vec<(String, String)> {
    let of_image = |name: &str| {
        let variable = config.env.iter().flatten().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        variable.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let joined = |name: &str, more: String| {
        let value = of_image(name).map_or_else(|| more.clone(), |before| format!("{before}:{more}"));
        (name.to_owned(), value)
    };
    let path = of_image("PATH").map(|_| joined("PATH", format!("/{VENV}/bin")));
    let library = joined("PYTHONPATH", format!("/{VENV}/lib/python{}/site-packages", inside.python.minor()));
    // In a virtual environment at that place they are found as its own are.
    path.into_iter().chain((!inside.has_venv).then_some(library)).collect()
}
