//! Docker's archive, in: `manifest.json` names a config and layers for each image (moby `image/tarexport`).
//!
//! What a layer must be is its diff id in the config, and what the config must be is its digest, which is Docker's image
//! id; some writers name files by it.

use corten_oci::{Digest, ImageConfig, MediaType, Platform, Reference};
use serde::Deserialize;
use std::io::Read;

use super::members::Members;
use super::take::Layer;
use super::walk::is_wanted;
use super::{ForeignError, Found, MOST_LAYERS, Wish, refused};
use crate::StoreError;

const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Entry {
    fn has(&self, name: &str) -> bool {
        let whole = if name.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            name.to_owned()
        } else {
            format!("{name}:latest")
        };
        let tags = || self.repo_tags.iter().flatten();
        let bare = |tag: &str| {
            let tag = tag.strip_prefix("docker.io/").unwrap_or(tag);
            let tag = tag.strip_prefix("localhost/").unwrap_or(tag);
            tag.strip_prefix("library/").unwrap_or(tag).to_owned()
        };
        tags().any(|tag| *tag == whole) || tags().any(|tag| bare(tag) == bare(&whole))
    }
}

/// Images that an archive may have.
const MOST: usize = 1000;

/// An image that was read.
struct Image {
    digest: Digest,
    config: ImageConfig,
    bytes: Vec<u8>,
}

impl Image {
    fn platform(&self) -> Platform {
        let ImageConfig { os, architecture, variant, .. } = &self.config;
        Platform { os: os.clone(), architecture: architecture.clone(), variant: variant.clone() }
    }
}

pub(super) fn find(members: &Members, wish: &Wish<'_>) -> Result<Found, ForeignError> {
    let place = || members.path().display().to_string();
    let entries = entries(members)?;
    let names = || entries.iter().flat_map(|entry| entry.repo_tags.iter().flatten().cloned()).collect::<Vec<_>>();
    let named: Vec<&Entry> = match (wish.digest, wish.name) {
        (None, Some(name)) => entries.iter().filter(|entry| entry.has(name)).collect(),
        _ => entries.iter().collect(),
    };
    // Configs may be large: one at a time is kept.
    let mut images = Vec::new();
    for entry in named {
        let image = image(members, entry)?;
        images.push((entry, image.digest, image.platform()));
    }
    if let Some(wanted) = wish.digest {
        images.retain(|(_, digest, _)| digest == wanted);
    }
    let asked = wish.digest.map(ToString::to_string).or(wish.name.map(str::to_owned));
    if let (true, Some(name)) = (images.is_empty(), asked) {
        return Err(ForeignError::Unknown { place: place(), name, names: names() });
    }
    images.dedup_by(|(_, one, _), (_, other, _)| one == other);
    let found: Vec<String> = images.iter().map(|(.., platform)| platform.to_string()).collect();
    images.retain(|(.., platform)| is_wanted(platform, wish.architecture));
    match images.as_slice() {
        [] => Err(ForeignError::Platform { place: place(), wanted: wish.architecture, found }),
        [(entry, ..)] => whole(members, entry).map(|(found, _)| found),
        several => Err(ForeignError::Several { place: place(), count: several.len(), names: names() }),
    }
}

/// An image with all that the archive says of it.
pub(super) struct Whole {
    pub(super) found: Found,
    /// The bytes of its config.
    pub(super) config: Vec<u8>,
    pub(super) names: Vec<Reference>,
}

/// All images, one at a time: each has its layers open.
pub(super) fn all(
    members: &Members,
    each: &mut dyn FnMut(Whole) -> Result<(), ForeignError>,
) -> Result<(), ForeignError> {
    for entry in &entries(members)? {
        let (found, config) = whole(members, entry)?;
        let wrong = |tag: &String| refused(members.path(), format!("'{tag}' is no name of an image"));
        let name = |tag: &String| match tag.parse::<Reference>() {
            // A digest would name another image than this one, and its tag would be taken from whoever has it.
            Ok(name) if name.digest.is_none() => Ok(name),
            _ => Err(wrong(tag)),
        };
        let names = entry.repo_tags.iter().flatten().map(name).collect::<Result<_, _>>()?;
        each(Whole { found, config, names })?;
    }
    Ok(())
}

/// An image with its layers, and the bytes of its config.
fn whole(members: &Members, entry: &Entry) -> Result<(Found, Vec<u8>), ForeignError> {
    let (layers, place) = (entry.layers.len(), members.path().display().to_string());
    if layers > MOST_LAYERS {
        let why = format!("an image of {layers} layers cannot be taken: {MOST_LAYERS} are the most");
        return Err(refused(members.path(), why));
    }
    let Image { digest, config, bytes } = image(members, entry)?;
    let layers = entry.layers.iter().map(|name| layer(members, name)).collect::<Result<_, _>>()?;
    Ok((Found { digest, config, layers, place }, bytes))
}

fn entries(members: &Members) -> Result<Vec<Entry>, ForeignError> {
    let path = members.path();
    let absent = || refused(path, format!("it has no {MANIFEST}, so it is no docker archive"));
    let bytes = members.small(MANIFEST)?.ok_or_else(absent)?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|error| refused(path, format!("{MANIFEST} is not valid: {error}")))?;
    match entries.len() > MOST {
        true => Err(refused(path, format!("it has {} images: {MOST} are the most", entries.len()))),
        false => Ok(entries),
    }
}

fn image(members: &Members, entry: &Entry) -> Result<Image, ForeignError> {
    let path = members.path();
    let absent = || refused(path, format!("the config {} is missing", entry.config));
    let bytes = members.small(&entry.config)?.ok_or_else(absent)?;
    let digest = Digest::of(&bytes);
    let stem = entry.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    let stated = format!("sha256:{stem}").parse::<Digest>();
    if stated.is_ok_and(|stated| stated != digest) {
        return Err(refused(path, format!("the config {} has the digest {digest}", entry.config)));
    }
    let config = ImageConfig::parse(&bytes).map_err(|error| refused(path, error.to_string()))?;
    Ok(Image { digest, config, bytes })
}

/// How a layer is compressed is told by its first bytes.
fn layer(members: &Members, name: &str) -> Result<Layer, ForeignError> {
    let path = members.path();
    let absent = || refused(path, format!("the layer {name} is missing"));
    let mut head = Vec::new();
    let read = members.find(name, None)?.ok_or_else(absent)?.open();
    read.and_then(|reader| reader.take(4).read_to_end(&mut head))
        .map_err(|error| StoreError::disk("reading", path, 0, error))?;
    let media_type = match head.as_slice() {
        [0x1f, 0x8b, ..] => MediaType::LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => MediaType::LAYER_ZSTD,
        _ => MediaType::LAYER,
    };
    let bytes = members.find(name, None)?.ok_or_else(absent)?;
    Ok(Layer { media_type: media_type.into(), bytes })
}
