//! OCI image layout, out and in.
use std::path::Path;

use corten_oci::{Digest, Reference};

use crate::{Store, StoreError};

/// Writes (adds) an image with its referrers to the OCI layout folder `to`, named by `references` (annotation
/// `org.opencontainers.image.ref.name`, the tag alone). Blobs are linked where possible, else copied.
pub fn export(_store: &Store, _manifest: &Digest, _references: &[Reference], _to: &Path) -> Result<(), StoreError> {
    todo!()
}

/// The same as a tar file (`-o type=oci,dest=FILE`), deterministic.
pub fn export_tar(
    _store: &Store,
    _manifest: &Digest,
    _references: &[Reference],
    _to: &mut dyn std::io::Write,
) -> Result<(), StoreError> {
    todo!()
}

/// Takes all images of an OCI layout folder into the store, checking every byte: their manifests' digests.
pub fn import(_store: &Store, _from: &Path) -> Result<Vec<Digest>, StoreError> {
    todo!()
}
