//! Which Python a project is for: what its files say, and else the one that most packages have wheels for.

use corten_diagnostic::Failure;
use corten_oci::Architecture;
use corten_package::PackageName;
use corten_package::marker::Environment;
use corten_package::pep440::{Specifiers, Version};
use corten_package::wheel::Tags;

use super::{
    Asked, LockKind, LockText, Manifest, Resolved, choose, conda, pdm, pipenv, poetry, pylock, read, requirements, uv,
};

/// A Python minor version and why it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonWish {
    /// 3, 11.
    pub version: (u32, u32),
    /// `.python-version says 3.11`.
    pub why: String,
}

/// What a project asks of Python before there is one: everything that stands in its lock and manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythonAsked {
    /// What the lock allows, else the manifest.
    pub requires: Option<Specifiers>,
    /// The Python that the lock was made for, where it tells: `3.10`.
    pub hint: Option<String>,
}

/// Reads it.
///
/// # Errors
/// The lock does not parse.
pub fn python_asked(lock: &LockText, manifest: Option<&Manifest>) -> Result<PythonAsked, Failure> {
    let requires = match lock.kind {
        LockKind::Uv => uv::python(lock)?,
        LockKind::Pylock => pylock::python(lock)?,
        LockKind::Poetry => poetry::python(lock)?,
        LockKind::Pdm => pdm::python(lock, manifest)?,
        LockKind::Requirements | LockKind::Pipenv | LockKind::Pixi | LockKind::Conda => None,
    };
    let hint = match lock.kind {
        LockKind::Requirements => requirements::python_hint(lock),
        LockKind::Pipenv => pipenv::python(lock)?,
        LockKind::Pixi => conda::python(lock)?,
        _ => None,
    };
    let of_manifest = || manifest.and_then(Manifest::requires_python).and_then(|text| text.parse().ok());
    Ok(PythonAsked { requires: requires.or_else(of_manifest), hint })
}

/// A Python that can be had, with what decides which wheels it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedPython {
    /// `3.11.2`.
    pub version: Version,
    /// Of the C library beside it: 2, 36.
    pub glibc: (u32, u32),
}

/// How well a Python suits a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonFit {
    /// Which.
    pub version: Version,
    /// Packages without a wheel for it, by name; `None` where the lock does not name its files.
    pub missing: Option<Vec<PackageName>>,
    /// How many packages it would install.
    pub packages: usize,
}

/// For each of `offered` that the lock can be read for: which packages have no wheel, on any of `architectures`.
///
/// # Errors
/// The lock can be read for none of them: why not for the first.
pub fn python_fits(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    offered: &[OfferedPython],
    architectures: &[Architecture],
) -> Result<Vec<PythonFit>, Failure> {
    let mut fits = Vec::new();
    let mut first = None;
    for python in offered {
        match python_fit(lock, manifest, asked, python, architectures) {
            Ok(fit) => fits.push(fit),
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    match first {
        Some(failure) if fits.is_empty() => Err(failure),
        _ => Ok(fits),
    }
}

fn python_fit(
    lock: &LockText,
    manifest: Option<&Manifest>,
    asked: &Asked,
    python: &OfferedPython,
    architectures: &[Architecture],
) -> Result<PythonFit, Failure> {
    let mut fit = PythonFit { version: python.version.clone(), missing: Some(Vec::new()), packages: 0 };
    let Some(minor) = minor(&python.version) else {
        return Err(Failure::bug(format!("{} is no version of Python", python.version)));
    };
    for architecture in architectures {
        let environment = Environment::new(python.version.to_string(), *architecture);
        let resolved = read(lock, manifest, asked, &environment)?;
        fit.packages = fit.packages.max(resolved.wanted.len());
        let missing = missing_wheels(&resolved, &Tags::new(minor, python.glibc, *architecture));
        fit.missing = fit.missing.zip(missing).map(|(mut all, more)| {
            all.extend(more);
            all.sort();
            all.dedup();
            all
        });
    }
    Ok(fit)
}

/// The packages that have no wheel for `tags`, by name. `None`: the lock does not name its files, so only the index could
/// tell.
pub fn missing_wheels(resolved: &Resolved, tags: &Tags) -> Option<Vec<PackageName>> {
    let mut missing = Vec::new();
    for wanted in &resolved.wanted {
        if choose(wanted, &wanted.listed()?, tags).is_err() {
            missing.push(wanted.name.clone());
        }
    }
    Some(missing)
}

/// Of `fits` (best first) the one with the fewest missing wheels.
pub fn fewest_missing(fits: &[PythonFit]) -> Option<PythonWish> {
    let count = |fit: &PythonFit| fit.missing.as_ref().map_or(0, Vec::len);
    let best = fits.iter().min_by_key(|fit| count(fit))?;
    let why = match &best.missing {
        None => "the lock does not name its files, and nothing asks for another".to_owned(),
        Some(missing) if missing.is_empty() => format!("each of the {} packages has a wheel for it", best.packages),
        Some(missing) => format!("the fewest packages have no wheel for it: {} of {}", missing.len(), best.packages),
    };
    Some(PythonWish { version: minor(&best.version)?, why })
}

fn minor(version: &Version) -> Option<(u32, u32)> {
    let number = |at: usize| version.release().get(at).and_then(|number| u32::try_from(*number).ok());
    Some((number(0)?, number(1)?))
}

/// The Python to take out of `offered` (best first; full versions as the bases have them): what `.python-version` says,
/// else the lock's hint, else the first that `requires_python` allows. `None`: none of the offered fits.
///
/// The newest that `requires-python` allows would be the wrong default: many packages have no wheels for it yet.
pub fn pick_python(
    offered: &[Version],
    python_version_file: Option<&str>,
    hint: Option<&str>,
    requires_python: Option<&Specifiers>,
) -> Option<PythonWish> {
    let allowed = |version: &&Version| requires_python.is_none_or(|wanted| wanted.contains_prerelease(version));
    let said = python_version_file.and_then(first_version).map(|minor| (minor, ".python-version says"));
    let hinted = hint.and_then(first_version).map(|minor| (minor, "the lock was made for"));
    for (wanted, why) in said.into_iter().chain(hinted) {
        if offered.iter().filter(allowed).any(|version| minor(version) == Some(wanted)) {
            return Some(PythonWish { version: wanted, why: format!("{why} {}.{}", wanted.0, wanted.1) });
        }
    }
    let version = minor(offered.iter().find(allowed)?)?;
    let why = match requires_python {
        Some(wanted) => format!("the first of the bases that requires-python {wanted} allows"),
        None => "nothing asks for another".to_owned(),
    };
    Some(PythonWish { version, why })
}

/// The first line that names one: `3.11`, `3.11.4`, `cpython-3.12`, `python3.12`, `cpython@3.12`.
fn first_version(text: &str) -> Option<(u32, u32)> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let digits = line.trim_start_matches(|next: char| !next.is_ascii_digit());
    let mut numbers = digits.split(|next: char| !next.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(file: Option<&str>, hint: Option<&str>, requires: Option<&str>) -> Option<(u32, u32)> {
        let offered = ["3.11.2", "3.13.5", "3.9.2"].map(|version| version.parse().unwrap());
        let requires = requires.map(|text| text.parse::<Specifiers>().unwrap());
        pick_python(&offered, file, hint, requires.as_ref()).map(|wish| wish.version)
    }

    #[test]
    fn the_file_wins_then_the_hint_then_the_first_allowed() {
        assert_eq!(pick(Some("# mine\n3.13\n"), Some("3.9"), Some(">=3.9")), Some((3, 13)));
        assert_eq!(pick(Some("cpython-3.9.17"), None, None), Some((3, 9)));
        assert_eq!(pick(None, Some("3.9"), None), Some((3, 9)));
        assert_eq!(pick(None, None, Some(">=3.9")), Some((3, 11)));
        assert_eq!(pick(None, None, Some(">=3.12")), Some((3, 13)));
        assert_eq!(pick(None, None, None), Some((3, 11)));
    }

    #[test]
    fn what_is_not_offered_or_not_allowed_is_passed_over() {
        assert_eq!(pick(Some("3.12"), None, Some(">=3.10")), Some((3, 11)));
        assert_eq!(pick(Some("3.9"), None, Some(">=3.10")), Some((3, 11)));
        assert_eq!(pick(Some("pypy"), None, None), Some((3, 11)));
        assert_eq!(pick(None, None, Some("==3.12.*")), None);
        assert_eq!(pick(None, None, Some("==3.9.18")), None, "an exact patch that no base has");
    }

    fn offered(versions: &[&str]) -> Vec<OfferedPython> {
        let offer = |text: &&str| OfferedPython { version: text.parse().unwrap(), glibc: (2, 36) };
        versions.iter().map(offer).collect()
    }

    #[test]
    fn the_python_with_the_fewest_missing_wheels_wins() {
        let lock = LockText::new(LockKind::Uv, "uv.lock", super::super::tests::UV);
        let fits = |versions: &[&str], architectures: &[Architecture]| {
            python_fits(&lock, None, &Asked::default(), &offered(versions), architectures)
        };
        let found = fits(&["3.9.2", "3.12.1", "3.10.4"], &[Architecture::Amd64]).unwrap();
        let missing: Vec<_> = found.iter().map(|fit| fit.missing.as_ref().map(Vec::len)).collect();
        assert_eq!((missing, found[0].packages), (vec![Some(2), Some(1)], 3), "3.9 is not allowed");
        let wish = fewest_missing(&found).unwrap();
        assert_eq!(wish.version, (3, 10));
        assert_eq!(wish.why, "the fewest packages have no wheel for it: 1 of 2");
        assert!(fits(&["3.9.2"], &[Architecture::Amd64]).unwrap_err().to_string().contains("it is for Python >=3.10"));
        let arm = fits(&["3.10.4"], &[Architecture::Amd64, Architecture::Arm64]).unwrap_err();
        assert!(arm.to_string().contains("not made for Linux on aarch64"), "{arm}");
        assert!(fewest_missing(&[]).is_none());
    }

    #[test]
    fn a_lock_without_file_names_leaves_the_order_as_it_is() {
        let lock = LockText::new(LockKind::Requirements, "requirements.txt", "# with Python 3.9\na==1\n");
        let both = offered(&["3.13.1", "3.11.2"]);
        let fits = python_fits(&lock, None, &Asked::default(), &both, &[Architecture::Amd64]).unwrap();
        assert_eq!((fits[0].missing.as_ref(), fewest_missing(&fits).unwrap().version), (None, (3, 13)));
        let asked = python_asked(&lock, None).unwrap();
        assert_eq!(asked, PythonAsked { requires: None, hint: Some("3.9".to_owned()) });
    }
}
