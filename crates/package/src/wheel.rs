//! Names of wheels and the tags in them (binary distribution format, PEP 425, PEP 600).

use std::fmt;

use corten_oci::Architecture;

use crate::PackageName;
use crate::pep440::Version;

/// `{name}-{version}[-{build}]-{python}-{abi}-{platform}.whl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// Normalised.
    pub name: PackageName,
    /// With local part.
    pub version: Version,
    /// Number and rest of the build tag, if there is one; the larger is preferred.
    pub build: Option<(u64, String)>,
    /// As `py2.py3`, each.
    pub pythons: Vec<String>,
    /// As `abi3`, each.
    pub abis: Vec<String>,
    /// As `manylinux_2_17_x86_64.manylinux2014_x86_64`, each.
    pub platforms: Vec<String>,
}

/// Why a text is no wheel's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the name of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl is")]
pub struct WheelNameError(pub String);

impl WheelName {
    /// Reads a file name (not a path, not a URL).
    pub fn parse(_text: &str) -> Result<Self, WheelNameError> {
        todo!()
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// What a platform can install, best first.
#[derive(Debug, Clone)]
pub struct Tags(());

/// How good a wheel fits; the greatest wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    tag: std::cmp::Reverse<usize>,
    build: Option<(u64, String)>,
}

impl Tags {
    /// CPython `python` (3, 11) on Linux with glibc (2, 36).
    pub fn new(_python: (u32, u32), _glibc: (u32, u32), _architecture: Architecture) -> Self {
        todo!()
    }

    /// How good `wheel` fits, `None` if not at all.
    pub fn priority(&self, _wheel: &WheelName) -> Option<Priority> {
        todo!()
    }
}
