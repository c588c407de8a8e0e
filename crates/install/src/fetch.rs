//! Downloads into the store, checked by digest, resumable.
use corten_diagnostic::{Diagnose, Events, Fault};
use corten_net::{Client, NetError};
use corten_oci::Digest;
use corten_store::{Store, StoreError};

/// Something to download, by content.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where it may be had, best first.
    pub urls: Vec<String>,
    /// SHA-256 of all its bytes.
    pub digest: Digest,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// For people: `numpy 2.4.6`.
    pub what: String,
}

/// Why a download did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnose for FetchError {
    fn fault(&self) -> Fault {
        Fault::World
    }
}

/// Puts the checked bytes into the store; nothing happens where they are there already.
pub fn fetch(_client: &Client, _store: &Store, _download: &Download, _events: &dyn Events) -> Result<(), FetchError> {
    todo!()
}
