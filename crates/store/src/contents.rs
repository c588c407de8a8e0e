//! What an image brings along when it leaves the store: its blobs, its referrers, its entries in `index.json`.

use std::collections::{BTreeMap, BTreeSet};

use corten_oci::{
    Closure, Descriptor, Digest, Document, ImageConfig, Index, MediaType, Platform, Reference, Tag, Unsuitable,
};

use crate::{Store, StoreError};

/// The annotation that gives an entry of `index.json` its name.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd writes an image's whole name.
pub(crate) const WHOLE_NAME: &str = "io.containerd.image.name";
/// Referrers may have referrers (a signature of a bill of materials), but not for ever.
const MOST_REFERRERS: usize = 1000;

/// An image with everything below and about it.
pub(crate) struct Contents {
    /// The image, once per name; once without a name where there is none.
    pub(crate) entries: Vec<Descriptor>,
    /// Artifacts by subject, sorted by digest.
    pub(crate) referrers: BTreeMap<Digest, Vec<Descriptor>>,
    /// All that has to be copied, sorted by digest.
    pub(crate) blobs: Vec<Descriptor>,
}

impl Contents {
    /// With its referrers.
    pub(crate) fn of(store: &Store, manifest: &Digest, references: &[Reference]) -> Result<Self, StoreError> {
        Self::new(store, manifest, references, true)
    }

    /// Without referrers.
    pub(crate) fn alone(store: &Store, manifest: &Digest, references: &[Reference]) -> Result<Self, StoreError> {
        Self::new(store, manifest, references, false)
    }

    fn new(store: &Store, manifest: &Digest, names: &[Reference], with_referrers: bool) -> Result<Self, StoreError> {
        let root = store.describe(manifest, &store.bytes(manifest)?)?;
        let mut closure = Closure::default();
        let fetch = |descriptor: &Descriptor| store.bytes(&descriptor.digest);
        closure.add(&root, &fetch)?;
        let entries = named(root, platform(store, &closure, manifest)?, names);
        let mut referrers = BTreeMap::new();
        if with_referrers {
            referrers = add_referrers(store, &mut closure, &fetch)?;
        }
        let documents = closure.documents.into_iter().map(|(descriptor, _)| descriptor);
        let mut blobs: Vec<_> = documents.chain(closure.blobs).collect();
        blobs.sort_by_key(|blob| blob.digest);
        Ok(Self { entries, referrers, blobs })
    }

    /// Gives the image's entries free texts; names stay what they are.
    pub(crate) fn annotate(&mut self, texts: &BTreeMap<String, String>) {
        for entry in &mut self.entries {
            for (name, value) in texts {
                entry.annotations.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// Indexes of the referrers, for readers that look for the tag `sha256-<hex of the subject>`.
    pub(crate) fn fallbacks(&self) -> Result<Vec<(Descriptor, Vec<u8>)>, StoreError> {
        let fallback = |(subject, referrers): (&Digest, &Vec<Descriptor>)| {
            let index = Index {
                schema_version: 2,
                media_type: Some(MediaType::INDEX.into()),
                artifact_type: None,
                manifests: referrers.clone(),
                subject: None,
                annotations: BTreeMap::new(),
            };
            let bytes = to_json(&index, subject)?;
            let mut descriptor = Descriptor::of(MediaType::INDEX, &bytes);
            descriptor.annotations.insert(NAME.into(), fallback_name(subject));
            Ok((descriptor, bytes))
        };
        self.referrers.iter().map(fallback).collect()
    }
}

pub(crate) fn fallback_name(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// The digest that a fallback tag is about.
pub(crate) fn subject_of_name(name: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_prefix("sha256-")?).parse().ok()
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T, about: &Digest) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value)
        .map_err(|error| StoreError::Unsuitable(Unsuitable { digest: *about, why: error.to_string() }))
}

fn named(root: Descriptor, platform: Option<Platform>, references: &[Reference]) -> Vec<Descriptor> {
    let root = Descriptor { platform, ..root };
    let tags: BTreeSet<&str> = references.iter().filter_map(|it| it.tag.as_ref()).map(Tag::as_str).collect();
    if tags.is_empty() {
        return vec![root];
    }
    let name = |tag: &str| {
        let mut entry = root.clone();
        entry.annotations.insert(NAME.into(), tag.into());
        entry
    };
    tags.into_iter().map(name).collect()
}

/// What the image was built for, where it is one image.
fn platform(store: &Store, closure: &Closure, manifest: &Digest) -> Result<Option<Platform>, StoreError> {
    let root = closure.documents.iter().find(|(descriptor, _)| descriptor.digest == *manifest);
    match root {
        Some((_, Document::Manifest(manifest))) if is_image_config(&manifest.config.media_type) => {
            let bytes = store.bytes(&manifest.config.digest)?;
            let config = ImageConfig::parse(&bytes).map_err(|error| {
                StoreError::Unsuitable(Unsuitable { digest: manifest.config.digest, why: error.to_string() })
            })?;
            Ok(Some(Platform { os: config.os, architecture: config.architecture, variant: config.variant }))
        }
        _ => Ok(None),
    }
}

pub(crate) fn is_image_config(media_type: &MediaType) -> bool {
    media_type.is(MediaType::CONFIG) || media_type.is(MediaType::DOCKER_CONFIG)
}

fn add_referrers(
    store: &Store,
    closure: &mut Closure,
    fetch: &dyn Fn(&Descriptor) -> Result<Vec<u8>, StoreError>,
) -> Result<BTreeMap<Digest, Vec<Descriptor>>, StoreError> {
    let mut referrers = BTreeMap::new();
    let mut next = 0;
    while let Some((subject, _)) = closure.documents.get(next) {
        let subject = subject.digest;
        let found = store.referrers(&subject)?;
        if found.len() + closure.documents.len() > MOST_REFERRERS {
            let why = format!("more than {MOST_REFERRERS} artifacts are about it");
            return Err(StoreError::Unsuitable(Unsuitable { digest: subject, why }));
        }
        for referrer in &found {
            closure.add(referrer, fetch)?;
        }
        if !found.is_empty() {
            referrers.insert(subject, found);
        }
        next += 1;
    }
    Ok(referrers)
}
