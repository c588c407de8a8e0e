//! Docker's archive (`docker save`, `docker load`): `manifest.json`, config, layers.
//!
//! gzip layers stay as they are; what is a plain tar, or zstd (which Docker before 23 does not read), is put into gzip,
//! uncompressed. The config travels as it is, so
//! what only Docker knows (the health check) arrives.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use corten_oci::{Descriptor, Digest, ImageConfig, Manifest, MediaType, Reference, Unsuitable};
use serde::Serialize;

use corten_layer::gzip;
use corten_layer::stored_gzip::{StoredGzip, size_of};

use crate::archive::Archive;
use crate::contents::to_json;
use crate::{Store, StoreError};

/// One image of `manifest.json` (moby `image/tarexport`).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    pub config: String,
    pub repo_tags: Vec<String>,
    pub layers: Vec<String>,
}

/// Writes an image as a tar that `docker load` and `podman load` read, deterministic. Layers stay compressed.
pub fn export(
    store: &Store,
    manifest: &Digest,
    references: &[Reference],
    to: &mut dyn Write,
) -> Result<(), StoreError> {
    let image = read(store, manifest)?;
    let entry = Entry {
        config: format!("{}.json", image.config.digest.hex()),
        repo_tags: tags(references),
        layers: image.layers.iter().map(layer_name).collect(),
    };
    let document = to_json(&[entry], manifest)?;
    let mut write = || -> io::Result<()> {
        let mut archive = Archive::new(to);
        let mut add = |name: &str, blob: &Descriptor| {
            let open = || store.read(&blob.digest).map_err(StoreError::into_io);
            match Wrap::of(blob) {
                Wrap::No => archive.file(name, blob.size, &mut open()?),
                Wrap::Plain => archive.file(name, size_of(blob.size), &mut StoredGzip::new(open()?, blob.size)),
                Wrap::Zstd => {
                    // Twice, because an archive says a file's size before its bytes.
                    let size = io::copy(&mut gzip::reader(&blob.media_type, open()?)?, &mut io::sink())?;
                    let tar = gzip::reader(&blob.media_type, open()?)?;
                    archive.file(name, size_of(size), &mut StoredGzip::new(tar, size))
                }
            }
        };
        add(&format!("{}.json", image.config.digest.hex()), &image.config)?;
        let mut written = BTreeSet::new();
        for layer in image.layers.iter().filter(|layer| written.insert(layer.digest)) {
            add(&layer_name(layer), layer)?;
        }
        archive.bytes("manifest.json", &document)?;
        archive.finish()
    };
    write().map_err(|error| StoreError::from_io("writing", Path::new("the docker archive"), error))
}

fn read(store: &Store, digest: &Digest) -> Result<Manifest, StoreError> {
    let refuse = |why: String| StoreError::Unsuitable(Unsuitable { digest: *digest, why });
    let manifest = Manifest::parse(&store.bytes(digest)?).map_err(|error| refuse(error.to_string()))?;
    let config =
        ImageConfig::parse(&store.bytes(&manifest.config.digest)?).map_err(|error| refuse(error.to_string()))?;
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    match layers == diff_ids {
        true => Ok(manifest),
        false => Err(refuse(format!("its manifest has {layers} layers, its config {diff_ids}"))),
    }
}

/// What is put into gzip: crane believes all layers of an archive to be compressed as the first one is.
enum Wrap {
    No,
    Plain,
    Zstd,
}

impl Wrap {
    fn of(blob: &Descriptor) -> Self {
        match blob.media_type.0.as_str() {
            MediaType::LAYER | MediaType::DOCKER_LAYER => Self::Plain,
            MediaType::LAYER_ZSTD | MediaType::DOCKER_LAYER_ZSTD => Self::Zstd,
            _ => Self::No,
        }
    }
}

fn layer_name(layer: &Descriptor) -> String {
    format!("{}.tar.gz", layer.digest.hex())
}

/// Docker takes names with tags alone.
fn tags(references: &[Reference]) -> Vec<String> {
    let tag = |reference: &Reference| {
        let tag = reference.tag.as_ref()?;
        Some(format!("{}:{tag}", reference.repository))
    };
    let tags: BTreeSet<String> = references.iter().filter_map(tag).collect();
    tags.into_iter().collect()
}
