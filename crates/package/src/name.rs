//! Names of Python packages (and of extras and dependency groups, which follow the same rule).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::abridged;

/// A name in its normal form (PEP 503): lower case, every run of `-`, `_`, `.` one `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Box<str>);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a package name: letters, digits, '.', '-' and '_', with a letter or digit at both ends", abridged(.0))]
pub struct NameError(pub String);

impl PackageName {
    /// Normalises `text`.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric)) || !bytes.iter().all(inner) {
            return Err(NameError(text.to_owned()));
        }
        let mut name = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '-' | '_' | '.' if name.ends_with('-') => {}
                '-' | '_' | '.' => name.push('-'),
                other => name.push(other.to_ascii_lowercase()),
            }
        }
        Ok(Self(name.into_boxed_str()))
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normal form with `_` for `-`, as wheel names and `.dist-info` folders have it.
    pub fn underscored(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for PackageName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for PackageName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl Serialize for PackageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_pep_503() {
        for text in ["friendly-bard", "Friendly-Bard", "FRIENDLY-BARD", "friendly.bard", "friendly_bard"] {
            assert_eq!(PackageName::new(text).unwrap().as_str(), "friendly-bard");
        }
        assert_eq!(PackageName::new("FrIeNdLy-._.-bArD").unwrap().as_str(), "friendly-bard");
        assert_eq!(PackageName::new("a_b").unwrap().underscored(), "a_b");
    }

    #[test]
    fn refuses_what_is_no_name() {
        for text in ["", "-a", "a-", ".", "a b", "é", "a/b", "../a", "a\0"] {
            assert!(PackageName::new(text).is_err(), "{text:?}");
        }
    }
}
