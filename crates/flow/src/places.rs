//! Where blobs were seen: repositories of a registry that another one can mount them from. A hint, never more: who was
//! wrong sends the blob.

use std::collections::BTreeMap;

use corten_diagnostic::{Failure, Report};
use corten_oci::{Descriptor, Digest, Repository};
use corten_store::Key;

use crate::world::World;

/// How many repositories are remembered of a blob and a registry, the latest first.
const MOST: usize = 3;

fn key(host: &str, blob: &Digest) -> Key {
    Key(Digest::of(format!("seen at {host}: {blob}")))
}

fn host(repository: &Repository) -> String {
    repository.normalised().host.unwrap_or_default()
}

fn seen(host: &str, blob: &Digest, world: &World<'_>) -> Result<Vec<Repository>, Report> {
    let record = world.store.record(&key(host, blob))?;
    Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

/// Other repositories of the same registry, by blob.
pub fn known(
    repository: &Repository,
    blobs: &[Descriptor],
    world: &World<'_>,
) -> Result<BTreeMap<Digest, Vec<Repository>>, Report> {
    let host = host(repository);
    let mut all = BTreeMap::new();
    for blob in blobs {
        let mut places = seen(&host, &blob.digest, world)?;
        places.retain(|place| place.normalised() != repository.normalised());
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
    let host = host(repository);
    let batch = world.store.batch();
    for blob in blobs {
        let mut places = seen(&host, &blob.digest, world)?;
        if places.first() == Some(repository) {
            continue;
        }
        places.retain(|place| place != repository);
        places.insert(0, repository.clone());
        places.truncate(MOST);
        let record =
            serde_json::to_vec(&places).map_err(|error| Failure::bug(format!("remembering places: {error}")))?;
        batch.record(&key(&host, &blob.digest), &record)?;
    }
    batch.finish()?;
    Ok(())
}
