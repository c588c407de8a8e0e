//! `pdm.lock`, versions 4.x.
//!
//! With the strategy `inherit_metadata` each package says its groups and its marker, and those are asked. Without it the
//! lock is walked from pyproject.toml along `dependencies`. A package that is needed with extras stands there twice,
//! once with them: one package. Taken are the project's own dependencies (group `default`) and what is asked for.

mod format;

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::Failure;
use corten_package::marker::{self, Environment};
use corten_package::pep440::{Specifiers, Version};
use corten_package::{PackageName, Requirement, Source};

use super::constraint::Constraint;
use super::graph::{Accepts, Need, Node, solve};
use super::lock::named;
use super::manifest::{matches, requirement};
use super::resolved::{FileText, locked_file, named_file};
use super::{Asked, Files, GitSource, LocalProject, LockText, LockedFrom, Manifest, Resolved, Wanted};
pub(super) use format::{Lock, Package, Pdm, parse, settings};

type Names = BTreeSet<PackageName>;

/// See [`super::read`].
pub(super) fn read(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    let parsed = parse(lock)?;
    lock.refuse_member(asked)?;
    check_targets(lock, &parsed, environment)?;
    let pdm = manifest.map(settings).transpose()?;
    let known: Names = parsed.metadata.groups.iter().filter_map(|group| PackageName::new(group).ok()).collect();
    let known: Names = known.into_iter().filter(|group| group.as_str() != "default").collect();
    // For PDM an extra is a group.
    let mut choice = named(lock, "dependency group", &asked.groups, &known)?;
    choice.extend(named(lock, "extra", &asked.extras, &known)?);
    let inherits = parsed.metadata.strategy.iter().any(|word| word == "inherit_metadata");
    let taken = match (inherits, manifest) {
        (true, _) => by_groups(lock, &parsed, &choice, environment)?,
        (false, Some(manifest)) => Walk { lock, parsed: &parsed, manifest, environment }.reached(&choice)?,
        (false, None) => {
            let what =
                "without 'inherit_metadata' in its strategy it can be read only with the pyproject.toml beside it";
            return Err(lock
                .failure(what)
                .hint("`pdm lock --strategy inherit_metadata` writes one that tells by itself"));
        }
    };
    let mut resolved = collect(lock, &parsed, pdm.as_ref(), &taken)?;
    resolved.requires_python = python_of(&parsed, manifest);
    resolved.groups = choice.iter().map(PackageName::to_string).collect();
    resolved.groups_left_out = known.difference(&choice).map(PackageName::to_string).collect();
    resolved.local.extend(project(manifest, pdm.as_ref()));
    resolved.local.sort_by(|left, right| left.path.cmp(&right.path));
    if is_of_one_platform(&parsed) {
        let what = "it was locked for one platform and does not say which: what only Linux needs may be missing";
        resolved.warnings.push(format!("{}: {what}", lock.path.display()));
    }
    Ok(resolved)
}

/// Before there were targets, a lock was for all platforms or for the one that it was made on.
fn is_of_one_platform(parsed: &Lock) -> bool {
    let all = parsed.metadata.cross_platform || parsed.metadata.strategy.iter().any(|word| word == "cross_platform");
    parsed.metadata.targets.is_empty() && !all
}

/// The Pythons that the lock is for: of its only target, else of the manifest.
fn python_of(parsed: &Lock, manifest: Option<&Manifest>) -> Option<Specifiers> {
    let text = match parsed.metadata.targets.as_slice() {
        [] => manifest.and_then(Manifest::requires_python),
        [only] => only.get_ref().requires_python.as_deref(),
        _ => None,
    };
    text.and_then(|text| text.parse().ok())
}

/// The Pythons that the lock is for.
pub(super) fn python(lock: &LockText, manifest: Option<&Manifest>) -> Result<Option<Specifiers>, Failure> {
    Ok(python_of(&parse(lock)?, manifest))
}

/// One of the targets must cover the environment, if there are any.
fn check_targets(lock: &LockText, parsed: &Lock, environment: &Environment) -> Result<(), Failure> {
    let targets = &parsed.metadata.targets;
    let Some(first) = targets.first() else { return Ok(()) };
    let python: Option<Version> = environment.python_full_version.parse().ok();
    for target in targets {
        let (place, target) = (target.span(), target.get_ref());
        let wanted: Specifiers = target
            .requires_python
            .as_deref()
            .unwrap_or_default()
            .parse()
            .map_err(|error| lock.failure(error).at(lock.span(place)))?;
        let for_python = python.as_ref().is_some_and(|python| wanted.contains_prerelease(python));
        let implementation = target.implementation.as_deref().is_none_or(|name| name.eq_ignore_ascii_case("cpython"));
        let platform = target.platform.as_deref().is_none_or(|platform| is_linux(platform, environment));
        if for_python && implementation && platform {
            return Ok(());
        }
    }
    let text = |target: &format::Target| {
        let python = target.requires_python.clone().unwrap_or_else(|| "any".to_owned());
        format!("Python {python} on {}", target.platform.as_deref().unwrap_or("any platform"))
    };
    let all: Vec<_> = targets.iter().map(|target| text(target.get_ref())).collect();
    let target =
        format!("Linux on {} with Python {}", environment.architecture.machine(), environment.python_full_version);
    let failure = lock.failure(format!("it was not made for {target}, but for {}", all.join(", ")));
    Err(failure.at(lock.span(first.span())).hint("`pdm lock --append` with --python and --platform adds the target"))
}

/// `linux`, `linux_aarch64`, `manylinux_2_17_x86_64`; musl is another platform. Without a machine: x86_64.
fn is_linux(platform: &str, environment: &Environment) -> bool {
    let machine = environment.architecture.machine();
    let Some(rest) = platform.strip_prefix("many").unwrap_or(platform).strip_prefix("linux") else { return false };
    if rest.is_empty() { machine == "x86_64" } else { rest.ends_with(&format!("_{machine}")) }
}

fn by_groups(
    lock: &LockText,
    parsed: &Lock,
    choice: &Names,
    environment: &Environment,
) -> Result<BTreeSet<usize>, Failure> {
    let asked = marker::Asked { extras: choice.clone(), groups: choice.clone() };
    let mut taken = BTreeSet::new();
    for (at, package) in parsed.packages.iter().enumerate() {
        let wanted = package.groups.iter().any(|group| group.as_str() == "default" || choice.contains(group));
        let text = package.marker.as_deref().filter(|text| wanted && !text.is_empty());
        let marker = text.map(|text| lock.marker(text, package.name.span())).transpose()?;
        if wanted && marker.is_none_or(|marker| marker.evaluate(environment, &asked)) {
            taken.insert(at);
        }
    }
    Ok(taken)
}

/// A lock whose packages do not tell to what they belong.
struct Walk<'a> {
    lock: &'a LockText,
    parsed: &'a Lock,
    manifest: &'a Manifest,
    environment: &'a Environment,
}

impl Walk<'_> {
    fn reached(&self, choice: &Names) -> Result<BTreeSet<usize>, Failure> {
        let roots = self.roots(choice).map_err(|reason| self.lock.failure(reason))?;
        let (mut names, mut nodes, mut places): (Vec<PackageName>, Vec<Node>, Vec<usize>) = Default::default();
        for (at, package) in self.parsed.packages.iter().enumerate() {
            let fail = |reason: String| self.lock.failure(reason).at(self.lock.span(package.name.span()));
            let needs = self.needs(&package.dependencies, &marker::Asked::default()).map_err(fail)?;
            let version: Option<Version> = package.version.as_deref().and_then(|text| text.parse().ok());
            let name = package.name.get_ref();
            // Entries of one package follow each other, the one without extras first.
            let same = names.last() == Some(name) && nodes.last().is_some_and(|node| node.version == version);
            if let (false, true, Some(node)) = (package.extras.is_empty(), same, nodes.last_mut()) {
                node.extras.push((package.extras.iter().cloned().collect(), needs));
                continue;
            }
            let origin = package.url.clone().or_else(|| package.git.clone()).or_else(|| package.path.clone());
            names.push(name.clone());
            nodes.push(Node { version, origin, needs, extras: Vec::new() });
            places.push(at);
        }
        let place = |at: usize| places.get(at).and_then(|at| self.parsed.packages.get(*at)).map(|one| one.name.clone());
        let found = solve(&names, &nodes, &roots).map_err(|stuck| self.lock.stuck(&stuck, &place))?;
        Ok(found.iter().filter_map(|at| places.get(*at).copied()).collect())
    }

    fn roots(&self, choice: &Names) -> Result<Vec<Need>, String> {
        let content = &self.manifest.content;
        let pdm = settings(self.manifest).unwrap_or_default();
        let asked = marker::Asked { extras: choice.clone(), groups: choice.clone() };
        let mut roots = Vec::new();
        if let Some(project) = &content.project {
            roots.extend(self.needs(&project.dependencies, &asked)?);
            for (_, texts) in project.optional_dependencies.iter().filter(|(extra, _)| choice.contains(*extra)) {
                roots.extend(self.needs(texts, &asked)?);
            }
        }
        for group in choice {
            if content.dependency_groups.contains_key(group) {
                roots.extend(self.manifest.group(group)?.into_iter().filter_map(|one| self.need(one, &asked)));
            }
            roots.extend(self.needs(pdm.dev_dependencies.get(group).map_or(&[], Vec::as_slice), &asked)?);
        }
        Ok(roots)
    }

    fn needs(&self, texts: &[String], asked: &marker::Asked) -> Result<Vec<Need>, String> {
        let mut needs = Vec::new();
        for text in texts {
            let bare = text.strip_prefix("-e ").unwrap_or(text);
            needs.extend(self.need(requirement(bare)?, asked));
        }
        Ok(needs)
    }

    fn need(&self, wanted: Requirement, asked: &marker::Asked) -> Option<Need> {
        if wanted.marker.as_ref().is_some_and(|marker| !marker.evaluate(self.environment, asked)) {
            return None;
        }
        let accepts = match wanted.source {
            Source::Versions(versions) => Accepts::Versions(Constraint::of(versions)),
            Source::Url(url) => Accepts::Origin(url),
        };
        Some(Need { name: wanted.name, extras: wanted.extras, accepts })
    }
}

fn collect(lock: &LockText, parsed: &Lock, pdm: Option<&Pdm>, taken: &BTreeSet<usize>) -> Result<Resolved, Failure> {
    let mut resolved = Resolved::default();
    let mut seen: BTreeMap<&PackageName, &Package> = BTreeMap::new();
    for package in taken.iter().filter_map(|at| parsed.packages.get(*at)) {
        let (name, at) = (package.name.get_ref(), lock.span(package.name.span()));
        match seen.insert(name, package) {
            Some(other) if other.version == package.version && is_same_source(other, package) => continue,
            Some(other) => {
                let version = |package: &Package| package.version.clone().unwrap_or_else(|| "without version".into());
                return Err(lock.twice(name, [&version(other), &version(package)], package.name.span()));
            }
            None => {}
        }
        if let Some(path) = package.path.as_ref().filter(|path| !is_file(path)) {
            let path = normal(path);
            resolved.local.push(LocalProject { name: name.clone(), path, package: true, at: Some(at) });
        } else {
            resolved.wanted.push(wanted(lock, package, pdm)?);
        }
    }
    resolved.wanted.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(resolved)
}

fn is_same_source(left: &Package, right: &Package) -> bool {
    (&left.git, &left.revision, &left.url, &left.path) == (&right.git, &right.revision, &right.url, &right.path)
}

fn is_file(path: &str) -> bool {
    [".whl", ".tar.gz", ".zip", ".tgz"].iter().any(|ending| path.ends_with(ending))
}

/// `./lib/` → `lib`.
fn normal(path: &str) -> String {
    match path.strip_prefix("./").unwrap_or(path).trim_end_matches('/') {
        "" => ".".to_owned(),
        path => path.to_owned(),
    }
}

fn wanted(lock: &LockText, package: &Package, pdm: Option<&Pdm>) -> Result<Wanted, Failure> {
    let (name, at) = (package.name.get_ref().clone(), lock.span(package.name.span()));
    let version = package.version.as_deref().map(str::parse::<Version>).transpose();
    let version = version.map_err(|error| lock.failure(error).at(lock.span(package.name.span())))?;
    let direct = |address: &str| {
        let file = package.files.first();
        let (given, hash) = (file.and_then(|file| file.file.as_deref()), file.and_then(|file| file.hash.as_deref()));
        let hash = hash.or_else(|| address.split_once("#sha256=").map(|(_, hex)| hex));
        let hash = hash.map(|hash| if hash.contains(':') { hash.to_owned() } else { format!("sha256:{hash}") });
        let url = address.split('#').next().unwrap_or_default();
        let file = locked_file(&FileText { url, name: given, hash: hash.as_deref(), size: None });
        Files::Known(file.into_iter().collect())
    };
    let (files, from) = match (&package.git, &package.url, &package.path) {
        (Some(url), _, _) => {
            let source = GitSource {
                url: url.clone(),
                commit: package.revision.clone().unwrap_or_default(),
                subdirectory: package.subdirectory.clone(),
            };
            (Files::Known(Vec::new()), LockedFrom::Git(source))
        }
        (_, Some(url), _) => (direct(url), LockedFrom::Url(url.split('#').next().unwrap_or_default().to_owned())),
        (_, _, Some(path)) => (direct(path), LockedFrom::File(normal(path))),
        _ => (registry_files(package, pdm), LockedFrom::Registry),
    };
    let index = match &files {
        Files::Named { index, .. } => index.clone(),
        _ => None,
    };
    Ok(Wanted { name, version, files, index, from, at })
}

/// With addresses (strategy `static_urls`) they are known, else an index has to tell.
fn registry_files(package: &Package, pdm: Option<&Pdm>) -> Files {
    let known: Vec<_> = package
        .files
        .iter()
        .filter_map(|file| {
            let url = file.url.as_deref()?;
            locked_file(&FileText { url, name: file.file.as_deref(), hash: file.hash.as_deref(), size: None })
        })
        .collect();
    if !known.is_empty() && known.len() == package.files.len() {
        return Files::Known(known);
    }
    let named = package.files.iter().filter_map(|file| named_file(file.file.as_deref()?, file.hash.as_deref()));
    let (index, extra) = indexes(package.name.get_ref(), pdm);
    Files::Named { index, extra, files: named.collect() }
}

/// The one that says that it has the package; else the one called `pypi`, or none for the usual one, and the others
/// besides: only a file with a hash of the lock is taken from any.
fn indexes(name: &PackageName, pdm: Option<&Pdm>) -> (Option<String>, Vec<String>) {
    let listed = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name.as_str()));
    let sources =
        || pdm.into_iter().flat_map(|pdm| &pdm.source).filter(|source| source.kind.as_deref() != Some("find_links"));
    if let Some(only) = sources().find(|source| listed(&source.include_packages)) {
        return (only.url.clone(), Vec::new());
    }
    let is_usual = |source: &&format::Source| source.name.as_deref() == Some("pypi");
    let usual = sources().find(is_usual).and_then(|source| source.url.clone());
    let others = sources().filter(|source| !is_usual(source) && !listed(&source.exclude_packages));
    (usual, others.filter_map(|source| source.url.clone()).collect())
}

/// The project itself, which such a lock does not list.
fn project(manifest: Option<&Manifest>, pdm: Option<&Pdm>) -> Option<LocalProject> {
    let (name, pdm) = (manifest?.name()?.clone(), pdm?);
    let kind = pdm.package_type.as_deref().map(|kind| kind == "library");
    let package = kind.or(pdm.distribution).unwrap_or(true);
    Some(LocalProject { name, path: ".".to_owned(), package, at: None })
}

#[cfg(test)]
pub(super) mod tests;
