//! One wheel out of a package's files.

use std::collections::HashSet;
use std::fmt;

use corten_diagnostic::{Diagnose, Fault, Span};
use corten_oci::Digest;
use corten_package::pep440::Version;
use corten_package::wheel::{Tags, WheelName};

use super::resolved::without_secrets;
use super::{Files, LockFile, LockedFrom, Wanted};

/// Why no wheel can be taken, in the words of the lock research.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Only a source distribution.
    SdistOnly,
    /// Wheels for other platforms, and a source distribution in the lock.
    NoWheelButSdist,
    /// Wheels for other platforms, and a source distribution whose hash the lock allows.
    NoWheelSdistAllowed,
    /// Wheels for other platforms only.
    NoWheel,
    /// A repository.
    Git,
    /// A branch or tag of a repository, or nothing but its name.
    GitMoves,
    /// A source distribution by URL.
    UrlSdist,
    /// A wheel by URL, for another platform.
    UrlWheel,
    /// No file of the index has a hash of the lock.
    NotOnIndex,
}

/// A package that cannot be installed from a wheel.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{package} cannot be installed: {}", .reason.sentence(.target))]
pub struct NoWheel {
    /// Name and version.
    pub package: String,
    /// Why.
    pub reason: Reason,
    /// What a wheel would have to be for: `Python 3.11 on linux/amd64 with glibc 2.36`.
    pub target: String,
    /// What to try.
    pub hint: String,
    /// Where the lock names it.
    pub at: Box<Span>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SdistOnly => "sdist only",
            Self::NoWheelButSdist => "no wheel for platform (sdist in lock)",
            Self::NoWheelSdistAllowed => "no wheel for platform (sdist allowed)",
            Self::NoWheel => "no wheel for platform, no sdist",
            Self::Git => "git",
            Self::GitMoves => "git without a commit",
            Self::UrlSdist => "url sdist",
            Self::UrlWheel => "url wheel, not for platform",
            Self::NotOnIndex => "not on the index with a hash of the lock",
        })
    }
}

impl Reason {
    /// What is the matter, for people.
    fn sentence(self, target: &str) -> String {
        match self {
            Self::SdistOnly => "it has no wheel, only a source distribution".to_owned(),
            Self::NoWheelButSdist | Self::NoWheelSdistAllowed | Self::NoWheel => {
                format!("it has no wheel for {target}")
            }
            Self::Git => "it is locked from a git repository, not as a wheel".to_owned(),
            Self::GitMoves => "it is locked to what a repository has, and not to a commit, so it may change".to_owned(),
            Self::UrlSdist => "its URL is that of a source distribution, not of a wheel".to_owned(),
            Self::UrlWheel => format!("the wheel of its URL is not for {target}"),
            Self::NotOnIndex => "its index has no file with a hash of the lock".to_owned(),
        }
    }

    /// What to try, given the wheels that there are.
    fn hint(self, wanted: &Wanted, wheels: &[&LockFile]) -> String {
        let name = &wanted.name;
        match self {
            Self::SdistOnly | Self::UrlSdist => {
                format!("take a version of {name} that has a wheel, or build one (`pip wheel {name}`) and lock its URL")
            }
            Self::NoWheelButSdist | Self::NoWheelSdistAllowed | Self::NoWheel | Self::UrlWheel => {
                let names: Vec<_> = wheels.iter().take(4).map(|wheel| wheel.file.as_str()).collect();
                let more = if wheels.len() > 4 { format!(" and {} more", wheels.len() - 4) } else { String::new() };
                format!(
                    "the lock has {}{more}: take a Python or base that one of them is for, or another version",
                    names.join(", ")
                )
            }
            Self::Git => {
                format!("publish a wheel of {name} and lock that")
            }
            Self::GitMoves => "lock again, or name the commit with all of its 40 digits".to_owned(),
            Self::NotOnIndex => match wanted.index.as_deref().map(without_secrets) {
                Some(index) => format!("{index} does not serve this file (any more): lock again"),
                None => {
                    "the lock may be for another index: set it in the settings or with --index-url in the file".into()
                }
            },
        }
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
/// build tag. Only files that the lock allows are looked at ([`Wanted::allowed`]).
///
/// # Errors
/// No wheel fits.
pub fn choose(wanted: &Wanted, files: &[LockFile], tags: &Tags) -> Result<LockFile, NoWheel> {
    let allowed = wanted.allowed();
    let mine: Vec<&LockFile> = files.iter().filter(|file| allowed.has(file)).collect();
    let wheels: Vec<&LockFile> = mine.iter().copied().filter(|file| file.file.ends_with(".whl")).collect();
    let refuse = |reason: Reason| {
        let version = wanted.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let package = format!("{}{version}", wanted.name);
        let hint = reason.hint(wanted, &wheels);
        NoWheel { package, reason, target: tags.target().to_owned(), hint, at: Box::new(wanted.at.clone()) }
    };
    let parsed = wheels.iter().filter_map(|file| Some((WheelName::parse(&file.file).ok()?, *file)));
    let fitting = parsed.filter(|(name, _)| is_the_same(wanted, name));
    // Versions differ by their local parts at most: the newest is meant.
    let ranked = fitting.filter_map(|(name, file)| {
        let priority = tags.priority(&name)?;
        Some(((name.version, priority), file))
    });
    match ranked.max_by(|(left, _), (right, _)| left.cmp(right)) {
        Some((_, file)) => Ok(file.clone()),
        None => Err(refuse(why(wanted, wheels.is_empty(), mine.len() > wheels.len()))),
    }
}

impl Reason {
    /// Would a build of the package's source distribution help?
    pub fn is_buildable(self) -> bool {
        matches!(self, Self::SdistOnly | Self::NoWheelButSdist | Self::NoWheelSdistAllowed | Self::UrlSdist)
    }
}

/// The source distribution among `files` that stands for the wanted version, where no wheel fits. Only files that the lock
/// allows are looked at; the name of one that is locked by URL says nothing.
pub fn source<'a>(wanted: &Wanted, files: &'a [LockFile]) -> Option<&'a LockFile> {
    let allowed = wanted.allowed();
    let mut mine = files.iter().filter(|file| allowed.has(file) && !file.file.ends_with(".whl"));
    match wanted.from {
        LockedFrom::Registry => mine.find(|file| wanted.is_version_of(file)),
        LockedFrom::Url(_) | LockedFrom::File(_) => mine.next(),
        LockedFrom::Git(_) => None,
    }
}

/// Which files of an index a lock allows.
#[derive(Debug)]
pub struct Allowed<'a> {
    wanted: &'a Wanted,
    digests: HashSet<Digest>,
    names: HashSet<&'a str>,
}

impl Wanted {
    /// Which files of an index the lock allows. Names count only where it has no hash to go by.
    pub fn allowed(&self) -> Allowed<'_> {
        let (mut digests, mut names) = (HashSet::new(), HashSet::new());
        match &self.files {
            Files::Known(_) | Files::AskIndex { hashes: None, .. } => {}
            Files::AskIndex { hashes: Some(hashes), .. } => digests.extend(hashes.iter().copied()),
            Files::Named { files, .. } => {
                digests.extend(files.iter().filter_map(|named| named.digest));
                names.extend(files.iter().filter(|named| named.digest.is_none()).map(|named| named.file.as_str()));
            }
        }
        Allowed { wanted: self, digests, names }
    }
}

impl Allowed<'_> {
    /// Is it one of them?
    pub fn has(&self, file: &LockFile) -> bool {
        match &self.wanted.files {
            Files::Known(_) => true,
            Files::AskIndex { hashes: None, .. } => self.wanted.is_version_of(file),
            Files::AskIndex { hashes: Some(_), .. } | Files::Named { .. } => {
                let known = file.digest.is_some_and(|digest| self.digests.contains(&digest));
                known || self.names.contains(file.file.as_str())
            }
        }
    }
}

impl Wanted {
    /// Is the file, a wheel or a source distribution, of the wanted version?
    fn is_version_of(&self, file: &LockFile) -> bool {
        if let Ok(wheel) = WheelName::parse(&file.file) {
            return is_the_same(self, &wheel);
        }
        let endings = [".tar.gz", ".zip", ".tgz", ".tar.bz2"];
        let stem = endings.iter().find_map(|ending| file.file.strip_suffix(ending));
        let version =
            stem.and_then(|stem| stem.rsplit_once('-')).and_then(|(_, version)| version.parse::<Version>().ok());
        version.is_some_and(|found| self.version.as_ref().is_none_or(|wanted| found == *wanted))
    }
}

/// An index or a lock may name a file of another package or version: never take it. A version without local part stands
/// for those with one, as in requirements.
fn is_the_same(wanted: &Wanted, wheel: &WheelName) -> bool {
    let version = wanted.version.as_ref();
    let same = version.is_none_or(|version| wheel.version == *version || wheel.version.public() == *version);
    wheel.name == wanted.name && same
}

fn why(wanted: &Wanted, no_wheels: bool, has_sdist: bool) -> Reason {
    let asked = matches!(wanted.files, Files::AskIndex { .. });
    let elsewhere = asked || matches!(wanted.files, Files::Named { .. });
    match (&wanted.from, no_wheels, has_sdist) {
        (LockedFrom::Git(source), ..) if !source.is_pinned() => Reason::GitMoves,
        (LockedFrom::Git(_), ..) => Reason::Git,
        (LockedFrom::Url(_) | LockedFrom::File(_), false, _) => Reason::UrlWheel,
        (LockedFrom::Url(_) | LockedFrom::File(_), true, _) => Reason::UrlSdist,
        (LockedFrom::Registry, true, true) => Reason::SdistOnly,
        (LockedFrom::Registry, true, false) if elsewhere => Reason::NotOnIndex,
        (LockedFrom::Registry, false, true) if asked => Reason::NoWheelSdistAllowed,
        (LockedFrom::Registry, false, true) => Reason::NoWheelButSdist,
        (LockedFrom::Registry, _, false) => Reason::NoWheel,
    }
}
