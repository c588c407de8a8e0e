//! An image as Corten knows it: plain data, complete, checked.

use serde::{Deserialize, Serialize};

use crate::{Descriptor, DiffId, ImageConfig};

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The blob as it is stored and sent: usually compressed.
    pub blob: Descriptor,
    /// The uncompressed tar.
    pub diff_id: DiffId,
    /// One line for people, as `docker history` shows it.
    pub created_by: String,
}

/// A complete image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The manifest; its digest is *the* digest of the image.
    pub manifest: Descriptor,
    /// The config's blob.
    pub config_blob: Descriptor,
    /// The config, parsed.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}
