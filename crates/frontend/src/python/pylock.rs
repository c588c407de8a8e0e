//! `pylock.toml`, version 1.0 (PEP 751): already resolved, each package with its marker; no graph to walk.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::Failure;
use corten_package::PackageName;
use corten_package::marker::{self, Environment};
use corten_package::pep440::{Specifiers, Version};
use serde::Deserialize;
use toml::Spanned;

use super::lock::named;
use super::resolved::{FileText, locked_file};
use super::{Asked, Files, GitSource, LocalProject, LockFile, LockText, LockedFrom, Resolved, Wanted};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pylock {
    requires_python: Option<Spanned<String>>,
    environments: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    extras: BTreeSet<PackageName>,
    #[serde(default)]
    dependency_groups: BTreeSet<PackageName>,
    #[serde(default)]
    default_groups: BTreeSet<PackageName>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: Spanned<PackageName>,
    version: Option<Version>,
    marker: Option<String>,
    requires_python: Option<Spanned<String>>,
    index: Option<String>,
    vcs: Option<Vcs>,
    directory: Option<Directory>,
    archive: Option<File>,
    sdist: Option<File>,
    #[serde(default)]
    wheels: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Vcs {
    url: Option<String>,
    path: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct Directory {
    path: String,
}

#[derive(Deserialize)]
struct File {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// See [`super::read`].
pub(super) fn read(lock: &LockText, asked: &Asked, environment: &Environment) -> Result<Resolved, Failure> {
    let parsed = parse(lock)?;
    let mut resolved = Resolved::default();
    if let Some(text) = &parsed.requires_python {
        resolved.requires_python = Some(check_python(lock, text, environment)?);
    }
    check_environments(lock, &parsed, environment)?;
    let groups = groups(lock, &parsed, asked)?;
    let extras = named(lock, "extra", &asked.extras, &parsed.extras)?;
    if let Some(package) = &asked.package {
        let what = format!("{}: it knows no members, so '{package}' cannot be asked for", lock.path.display());
        return Err(Failure::usage(what));
    }
    resolved.groups_left_out = parsed
        .dependency_groups
        .union(&parsed.default_groups)
        .filter(|name| !groups.contains(*name))
        .map(PackageName::to_string)
        .collect();
    resolved.groups = groups.iter().map(PackageName::to_string).collect();
    let asked = marker::Asked { extras, groups };
    let mut seen: BTreeMap<&PackageName, &Package> = BTreeMap::new();
    for package in &parsed.packages {
        if !holds(lock, package, environment, &asked)? {
            continue;
        }
        if let Some(other) = seen.insert(package.name.get_ref(), package) {
            return Err(twice(lock, other, package));
        }
        if let Some(text) = &package.requires_python {
            check_python(lock, text, environment)?;
        }
        add(lock, package, &mut resolved)?;
    }
    resolved.wanted.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(resolved)
}

fn parse(lock: &LockText) -> Result<Pylock, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Head {
        lock_version: Option<Spanned<String>>,
    }
    let head: Head = lock.toml()?;
    match head.lock_version {
        Some(version) if version.get_ref().split('.').next() == Some("1") => lock.toml(),
        Some(version) => {
            let failure = lock.failure(format!("lock-version {} is not known, 1.0 is", version.get_ref()));
            Err(failure
                .at(lock.span(version.span()))
                .hint("export it again as version 1.0, or look for a newer Corten"))
        }
        None => Err(lock.failure("a line 'lock-version = \"1.0\"' is missing").at(lock.span(0..0))),
    }
}

fn check_python(lock: &LockText, text: &Spanned<String>, environment: &Environment) -> Result<Specifiers, Failure> {
    let wanted: Specifiers = text.get_ref().parse().map_err(|error| lock.failure(error).at(lock.span(text.span())))?;
    lock.check_python(&wanted, text.span(), environment)?;
    Ok(wanted)
}

fn check_environments(lock: &LockText, parsed: &Pylock, environment: &Environment) -> Result<(), Failure> {
    let Some(environments) = parsed.environments.as_ref().filter(|list| !list.get_ref().is_empty()) else {
        return Ok(());
    };
    for text in environments.get_ref() {
        if lock.marker(text, environments.span())?.evaluate(environment, &marker::Asked::default()) {
            return Ok(());
        }
    }
    let target =
        format!("Linux on {} with Python {}", environment.architecture.machine(), environment.python_full_version);
    let failure = lock.failure(format!("it was not made for {target}")).at(lock.span(environments.span()));
    Err(failure.hint("export it again for this target, or build for one that it names"))
}

fn groups(lock: &LockText, parsed: &Pylock, asked: &Asked) -> Result<BTreeSet<PackageName>, Failure> {
    let known = parsed.dependency_groups.union(&parsed.default_groups).cloned().collect();
    let mut groups = named(lock, "dependency group", &asked.groups, &known)?;
    if !asked.no_default_groups {
        groups.extend(parsed.default_groups.iter().filter(|group| group.as_str() != "dev").cloned());
    }
    Ok(groups)
}

fn holds(
    lock: &LockText,
    package: &Package,
    environment: &Environment,
    asked: &marker::Asked,
) -> Result<bool, Failure> {
    let Some(text) = &package.marker else { return Ok(true) };
    Ok(lock.marker(text, package.name.span())?.evaluate(environment, asked))
}

fn twice(lock: &LockText, other: &Package, package: &Package) -> Failure {
    let version = |package: &Package| package.version.as_ref().map_or("without version".into(), Version::to_string);
    let name = package.name.get_ref();
    let what = format!("two entries of '{name}' apply at once: {} and {}", version(other), version(package));
    lock.failure(what).at(lock.span(package.name.span())).hint("export it again: their markers must exclude each other")
}

fn add(lock: &LockText, package: &Package, resolved: &mut Resolved) -> Result<(), Failure> {
    let (name, at) = (package.name.get_ref().clone(), lock.span(package.name.span()));
    if let Some(directory) = &package.directory {
        resolved.local.push(LocalProject { name, path: directory.path.clone(), package: true, at: Some(at) });
        return Ok(());
    }
    let listed = package.sdist.iter().chain(&package.wheels).chain(&package.archive);
    let files: Vec<LockFile> = listed.filter_map(file_of).collect();
    if files.iter().any(|file| file.digest.is_none() && file.file.ends_with(".whl")) {
        let what = format!("{}: it names no SHA-256 of {name}: what is fetched is not checked", lock.path.display());
        resolved.warnings.push(what);
    }
    let from = match (&package.vcs, &package.archive) {
        (Some(vcs), _) => LockedFrom::Git(git(vcs)),
        (None, Some(archive)) => match (&archive.url, &archive.path) {
            (Some(url), _) => LockedFrom::Url(url.clone()),
            (None, path) => LockedFrom::File(path.clone().unwrap_or_default()),
        },
        (None, None) if files.is_empty() => {
            let what = format!("'{name}' has neither wheels nor another source");
            return Err(lock.failure(what).at(at));
        }
        (None, None) => LockedFrom::Registry,
    };
    let (version, index) = (package.version.clone(), package.index.clone());
    resolved.wanted.push(Wanted { name, version, files: Files::Known(files), index, from, at });
    Ok(())
}

fn git(vcs: &Vcs) -> GitSource {
    let url = vcs.url.as_deref().or(vcs.path.as_deref()).unwrap_or_default().to_owned();
    GitSource { url, commit: vcs.commit_id.clone(), subdirectory: vcs.subdirectory.clone() }
}

fn file_of(file: &File) -> Option<LockFile> {
    let hash = file.hashes.iter().find(|(name, _)| name.eq_ignore_ascii_case("sha256"));
    let hash = hash.map(|(_, hex)| format!("sha256:{hex}"));
    let url = file.url.as_deref().or(file.path.as_deref())?;
    locked_file(&FileText { url, name: file.name.as_deref(), hash: hash.as_deref(), size: file.size })
}

/// For [`super::in_step`]: the versions that are pinned, markers aside.
pub(super) fn pins(lock: &LockText) -> Result<Vec<(PackageName, Version)>, Failure> {
    let packages = parse(lock)?.packages.into_iter();
    Ok(packages.filter_map(|package| Some((package.name.into_inner(), package.version?))).collect())
}

/// The Pythons that the lock is for.
pub(super) fn python(lock: &LockText) -> Result<Option<Specifiers>, Failure> {
    let Some(text) = parse(lock)?.requires_python else { return Ok(None) };
    text.get_ref().parse().map(Some).map_err(|error| lock.failure(error).at(lock.span(text.span())))
}
