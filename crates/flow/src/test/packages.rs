//! What tests need beside the image: the packages of a group that the image has not, as layers.
//!
//! The lock is read a second time, with the group; what is new is made into layers as an image's wheels are, and found in the
//! store the next time. The image's own packages stay what they are: where the group wants another version of one, that is told,
//! for tests of another environment than the image's say nothing of it.

use std::collections::BTreeMap;

use corten_diagnostic::{Event, Failure, Report};
use corten_frontend::python::LockKind;
use corten_oci::{Descriptor, DiffId};
use corten_plan::LockedWheel;

use crate::build::with_engine;
use crate::builds;
use crate::lower::lower_packages;
use crate::packages::{Packages, Wish, packages};
use crate::plan::{Planned, asked};
use crate::project::{Project, ProjectOptions};
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
    let Some(Choice { other, groups, why }) = choice(planned)? else {
        return Ok(Beside { choices: planned.packages.groups_left_out.clone(), ..Beside::default() });
    };
    let extras: Vec<String> = planned.project.settings.test.extras.iter().map(|extra| extra.value.clone()).collect();
    let mut wanted = asked(&planned.project, options);
    if other.is_some() {
        // Groups are those of the project's own lock.
        wanted.groups.clear();
        wanted.extras.clear();
    }
    wanted.groups.extend(groups);
    wanted.extras.extend(extras);
    let project = other.as_ref().unwrap_or(&planned.project);
    let wanted = unlocked::still_asked(&project.lock, wanted)?;
    let architectures = [planned.base.architecture];
    let wish = Wish { asked: &wanted, python: &planned.python, architectures: &architectures, renew: false };
    let all = packages(project, &wish, world)?;
    agree(&planned.packages, &all)?;
    let new = without(all, &planned.packages);
    let count = new.wheels.len() + new.builds.len();
    world.events.emit(Event::Decision { about: "beside", choice: &format!("{count} packages for tests"), why: &why });
    let layers = layers(planned, project, &new, world)?;
    let names =
        new.wheels.iter().map(|wheel| wheel.name.clone()).chain(new.builds.iter().map(|one| one.sdist.name.clone()));
    Ok(Beside { layers, choices: planned.packages.groups_left_out.clone(), names: names.collect() })
}

/// What tests need, as somebody says it.
struct Choice {
    /// With another lock than the project's own.
    other: Option<Project>,
    groups: Vec<String>,
    why: String,
}

/// None where nothing says what tests need.
fn choice(planned: &Planned) -> Result<Option<Choice>, Report> {
    let project = &planned.project;
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
    let there =
        |name: &&&str| planned.packages.groups.iter().chain(&planned.packages.groups_left_out).any(|one| one == **name);
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

/// What the image has not.
fn without(all: Packages, image: &Packages) -> Packages {
    let has = |name: &str| {
        let wheel = image.wheels.iter().any(|wheel| wheel.name == name);
        wheel || image.builds.iter().any(|build| build.sdist.name == name)
    };
    let Packages { wheels, builds, local, .. } = all;
    Packages {
        wheels: wheels.into_iter().filter(|wheel| !has(&wheel.name)).collect(),
        builds: builds.into_iter().filter(|build| !has(&build.sdist.name)).collect(),
        local: local.into_iter().filter(|one| !image.local.contains(one)).collect(),
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
