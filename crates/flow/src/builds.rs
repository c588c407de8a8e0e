//! What building packages from source needs, pinned in corten.lock: a slim base, the settings' `build-packages` on top of
//! it, and for each package the wheels of its build requirements.
//!
//! The base is the one that images have too, so that its layer is made once; the packages are configured as far as their
//! scripts are understood, and unpacked otherwise: nothing of them is in an image.
//!
//! The base is of this machine's architecture, whatever the image's: its programs run here. What it gives for another
//! architecture has to be without compiled code.

use corten_diagnostic::{Failure, Report};
use corten_engine::convert;
use corten_install::debian::contents::{self, Sought};
use corten_install::debian::{self, BaseRequest, lock_base};
use corten_plan::{LockedBase, LockedBuild, LockedBuilds, LockedWheel, PythonTarget, Sdist, Variant};

use crate::base::{self, HOST, Sources};
use crate::debs;
use crate::packages::{Packages, lock_line};
use crate::plan::Planned;
use crate::project::Project;
use crate::remote::mirrored;
use crate::requirements::Resolver;
use crate::sdists::Needed;
use crate::start::VENV;
use crate::world::World;

/// What is built for.
pub struct Target<'a> {
    /// What the image stands on.
    pub base: &'a LockedBase,
    /// What the wheels run on.
    pub python: &'a PythonTarget,
    /// Pin everything anew.
    pub renew: bool,
}

/// What corten.lock pins, as far as it fits, completed; none where nothing has to be built.
pub fn lock(
    project: &Project,
    packages: &Packages,
    target: &Target<'_>,
    world: &World<'_>,
) -> Result<Option<LockedBuilds>, Report> {
    if packages.builds.is_empty() {
        return Ok(None);
    }
    let known = project.corten_lock.as_ref().and_then(|lock| lock.build.as_ref()).filter(|_| !target.renew);
    if target.base.archive.suite.is_empty() {
        return Err(unbuildable(packages, target.base).into());
    }
    let base = match known.map(|known| &known.base).filter(|base| fits(base, project, target)) {
        Some(base) => base.clone(),
        None => lock_build_base(project, target, world)?,
    };
    let here = base::python(&base)?;
    if here.version != target.python.version {
        let both = (here.minor(), target.python.minor());
        return Err(Failure::input(format!(
            "packages are to be built with Python {}, the image has {}",
            both.0, both.1
        ))
        .hint("take wheels for all packages, or another base")
        .into());
    }
    let mut resolver = Resolver::new(project, &here, world);
    let mut sdists = Vec::new();
    for build in &packages.builds {
        let known = known.and_then(|known| known.sdists.iter().find(|one| one.digest == build.sdist.digest));
        let requires = match known.filter(|known| known.name == build.sdist.name) {
            Some(known) => known.requires.clone(),
            None => {
                let requires = requirements(build);
                resolver.resolve(&requires).map_err(|error| unresolved(project, build, error))?
            }
        };
        sdists.push(LockedBuild { name: build.sdist.name.clone(), digest: build.sdist.digest, requires });
    }
    Ok(Some(LockedBuilds { base, sdists }))
}

/// Packages are built in a base of the same release, and the image says that it is of none that is known.
fn unbuildable(packages: &Packages, base: &LockedBase) -> Failure {
    let names: Vec<&str> = packages.builds.iter().map(|build| build.sdist.name.as_str()).collect();
    Failure::input(format!(
        "{} would have to be built from source, and {} is no Debian",
        names.join(", "),
        base.reference
    ))
    .hint("take wheels for all packages, or a base made from Debian's archive")
}

/// What a build needs, with what older versions of setuptools ask for when they run.
fn requirements(build: &Needed) -> Vec<String> {
    let wheel = build.backend.starts_with("setuptools.").then(|| "wheel".to_owned());
    build.requires.iter().cloned().chain(wheel).collect()
}

fn unresolved(project: &Project, build: &Needed, error: Report) -> Report {
    let why = format!("finding what building {} {} needs", build.sdist.name, build.sdist.version);
    let failure = match error.error().fault() {
        corten_diagnostic::Fault::World => Failure::world(format!("{why}: {}", error.error())),
        _ => Failure::input(format!("{why}: {}", error.error())),
    };
    let failure = error.error().hints().into_iter().fold(failure, Failure::hint);
    match build.line {
        0 => failure.into(),
        line => failure.at(lock_line(project, line)).into(),
    }
}

fn fits(base: &LockedBase, project: &Project, target: &Target<'_>) -> bool {
    let asked = debs::names(&project.settings.build_packages);
    let has = base.packages.as_ref().map(|added| added.asked.as_slice()).unwrap_or_default();
    let plain = base.variant == Variant::Slim && base.seeds.is_empty();
    plain && base.architecture == HOST && base.archive.suite == target.base.archive.suite && has == asked
}

fn lock_build_base(project: &Project, target: &Target<'_>, world: &World<'_>) -> Result<LockedBase, Report> {
    let request = BaseRequest {
        suite: &target.base.archive.suite,
        variant: debian::Variant::Slim,
        architecture: HOST,
        extra: &[],
        now: u64::try_from(world.now).unwrap_or(0),
        seen: Some(target.base.archive.epoch),
    };
    let sources = Sources::of(project)?;
    let locked = lock_base(&sources.archive(world), &request)?;
    let reference = format!("debian:{}", locked.suite);
    let base = convert::base_from_install(locked, reference, Variant::Slim);
    let packages = debs::lock(project, &base, &project.settings.build_packages, world)?;
    Ok(LockedBase { packages, ..base })
}

/// Names the package of something that a build lacks. Without an answer the build's error stands all the same.
pub fn package_of(planned: &Planned, sought: &Sought, world: &World<'_>) -> Option<String> {
    let state = &planned.base.archive;
    let request = BaseRequest {
        suite: &state.suite,
        variant: debian::Variant::Slim,
        architecture: HOST,
        extra: &[],
        now: u64::try_from(world.now).unwrap_or(0),
        seen: Some(state.epoch),
    };
    let sources = Sources::of(&planned.project).ok()?;
    match contents::package_of(&sources.archive(world), &request, sought) {
        Ok(package) => package,
        Err(error) => {
            world.events.warning(&format!("which Debian package has {sought} is not known: {error}"));
            None
        }
    }
}

/// What corten.lock holds when the image is for several processors, some of which have wheels where others build.
pub fn joined(wanted: Option<LockedBuilds>, found: Option<LockedBuilds>) -> Option<LockedBuilds> {
    let (mut wanted, found) = match (wanted, found) {
        (Some(wanted), Some(found)) => (wanted, found),
        (one, other) => return one.or(other),
    };
    let is_new = |one: &LockedBuild| wanted.sdists.iter().all(|known| known.digest != one.digest);
    let more: Vec<LockedBuild> = found.sdists.into_iter().filter(is_new).collect();
    wanted.sdists.extend(more);
    wanted.sdists.sort_by(|left, right| left.name.cmp(&right.name));
    Some(wanted)
}

/// The steps, and what they are built in.
pub fn steps(
    project: &Project,
    packages: &Packages,
    locked: LockedBuilds,
    python: &PythonTarget,
) -> (LockedBase, Vec<Sdist>) {
    let step = |(build, locked): (&Needed, LockedBuild)| Sdist {
        sdist: build.sdist.clone(),
        why: build.why.clone(),
        at: (build.line > 0).then(|| lock_line(project, build.line)),
        backend: build.backend.clone(),
        backend_path: build.backend_path.clone(),
        requires: locked.requires.into_iter().map(|wheel| from_mirror(project, wheel)).collect(),
        pure: python.architecture != HOST,
        prefix: VENV.into(),
        python: python.clone(),
    };
    let steps = packages.builds.iter().zip(locked.sdists).map(step).collect();
    (locked.base, steps)
}

fn from_mirror(project: &Project, wheel: LockedWheel) -> LockedWheel {
    LockedWheel { url: mirrored(project, &wheel.url), ..wheel }
}
