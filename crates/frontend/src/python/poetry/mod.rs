//! `poetry.lock`, versions 1.0 to 2.1.
//!
//! | lock-version | written by | what belongs to the installation |
//! |---|---|---|
//! | 2.1 | Poetry 2 | each package says its groups and markers: those are asked |
//! | 2.0, 1.1, 1.0 | Poetry 1 | nothing of the kind: from pyproject.toml along the packages' `dependencies` |
//!
//! Taken are the project's own dependencies (group `main`) and the groups that are asked for, as `poetry install --only
//! main` does. Files have names and hashes but no addresses; a package of another index than PyPI names it.

mod format;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::Failure;
use corten_package::PackageName;
use corten_package::marker::{self, Environment};
use corten_package::pep440::Version;

use super::constraint::Constraint;
use super::lock::named;
use super::resolved::{FileText, locked_file, named_file};
use super::{Asked, Files, GitSource, LocalProject, LockText, LockedFrom, Manifest, NamedFile, Resolved, Wanted};
pub(super) use format::{Edges, Lock, Poetry, parse, settings};
use format::{Markers, Package};

type Names = BTreeSet<PackageName>;

/// What was asked for, all of it known.
struct Choice {
    groups: Names,
    extras: Names,
}

/// See [`super::read`].
pub(super) fn read(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    let (parsed, version) = parse(lock)?;
    let python = check_python(lock, &parsed, environment)?;
    let poetry = manifest.map(settings).transpose()?;
    let known = known_groups(&parsed, manifest, poetry.as_ref());
    let choice = choice(lock, &parsed, manifest, poetry.as_ref(), asked, &known)?;
    let taken = if version >= (2, 1) {
        by_groups(lock, &parsed, &choice, environment)?
    } else {
        let Some((manifest, poetry)) = manifest.zip(poetry.as_ref()) else {
            let what =
                format!("version {}.{} of it can be read only with the pyproject.toml beside it", version.0, version.1);
            return Err(lock
                .failure(what)
                .hint("`poetry lock` with Poetry 2 writes a version that says by itself what belongs together"));
        };
        walk::reached(&walk::Project { lock, parsed: &parsed, manifest, poetry, environment }, &choice)?
    };
    let mut resolved = collect(lock, &parsed, &taken)?;
    resolved.requires_python = python.single().cloned();
    resolved.groups = choice.groups.iter().filter(|group| !is_main(group)).map(PackageName::to_string).collect();
    resolved.groups_left_out = known.difference(&choice.groups).map(PackageName::to_string).collect();
    resolved.local.extend(project(manifest, poetry.as_ref()));
    resolved.local.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(resolved)
}

fn is_main(group: &PackageName) -> bool {
    group.as_str() == "main"
}

fn check_python(lock: &LockText, parsed: &Lock, environment: &Environment) -> Result<Constraint, Failure> {
    let Some(text) = &parsed.metadata.python_versions else { return Ok(Constraint::any()) };
    let wanted = Constraint::parse(text.get_ref()).map_err(|reason| lock.failure(reason).at(lock.span(text.span())))?;
    let allows = |version: &Version| wanted.allows(version);
    lock.check_python_with(&wanted, &allows, text.span(), environment)?;
    Ok(wanted)
}

/// The Pythons that the lock is for.
pub(super) fn python(lock: &LockText) -> Result<Option<corten_package::pep440::Specifiers>, Failure> {
    let (parsed, _) = parse(lock)?;
    let Some(text) = &parsed.metadata.python_versions else { return Ok(None) };
    let wanted = Constraint::parse(text.get_ref()).map_err(|reason| lock.failure(reason).at(lock.span(text.span())))?;
    Ok(wanted.single().cloned())
}

fn known_groups(parsed: &Lock, manifest: Option<&Manifest>, poetry: Option<&Poetry>) -> Names {
    let mut known: Names =
        parsed.packages.iter().flat_map(|package| package.groups.iter().flatten()).cloned().collect();
    known.extend(poetry.iter().flat_map(|poetry| poetry.group.keys()).cloned());
    known.extend(manifest.iter().flat_map(|manifest| manifest.content.dependency_groups.keys()).cloned());
    if poetry.is_some_and(|poetry| !poetry.dev_dependencies.is_empty()) {
        known.extend(PackageName::new("dev").ok());
    }
    known.retain(|group| !is_main(group));
    known
}

fn choice(
    lock: &LockText,
    parsed: &Lock,
    manifest: Option<&Manifest>,
    poetry: Option<&Poetry>,
    asked: &Asked,
    known: &Names,
) -> Result<Choice, Failure> {
    lock.refuse_member(asked)?;
    let project = manifest.and_then(|manifest| manifest.content.project.as_ref());
    let texts = parsed.extras.keys().chain(poetry.iter().flat_map(|poetry| poetry.extras.keys()));
    let mut extras: Names = texts.filter_map(|text| PackageName::new(text).ok()).collect();
    extras.extend(project.iter().flat_map(|project| project.optional_dependencies.keys()).cloned());
    let mut groups = named(lock, "dependency group", &asked.groups, known)?;
    groups.extend(PackageName::new("main").ok());
    Ok(Choice { groups, extras: named(lock, "extra", &asked.extras, &extras)? })
}

/// Since 2.1: whose groups are wanted, and whose marker for one of them holds.
fn by_groups(
    lock: &LockText,
    parsed: &Lock,
    choice: &Choice,
    environment: &Environment,
) -> Result<Vec<usize>, Failure> {
    let asked = marker::Asked { extras: choice.extras.clone(), groups: Names::new() };
    let mut taken = Vec::new();
    for (at, package) in parsed.packages.iter().enumerate() {
        let groups = package.groups.iter().flatten().filter(|group| choice.groups.contains(*group));
        for group in groups {
            let text = match &package.markers {
                None => None,
                Some(Markers::All(text)) => Some(text),
                Some(Markers::ByGroup(texts)) => texts.get(group),
            };
            let marker = text.filter(|text| !text.is_empty()).map(|text| lock.marker(text, package.name.span()));
            if marker.transpose()?.is_none_or(|marker| marker.evaluate(environment, &asked)) {
                taken.push(at);
                break;
            }
        }
    }
    Ok(taken)
}

fn collect(lock: &LockText, parsed: &Lock, taken: &[usize]) -> Result<Resolved, Failure> {
    let mut resolved = Resolved::default();
    let mut seen: BTreeMap<&PackageName, &Package> = BTreeMap::new();
    for package in taken.iter().filter_map(|at| parsed.packages.get(*at)) {
        if let Some(other) = seen.insert(package.name.get_ref(), package) {
            return Err(lock.twice(package.name.get_ref(), [&other.version, &package.version], package.name.span()));
        }
        let (name, at) = (package.name.get_ref().clone(), lock.span(package.name.span()));
        match package.source.as_ref().map(|source| (source.kind.as_str(), source.url.clone())) {
            Some(("directory", path)) => {
                resolved.local.push(LocalProject { name, path, package: true, at: Some(at) });
            }
            _ => resolved.wanted.push(wanted(lock, parsed, package)?),
        }
    }
    resolved.wanted.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(resolved)
}

fn wanted(lock: &LockText, parsed: &Lock, package: &Package) -> Result<Wanted, Failure> {
    let name = package.name.get_ref().clone();
    let version: Version =
        package.version.parse().map_err(|error| lock.failure(error).at(lock.span(package.name.span())))?;
    let old = parsed.metadata.files.get(&name).filter(|_| package.files.is_empty());
    let files = old.unwrap_or(&package.files);
    let named: Vec<NamedFile> = files.iter().filter_map(|file| named_file(&file.file, file.hash.as_deref())).collect();
    let first = files.first();
    let direct = |address: &str| {
        let name = first.map(|file| file.file.as_str());
        let hash = first.and_then(|file| file.hash.as_deref());
        Files::Known(locked_file(&FileText { url: address, name, hash, size: None }).into_iter().collect())
    };
    let at = lock.span(package.name.span());
    let source = package.source.as_ref();
    let url = source.map(|source| source.url.clone()).unwrap_or_default();
    let (files, from, index) = match source.map(|source| source.kind.as_str()) {
        None | Some("pypi") => (addressed(files, named, None), LockedFrom::Registry, None),
        Some("legacy") => (addressed(files, named, Some(url.clone())), LockedFrom::Registry, Some(url)),
        Some("url") => (direct(&url), LockedFrom::Url(url), None),
        Some("file") => (direct(&url), LockedFrom::File(url), None),
        Some("git") => (Files::Known(Vec::new()), LockedFrom::Git(git(package)), None),
        Some(other) => {
            return Err(lock.failure(format!("'{name}' comes from '{other}', which is not known")).at(at));
        }
    };
    Ok(Wanted { name, version: Some(version), files, index, from, at })
}

/// Newer versions may tell the addresses of the files.
fn addressed(files: &[format::File], named: Vec<NamedFile>, index: Option<String>) -> Files {
    let known: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let url = file.url.as_deref()?;
            locked_file(&FileText { url, name: Some(&file.file), hash: file.hash.as_deref(), size: None })
        })
        .collect();
    if !known.is_empty() && known.len() == files.len() {
        return Files::Known(known);
    }
    Files::Named { index, extra: Vec::new(), files: named }
}

fn git(package: &Package) -> GitSource {
    let source = package.source.as_ref();
    GitSource {
        url: source.map(|source| source.url.clone()).unwrap_or_default(),
        commit: source.and_then(|source| source.resolved_reference.clone()).unwrap_or_default(),
        subdirectory: source.and_then(|source| source.subdirectory.clone()),
    }
}

/// The project itself, which such a lock does not list.
fn project(manifest: Option<&Manifest>, poetry: Option<&Poetry>) -> Option<LocalProject> {
    let poetry = poetry?;
    let name = manifest.and_then(Manifest::name).or(poetry.name.as_ref())?.clone();
    Some(LocalProject { name, path: ".".to_owned(), package: poetry.package_mode.unwrap_or(true), at: None })
}

#[cfg(test)]
pub(super) mod tests;
