//! What a package's own changelog says of the versions since another: which vulnerabilities they name.
//!
//! Every .deb brings the changelog of its source as `usr/share/doc/PACKAGE/changelog.Debian.gz`; some link that folder to a
//! package of the same source. Format: Debian Policy 4.4; deb-changelog(5):
//!
//! ```text
//! openssl (3.0.15-1~deb12u1) bookworm-security; urgency=medium
//!
//!   * CVE-2024-9143: …
//!
//!  -- Somebody <a@example.org>  Thu, 05 Dec 2024 20:36:25 +0100
//! ```
//!
//! A changelog names what its writer thought of: that it names none does not say that there is none.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::Read;

use corten_layer::gzip;
use corten_oci::{Kind, MediaType};

use super::deb::{Deb, DebError, DebFile};
use super::relation;

/// Bytes of a changelog that is read; the largest of a base has 4 MB.
const LARGEST: u64 = 32 << 20;
/// Vulnerabilities that one package's versions may name.
const MOST: usize = 1000;

/// Where a package's changelog is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changelog {
    /// In the package itself.
    Text(String),
    /// In another package of the same source.
    In(String),
    /// Nowhere.
    Absent,
}

/// Reads the changelog of a .deb.
///
/// # Errors
/// As [`Deb::read`].
pub fn read(file: &DebFile) -> Result<Changelog, DebError> {
    let folder = format!("usr/share/doc/{}", file.name);
    let names = [format!("{folder}/changelog.Debian.gz"), format!("{folder}/changelog.gz")];
    let deb = Deb::read(file, |entry| names.iter().any(|name| entry.path.as_bytes() == name.as_bytes()))?;
    let linked = deb.entries.iter().find_map(|entry| match &entry.entry.kind {
        Kind::Symlink(to) if entry.entry.path.as_bytes() == folder.as_bytes() => to.rsplit('/').next(),
        _ => None,
    });
    if let Some(other) = linked.filter(|other| *other != file.name) {
        return Ok(Changelog::In(other.to_owned()));
    }
    let content = names.iter().find_map(|name| {
        let entry = deb.entries.iter().find(|entry| entry.entry.path.as_bytes() == name.as_bytes())?;
        entry.content.as_deref()
    });
    let Some(content) = content else { return Ok(Changelog::Absent) };
    let mut text = Vec::new();
    let unpacked = gzip::reader(&MediaType::LAYER_GZIP.into(), content)
        .and_then(|reader| reader.take(LARGEST).read_to_end(&mut text));
    Ok(match unpacked {
        Ok(_) => Changelog::Text(String::from_utf8_lossy(&text).into_owned()),
        Err(_) => Changelog::Absent,
    })
}

/// The vulnerabilities that the versions after `old`, up to `new`, name; none where the changelog does not have `new`.
pub fn vulnerabilities(changelog: &str, old: &str, new: &str) -> Option<Vec<String>> {
    let (old, new) = (source_version(old), source_version(new));
    let mut found = BTreeSet::new();
    let (mut is_between, mut has_new) = (false, false);
    for line in changelog.lines() {
        if let Some(version) = heading(line) {
            has_new |= version == new;
            let newer = relation::compare(version, old) == Ordering::Greater;
            is_between = newer && relation::compare(version, new) != Ordering::Greater;
        } else if is_between && found.len() < MOST {
            found.extend(cves(line));
        }
    }
    has_new.then(|| found.into_iter().collect())
}

/// Rebuilds of a binary package (`+b1`) have no changelog of their own.
fn source_version(version: &str) -> &str {
    let rebuilt = version.rsplit_once("+b").filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    rebuilt.map_or(version, |(source, _)| source)
}

/// The version of `package (version) suite; urgency=low`.
fn heading(line: &str) -> Option<&str> {
    let begins = line.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let (_, rest) = line.split_once(" (").filter(|_| begins && line.contains(';'))?;
    Some(rest.split_once(')')?.0)
}

/// Names such as `CVE-2024-9143` in a text.
fn cves(line: &str) -> impl Iterator<Item = String> + '_ {
    line.match_indices("CVE-").filter_map(|(at, _)| {
        let rest = line.get(at + 4..)?;
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let year = digits(rest);
        let number = digits(rest.get(year..)?.strip_prefix('-')?);
        let good = year == 4 && (4..=9).contains(&number);
        good.then(|| format!("CVE-{}", rest.get(..year + 1 + number).unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shortened from the changelog of openssl in bookworm.
    const OPENSSL: &str = "\
openssl (3.0.15-1~deb12u1) bookworm; urgency=medium

  * Import 3.0.15
    - CVE-2024-5535 (SSL_select_next_proto buffer overread).
    - CVE-2024-4741, CVE-2024-4603.

 -- A <a@example.org>  Sun, 03 Nov 2024 22:29:51 +0100

openssl (3.0.14-1~deb12u2) bookworm-security; urgency=medium

  * CVE-2024-6119 (Possible denial of service in X.509 name checks).

 -- A <a@example.org>  Mon, 02 Sep 2024 22:29:51 +0200

openssl (3.0.13-1~deb12u1) bookworm; urgency=medium

  * CVE-2023-5678, CVE-20245-1, CVE-2024-12

 -- A <a@example.org>  Mon, 02 Sep 2023 22:29:51 +0200
";

    #[test]
    fn only_versions_in_between_count() {
        let since = |old: &str, new: &str| vulnerabilities(OPENSSL, old, new).map(|all| all.join(" "));
        let all = "CVE-2024-4603 CVE-2024-4741 CVE-2024-5535 CVE-2024-6119";
        assert_eq!(since("3.0.13-1~deb12u1", "3.0.15-1~deb12u1").as_deref(), Some(all));
        assert_eq!(since("3.0.13-1~deb12u1", "3.0.14-1~deb12u2+b1").as_deref(), Some("CVE-2024-6119"));
        assert_eq!(since("3.0.15-1~deb12u1", "3.0.15-1~deb12u1").as_deref(), Some(""));
        assert_eq!(since("3.0.11-1", "3.0.13-1~deb12u1").as_deref(), Some("CVE-2023-5678"));
        assert_eq!(since("3.0.11-1", "3.0.16-1"), None, "it does not know that version");
        assert_eq!(vulnerabilities("", "1", "2"), None);
    }
}
