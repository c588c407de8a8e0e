//! Which lock a file is, and reading it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::{Failure, Span};
use corten_package::marker::{Environment, Marker};
use corten_package::pep440::{Specifiers, Version};
use serde::de::DeserializeOwned;

use super::{Asked, Manifest, Resolved, pylock, requirements, uv};

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
        let middle = name.strip_prefix("pylock.").and_then(|rest| rest.strip_suffix(".toml"));
        match name {
            "uv.lock" => Some(Self::Uv),
            "pylock.toml" => Some(Self::Pylock),
            _ if middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.')) => Some(Self::Pylock),
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
    /// For `-r` and `-c` lines of requirements: files that the caller has read, by the path that [`super::includes`]
    /// gave for them.
    pub included: Vec<(String, Arc<str>)>,
}

impl LockText {
    /// A lock without further files.
    pub fn new(kind: LockKind, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        Self { kind, path: path.into(), text: text.into(), included: Vec::new() }
    }

    /// The place of `range` (bytes) in this lock.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        Span::new(&self.path, Arc::clone(&self.text), range)
    }

    /// `what` cannot be done with this lock.
    pub(super) fn failure(&self, what: impl fmt::Display) -> Failure {
        Failure::input(format!("{}: {what}", self.path.display()))
    }

    /// Reads TOML into `T`; its mistakes are the user's, with the place.
    pub(super) fn toml<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        toml::from_str(&self.text).map_err(|error| self.broken(&error))
    }

    /// What its tool has written cannot be read: somebody else has written into it.
    pub(super) fn broken(&self, error: &toml::de::Error) -> Failure {
        let tool = match self.kind {
            LockKind::Uv => "`uv lock` writes it anew",
            LockKind::Pylock | LockKind::Requirements => "export it again",
        };
        broken_toml(&self.path, &self.text, error).hint(format!("it was changed by hand or by a merge: {tool}"))
    }

    pub(super) fn marker(&self, text: &str, at: Range<usize>) -> Result<Marker, Failure> {
        text.parse().map_err(|error| self.failure(error).at(self.span(at)))
    }

    /// Refuses an environment whose Python is not among `wanted`.
    pub(super) fn check_python(
        &self,
        wanted: &Specifiers,
        at: Range<usize>,
        environment: &Environment,
    ) -> Result<(), Failure> {
        let python = &environment.python_full_version;
        if python.parse::<Version>().is_ok_and(|version| wanted.contains_prerelease(&version)) {
            return Ok(());
        }
        let what = format!("Python version conflict: it is for Python {wanted}, the base has Python {python}");
        Err(self
            .failure(what)
            .at(self.span(at))
            .hint(format!("take a base whose Python is {wanted}, or lock again for Python {python}")))
    }
}

pub(super) fn broken_toml(path: &Path, text: &Arc<str>, error: &toml::de::Error) -> Failure {
    let what = format!("cannot read {}: {}", path.display(), error.message().trim_end().replace('\n', ", "));
    let failure = Failure::input(what);
    match error.span() {
        Some(range) => failure.at(Span::new(path, Arc::clone(text), range)),
        None => failure,
    }
}

/// Reads `lock` for `environment`.
///
/// # Errors
/// Broken text, unknown format version, two entries of one name that both apply, conflicting extras, unknown groups, a
/// target or Python that the lock was not made for, requirements without pin or hash; with the place in the lock.
pub fn read(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    match lock.kind {
        LockKind::Uv => uv::read(lock, manifest, asked, environment),
        LockKind::Pylock => pylock::read(lock, asked, environment),
        LockKind::Requirements => requirements::read(lock, manifest, asked, environment),
    }
}

/// Refuses what can be read for no target at all, so that nobody waits for a server to hear of it.
///
/// # Errors
/// Broken text, unknown format version, requirements without pin or hash; with the place in the lock.
pub fn refuse_broken(lock: &LockText) -> Result<(), Failure> {
    match lock.kind {
        LockKind::Uv => uv::parse(lock).map(drop),
        LockKind::Pylock => pylock::pins(lock).map(drop),
        LockKind::Requirements => requirements::refuse_broken(lock),
    }
}

/// A hint that names what `wanted` was probably meant to be.
pub(super) fn did_you_mean<'a>(wanted: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known.clone().min_by_key(|name| strsim::damerau_levenshtein(name, wanted));
    match nearest.filter(|name| strsim::damerau_levenshtein(name, wanted) <= 1 + wanted.len() / 4) {
        Some(name) => format!("did you mean '{name}'?"),
        None => {
            let all: Vec<_> = known.collect();
            if all.is_empty() { "there are none".to_owned() } else { format!("there are: {}", all.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_name() {
        for (name, kind) in [
            ("a/uv.lock", Some(LockKind::Uv)),
            ("pylock.toml", Some(LockKind::Pylock)),
            ("pylock.cuda.toml", Some(LockKind::Pylock)),
            ("pylock.a.b.toml", None),
            ("pylock..toml", None),
            ("requirements.txt", Some(LockKind::Requirements)),
            ("requirements-prod.txt", Some(LockKind::Requirements)),
            ("poetry.lock", None),
            ("uv.lock.d", None),
        ] {
            assert_eq!(LockKind::of(Path::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn suggestions_are_near() {
        let known = ["dev", "docs", "cuda12"];
        assert_eq!(did_you_mean("cuda13", known.into_iter()), "did you mean 'cuda12'?");
        assert_eq!(did_you_mean("zzz", known.into_iter()), "there are: dev, docs, cuda12");
        assert_eq!(did_you_mean("zzz", [].into_iter()), "there are none");
    }
}
