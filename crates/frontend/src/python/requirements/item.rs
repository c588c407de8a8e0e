//! One requirement of a line: by version, URL, repository, file or folder.

use corten_diagnostic::Span;
use corten_package::marker::Marker;
use corten_package::pep440::{Specifiers, Version};
use corten_package::wheel::WheelName;
use corten_package::{PackageName, Requirement};

use super::super::GitSource;
use super::super::resolved::unquote;
use super::source_of;

/// A requirement as written.
#[derive(Debug)]
pub(super) struct Item {
    pub name: PackageName,
    pub of: Of,
    pub hashes: Vec<String>,
    pub marker: Option<Marker>,
    pub at: Span,
}

/// Where it is from.
#[derive(Debug)]
pub(super) enum Of {
    Versions(Specifiers),
    Url(String),
    Git(GitSource),
    File(String),
    Folder(String),
}

impl Item {
    /// Does the line leave the version, or the commit, open?
    pub(super) fn is_loose(&self) -> bool {
        match &self.of {
            Of::Versions(specifiers) => specifiers.pinned().is_none(),
            Of::Git(source) => !source.is_pinned(),
            Of::Url(_) | Of::File(_) | Of::Folder(_) => false,
        }
    }

    /// Should there be a hash that is not? Repositories and folders cannot have one.
    pub(super) fn lacks_hash(&self) -> bool {
        self.hashes.is_empty() && matches!(self.of, Of::Versions(_) | Of::Url(_) | Of::File(_))
    }

    /// The version, if the line tells.
    pub(super) fn version(&self) -> Option<Version> {
        match &self.of {
            Of::Versions(specifiers) => specifiers.pinned().cloned(),
            Of::Url(text) | Of::File(text) => WheelName::parse(&last_segment(text)).ok().map(|wheel| wheel.version),
            Of::Git(_) | Of::Folder(_) => None,
        }
    }
}

/// A line without its options. An error is the reason, as a sentence.
pub(super) fn requirement(text: &str, hashes: Vec<String>, at: Span) -> Result<Item, String> {
    let is_file = |text: &str| text.ends_with(".whl") || text.ends_with(".tar.gz") || text.ends_with(".zip");
    let (bare, marker) = text.split_once(';').map_or((text, None), |(bare, marker)| (bare.trim(), Some(marker)));
    if is_url(text) {
        // Only here a blank must follow, as ';' may be part of a URL.
        let (url, marker) = text
            .split_once("; ")
            .or_else(|| text.split_once(" ;"))
            .map_or((text, None), |(url, marker)| (url, Some(marker)));
        return from_url(None, url.trim(), hashes, parse_marker(marker)?, at);
    }
    let is_path = bare.starts_with('.') || bare.starts_with('/') || is_file(bare) || bare.contains('/');
    if is_path && !bare.contains('@') {
        return from_path(bare, hashes, parse_marker(marker)?, at);
    }
    let requirement: Requirement = text.parse().map_err(|error: corten_package::RequirementError| error.to_string())?;
    match source_of(requirement.source) {
        Ok(specifiers) => {
            Ok(Item { name: requirement.name, of: Of::Versions(specifiers), hashes, marker: requirement.marker, at })
        }
        Err(url) => from_url(Some(requirement.name), &url, hashes, requirement.marker, at),
    }
}

/// What stands behind `-e`.
pub(super) fn editable(text: &str, at: Span) -> Result<Item, String> {
    if is_url(text) { from_url(None, text, Vec::new(), None, at) } else { from_path(text, Vec::new(), None, at) }
}

fn parse_marker(text: Option<&str>) -> Result<Option<Marker>, String> {
    text.map(|text| text.trim().parse().map_err(|error: corten_package::marker::MarkerError| error.to_string()))
        .transpose()
}

fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn from_url(
    name: Option<PackageName>,
    url: &str,
    mut hashes: Vec<String>,
    marker: Option<Marker>,
    at: Span,
) -> Result<Item, String> {
    let (address, fragment) = url.split_once('#').unwrap_or((url, ""));
    let part = |key: &str| fragment.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    hashes.extend(part("sha256").map(|hex| format!("sha256:{hex}")));
    let egg = part("egg").map(|egg| egg.split('[').next().unwrap_or_default());
    let name = name.or_else(|| egg.and_then(|egg| PackageName::new(egg).ok())).or_else(|| guess_name(address));
    let name = name.ok_or_else(|| format!("the package's name cannot be told from '{url}': write 'NAME @ URL'"))?;
    let of = match url.strip_prefix("git+") {
        Some(repository) => Of::Git(git(repository, part("subdirectory"))),
        None => Of::Url(address.to_owned()),
    };
    Ok(Item { name, of, hashes, marker, at })
}

/// `URL@COMMIT`; an `@` before the host is that of a user.
fn git(repository: &str, folder: Option<&str>) -> GitSource {
    let address = repository.split('#').next().unwrap_or_default();
    let (url, commit) = match address.rsplit_once('@') {
        Some((url, commit)) if !commit.contains("://") && url.contains("://") && after_host(url) => (url, commit),
        _ => (address, ""),
    };
    GitSource { url: url.to_owned(), commit: commit.to_owned(), subdirectory: folder.map(str::to_owned) }
}

/// Does a path follow the host?
fn after_host(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
}

fn from_path(text: &str, hashes: Vec<String>, marker: Option<Marker>, at: Span) -> Result<Item, String> {
    let path = text.split('[').next().unwrap_or_default().trim_end_matches('/');
    let path = match path.strip_prefix("./").unwrap_or(path) {
        "" => ".",
        path => path,
    };
    let is_file = [".whl", ".tar.gz", ".zip"].iter().any(|ending| path.ends_with(ending));
    let name = guess_name(path).or_else(|| PackageName::new("project").ok()).ok_or("no name")?;
    let of = if is_file { Of::File(path.to_owned()) } else { Of::Folder(path.to_owned()) };
    Ok(Item { name, of, hashes, marker, at })
}

fn last_segment(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    unquote(last).unwrap_or_default()
}

/// Of a wheel's or sdist's file name, else of a repository's or folder's.
fn guess_name(address: &str) -> Option<PackageName> {
    let last = last_segment(address);
    if let Ok(wheel) = WheelName::parse(&last) {
        return Some(wheel.name);
    }
    if let Some(stem) = last.strip_suffix(".tar.gz").or_else(|| last.strip_suffix(".zip")) {
        return PackageName::new(stem.rsplit_once('-').map_or(stem, |(name, _)| name)).ok();
    }
    let bare = last.split('@').next().unwrap_or_default();
    PackageName::new(bare.strip_suffix(".git").unwrap_or(bare)).ok()
}
