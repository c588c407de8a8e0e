//! An image's files, layers applied, from indexes alone: nothing is unpacked.
use corten_oci::{DiffId, Entry, LayerIndex, LayerPath};

/// The files of an image.
pub struct Tree;

/// One file of a tree, and the layer that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The entry, path resolved.
    pub entry: Entry,
    /// Where its bytes are.
    pub layer: DiffId,
}

impl Tree {
    /// Applies layers, lowest first. Links are never followed to anything outside the root.
    pub fn new<'a>(_layers: impl IntoIterator<Item = (DiffId, &'a LayerIndex)>) -> Result<Self, TreeError> {
        todo!()
    }

    /// What is at `path`, last link not followed.
    pub fn get(&self, _path: &LayerPath) -> Option<&Node> {
        todo!()
    }

    /// What is at `path`, links followed inside the root.
    pub fn resolve(&self, _path: &LayerPath) -> Option<&Node> {
        todo!()
    }

    /// Everything, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&LayerPath, &Node)> {
        std::iter::empty()
    }
}

/// Why layers do not make a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer}: {path}: {why}")]
pub struct TreeError {
    /// Which layer.
    pub layer: DiffId,
    /// Which entry.
    pub path: String,
    /// Which rule it breaks.
    pub why: String,
}
