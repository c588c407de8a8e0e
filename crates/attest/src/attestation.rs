//! Attestations beside an image in its index, as BuildKit keeps them (moby/buildkit, docs/attestations/attestation-storage.md) and
//! `docker buildx imagetools`, Docker Scout and others read them.
//!
//! ```text
//! index ─┬─► image manifest, linux/amd64
//!        └─► attestation manifest, unknown/unknown ─► in-toto statements about the image manifest
//! ```
//!
//! They are not signed. What `ship` writes hangs on its image as referrers ([`referrer`](crate::referrer)) in place of that.

use std::collections::BTreeMap;

use corten_oci::{Descriptor, Digest, Index, Manifest, MediaType, Platform};
use serde_json::{Value, json};

use crate::referrer::EMPTY;

/// What an attestation is (`artifactType`).
pub const ATTESTATION_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// Media type of a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// The annotation of a layer that says what its statement tells.
pub const PREDICATE: &str = "in-toto.io/predicate-type";
/// The annotation of a descriptor that says what the manifest is.
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Its value.
pub const ATTESTATION_MANIFEST: &str = "attestation-manifest";
/// The annotation of a descriptor that says which image the manifest is about.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// What a statement tells that is an SPDX document.
pub const SPDX_PREDICATE: &str = "https://spdx.dev/Document";
/// What a statement tells that is provenance (SLSA 1.0).
pub const PROVENANCE_PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// What is said about an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it tells.
    pub predicate_type: &'static str,
    /// What is told.
    pub predicate: Value,
}

/// An image and who it is told about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its manifest.
    pub manifest: Descriptor,
    /// For what it was built.
    pub platform: Platform,
    /// Package URLs of its names; there may be none.
    pub names: Vec<String>,
}

/// An index with its attestations, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Statements, the attestation manifest, its config.
    pub blobs: Vec<Vec<u8>>,
    /// The index.
    pub index: Vec<u8>,
}

/// Writes the statements and an index of image and attestations. `annotations` are the index's own; those of the image's
/// descriptor come with it.
///
/// # Errors
/// Never for what can be written as JSON.
pub fn attest(
    subject: &Subject,
    statements: &[Statement],
    annotations: BTreeMap<String, String>,
) -> Result<Attested, serde_json::Error> {
    let mut blobs = vec![EMPTY.to_vec()];
    let mut layers = Vec::new();
    for statement in statements {
        let bytes = serde_json::to_vec(&whole(subject, statement))?;
        let mut layer = Descriptor::of(STATEMENT_TYPE, &bytes);
        layer.annotations.insert(PREDICATE.into(), statement.predicate_type.into());
        layers.push(layer);
        blobs.push(bytes);
    }
    let bare = &subject.manifest;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: Some(ATTESTATION_TYPE.into()),
        config: Descriptor::of(MediaType::EMPTY, EMPTY),
        layers,
        subject: Some(Descriptor::new(&bare.media_type.0, bare.digest, bare.size)),
        annotations: BTreeMap::new(),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    let mut descriptor = Descriptor::of(MediaType::MANIFEST, &manifest);
    descriptor.platform =
        Some(Platform { os: "unknown".to_owned(), architecture: "unknown".to_owned(), variant: None });
    descriptor.annotations.insert(REFERENCE_TYPE.into(), ATTESTATION_MANIFEST.into());
    descriptor.annotations.insert(REFERENCE_DIGEST.into(), bare.digest.to_string());
    blobs.push(manifest);
    let image = Descriptor { platform: Some(subject.platform.clone()), ..subject.manifest.clone() };
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: None,
        manifests: vec![image, descriptor],
        subject: None,
        annotations,
    };
    Ok(Attested { blobs, index: serde_json::to_vec(&index)? })
}

/// A statement about plain files, their paths and digests.
///
/// # Errors
/// Never for what can be written as JSON.
pub fn about_files(statement: &Statement, files: &[(String, Digest)]) -> Result<Vec<u8>, serde_json::Error> {
    let of = |(path, digest): &(String, Digest)| json!({"name": path, "digest": {"sha256": digest.hex()}});
    serde_json::to_vec_pretty(&in_toto(statement, files.iter().map(of).collect()))
}

fn whole(subject: &Subject, statement: &Statement) -> Value {
    let digest = subject.manifest.digest.hex();
    let of = |name: &str| json!({"name": name, "digest": {"sha256": digest}});
    // As BuildKit has it for an image without a name.
    let subjects: Vec<Value> = match subject.names.as_slice() {
        [] => vec![of("_")],
        names => names.iter().map(|name| of(name)).collect(),
    };
    in_toto(statement, subjects)
}

/// An in-toto statement (in-toto attestation framework, v1).
fn in_toto(statement: &Statement, subjects: Vec<Value>) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": statement.predicate_type,
        "subject": subjects,
        "predicate": statement.predicate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_the_image_first_and_what_is_said_about_it_second() {
        let subject = Subject {
            manifest: Descriptor::of(MediaType::MANIFEST, b"image"),
            platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
            names: vec!["pkg:docker/demo@1".into()],
        };
        let statements = [Statement { predicate_type: SPDX_PREDICATE, predicate: json!({"spdxVersion": "SPDX-2.3"}) }];
        let made = attest(&subject, &statements, BTreeMap::new()).unwrap();
        let index = Index::parse(&made.index).unwrap();
        let [image, about] = index.manifests.as_slice() else { panic!("{index:?}") };
        assert_eq!((image.digest, image.platform.as_ref().unwrap()), (subject.manifest.digest, &subject.platform));
        assert_eq!(about.annotations[REFERENCE_DIGEST], subject.manifest.digest.to_string());
        let manifest = Manifest::parse(made.blobs.last().unwrap()).unwrap();
        assert_eq!(about.digest, corten_oci::Digest::of(made.blobs.last().unwrap()));
        assert_eq!(manifest.subject.unwrap().digest, subject.manifest.digest);
        let digests: Vec<_> = made.blobs.iter().map(corten_oci::Digest::of).collect();
        assert!(digests.contains(&manifest.layers[0].digest) && digests.contains(&manifest.config.digest));
        let statement: Value = serde_json::from_slice(&made.blobs[1]).unwrap();
        assert_eq!(statement["subject"][0]["name"], "pkg:docker/demo@1");
        assert_eq!(statement["subject"][0]["digest"]["sha256"], subject.manifest.digest.hex());
        assert_eq!(statement["predicate"]["spdxVersion"], "SPDX-2.3");
    }
}
