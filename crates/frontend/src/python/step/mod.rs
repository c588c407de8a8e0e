//! Does a lock still belong to its manifest?
//!
//! Some locks keep a hash ([`hashed`]). uv.lock keeps what the manifests asked for (`[package.metadata]`); it is compared with what they ask for now, by
//! meaning: names, extras, conditions and markers in any order and spelling, with `tool.uv.sources` put in. A pylock or
//! requirements file keeps nothing of the kind: there only contradictions can be seen.

mod hashed;
mod json;
mod wishes;

use std::collections::BTreeSet;

use corten_diagnostic::Failure;
use corten_package::PackageName;
use corten_package::marker::{Marker, same_union};
use corten_package::pep440::{Specifiers, Version};

use super::manifest::requirement;
use super::{LockKind, LockText, Manifest, pylock, requirements, uv};
use wishes::{Context, Here, Wishes};

/// Does a lock belong to a manifest?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InStep {
    /// As far as the lock tells, yes.
    Yes,
    /// No: what has changed, one line each.
    No(Vec<String>),
    /// Cannot be told, for this reason.
    Unknown(String),
}

/// Compares `lock` with the manifest beside it and those of the workspace's `members` and path dependencies (each with
/// its folder relative to the lock).
///
/// # Errors
/// The lock does not parse.
pub fn in_step(
    lock: &LockText,
    manifest: Option<&Manifest>,
    members: &[(String, Manifest)],
) -> Result<InStep, Failure> {
    lock.check_size()?;
    let Some(manifest) = manifest else {
        return match lock.kind {
            LockKind::Pipenv => hashed::with_pipfile(lock),
            _ => Ok(InStep::Unknown("there is no pyproject.toml".to_owned())),
        };
    };
    match lock.kind {
        LockKind::Uv => Ok(with_uv(&uv::parse(lock)?, manifest, members)),
        LockKind::Pylock => Ok(with_pins(&pylock::pins(lock)?, manifest, true)),
        LockKind::Requirements => Ok(with_pins(&requirements::pins(lock), manifest, false)),
        LockKind::Poetry => hashed::with_poetry(lock, manifest),
        LockKind::Pdm => hashed::with_pdm(lock, manifest),
        LockKind::Pipenv => hashed::with_pipfile(lock),
        LockKind::Pixi | LockKind::Conda => Ok(InStep::Unknown("it does not say what it was made from".to_owned())),
    }
}

/// The folders whose pyproject.toml [`in_step`] wants as `members`, relative to the lock: the workspace's members and
/// path dependencies of a uv.lock.
///
/// # Errors
/// The lock does not parse.
pub fn members(lock: &LockText) -> Result<Vec<String>, Failure> {
    // Most locks have none, and reading a large one takes longer than all else that a repeated build does.
    let elsewhere = |line: &str| {
        let folder = ["editable", "virtual", "directory"].iter().any(|kind| line.contains(kind));
        folder && !line.contains("= \".\"")
    };
    let sources = || lock.text.lines().filter(|line| line.starts_with("source"));
    if lock.kind != LockKind::Uv || !sources().any(elsewhere) {
        return Ok(Vec::new());
    }
    lock.check_size()?;
    let parsed = uv::parse(lock)?;
    let folders = parsed.packages.iter().filter_map(|package| package.source.folder());
    let folders: BTreeSet<String> =
        folders.map(|(folder, _)| folder.to_owned()).filter(|folder| folder != ".").collect();
    Ok(folders.into_iter().collect())
}

/// What has been found so far.
#[derive(Default)]
struct Report {
    changed: Vec<String>,
    unknown: Option<String>,
}

impl Report {
    fn answer(self) -> InStep {
        match (self.changed.is_empty(), self.unknown) {
            (false, _) => InStep::No(self.changed),
            (true, Some(reason)) => InStep::Unknown(reason),
            (true, None) => InStep::Yes,
        }
    }
}

fn with_uv(lock: &uv::Lock, root: &Manifest, members: &[(String, Manifest)]) -> InStep {
    let mut report = Report::default();
    let supported = lock.requires_python.as_ref().map(|text| text.get_ref().parse::<Specifiers>().unwrap_or_default());
    let supported = supported.unwrap_or_default();
    let local = lock.packages.iter().filter(|package| package.source.folder().is_some());
    let here: Here = local.map(|package| package.name.get_ref().clone()).collect();
    let mut pythons = Vec::new();
    for package in &lock.packages {
        let Some((folder, _)) = package.source.folder() else { continue };
        let member =
            members.iter().find(|(path, _)| path.trim_end_matches('/') == folder).map(|(_, manifest)| manifest);
        let Some(manifest) = (if folder == "." { Some(root) } else { member }) else {
            report.unknown.get_or_insert(format!("the manifest in {folder} is not here"));
            continue;
        };
        pythons.extend(manifest.requires_python().and_then(|text| text.parse::<Specifiers>().ok()));
        let member = folder == "." || lock.manifest.members.contains(package.name.get_ref());
        let context = Context { root: if member { root } else { manifest }, manifest, here: &here };
        compare_project(package, &context, &supported, &mut report);
    }
    let listed = |name: &PackageName| lock.packages.iter().any(|package| package.name.get_ref() == name);
    for name in members.iter().filter_map(|(_, manifest)| manifest.name()).chain(root.name()) {
        if !listed(name) {
            report.changed.push(format!("the project '{name}' is not in it"));
        }
    }
    compare_python(&supported, &pythons, &mut report);
    if root.name().is_none() {
        let context = Context { root, manifest: root, here: &here };
        compare_groups(&lock.manifest.dependency_groups, &context, &supported, &mut report);
    }
    compare_overrides(lock, root, &mut report);
    report.answer()
}

fn compare_project(package: &uv::Package, context: &Context<'_>, supported: &Specifiers, report: &mut Report) {
    let Some(project) = &context.manifest.content.project else { return };
    let name = &project.name;
    let versions = [package.version.as_deref(), project.version.as_deref()].map(|text| text?.parse::<Version>().ok());
    if let [Some(locked), Some(now)] = &versions
        && locked != now
    {
        report.changed.push(format!("the version of '{name}' was {locked}, is {now}"));
    }
    let metadata = match &package.metadata {
        Some(metadata) => metadata,
        None => &uv::Metadata::default(),
    };
    compare_groups(&metadata.requires_dev, context, supported, report);
    if let Some(what) = project.dynamic.iter().find(|what| what.ends_with("dependencies")) {
        report.unknown.get_or_insert(format!("the {what} of '{name}' are dynamic: its build backend computes them"));
        return;
    }
    let locked = Wishes::locked(&metadata.requires_dist, context.here);
    match (locked, context.project()) {
        (Ok(locked), Ok(now)) => report.changed.extend(now.differences(&locked, supported, &format!("'{name}'"))),
        (Err(reason), _) | (_, Err(reason)) => {
            report.unknown.get_or_insert(reason);
        }
    }
    let extras: Vec<_> =
        project.optional_dependencies.keys().filter(|extra| !metadata.provides_extras.contains(extra)).collect();
    let told = !metadata.provides_extras.is_empty();
    report.changed.extend(extras.iter().filter(|_| told).map(|extra| format!("'{name}' has a new extra '{extra}'")));
    let gone = metadata.provides_extras.iter().filter(|extra| !project.optional_dependencies.contains_key(*extra));
    report.changed.extend(gone.map(|extra| format!("'{name}' has no extra '{extra}' any more")));
}

type Groups = std::collections::BTreeMap<PackageName, Vec<uv::MetadataRequirement>>;

fn compare_groups(locked: &Groups, context: &Context<'_>, supported: &Specifiers, report: &mut Report) {
    let content = &context.manifest.content;
    let dev = PackageName::new("dev").ok().filter(|_| !content.tool.uv.dev_dependencies.is_empty());
    let names: std::collections::BTreeSet<_> =
        content.dependency_groups.keys().chain(&dev).chain(locked.keys()).collect();
    for name in names {
        let known = content.dependency_groups.contains_key(name) || dev.as_ref() == Some(name);
        let now = if known { context.group(name) } else { Ok(Wishes::default()) };
        let locked = Wishes::locked(locked.get(name).map(Vec::as_slice).unwrap_or_default(), context.here);
        match (locked, now) {
            (Ok(locked), Ok(now)) => {
                report.changed.extend(now.differences(&locked, supported, &format!("the group '{name}'")));
            }
            (Err(reason), _) | (_, Err(reason)) => {
                report.unknown.get_or_insert(reason);
            }
        }
    }
}

/// The lock's range is what all members allow together.
fn compare_python(locked: &Specifiers, now: &[Specifiers], report: &mut Report) {
    let none = Specifiers::default();
    let together = now.iter().map(Marker::python).reduce(Marker::and);
    if !same_union(&[together.as_ref()], &[Some(&Marker::python(locked))], &none) && report.unknown.is_none() {
        let texts: Vec<_> = now.iter().map(Specifiers::to_string).collect();
        report.changed.push(format!("requires-python was '{locked}', is '{}'", texts.join(", ")));
    }
}

/// Overrides and constraints, by name and versions; those with a source of their own are left out.
fn compare_overrides(lock: &uv::Lock, root: &Manifest, report: &mut Report) {
    let settings = &root.content.tool.uv;
    for (what, locked, now) in [
        ("override", &lock.manifest.overrides, &settings.override_dependencies),
        ("constraint", &lock.manifest.constraints, &settings.constraint_dependencies),
    ] {
        let plain = |name: &PackageName| !settings.sources.contains_key(name);
        let text = |name: &PackageName, versions: &Specifiers| format!("{name}{}", versions.canonical());
        let locked: Vec<String> = locked
            .iter()
            .filter(|locked| plain(&locked.name))
            .map(|locked| {
                text(&locked.name, &locked.specifier.as_deref().unwrap_or_default().parse().unwrap_or_default())
            })
            .collect();
        let read = now.iter().filter_map(|value| requirement(value.as_str()?).ok());
        let now: Vec<String> = read
            .filter(|now| plain(&now.name))
            .filter_map(|now| match &now.source {
                corten_package::Source::Versions(versions) => Some(text(&now.name, versions)),
                corten_package::Source::Url(_) => None,
            })
            .collect();
        let added = now.iter().filter(|one| !locked.contains(one)).map(|one| format!("{what} {one} is new"));
        let gone = locked.iter().filter(|one| !now.contains(one)).map(|one| format!("{what} {one} is gone"));
        report.changed.extend(added.chain(gone));
    }
}

/// What `uv pip compile` and pip-compile leave out of what they write.
const LEFT_OUT: [&str; 3] = ["pip", "setuptools", "distribute"];

/// `complete`: the lock is of the project as a whole, so what it lacks is missing.
fn with_pins(pins: &[(PackageName, Version)], manifest: &Manifest, complete: bool) -> InStep {
    let mut report = Report::default();
    let texts = manifest.content.project.iter().flat_map(|project| &project.dependencies);
    for wanted in texts.filter_map(|text| requirement(text).ok()) {
        let corten_package::Source::Versions(versions) = &wanted.source else { continue };
        let mine: Vec<_> = pins.iter().filter(|(name, _)| *name == wanted.name).map(|(_, version)| version).collect();
        let unconditional = wanted.marker.is_none() && !manifest.content.tool.uv.sources.contains_key(&wanted.name);
        if mine.is_empty() && complete && unconditional && !LEFT_OUT.contains(&wanted.name.as_str()) {
            report.changed.push(format!("'{}' is not in it", wanted.name));
        }
        if let Some(version) =
            mine.first().filter(|_| !mine.iter().any(|version| versions.contains_prerelease(version)))
        {
            report.changed.push(format!("'{}' is locked as {version}, wanted is {versions}", wanted.name));
        }
    }
    report.unknown = Some("the file does not say what it was made from".to_owned());
    report.answer()
}

#[cfg(test)]
mod tests;
