//! One version: `[N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local]`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::abridged;

/// A version in its normal form. Two that compare equal are equal: `1.0` and `1.0.0`.
#[derive(Debug, Clone)]
pub struct Version {
    epoch: u64,
    release: Vec<u64>,
    pre: Option<(Pre, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Vec<Local>,
}

/// Kinds of pre-releases, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Pre {
    Alpha,
    Beta,
    Candidate,
}

/// A part of a local version; words come before numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Local {
    Word(String),
    Number(u64),
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a version as PEP 440 writes them", abridged(.0))]
pub struct VersionError(pub String);

impl Version {
    /// Major, minor and so on, at least one number.
    pub fn release(&self) -> &[u64] {
        &self.release
    }

    /// Is it a pre-release or a development release?
    pub fn is_prerelease(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    /// Is it a post-release?
    pub fn is_postrelease(&self) -> bool {
        self.post.is_some()
    }

    /// The part behind `+`, normalised: `cu126`.
    pub fn local(&self) -> Option<String> {
        let parts: Vec<_> = self.local.iter().map(Local::to_string).collect();
        if parts.is_empty() { None } else { Some(parts.join(".")) }
    }

    /// The same without its local part.
    #[must_use]
    pub fn public(&self) -> Self {
        Self { local: Vec::new(), ..self.clone() }
    }

    /// The same without zeros at the end of its release.
    pub(super) fn shortened(&self) -> Self {
        let mut release = self.significant().to_vec();
        release.resize(release.len().max(1), 0);
        Self { release, ..self.clone() }
    }

    /// Epoch and release alone.
    pub(super) fn base(&self) -> Self {
        Self { pre: None, post: None, dev: None, local: Vec::new(), ..self.clone() }
    }

    /// `base` with the last number of the release cut off; `None` if there would be none left.
    pub(super) fn series(&self) -> Option<Self> {
        let mut series = self.base();
        series.release.pop();
        if series.release.is_empty() { None } else { Some(series) }
    }

    /// Does the release begin with that of `prefix`, as `== prefix.*` means it?
    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        let number = |at: usize| self.release.get(at).copied().unwrap_or(0);
        self.epoch == prefix.epoch && prefix.release.iter().enumerate().all(|(at, wanted)| number(at) == *wanted)
    }

    fn significant(&self) -> &[u64] {
        let length = self.release.iter().rposition(|number| *number != 0).map_or(0, |last| last + 1);
        self.release.get(..length).unwrap_or_default()
    }

    /// What orders versions: a development release comes before alphas, a final one after candidates.
    fn key(&self) -> Key<'_> {
        let stage = match (self.pre, self.post, self.dev) {
            (Some((kind, number)), _, _) => (kind as u8 + 1, number),
            (None, None, Some(_)) => (0, 0),
            (None, _, _) => (u8::MAX, 0),
        };
        let dev = self.dev.map_or((1, 0), |number| (0, number));
        (self.epoch, self.significant(), stage, self.post, dev, &self.local)
    }
}

type Key<'a> = (u64, &'a [u64], (u8, u64), Option<u64>, (u8, u64), &'a [Local]);

impl FromStr for Version {
    type Err = VersionError;

    /// Reads every spelling that PEP 440 lets in, surrounding blanks too.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let lower = text.trim_ascii().to_ascii_lowercase();
        let mut cursor = Cursor { rest: lower.strip_prefix('v').unwrap_or(&lower) };
        parse(&mut cursor).filter(|_| cursor.rest.is_empty()).ok_or_else(|| VersionError(text.to_owned()))
    }
}

/// What of a version is still to be read.
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_separator(&mut self) -> bool {
        ["-", "_", "."].iter().any(|separator| self.skip(separator))
    }

    fn digits(&mut self) -> Option<u64> {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at_checked(length)?;
        let number = digits.parse().ok()?;
        self.rest = rest;
        Some(number)
    }

    /// `[sep] word [sep] [digits]`; nothing is taken when none of the words stands there. Outside: is it there?
    /// Inside: does it parse?
    fn segment<K: Copy>(&mut self, words: &[(&str, K)]) -> Option<Option<(K, u64)>> {
        let start = self.rest;
        self.skip_separator();
        for (word, kind) in words {
            if self.skip(word) {
                let before = self.rest;
                self.skip_separator();
                if !self.rest.starts_with(|next: char| next.is_ascii_digit()) {
                    self.rest = before;
                    return Some(Some((*kind, 0)));
                }
                return Some(self.digits().map(|number| (*kind, number)));
            }
        }
        self.rest = start;
        None
    }
}

/// Longer words first where one begins with another.
const PRE: [(&str, Pre); 8] = [
    ("alpha", Pre::Alpha),
    ("a", Pre::Alpha),
    ("beta", Pre::Beta),
    ("b", Pre::Beta),
    ("preview", Pre::Candidate),
    ("pre", Pre::Candidate),
    ("rc", Pre::Candidate),
    ("c", Pre::Candidate),
];

fn parse(cursor: &mut Cursor<'_>) -> Option<Version> {
    let (epoch, release) = parse_release(cursor)?;
    let pre = cursor.segment(&PRE).map_or(Some(None), |found| found.map(Some))?;
    let post = parse_post(cursor)?;
    let dev = cursor.segment(&[("dev", ())]).map_or(Some(None), |found| found.map(|(_, number)| Some(number)))?;
    let local = if cursor.skip("+") { parse_local(cursor)? } else { Vec::new() };
    Some(Version { epoch, release, pre, post, dev, local })
}

fn parse_release(cursor: &mut Cursor<'_>) -> Option<(u64, Vec<u64>)> {
    let mut first = cursor.digits()?;
    let mut epoch = 0;
    if cursor.skip("!") {
        epoch = first;
        first = cursor.digits()?;
    }
    let mut release = vec![first];
    while cursor.rest.starts_with('.') && cursor.rest[1..].starts_with(|next: char| next.is_ascii_digit()) {
        cursor.skip(".");
        release.push(cursor.digits()?);
    }
    Some((epoch, release))
}

fn parse_post(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    if cursor.rest.starts_with('-') && cursor.rest[1..].starts_with(|next: char| next.is_ascii_digit()) {
        cursor.skip("-");
        return cursor.digits().map(Some);
    }
    let found = cursor.segment(&[("post", ()), ("rev", ()), ("r", ())]);
    found.map_or(Some(None), |found| found.map(|(_, number)| Some(number)))
}

fn parse_local(cursor: &mut Cursor<'_>) -> Option<Vec<Local>> {
    let rest = std::mem::take(&mut cursor.rest);
    rest.split(['.', '-', '_']).map(parse_local_part).collect()
}

fn parse_local_part(part: &str) -> Option<Local> {
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    if part.bytes().all(|byte| byte.is_ascii_digit()) {
        return part.parse().ok().map(Local::Number);
    }
    Some(Local::Word(part.to_owned()))
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}!", self.epoch)?;
        }
        let numbers: Vec<_> = self.release.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        if let Some((kind, number)) = self.pre {
            let letter = match kind {
                Pre::Alpha => "a",
                Pre::Beta => "b",
                Pre::Candidate => "rc",
            };
            write!(f, "{letter}{number}")?;
        }
        if let Some(number) = self.post {
            write!(f, ".post{number}")?;
        }
        if let Some(number) = self.dev {
            write!(f, ".dev{number}")?;
        }
        match self.local() {
            Some(local) => write!(f, "+{local}"),
            None => Ok(()),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// PEP 440, "Summary of permitted suffixes and relative ordering", and the order in packaging's own tests.
    #[test]
    fn orders_as_pep_440_lists_them() {
        let ordered = [
            "1.0.dev456",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.1.dev1",
            "1!0.1",
        ];
        for (left, right) in ordered.iter().zip(&ordered[1..]) {
            assert!(version(left) < version(right), "{left} < {right}");
        }
    }

    #[test]
    fn prints_the_normal_form() {
        for (text, normal) in [
            ("1.0", "1.0"),
            (" v1.0-ALPHA ", "1.0a0"),
            ("1.0.c.1", "1.0rc1"),
            ("1-5", "1.post5"),
            ("1.0_R4", "1.0.post4"),
            ("0!1.0", "1.0"),
            ("2!01.00", "2!1.0"),
            ("1.0+Ubuntu-1_a", "1.0+ubuntu.1.a"),
            ("1.0DEV", "1.0.dev0"),
            ("1.0-preview_2.post", "1.0rc2.post0"),
            ("2.9.1+cu128", "2.9.1+cu128"),
        ] {
            assert_eq!(version(text).to_string(), normal);
            assert_eq!(version(&version(text).to_string()), version(text));
        }
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in
            ["", "x", "1..0", "1.0+", "1.0+a+b", "1.0 1", "1.*", "french toast", "1.0-", "99999999999999999999", "é"]
        {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn equal_versions_hash_alike() {
        let set: std::collections::HashSet<_> = [version("1"), version("1.0"), version("1.0.0")].into();
        assert_eq!(set.len(), 1);
    }
}
