//! `uv.lock`, version 1, any revision.
//!
//! A graph of packages. What is installed follows from walking it: from the roots (the project, or members) along
//! `dependencies` whose markers hold, with the extras that edges name, and the optional and development dependencies that
//! were asked for. `resolution-markers` of packages are no filter: the edges' markers exclude already.

mod format;
mod metadata;
mod walk;

pub use metadata::locked_metadata;

pub(super) use format::{Lock, Metadata, MetadataRequirement, Package};

use corten_diagnostic::Failure;
use corten_package::marker::Environment;
use corten_package::pep440::Specifiers;

use super::{Asked, LockText, Manifest, Resolved};

/// Parses the file.
pub(super) fn parse(lock: &LockText) -> Result<Lock, Failure> {
    format::parse(lock)
}

/// See [`super::read`].
pub(super) fn read(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    let parsed = parse(lock)?;
    walk::resolve(lock, &parsed, manifest, asked, environment)
}

/// The Pythons that the lock is for.
pub(super) fn python(lock: &LockText) -> Result<Option<Specifiers>, Failure> {
    let parsed = parse(lock)?;
    let Some(text) = parsed.requires_python else { return Ok(None) };
    text.get_ref().parse().map(Some).map_err(|error| lock.failure(error).at(lock.span(text.span())))
}
