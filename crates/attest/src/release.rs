//! The record of a release: what was shipped, made of what. It decides nothing; it lets a person find the way back.
//!
//! The stored document has no clock time, so that shipping the same twice writes nothing twice. With
//! `--release-file`, times are added to a copy.

use std::collections::BTreeMap;

use corten_oci::{DiffId, Digest};
use serde::{Deserialize, Serialize};

/// Media and artifact type of the document.
pub const RELEASE_TYPE: &str = "application/vnd.corten.release.v1+json";

/// A release. Unknown fields of later versions are skipped when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Always 1; another number means that fields have changed their meaning.
    pub version: u32,
    /// The image's name, without tag.
    pub name: String,
    /// Of the manifest: what to deploy.
    pub digest: Digest,
    /// The manifests of an index, by platform; empty where `digest` is the only one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<String, Digest>,
    /// Every tag, sorted.
    pub tags: Vec<String>,
    /// Full hash of the commit; none without git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Did a file that enters the image differ from the commit?
    pub dirty: bool,
    /// The locks that decided it, by file name: `corten.lock`, `uv.lock`.
    pub locks: BTreeMap<String, Digest>,
    /// What it stands on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<ReleaseBase>,
    /// Weights by path in the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<ReleaseWeights>,
    /// How large it is.
    pub sizes: Sizes,
    /// Lowest first.
    pub layers: Vec<ReleaseLayer>,
    /// Of the manifest of its bill of materials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Digest>,
    /// `corten 0.1.0`.
    pub tool: String,
}

/// What a release stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseBase {
    /// As written in the settings: `debian:bookworm`.
    pub reference: String,
    /// `distroless`, `slim`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// For an archive: the newest date of its Release files, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// For a base that is an image: its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// One file of weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseWeights {
    /// In the image.
    pub path: String,
    /// Of its content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// How large an image is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Of all layer blobs: what travels.
    pub compressed: u64,
    /// Of all layers' tars.
    pub uncompressed: u64,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseLayer {
    /// What is in it, for people.
    pub what: String,
    /// Of the blob.
    pub digest: Digest,
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
}

/// When a release was made: for a file that a person keeps, never for the stored document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// RFC 3339, UTC.
    pub released: String,
    /// How long it took.
    pub seconds: f64,
}

impl Release {
    /// The stored document: JSON, indented by two blanks, with a line end.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        lines(self)
    }

    /// The same with times.
    pub fn to_bytes_with(&self, times: &Times) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Timed<'a> {
            #[serde(flatten)]
            release: &'a Release,
            #[serde(flatten)]
            times: &'a Times,
        }
        lines(&Timed { release: self, times })
    }

    /// Reads a document.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let release: Self = serde_json::from_slice(bytes)?;
        match release.version {
            1 => Ok(release),
            other => Err(serde::de::Error::custom(format!("version {other} of a release is unknown"))),
        }
    }
}

fn lines(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release {
            version: 1,
            name: "text-classifier".into(),
            digest: Digest::of("image"),
            platforms: BTreeMap::new(),
            tags: vec!["1.3.0".into(), "sha-0123456".into()],
            commit: Some("0123456789012345678901234567890123456789".into()),
            dirty: false,
            locks: BTreeMap::from([("uv.lock".into(), Digest::of("lock"))]),
            base: Some(ReleaseBase {
                reference: "debian:bookworm".into(),
                variant: Some("distroless".into()),
                epoch: Some(1_763_596_800),
                digest: None,
            }),
            weights: vec![ReleaseWeights { path: "app/model.onnx".into(), digest: Digest::of("w"), size: 1 }],
            sizes: Sizes { compressed: 10, uncompressed: 30 },
            layers: vec![ReleaseLayer {
                what: "numpy 2.4.6".into(),
                digest: Digest::of("blob"),
                diff_id: DiffId(Digest::of("tar")),
                size: 10,
                tar_size: 30,
            }],
            sbom: None,
            tool: "corten 0.1.0".into(),
        }
    }

    #[test]
    fn a_release_is_read_again_with_and_without_times() {
        let release = release();
        let times = Times { released: "2026-11-21T10:00:00Z".into(), seconds: 1.5 };
        let (bytes, timed) = (release.to_bytes().unwrap(), release.to_bytes_with(&times).unwrap());
        assert_eq!(Release::parse(&bytes).unwrap(), release);
        assert_eq!(Release::parse(&timed).unwrap(), release);
        let value: serde_json::Value = serde_json::from_slice(&timed).unwrap();
        assert_eq!(value["released"], "2026-11-21T10:00:00Z");
        assert!(!String::from_utf8(bytes).unwrap().contains("released"));
    }

    #[test]
    fn another_version_is_refused() {
        let later = Release { version: 2, ..release() };
        assert!(Release::parse(&later.to_bytes().unwrap()).is_err());
    }
}
