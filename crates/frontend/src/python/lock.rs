//! Which lock a file is, and reading it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::Failure;
use corten_package::marker::Environment;

use super::{Asked, Manifest, Resolved};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// `uv.lock`.
    Uv,
    /// `pylock.toml`, `pylock.NAME.toml` (PEP 751).
    Pylock,
    /// `requirements.txt`; only with hashes it is a lock.
    Requirements,
}

impl LockKind {
    /// By file name: exact for uv and pylock, `requirements*.txt` for pip's.
    pub fn of(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_str()?;
        let pylock = |middle: &str| middle.is_empty() || !middle.trim_end_matches('.').contains('.');
        match name {
            "uv.lock" => Some(Self::Uv),
            "pylock.toml" => Some(Self::Pylock),
            _ if name.strip_prefix("pylock.").and_then(|rest| rest.strip_suffix(".toml")).is_some_and(pylock) => {
                Some(Self::Pylock)
            }
            _ if name.starts_with("requirements") && name.ends_with(".txt") => Some(Self::Requirements),
            _ => None,
        }
    }
}

/// A lock as it was found.
#[derive(Debug, Clone)]
pub struct LockText {
    /// Which format.
    pub kind: LockKind,
    /// Its name as the user knows it.
    pub path: PathBuf,
    /// Content.
    pub text: Arc<str>,
    /// For `-r` and `-c` lines of requirements: files that the caller has read, by the path as it is written in the line.
    pub included: Vec<(String, Arc<str>)>,
}

/// Reads `lock` for `environment`.
///
/// # Errors
/// Broken text, unknown format version, two entries of one name that both apply, conflicting extras, unknown groups, a
/// target or Python that the lock was not made for, requirements without pin or hash; with the place in the lock.
pub fn read(
    _lock: &LockText,
    _manifest: Option<&Manifest>,
    _asked: &Asked,
    _environment: &Environment,
) -> Result<Resolved, Failure> {
    todo!()
}
