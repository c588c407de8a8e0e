//! Does a lock still belong to its manifest?
use corten_diagnostic::Failure;

use super::{LockText, Manifest};

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
