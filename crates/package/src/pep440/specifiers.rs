//! Conditions on versions: `>=1.2,<2`.

use std::fmt;
use std::str::FromStr;

use super::{Version, VersionError};

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// `~=`
    Compatible,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `===`
    Same,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specifier {
    operator: Operator,
    version: Version,
    wildcard: bool,
}

/// Conditions that must all hold; none is always true. Sorted, so that order does not matter for equality.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Specifiers(Vec<Specifier>);

/// Why a text is no list of conditions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecifiersError {
    /// No operator in front.
    #[error("'{0}' does not begin with a comparison such as '>=' or '=='")]
    Operator(String),
    /// What follows is no version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl Specifiers {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Specifier> {
        self.0.iter()
    }

    /// No condition at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does `version` fulfil all? Pre-releases are let in only where a condition names one, as PEP 440 asks of
    /// resolvers; [`Specifiers::contains_prerelease`] lets them in always.
    pub fn contains(&self, _version: &Version) -> bool {
        todo!()
    }

    /// Does `version` fulfil all, pre-release or not?
    pub fn contains_prerelease(&self, _version: &Version) -> bool {
        todo!()
    }

    /// The one version that `==` (without `.*`) or `===` names, if there is just that condition.
    pub fn pinned(&self) -> Option<&Version> {
        todo!()
    }
}

impl FromStr for Specifiers {
    type Err = SpecifiersError;

    fn from_str(_text: &str) -> Result<Self, SpecifiersError> {
        todo!()
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
