//! Images that were built here: first a config and layers in whatever form, then, when somebody wants it, a manifest.
//!
//! A local image is known by its config's digest, which is what docker calls the image id. Its layers are those that the
//! config names; of each the store knows where its bytes are ([`Store::has_layer`]). With a manifest it is an image like
//! any other, complete, its layers packed.

use std::collections::BTreeMap;

use corten_oci::{
    Descriptor, DiffId, Digest, Image, ImageConfig, Index, LARGEST_DOCUMENT, Layer, Manifest, MediaType, Unsuitable,
};

use super::{FORMAT, Packing, TreeLayer};
use crate::{Store, StoreError};

/// What a blob is remembered by that came with a base.
const GIVEN: &str = "given";

/// How a local image becomes one with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestOptions {
    /// Of layers that were made here.
    pub packing: Packing,
    /// Also of layers that came with a base (`force-compression`).
    pub repack: bool,
    /// With Docker's media types.
    pub docker: bool,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl Default for ManifestOptions {
    fn default() -> Self {
        Self { packing: Packing::Gzip, repack: false, docker: false, annotations: BTreeMap::new() }
    }
}

impl Store {
    /// Keeps the config of an image that was built here, and which blobs its base's layers have: the image id. It has no
    /// name yet.
    ///
    /// # Errors
    /// A disk that says no.
    pub fn keep_local(&self, config: &[u8], layers: &[TreeLayer]) -> Result<Digest, StoreError> {
        for TreeLayer { diff_id, blob } in layers {
            let Some(blob) = blob else { continue };
            let known = self.packed(diff_id)?;
            if !known.iter().any(|one| one.digest == blob.digest) {
                let mut blob = Descriptor::new(blob.media_type.0.as_str(), blob.digest, blob.size);
                blob.annotations.insert(FORMAT.into(), GIVEN.into());
                self.remember_packed(diff_id, &blob)?;
            }
        }
        let batch = self.batch();
        let id = batch.put(config)?;
        batch.finish()?;
        Ok(id)
    }

    /// The config of an image that was built here and has no manifest, if it is that.
    ///
    /// # Errors
    /// A damaged or missing blob.
    pub fn local_config(&self, id: &Digest) -> Result<Option<ImageConfig>, StoreError> {
        if self.size(id)?.is_some_and(|size| size > LARGEST_DOCUMENT) {
            return Ok(None);
        }
        let bytes = self.bytes(id)?;
        let is_manifest = Manifest::parse(&bytes).is_ok() || Index::parse(&bytes).is_ok();
        Ok(ImageConfig::parse(&bytes).ok().filter(|_| !is_manifest))
    }

    /// The layers of a local image, with the blobs that they have.
    ///
    /// # Errors
    /// A disk that says no.
    pub fn local_layers(&self, config: &ImageConfig) -> Result<Vec<TreeLayer>, StoreError> {
        let layer = |diff_id: &DiffId| {
            let mut blob = self.packed(diff_id)?.into_iter().next();
            blob.iter_mut().for_each(|blob| blob.annotations.clear());
            Ok(TreeLayer { diff_id: *diff_id, blob })
        };
        config.rootfs.diff_ids.iter().map(layer).collect()
    }

    /// The manifest that a local image would have if its layers were not compressed: to be looked at, never written.
    /// Sizes are those of the files: of a tar that was not packed yet nobody knows more.
    ///
    /// # Errors
    /// A layer that nobody knows any more.
    pub fn plain_manifest(&self, id: &Digest, config: &ImageConfig) -> Result<Manifest, StoreError> {
        let layer = |diff_id: &DiffId| {
            let index = self.layer_index(diff_id)?.ok_or(StoreError::Missing(diff_id.0.to_string()))?;
            Ok(Descriptor::new(MediaType::LAYER, diff_id.0, index.content_size()))
        };
        let size = self.size(id)?.ok_or(StoreError::Missing(id.to_string()))?;
        Ok(Manifest {
            schema_version: 2,
            media_type: Some(MediaType::MANIFEST.into()),
            artifact_type: None,
            config: Descriptor::new(MediaType::CONFIG, *id, size),
            layers: config.rootfs.diff_ids.iter().map(layer).collect::<Result<_, StoreError>>()?,
            subject: None,
            annotations: BTreeMap::new(),
        })
    }

    /// The manifest of an image of the store: of one that was built here and has none, one is made.
    ///
    /// # Errors
    /// As [`Store::manifest_of`].
    pub fn with_manifest(&self, image: &Digest) -> Result<Digest, StoreError> {
        match self.local_config(image)? {
            Some(_) => Ok(self.manifest_of(image, &ManifestOptions::default())?.manifest.digest),
            None => Ok(*image),
        }
    }

    /// Is it a local image all of whose layers are packed, so that its manifest is made at once?
    ///
    /// # Errors
    /// A damaged or missing blob.
    pub fn is_packed(&self, image: &Digest) -> Result<bool, StoreError> {
        let Some(config) = self.local_config(image)? else { return Ok(false) };
        for diff_id in &config.rootfs.diff_ids {
            if self.packed(diff_id)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes a manifest for a local image; packs what has no blob yet. Blobs of its base may be at a registry.
    ///
    /// # Errors
    /// A layer whose bytes are gone; a disk that says no.
    pub fn manifest_of(&self, id: &Digest, options: &ManifestOptions) -> Result<Image, StoreError> {
        let bytes = self.bytes(id)?;
        let config = ImageConfig::parse(&bytes)
            .map_err(|error| StoreError::Unsuitable(Unsuitable { digest: *id, why: error.to_string() }))?;
        let mut history = config.history.iter().filter(|history| !history.empty_layer);
        let mut layers = Vec::with_capacity(config.rootfs.diff_ids.len());
        for diff_id in &config.rootfs.diff_ids {
            let mut blob = self.blob_of(diff_id, options)?;
            blob.media_type = if options.docker { blob.media_type.of_docker() } else { blob.media_type.of_oci() };
            let created_by = history.next().and_then(|history| history.created_by.clone()).unwrap_or_default();
            layers.push(Layer { blob, diff_id: *diff_id, created_by });
        }
        let kind = |docker, oci| MediaType::from(if options.docker { docker } else { oci });
        let config_blob =
            Descriptor::new(kind(MediaType::DOCKER_CONFIG, MediaType::CONFIG).0.as_str(), *id, bytes.len() as u64);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(kind(MediaType::DOCKER_MANIFEST, MediaType::MANIFEST)),
            artifact_type: None,
            config: config_blob.clone(),
            layers: layers.iter().map(|layer| layer.blob.clone()).collect(),
            subject: None,
            annotations: options.annotations.clone(),
        };
        let text = crate::contents::to_json(&manifest, id)?;
        let batch = self.batch();
        let digest = batch.put(&text)?;
        batch.finish()?;
        let media_type = manifest.media_type.as_ref().map_or(MediaType::MANIFEST, |kind| kind.0.as_str());
        let manifest = Descriptor::new(media_type, digest, text.len() as u64);
        Ok(Image { manifest, config_blob, config, layers })
    }

    fn blob_of(&self, diff_id: &DiffId, options: &ManifestOptions) -> Result<Descriptor, StoreError> {
        let given = self
            .packed(diff_id)?
            .into_iter()
            .find(|blob| blob.annotations.get(FORMAT).is_some_and(|format| format == GIVEN) && !options.repack);
        match given {
            Some(mut blob) => {
                blob.annotations.clear();
                Ok(blob)
            }
            None => self.pack(diff_id, options.packing),
        }
    }
}
