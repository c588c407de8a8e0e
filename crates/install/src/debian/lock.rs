//! What a base is made of, pinned: every package by the SHA-256 of its .deb. The shapes are those of `corten.lock`
//! (crate corten-plan), which this crate does not know.

use corten_oci::{Architecture, Digest};

/// How much of Debian is in a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Variant {
    /// No shell, no package manager.
    #[default]
    Distroless,
    /// Both.
    Slim,
}

/// Which archive a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mirror {
    /// Main and updates.
    Main,
    /// Security.
    Security,
}

/// One Debian package, by content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedDeb {
    /// Binary package.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Which archive.
    pub mirror: Mirror,
    /// Below the archive's root: `pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb`.
    pub path: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Of the .deb.
    pub digest: Digest,
}

/// A base, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// `bookworm`.
    pub suite: String,
    /// How much of Debian.
    pub variant: Variant,
    /// For which processor.
    pub architecture: Architecture,
    /// Full version of its Python: `3.11.2`.
    pub python: String,
    /// Version of its C library: `2.36`.
    pub glibc: String,
    /// The packages that were asked for, beside those of the variant; sorted.
    pub seeds: Vec<String>,
    /// The newest `Date` of the archive's Release files, seconds since 1970.
    pub epoch: u64,
    /// Every package, sorted by name.
    pub debs: Vec<LockedDeb>,
}
