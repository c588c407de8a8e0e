//! Artifacts about an image: manifests with a `subject` (OCI image specification 1.1, "Guidelines for Artifact Usage").

use std::collections::BTreeMap;

use corten_oci::{Descriptor, Manifest, MediaType};

/// The config of an artifact that has none.
pub(crate) const EMPTY: &[u8] = b"{}";
/// Names the file that a registry client writes.
const TITLE: &str = "org.opencontainers.image.title";

/// An artifact, ready to be stored: three blobs, and what to remember of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Of the manifest, with its artifact type.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its config: `{}`.
    pub config: Vec<u8>,
    /// Its one layer: the content.
    pub layer: Vec<u8>,
}

/// Hangs `bytes` on `subject` as an artifact of `artifact_type`, which is also the content's media type. `title` is a
/// file name for those who download it. No time goes in: the same content gives the same digest.
pub fn referrer(
    subject: &Descriptor,
    artifact_type: &str,
    title: &str,
    bytes: Vec<u8>,
) -> Result<Referrer, serde_json::Error> {
    let mut layer = Descriptor::of(artifact_type, &bytes);
    layer.annotations.insert(TITLE.into(), title.into());
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: Some(artifact_type.into()),
        config: Descriptor::of(MediaType::EMPTY, EMPTY),
        layers: vec![layer],
        subject: Some(Descriptor::new(&subject.media_type.0, subject.digest, subject.size)),
        annotations: BTreeMap::new(),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    let mut descriptor = Descriptor::of(MediaType::MANIFEST, &manifest);
    descriptor.artifact_type = Some(artifact_type.into());
    Ok(Referrer { descriptor, manifest, config: EMPTY.to_vec(), layer: bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_names_its_subject_and_its_content() {
        let mut subject = Descriptor::of(MediaType::MANIFEST, b"image");
        subject.annotations.insert("org.opencontainers.image.ref.name".into(), "1.0".into());
        let made = referrer(&subject, "application/spdx+json", "sbom.spdx.json", b"bom".to_vec()).unwrap();
        let manifest = Manifest::parse(&made.manifest).unwrap();
        assert_eq!(made.descriptor, {
            let mut descriptor = Descriptor::of(MediaType::MANIFEST, &made.manifest);
            descriptor.artifact_type = Some("application/spdx+json".into());
            descriptor
        });
        let bare = Descriptor::of(MediaType::MANIFEST, b"image");
        assert_eq!(manifest.subject, Some(bare), "names in one layout are no part of the subject");
        assert_eq!(manifest.config, Descriptor::of(MediaType::EMPTY, &made.config));
        // The digest of `{}` that the image specification prints.
        assert_eq!(
            manifest.config.digest.to_string(),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
        assert_eq!((manifest.layers[0].digest, manifest.layers[0].size), (corten_oci::Digest::of("bom"), 3));
        assert_eq!(referrer(&subject, "application/spdx+json", "sbom.spdx.json", b"bom".to_vec()).unwrap(), made);
    }
}
