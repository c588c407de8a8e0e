//! Which lock a file is, and reading it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use corten_diagnostic::{Failure, Span};
use corten_package::PackageName;
use corten_package::marker::{Environment, Marker};
use corten_package::pep440::{Specifiers, Version};
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::graph::Stuck;
use super::{Asked, Manifest, Resolved, conda, pdm, pipenv, poetry, pylock, requirements, uv};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// `uv.lock`.
    Uv,
    /// `pylock.toml`, `pylock.NAME.toml` (PEP 751).
    Pylock,
    /// `requirements.txt`; with versions pinned it is a lock.
    Requirements,
    /// `poetry.lock`.
    Poetry,
    /// `pdm.lock`.
    Pdm,
    /// `Pipfile.lock`.
    Pipenv,
    /// `pixi.lock`, of which only the packages of an index can be installed.
    Pixi,
    /// `environment.yml`, which locks nothing.
    Conda,
}

impl LockKind {
    /// The file beside the lock that it belongs to, where that is not pyproject.toml: put it into
    /// [`LockText::included`], if it is there.
    pub fn companion(self) -> Option<&'static str> {
        (self == Self::Pipenv).then_some("Pipfile")
    }

    /// Of a file that somebody has named as the lock: `requirements` may be called as one likes, and end in `.txt`.
    pub fn named(file: &Path) -> Option<Self> {
        let text = file.extension().is_some_and(|extension| extension == "txt");
        Self::of(file).or(text.then_some(Self::Requirements))
    }

    /// By file name: exact for most, `pylock.*.toml`, `requirements*.txt` for pip's, `environment*.yml` for conda's.
    pub fn of(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_str()?;
        let middle = name.strip_prefix("pylock.").and_then(|rest| rest.strip_suffix(".toml"));
        match name {
            "uv.lock" => Some(Self::Uv),
            "pylock.toml" => Some(Self::Pylock),
            "poetry.lock" => Some(Self::Poetry),
            "pdm.lock" => Some(Self::Pdm),
            "Pipfile.lock" => Some(Self::Pipenv),
            "pixi.lock" => Some(Self::Pixi),
            _ if middle.is_some_and(|middle| !middle.is_empty() && !middle.contains('.')) => Some(Self::Pylock),
            _ if name.starts_with("requirements") && name.ends_with(".txt") => Some(Self::Requirements),
            _ if name.starts_with("environment") && (name.ends_with(".yml") || name.ends_with(".yaml")) => {
                Some(Self::Conda)
            }
            _ => None,
        }
    }
}

/// Bytes. Those of large projects have a few MiB.
const LARGEST: usize = 64 << 20;

/// A lock as it was found.
#[derive(Debug, Clone)]
pub struct LockText {
    /// Which format.
    pub kind: LockKind,
    /// Its name as the user knows it.
    pub path: PathBuf,
    /// Content.
    pub text: Arc<str>,
    /// Files that the caller has read: for `-r` and `-c` lines of requirements, by the path that [`super::includes`] gave
    /// for them, and the [companion](LockKind::companion), by its name.
    pub included: Vec<(String, Arc<str>)>,
}

impl LockText {
    /// A lock without further files.
    pub fn new(kind: LockKind, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        Self { kind, path: path.into(), text: text.into(), included: Vec::new() }
    }

    /// No tool writes locks of such a size, and all that is done to one takes time and memory in proportion.
    pub(super) fn check_size(&self) -> Result<(), Failure> {
        if self.text.len() <= LARGEST {
            return Ok(());
        }
        Err(self.failure(format!("it has {} MiB; more than {} are not read", self.text.len() >> 20, LARGEST >> 20)))
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
            LockKind::Poetry => "`poetry lock` writes it anew",
            LockKind::Pdm => "`pdm lock` writes it anew",
            LockKind::Pipenv => "`pipenv lock` writes it anew",
            LockKind::Pixi => "`pixi lock` writes it anew",
            LockKind::Pylock | LockKind::Requirements | LockKind::Conda => "export it again",
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
        self.check_python_with(wanted, &|version| wanted.contains_prerelease(version), at, environment)
    }

    /// The same for conditions of another language.
    pub(super) fn check_python_with(
        &self,
        wanted: &dyn fmt::Display,
        allows: &dyn Fn(&Version) -> bool,
        at: Range<usize>,
        environment: &Environment,
    ) -> Result<(), Failure> {
        let python = &environment.python_full_version;
        if python.parse::<Version>().is_ok_and(|version| allows(&version)) {
            return Ok(());
        }
        let what = format!("Python version conflict: it is for Python {wanted}, the base has Python {python}");
        Err(self
            .failure(what)
            .at(self.span(at))
            .hint(format!("take a base whose Python is {wanted}, or lock again for Python {python}")))
    }

    /// For locks of one project alone.
    pub(super) fn refuse_member(&self, asked: &Asked) -> Result<(), Failure> {
        match &asked.package {
            None => Ok(()),
            Some(package) => Err(Failure::usage(format!(
                "{}: it knows no members, so '{package}' cannot be asked for",
                self.path.display()
            ))),
        }
    }

    /// Two entries of one name that cannot be installed together.
    pub(super) fn twice(&self, name: &PackageName, versions: [&str; 2], at: Range<usize>) -> Failure {
        let what = format!("two entries of '{name}' apply at once: {} and {}", versions[0], versions[1]);
        self.failure(what)
            .at(self.span(at))
            .hint("ask for one of the extras or groups that bring them in, or lock again")
    }

    /// What a search could not find; `place` gives the name of the package at an index of the search.
    pub(super) fn stuck(&self, stuck: &Stuck, place: &dyn Fn(usize) -> Option<Spanned<PackageName>>) -> Failure {
        let (by, name, what) = match stuck {
            Stuck::Missing { by, name } => (by, name, "is not in it"),
            Stuck::Unfit { by, name } => (by, name, "is not in it in a version that fits all who need it"),
            Stuck::TooMuch => {
                return self.failure("what belongs together cannot be found out of it: too many versions fit");
            }
        };
        let by = by.and_then(place);
        let who = by.as_ref().map_or_else(|| "the project".to_owned(), |by| format!("'{}'", by.get_ref()));
        let at = by.map_or(0..0, |by| by.span());
        self.failure(format!("{who} needs '{name}', which {what}"))
            .at(self.span(at))
            .hint("lock again: the file does not belong to pyproject.toml as it is now, or was changed by hand")
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
    lock.check_size()?;
    match lock.kind {
        LockKind::Uv => uv::read(lock, manifest, asked, environment),
        LockKind::Pylock => pylock::read(lock, asked, environment),
        LockKind::Requirements => requirements::read(lock, manifest, asked, environment),
        LockKind::Poetry => poetry::read(lock, manifest, asked, environment),
        LockKind::Pdm => pdm::read(lock, manifest, asked, environment),
        LockKind::Pipenv => pipenv::read(lock, asked, environment),
        LockKind::Pixi => conda::read(lock, asked, environment),
        LockKind::Conda => Err(conda::refuse_environment(lock)),
    }
}

/// Refuses what can be read for no target at all, so that nobody waits for a server to hear of it.
///
/// # Errors
/// Broken text, unknown format version, requirements without pin or hash; with the place in the lock.
pub fn refuse_broken(lock: &LockText) -> Result<(), Failure> {
    lock.check_size()?;
    match lock.kind {
        LockKind::Uv => uv::parse(lock).map(drop),
        LockKind::Pylock => pylock::pins(lock).map(drop),
        LockKind::Requirements => requirements::refuse_broken(lock),
        LockKind::Poetry => poetry::parse(lock).map(drop),
        LockKind::Pdm => pdm::parse(lock).map(drop),
        LockKind::Pipenv => pipenv::parse(lock).map(drop),
        LockKind::Pixi => conda::parse(lock).map(drop),
        LockKind::Conda => Err(conda::refuse_environment(lock)),
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

/// The names of `asked`, each of which must be known.
pub(super) fn named(
    lock: &LockText,
    what: &str,
    asked: &[String],
    known: &BTreeSet<PackageName>,
) -> Result<BTreeSet<PackageName>, Failure> {
    let mut names = BTreeSet::new();
    for text in asked {
        match PackageName::new(text).ok().filter(|name| known.contains(name)) {
            Some(name) => {
                names.insert(name);
            }
            None => {
                let message = format!("{}: it has no {what} '{text}'", lock.path.display());
                return Err(Failure::usage(message).hint(did_you_mean(text, known.iter().map(PackageName::as_str))));
            }
        }
    }
    Ok(names)
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
            ("poetry.lock", Some(LockKind::Poetry)),
            ("pdm.lock", Some(LockKind::Pdm)),
            ("x/Pipfile.lock", Some(LockKind::Pipenv)),
            ("Pipfile", None),
            ("pixi.lock", Some(LockKind::Pixi)),
            ("environment.yaml", Some(LockKind::Conda)),
            ("environment-dev.yml", Some(LockKind::Conda)),
            ("uv.lock.d", None),
        ] {
            assert_eq!(LockKind::of(Path::new(name)), kind, "{name}");
        }
        assert_eq!(LockKind::named(Path::new("deps/prod.txt")), Some(LockKind::Requirements));
        assert_eq!(LockKind::named(Path::new("prod.toml")), None);
    }

    #[test]
    fn suggestions_are_near() {
        let known = ["dev", "docs", "cuda12"];
        assert_eq!(did_you_mean("cuda13", known.into_iter()), "did you mean 'cuda12'?");
        assert_eq!(did_you_mean("zzz", known.into_iter()), "there are: dev, docs, cuda12");
        assert_eq!(did_you_mean("zzz", [].into_iter()), "there are none");
    }
}
