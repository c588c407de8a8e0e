//! `corten.lock`: what no other lock of the project holds.
//!
//! ```toml
//! version = 1
//!
//! [lock]                          # the Python lock that this file was made with
//! file = "uv.lock"
//! digest = "sha256:…"
//!
//! [base]
//! reference = "debian:bookworm"
//! variant = "distroless"
//! architecture = "amd64"
//! python = "3.11.2"
//! glibc = "2.36"
//! seeds = ["python3.11-minimal"]
//!
//! [base.archive]
//! suite = "bookworm"
//! epoch = 1763596800              # the newest Date of its Release files, seconds since 1970
//!
//! [[base.deb]]
//! name = "libc6"
//! version = "2.36-9+deb12u14"
//! architecture = "amd64"
//! mirror = "main"                 # or security
//! path = "pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb"
//! size = 2757012
//! digest = "sha256:…"
//! ```

use corten_oci::{Architecture, Digest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Variant;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CortenLock {
    /// Always 1.
    #[serde(deserialize_with = "known_version")]
    pub version: u32,
    /// The Python lock that this file was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockedLock>,
    /// The base.
    pub base: LockedBase,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        1 => Ok(1),
        other => Err(D::Error::custom(format!("version {other} of corten.lock is not known, 1 is"))),
    }
}

/// A lock of another tool, by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLock {
    /// Its name below the project.
    pub file: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Hashes of wheels that the lock names without one: recorded when first fetched.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub recorded: std::collections::BTreeMap<String, Digest>,
}

/// A base made from an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// As written in the settings.
    pub reference: String,
    /// Which variant.
    pub variant: Variant,
    /// For which processor.
    pub architecture: Architecture,
    /// Full version of its Python.
    pub python: String,
    /// Version of its C library.
    pub glibc: String,
    /// The packages that were asked for.
    pub seeds: Vec<String>,
    /// State of the archive.
    pub archive: ArchiveState,
    /// Every package, sorted by name.
    #[serde(rename = "deb")]
    pub debs: Vec<LockedDeb>,
}

/// How an archive stood when the base was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveState {
    /// `bookworm`.
    pub suite: String,
    /// The newest `Date` of its Release files, seconds since 1970.
    pub epoch: u64,
}

/// Which archive a package comes from; its URL is a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    /// Main and updates.
    Main,
    /// Security.
    Security,
}

/// One Debian package, by content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDeb {
    /// Binary package.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Which archive.
    pub mirror: Mirror,
    /// Below the archive's root.
    pub path: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Of the .deb.
    pub digest: Digest,
}

impl CortenLock {
    /// Reads the file's text. The error gives the byte range in the text, where there is one.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        const HEAD: &str = "# Written by corten: what no other lock of this project holds. Commit it.\n\
                            # `corten lock` renews it; a build only adds what it lacks.\n\n";
        Ok(format!("{HEAD}{}", toml::to_string(self)?))
    }
}
