//! Conditions on versions: `>=1.2,<2`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::{Version, VersionError};

use crate::text::abridged;

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// `~=`
    Compatible,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `===`
    Same,
}

/// One condition. Two that mean the same are equal: `>=1` and `>=1.0`, but not `~=1.0` and `~=1.0.0`.
#[derive(Debug, Clone)]
pub struct Specifier {
    operator: Operator,
    version: Version,
    wildcard: bool,
}

/// Conditions that must all hold; none is always true. Sorted, so that order does not matter for equality.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Specifiers(Vec<Specifier>);

/// Why a text is no list of conditions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecifiersError {
    /// No operator in front.
    #[error("'{}' does not begin with a comparison such as '>=' or '=='", abridged(.0))]
    Operator(String),
    /// What follows is no version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl Specifier {
    /// How many numbers there are counts where the last one is open.
    fn key(&self) -> (Operator, &Version, bool, usize) {
        let open = self.wildcard || self.operator == Operator::Compatible;
        (self.operator, &self.version, self.wildcard, if open { self.version.release().len() } else { 0 })
    }

    /// The shortest text that means the same.
    fn shortest(&self) -> String {
        let open = self.wildcard || matches!(self.operator, Operator::Compatible | Operator::Same);
        let version = if open { self.version.clone() } else { self.version.shortened() };
        format!("{}{version}{}", self.operator.text(), if self.wildcard { ".*" } else { "" })
    }
}

impl PartialEq for Specifier {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Specifier {}

impl PartialOrd for Specifier {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Specifier {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Specifier {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Operator {
    /// Longer ones first where one begins with another.
    const ALL: [(&'static str, Self); 8] = [
        ("===", Self::Same),
        ("~=", Self::Compatible),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    pub(crate) fn text(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("", |(text, _)| text)
    }

    /// Takes the operator off the front of `text`.
    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL.iter().find_map(|(word, operator)| text.strip_prefix(word).map(|rest| (*operator, rest)))
    }
}

impl Specifier {
    /// How it compares.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// With what.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Ends it in `.*`?
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// One condition out of an operator and what stands behind it.
    pub(crate) fn new(operator: Operator, version: &str) -> Result<Self, SpecifiersError> {
        let text = version.trim_ascii();
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        let prefix = if equality { text.strip_suffix(".*") } else { None };
        let version: Version = prefix.unwrap_or(text).parse()?;
        let wildcard = prefix.is_some();
        let too_much = (wildcard && version != version.base())
            || (operator == Operator::Compatible && version.series().is_none())
            || (version.local().is_some() && !equality && operator != Operator::Same);
        if too_much {
            return Err(VersionError(text.to_owned()).into());
        }
        Ok(Self { operator, version, wildcard })
    }

    /// PEP 440, "Version specifiers"; `version` may be a pre-release.
    pub(crate) fn matches(&self, version: &Version) -> bool {
        let public = version.public();
        match self.operator {
            Operator::Equal => self.equals(version),
            Operator::NotEqual => !self.equals(version),
            Operator::AtMost => public <= self.version,
            Operator::AtLeast => public >= self.version,
            Operator::Less => self.is_less(version),
            Operator::Greater => self.is_greater(version),
            Operator::Compatible => {
                public >= self.version && self.version.series().is_some_and(|series| public.starts_with(&series))
            }
            Operator::Same => version.to_string() == self.version.to_string(),
        }
    }

    fn equals(&self, version: &Version) -> bool {
        match (self.wildcard, self.version.local()) {
            (true, _) => version.starts_with(&self.version),
            (false, None) => version.public() == self.version,
            (false, Some(_)) => *version == self.version,
        }
    }

    /// `< V` leaves out pre-releases of V itself, unless V is one.
    fn is_less(&self, version: &Version) -> bool {
        let of_same = version.base() == self.version.base();
        *version < self.version && !(of_same && version.is_prerelease() && !self.version.is_prerelease())
    }

    /// `> V` leaves out post-releases of V, unless V is one, and V with a local part.
    fn is_greater(&self, version: &Version) -> bool {
        let of_same = version.base() == self.version.base();
        let later_only = version.is_postrelease() && !self.version.is_postrelease() || version.local().is_some();
        *version > self.version && !(of_same && later_only)
    }

    fn names_prerelease(&self) -> bool {
        self.operator != Operator::NotEqual && !self.wildcard && self.version.is_prerelease()
    }
}

impl Specifiers {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Specifier> {
        self.0.iter()
    }

    /// No condition at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does `version` fulfil all? Pre-releases are let in only where a condition names one, as PEP 440 asks of
    /// resolvers; [`Specifiers::contains_prerelease`] lets them in always.
    pub fn contains(&self, version: &Version) -> bool {
        let allowed = !version.is_prerelease() || self.0.iter().any(Specifier::names_prerelease);
        allowed && self.contains_prerelease(version)
    }

    /// One text for all that mean the same: `>=1,<2` for `<2.0, >=1.0`.
    pub fn canonical(&self) -> String {
        let parts: Vec<_> = self.0.iter().map(Specifier::shortest).collect();
        parts.join(",")
    }

    /// Does `version` fulfil all, pre-release or not?
    pub fn contains_prerelease(&self, version: &Version) -> bool {
        self.0.iter().all(|specifier| specifier.matches(version))
    }

    /// The one version that `==` (without `.*`) or `===` names, if there is just that condition.
    pub fn pinned(&self) -> Option<&Version> {
        match self.0.as_slice() {
            [only] if matches!(only.operator, Operator::Equal | Operator::Same) && !only.wildcard => {
                Some(&only.version)
            }
            _ => None,
        }
    }
}

impl FromStr for Specifiers {
    type Err = SpecifiersError;

    fn from_str(text: &str) -> Result<Self, SpecifiersError> {
        let mut all = Vec::new();
        for part in text.split(',').map(str::trim_ascii).filter(|part| !part.is_empty()) {
            let (operator, rest) = Operator::split(part).ok_or_else(|| SpecifiersError::Operator(part.to_owned()))?;
            all.push(Specifier::new(operator, rest)?);
        }
        all.sort();
        all.dedup();
        Ok(Self(all))
    }
}

impl fmt::Display for Specifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.operator.text(), self.version, if self.wildcard { ".*" } else { "" })
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(Specifier::to_string).collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(specifiers: &str, version: &str) -> bool {
        specifiers.parse::<Specifiers>().unwrap().contains_prerelease(&version.parse().unwrap())
    }

    /// From the table in packaging's tests (`test_specifiers.py`).
    #[test]
    fn what_matches_matches() {
        for (version, specifier) in [
            ("2.0", "==2"),
            ("2.0", "==2.0.0"),
            ("2.0+deadbeef", "==2"),
            ("2.0+deadbeef", "==2+deadbeef"),
            ("2.1+local.version", "==2.1.*"),
            ("2.1.1", "==2.1.*"),
            ("2.0-post.1", "==2.*"),
            ("2!1.0", "==2!1.*"),
            ("2c2", "!=2.0"),
            ("2.0.dev1", "==2.*"),
            ("2.0", ">=2"),
            ("2.0.post1", ">=2"),
            ("2.0.dev1+x", "<=2"),
            ("2.0+x", "<=2"),
            ("3", ">2"),
            ("2.1", ">2.0"),
            ("2!1", ">2.0"),
            ("2.1.post1", ">2.1.post0"),
            ("1", "<2"),
            ("2.0.dev1", "<2.1"),
            ("2.0.dev1", "<2.0.dev2"),
            ("2.0a1", "<2.0a2"),
            ("1", "~=1.0"),
            ("1.1", "~=1.0"),
            ("9999999", "~=1.0,>0"),
            ("1.0.1", "~=1.0.1.dev0"),
            ("2022.1", "~=2022.01.01,!=3"),
            ("1.0", "===1.0"),
        ] {
            let expect = !matches!((version, specifier), ("9999999", _) | ("2022.1", _));
            assert_eq!(holds(specifier, version), expect, "{version} {specifier}");
        }
    }

    #[test]
    fn what_does_not_match_does_not() {
        for (version, specifier) in [
            ("2.1", "==2"),
            ("2.1", "==2.0.*"),
            ("2.0", "==2+x"),
            ("2.0+deadbeef", "!=2"),
            ("2.1.1", "!=2.1.*"),
            ("2.0.dev1", ">=2"),
            ("2.0c1", ">=2"),
            ("2.0.post1", "<=2"),
            ("2.0", ">2"),
            ("2.0.post1", ">2"),
            ("2.0+local", ">2.0"),
            ("2.0.dev1", "<2"),
            ("2.0rc1", "<2"),
            ("2.0", "<2"),
            ("2", "~=1.0"),
            ("1.1.0", "~=1.0.0"),
            ("1.0.0", "===1.0"),
            ("2.0", "<2!0,>2"),
        ] {
            assert!(!holds(specifier, version), "{version} {specifier}");
        }
    }

    #[test]
    fn prereleases_come_in_only_where_named() {
        let contains = |specifiers: &str, version: &str| {
            specifiers.parse::<Specifiers>().unwrap().contains(&version.parse().unwrap())
        };
        assert!(!contains(">=1", "2.0rc1"));
        assert!(contains(">=1.0rc1", "2.0rc1"));
        assert!(!contains("!=1.0rc1", "2.0rc1"));
        assert!(!contains("", "2.0.dev1"));
        assert!(contains("", "2.0.post1"));
    }

    #[test]
    fn order_and_spelling_do_not_count() {
        let read = |text: &str| text.parse::<Specifiers>().unwrap();
        assert_eq!(read(">=1.2, <2"), read("<2.0,>=1.2"));
        assert_eq!(read("== 1.0-RC1").to_string(), "==1.0rc1");
        assert_eq!(read("<2.0.0, >=1.0").canonical(), read(">=1,<2").canonical());
        assert_ne!(read("~=1.0"), read("~=1.0.0"));
        assert_ne!(read("==1.*"), read("==1.0.*"));
        assert_eq!(read("==1.0.*, ~=2.0").canonical(), "~=2.0,==1.0.*");
        assert_eq!(read("==1.5+cpu").pinned().unwrap().to_string(), "1.5+cpu");
        assert!(read("==1.*").pinned().is_none() && read(">=1,<1").pinned().is_none());
    }

    #[test]
    fn refuses_what_is_no_condition() {
        for text in ["1.0", "=1", "=>2", ">=1.*", "~=1", "==1.0rc1.*", ">=1+local", "==", ">=a"] {
            assert!(text.parse::<Specifiers>().is_err(), "{text}");
        }
    }
}
