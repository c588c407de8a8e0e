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
    /// The disk has room for bytes, but for no further file.
    #[error("{doing} {path}: the disk is full: no more files can be made there")]
    Crowded {
        /// `writing`, `making the folder` …
        doing: &'static str,
        /// What.
        path: PathBuf,
    },
    /// Bytes are not what their name says.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// What.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// The store is of a version that this program does not know.
    #[error("the store at {path} is of format {found}; this program knows up to {known}")]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest that is known.
        known: u32,
    },
    /// A document that is what its digest says, but not what was asked of it.
    #[error(transparent)]
    Unsuitable(#[from] corten_oci::Unsuitable),
    /// Asked for, not there.
    #[error("{0} is not in the store")]
    Missing(String),
    /// A layer that cannot be put on disk.
    #[error("unpacking layer {layer}: {why}")]
    Layer {
        /// Which.
        layer: corten_oci::DiffId,
        /// The entry, and what is wrong with it.
        why: String,
        /// Its maker's, or whose that its bytes cannot be read.
        fault: Fault,
    },
    /// A command left something that no layer can hold.
    #[error("making a layer of what a command changed: {0}")]
    Unkeepable(String),
}

impl StoreError {
    /// What the system said about `path`; a full disk is told with `needed`, the bytes that did not fit.
    pub fn disk(doing: &'static str, path: &Path, needed: u64, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let (free, files) = free(&path);
                match files {
                    0 if free > needed => Self::Crowded { doing, path },
                    _ => Self::Full { doing, path, needed, free },
                }
            }
            _ => Self::Disk { doing, path, source },
        }
    }

    /// Why a layer cannot be put on disk; bytes that are wrong are the fault of who made them.
    pub(crate) fn layer(layer: corten_oci::DiffId, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => {
                let fault = if is_of_bytes(&error) { Fault::Input } else { Fault::World };
                Self::Layer { layer, why: error.to_string(), fault }
            }
        }
    }

    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    /// The same as an error of `std::io`, for the traits `Read` and `Write`; its message stays.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Disk { source, .. } => source.kind(),
            Self::Full { .. } | Self::Crowded { .. } => io::ErrorKind::StorageFull,
            Self::Damaged { .. } | Self::Unsuitable(_) | Self::Layer { .. } | Self::Unkeepable(_) => {
                io::ErrorKind::InvalidData
            }
            Self::Missing(_) => io::ErrorKind::NotFound,
            Self::Newer { .. } => io::ErrorKind::Unsupported,
        };
        io::Error::new(kind, self)
    }

    /// Takes an error of a reader or writer of ours apart again; any other is told with `doing` and `path`.
    pub fn from_io(doing: &'static str, path: &Path, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(other) => Self::disk(doing, path, 0, other),
        }
    }
}

/// Do bytes break a rule? The kernel has errors of the same kinds, which no bytes are to blame for.
pub(crate) fn is_of_bytes(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof, Unsupported};
    error.raw_os_error().is_none() && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Unsupported)
}

/// The error of an entry of a layer.
#[derive(Debug, thiserror::Error)]
#[error("'{path}': {why}")]
struct OfEntry {
    path: String,
    why: String,
}

/// Tells an error with the entry that it is about, once; whose fault it is stays.
pub(crate) fn of_entry(path: &corten_oci::LayerPath, error: io::Error) -> io::Error {
    if error.get_ref().is_some_and(|inner| inner.is::<StoreError>() || inner.is::<OfEntry>()) {
        return error;
    }
    let kind = match error.kind() {
        kind if error.raw_os_error().is_none() || !is_of_bytes(&io::Error::from(kind)) => kind,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, OfEntry { path: path.to_string(), why: error.to_string() })
}

/// Bytes and files that this user may still write there. A file system that does not count files has room for them.
pub(crate) fn free(path: &Path) -> (u64, u64) {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(path);
    let Ok(found) = rustix::fs::statvfs(folder) else { return (0, u64::MAX) };
    let files = if found.f_files == 0 { u64::MAX } else { found.f_favail };
    (found.f_bavail.saturating_mul(found.f_frsize), files)
}

impl Diagnose for StoreError {
    fn fault(&self) -> Fault {
        match self {
            Self::Layer { fault, .. } => *fault,
            Self::Unkeepable(_) => Fault::Input,
            _ => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Crowded { .. } => {
                vec!["remove some files there, or set CORTEN_HOME to a folder on another disk".into()]
            }
            Self::Full { .. } => hints(io::ErrorKind::StorageFull),
            Self::Disk { source, .. } => hints(source.kind()),
            Self::Damaged { .. } => vec!["`corten store verify` lists everything that is damaged".into()],
            Self::Newer { .. } => {
                vec!["a newer corten wrote it: take that one, or set CORTEN_HOME to another folder".into()]
            }
            _ => Vec::new(),
        }
    }
}

/// What to try where the disk of a store says no.
pub fn hints(kind: io::ErrorKind) -> Vec<String> {
    let hint = match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or set CORTEN_HOME to a folder on another disk"
        }
        io::ErrorKind::ReadOnlyFilesystem => "set CORTEN_HOME to a folder that can be written",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "something lies where the store wants a folder: set CORTEN_HOME to another place"
        }
        io::ErrorKind::PermissionDenied => {
            "the store belongs to one user: run as its owner, or set CORTEN_HOME to a folder of yours"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EINVAL and EOPNOTSUPP have kinds that readers of ours give wrong bytes.
    #[test]
    fn what_the_kernel_or_the_store_says_is_no_fault_of_a_layer() {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof, Unsupported};
        let path = corten_oci::LayerPath::new("etc/f").unwrap();
        let layer = |error| StoreError::layer(corten_oci::DiffId(corten_oci::Digest::of("")), error);
        for number in [rustix::io::Errno::INVAL, rustix::io::Errno::OPNOTSUPP, rustix::io::Errno::IO] {
            let error = || io::Error::from(number);
            assert_eq!(layer(error()).fault(), Fault::World, "{number}");
            let told = layer(of_entry(&path, error()));
            assert_eq!(told.fault(), Fault::World, "{told}");
            assert!(told.to_string().contains("'etc/f': "), "{told}");
        }
        for kind in [InvalidData, InvalidInput, UnexpectedEof, Unsupported] {
            let told = layer(of_entry(&path, of_entry(&path, io::Error::new(kind, "it is wrong"))));
            assert_eq!(told.fault(), Fault::Input);
            assert!(told.to_string().ends_with(": 'etc/f': it is wrong"), "{told}");
        }
        let damaged = StoreError::damaged(Path::new("blob"), "x").into_io();
        assert!(matches!(layer(of_entry(&path, damaged)), StoreError::Damaged { .. }));
    }
}
