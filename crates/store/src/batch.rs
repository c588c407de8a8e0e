//! The one durable write: temp files → hash while writing → sync all → rename without replace → sync folders → pointers.
use std::io::{self, Write};

use corten_oci::{Descriptor, DiffId, Digest, LayerIndex, Reference};

use crate::{Key, Store, StoreError};

/// Many blobs and pointers, one durable [`Batch::finish`]. Shared by threads; dropped without `finish`, it leaves nothing.
pub struct Batch<'store> {
    #[expect(dead_code)]
    store: &'store Store,
}

/// A blob being written; hashes on the way. Dropped without `finish`, it leaves nothing.
pub struct BlobWriter<'batch> {
    #[expect(dead_code)]
    batch: &'batch Batch<'batch>,
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter<'_> {
    /// Adds the blob to the batch: digest and size.
    pub fn finish(self) -> Result<(Digest, u64), StoreError> {
        todo!()
    }
}

impl Batch<'_> {
    /// Begins a blob. Many may be under way at once.
    pub fn blob(&self) -> Result<BlobWriter<'_>, StoreError> {
        todo!()
    }

    /// A small blob that is in hand.
    pub fn put(&self, _bytes: &[u8]) -> Result<Digest, StoreError> {
        todo!()
    }

    /// What lies in a layer.
    pub fn layer_index(&self, _diff_id: &DiffId, _index: &LayerIndex) -> Result<(), StoreError> {
        todo!()
    }

    /// Remembers a result.
    pub fn record(&self, _key: &Key, _value: &[u8]) -> Result<(), StoreError> {
        todo!()
    }

    /// Lets a name point to a manifest (of the store or of this batch).
    pub fn image(&self, _reference: &Reference, _digest: &Digest) -> Result<(), StoreError> {
        todo!()
    }

    /// Remembers that the artifact `referrer` is about `subject`.
    pub fn referrer(&self, _subject: &Digest, _referrer: &Descriptor) -> Result<(), StoreError> {
        todo!()
    }

    /// Makes everything durable, blobs first, then pointers.
    pub fn finish(self) -> Result<(), StoreError> {
        todo!()
    }
}
