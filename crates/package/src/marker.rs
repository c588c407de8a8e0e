//! Conditions on the environment (PEP 508, PEP 751): `sys_platform == "linux" and python_version < "3.12"`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use corten_oci::Architecture;

use crate::PackageName;

/// A condition, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(());

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an environment marker: {reason}")]
pub struct MarkerError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What markers ask about a platform: CPython on Linux with the GNU C library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `3.11.2`.
    pub python_full_version: String,
    /// Processor.
    pub architecture: Architecture,
}

/// What was asked for: extras (uv's `extra-5-torch-cpu` and `group-5-torch-dev` forms among them) and groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// What `extra == "x"` and `"x" in extras` are about.
    pub extras: BTreeSet<PackageName>,
    /// What `"x" in dependency_groups` is about.
    pub groups: BTreeSet<PackageName>,
}

impl Environment {
    /// `full_version` as `3.11.2`.
    pub fn new(full_version: impl Into<String>, architecture: Architecture) -> Self {
        Self { python_full_version: full_version.into(), architecture }
    }

    /// `3.11`.
    pub fn python_version(&self) -> String {
        self.python_full_version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
    }
}

impl Marker {
    /// Does it hold? `asked` is `Default` where no extras or groups are in play.
    pub fn evaluate(&self, _environment: &Environment, _asked: &Asked) -> bool {
        todo!()
    }
}

impl FromStr for Marker {
    type Err = MarkerError;

    fn from_str(_text: &str) -> Result<Self, MarkerError> {
        todo!()
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
