//! What tests need beside the image: the packages of a group that the image has not, as layers.
//!
//! The lock is read a second time, with the group; what is new is made into layers as an image's wheels are, and found in the
//! store the next time. The image's own packages stay what they are: where the group wants another version of one, that is told,
//! for tests of another environment than the image's say nothing of it.

use std::collections::BTreeMap;

use corten_diagnostic::{Event, Failure, Report};
use corten_frontend::python::{Asked, LockKind};
use corten_oci::{Descriptor, DiffId};
use corten_plan::{GeneratedFile, GeneratedKind, LockedWheel, Op, PythonTarget, Step, StepId};

use crate::build::{Making, with_engine};
use crate::builds;
use crate::lower::lower_packages;
use crate::packages::{Local, Packages, Wish, packages};
use crate::plan::{Planned, asked};
use crate::project::{Project, ProjectOptions};
use crate::registry::RegistryOptions;
use crate::scan::Inside;
use crate::start::VENV;
use crate::unlocked;
use crate::world::World;

/// Names of groups for tests, the likeliest first: those of uv, PEP 735's examples, poetry and pipenv.
const GROUPS: [&str; 5] = ["test", "tests", "testing", "dev", "develop"];
/// Their counterparts beside requirements.txt.
const FILES: [&str; 4] =
    ["requirements-test.txt", "requirements-dev.txt", "test-requirements.txt", "dev-requirements.txt"];

/// What lies over the image.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Lowest first.
    pub(super) layers: Vec<(DiffId, Descriptor)>,
    /// Groups that the lock has and nobody chose.
    pub(super) choices: Vec<String>,
    names: Vec<String>,
}

impl Beside {
    pub(super) fn has(&self, package: &str) -> bool {
        self.names.iter().any(|name| name == package)
    }
}

/// Makes the layers.
pub(super) fn beside(planned: &Planned, options: &ProjectOptions, world: &World<'_>) -> Result<Beside, Report> {
    let choices = planned.packages.groups_left_out.clone();
    let Some(choice) = choice(&planned.project, &planned.packages)? else {
        return Ok(Beside { choices, ..Beside::default() });
    };
    let all = choice.packages(asked(&planned.project, options), (&planned.project, &planned.python), world)?;
    agree(&planned.packages, &all)?;
    let new = without(all, &|name| planned.packages.has(name));
    let new = Packages { local: others(new.local, &planned.packages.local), ..new };
    choice.told(&new, world);
    let layers = layers(planned, choice.other.as_ref().unwrap_or(&planned.project), &new, world)?;
    Ok(Beside { layers, choices, names: names(&new) })
}

/// Makes the layers for an image of which is known what a look into it finds. A lock's packages without those for tests are the
/// image's own affair: where it lacks one, its tests show it.
pub(super) fn over(
    project: &Project,
    inside: &Inside,
    registry: &RegistryOptions,
    world: &World<'_>,
) -> Result<Beside, Report> {
    let plain = || Asked { no_default_groups: true, ..asked(project, &ProjectOptions::default()) };
    let architectures = [inside.python.architecture];
    let wanted = unlocked::still_asked(&project.lock, plain())?;
    let wish = Wish { asked: &wanted, python: &inside.python, architectures: &architectures, renew: false };
    let own = packages(project, &wish, world)?;
    let choices = own.groups_left_out.clone();
    let Some(choice) = choice(project, &own)? else { return Ok(Beside { choices, ..Beside::default() }) };
    let all = choice.packages(plain(), (project, &inside.python), world)?;
    for wheel in &all.wheels {
        if let Some(here) = inside.installed.get(&wheel.name).filter(|here| **here != wheel.version) {
            let LockedWheel { name, version, .. } = wheel;
            world
                .events
                .warning(&format!("the image has {name} {here}, the lock {version}: what is tested is the image"));
        }
    }
    let new = without(all, &|name| own.has(name) || inside.installed.contains_key(name));
    if let Some(build) = new.builds.first() {
        let name = &build.sdist.name;
        return Err(
            Failure::input(format!("{name} of the tests' group has no wheel, and would have to be built")).into()
        );
    }
    choice.told(&new, world);
    let (mut plan, mut wanted) = lower_packages(&new.wheels, None, &project.settings.layers, &inside.python);
    if !inside.has_venv && !new.wheels.is_empty() {
        wanted.push(StepId(plan.steps.len()));
        plan.steps.push(program_step(inside));
    }
    let making = Making { project, registry, package_of: &|_| None };
    let layers = making.with_engine(false, None, world, |engine| engine.layers(&plan, &wanted))?;
    let layers = layers.into_iter().map(|built| (built.layer.diff_id, built.layer.blob)).collect();
    Ok(Beside { layers, choices, names: names(&new) })
}

/// What the wheels' own programs name as theirs.
fn program_step(inside: &Inside) -> Step {
    let kind = GeneratedKind::Symlink(inside.interpreter.clone());
    let link = GeneratedFile { path: format!("{VENV}/bin/python"), kind, mode: 0o777, uid: 0, gid: 0 };
    Step { op: Op::Files { files: vec![link] }, inputs: Vec::new(), name: "for tests: their Python".to_owned() }
}

fn names(packages: &Packages) -> Vec<String> {
    let built = packages.builds.iter().map(|one| one.sdist.name.clone());
    packages.wheels.iter().map(|wheel| wheel.name.clone()).chain(built).collect()
}

/// What tests need, as somebody says it.
struct Choice {
    /// With another lock than the project's own.
    other: Option<Project>,
    groups: Vec<String>,
    why: String,
}

impl Choice {
    /// All packages: those that are asked for, with those for tests.
    fn packages(
        &self,
        mut wanted: Asked,
        (project, python): (&Project, &PythonTarget),
        world: &World<'_>,
    ) -> Result<Packages, Report> {
        if self.other.is_some() {
            // Groups are those of the project's own lock.
            wanted.groups.clear();
            wanted.extras.clear();
        }
        wanted.groups.extend(self.groups.clone());
        wanted.extras.extend(project.settings.test.extras.iter().map(|extra| extra.value.clone()));
        let project = self.other.as_ref().unwrap_or(project);
        let wanted = unlocked::still_asked(&project.lock, wanted)?;
        let architectures = [python.architecture];
        packages(project, &Wish { asked: &wanted, python, architectures: &architectures, renew: false }, world)
    }

    fn told(&self, new: &Packages, world: &World<'_>) {
        let choice = format!("{} packages for tests", new.wheels.len() + new.builds.len());
        world.events.emit(Event::Decision { about: "beside", choice: &choice, why: &self.why });
    }
}

/// None where nothing says what tests need. `own` are the packages without them.
fn choice(project: &Project, own: &Packages) -> Result<Option<Choice>, Report> {
    let settings = &project.settings.test;
    let set: Option<Vec<String>> =
        settings.groups.as_ref().map(|all| all.iter().map(|one| one.value.clone()).collect());
    if let Some(lock) = &settings.lock {
        let other = project.with_lock(&lock.value).map_err(|failure| match &lock.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        })?;
        let why = format!("{}, as [test] says", lock.value);
        return Ok(Some(Choice { other: Some(other), groups: set.unwrap_or_default(), why }));
    }
    if let Some(groups) = set {
        let why = format!("groups: {}, as [test] says", groups.join(", "));
        return Ok(Some(Choice { other: None, groups, why }));
    }
    let there = |name: &&&str| own.groups.iter().chain(&own.groups_left_out).any(|one| one == **name);
    if let Some(group) = GROUPS.iter().find(there) {
        let why = format!("the lock's group {group}");
        return Ok(Some(Choice { other: None, groups: vec![(*group).to_owned()], why }));
    }
    let beside =
        FILES.iter().find(|name| project.lock.kind == LockKind::Requirements && project.folder.join(name).is_file());
    if let Some(name) = beside {
        let why = format!("{name} lies beside {}", project.lock_name());
        return Ok(Some(Choice { other: Some(project.with_lock(name)?), groups: Vec::new(), why }));
    }
    match settings.extras.is_empty() {
        true => Ok(None),
        false => Ok(Some(Choice { other: None, groups: Vec::new(), why: "extras, as [test] says".to_owned() })),
    }
}

/// The image's packages are what is tested.
fn agree(image: &Packages, all: &Packages) -> Result<(), Failure> {
    let version = |wheel: &LockedWheel| (wheel.name.clone(), wheel.version.clone());
    let of = |packages: &Packages| -> BTreeMap<String, String> {
        packages.wheels.iter().chain(packages.builds.iter().map(|build| &build.sdist)).map(version).collect()
    };
    let (image, all) = (of(image), of(all));
    let differs = |(name, wanted): (&String, &String)| {
        let here = image.get(name).filter(|here| *here != wanted)?;
        Some(format!("{name} {wanted} where the image has {here}"))
    };
    let differences: Vec<String> = all.iter().filter_map(differs).collect();
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Failure::input(format!("the tests would have {}", differences.join(", ")))
            .hint("lock both together: what is tested is the image, with the packages that it has")),
    }
}

fn others(all: Vec<Local>, own: &[Local]) -> Vec<Local> {
    all.into_iter().filter(|one| !own.contains(one)).collect()
}

/// What the image has not.
fn without(all: Packages, has: &dyn Fn(&str) -> bool) -> Packages {
    let Packages { wheels, builds, local, .. } = all;
    Packages {
        wheels: wheels.into_iter().filter(|wheel| !has(&wheel.name)).collect(),
        builds: builds.into_iter().filter(|build| !has(&build.sdist.name)).collect(),
        local,
        sources: Vec::new(),
        groups: Vec::new(),
        groups_left_out: Vec::new(),
        warnings: Vec::new(),
        yanked: Vec::new(),
        recorded: BTreeMap::new(),
    }
}

fn layers(
    planned: &Planned,
    project: &Project,
    new: &Packages,
    world: &World<'_>,
) -> Result<Vec<(DiffId, Descriptor)>, Report> {
    // The same name elsewhere in the lock (a line that differs) is the same package.
    let own: Vec<&str> = planned.packages.local.iter().map(|one| one.name.as_str()).collect();
    if let Some(local) = new.local.iter().find(|local| !own.contains(&local.name.as_str())) {
        return Err(Failure::input(format!(
            "{} of the tests' group lies in {} of the project, and is not in the image",
            local.name, local.path
        ))
        .hint("mount it instead: name its folder in paths of [test], and put it into PYTHONPATH of env")
        .into());
    }
    let target = builds::Target { base: &planned.base, python: &planned.python, renew: false };
    let builds = builds::lock(project, new, &target, world)?;
    let builds = builds.map(|locked| builds::steps(project, new, locked, &planned.python));
    let (plan, wanted) = lower_packages(&new.wheels, builds, &planned.project.settings.layers, &planned.python);
    let layers = with_engine(planned, false, None, world, |engine| engine.layers(&plan, &wanted))?;
    Ok(layers.into_iter().map(|built| (built.layer.diff_id, built.layer.blob)).collect())
}
