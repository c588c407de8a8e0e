//! Where a blob can be had beside this store: repositories at which it was seen. So a layer of an image may be absent
//! here, and an image is whole all the same.
//!
//! A hint, never more: who was wrong finds that out when asking there, and bytes are checked wherever they come from.

use corten_oci::{Digest, Repository};

use serde::{Deserialize, Serialize};

use crate::{Batch, Key, Store, StoreError};

/// How many are remembered of a blob and a registry, the latest first.
const MOST_OF_A_REGISTRY: usize = 3;
/// How many are remembered of a blob.
const MOST: usize = 9;

/// The record; it names the blob, so that it stays while an image has that.
#[derive(Serialize, Deserialize)]
struct Seen {
    blob: Digest,
    at: Vec<Repository>,
}

pub(crate) fn key(blob: &Digest) -> Key {
    Key(Digest::of(format!("origins of {blob}")))
}

impl Store {
    /// Repositories at which a blob was seen, each with its host, the latest first; empty where that is not known.
    pub fn origins(&self, blob: &Digest) -> Result<Vec<Repository>, StoreError> {
        let record = self.record(&key(blob))?;
        let seen = record.and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok());
        Ok(seen.filter(|seen| seen.blob == *blob).map(|seen| seen.at).unwrap_or_default())
    }
}

impl Batch<'_> {
    /// Remembers that a blob was seen at a repository.
    pub fn origin(&self, blob: &Digest, repository: &Repository) -> Result<(), StoreError> {
        let repository = repository.normalised();
        let mut all = self.store().origins(blob)?;
        if all.first() == Some(&repository) {
            return Ok(());
        }
        all.retain(|other| *other != repository);
        all.insert(0, repository.clone());
        let mut of_host = 0;
        all.retain(|other| {
            of_host += usize::from(other.host == repository.host);
            other.host != repository.host || of_host <= MOST_OF_A_REGISTRY
        });
        all.truncate(MOST);
        // Names alone: nothing of them can fail to become JSON.
        let seen = Seen { blob: *blob, at: all };
        self.record(&key(blob), &serde_json::to_vec(&seen).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_registry_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let blob = Digest::of("blob");
        let see = |name: &str| {
            let batch = store.batch();
            batch.origin(&blob, &name.parse().unwrap()).unwrap();
            batch.finish().unwrap();
        };
        assert!(store.origins(&blob).unwrap().is_empty());
        for name in ["one.example/a", "python", "one.example/b", "one.example/c", "one.example/d", "one.example/b"] {
            see(name);
        }
        let names: Vec<String> = store.origins(&blob).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["one.example/b", "one.example/d", "one.example/c", "docker.io/library/python"]);
        (0..20).for_each(|number| see(&format!("host{number}.example/a")));
        assert_eq!(store.origins(&blob).unwrap().len(), MOST);
    }
}
