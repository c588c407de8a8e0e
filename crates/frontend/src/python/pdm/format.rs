//! The file as it stands, and `[tool.pdm]`. Keys that newer versions add are let through.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_package::PackageName;
use serde::Deserialize;
use toml::Spanned;

use super::super::lock::broken_toml;
use super::super::{LockText, Manifest};

#[derive(Debug, Deserialize)]
pub(crate) struct Lock {
    pub metadata: Metadata,
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default)]
    pub groups: Vec<String>,
    /// Since 4.4.
    #[serde(default)]
    pub strategy: Vec<String>,
    pub content_hash: Option<String>,
    /// Since 4.5.
    #[serde(default)]
    pub targets: Vec<Spanned<Target>>,
    /// Before 4.4, instead of `strategy`.
    #[serde(default)]
    pub cross_platform: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub requires_python: Option<String>,
    pub platform: Option<String>,
    pub implementation: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub name: Spanned<PackageName>,
    pub version: Option<String>,
    #[serde(default)]
    pub extras: Vec<PackageName>,
    #[serde(default)]
    pub groups: Vec<PackageName>,
    pub marker: Option<String>,
    #[serde(default)]
    pub dependencies: Vec<String>,
    #[serde(default)]
    pub files: Vec<File>,
    pub git: Option<String>,
    pub revision: Option<String>,
    pub subdirectory: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub file: Option<String>,
    pub url: Option<String>,
    pub hash: Option<String>,
}

/// `[tool.pdm]`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Pdm {
    pub distribution: Option<bool>,
    #[serde(rename = "package-type")]
    pub package_type: Option<String>,
    #[serde(default)]
    pub source: Vec<Source>,
    #[serde(default, rename = "dev-dependencies")]
    pub dev_dependencies: BTreeMap<PackageName, Vec<String>>,
}

/// An index; the one named `pypi` stands for the usual one.
#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    pub name: Option<String>,
    pub url: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    #[serde(default)]
    pub include_packages: Vec<String>,
    #[serde(default)]
    pub exclude_packages: Vec<String>,
}

/// Reads `[tool.pdm]`; empty where there is none.
pub(crate) fn settings(manifest: &Manifest) -> Result<Pdm, Failure> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        tool: Tools,
    }
    #[derive(Default, Deserialize)]
    struct Tools {
        #[serde(default)]
        pdm: Pdm,
    }
    let file: File =
        toml::from_str(&manifest.text).map_err(|error| broken_toml(&manifest.path, &manifest.text, &error))?;
    Ok(file.tool.pdm)
}

/// Parses the file.
pub(crate) fn parse(lock: &LockText) -> Result<Lock, Failure> {
    #[derive(Deserialize)]
    struct Head {
        metadata: Option<Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        lock_version: Option<Spanned<String>>,
    }
    let head: Head = lock.toml()?;
    let Some(version) = head.metadata.and_then(|metadata| metadata.lock_version) else {
        let failure = lock.failure("it does not say its 'lock_version', so this is not a pdm.lock");
        return Err(failure.at(lock.span(0..0)));
    };
    if version.get_ref().split('.').next() == Some("4") {
        return lock.toml();
    }
    let failure = lock.failure(format!("lock_version {} is not known, 4 to 4.5 are", version.get_ref()));
    Err(failure.at(lock.span(version.span())).hint("`pdm lock` with PDM 2 writes one that is"))
}
