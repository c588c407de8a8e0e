//! The files of a stage or an image, from the indexes of its layers alone.

use std::sync::Arc;

use corten_diagnostic::{Failure, Report};
use corten_layer::tree::{Node, Tree};
use corten_oci::{DiffId, Kind, LayerIndex, LayerPath};
use corten_store::Store;

use super::view::{Found, Place, View};

/// Merged layers.
pub(super) struct ImageView {
    tree: Tree,
}

impl ImageView {
    /// Of layers, the lowest first.
    pub(super) fn new(layers: &[DiffId], store: &Store) -> Result<Self, Report> {
        let mut indexes: Vec<(DiffId, Arc<LayerIndex>)> = Vec::with_capacity(layers.len());
        for layer in layers {
            let index = store.layer_index(layer)?.ok_or_else(|| {
                Failure::world(format!("what lies in layer {} is no longer known", layer.0))
                    .hint("build again: it is made anew")
            })?;
            indexes.push((*layer, Arc::new(index)));
        }
        let tree = Tree::new(indexes.iter().map(|(layer, index)| (*layer, index.as_ref())))?;
        Ok(Self { tree })
    }

    /// The file that a path leads to, links followed inside the root.
    pub(super) fn file(&self, path: &LayerPath) -> Option<Found> {
        self.tree.resolve(path).filter(|node| node.entry.kind == Kind::File).map(found)
    }
}

fn found(node: &Node) -> Found {
    let entry = &node.entry;
    Found {
        path: entry.path.clone(),
        kind: entry.kind.clone(),
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        size: entry.size,
        place: Place::Layer(node.layer, entry.offset),
    }
}

impl View for ImageView {
    fn look(&self, path: &LayerPath) -> Result<Option<Found>, Failure> {
        // The tree follows links among parents; a path that it finds elsewhere was no real one.
        let node = self.tree.get(path).filter(|node| node.entry.path == *path);
        if node.is_none() && path.is_root() {
            let place = Place::Layer(DiffId(corten_oci::Digest::of([])), 0);
            let path = LayerPath::root();
            return Ok(Some(Found { path, kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, size: 0, place }));
        }
        Ok(node.map(found))
    }

    fn children(&self, folder: &LayerPath) -> Result<Vec<Found>, Failure> {
        let children = self.tree.descendants(folder).filter(|node| node.entry.path.parent().as_ref() == Some(folder));
        Ok(children.map(found).collect())
    }

    fn below(&self, folder: &LayerPath, _jobs: usize) -> Result<Vec<Found>, Failure> {
        Ok(self.tree.descendants(folder).map(found).collect())
    }
}
