//! A blob that others send in pieces, over several connections: hashed on the way, a file without a name until it is
//! complete. Where it is never completed, it goes with its value, or with the next process that opens the store.

use corten_oci::{Digest, Digester, Unsuitable};

use crate::batch::Temporary;
use crate::{Batch, Store, StoreError, disk};

/// A blob under way. Dropped without [`Batch::adopt`], it leaves nothing.
pub struct Upload {
    temporary: Temporary,
    digester: Digester,
    /// A write has failed: what lies in the file is not what was hashed.
    failed: bool,
}

impl Store {
    /// Begins one.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        Ok(Upload { temporary: Temporary::new(self)?, digester: Digester::new(), failed: false })
    }
}

impl Upload {
    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.temporary.size
    }

    /// Adds bytes at the end. After an error, nothing can be added or kept any more.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        self.failed = true;
        self.temporary.append(bytes)?;
        self.digester.update(bytes);
        self.failed = false;
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.failed {
            true => {
                let error = std::io::Error::other("a write before this one failed");
                Err(StoreError::disk("writing", &self.temporary.path, 0, error))
            }
            false => Ok(()),
        }
    }
}

impl Batch<'_> {
    /// Adds a complete upload to the batch as the blob `expected`: its size in bytes.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] where its bytes have another digest: it is thrown away then.
    pub fn adopt(&self, upload: Upload, expected: &Digest) -> Result<u64, StoreError> {
        upload.check()?;
        let Upload { mut temporary, digester, .. } = upload;
        let digest = digester.finish();
        if digest != *expected {
            let why = format!("the bytes that came have the digest {digest}");
            return Err(StoreError::Unsuitable(Unsuitable { digest: *expected, why }));
        }
        let size = temporary.size;
        temporary.place = self.store().blob_path(&digest);
        if self.store().size(&digest)? != Some(size) || !disk::same_bytes(&temporary.path, &temporary.place) {
            self.stage_blob(temporary)?;
        }
        Ok(size)
    }
}
