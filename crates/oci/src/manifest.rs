//! Descriptors, manifests and indexes (OCI image specification 1.1; Docker's schema 2 is read as the same).
//!
//! A document that came from outside is kept as its bytes and hashed as its bytes: parsing and writing it again would
//! drop unknown fields and change its digest. These types are for looking into such bytes and for writing our own.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// An RFC 6838 media type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(pub String);

impl MediaType {
    /// An image manifest.
    pub const MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// An image config.
    pub const CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// A layer, uncompressed.
    pub const LAYER: &'static str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer, gzip.
    pub const LAYER_GZIP: &'static str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, zstd.
    pub const LAYER_ZSTD: &'static str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The config of an artifact that has none.
    pub const EMPTY: &'static str = "application/vnd.oci.empty.v1+json";
    /// Docker's manifest.
    pub const DOCKER_MANIFEST: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_INDEX: &'static str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image config.
    pub const DOCKER_CONFIG: &'static str = "application/vnd.docker.container.image.v1+json";
    /// Docker's gzip layer.
    pub const DOCKER_LAYER_GZIP: &'static str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// Is it one of the texts above?
    pub fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a blob is, how large, and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Bytes of the content.
    pub size: u64,
    /// Where else the content can be had; never followed by Corten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What a manifest in an index was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
}

impl Descriptor {
    /// Describes content that is in hand.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Describes content by what is known of it.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }
}

/// An image manifest, or an artifact's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`MediaType::MANIFEST`] or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about (a referrer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image index: manifests for several platforms, or the contents of an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`MediaType::INDEX`] or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No JSON, or fields of other types.
    #[error("{what} is not valid: {source}")]
    Json {
        /// Which document.
        what: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Valid JSON that says something the specification forbids.
    #[error("{what} is not valid: {why}")]
    Rule {
        /// Which document.
        what: &'static str,
        /// Which rule.
        why: String,
    },
}

impl Manifest {
    /// Reads a manifest and checks its version and media types.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        const WHAT: &str = "image manifest";
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what: WHAT, source })?;
        version_two(WHAT, manifest.schema_version)?;
        media_type_among(WHAT, manifest.media_type.as_ref(), &[MediaType::MANIFEST, MediaType::DOCKER_MANIFEST])?;
        Ok(manifest)
    }
}

impl Index {
    /// Reads an index and checks its version and media types.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        const WHAT: &str = "image index";
        let index: Self = serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what: WHAT, source })?;
        version_two(WHAT, index.schema_version)?;
        media_type_among(WHAT, index.media_type.as_ref(), &[MediaType::INDEX, MediaType::DOCKER_INDEX])?;
        Ok(index)
    }
}

fn version_two(what: &'static str, version: u32) -> Result<(), DocumentError> {
    match version {
        2 => Ok(()),
        other => Err(DocumentError::Rule { what, why: format!("schemaVersion is {other}, not 2") }),
    }
}

fn media_type_among(what: &'static str, found: Option<&MediaType>, allowed: &[&str]) -> Result<(), DocumentError> {
    match found {
        Some(found) if !allowed.contains(&found.0.as_str()) => {
            Err(DocumentError::Rule { what, why: format!("its mediaType is {found}") })
        }
        _ => Ok(()),
    }
}
