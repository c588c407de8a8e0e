//! Which Python a project is for.

use corten_package::pep440::{Specifiers, Version};

/// A Python minor version and why it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonWish {
    /// 3, 11.
    pub version: (u32, u32),
    /// `.python-version says 3.11`.
    pub why: String,
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
    let minor = |version: &Version| {
        let number = |at: usize| version.release().get(at).and_then(|number| u32::try_from(*number).ok());
        Some((number(0)?, number(1)?))
    };
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
}
