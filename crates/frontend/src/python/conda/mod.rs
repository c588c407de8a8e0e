//! `pixi.lock` (versions 5 to 7) and conda's `environment.yml`.
//!
//! Both mix packages of an index with packages of conda, Python itself among these. What the index has is read like any
//! other lock: wheels by URL with their SHA-256, no choice left. What only conda has cannot be installed here; it is
//! kept in [`Resolved::conda`] with what to do about it, and [`refuse`] says so before anything is built.
//!
//! | version | a package is | environments name it by |
//! |---|---|---|
//! | 5 | `kind: pypi`, `url:` | `pypi: URL` |
//! | 6, 7 | `pypi: URL` | `pypi: URL` |

mod instead;

use std::collections::HashMap;

use corten_diagnostic::{Failure, Span};
use corten_oci::Architecture;
use corten_package::PackageName;
use corten_package::marker::Environment;
use corten_package::pep440::Version;

use super::lock::did_you_mean;
use super::resolved::{FileText, locked_file};
use super::{
    Asked, CondaInstead, CondaPackage, Files, GitSource, LocalProject, LockText, LockedFrom, Resolved, Wanted,
};
use crate::yaml::{Document, Node};

/// Names at most so many packages of conda in one message.
const NAMED: usize = 12;

/// Parses the file and looks at its version.
pub(super) fn parse(lock: &LockText) -> Result<Document, Failure> {
    let document = document(lock)?;
    let version = document
        .root
        .get("version")
        .ok_or_else(|| lock.failure("it does not say its 'version', so this is not a pixi.lock").at(lock.span(0..0)))?;
    match version.as_text().unwrap_or_default() {
        "5" | "6" | "7" => Ok(document),
        other => {
            let failure = lock.failure(format!("version {other} of pixi.lock is not known, 5 to 7 are"));
            Err(failure.at(document.line(version)).hint("`pixi lock` of a pixi of these days writes one that is"))
        }
    }
}

fn document(lock: &LockText) -> Result<Document, Failure> {
    let document = Document::read_written(&lock.path, &lock.text)?;
    match document.root.as_text() {
        Some("") => Err(lock.failure("it is empty")),
        _ => Ok(document),
    }
}

/// See [`super::read`]. An asked group is an environment.
pub(super) fn read(lock: &LockText, asked: &Asked, environment: &Environment) -> Result<Resolved, Failure> {
    let parsed = parse(lock)?;
    lock.refuse_member(asked)?;
    if let Some(extra) = asked.extras.first() {
        return Err(Failure::usage(format!("{}: it knows no extra '{extra}'", lock.path.display())));
    }
    let name = match asked.groups.as_slice() {
        [] => "default",
        [one] => one,
        _ => return Err(Failure::usage(format!("{}: only one environment can be asked for", lock.path.display()))),
    };
    let listed = listed(lock, &parsed, name, environment.architecture)?;
    let known = Packages::of(&parsed.root);
    let mut resolved = Resolved::default();
    for node in listed {
        if let Some(url) = node.text_of("conda") {
            resolved.conda.push(instead::package(url, known.conda.get(url).copied()));
        } else if let Some(url) = node.text_of("pypi") {
            let entry = known.pypi.get(url).copied();
            let at = parsed.line(entry.unwrap_or(node));
            add(lock, url, entry, at, &mut resolved)?;
        } else {
            return Err(lock.failure("a package that is neither of conda nor of an index").at(parsed.line(node)));
        }
    }
    resolved.wanted.sort_by(|left, right| left.name.cmp(&right.name));
    resolved.conda.sort_by(|left, right| left.name.cmp(&right.name));
    resolved.python_hint = python_of(&resolved.conda);
    resolved.groups = asked.groups.clone();
    let all = parsed.root.get("environments").map(Node::pairs).unwrap_or_default();
    resolved.groups_left_out = all.iter().map(|(one, _)| one.clone()).filter(|one| one != name).collect();
    Ok(resolved)
}

fn python_of(conda: &[CondaPackage]) -> Option<String> {
    let python = conda.iter().find(|package| package.name == "python")?;
    let mut numbers = python.version.split('.').map(str::parse::<u32>);
    Some(format!("{}.{}", numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The Python of its first environment that has one.
pub(super) fn python(lock: &LockText) -> Result<Option<String>, Failure> {
    let parsed = parse(lock)?;
    let urls = parsed.root.get("packages").map(Node::items).unwrap_or_default();
    let urls = urls.iter().filter_map(|node| node.text_of("conda").or(node.text_of("url")));
    Ok(urls.filter(|url| url.contains("/python-3")).find_map(|url| python_of(&[instead::package(url, None)])))
}

/// What the environment `name` lists for the platform.
fn listed<'a>(
    lock: &LockText,
    parsed: &'a Document,
    name: &str,
    architecture: Architecture,
) -> Result<&'a [Node], Failure> {
    let all = parsed.root.get("environments").map(Node::pairs).unwrap_or_default();
    let Some((_, environment)) = all.iter().find(|(one, _)| one == name) else {
        let names = all.iter().map(|(one, _)| one.as_str());
        return Err(Failure::usage(format!("{}: it has no environment '{name}'", lock.path.display()))
            .hint(did_you_mean(name, names)));
    };
    let wanted = match architecture {
        Architecture::Amd64 => "linux-64",
        Architecture::Arm64 => "linux-aarch64",
    };
    let platforms = environment.get("packages").map(Node::pairs).unwrap_or_default();
    match platforms.iter().find(|(platform, _)| platform == wanted) {
        Some((_, packages)) => Ok(packages.items()),
        None => {
            let names: Vec<_> = platforms.iter().map(|(platform, _)| platform.as_str()).collect();
            let what = format!("it was not made for {wanted}, but for {}", names.join(", "));
            Err(lock
                .failure(what)
                .at(parsed.line(environment))
                .hint(format!("add '{wanted}' to 'platforms' of pixi.toml and run `pixi lock`")))
        }
    }
}

/// What the file knows of each package, by URL.
struct Packages<'a> {
    conda: HashMap<&'a str, &'a Node>,
    pypi: HashMap<&'a str, &'a Node>,
}

impl<'a> Packages<'a> {
    fn of(parsed: &'a Node) -> Self {
        let mut packages = Self { conda: HashMap::new(), pypi: HashMap::new() };
        for node in parsed.get("packages").map(Node::items).unwrap_or_default() {
            let (kind, url) = match (node.text_of("conda"), node.text_of("pypi")) {
                (Some(url), _) => ("conda", Some(url)),
                (_, Some(url)) => ("pypi", Some(url)),
                _ => (node.text_of("kind").unwrap_or_default(), node.text_of("url").or(node.text_of("path"))),
            };
            match (kind, url) {
                ("conda", Some(url)) => packages.conda.insert(url, node),
                ("pypi", Some(url)) => packages.pypi.insert(url, node),
                _ => None,
            };
        }
        packages
    }
}

/// A package of an index, a repository or a folder.
fn add(lock: &LockText, url: &str, entry: Option<&Node>, at: Span, resolved: &mut Resolved) -> Result<(), Failure> {
    let fail = |what: String| lock.failure(what).at(at.clone());
    let file = url.split(['#', '?']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let named = entry.and_then(|entry| entry.text_of("name")).or_else(|| file.split('-').next());
    let name = PackageName::new(named.unwrap_or_default()).map_err(|error| fail(error.to_string()))?;
    if !url.contains("://") && !is_file(file) {
        let path = url.strip_prefix("./").unwrap_or(url).trim_end_matches('/');
        let path = if path.is_empty() { "." } else { path }.to_owned();
        resolved.local.push(LocalProject { name, path, package: true, at: Some(at) });
        return Ok(());
    }
    let version = entry.and_then(|entry| entry.text_of("version")).map(str::parse::<Version>).transpose();
    let version = version.map_err(|error| fail(error.to_string()))?;
    if let Some(repository) = url.strip_prefix("git+") {
        let from = LockedFrom::Git(git(repository));
        resolved.wanted.push(Wanted { name, version, files: Files::Known(Vec::new()), index: None, from, at });
        return Ok(());
    }
    let hash = entry.and_then(|entry| entry.text_of("sha256")).map(|hex| format!("sha256:{hex}"));
    let file = locked_file(&FileText { url, name: None, hash: hash.as_deref(), size: None });
    if file.as_ref().is_some_and(|file| file.digest.is_none()) {
        let what = format!("it names no SHA-256 of {name}: what is fetched is not checked");
        resolved.warnings.push(format!("{}: {what}", lock.path.display()));
    }
    let files = Files::Known(file.into_iter().collect());
    let from = if url.contains("://") { LockedFrom::Registry } else { LockedFrom::File(url.to_owned()) };
    resolved.wanted.push(Wanted { name, version, files, index: None, from, at });
    Ok(())
}

fn is_file(name: &str) -> bool {
    [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// `URL?rev=…&subdirectory=…#COMMIT`.
fn git(repository: &str) -> GitSource {
    let (address, commit) = repository.split_once('#').unwrap_or((repository, ""));
    let (url, query) = address.split_once('?').unwrap_or((address, ""));
    let folder = query.split('&').find_map(|part| part.strip_prefix("subdirectory="));
    GitSource { url: url.to_owned(), commit: commit.to_owned(), subdirectory: folder.map(str::to_owned) }
}

/// Says what conda's packages that nothing else replaces are, and what to do about each; none where the base has them
/// all.
pub fn refuse(lock: &LockText, conda: &[CondaPackage]) -> Option<Failure> {
    let missing: Vec<&CondaPackage> = conda.iter().filter(|package| package.instead != CondaInstead::Base).collect();
    if missing.is_empty() {
        return None;
    }
    let list = |wanted: &dyn Fn(&CondaInstead) -> Option<String>| {
        let all: Vec<_> = missing.iter().filter_map(|package| wanted(&package.instead)).collect();
        let more = if all.len() > NAMED { format!(" and {} more", all.len() - NAMED) } else { String::new() };
        (!all.is_empty()).then(|| format!("{}{more}", all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ")))
    };
    let names: Vec<_> = missing.iter().take(NAMED).map(|package| package.name.as_str()).collect();
    let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
    let what = format!(
        "{} of its packages are of conda, which is not installed here: {}{more}",
        missing.len(),
        names.join(", ")
    );
    let mut failure = lock.failure(what);
    let pypi = |instead: &CondaInstead| match instead {
        CondaInstead::Pypi(name) => Some(name.to_string()),
        _ => None,
    };
    let system = |instead: &CondaInstead| match instead {
        CondaInstead::System(name) => Some(format!("\"{name}\"")),
        _ => None,
    };
    if let Some(names) = list(&pypi) {
        failure = failure.hint(format!("an index has these: add them to pyproject.toml and run `uv lock`: {names}"));
    }
    if let Some(names) = list(&system) {
        failure = failure.hint(format!("Debian has these: packages = [{names}]"));
    }
    if missing.iter().any(|package| package.instead == CondaInstead::Cuda) {
        failure = failure.hint("CUDA's libraries come with the wheels of torch, tensorflow[and-cuda] or jax[cuda12]");
    }
    let unknown: Vec<_> = missing.iter().filter(|package| package.instead == CondaInstead::Unknown).collect();
    if let Some(first) = unknown.first() {
        let hint = format!("{} others are known to conda only, '{}' the first", unknown.len(), first.name);
        failure = failure.hint(format!("{hint}: the libraries among them belong to the packages above"));
    }
    Some(failure)
}

/// Why an `environment.yml` cannot be built: it locks nothing.
pub(super) fn refuse_environment(lock: &LockText) -> Failure {
    let parsed = match document(lock) {
        Ok(parsed) => parsed,
        Err(failure) => return failure,
    };
    let items = parsed.root.get("dependencies").map(Node::items).unwrap_or_default();
    let pip: Vec<&str> =
        items.iter().filter_map(|item| item.get("pip")).flat_map(Node::items).filter_map(Node::as_text).collect();
    let conda = items.iter().filter(|item| item.as_text().is_some()).count();
    let loose = pip.iter().filter(|text| !text.contains("==")).count();
    let what = format!(
        "it is no lock: it asks for {conda} packages of conda and {} of an index ({loose} of these without a version)",
        pip.len()
    );
    let place = parsed.root.get("dependencies").unwrap_or(&parsed.root);
    let python = items.iter().filter_map(Node::as_text).find_map(|text| text.strip_prefix("python="));
    let mut failure = lock
        .failure(what)
        .at(parsed.line(place))
        .hint("put the Python packages into pyproject.toml (`uv init --bare`, `uv add …`) and run `uv lock`")
        .hint("what Debian has of the rest goes into `packages = […]`; CUDA comes with torch's wheels");
    if let Some(python) = python {
        failure = failure.hint(format!("its Python {} goes into .python-version", python.trim_start_matches('=')));
    }
    failure
}

#[cfg(test)]
pub(super) mod tests;
