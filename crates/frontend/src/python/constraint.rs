//! Poetry's language for versions: `^1.2`, `~1.2`, `1.2.*`, `>=1,<2 || >=3`, and a bare `1.2.3` that means just that.
//!
//! | written | means |
//! |---|---|
//! | `^1.2.3`, `^0.2.3`, `^0.0.3` | up to the next release of the first number that is not 0: `<2.0.0`, `<0.3.0`, `<0.0.4` |
//! | `~1.2.3`, `~1.2`, `~1` | `<1.3`, `<1.3`, `<2` |
//! | `1.2.*`, `1.2` | `==1.2.*`, `==1.2` |
//! | `a, b`, `a b` | both |
//! | `a \|\| b`, `a \| b` | one of them |

use std::fmt;

use corten_package::pep440::{Specifiers, Version};

/// Versions that one of several conditions allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constraint(Vec<Specifiers>);

impl Constraint {
    /// Reads one; an error is the reason, as a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split('|').map(str::trim_ascii).filter(|part| !part.is_empty());
        let any: Vec<Specifiers> = parts.map(conjunction).collect::<Result<_, _>>()?;
        if any.is_empty() { Ok(Self::any()) } else { Ok(Self(any)) }
    }

    /// Any version.
    pub(super) fn any() -> Self {
        Self(vec![Specifiers::default()])
    }

    /// A condition as PEP 440 has it.
    pub(super) fn of(specifiers: Specifiers) -> Self {
        Self(vec![specifiers])
    }

    /// Does one of the conditions hold?
    pub(super) fn allows(&self, version: &Version) -> bool {
        self.0.iter().any(|specifiers| specifiers.contains_prerelease(version))
    }

    /// As PEP 440 writes it, where it is one condition and not a choice.
    pub(super) fn single(&self) -> Option<&Specifiers> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// With ` || ` between the conditions of a choice.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(Specifiers::to_string).collect();
        f.write_str(&parts.join(" || "))
    }
}

fn conjunction(text: &str) -> Result<Specifiers, String> {
    let mut all = Vec::new();
    for part in words(text) {
        all.extend(condition(&part).ok_or_else(|| format!("'{text}' is not a condition on versions"))?);
    }
    all.join(",").parse().map_err(|error: corten_package::pep440::SpecifiersError| error.to_string())
}

/// Splits at commas and blanks, but not between an operator and its version.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        let open = |last: &String| last.bytes().all(|byte| b"<>=!~^".contains(&byte));
        match words.last_mut().filter(|last| open(last)) {
            Some(operator) => operator.push_str(word),
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// One condition as PEP 440 has it; two for a range.
fn condition(word: &str) -> Option<Vec<String>> {
    if word == "*" {
        return Some(Vec::new());
    }
    if let Some(version) = word.strip_prefix('^') {
        return range(version, caret);
    }
    if let Some(version) = word.strip_prefix('~').filter(|rest| !rest.starts_with('=')) {
        return range(version, tilde);
    }
    let length = word.bytes().take_while(|byte| b"<>=!~".contains(byte)).count();
    let (operator, version) = word.split_at_checked(length)?;
    let operator = match operator {
        "" | "=" | "==" | "===" => "==",
        "<>" | "!=" => "!=",
        other => other,
    };
    let version = version.replace(".x", ".*").replace(".X", ".*");
    Some(match (operator, version.strip_suffix(".*")) {
        // `>=1.*` and its like: the star says nothing more.
        (">=" | "<=" | "<" | ">", Some(bare)) => vec![format!("{operator}{bare}")],
        _ if version == "*" => Vec::new(),
        _ => vec![format!("{operator}{version}")],
    })
}

/// `>=version,<next`, where `next` is made of the release's numbers.
fn range(text: &str, next: fn(&[u64]) -> Option<Vec<u64>>) -> Option<Vec<String>> {
    let version: Version = text.trim_end_matches(".*").parse().ok()?;
    let next: Vec<_> = next(version.release())?.iter().map(u64::to_string).collect();
    Some(vec![format!(">={version}"), format!("<{}", next.join("."))])
}

/// The first number that is not 0 is raised; where all are 0, the last one.
fn caret(release: &[u64]) -> Option<Vec<u64>> {
    let at = release.iter().position(|number| *number != 0).unwrap_or(release.len().saturating_sub(1));
    raised(release, at)
}

/// The second number is raised, or the only one.
fn tilde(release: &[u64]) -> Option<Vec<u64>> {
    raised(release, usize::from(release.len() > 1))
}

fn raised(release: &[u64], at: usize) -> Option<Vec<u64>> {
    let mut next = release.get(..=at)?.to_vec();
    let last = next.last_mut()?;
    *last = last.checked_add(1)?;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(constraint: &str, version: &str) -> bool {
        Constraint::parse(constraint).unwrap().allows(&version.parse().unwrap())
    }

    /// The examples of Poetry's manual, "Dependency specification", and the edges of each.
    #[test]
    fn ranges_are_those_of_the_manual() {
        for (constraint, inside, outside) in [
            ("^1.2.3", "1.2.3 1.99", "1.2.2 2.0.0"),
            ("^1.2", "1.2.0 1.9", "2.0.0 1.1.9"),
            ("^1", "1.0.0 1.9", "2.0.0"),
            ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
            ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
            ("^0.0", "0.0.0 0.0.9", "0.1.0"),
            ("^0", "0.0.1 0.9", "1.0.0"),
            ("^0.46b0", "0.46b0 0.46", "0.47 0.45"),
            ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
            ("~1.2", "1.2.0 1.2.9", "1.3"),
            ("~1", "1.0 1.9", "2"),
            ("~=1.2", "1.2 1.9", "2"),
            ("*", "0 99", ""),
            ("1.*", "1.0 1.9", "2 0.9"),
            ("1.2.*", "1.2.7", "1.3"),
            ("3.9.18", "3.9.18", "3.9.25 3.9"),
            ("==1.2.3", "1.2.3 1.2.3+cpu", "1.2.4"),
            ("!=2.4.1+cpu", "2.4.1 2.6.0", "2.4.1+cpu"),
            (">= 1.2, < 1.5", "1.2 1.4.9", "1.5"),
            (">=1.2 <1.5", "1.2 1.4.9", "1.5"),
            (">=1.2,!=1.3.*,<2", "1.2 1.4", "1.3.5 2"),
            ("^2.7 || ^3.9", "2.7.1 3.9", "3.8 4"),
            (">=3.9,<3.9.7 || >3.9.7", "3.9.6 3.9.8", "3.9.7"),
            (">=2.7, !=3.0.*, !=3.1.*", "2.7 3.2", "3.0.1 3.1"),
            ("", "1", ""),
        ] {
            inside.split(' ').for_each(|version| assert!(allows(constraint, version), "{constraint} {version}"));
            let outside = outside.split(' ').filter(|version| !version.is_empty());
            outside.for_each(|version| assert!(!allows(constraint, version), "{constraint} {version}"));
        }
    }

    #[test]
    fn what_is_no_constraint_is_refused() {
        for text in ["^", "~", "^x", "latest", ">=", "^1.2.3, nope", "^18446744073709551615", "==1.*.*"] {
            assert!(Constraint::parse(text).is_err(), "{text}");
        }
        assert!(
            Constraint::parse("^3.9")
                .unwrap()
                .single()
                .is_some_and(|one| one.to_string() == "<4,>=3.9" || one.to_string() == ">=3.9,<4")
        );
        assert!(Constraint::parse("^2 || ^3").unwrap().single().is_none());
    }
}
