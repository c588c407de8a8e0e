//! The file as it stands, and the parts of pyproject.toml in Poetry's own words. Keys that newer versions add are let
//! through.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_package::PackageName;
use serde::Deserialize;
use toml::Spanned;

use super::super::lock::broken_toml;
use super::super::{LockText, Manifest};

#[derive(Debug, Deserialize)]
pub(crate) struct Lock {
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
    /// Of the project: what an extra brings in.
    #[serde(default)]
    pub extras: BTreeMap<String, Vec<String>>,
    pub metadata: Metadata,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Metadata {
    #[serde(default)]
    pub python_versions: Option<Spanned<String>>,
    pub content_hash: Option<String>,
    /// Before 2.0: the files of all packages.
    #[serde(default)]
    pub files: BTreeMap<PackageName, Vec<File>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Package {
    pub name: Spanned<PackageName>,
    pub version: String,
    pub python_versions: Option<String>,
    /// Since 2.1.
    pub groups: Option<Vec<PackageName>>,
    /// Since 2.1.
    pub markers: Option<Markers>,
    #[serde(default)]
    pub files: Vec<File>,
    #[serde(default)]
    pub dependencies: BTreeMap<PackageName, Edges>,
    #[serde(default)]
    pub extras: BTreeMap<String, Vec<String>>,
    pub source: Option<Source>,
}

/// One for all groups, or one each; a group without one has none.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a marker, or a table of one for each group")]
pub(crate) enum Markers {
    All(String),
    ByGroup(BTreeMap<PackageName, String>),
}

#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub file: String,
    pub hash: Option<String>,
    pub url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    pub resolved_reference: Option<String>,
    pub subdirectory: Option<String>,
}

/// What is needed of one name, in the lock and in pyproject.toml alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a version, a table such as { version = \"…\" }, or a list of them")]
pub(crate) enum Edges {
    Version(String),
    One(Box<Edge>),
    Many(Vec<Edges>),
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Edge {
    pub version: Option<String>,
    pub markers: Option<String>,
    pub python: Option<String>,
    #[serde(default)]
    pub extras: Vec<PackageName>,
    #[serde(default)]
    pub optional: bool,
    pub url: Option<String>,
    pub git: Option<String>,
    pub path: Option<String>,
    pub file: Option<String>,
}

impl Edges {
    /// Each, however they are written.
    pub(crate) fn all(&self) -> Vec<Edge> {
        match self {
            Self::Version(version) => vec![Edge { version: Some(version.clone()), ..Edge::default() }],
            Self::One(edge) => vec![edge.as_ref().clone()],
            Self::Many(edges) => edges.iter().flat_map(Self::all).collect(),
        }
    }
}

/// `[tool.poetry]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Poetry {
    pub name: Option<PackageName>,
    pub package_mode: Option<bool>,
    #[serde(default)]
    pub dependencies: BTreeMap<PackageName, Edges>,
    #[serde(default)]
    pub dev_dependencies: BTreeMap<PackageName, Edges>,
    #[serde(default)]
    pub group: BTreeMap<PackageName, Group>,
    #[serde(default)]
    pub extras: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Group {
    #[serde(default)]
    pub dependencies: BTreeMap<PackageName, Edges>,
}

/// Reads `[tool.poetry]`; empty where there is none.
pub(crate) fn settings(manifest: &Manifest) -> Result<Poetry, Failure> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        tool: Tools,
    }
    #[derive(Default, Deserialize)]
    struct Tools {
        #[serde(default)]
        poetry: Poetry,
    }
    let file: File =
        toml::from_str(&manifest.text).map_err(|error| broken_toml(&manifest.path, &manifest.text, &error))?;
    Ok(file.tool.poetry)
}

/// Parses the file, of whose version it gives the two numbers.
pub(crate) fn parse(lock: &LockText) -> Result<(Lock, (u32, u32)), Failure> {
    #[derive(Deserialize)]
    struct Head {
        metadata: Option<Version>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Version {
        lock_version: Option<Spanned<String>>,
    }
    let head: Head = lock.toml()?;
    let Some(version) = head.metadata.and_then(|metadata| metadata.lock_version) else {
        let failure = lock.failure("it does not say its 'lock-version', so this is not a poetry.lock");
        return Err(failure.at(lock.span(0..0)));
    };
    let mut numbers = version.get_ref().split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major @ 1..=2)), Some(Ok(minor))) => Ok((lock.toml()?, (major, minor))),
        _ => {
            let failure = lock.failure(format!("lock-version {} is not known, 1.0 to 2.1 are", version.get_ref()));
            Err(failure.at(lock.span(version.span())).hint("`poetry lock` with Poetry 1 or 2 writes one that is"))
        }
    }
}
