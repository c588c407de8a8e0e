//! The folder (`$CORTEN_HOME`).
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use corten_diagnostic::{Diagnose, Fault};
use corten_oci::{Blobs, Descriptor, DiffId, Digest, LayerIndex, Reference};

/// A store. Many processes may have one open at once.
pub struct Store {
    root: PathBuf,
}

/// The name of a remembered result: the digest of everything that decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Digest);

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no: full, read-only, gone.
    #[error("{doing} {path}: {source}")]
    Disk {
        /// `writing`, `reading`, `syncing` …
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what their name says.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// What.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// Asked for, not there.
    #[error("{0} is not in the store")]
    Missing(String),
}

impl Diagnose for StoreError {
    fn fault(&self) -> Fault {
        Fault::World
    }
}

/// A download under way: the bytes so far, in a file that survives a crash and that one process at a time writes.
pub struct Partial {
    /// Open for appending.
    pub file: File,
    /// Bytes in it already.
    pub length: u64,
}

impl Store {
    /// Opens the store at `root`, makes its folders where they are absent.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Ok(Self { root: root.into() })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Size of a blob, if it is there.
    pub fn size(&self, _digest: &Digest) -> Result<Option<u64>, StoreError> {
        todo!()
    }

    /// Where a blob lies (for handing to other programs and for links). It may not be there.
    pub fn blob_path(&self, _digest: &Digest) -> PathBuf {
        todo!()
    }

    /// Opens a blob as a file for random access: its size is checked, its hash is not.
    pub fn file(&self, _digest: &Digest) -> Result<File, StoreError> {
        todo!()
    }

    /// Opens a blob for reading to the end; size and hash are checked on the way.
    pub fn read(&self, _digest: &Digest) -> Result<Box<dyn Read>, StoreError> {
        todo!()
    }

    /// A whole small blob, checked.
    pub fn bytes(&self, _digest: &Digest) -> Result<Vec<u8>, StoreError> {
        todo!()
    }

    /// A remembered result (`cache/<key>`); none where it is absent or torn.
    pub fn record(&self, _key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }

    /// What lies in a layer (`layers/<diffid>/index`).
    pub fn layer_index(&self, _diff_id: &DiffId) -> Result<Option<LayerIndex>, StoreError> {
        todo!()
    }

    /// The digest that a name points to (`images/<repository>/<tag>`).
    pub fn image(&self, _reference: &Reference) -> Result<Option<Digest>, StoreError> {
        todo!()
    }

    /// All names, sorted.
    pub fn images(&self) -> Result<Vec<(Reference, Digest)>, StoreError> {
        todo!()
    }

    /// Artifacts whose subject is `digest` (SBOM, release …), sorted by digest.
    pub fn referrers(&self, _digest: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        todo!()
    }

    /// A download to begin or go on with (`downloads/<hex>.partial`), locked against other processes.
    pub fn partial(&self, _digest: &Digest) -> Result<Partial, StoreError> {
        todo!()
    }

    /// A download that is complete: its hash must be `digest` (the caller has hashed it), it becomes a blob, durably.
    pub fn keep(&self, _partial: Partial, _digest: &Digest) -> Result<(), StoreError> {
        todo!()
    }

    /// Begins a durable write of many things.
    pub fn batch(&self) -> crate::Batch<'_> {
        todo!()
    }
}

impl Blobs for Store {
    fn open(&self, _descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        todo!()
    }

    fn has(&self, _digest: &Digest) -> io::Result<bool> {
        todo!()
    }
}
