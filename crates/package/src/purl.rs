//! Package URLs (ECMA-427): `pkg:type/namespace/name@version?qualifiers#subpath`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use corten_oci::Architecture;

use crate::PackageName;

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
#[error("'{text}' is not a package URL: {reason}")]
pub struct PurlError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Purl {
    /// `pkg:pypi/name@version`.
    pub fn pypi(_name: &PackageName, _version: &str) -> Self {
        todo!()
    }

    /// `pkg:deb/debian/name@version?arch=amd64&distro=bookworm`; `architecture` `None` is `all`.
    pub fn deb(_name: &str, _version: &str, _architecture: Option<Architecture>, _distribution: &str) -> Self {
        todo!()
    }

    /// The same with one qualifier more, or without it when the value is empty.
    #[must_use]
    pub fn with(self, _key: &str, _value: &str) -> Self {
        todo!()
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

impl FromStr for Purl {
    type Err = PurlError;

    fn from_str(_text: &str) -> Result<Self, PurlError> {
        todo!()
    }
}

impl fmt::Display for Purl {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
