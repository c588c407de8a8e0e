//! `pyproject.toml`, as much of it as decides about dependencies; and whether a lock still belongs to it.

use std::path::PathBuf;
use std::sync::Arc;

use corten_diagnostic::Failure;

use super::LockText;

/// A `pyproject.toml`, parsed.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its name as the user knows it.
    pub path: PathBuf,
    /// Content.
    pub text: Arc<str>,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// Broken TOML or a key of another type than the specification says, with the place.
    pub fn parse(_path: impl Into<PathBuf>, _text: impl Into<Arc<str>>) -> Result<Self, Failure> {
        todo!()
    }
}

/// Does a lock belong to a manifest?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InStep {
    /// As far as the lock tells, yes.
    Yes,
    /// No: what has changed, one line each.
    No(Vec<String>),
    /// Cannot be told, for this reason.
    Unknown(String),
}

/// Compares `lock` with the manifest beside it and those of the workspace's `members` (folder relative to the lock).
///
/// # Errors
/// The lock does not parse.
pub fn in_step(_lock: &LockText, _manifest: &Manifest, _members: &[(String, Manifest)]) -> Result<InStep, Failure> {
    todo!()
}
