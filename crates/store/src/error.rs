//! Why the store could not do something, with path and need.

use std::io;
use std::path::{Path, PathBuf};

use corten_diagnostic::{Diagnose, Fault};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no: read-only, gone, not allowed.
    #[error("{doing} {path}: {source}")]
    Disk {
        /// `writing`, `reading`, `syncing` …
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk, or the user's share of it, is full.
    #[error("{doing} {path}: the disk is full: at least {needed} bytes more are needed, {free} are free")]
    Full {
        /// `writing`, `syncing` …
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// Bytes that did not fit.
        needed: u64,
        /// Bytes that this user may still write there.
        free: u64,
    },
    /// Bytes are not what their name says.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// What.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// A document that is what its digest says, but not what was asked of it.
    #[error("{digest} cannot be used: {why}")]
    Unsuitable {
        /// Which.
        digest: corten_oci::Digest,
        /// Why not.
        why: String,
    },
    /// Asked for, not there.
    #[error("{0} is not in the store")]
    Missing(String),
}

impl StoreError {
    /// What the system said about `path`; a full disk is told with `needed`, the bytes that did not fit.
    pub fn disk(doing: &'static str, path: &Path, needed: u64, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let free = free_bytes(&path);
                Self::Full { doing, path, needed, free }
            }
            _ => Self::Disk { doing, path, source },
        }
    }

    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    /// The same as an error of `std::io`, for the traits `Read` and `Write`; its message stays.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Disk { source, .. } => source.kind(),
            Self::Full { .. } => io::ErrorKind::StorageFull,
            Self::Damaged { .. } | Self::Unsuitable { .. } => io::ErrorKind::InvalidData,
            Self::Missing(_) => io::ErrorKind::NotFound,
        };
        io::Error::new(kind, self)
    }

    /// Takes an error of a reader or writer of ours apart again; any other is told with `doing` and `path`.
    pub(crate) fn from_io(doing: &'static str, path: &Path, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(other) => Self::disk(doing, path, 0, other),
        }
    }
}

fn free_bytes(path: &Path) -> u64 {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path);
    rustix::fs::statvfs(folder).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
}

impl Diagnose for StoreError {
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Full { .. } => vec!["free some space there, or set CORTEN_HOME to a folder on another disk".into()],
            Self::Disk { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                vec!["set CORTEN_HOME to a folder that can be written".into()]
            }
            Self::Disk { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec!["the store belongs to one user: run as its owner, or set CORTEN_HOME to a folder of yours".into()]
            }
            Self::Damaged { .. } => vec!["`corten store verify` lists everything that is damaged".into()],
            _ => Vec::new(),
        }
    }
}
