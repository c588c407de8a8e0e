//! A `Packages` index: what the solver needs of every package, one line each, sorted as the archive sorts.
//!
//! The archive's form has 50 MB of text for 63,000 packages. Of it [`FIELDS`] fields are kept, separated by tabs (about
//! 15 MB); that form is remembered in the store under the digest of the compressed index, so that the second reading is
//! one pass for line ends.
//!
//! Source of the format: deb822(5), and Debian Policy, section 5.

use std::io::{self, BufRead, BufReader, Read};

use corten_diagnostic::{Diagnose, Fault};
use corten_oci::{Architecture, Digest};
use corten_package::deb::Version;

use super::relation::is_name;

/// Changes whenever the remembered form does.
const FORMAT: &str = "corten debian index 1";
/// The longest line of bookworm has 60 KB.
const MAX_LINE: u64 = 1 << 20;
/// All of bookworm has 50 MB.
const MAX_INDEX: u64 = 1 << 30;
/// What is kept of bookworm has 15 MB.
const MAX_KEPT: usize = 256 << 20;

/// What is kept of a stanza, in this order.
const FIELDS: [&str; 15] = [
    "Package",
    "Version",
    "Architecture",
    "Essential",
    "Priority",
    "Provides",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Filename",
    "Size",
    "SHA256",
    "Source",
    "Installed-Size",
];

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Broken bytes.
    #[error("reading the package index: {0}")]
    Read(#[from] io::Error),
    /// Not what an index holds.
    #[error("reading the package index: {0}")]
    Malformed(String),
}

impl Diagnose for IndexError {
    fn fault(&self) -> Fault {
        Fault::World
    }
}

/// All packages of an index for one architecture.
pub struct Index {
    /// The remembered form.
    text: String,
}

/// One package of an index; relations as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package<'a> {
    /// `libc6`.
    pub name: &'a str,
    /// `2.36-9+deb12u14`.
    pub version: &'a str,
    /// `amd64`, `arm64` or `all`.
    pub architecture: &'a str,
    /// Others count on it without saying so.
    pub essential: bool,
    /// How important it is.
    pub priority: Priority,
    /// Virtual packages.
    pub provides: &'a str,
    /// Must be configured before.
    pub pre_depends: &'a str,
    /// Must be there.
    pub depends: &'a str,
    /// Must not be there.
    pub conflicts: &'a str,
    /// Must not be there either.
    pub breaks: &'a str,
    /// Below the archive's root.
    pub path: &'a str,
    /// Bytes of the .deb.
    pub size: u64,
    /// Of the .deb.
    pub digest: Digest,
    /// `glibc`, where it differs from the name; may carry ` (version)`.
    pub source: &'a str,
    /// Estimate of the unpacked bytes.
    pub installed_size: u64,
}

/// Debian Policy, section 2.5, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `required`
    Required,
    /// `important`
    Important,
    /// `standard`
    Standard,
    /// `optional`
    Optional,
    /// `extra`, or none.
    Extra,
}

impl Priority {
    fn parse(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        }
    }
}

impl Index {
    /// What decides the remembered form of the index whose compressed bytes have `digest`.
    pub fn key(digest: &Digest, architecture: Architecture) -> Digest {
        Digest::of(format!("{FORMAT}\n{digest}\n{}\n", architecture.go_name()))
    }

    /// Reads an index as the archive has it, decompressed.
    pub fn parse(packages: impl Read, architecture: Architecture) -> Result<Self, IndexError> {
        let mut reader = BufReader::with_capacity(1 << 16, packages.take(MAX_INDEX));
        let mut text = String::new();
        let mut stanza = Stanza::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if length as u64 == MAX_LINE {
                return Err(IndexError::Malformed(format!("a line of more than {MAX_LINE} bytes")));
            }
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            if content.is_empty() {
                stanza.finish(&mut text, architecture)?;
                if length == 0 {
                    break;
                }
            } else {
                stanza.line(content)?;
            }
            if text.len() > MAX_KEPT {
                return Err(IndexError::Malformed("more packages than any archive has".into()));
            }
        }
        match reader.get_ref().limit() {
            0 => Err(IndexError::Malformed(format!("more than {MAX_INDEX} bytes"))),
            _ => Ok(Self { text }),
        }
    }

    /// Reads the remembered form.
    pub fn recall(remembered: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(remembered).ok()?;
        (text.is_empty() || text.ends_with('\n')).then_some(Self { text })
    }

    /// The form to remember.
    pub fn remembered(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Every package, in the archive's order.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        let ends = memchr::memchr_iter(b'\n', self.text.as_bytes());
        let mut start = 0;
        ends.filter_map(move |end| {
            let line = self.text.get(start..end);
            start = end + 1;
            line.and_then(Package::from_line)
        })
    }
}

impl<'a> Package<'a> {
    fn from_line(line: &'a str) -> Option<Self> {
        let mut fields = [""; FIELDS.len()];
        let mut start = 0;
        for (field, end) in fields.iter_mut().zip(memchr::memchr_iter(b'\t', line.as_bytes()).chain([line.len()])) {
            *field = line.get(start..end)?;
            start = end + 1;
        }
        let [
            name,
            version,
            architecture,
            essential,
            priority,
            provides,
            pre_depends,
            depends,
            conflicts,
            breaks,
            path,
            size,
            digest,
            source,
            installed_size,
        ] = fields;
        Some(Self {
            name,
            version,
            architecture,
            essential: essential == "yes",
            priority: Priority::parse(priority),
            provides,
            pre_depends,
            depends,
            conflicts,
            breaks,
            path,
            size: size.parse().ok()?,
            digest: sha256(digest)?,
            source,
            installed_size: installed_size.parse::<u64>().unwrap_or(0).saturating_mul(1024),
        })
    }
}

fn sha256(hex: &str) -> Option<Digest> {
    let mut text = String::with_capacity(71);
    text.push_str("sha256:");
    text.push_str(hex);
    text.parse().ok()
}

/// A stanza under way: the kept fields that have come.
#[derive(Default)]
struct Stanza {
    fields: [String; FIELDS.len()],
    /// Where a continuation line belongs.
    current: Option<usize>,
    any: bool,
}

impl Stanza {
    fn line(&mut self, line: &[u8]) -> Result<(), IndexError> {
        self.any = true;
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(field) = self.current.and_then(|at| self.fields.get_mut(at)) {
                append(field, line)?;
            }
            return Ok(());
        }
        let colon = memchr::memchr(b':', line).ok_or_else(|| self.wrong("a line without field"))?;
        let (name, value) = line.split_at(colon);
        self.current = FIELDS.iter().position(|field| field.as_bytes().eq_ignore_ascii_case(name));
        let Some(at) = self.current else { return Ok(()) };
        if self.fields.get(at).is_none_or(|field| !field.is_empty()) {
            return Err(self.wrong(&format!("the field '{}' twice", String::from_utf8_lossy(name))));
        }
        match self.fields.get_mut(at) {
            Some(field) => append(field, value.get(1..).unwrap_or_default()),
            None => Ok(()),
        }
    }

    fn wrong(&self, what: &str) -> IndexError {
        let [name, ..] = &self.fields;
        let shown: String = name.chars().take(80).collect();
        IndexError::Malformed(format!("{what} in the stanza of '{shown}'"))
    }

    /// Adds the stanza as one line, where it is for this architecture, and begins another.
    fn finish(&mut self, text: &mut String, architecture: Architecture) -> Result<(), IndexError> {
        if !self.any {
            return Ok(());
        }
        self.check()?;
        let [_, _, made_for, ..] = &self.fields;
        if made_for == "all" || made_for == architecture.go_name() {
            text.push_str(&self.fields.join("\t"));
            text.push('\n');
        }
        self.fields.iter_mut().for_each(String::clear);
        (self.current, self.any) = (None, false);
        Ok(())
    }

    fn check(&self) -> Result<(), IndexError> {
        let [name, version, _, _, _, _, _, _, _, _, path, size, digest, ..] = &self.fields;
        let safe_path = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\'));
        let wrong = [
            (is_name(name), "no good name"),
            (version.parse::<Version>().is_ok(), "no good version"),
            (safe_path, "no good file name"),
            (size.parse::<u64>().is_ok(), "no size"),
            (sha256(digest).is_some(), "no SHA-256"),
        ];
        match wrong.iter().find(|(good, _)| !good) {
            Some((_, what)) => Err(self.wrong(what)),
            None => Ok(()),
        }
    }
}

/// Adds a value with every blank as one space and without control characters.
fn append(field: &mut String, value: &[u8]) -> Result<(), IndexError> {
    let value = std::str::from_utf8(value).map_err(|_| IndexError::Malformed("it is not UTF-8".into()))?;
    for word in value.split_whitespace() {
        if word.chars().any(char::is_control) {
            return Err(IndexError::Malformed("a control character".into()));
        }
        if !field.is_empty() {
            field.push(' ');
        }
        field.push_str(word);
    }
    match field.len() as u64 > MAX_LINE {
        true => Err(IndexError::Malformed("a field that does not end".into())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZA: &str = "Package: libc6\nSource: glibc\nVersion: 2.36-9\nArchitecture: amd64\nEssential: no\n\
        Priority: optional\nDepends: libgcc-s1,\n libcrypt1 (>= 1:4.4)\nDescription: C library\n with more\n\
        Filename: pool/main/g/glibc/libc6_2.36-9_amd64.deb\nSize: 12\nInstalled-Size: 13\n\
        SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

    fn parse(text: &str) -> Result<Index, IndexError> {
        Index::parse(text.as_bytes(), Architecture::Amd64)
    }

    #[test]
    fn keeps_what_the_solver_needs_and_recalls_it() {
        let other = STANZA.replace("Architecture: amd64", "Architecture: arm64");
        let all = STANZA.replace("Architecture: amd64", "Architecture: all").replace("libc6", "tzdata");
        let index = parse(&format!("{STANZA}\n{other}\n\n{all}")).unwrap();
        let again = Index::recall(index.remembered().to_vec()).unwrap();
        let packages: Vec<Package<'_>> = again.packages().collect();
        assert_eq!(packages.iter().map(|package| package.name).collect::<Vec<_>>(), ["libc6", "tzdata"]);
        assert_eq!(packages[0].depends, "libgcc-s1, libcrypt1 (>= 1:4.4)");
        assert_eq!((packages[0].size, packages[0].installed_size), (12, 13 * 1024));
        assert_eq!((packages[0].source, packages[0].priority), ("glibc", Priority::Optional));
        assert_eq!(packages[0].digest, Digest::of([]));
        assert_eq!(parse("").unwrap().packages().count(), 0);
    }

    #[test]
    fn what_no_archive_holds_is_refused() {
        for (from, to) in [
            ("Package: libc6", "Package: ../x"),
            ("Version: 2.36-9", "Version: x y"),
            ("Size: 12", "Size: -1"),
            ("Size: 12\n", ""),
            ("SHA256: e3", "SHA256: E3"),
            ("pool/main", "../main"),
            ("pool/main", "/main"),
            ("Size: 12", "Size: 12\nSize: 12"),
            ("Depends: libgcc-s1", "Depends: \u{1b}[31m"),
            ("Source: glibc", "nonsense"),
        ] {
            let text = STANZA.replacen(from, to, 1);
            assert_ne!(text, STANZA);
            assert!(parse(&text).is_err(), "{from} → {to}");
        }
        assert!(parse(&format!("Package: {}", "x".repeat(1 << 20))).is_err());
        let folded = format!("Package: x\nDepends: y\n{}", format!(" {}\n", "z".repeat(1 << 16)).repeat(17));
        assert!(parse(&folded).is_err());
    }
}
