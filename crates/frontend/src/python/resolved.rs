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
#[derive(Debug, Clone, PartialEq, Default)]
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
        /// Base URL that the lock gives; `None`: the configured one.
        index: Option<String>,
        /// More base URLs, asked besides.
        extra: Vec<String>,
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

/// A file as locks describe it.
pub(super) struct FileText<'a> {
    pub url: &'a str,
    pub name: Option<&'a str>,
    /// `sha256:…`; other algorithms count as none.
    pub hash: Option<&'a str>,
    pub size: Option<u64>,
}

/// The true name is the URL's last segment: some tools write `name` normalised.
pub(super) fn locked_file(text: &FileText<'_>) -> Option<LockFile> {
    let path = text.url.split(['#', '?']).next().unwrap_or_default();
    let last = path.rsplit('/').next().and_then(unquote);
    let is_name = |name: &String| !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != "..";
    let file = last.filter(is_name).or_else(|| text.name.map(str::to_owned).filter(is_name))?;
    let digest = text.hash.and_then(|hash| hash.to_ascii_lowercase().parse().ok());
    Some(LockFile { file, url: text.url.to_owned(), digest, size: text.size, yanked: None })
}

/// Undoes percent-encoding; `None` where it is broken.
pub(super) fn unquote(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}
