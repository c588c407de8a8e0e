//! What reading a lock gives, whatever its format.

use std::fmt;

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
    /// The Python that the lock was made for, where it tells (a comment of pip-compile, a Pipfile): `3.10`.
    pub python_hint: Option<String>,
    /// Packages that are no Python distributions of an index, so that nothing here can install them (pixi.lock).
    pub conda: Vec<CondaPackage>,
}

/// A package of conda, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CondaPackage {
    /// As conda calls it.
    pub name: String,
    /// As conda has it.
    pub version: String,
    /// Where it comes from instead.
    pub instead: CondaInstead,
}

/// What stands for a package of conda in an image that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CondaInstead {
    /// The base has it: the interpreter and the libraries below it.
    Base,
    /// An index has it under this name.
    Pypi(PackageName),
    /// A package of the distribution, to be named in `packages`.
    System(&'static str),
    /// The wheels of CUDA's parts, which torch and others bring along.
    Cuda,
    /// Not known here.
    Unknown,
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

impl Wanted {
    /// The files that the lock itself names, as far as [`choose`](super::choose) needs to know them: where they are stands
    /// only in those of [`Files::Known`]. `None`: it names none.
    pub fn listed(&self) -> Option<Vec<LockFile>> {
        let named = |named: &NamedFile| LockFile {
            file: named.file.clone(),
            url: named.file.clone(),
            digest: named.digest,
            size: None,
            yanked: None,
        };
        match &self.files {
            Files::Known(files) => Some(files.clone()),
            Files::Named { files, .. } => Some(files.iter().map(named).collect()),
            Files::AskIndex { .. } => None,
        }
    }
}

/// What kind of source a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockedFrom {
    /// An index.
    Registry,
    /// A file by URL.
    Url(String),
    /// A repository.
    Git(GitSource),
    /// A file of the project, relative to the lock.
    File(String),
}

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GitSource {
    /// Of the repository, without `git+`.
    pub url: String,
    /// What the lock names: a commit, or something that moves ([`GitSource::is_pinned`]).
    pub commit: String,
    /// The project's folder in it, where that is not the root.
    pub subdirectory: Option<String>,
}

impl GitSource {
    /// Does it name a commit by its whole hash? A branch or tag moves, and half a hash may become ambiguous.
    pub fn is_pinned(&self) -> bool {
        matches!(self.commit.len(), 40 | 64) && self.commit.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// `URL@COMMIT`, with `#subdirectory=…` where there is one, and without a user's name and password.
impl fmt::Display for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", without_secrets(&self.url), self.commit)?;
        match &self.subdirectory {
            Some(folder) => write!(f, "#subdirectory={folder}"),
            None => Ok(()),
        }
    }
}

/// The files of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// The lock names them and says where they are.
    Known(Vec<LockFile>),
    /// The lock names them, but not where they are (poetry.lock, pdm.lock): ask the index for that.
    Named {
        /// Base URL that the lock gives; `None`: the configured one.
        index: Option<String>,
        /// More base URLs, asked besides.
        extra: Vec<String>,
        /// All of them, for every platform.
        files: Vec<NamedFile>,
    },
    /// The lock names no file: ask the index for those of that version.
    AskIndex {
        /// Base URL that the lock gives; `None`: the configured one.
        index: Option<String>,
        /// More base URLs, asked besides.
        extra: Vec<String>,
        /// Only a file with one of these will do. `None`: the lock has no hashes at all, so that of the file that is
        /// taken has to be recorded, and the user told.
        hashes: Option<Vec<Digest>>,
    },
}

/// A file that a lock knows by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// As the index has it.
    pub file: String,
    /// Its SHA-256; some old locks have other hashes only.
    pub digest: Option<Digest>,
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
    let file = last.filter(is_name).or_else(|| text.name.map(str::to_owned).filter(is_name))?;
    let digest = text.hash.and_then(sha256);
    Some(LockFile { file, url: text.url.to_owned(), digest, size: text.size, yanked: None })
}

/// Can it be the name of a file, and of nothing but a file?
fn is_name(name: &String) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != ".."
}

/// `sha256:…` in any case of letters; `None` for other algorithms.
pub(super) fn sha256(text: &str) -> Option<Digest> {
    text.to_ascii_lowercase().parse().ok()
}

/// A file of which a lock gives the name and the hash.
pub(super) fn named_file(name: &str, hash: Option<&str>) -> Option<NamedFile> {
    let file = Some(name.to_owned()).filter(is_name)?;
    Some(NamedFile { file, digest: hash.and_then(sha256) })
}

/// A URL as it may be shown: of `https://user:password@host/` the host, of `ssh://git@host/` all.
pub(super) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    match (scheme.starts_with("http"), user.split_once(':')) {
        (true, _) => format!("{scheme}://{host}{path}"),
        (false, Some((user, _))) => format!("{scheme}://{user}@{host}{path}"),
        (false, None) => url.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (url, shown) in [
            ("https://u:p@h.example/x@1", "https://h.example/x@1"),
            ("https://token@h.example", "https://h.example"),
            ("https://h.example/a@b", "https://h.example/a@b"),
            ("ssh://git@h.example/x", "ssh://git@h.example/x"),
            ("ssh://u:p@h.example/x", "ssh://u@h.example/x"),
            ("libs/x", "libs/x"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
        let source = GitSource { url: "https://t@h.example/r".into(), commit: "0".repeat(40), subdirectory: None };
        assert!(source.is_pinned() && !source.to_string().contains("t@"), "{source}");
    }
}
