//! The three tags of a release, and what they say.
//!
//! | tag | when |
//! |---|---|
//! | `1.3.0` | what people ask for |
//! | `1.3.0-20261121-4f2a9c1` | version, day of the commit (UTC), commit: what a person can sort and trace |
//! | `sha-4f2a9c1` | what a pipeline knows |
//! | `1.3.0-dev-0a1b2c3` | alone, where files of the image differ from the commit; the digits are the image's digest |
//! | `1.3.0` and `sha-local` | where there is no repository |

use corten_diagnostic::Failure;
use corten_oci::{Digest, Tag};
use jiff::Timestamp;

use crate::git::Commit;

/// Where the files of an image stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Just as in a commit.
    Clean(&'a Commit),
    /// Different from the commit.
    Dirty(&'a Commit),
    /// In no repository.
    Folder,
}

/// The tags for an image of `version`, most wanted first.
pub fn tags(version: &str, origin: Origin<'_>, image: &Digest) -> Result<Vec<Tag>, Failure> {
    // Build metadata of a version (`1.3.0+cu126`) has a sign that tags do not allow.
    let version = version.replace('+', "_");
    let texts = match origin {
        Origin::Clean(commit) => {
            let short = commit.short();
            vec![version.clone(), format!("{version}-{}-{short}", day(commit.time)?), format!("sha-{short}")]
        }
        Origin::Dirty(_) => {
            let hex = image.hex();
            vec![format!("{version}-dev-{}", hex.get(..7).unwrap_or(&hex))]
        }
        Origin::Folder => vec![version, "sha-local".to_owned()],
    };
    texts.into_iter().map(tag).collect()
}

fn tag(text: String) -> Result<Tag, Failure> {
    Tag::new(text).map_err(|error| Failure::input(error.to_string()).hint("set `version` to what can stand in a tag"))
}

/// `20261121`, UTC.
fn day(seconds: i64) -> Result<String, Failure> {
    Ok(time(seconds)?.strftime("%Y%m%d").to_string())
}

/// RFC 3339 in UTC, to the second.
pub fn rfc3339(seconds: i64) -> Result<String, Failure> {
    Ok(time(seconds)?.to_string())
}

fn time(seconds: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_second(seconds).map_err(|error| Failure::input(format!("reading time {seconds}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(version: &str, origin: Origin<'_>) -> Vec<String> {
        tags(version, origin, &Digest::of("")).unwrap().iter().map(Tag::to_string).collect()
    }

    #[test]
    fn each_origin_has_its_tags() {
        let id = "4f2a9c10e0c3f0a4b3a3f2d6d8f3c1b2a5e6d7c8".to_owned();
        let commit = Commit { id, time: 1_763_769_599, changed: Default::default() };
        let clean = texts("1.3.0", Origin::Clean(&commit));
        assert_eq!(clean, ["1.3.0", "1.3.0-20251121-4f2a9c1", "sha-4f2a9c1"]);
        assert_eq!(texts("1.3.0", Origin::Dirty(&commit)), ["1.3.0-dev-e3b0c44"]);
        assert_eq!(texts("1.3.0+cu126", Origin::Folder), ["1.3.0_cu126", "sha-local"]);
    }

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(rfc3339(0).unwrap(), "1970-01-01T00:00:00Z");
    }
}
