//! What a program was built for: operating system, architecture, variant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A platform as image documents spell it (`linux/amd64`, `linux/arm/v7`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name of the operating system.
    pub os: String,
    /// Go's name of the architecture.
    pub architecture: String,
    /// For instance `v7` of `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on `architecture`.
    pub fn linux(architecture: Architecture) -> Self {
        Self { os: "linux".into(), architecture: architecture.go_name().into(), variant: None }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// Why a text is no platform, or none that Corten builds for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a platform that can be built: linux/amd64 and linux/arm64 can")]
pub struct PlatformError(pub String);

/// The processor architectures that Corten builds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64.
    #[default]
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// Go's, Docker's and Debian's name: `amd64`, `arm64`.
    pub fn go_name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The kernel's name, as `uname -m`, wheel tags and `platform_machine` have it: `x86_64`, `aarch64`.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Debian's multi-arch triplet, the name of its library folder.
    pub fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.go_name())
    }
}

impl FromStr for Architecture {
    type Err = PlatformError;

    /// Reads `linux/amd64`, `amd64`, `x86_64` and the same for Arm.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        match text.strip_prefix("linux/").unwrap_or(text) {
            "amd64" | "x86_64" => Ok(Self::Amd64),
            "arm64" | "aarch64" | "arm64/v8" => Ok(Self::Arm64),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}
