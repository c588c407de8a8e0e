//! Versions of Debian packages (deb-version(7)): `[epoch:]upstream[-revision]`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::text::abridged;

/// A version; its order is dpkg's, and two that dpkg calls equal are equal.
#[derive(Debug, Clone)]
pub struct Version {
    text: Box<str>,
    epoch: u32,
    /// Where the upstream part begins and ends in `text`.
    upstream: (usize, usize),
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a Debian version", abridged(.0))]
pub struct VersionError(pub String);

impl Version {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number before `:`, 0 if there is none.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Between epoch and revision.
    pub fn upstream(&self) -> &str {
        self.text.get(self.upstream.0..self.upstream.1).unwrap_or_default()
    }

    /// Behind the last `-`, empty if there is none.
    pub fn revision(&self) -> &str {
        self.text.get(self.upstream.1 + 1..).unwrap_or_default()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Reads what dpkg reads: digits first, `A-Za-z0-9.+~-:` upstream, `A-Za-z0-9.+~` as revision.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let text = text.trim_ascii();
        let (epoch, start) = match text.split_once(':') {
            Some((epoch, _)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => {
                (epoch.parse::<u32>().map_err(|_| error())?, epoch.len() + 1)
            }
            Some(_) => return Err(error()),
            None => (0, 0),
        };
        let rest = text.get(start..).unwrap_or_default();
        let end = start + rest.rfind('-').unwrap_or(rest.len());
        let version = Self { text: text.into(), epoch, upstream: (start, end) };
        let allowed = |byte: u8, more: &[u8]| byte.is_ascii_alphanumeric() || more.contains(&byte);
        let good = version.upstream().bytes().all(|byte| allowed(byte, b".+~-:"))
            && version.revision().bytes().all(|byte| allowed(byte, b".+~"))
            && version.upstream().starts_with(|first: char| first.is_ascii_digit())
            && !(end < text.len() && version.revision().is_empty());
        if good { Ok(version) } else { Err(error()) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.epoch.cmp(&other.epoch))
            .then_with(|| compare(self.upstream().as_bytes(), other.upstream().as_bytes()))
            .then_with(|| compare(self.revision().as_bytes(), other.revision().as_bytes()))
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
    /// Versions that compare equal hash alike: zeros in front of numbers and at the ends do not count.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.epoch.hash(state);
        for part in [self.upstream(), self.revision()] {
            let text = part.as_bytes();
            let significant = |at: usize| {
                let digit_before = at.checked_sub(1).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit);
                text.get(at) != Some(&b'0') || (digit_before && run_counts(text, at))
            };
            (0..text.len()).filter(|at| significant(*at)).for_each(|at| text.get(at).hash(state));
            u8::MAX.hash(state);
        }
    }
}

/// Stands before `at`, in the same run of digits, one that is not zero?
fn run_counts(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| byte.is_ascii_digit()).any(|digit| *digit != b'0')
}

/// dpkg's `verrevcmp`: runs of non-digits by character order, runs of digits by number, in turn.
fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (words, numbers) = (take_word(&mut left, &mut right), take_numbers(&mut left, &mut right));
        match words.then(numbers) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

fn take(text: &mut &[u8], digits: bool) -> Vec<u8> {
    let length = text.iter().position(|byte| byte.is_ascii_digit() != digits).unwrap_or(text.len());
    let (head, tail) = text.split_at(length);
    *text = tail;
    head.to_vec()
}

fn take_word(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let (left, right) = (take(left, false), take(right, false));
    let rank = |word: &[u8], at: usize| word.get(at).map_or(0, |byte| weight(*byte));
    (0..left.len().max(right.len()))
        .map(|at| rank(&left, at).cmp(&rank(&right, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// `~` before the end, the end before letters, letters before the rest.
fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        letter if letter.is_ascii_alphabetic() => i32::from(letter),
        other => i32::from(other) + 256,
    }
}

fn take_numbers(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let strip = |digits: Vec<u8>| digits.into_iter().skip_while(|digit| *digit == b'0').collect::<Vec<_>>();
    let (left, right) = (strip(take(left, true)), strip(take(right, true)));
    left.len().cmp(&right.len()).then_with(|| left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn takes_a_version_apart() {
        let read = version("1:2.3-4-5~x");
        assert_eq!((read.epoch(), read.upstream(), read.revision()), (1, "2.3-4", "5~x"));
        let plain = version("2025b");
        assert_eq!((plain.epoch(), plain.upstream(), plain.revision(), plain.as_str()), (0, "2025b", "", "2025b"));
    }

    /// deb-version(7): `~` sorts before the end, letters before the rest.
    #[test]
    fn orders_as_dpkg_does() {
        let ordered =
            ["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1~deb12u1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+", "1.00001", "1:0"];
        for (left, right) in ordered.iter().zip(&ordered[1..]) {
            assert!(version(left) < version(right), "{left} < {right}");
        }
        for (left, right) in [
            ("1.0", "1.00"),
            ("0:1", "1"),
            ("1", "1-0"),
            ("1.a", "1.a0"),
            ("99999999999999999999999", "0099999999999999999999999"),
        ] {
            assert_eq!(version(left), version(right));
            let set: std::collections::HashSet<_> = [version(left), version(right)].into();
            assert_eq!(set.len(), 1, "{left} {right}");
        }
    }

    #[test]
    fn refuses_what_dpkg_refuses() {
        for text in ["", ":1", "a:1", "1 2", "1_2", "a1", "1-", "4294967296:1", "-1", "1:", "1/2", "é"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }
}
