//! What a package needs, as people and metadata write it (PEP 508): `uvicorn[standard]>=0.30; python_version < "3.12"`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::PackageName;
use crate::marker::Marker;
use crate::pep440::Specifiers;

/// A requirement. Equality is that of the meaning: order and spelling do not count.
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
#[error("'{text}' is not a requirement: {reason}")]
pub struct RequirementError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(_text: &str) -> Result<Self, RequirementError> {
        todo!()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
