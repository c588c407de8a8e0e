//! The signed contents of `InRelease`: which archive and release it is, how old, and the digest of every index.
//!
//! `Suite` is not looked at: it changes with time (stable, oldstable). `Codename` is what was asked for. Only `SHA256:`
//! counts. Format: <https://wiki.debian.org/DebianRepository/Format>, "Release" files.

use std::collections::BTreeMap;

use corten_diagnostic::{Diagnose, Fault};
use corten_oci::Digest;

use super::signature::CLOCK_SKEW;

/// An index file, by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What a Release file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Debian`.
    pub origin: String,
    /// `Debian` or `Debian-Security`.
    pub label: String,
    /// `bookworm-updates`.
    pub codename: String,
    /// When it was made, seconds since 1970.
    pub date: u64,
    /// Not to be trusted after this, seconds since 1970.
    pub valid_until: Option<u64>,
    /// Indexes can be fetched by their digest.
    pub by_hash: bool,
    /// By path below the release's folder.
    pub files: BTreeMap<String, IndexFile>,
}

/// Why a Release file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It cannot be read.
    #[error("the Release file cannot be read: {0}")]
    Malformed(String),
    /// It is of another release.
    #[error("the Release file is of '{found}', not of '{asked}'")]
    Other {
        /// Codename, origin or label that it has.
        found: String,
        /// That it should have.
        asked: String,
    },
    /// It is too old.
    #[error("the Release file expired {} ago", age(*.since))]
    Expired {
        /// Seconds since it expired.
        since: u64,
    },
    /// The clocks differ.
    #[error("the Release file is from the future, by {}", age(*.by))]
    Future {
        /// Seconds.
        by: u64,
    },
    /// It is older than one that was seen before.
    #[error("the Release file is {} older than the one that was seen before", age(*.by))]
    Older {
        /// Seconds.
        by: u64,
    },
    /// It does not list the index.
    #[error("the Release file lists no '{0}'")]
    NoIndex(String),
}

impl Diagnose for ReleaseError {
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Malformed(_) => "something between here and the archive may change what it sends",
            Self::Other { .. } => "check the mirror's address in the settings",
            Self::Expired { .. } => "the mirror is no longer updated, or the clock here is wrong: use another mirror",
            Self::Future { .. } => "set the clock",
            Self::Older { .. } => "the mirror lags behind, or someone offers an old state of it: use another mirror",
            Self::NoIndex(_) => "the archive does not have this architecture",
        };
        vec![hint.into()]
    }
}

/// What a Release file must be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `bookworm-updates`.
    pub codename: &'a str,
    /// `Debian-Security`; nothing: any.
    pub label: Option<&'a str>,
    /// The present, seconds since 1970.
    pub now: u64,
    /// An older `Date` is a step back, seconds since 1970.
    pub seen: Option<u64>,
}

impl Release {
    /// Reads the signed text.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut fields = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut within_sha256 = false;
        for line in text.lines() {
            if line.starts_with([' ', '\t']) {
                if within_sha256 {
                    let (path, file) = index_file(line)?;
                    files.insert(path, file);
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(ReleaseError::Malformed(format!("the line '{}' has no field", shown(line))));
            };
            within_sha256 = name.eq_ignore_ascii_case("SHA256");
            if fields.insert(name.to_ascii_lowercase(), value.trim()).is_some() {
                return Err(ReleaseError::Malformed(format!("the field '{}' is there twice", shown(name))));
            }
        }
        let field = |name: &str| fields.get(name).copied();
        let need = |name: &str| field(name).ok_or_else(|| ReleaseError::Malformed(format!("no field '{name}'")));
        Ok(Self {
            origin: field("origin").unwrap_or_default().into(),
            label: field("label").unwrap_or_default().into(),
            codename: need("codename")?.into(),
            date: seconds(need("date")?)?,
            valid_until: field("valid-until").map(seconds).transpose()?,
            by_hash: field("acquire-by-hash") == Some("yes"),
            files,
        })
    }

    /// Is it what was asked for, and current?
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), ReleaseError> {
        if self.codename != expected.codename {
            return Err(ReleaseError::Other { found: self.codename.clone(), asked: expected.codename.into() });
        }
        if let Some(label) = expected.label.filter(|label| *label != self.label) {
            return Err(ReleaseError::Other { found: self.label.clone(), asked: label.into() });
        }
        if let Some(by) = self.date.checked_sub(expected.now).filter(|by| *by > CLOCK_SKEW) {
            return Err(ReleaseError::Future { by });
        }
        if let Some(since) = self.valid_until.and_then(|until| expected.now.checked_sub(until)) {
            return Err(ReleaseError::Expired { since });
        }
        match expected.seen.and_then(|seen| seen.checked_sub(self.date)).filter(|by| *by > 0) {
            Some(by) => Err(ReleaseError::Older { by }),
            None => Ok(()),
        }
    }

    /// The index at `path` (`main/binary-amd64/Packages.xz`).
    pub fn index(&self, path: &str) -> Result<IndexFile, ReleaseError> {
        self.files.get(path).copied().ok_or_else(|| ReleaseError::NoIndex(path.into()))
    }
}

/// ` <sha256> <size> <path>`.
fn index_file(line: &str) -> Result<(String, IndexFile), ReleaseError> {
    let malformed = || ReleaseError::Malformed(format!("'{}' is no index", shown(line)));
    let mut words = line.split_ascii_whitespace();
    let (Some(hex), Some(size), Some(path), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(malformed());
    };
    let digest = format!("sha256:{hex}").parse().map_err(|_| malformed())?;
    let size = size.parse().map_err(|_| malformed())?;
    Ok((path.into(), IndexFile { digest, size }))
}

/// `Sat, 11 Jul 2026 10:16:37 UTC` in seconds since 1970.
fn seconds(date: &str) -> Result<u64, ReleaseError> {
    let malformed = || ReleaseError::Malformed(format!("'{}' is no date in UTC", shown(date)));
    let universal = [" UTC", " GMT", " Z", " +0000"].iter().find_map(|zone| date.strip_suffix(zone));
    let date = format!("{} +0000", universal.ok_or_else(malformed)?);
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&date).map_err(|_| malformed())?;
    u64::try_from(time.as_second()).map_err(|_| malformed())
}

fn shown(text: &str) -> String {
    text.chars().take(60).filter(|letter| !letter.is_control()).collect()
}

/// `3 days`, for people.
pub(super) fn age(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\n\
        Date: Sat, 11 Jul 2026 10:16:37 UTC\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\n\
        MD5Sum:\n 0ed6d4c8891eb86358b94bb35d9e4da4 5 main/binary-amd64/Packages.xz\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 7 main/binary-amd64/Packages.xz\n";
    /// 2026-07-11 10:16:37, by `date -u -d`.
    const DATE: u64 = 1_783_764_997;
    const DAY: u64 = 86_400;

    fn expected(now: u64) -> Expected<'static> {
        Expected { codename: "bookworm", label: Some("Debian"), now, seen: None }
    }

    #[test]
    fn only_sha256_counts() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!((release.date, release.valid_until), (DATE, Some(DATE + 7 * DAY)));
        assert!(release.by_hash);
        let index = release.index("main/binary-amd64/Packages.xz").unwrap();
        assert_eq!((index.size, index.digest), (7, Digest::of([])));
        assert!(release.index("main/binary-arm64/Packages.xz").is_err());
    }

    #[test]
    fn age_decides() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!(release.check(&expected(DATE + DAY)), Ok(()));
        let expired = release.check(&expected(DATE + 10 * DAY)).unwrap_err();
        assert_eq!(expired, ReleaseError::Expired { since: 3 * DAY });
        assert!(expired.to_string().contains("expired 3 days ago"), "{expired}");
        assert_eq!(release.check(&expected(DATE - DAY)), Err(ReleaseError::Future { by: DAY }));
        let seen = Expected { seen: Some(DATE + 60), ..expected(DATE + DAY) };
        assert_eq!(release.check(&seen), Err(ReleaseError::Older { by: 60 }));
        let other = Expected { codename: "trixie", ..expected(DATE + DAY) };
        assert!(matches!(release.check(&other), Err(ReleaseError::Other { .. })));
        let other = Expected { label: Some("Debian-Security"), ..expected(DATE + DAY) };
        assert!(matches!(release.check(&other), Err(ReleaseError::Other { .. })));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (from, to) in [
            ("Codename: bookworm\n", ""),
            ("Codename: bookworm\n", "Codename: bookworm\nCodename: trixie\n"),
            ("UTC\nValid", "CEST\nValid"),
            (" 7 main", " -7 main"),
            (" 7 main", " 99999999999999999999 main"),
            ("e3b0c4", "E3B0C4"),
            ("Label: ", "Label "),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT);
            assert!(matches!(Release::parse(&text), Err(ReleaseError::Malformed(_))), "{from:?} → {to:?}");
        }
    }
}
