//! An image's layers as folders that overlayfs stacks.

use std::path::PathBuf;

use corten_diagnostic::Report;
use corten_oci::{Descriptor, DiffId};
use corten_run::Container;
use corten_store::{Store, TreeLayer};

use super::image::Runnable;
use crate::blobs::Everywhere;
use crate::registry::RegistryOptions;
use crate::world::World;

/// The uppermost first. They stay as long as the store is open.
pub(super) fn trees(image: &Runnable, options: &RegistryOptions, world: &World<'_>) -> Result<Vec<PathBuf>, Report> {
    Ok(world.store.trees(&layers(&image.layers), &Everywhere { world, options })?.to_vec())
}

/// What a container stands on is not removed while `store` is open.
pub(super) fn hold(container: &Container, store: &Store) -> Result<(), Report> {
    store.trees(&layers(&container.layers), store)?;
    Ok(())
}

fn layers(layers: &[(DiffId, Option<Descriptor>)]) -> Vec<TreeLayer> {
    layers.iter().map(|(diff_id, blob)| TreeLayer { diff_id: *diff_id, blob: blob.clone() }).collect()
}
