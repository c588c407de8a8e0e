//! Package URLs (ECMA-427): `pkg:type/namespace/name@version?qualifiers#subpath`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use corten_oci::Architecture;
use serde::{Serialize, Serializer};

use crate::PackageName;
use crate::text::abridged;

/// A package, named for everybody. In canonical form: types lower case, each type's own rules applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purl {
    kind: String,
    namespace: Option<String>,
    name: String,
    version: Option<String>,
    qualifiers: BTreeMap<String, String>,
    subpath: Option<String>,
}

/// Why a text is no package URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a package URL: {}", abridged(.text), abridged(.reason))]
pub struct PurlError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What a package URL is made of, before it is checked and brought to canonical form.
#[derive(Debug, Clone, Default)]
pub struct Parts<'a> {
    /// `pypi`, `deb` …
    pub kind: &'a str,
    /// Segments joined by `/`.
    pub namespace: Option<&'a str>,
    /// Must not be empty.
    pub name: &'a str,
    /// As the package's own tools write it.
    pub version: Option<&'a str>,
    /// Empty values count as absent.
    pub qualifiers: &'a [(&'a str, &'a str)],
    /// Segments joined by `/`.
    pub subpath: Option<&'a str>,
}

impl Purl {
    /// `pkg:pypi/name@version`.
    pub fn pypi(name: &PackageName, version: &str) -> Self {
        Self {
            kind: "pypi".into(),
            namespace: None,
            name: name.as_str().into(),
            version: filled(version),
            qualifiers: BTreeMap::new(),
            subpath: None,
        }
    }

    /// `pkg:deb/debian/name@version?arch=amd64&distro=bookworm`; `architecture` `None` is `all`.
    pub fn deb(name: &str, version: &str, architecture: Option<Architecture>, distribution: &str) -> Self {
        let purl = Self {
            kind: "deb".into(),
            namespace: Some("debian".into()),
            name: name.to_ascii_lowercase(),
            version: filled(version),
            qualifiers: BTreeMap::new(),
            subpath: None,
        };
        purl.with("arch", architecture.map_or("all", Architecture::go_name)).with("distro", distribution)
    }

    /// Checks `parts` and brings them to canonical form.
    ///
    /// # Errors
    /// No type or name, characters that a type or a qualifier's key may not have.
    pub fn from_parts(parts: &Parts<'_>) -> Result<Self, PurlError> {
        build(parts)
            .map_err(|reason| PurlError { text: format!("{}/{}", parts.kind, parts.name), reason: reason.into() })
    }

    /// The same with one qualifier more, or without it when the value is empty. `key` is one of the specification's.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if value.is_empty() {
            self.qualifiers.remove(key);
        } else {
            self.qualifiers.insert(key.to_ascii_lowercase(), value.to_owned());
        }
        self
    }

    /// `pypi`, `deb` …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Segments joined by `/`, decoded.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Decoded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Decoded.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Decoded, by key.
    pub fn qualifiers(&self) -> &BTreeMap<String, String> {
        &self.qualifiers
    }

    /// Segments joined by `/`, decoded.
    pub fn subpath(&self) -> Option<&str> {
        self.subpath.as_deref()
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn build(parts: &Parts<'_>) -> Result<Purl, &'static str> {
    let kind = parts.kind.to_ascii_lowercase();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !kind.starts_with(|first: char| first.is_ascii_alphabetic()) || !kind.bytes().all(good) {
        return Err("its type must be a letter with letters, digits, '.' and '-' behind");
    }
    let name = parts.name.trim_matches('/');
    if name.is_empty() {
        return Err("it has no name");
    }
    let mut purl = Purl {
        kind,
        namespace: segments(parts.namespace.unwrap_or_default(), &[]),
        name: name.to_owned(),
        version: filled(parts.version.unwrap_or_default()),
        qualifiers: qualifiers(parts.qualifiers)?,
        subpath: segments(parts.subpath.unwrap_or_default(), &[".", ".."]),
    };
    canonical(&mut purl);
    Ok(purl)
}

fn segments(text: &str, without: &[&str]) -> Option<String> {
    let kept: Vec<_> = text.split('/').filter(|segment| !segment.is_empty() && !without.contains(segment)).collect();
    filled(&kept.join("/"))
}

fn qualifiers(pairs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, &'static str> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let mut qualifiers = BTreeMap::new();
    for (key, value) in pairs {
        let key = key.to_ascii_lowercase();
        if !key.starts_with(|first: char| first.is_ascii_alphabetic()) || !key.bytes().all(good) {
            return Err("a qualifier's key must be a letter with letters, digits, '.', '-' and '_' behind");
        }
        let twice = qualifiers.contains_key(&key);
        if twice {
            return Err("a qualifier stands there twice");
        }
        if !value.is_empty() {
            qualifiers.insert(key, (*value).to_owned());
        }
    }
    Ok(qualifiers)
}

/// What the types themselves ask for (purl-spec, `types/`): of those whose names or versions ignore case.
fn canonical(purl: &mut Purl) {
    const LOWER_NAMESPACE: [&str; 11] =
        ["alpm", "apk", "bitbucket", "composer", "deb", "github", "gitlab", "golang", "hex", "qpkg", "rpm"];
    const LOWER_NAME: [&str; 11] =
        ["alpm", "apk", "bitbucket", "composer", "deb", "github", "gitlab", "golang", "hex", "oci", "pypi"];
    let kind = purl.kind.as_str();
    let databricks = kind == "mlflow"
        && purl.qualifiers.get("repository_url").is_some_and(|url| url.to_ascii_lowercase().contains("databricks"));
    if LOWER_NAMESPACE.contains(&kind) {
        purl.namespace = purl.namespace.take().map(|namespace| namespace.to_ascii_lowercase());
    }
    if LOWER_NAME.contains(&kind) || databricks {
        purl.name = purl.name.to_ascii_lowercase();
    }
    match kind {
        "pypi" => purl.name = purl.name.replace('_', "-"),
        "huggingface" => purl.version = purl.version.take().map(|version| version.to_ascii_lowercase()),
        _ => {}
    }
}

impl FromStr for Purl {
    type Err = PurlError;

    /// Reads by the specification's "How to parse": from the right.
    fn from_str(text: &str) -> Result<Self, PurlError> {
        parse(text).map_err(|reason| PurlError { text: text.to_owned(), reason: reason.into() })
    }
}

fn parse(text: &str) -> Result<Purl, &'static str> {
    let (scheme, rest) = text.split_once(':').ok_or("it does not begin with 'pkg:'")?;
    if !scheme.eq_ignore_ascii_case("pkg") {
        return Err("it does not begin with 'pkg:'");
    }
    let (rest, subpath) = split_right(rest, '#');
    let (rest, pairs) = split_right(rest, '?');
    let (kind, path) = rest.trim_start_matches('/').split_once('/').ok_or("it has no type or no name")?;
    let path = path.trim_matches('/');
    let (namespace, last) = path.rsplit_once('/').map_or((None, path), |(namespace, last)| (Some(namespace), last));
    let (name, version) = split_right(last, '@');
    let decoded = |part: &str| decode(part).ok_or("a '%' in it begins no character");
    let (name, version) = (decoded(name)?, version.map(decoded).transpose()?);
    let namespace = namespace.map(decoded).transpose()?;
    let subpath = subpath.map(decoded).transpose()?;
    let mut decoded_pairs = Vec::new();
    for pair in pairs.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("a qualifier has no '='")?;
        decoded_pairs.push((key, decoded(value)?));
    }
    let pairs: Vec<_> = decoded_pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
    build(&Parts {
        kind,
        namespace: namespace.as_deref(),
        name: &name,
        version: version.as_deref(),
        qualifiers: &pairs,
        subpath: subpath.as_deref(),
    })
}

fn split_right(text: &str, separator: char) -> (&str, Option<&str>) {
    text.rsplit_once(separator).map_or((text, None), |(left, right)| (left, Some(right)))
}

/// Percent-decoding; `None` for a broken escape or what is not UTF-8 then.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but letters, digits, `.-_~:` and what is in `also`.
fn encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) || also.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{}/", encode(namespace, b"/"))?;
        }
        f.write_str(&encode(&self.name, b""))?;
        if let Some(version) = &self.version {
            write!(f, "@{}", encode(version, b""))?;
        }
        for (at, (key, value)) in self.qualifiers.iter().enumerate() {
            write!(f, "{}{key}={}", if at == 0 { '?' } else { '&' }, encode(value, b""))?;
        }
        match &self.subpath {
            Some(subpath) => write!(f, "#{}", encode(subpath, b"/")),
            None => Ok(()),
        }
    }
}

impl Serialize for Purl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_what_corten_needs() {
        let name = PackageName::new("Flash_Attn").unwrap();
        assert_eq!(Purl::pypi(&name, "2.8.0+cu126").to_string(), "pkg:pypi/flash-attn@2.8.0%2Bcu126");
        assert_eq!(
            Purl::deb("libssl3", "1:3.0.17-1~deb12u3", Some(Architecture::Amd64), "bookworm").to_string(),
            "pkg:deb/debian/libssl3@1:3.0.17-1~deb12u3?arch=amd64&distro=bookworm"
        );
        assert_eq!(Purl::deb("tzdata", "2025b-0", None, "").to_string(), "pkg:deb/debian/tzdata@2025b-0?arch=all");
    }

    #[test]
    fn refuses_broken_escapes_and_repeats() {
        for text in [
            "pkg:pypi/a%",
            "pkg:pypi/a%zz",
            "pkg:pypi/a%ff",
            "pkg:pypi/a?k",
            "pkg:pypi/a?k=1&k=2",
            "pkg:pypi",
            "pkg:",
            "",
            "pkg:/a",
        ] {
            assert!(text.parse::<Purl>().is_err(), "{text}");
        }
    }
}
