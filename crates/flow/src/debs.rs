//! Debian packages beside those of the base: what corten.lock pins, or else what the archive has now.

use corten_diagnostic::{Diagnose, Event, Failure, Fault, Report, Span};
use corten_engine::convert;
use corten_frontend::settings::Setting;
use corten_install::debian::base::check_name;
use corten_install::debian::{ArchiveError, BaseRequest, lock_packages, solver::SolveError};
use corten_plan::{LockedBase, LockedPackages};

use crate::base::Sources;
use crate::project::Project;
use crate::world::World;

/// What the settings add to `base`; what is pinned with it, if that is what is asked for.
pub fn added(project: &Project, base: &LockedBase, world: &World<'_>) -> Result<Option<LockedPackages>, Report> {
    let asked = names(&project.settings.packages);
    if asked.is_empty() {
        return Ok(None);
    }
    let known = base.packages.clone().filter(|added| added.asked == asked);
    let added =
        known.map_or_else(|| lock(project, base, &project.settings.packages, world), |known| Ok(Some(known)))?;
    let Some(added) = added else { return Ok(None) };
    let unconfigured = unconfigured(project);
    for deb in added.debs.iter().filter(|deb| !unconfigured.contains(&deb.name)) {
        check_name(&deb.name).map_err(|error| refused(error.into(), project))?;
    }
    let why = format!("{} in all, beside those of the base", added.debs.len());
    world.events.emit(Event::Decision { about: "debian packages", choice: &added.asked.join(" "), why: &why });
    Ok(Some(added))
}

/// Packages that may stay as they are unpacked, sorted.
pub fn unconfigured(project: &Project) -> Vec<String> {
    names(&project.settings.allow_unconfigured)
}

/// What is new in what is added, for people.
pub fn change(old: Option<&LockedPackages>, new: Option<&LockedPackages>) -> Option<String> {
    match (old, new) {
        (old, new) if old == new => None,
        (Some(old), None) => Some(format!("{} no longer added to the base", old.asked.join(" "))),
        (Some(old), Some(new)) if old.asked == new.asked => {
            let same = |deb: &&corten_plan::LockedDeb| !old.debs.contains(deb);
            let changed: Vec<_> =
                new.debs.iter().filter(same).map(|deb| format!("{} {}", deb.name, deb.version)).collect();
            Some(format!("packages beside the base: {}", changed.join(", ")))
        }
        (_, Some(new)) => {
            Some(format!("{} added to the base, {} packages in all", new.asked.join(" "), new.debs.len()))
        }
        (None, None) => None,
    }
}

/// Sorted, each once.
pub fn names(settings: &[Setting<String>]) -> Vec<String> {
    let mut names: Vec<String> = settings.iter().map(|setting| setting.value.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Pins what `settings` add to a base, as the archive has it now; none where they add nothing.
pub fn lock(
    project: &Project,
    base: &LockedBase,
    settings: &[Setting<String>],
    world: &World<'_>,
) -> Result<Option<LockedPackages>, Report> {
    let asked = names(settings);
    if asked.is_empty() {
        return Ok(None);
    }
    let sources = Sources::of(project)?;
    let debs: Vec<_> = base.debs.iter().map(convert::to_install).collect();
    let request = request(base, &asked, world);
    let found = lock_packages(&sources.archive(world), &request, &debs);
    let found = found.map_err(|error| at_setting(error, settings))?;
    let debs = found.debs.into_iter().map(convert::from_install).collect();
    Ok(Some(LockedPackages { asked, epoch: found.epoch, debs }))
}

/// What the archive is asked, beside a base.
pub fn request<'a>(base: &'a LockedBase, extra: &'a [String], world: &World<'_>) -> BaseRequest<'a> {
    BaseRequest {
        suite: &base.archive.suite,
        variant: convert::variant(base.variant),
        architecture: base.architecture,
        extra,
        now: u64::try_from(world.now).unwrap_or(0),
        seen: Some(base.archive.epoch),
    }
}

/// Points at the name that the archive has not, or not so.
fn at_setting(error: ArchiveError, settings: &[Setting<String>]) -> Report {
    let name = match &error {
        ArchiveError::Unknown { name, .. } | ArchiveError::Solve(SolveError::Virtual { name, .. }) => name,
        ArchiveError::Solve(SolveError::Unmet { chain, .. } | SolveError::Conflict { left: chain, .. }) => {
            match chain.first() {
                Some(first) => first,
                None => return error.into(),
            }
        }
        ArchiveError::Partial { package } | ArchiveError::Outdated { package, .. } => package,
        _ => return error.into(),
    };
    let at = place(name, settings);
    pointed(error, at)
}

/// Points at the package whose script is not known, or at the only one that can have brought it.
pub fn refused(error: Report, project: &Project) -> Report {
    let settings = &project.settings.packages;
    match error.error().subject() {
        Some(name) if !settings.is_empty() => {
            let only = settings.first().filter(|_| settings.len() == 1).and_then(|only| only.at.clone());
            match place(name, settings).or(only) {
                Some(at) => pointed_at(error.error(), at),
                None => error,
            }
        }
        _ => error,
    }
}

fn place(name: &str, settings: &[Setting<String>]) -> Option<Span> {
    settings.iter().find(|setting| setting.value == *name).and_then(|setting| setting.at.clone())
}

fn pointed(error: ArchiveError, at: Option<Span>) -> Report {
    match at {
        Some(at) => pointed_at(&error, at),
        None => error.into(),
    }
}

fn pointed_at(error: &dyn Diagnose, at: Span) -> Report {
    let failure = match error.fault() {
        Fault::Usage => Failure::usage(error.to_string()),
        _ => Failure::input(error.to_string()),
    };
    error.hints().into_iter().fold(failure.at(at), Failure::hint).into()
}
