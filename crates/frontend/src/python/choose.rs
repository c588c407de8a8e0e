//! One wheel out of a package's files.

use std::fmt;

use corten_diagnostic::{Diagnose, Fault, Span};
use corten_package::wheel::Tags;

use super::{LockFile, Wanted};

/// Why no wheel can be taken, in the words of the lock research.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Only a source distribution.
    SdistOnly,
    /// Wheels for other platforms, and a source distribution.
    NoWheelButSdist,
    /// Wheels for other platforms only.
    NoWheel,
    /// A repository.
    Git,
    /// A source distribution by URL.
    UrlSdist,
    /// A wheel by URL, for another platform.
    UrlWheel,
    /// No file of the index has a hash of the lock.
    NotOnIndex,
}

/// A package that cannot be installed from a wheel.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{package} cannot be installed: {reason}")]
pub struct NoWheel {
    /// Name and version.
    pub package: String,
    /// Why.
    pub reason: Reason,
    /// What to try.
    pub hint: String,
    /// Where the lock names it.
    pub at: Span,
}

impl fmt::Display for Reason {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl Diagnose for NoWheel {
    fn fault(&self) -> Fault {
        Fault::Input
    }

    fn hints(&self) -> Vec<String> {
        vec![self.hint.clone()]
    }

    fn span(&self) -> Option<&Span> {
        Some(&self.at)
    }
}

/// The best wheel of `files` (the lock's own, or what the index answered) for `tags`: best tag first, then the greatest
/// build tag. With `Files::AskIndex` only files with one of its hashes are looked at.
///
/// # Errors
/// No wheel fits.
pub fn choose(_wanted: &Wanted, _files: &[LockFile], _tags: &Tags) -> Result<LockFile, NoWheel> {
    todo!()
}
