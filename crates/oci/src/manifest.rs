//! Descriptors, manifests and indexes (OCI image specification 1.1; Docker's schema 2 is read as the same).
//!
//! A document that came from outside is kept as its bytes and hashed as its bytes: parsing and writing it again would
//! drop unknown fields and change its digest. These types are for looking into such bytes and for writing our own.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// An RFC 6838 media type. Documents that come from outside are checked for its grammar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaType(pub String);

/// A text that is no media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a media type")]
pub struct MediaTypeError(String);

impl TryFrom<String> for MediaType {
    type Error = MediaTypeError;

    /// `type/subtype`, each of up to 127 letters, digits and `!#$&^_.+-`, beginning with a letter or digit (RFC 6838 §4.2).
    fn try_from(text: String) -> Result<Self, MediaTypeError> {
        let name = |name: &str| {
            name.len() <= 127
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
                && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        };
        match text.split_once('/') {
            Some((kind, subtype)) if name(kind) && name(subtype) => Ok(Self(text)),
            _ => Err(MediaTypeError(text)),
        }
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.0
    }
}

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
    /// Docker's layer, uncompressed.
    pub const DOCKER_LAYER: &'static str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker's gzip layer.
    pub const DOCKER_LAYER_GZIP: &'static str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// A zstd layer as BuildKit and containerd name it in Docker's manifests; docker itself has no name for it.
    pub const DOCKER_LAYER_ZSTD: &'static str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

    /// Layers as OCI's manifests and as Docker's name them.
    const LAYERS: [(&'static str, &'static str); 3] = [
        (Self::LAYER, Self::DOCKER_LAYER),
        (Self::LAYER_GZIP, Self::DOCKER_LAYER_GZIP),
        (Self::LAYER_ZSTD, Self::DOCKER_LAYER_ZSTD),
    ];

    /// Is it one of the texts above?
    pub fn is(&self, name: &str) -> bool {
        self.0 == name
    }

    /// A layer of the same bytes as OCI's manifests name it; anything else as it is.
    pub fn of_oci(&self) -> Self {
        Self::LAYERS.iter().find(|(_, docker)| self.is(docker)).map_or_else(|| self.clone(), |(oci, _)| (*oci).into())
    }

    /// A layer of the same bytes as Docker's manifests name it; anything else as it is.
    pub fn of_docker(&self) -> Self {
        Self::LAYERS.iter().find(|(oci, _)| self.is(oci)).map_or_else(|| self.clone(), |(_, docker)| (*docker).into())
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
///
/// Reading refuses sizes above 2^63 - 1, URLs that are none, and an embedded `data` that is not base64 or not of the
/// size that the descriptor says; the data itself is not kept, the blob is read instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Written")]
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

/// A descriptor as it is written, not yet checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    media_type: MediaType,
    digest: Digest,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
    artifact_type: Option<MediaType>,
    data: Option<String>,
}

impl TryFrom<Written> for Descriptor {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { media_type, digest, size, urls, annotations, platform, artifact_type, data } = written;
        if i64::try_from(size).is_err() {
            return Err(format!("a size of {size} bytes is absurd"));
        }
        if let Some(url) = urls.iter().find(|url| !is_url(url)) {
            return Err(format!("'{url}' is not a URL"));
        }
        if data.is_some_and(|data| base64_length(&data) != Some(size)) {
            return Err("its data is not base64, or not of its size".into());
        }
        Ok(Self { media_type, digest, size, urls, annotations, platform, artifact_type })
    }
}

/// `scheme:rest` in the characters of RFC 3986.
fn is_url(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    text.bytes().all(good) && text.split_once(':').is_some_and(|(name, rest)| scheme(name) && !rest.is_empty())
}

/// How many bytes a base64 text (RFC 4648 §4, with padding) stands for; none where it is no such text.
fn base64_length(text: &str) -> Option<u64> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let valid = text.len().is_multiple_of(4) && padding <= 2 && bare.bytes().all(good);
    valid.then(|| (text.len() / 4 * 3 - padding) as u64)
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
        not_both(WHAT, bytes)?;
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
        not_both(WHAT, bytes)?;
        media_type_among(WHAT, index.media_type.as_ref(), &[MediaType::INDEX, MediaType::DOCKER_INDEX])?;
        Ok(index)
    }
}

/// A document that is a manifest to one reader and an index to another is refused (CVE-2021-41190).
fn not_both(what: &'static str, bytes: &[u8]) -> Result<(), DocumentError> {
    let fields: BTreeMap<String, serde::de::IgnoredAny> =
        serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what, source })?;
    let has = |name: &str| fields.contains_key(name);
    match has("manifests") && (has("layers") || has("config") || has("fsLayers")) {
        true => Err(DocumentError::Rule { what, why: "it has the fields of a manifest and of an index".into() }),
        false => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(more: &str) -> String {
        format!(r#"{{"mediaType":"application/x","digest":"{DIGEST}"{more}}}"#)
    }

    fn reads(more: &str) -> bool {
        serde_json::from_str::<Descriptor>(&descriptor(more)).is_ok()
    }

    #[test]
    fn b1_a_document_that_is_manifest_and_index_is_neither() {
        let both = format!(
            r#"{{"schemaVersion":2,"config":{0},"layers":[{0}],"manifests":[{0}]}}"#,
            descriptor(r#","size":0"#)
        );
        assert!(Manifest::parse(both.as_bytes()).is_err());
        assert!(Index::parse(both.as_bytes()).is_err());
        let escaped = both.replace("\"manifests\"", "\"\\u006danifests\"");
        assert!(Manifest::parse(escaped.as_bytes()).is_err());
        let one = both.replace("manifests", "others");
        assert!(Manifest::parse(one.as_bytes()).is_ok());
    }

    #[test]
    fn b2_absurd_sizes_are_refused_before_anything_is_read() {
        assert!(reads(r#","size":0"#));
        assert!(reads(r#","size":9223372036854775807"#));
        for size in ["-1", "9223372036854775808", "18446744073709551616", "1e3", "1.5", "\"1\"", "null"] {
            assert!(!reads(&format!(r#","size":{size}"#)), "{size}");
        }
    }

    #[test]
    fn b2_embedded_data_has_the_size_that_is_said() {
        assert!(reads(r#","size":5,"data":"aGVsbG8=""#));
        for (size, data) in [(4, "aGVsbG8="), (5, "aGVsbG8"), (5, "aGVs*G8="), (5, "aGVsbG8=\\n"), (3, "a===")] {
            assert!(!reads(&format!(r#","size":{size},"data":"{data}""#)), "{data}");
        }
    }

    #[test]
    fn b4_tricks_of_json_are_errors_and_never_panics() {
        let deep = "[".repeat(100_000);
        let good = format!(r#"{{"schemaVersion":2,"config":{0},"layers":[{0}]}}"#, descriptor(r#","size":0"#));
        assert!(Manifest::parse(good.as_bytes()).is_ok());
        let doubled = good.replacen("\"layers\"", "\"layers\":[],\"layers\"", 1);
        let marked = format!("\u{feff}{good}");
        let surrogate = good.replacen("application/x", "\\ud800", 1);
        for bad in [deep.as_str(), "", "null", "NaN", "[]", &doubled, &marked, &surrogate, &format!("{good}{good}")] {
            assert!(Manifest::parse(bad.as_bytes()).is_err());
            assert!(Index::parse(bad.as_bytes()).is_err());
        }
    }

    #[test]
    fn other_versions_and_types_are_refused() {
        let of = |version: u32, kind: &str| {
            format!(r#"{{"schemaVersion":{version},"mediaType":"{kind}","manifests":[]}}"#).into_bytes()
        };
        assert!(Index::parse(&of(2, MediaType::INDEX)).is_ok());
        assert!(Index::parse(&of(1, MediaType::INDEX)).is_err());
        assert!(Index::parse(&of(2, MediaType::MANIFEST)).is_err());
    }
}
