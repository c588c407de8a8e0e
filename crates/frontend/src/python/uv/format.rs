//! The file as it stands, in types. Keys that newer revisions add are let through.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_package::PackageName;
use serde::Deserialize;
use toml::Spanned;

use super::super::LockText;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Lock {
    pub requires_python: Option<Spanned<String>>,
    #[serde(default)]
    pub supported_markers: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub conflicts: Option<Spanned<Vec<Vec<Conflict>>>>,
    #[serde(default)]
    pub manifest: Settings,
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
}

/// Things of one set exclude each other.
#[derive(Debug, Deserialize)]
pub(crate) struct Conflict {
    pub package: PackageName,
    pub extra: Option<PackageName>,
    pub group: Option<PackageName>,
}

/// `[manifest]`: what of the workspace's settings decided about the lock.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Settings {
    #[serde(default)]
    pub members: Vec<PackageName>,
    #[serde(default)]
    pub overrides: Vec<MetadataRequirement>,
    #[serde(default)]
    pub constraints: Vec<MetadataRequirement>,
    #[serde(default)]
    pub dependency_groups: BTreeMap<PackageName, Vec<MetadataRequirement>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Package {
    pub name: Spanned<PackageName>,
    pub version: Option<String>,
    pub source: Source,
    #[serde(default)]
    pub dependencies: Vec<Edge>,
    #[serde(default)]
    pub optional_dependencies: BTreeMap<PackageName, Vec<Edge>>,
    #[serde(default, alias = "dependency-groups")]
    pub dev_dependencies: BTreeMap<PackageName, Vec<Edge>>,
    pub sdist: Option<File>,
    #[serde(default)]
    pub wheels: Vec<File>,
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

/// Where a package comes from: one of these, and what belongs to it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Source {
    pub registry: Option<String>,
    pub git: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
    pub directory: Option<String>,
    pub editable: Option<String>,
    #[serde(rename = "virtual")]
    pub bare: Option<String>,
    pub subdirectory: Option<String>,
}

/// A dependency on an entry of the same file; version and source stand there only where the name alone would not do.
#[derive(Debug, Deserialize)]
pub(crate) struct Edge {
    pub name: PackageName,
    pub version: Option<String>,
    pub source: Option<Source>,
    #[serde(default)]
    pub extra: Vec<PackageName>,
    pub marker: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub url: Option<String>,
    pub path: Option<String>,
    pub filename: Option<String>,
    pub hash: Option<String>,
    pub size: Option<u64>,
}

/// What the project's own manifest asked for when it was locked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Metadata {
    #[serde(default)]
    pub requires_dist: Vec<MetadataRequirement>,
    #[serde(default)]
    pub provides_extras: Vec<PackageName>,
    #[serde(default)]
    pub requires_dev: BTreeMap<PackageName, Vec<MetadataRequirement>>,
}

/// A requirement as the manifest has it, in uv's spelling.
#[derive(Debug, Deserialize)]
pub(crate) struct MetadataRequirement {
    pub name: PackageName,
    #[serde(default)]
    pub extras: Vec<PackageName>,
    pub specifier: Option<String>,
    pub marker: Option<String>,
    pub index: Option<String>,
    pub git: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
    pub directory: Option<String>,
    pub editable: Option<String>,
    #[serde(rename = "virtual")]
    pub bare: Option<String>,
}

impl Source {
    /// The folder of a project that lies here, and whether it is a package.
    pub(crate) fn folder(&self) -> Option<(&str, bool)> {
        let package = self.editable.as_deref().or(self.directory.as_deref()).map(|folder| (folder, true));
        package.or(self.bare.as_deref().map(|folder| (folder, false)))
    }
}

#[derive(Deserialize)]
struct Head {
    version: Option<Spanned<i64>>,
}

pub(super) fn parse(lock: &LockText) -> Result<Lock, Failure> {
    let table = toml::de::DeTable::parse(&lock.text).map_err(|error| lock.broken(&error))?;
    let head = |table| Head::deserialize(toml::de::Deserializer::from(table));
    match head(table.clone()).ok().and_then(|head| head.version) {
        Some(version) if *version.get_ref() == 1 => {}
        Some(version) => {
            let what = format!("version {} of uv.lock is not known, 1 is", version.get_ref());
            let failure = lock.failure(what).at(lock.span(version.span()));
            return Err(failure.hint("lock with a uv that writes version 1, or look for a newer Corten"));
        }
        None => {
            return Err(lock
                .failure("a line 'version = 1' is missing, so this is not a uv.lock")
                .at(lock.span(0..0))
                .hint("`uv lock` writes it anew"));
        }
    }
    Lock::deserialize(toml::de::Deserializer::from(table)).map_err(|error| lock.broken(&error))
}
