//! What reading a lock gives, whatever its format.

use corten_diagnostic::Span;
use corten_oci::Digest;
use corten_package::PackageName;
use corten_package::pep440::{Specifiers, Version};

/// What the user wants of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Dependency groups besides the default ones.
    pub groups: Vec<String>,
    /// Without the project's default groups.
    pub no_default_groups: bool,
    /// Extras of the project.
    pub extras: Vec<String>,
    /// A workspace member instead of the root.
    pub package: Option<String>,
}

/// What a lock says for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What to install, sorted by name.
    pub wanted: Vec<Wanted>,
    /// The dependency groups that were taken.
    pub groups: Vec<String>,
    /// The groups that the project has and that were left out.
    pub groups_left_out: Vec<String>,
    /// What the lock (or else the manifest) asks of Python.
    pub requires_python: Option<Specifiers>,
    /// Projects whose code lies here and belongs to the installation: the project, members, path dependencies.
    pub local: Vec<LocalProject>,
    /// What the user ought to know, one line each.
    pub warnings: Vec<String>,
    /// The Python that the lock was made for, where it tells (a comment of pip-compile): `3.10`.
    pub python_hint: Option<String>,
}

/// A package to install.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which.
    pub name: PackageName,
    /// Which version; none where the lock gives a URL or a directory without one.
    pub version: Option<Version>,
    /// Its files.
    pub files: Files,
    /// The index that it is from (base URL of the simple API), where the lock tells.
    pub index: Option<String>,
    /// What kind of source.
    pub from: LockedFrom,
    /// Where the lock names it.
    pub at: Span,
}

/// What kind of source a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedFrom {
    /// An index.
    Registry,
    /// A file by URL.
    Url(String),
    /// A repository; the URL with its commit.
    Git(String),
    /// A file of the project, relative to the lock.
    File(String),
}

/// The files of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// The lock names them.
    Known(Vec<LockFile>),
    /// The lock gives hashes only: ask the index for the files of that version.
    AskIndex {
        /// Base URLs in order; empty: the configured ones.
        indexes: Vec<String>,
        /// Only a file with one of these will do.
        hashes: Vec<Digest>,
    },
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// True file name: the URL's last segment, unquoted.
    pub file: String,
    /// Where it is (absolute), or a path relative to the lock.
    pub url: String,
    /// Its SHA-256; some indexes do not tell.
    pub digest: Option<Digest>,
    /// Bytes, where told.
    pub size: Option<u64>,
    /// Why it was yanked, where told.
    pub yanked: Option<String>,
}

/// A project whose code lies here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalProject {
    /// Which.
    pub name: PackageName,
    /// Its folder, relative to the lock; `.` is the project itself.
    pub path: String,
    /// Is it to be installed as a package (`false`: its dependencies only)?
    pub package: bool,
    /// Where the lock names it.
    pub at: Option<Span>,
}
