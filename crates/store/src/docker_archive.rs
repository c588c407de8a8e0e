//! Docker's archive (`docker save`, `docker load`): manifest.json, config, layers.
use corten_oci::{Digest, Reference};

use crate::{Store, StoreError};

/// Writes an image as a tar that `docker load` and `podman load` read, deterministic. Layers stay compressed.
pub fn export(
    _store: &Store,
    _manifest: &Digest,
    _references: &[Reference],
    _to: &mut dyn std::io::Write,
) -> Result<(), StoreError> {
    todo!()
}
