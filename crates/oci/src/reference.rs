//! References to images: `[host[:port]/]path[:tag][@digest]` (distribution specification; grammar of
//! `distribution/reference`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Where an image lives: registry and path, without tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    /// `host[:port]`; none where only a path was written.
    pub host: Option<String>,
    /// Slash-separated components.
    pub path: String,
}

/// A tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// An image as written; may float.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Where.
    pub repository: Repository,
    /// Which, by name.
    pub tag: Option<Tag>,
    /// Which, by content.
    pub digest: Option<Digest>,
}

/// An image by digest. The tag is memory: it is never looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pinned {
    /// Where.
    pub repository: Repository,
    /// As it was called when it was pinned.
    pub tag: Option<Tag>,
    /// Which.
    pub digest: Digest,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing there.
    #[error("the reference is empty")]
    Empty,
    /// The path breaks the grammar.
    #[error(
        "repository '{0}' is not valid: components are lower-case letters and digits, joined by '.', '_', '__' or '-'"
    )]
    Repository(String),
    /// The tag breaks the grammar.
    #[error("tag '{0}' is not valid: up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'")]
    Tag(String),
    /// The digest breaks the grammar.
    #[error(transparent)]
    Digest(#[from] crate::DigestError),
}

impl Tag {
    /// Checks the grammar.
    pub fn new(text: impl Into<String>) -> Result<Self, ReferenceError> {
        let text = text.into();
        let bytes = text.as_bytes();
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let good = bytes.first().is_some_and(word)
            && bytes.len() <= 128
            && bytes.iter().all(|byte| word(byte) || matches!(byte, b'.' | b'-'));
        if good { Ok(Self(text)) } else { Err(ReferenceError::Tag(text)) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Repository {
    const LONGEST: usize = 255;

    /// The same with what Docker leaves out: a repository without a host is one of `docker.io`, and one without a
    /// slash there is one of `library`.
    pub fn normalised(&self) -> Self {
        let host = match self.host.as_deref() {
            None | Some("index.docker.io") => "docker.io",
            Some(host) => host,
        };
        let library = host == "docker.io" && !self.path.contains('/');
        let path = if library { format!("library/{}", self.path) } else { self.path.clone() };
        Self { host: Some(host.to_owned()), path }
    }

    fn parse(text: &str) -> Result<Self, ReferenceError> {
        let wrong = || ReferenceError::Repository(text.to_owned());
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(first.to_owned()), rest),
            _ => (None, text),
        };
        let host_is_good = host.as_deref().is_none_or(host_is_valid);
        // Docker takes such a name for the identifier of an image.
        let is_identifier = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if host.is_none() && is_identifier(path) {
            return Err(wrong());
        }
        if !host_is_good || path.is_empty() || path.len() > Self::LONGEST || !path.split('/').all(component_is_valid) {
            return Err(wrong());
        }
        Ok(Self { host, path: path.to_owned() })
    }
}

/// The first component names a host when nothing else can look like it.
fn is_host(component: &str) -> bool {
    component == "localhost"
        || component.contains(['.', ':', '['])
        || component.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// `name[:port]`, where the name is a domain, an IPv4 address or an IPv6 address in brackets, without a zone.
fn host_is_valid(host: &str) -> bool {
    let (name_is_valid, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, ""))) => (ipv6_is_valid(address), None),
        Some(Some((address, rest))) => (ipv6_is_valid(address), Some(rest.strip_prefix(':').unwrap_or_default())),
        Some(None) => return false,
        None => match host.split_once(':') {
            Some((name, port)) => (name.split('.').all(label_is_valid), Some(port)),
            None => (host.split('.').all(label_is_valid), None),
        },
    };
    name_is_valid && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn ipv6_is_valid(address: &str) -> bool {
    !address.contains('.') && address.parse::<core::net::Ipv6Addr>().is_ok()
}

fn label_is_valid(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Letters and digits in runs, joined by one '.', one or two '_', or any number of '-'.
fn component_is_valid(component: &str) -> bool {
    let mut separator = String::new();
    let mut seen = false;
    for char in component.chars() {
        if char.is_ascii_lowercase() || char.is_ascii_digit() {
            let joined = matches!(separator.as_str(), "" | "." | "_" | "__") || separator.chars().all(|c| c == '-');
            if !joined || (!seen && !separator.is_empty()) {
                return false;
            }
            separator.clear();
            seen = true;
        } else if matches!(char, '.' | '_' | '-') {
            separator.push(char);
        } else {
            return false;
        }
    }
    seen && separator.is_empty()
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}/{}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() { Err(ReferenceError::Empty) } else { Self::parse(text) }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let last_slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last_slash..].split_once(':') {
            Some((name, tag)) => (&rest[..last_slash + name.len()], Some(Tag::new(tag)?)),
            None => (rest, None),
        };
        Ok(Self { repository: name.parse()?, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, &self.repository, self.tag.as_ref(), self.digest.as_ref())
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parts(f, &self.repository, self.tag.as_ref(), Some(&self.digest))
    }
}

fn write_parts(
    f: &mut fmt::Formatter<'_>,
    repository: &Repository,
    tag: Option<&Tag>,
    digest: Option<&Digest>,
) -> fmt::Result {
    write!(f, "{repository}")?;
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    match digest {
        Some(digest) => write!(f, "@{digest}"),
        None => Ok(()),
    }
}

macro_rules! text_form {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ReferenceError;
            fn try_from(text: String) -> Result<Self, ReferenceError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::new(text)
    }
}

text_form!(Repository, Tag, Reference);
