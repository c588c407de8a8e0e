//! Who builds a plan: the seam between what is wanted and how it is made.

use corten_diagnostic::Report;
use corten_oci::{Digest, Image, Layer, SetId};
use serde::{Deserialize, Serialize};

use crate::{Plan, StepId};

/// Builds plans.
///
/// An engine owes: the same plan gives the same image, bit by bit, whatever was built before and however many threads
/// work; what it says to have built can be read back. A caller owes: the plan's inputs come before their users.
pub trait Engine {
    /// Builds the image that `target` makes.
    fn solve(&self, plan: &Plan, target: StepId) -> Result<Built, Report>;
}

/// What an engine has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The image; its blobs can be read.
    pub image: Image,
    /// One for each of the image's layers, in the same order.
    pub layers: Vec<BuiltLayer>,
}

/// A layer, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltLayer {
    /// The layer.
    pub layer: Layer,
    /// Which step made it.
    pub step: StepId,
    /// The step's name.
    pub what: String,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// Was it there already?
    pub reused: bool,
    /// The packages in it.
    pub installed: Vec<Installed>,
    /// Its programs that run with others' rights.
    pub set_id: Vec<SetId>,
}

/// A package of a layer, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Package URL.
    pub purl: String,
    /// As its archive calls it.
    pub name: String,
    /// As its archive has it.
    pub version: String,
    /// SPDX expression; none where it states no licence that can be told.
    pub licence: Option<String>,
    /// What it needs, as PEP 508 has it; empty for Debian packages.
    pub requires: Vec<String>,
    /// Of the wheel or .deb; none of what is in an image that others made.
    pub digest: Option<Digest>,
}
