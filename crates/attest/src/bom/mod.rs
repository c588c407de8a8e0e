//! Bill of materials: what is in an image, exact because the image was made from it.

mod files;
mod licence;
pub mod spdx;

use std::fmt;

use corten_oci::{DiffId, Digest, LayerPath};

pub use files::FileSums;

/// Media and artifact type of SPDX as JSON.
pub const SPDX_TYPE: &str = "application/spdx+json";

/// All that a bill of materials tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BomInput {
    /// The image's name, without tag: `text-classifier`.
    pub name: String,
    /// Of its manifest.
    pub digest: Digest,
    /// RFC 3339; the image's own `created`, never the clock.
    pub created: Option<String>,
    /// Version of Corten.
    pub tool_version: String,
    /// In any order.
    pub packages: Vec<BomPackage>,
    /// Every file, where files are wanted; in any order.
    pub files: Option<Vec<BomFile>>,
}

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BomPackage {
    /// Package URL.
    pub purl: String,
    /// As its ecosystem spells it.
    pub name: String,
    /// In full, with epoch or `+local`.
    pub version: String,
    /// An SPDX expression, or what the package says in its own words; none where it says nothing.
    pub license: Option<String>,
    /// Who it comes from.
    pub supplier: Option<Supplier>,
    /// SHA-256 of the wheel, .deb or other archive, where there is one.
    pub digest: Option<Digest>,
    /// Where that was downloaded; user, password, query and fragment are left out.
    pub download_url: Option<String>,
    /// What it was made of and how, where `digest` is not that of what was downloaded.
    pub source: Option<String>,
    /// Which layer it is in.
    pub layer: DiffId,
    /// What it is.
    pub kind: BomKind,
}

/// Who a package comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Supplier {
    /// For instance `Debian Python Team <team@tracker.debian.org>`.
    Organization(String),
    /// For instance `Ada Lovelace`.
    Person(String),
}

/// What a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BomKind {
    /// A Python wheel.
    Wheel,
    /// A Debian package.
    Deb,
    /// The project's own code.
    Application,
    /// A model's weights.
    Weights,
}

/// A regular file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BomFile {
    /// Below the image's root.
    pub path: LayerPath,
    /// Which layer it is in.
    pub layer: DiffId,
    /// The purl of its package in that layer; none for generated files.
    pub package: Option<String>,
    /// Of its content.
    pub sums: FileSums,
}

/// A bill of materials that cannot be written.
#[derive(Debug)]
pub struct BomError(pub(crate) String);

impl fmt::Display for BomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writing the bill of materials: {}", self.0)
    }
}

impl std::error::Error for BomError {}

impl corten_diagnostic::Diagnose for BomError {
    fn fault(&self) -> corten_diagnostic::Fault {
        corten_diagnostic::Fault::Bug
    }
}
