//! What the store remembers of a step, under its key.

use corten_diagnostic::{Failure, Report};
use corten_oci::{DiffId, Digest};
use corten_store::{Doubled, Key, Store};
use serde::{Deserialize, Serialize};

/// What a step left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) diff_id: DiffId,
    pub(super) tar_size: u64,
    /// What it left, as the next step's key has it.
    pub(super) left: Digest,
    /// What it has once more.
    #[serde(default)]
    pub(super) doubled: Doubled,
}

impl Saved {
    pub(super) fn find(store: &Store, key: &Key) -> Result<Option<Self>, Report> {
        Ok(store.record(key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| Failure::bug(format!("remembering a step: {error}")))
    }
}
