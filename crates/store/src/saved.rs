//! Images in one file, for places without a network: an OCI layout in a tar, with what hangs on them, that docker and
//! podman load, too.
//!
//! | member | what |
//! |---|---|
//! | `oci-layout`, `index.json` | the images by name; the artifacts about them, and the fallback tags that list these |
//! | `manifest.json` | for `docker load`: each image that has one platform |
//! | `blobs/sha256/<hex>` | everything, once |
//!
//! The names are those of the store, whole (`org.opencontainers.image.ref.name`); beside them as containerd writes them
//! (`io.containerd.image.name`), with Docker Hub's host where there is none. The bytes depend on the images and their names
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use corten_oci::{Descriptor, Digest, Document, Reference};

use crate::archive::Archive;
use crate::contents::{Contents, NAME, WHOLE_NAME, is_image_config, subject_of_name, to_json};
use crate::docker_archive::Entry;
use crate::layout::{BLOBS, INDEX, MARKER, MARKER_BYTES, in_order, index_of};
use crate::{Store, StoreError};

/// Writes images with their names and all that hangs on them, as a tar.
///
/// # Errors
/// An image of which the store lacks something; a writer that fails.
pub fn save(store: &Store, images: &[(Digest, Vec<Reference>)], to: &mut dyn Write) -> Result<(), StoreError> {
    let (mut entries, mut docker) = (Vec::new(), Vec::new());
    let (mut blobs, mut small) = (BTreeMap::new(), BTreeMap::new());
    for (digest, names) in images {
        let contents = Contents::of(store, digest, &[])?;
        entries.extend(contents.entries.iter().flat_map(|root| named(root, names)));
        entries.extend(contents.referrers.values().flatten().cloned());
        for (fallback, bytes) in contents.fallbacks()? {
            small.insert(fallback.digest, bytes);
            entries.push(fallback);
        }
        docker.extend(for_docker(store, &contents, names)?);
        blobs.extend(contents.blobs.into_iter().map(|blob| (blob.digest, blob)));
    }
    let Some((about, _)) = images.first() else { return Ok(()) };
    let index = to_json(&index_of(in_order(entries)), about)?;
    let docker = to_json(&docker, about)?;
    let mut write = || -> io::Result<()> {
        let mut archive = Archive::new(to);
        archive.bytes(MARKER, MARKER_BYTES)?;
        archive.bytes(INDEX, &index)?;
        if docker != b"[]" {
            archive.bytes("manifest.json", &docker)?;
        }
        archive.folder("blobs/")?;
        archive.folder("blobs/sha256/")?;
        let all: BTreeSet<Digest> = blobs.keys().chain(small.keys()).copied().collect();
        for digest in all {
            let name = path(&digest);
            match (small.get(&digest), blobs.get(&digest)) {
                (Some(bytes), _) => archive.bytes(&name, bytes)?,
                (None, Some(blob)) => {
                    let mut content = store.read(&digest).map_err(StoreError::into_io)?;
                    archive.file(&name, blob.size, &mut content)?;
                }
                (None, None) => {}
            }
        }
        archive.finish()
    };
    write().map_err(|error| StoreError::from_io("writing", Path::new("the archive"), error))
}

fn path(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// An entry for each name; one without a name where there is none.
fn named(root: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let one = |name: &Reference| {
        let mut entry = root.clone();
        entry.annotations.insert(NAME.into(), tagged(name));
        let whole = Reference { repository: name.repository.normalised(), ..name.clone() };
        entry.annotations.insert(WHOLE_NAME.into(), tagged(&whole));
        entry
    };
    match names {
        [] => vec![root.clone()],
        names => names.iter().map(one).collect(),
    }
}

/// Name and tag; without one, `latest`.
fn tagged(name: &Reference) -> String {
    let tag = name.tag.as_ref().map_or("latest", corten_oci::Tag::as_str);
    format!("{}:{tag}", name.repository)
}

/// What `docker load` reads, which knows one platform.
fn for_docker(store: &Store, contents: &Contents, names: &[Reference]) -> Result<Option<Entry>, StoreError> {
    let mut found = Vec::new();
    let artifacts: BTreeSet<Digest> = contents.referrers.values().flatten().map(|artifact| artifact.digest).collect();
    for blob in contents.blobs.iter().filter(|blob| Document::is_document(&blob.media_type)) {
        if let Ok(Document::Manifest(manifest)) = Document::parse(blob, &store.bytes(&blob.digest)?)
            && is_image_config(&manifest.config.media_type)
            && !artifacts.contains(&blob.digest)
            && manifest.artifact_type.is_none()
        {
            found.push(manifest);
        }
    }
    let [manifest] = found.as_slice() else { return Ok(None) };
    let mut repo_tags: Vec<String> = names.iter().map(tagged).filter(|name| subject_of_name(name).is_none()).collect();
    repo_tags.sort();
    repo_tags.dedup();
    let layers = manifest.layers.iter().map(|layer| path(&layer.digest)).collect();
    Ok(Some(Entry { config: path(&manifest.config.digest), repo_tags, layers }))
}
