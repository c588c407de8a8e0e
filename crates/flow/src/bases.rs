//! The bases that there are, and which of them a project gets, with its Python.
//!
//! | the first that there is decides | |
//! |---|---|
//! | `python` in the settings | the base that has it |
//! | `.python-version` | the base that has it; one that no base has is passed over with a warning |
//! | `base` in the settings | its Python |
//! | corten.lock | what it pins, until `corten lock` |
//! | the lock | of the Pythons that it allows the one with the fewest missing wheels, the older one of two equal ones |
//!
//! A base that the settings name is always taken: what else asks for another Python is then an error, or a warning
//! where it is only `.python-version`.

use corten_diagnostic::{Failure, Report, Span};
use corten_frontend::python::{Asked, OfferedPython, fewest_missing, pick_python, python_asked, python_fits};
use corten_frontend::settings::{Base, Setting};
use corten_oci::Architecture;
use corten_package::pep440::{Specifiers, Version};
use corten_plan::LockedBase;

use crate::project::Project;
use crate::standalone;
use crate::world::World;

/// A base that can be made from Debian's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBase {
    /// As the settings name it.
    pub reference: &'static str,
    /// `bookworm`.
    pub suite: &'static str,
    /// Full version of its Python. Debian's stable releases never change it.
    pub python: &'static str,
    /// Version of its C library, which stays, too.
    pub glibc: (u32, u32),
    /// What there is of it.
    pub variants: [KnownVariant; 2],
    /// When to take it.
    pub when: &'static str,
}

/// How much of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownVariant {
    /// As the settings name it.
    pub name: &'static str,
    /// About how large its layer is on amd64, in bytes: compressed and unpacked. Measured at the end of 2026.
    pub size: (u64, u64),
    /// What is in it.
    pub holds: &'static str,
    /// When to take it.
    pub when: &'static str,
}

const DISTROLESS: &str = "Python, the C and C++ libraries, certificates, time zones; no shell, no package manager";
const SLIM: &str = "the same, with a shell, coreutils and apt";
const SERVICE: &str = "services and jobs that start Python only";
const SHELL: &str = "programs that start others through a shell, or to look around in a container";

/// The bases, the one that is taken first among equals first.
pub const BASES: [KnownBase; 2] = [
    KnownBase {
        reference: "debian:bookworm",
        suite: "bookworm",
        python: "3.11.2",
        glibc: (2, 36),
        variants: [
            KnownVariant { name: "distroless", size: (23_100_000, 64_100_000), holds: DISTROLESS, when: SERVICE },
            KnownVariant { name: "slim", size: (43_000_000, 119_500_000), holds: SLIM, when: SHELL },
        ],
        when: "most packages have wheels for its Python",
    },
    KnownBase {
        reference: "debian:trixie",
        suite: "trixie",
        python: "3.13.5",
        glibc: (2, 41),
        variants: [
            KnownVariant { name: "distroless", size: (23_800_000, 65_500_000), holds: DISTROLESS, when: SERVICE },
            KnownVariant { name: "slim", size: (40_800_000, 112_900_000), holds: SLIM, when: SHELL },
        ],
        when: "the lock is for Python 3.12 or later, or wheels need a newer C library",
    },
];

impl KnownBase {
    /// Major and minor version of its Python: `3.11`.
    pub fn minor(&self) -> String {
        let (major, minor) = self.python_version();
        format!("{major}.{minor}")
    }

    /// The same as numbers.
    pub fn python_version(&self) -> (u32, u32) {
        let mut parts = self.python.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    fn offered(&self) -> Option<OfferedPython> {
        Some(OfferedPython { version: self.python.parse().ok()?, glibc: self.glibc })
    }

    fn base(&self) -> Base {
        Base::Debian { suite: self.suite.to_owned() }
    }
}

/// When to take a base's variant; none of a base that is not in the table.
pub fn when(base: &LockedBase) -> Option<&'static str> {
    let known = BASES.iter().find(|known| known.reference == base.reference)?;
    known.variants.iter().find(|variant| variant.name == base.variant.name()).map(|variant| variant.when)
}

/// A base, and why its Python was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the image stands on.
    pub base: Setting<Base>,
    /// In the words of the decision.
    pub why: String,
}

/// What decides beside the project's files.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Groups and extras.
    pub asked: &'a Asked,
    /// Every processor that the image is for: one base has to suit all.
    pub architectures: &'a [Architecture],
    /// Choose as if nothing were pinned.
    pub renew: bool,
}

/// Chooses the base of a project.
///
/// # Errors
/// Usage where the settings contradict each other; input where the project is for a Python that no base has.
pub fn choose(project: &Project, wanted: &Wanted<'_>, world: &World<'_>) -> Result<Choice, Report> {
    let settings = &project.settings;
    let named = settings.base.at.is_some().then_some(&settings.base);
    standalone::refuse(project, &settings.base)?;
    if let Some(interpreter) = &settings.interpreter {
        let at = interpreter.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        return Ok(Choice { base: settings.base.clone(), why: format!("of the interpreter that is named{at}") });
    }
    let offered: Vec<&KnownBase> = match named {
        Some(named) => BASES.iter().filter(|base| base.base() == named.value).collect(),
        None => BASES.iter().collect(),
    };
    if let (Some(named), true) = (named, offered.is_empty()) {
        // What it has is known once it is read.
        return Ok(Choice { base: named.clone(), why: "the base's".to_owned() });
    }
    let take = |base: &KnownBase, why: String| {
        let at = named.and_then(|named| named.at.clone());
        Choice { base: Setting { value: base.base(), at }, why }
    };
    if let Some(python) = &settings.python {
        let found = offered.iter().find(|base| base.python_version() == python.value);
        let why = python.at.as_ref().map_or_else(|| "the settings ask for it".to_owned(), |at| format!("set at {at}"));
        return found.map(|base| take(base, why)).ok_or_else(|| no_such_python(python, named).into());
    }
    let said = project.python_version.as_deref().and_then(|text| said(text, &offered, named, world));
    if let Some(base) = said {
        return Ok(take(base, format!(".python-version says {}", base.minor())));
    }
    if let Some(named) = named {
        let why = named.at.as_ref().map_or_else(String::new, |at| format!(", which is named at {at}"));
        return Ok(Choice { base: named.clone(), why: format!("the base's{why}") });
    }
    if let Some(base) = pinned(project, &offered).filter(|_| !wanted.renew) {
        return Ok(take(base, "pinned in corten.lock".to_owned()));
    }
    fitting(project, wanted, &offered).map(|(base, why)| take(base, why))
}

/// The base with the Python of `.python-version`.
fn said<'a>(
    text: &str,
    offered: &[&'a KnownBase],
    named: Option<&Setting<Base>>,
    world: &World<'_>,
) -> Option<&'a KnownBase> {
    let versions: Vec<Version> = BASES.iter().filter_map(|base| base.python.parse().ok()).collect();
    let wish = pick_python(&versions, Some(text), None, None)?;
    let is_said = wish.why.starts_with(".python-version");
    let found = offered.iter().find(|base| is_said && base.python_version() == wish.version);
    if found.is_none() {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let line = line.unwrap_or_default();
        let why = match named {
            Some(named) => format!("which {} does not have", named.value),
            None => "which no base has".to_owned(),
        };
        if !line.is_empty() {
            world.events.warning(&format!(".python-version says {line}, {why}"));
        }
    }
    found.copied()
}

/// The base that corten.lock pins, if what the project requires has not changed.
fn pinned<'a>(project: &Project, offered: &[&'a KnownBase]) -> Option<&'a KnownBase> {
    let pinned = project.corten_lock.as_ref()?.bases.first()?;
    let base = offered.iter().find(|base| base.reference == pinned.reference)?;
    let requires = requires(project).ok()?;
    let version = pinned.python.parse::<Version>().ok()?;
    requires.is_none_or(|(requires, _)| requires.contains_prerelease(&version)).then_some(*base)
}

/// Of the bases whose Python the project and its lock allow, the one with the fewest missing wheels.
fn fitting<'a>(
    project: &Project,
    wanted: &Wanted<'_>,
    offered: &[&'a KnownBase],
) -> Result<(&'a KnownBase, String), Report> {
    let requires = requires(project)?;
    let allowed = |base: &&&KnownBase| match (&requires, base.python.parse::<Version>()) {
        (Some((requires, _)), Ok(version)) => requires.contains_prerelease(&version),
        _ => true,
    };
    let allowed: Vec<&KnownBase> = offered.iter().filter(allowed).copied().collect();
    if let ([], Some((_, at))) = (allowed.as_slice(), &requires) {
        return Err(no_python_allowed(at).into());
    }
    let asked = python_asked(&project.lock, project.manifest.as_ref())?;
    if let Some(hint) = &asked.hint {
        let versions: Vec<Version> = allowed.iter().filter_map(|base| base.python.parse().ok()).collect();
        let wish = pick_python(&versions, None, Some(hint), None);
        let wish = wish.filter(|wish| wish.why.starts_with("the lock was made for"));
        if let Some(found) = wish
            && let Some(base) = allowed.iter().find(|base| base.python_version() == found.version)
        {
            return Ok((base, found.why));
        }
    }
    let pythons: Vec<OfferedPython> = allowed.iter().filter_map(|base| base.offered()).collect();
    let fits = python_fits(&project.lock, project.manifest.as_ref(), wanted.asked, &pythons, wanted.architectures)?;
    let wish = fewest_missing(&fits);
    let found = wish.and_then(|wish| {
        let base = allowed.iter().find(|base| base.python_version() == wish.version)?;
        Some((*base, wish.why))
    });
    found.ok_or_else(|| Failure::bug("no base fits the lock, and nothing says why").into())
}

type Required<'a> = (Specifiers, &'a Setting<String>);

/// What the project requires of Python.
fn requires(project: &Project) -> Result<Option<Required<'_>>, Failure> {
    let requires = project.settings.project.as_ref().and_then(|project| project.requires_python.as_ref());
    let Some(requires) = requires else { return Ok(None) };
    let specifiers = requires.value.parse().map_err(|error| {
        let failure = Failure::input(format!("requires-python '{}' cannot be read: {error}", requires.value));
        at(failure, requires.at.as_ref())
    })?;
    Ok(Some((specifiers, requires)))
}

/// A project that wants another Python than the base has is told so before wheels are looked for.
pub fn check_python(project: &Project, reference: &str, full_version: &str) -> Result<(), Failure> {
    let Some((specifiers, requires)) = requires(project)? else { return Ok(()) };
    if full_version.parse().is_ok_and(|version| specifiers.contains_prerelease(&version)) {
        return Ok(());
    }
    let message = format!("the project requires Python {}, {reference} has {full_version}", requires.value);
    Err(at(Failure::input(message), requires.at.as_ref()).hint(pythons()))
}

fn no_python_allowed(requires: &Setting<String>) -> Failure {
    let message = format!("the project requires Python {}, which no base has", requires.value);
    at(Failure::input(message), requires.at.as_ref()).hint(pythons())
}

fn no_such_python(wanted: &Setting<(u32, u32)>, named: Option<&Setting<Base>>) -> Failure {
    let (major, minor) = wanted.value;
    let why = match named {
        Some(named) => format!("{} does not have", named.value),
        None => "no base has".to_owned(),
    };
    let message = format!("the settings ask for Python {major}.{minor}, which {why}");
    at(Failure::usage(message), wanted.at.as_ref()).hint(pythons())
}

fn at(failure: Failure, at: Option<&Span>) -> Failure {
    match at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}

/// `debian:bookworm has Python 3.11, debian:trixie has Python 3.13`.
fn pythons() -> String {
    let each = BASES.iter().map(|base| format!("{} has Python {}", base.reference, base.minor()));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use corten_install::debian::Debian;

    use super::*;

    #[test]
    fn the_table_tells_what_the_archive_client_makes() {
        for base in BASES {
            let made = Debian::find(base.suite).unwrap();
            assert_eq!((made.python, base.reference), (base.minor().as_str(), &*format!("debian:{}", base.suite)));
            assert!(base.offered().is_some());
        }
    }
}
