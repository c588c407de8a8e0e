//! Where blobs were seen: repositories that another one can mount them from, and that they are fetched from where the store
//! has them no more. A hint, never more: who was wrong sends the blob, or asks elsewhere.

use std::collections::BTreeMap;

use corten_diagnostic::Report;
use corten_oci::{Descriptor, Digest, Repository};

use crate::world::World;

/// Other repositories of the same registry, by blob.
pub fn known(
    repository: &Repository,
    blobs: &[Descriptor],
    world: &World<'_>,
) -> Result<BTreeMap<Digest, Vec<Repository>>, Report> {
    let own = repository.normalised();
    let mut all = BTreeMap::new();
    for blob in blobs {
        let mut places = world.store.origins(&blob.digest)?;
        places.retain(|place| place.host == own.host && *place != own);
        all.insert(blob.digest, places);
    }
    Ok(all)
}

/// The repository has them.
pub fn remember<'b>(
    repository: &Repository,
    blobs: impl IntoIterator<Item = &'b Descriptor>,
    world: &World<'_>,
) -> Result<(), Report> {
    let batch = world.store.batch();
    for blob in blobs {
        batch.origin(&blob.digest, repository)?;
    }
    Ok(batch.finish()?)
}

/// Repositories that may have a blob of an image: where it was seen, and where the image's own name says.
pub fn of(blob: &Descriptor, own: &Repository, world: &World<'_>) -> Result<Vec<Repository>, Report> {
    let mut places = world.store.origins(&blob.digest)?;
    let own = Some(own.normalised()).filter(|_| own.host.is_some());
    places.extend(own.filter(|own| !places.contains(own)));
    Ok(places)
}
