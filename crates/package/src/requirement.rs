//! What a package needs, as people and metadata write it (PEP 508): `uvicorn[standard]>=0.30; python_version < "3.12"`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::PackageName;
use crate::marker::Marker;
use crate::pep440::Specifiers;
use crate::text::abridged;

/// A requirement. `==` goes by the text of markers; [`Requirement::is_equivalent`] by their meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Of what.
    pub name: PackageName,
    /// With which extras.
    pub extras: BTreeSet<PackageName>,
    /// Which version, or from where.
    pub source: Source,
    /// Under which condition.
    pub marker: Option<Marker>,
}

/// Which version of a requirement, or from where it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Any that fulfils these.
    Versions(Specifiers),
    /// `name @ URL`.
    Url(String),
}

/// Why a text is no requirement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a requirement: {}", abridged(.text), abridged(.reason))]
pub struct RequirementError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Requirement {
    /// Do both ask for the same?
    pub fn is_equivalent(&self, other: &Self) -> bool {
        let markers = match (&self.marker, &other.marker) {
            (None, None) => true,
            (Some(left), Some(right)) => left.is_equivalent(right),
            _ => false,
        };
        markers && self.name == other.name && self.extras == other.extras && self.source == other.source
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        parse(text.trim_ascii()).map_err(|reason| RequirementError { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Requirement, String> {
    let inner = |next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_' | '.');
    let end = text.find(|next: char| !inner(next)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = PackageName::new(name).map_err(|error| error.to_string())?;
    let (extras, rest) = parse_extras(rest.trim_ascii_start())?;
    let rest = rest.trim_ascii_start();
    let (source, marker) = match rest.strip_prefix('@') {
        Some(url) => parse_url(url.trim_ascii())?,
        None => parse_versions(rest)?,
    };
    let marker = marker.map(str::parse).transpose().map_err(|error: crate::marker::MarkerError| error.to_string())?;
    Ok(Requirement { name, extras, source, marker })
}

fn parse_extras(rest: &str) -> Result<(BTreeSet<PackageName>, &str), String> {
    let Some(inside) = rest.strip_prefix('[') else {
        return Ok((BTreeSet::new(), rest));
    };
    let (inside, rest) = inside.split_once(']').ok_or("a ']' is missing")?;
    if inside.trim_ascii().is_empty() {
        return Ok((BTreeSet::new(), rest));
    }
    let extras: Result<_, _> = inside.split(',').map(|extra| PackageName::new(extra.trim_ascii())).collect();
    Ok((extras.map_err(|error| error.to_string())?, rest))
}

/// A URL may hold `;`: the marker begins at one with a blank beside it.
fn parse_url(text: &str) -> Result<(Source, Option<&str>), String> {
    let (url, marker) = match text.find(" ;").into_iter().chain(text.find("; ")).min() {
        Some(at) => (&text[..at], text[at..].split_once(';').map(|(_, marker)| marker)),
        None => (text, None),
    };
    let url = url.trim_ascii();
    if url.is_empty() || url.contains(|next: char| next.is_ascii_whitespace()) {
        return Err("behind '@' there is no URL".into());
    }
    Ok((Source::Url(url.to_owned()), marker))
}

fn parse_versions(text: &str) -> Result<(Source, Option<&str>), String> {
    let (versions, marker) = match text.split_once(';') {
        Some((versions, marker)) => (versions, Some(marker)),
        None => (text, None),
    };
    let versions = versions.trim_ascii();
    let bare =
        versions.strip_prefix('(').map_or(Ok(versions), |inner| inner.strip_suffix(')').ok_or("a ')' is missing"))?;
    let specifiers = bare.parse::<Specifiers>().map_err(|error| error.to_string())?;
    Ok((Source::Versions(specifiers), marker))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.extras.is_empty() {
            let extras: Vec<_> = self.extras.iter().map(PackageName::as_str).collect();
            write!(f, "[{}]", extras.join(","))?;
        }
        match &self.source {
            Source::Versions(versions) => write!(f, "{versions}")?,
            Source::Url(url) => write!(f, " @ {url}")?,
        }
        match &self.marker {
            Some(marker) => write!(f, " ; {marker}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, normal) in [
            ("A", "a"),
            ("A.B-C_D", "a-b-c-d"),
            ("name>=3,<2", "name>=3,<2"),
            ("name [ quux , Strange ] >= 1 ; python_version<'2.7'", "name[quux,strange]>=1 ; python_version < '2.7'"),
            ("name (>=1.0, <2)", "name<2,>=1.0"),
            ("name[]", "name"),
            ("name@http://foo.com", "name @ http://foo.com"),
            (
                "name [fred,bar] @ http://foo.com ; python_version=='2.7'",
                "name[bar,fred] @ http://foo.com ; python_version == '2.7'",
            ),
            ("name @ http://foo.com/a;b; os_name=='x'", "name @ http://foo.com/a;b ; os_name == 'x'"),
            ("torch==2.9.1+cpu", "torch==2.9.1+cpu"),
            (
                "name;(os_name=='a' or os_name=='b') and os_name=='c'",
                "name ; (os_name == 'a' or os_name == 'b') and os_name == 'c'",
            ),
        ] {
            let read: Requirement = text.parse().unwrap();
            // Sorting of conditions is our own affair: compare values.
            assert_eq!(read, normal.parse().unwrap(), "{text}");
            assert_eq!(read.to_string().parse::<Requirement>().unwrap(), read, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_requirement() {
        for text in [
            "",
            "-a",
            "name[",
            "name[a b]",
            "name 1.0",
            "name @",
            "name >= 1; nope",
            "name (>=1",
            "name @ a b",
            "name==x.y",
            "name[-]",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text:?}");
        }
    }
}
