//! All that the documents of an image say, in one view.

use std::collections::{BTreeMap, BTreeSet};

use corten_attest::RELEASE_TYPE;
use corten_attest::bom::SPDX_TYPE;
use corten_diagnostic::{Failure, Report};
use corten_oci::{Descriptor, DiffId, Digest, Document, ImageConfig, Manifest, MediaType, Platform};

use super::{Found, Place, is_image, is_image_config, is_platform, not_for};
use crate::world::World;

/// How many images of an index are asked for their sizes: nobody builds for more platforms.
const MOST_PLATFORMS: usize = 64;
/// How many artifacts are told: a registry may list millions.
const MOST_REFERRERS: usize = 256;

/// An image, an artifact or an index.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// As typed.
    pub name: String,
    /// Where it was found.
    pub place: Place,
    /// Of the document that the name stands for.
    pub digest: Digest,
    /// Of that document.
    pub media_type: MediaType,
    /// What an artifact is.
    pub artifact_type: Option<MediaType>,
    /// Of that document.
    pub annotations: BTreeMap<String, String>,
    /// Names that stand for it in the store.
    pub names: Vec<String>,
    /// The images of an index; of an image itself alone.
    pub platforms: Vec<OfPlatform>,
    /// The image of one platform; none where an index has none.
    pub image: Option<View>,
    /// What hangs on the document or on the image of the platform; at most 256.
    pub referrers: Vec<Referrer>,
    /// How many further ones there are.
    pub more_referrers: usize,
}

/// An image of an index.
#[derive(Debug, Clone)]
pub struct OfPlatform {
    /// What it is for; none where nobody says.
    pub platform: Option<Platform>,
    /// Of its manifest.
    pub digest: Digest,
    /// Bytes of its layers as they are kept and sent, and how many; none where its manifest is not there.
    pub size: Option<(u64, usize)>,
}

/// An image for one platform, or an artifact.
#[derive(Debug, Clone)]
pub struct View {
    /// Of its manifest.
    pub digest: Digest,
    /// Of its manifest.
    pub media_type: MediaType,
    /// Its manifest, as it came.
    pub bytes: Vec<u8>,
    /// Of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// The config's blob.
    pub config_blob: Descriptor,
    /// None where the config is not an image's.
    pub config: Option<ImageConfig>,
    /// Lowest first.
    pub layers: Vec<LayerView>,
    /// How it came about, oldest first; steps without a layer, too.
    pub history: Vec<Step>,
    /// What it stands on, where it says so.
    pub base: Option<Base>,
}

impl View {
    /// What the config says it is for.
    pub fn platform(&self) -> Option<Platform> {
        self.config.as_ref().and_then(platform_of)
    }

    /// Looks once more what is known to lie in its layers.
    pub(super) fn learn(&mut self, world: &World<'_>) -> Result<(), Report> {
        self.layers.iter_mut().try_for_each(|layer| match layer.diff_id {
            Some(diff_id) if layer.unpacked.is_none() => known(layer, &diff_id, world),
            _ => Ok(()),
        })
    }

    /// Bytes of all layers, as they are kept and sent.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.blob.size))
    }

    /// Bytes of all files of all layers; none where it is not known what lies in one.
    pub fn unpacked(&self) -> Option<u64> {
        self.layers.iter().map(|layer| layer.unpacked.map(|(bytes, _)| bytes)).sum()
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerView {
    /// As it is kept and sent.
    pub blob: Descriptor,
    /// Of its uncompressed tar; none in an artifact.
    pub diff_id: Option<DiffId>,
    /// Bytes and number of its files, where it is known what lies in it.
    pub unpacked: Option<(u64, usize)>,
    /// Package URLs of what lies in it, where that is known.
    pub packages: Vec<String>,
    /// As the history says.
    pub created_by: Option<String>,
}

/// One step of the history.
#[derive(Debug, Clone)]
pub struct Step {
    /// RFC 3339.
    pub created: Option<String>,
    /// The command.
    pub created_by: String,
    /// Free text.
    pub comment: Option<String>,
    /// Number of the layer in [`View::layers`]; none where it made none.
    pub layer: Option<usize>,
}

/// What an image stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub name: Option<String>,
    /// Of its manifest.
    pub digest: Option<String>,
}

/// What hangs on an image.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// What it says.
    pub kind: ReferrerKind,
    /// Its type, in full.
    pub artifact_type: Option<MediaType>,
    /// Of its manifest.
    pub digest: Digest,
    /// What it is about.
    pub subject: Digest,
}

/// What an artifact says of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferrerKind {
    /// A bill of materials.
    Sbom,
    /// A record of a release.
    Release,
    /// A signed statement.
    Attestation,
    /// A signature.
    Signature,
    /// Anything else.
    Other,
}

impl ReferrerKind {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sbom => "sbom",
            Self::Release => "release",
            Self::Attestation => "attestation",
            Self::Signature => "signature",
            Self::Other => "other",
        }
    }

    fn of(media_type: Option<&MediaType>) -> Self {
        let text = media_type.map_or("", |found| found.0.as_str());
        match text {
            SPDX_TYPE | "text/spdx" | "application/vnd.syft+json" => Self::Sbom,
            RELEASE_TYPE => Self::Release,
            _ if text.starts_with("application/vnd.cyclonedx") => Self::Sbom,
            _ if text.contains("in-toto") || text.contains("sigstore.bundle") || text.contains("dsse") => {
                Self::Attestation
            }
            _ if text.contains("cosign") || text.contains("signature") => Self::Signature,
            _ => Self::Other,
        }
    }
}

/// When and how long health is asked.
pub use corten_oci::Healthcheck as Healthy;

/// Looks at all documents of an image.
///
/// # Errors
/// Input where it is not for the platform, or where its documents contradict each other.
pub fn inspect(found: &Found<'_>, platform: Option<&str>) -> Result<Inspection, Report> {
    let document = found.document()?;
    let (platforms, image) = match &document {
        Document::Manifest(_) => {
            let image = image(found, platform)?;
            let size = Some((image.size(), image.layers.len()));
            (vec![OfPlatform { platform: image.platform(), digest: image.digest, size }], Some(image))
        }
        Document::Index(index) => {
            let images: Vec<&Descriptor> = index.manifests.iter().filter(|one| is_image(one)).collect();
            let platforms = images.iter().enumerate().map(|(at, one)| of_platform(found, at, one));
            let platforms = platforms.collect::<Result<Vec<_>, _>>()?;
            let image = match platform {
                None if images.is_empty() => None,
                _ => Some(view(found, platform)?),
            };
            (platforms, image)
        }
    };
    let mut subjects = BTreeSet::from([found.root.digest]);
    subjects.extend(image.as_ref().map(|image| image.digest));
    let (referrers, more_referrers) = referrers(found, &document, &subjects)?;
    let (artifact_type, annotations) = match document {
        Document::Manifest(manifest) => (artifact_type(&manifest), manifest.annotations),
        Document::Index(index) => (index.artifact_type, index.annotations),
    };
    Ok(Inspection {
        name: found.name.clone(),
        place: found.place,
        digest: found.root.digest,
        media_type: if found.is_local { MediaType::CONFIG.into() } else { found.root.media_type.clone() },
        artifact_type,
        annotations,
        names: names(&found.root.digest, &found.world)?,
        platforms,
        image,
        referrers,
        more_referrers,
    })
}

fn names(digest: &Digest, world: &World<'_>) -> Result<Vec<String>, Report> {
    let images = world.store.images()?;
    Ok(images.into_iter().filter(|(_, root)| root == digest).map(|(name, _)| name.to_string()).collect())
}

/// An artifact says what it is itself, or by the type of its config (image specification, "Guidelines for Artifact Usage").
fn artifact_type(manifest: &Manifest) -> Option<MediaType> {
    let of_config = Some(&manifest.config.media_type).filter(|found| !is_image_config(found)).cloned();
    manifest.artifact_type.clone().or(of_config)
}

fn of_platform(found: &Found<'_>, at: usize, one: &Descriptor) -> Result<OfPlatform, Report> {
    let child = if at < MOST_PLATFORMS { found.child(one)? } else { None };
    let (mut size, mut platform) = (None, one.platform.clone());
    if let Some((Document::Manifest(manifest), _)) = child {
        let bytes = manifest.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
        size = Some((bytes, manifest.layers.len()));
        if platform.is_none() && is_image_config(&manifest.config.media_type) {
            platform = config(found, &manifest)?.as_ref().and_then(platform_of);
        }
    }
    Ok(OfPlatform { platform, digest: one.digest, size })
}

/// None where the config does not say it: images of old builders, artifacts with an empty config.
fn platform_of(config: &ImageConfig) -> Option<Platform> {
    let platform = Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone().filter(|variant| !variant.is_empty()),
    };
    (!platform.os.is_empty() && !platform.architecture.is_empty()).then_some(platform)
}

fn config(found: &Found<'_>, manifest: &Manifest) -> Result<Option<ImageConfig>, Report> {
    if !is_image_config(&manifest.config.media_type) {
        return Ok(None);
    }
    let bytes = found.config(&manifest.config)?;
    let config =
        ImageConfig::parse(&bytes).map_err(|error| found.refuse(&manifest.config.digest, error.to_string()))?;
    Ok(Some(config))
}

/// The image of a platform.
///
/// # Errors
/// Input where it is for another platform; else as [`inspect`].
pub fn image(found: &Found<'_>, platform: Option<&str>) -> Result<View, Report> {
    let image = view(found, platform)?;
    let is_alone = matches!(found.document()?, Document::Manifest(_));
    let fits = |wish: &str| image.platform().is_none_or(|own| is_platform(&own.to_string(), wish));
    match platform.filter(|wish| is_alone && !fits(wish)) {
        Some(wish) => {
            let own: Vec<String> = image.platform().iter().map(Platform::to_string).collect();
            Err(not_for(&found.name, wish, &own).into())
        }
        None => Ok(image),
    }
}

fn view(found: &Found<'_>, platform: Option<&str>) -> Result<View, Report> {
    let (descriptor, manifest, bytes) = found.one(platform)?;
    let config = config(found, &manifest)?;
    let (layers, history) = layers(found, &descriptor.digest, &manifest, config.as_ref())?;
    let base = base(&manifest.annotations).or_else(|| base(config.as_ref()?.config.labels.as_ref()?));
    Ok(View {
        digest: descriptor.digest,
        media_type: descriptor.media_type,
        bytes,
        annotations: manifest.annotations,
        config_blob: manifest.config,
        config,
        layers,
        history,
        base,
    })
}

/// <https://specs.opencontainers.org/image-spec/annotations/>
fn base(annotations: &BTreeMap<String, String>) -> Option<Base> {
    let get = |name: &str| annotations.get(&format!("org.opencontainers.image.base.{name}")).cloned();
    let base = Base { name: get("name"), digest: get("digest") };
    (base.name.is_some() || base.digest.is_some()).then_some(base)
}

fn layers(
    found: &Found<'_>,
    digest: &Digest,
    manifest: &Manifest,
    config: Option<&ImageConfig>,
) -> Result<(Vec<LayerView>, Vec<Step>), Report> {
    let diff_ids = config.map_or(&[][..], |config| &config.rootfs.diff_ids);
    if config.is_some() && diff_ids.len() != manifest.layers.len() {
        let why = format!("its manifest has {} layers, its config {}", manifest.layers.len(), diff_ids.len());
        return Err(found.refuse(digest, why));
    }
    let steps = config.map(history).unwrap_or_default();
    let mut layers = Vec::new();
    for (at, blob) in manifest.layers.iter().enumerate() {
        let diff_id = diff_ids.get(at).copied();
        let step = steps.iter().find(|step| step.layer == Some(at));
        let created_by = step.map(|step| step.created_by.clone()).filter(|text| !text.is_empty());
        let mut view = LayerView { blob: blob.clone(), diff_id, unpacked: None, packages: Vec::new(), created_by };
        if let Some(diff_id) = diff_id {
            known(&mut view, &diff_id, &found.world)?;
        }
        layers.push(view);
    }
    Ok((layers, steps))
}

/// What the store knows to lie in a layer.
fn known(view: &mut LayerView, diff_id: &DiffId, world: &World<'_>) -> Result<(), Report> {
    let Some(index) = world.store.layer_index(diff_id)? else { return Ok(()) };
    view.unpacked = Some((index.content_size(), index.files()));
    let packages: BTreeSet<&String> = index.entries.iter().filter_map(|entry| entry.package.as_ref()).collect();
    view.packages = packages.into_iter().cloned().collect();
    Ok(())
}

/// Steps and layers are counted apart: where a history has another number of layers than there are, it is not said which
/// step made which.
fn history(config: &ImageConfig) -> Vec<Step> {
    let made = config.history.iter().filter(|step| !step.empty_layer).count();
    let agrees = made == config.rootfs.diff_ids.len();
    let mut next = 0;
    let mut steps: Vec<Step> = Vec::new();
    for step in &config.history {
        let layer = (agrees && !step.empty_layer).then(|| {
            next += 1;
            next - 1
        });
        let created_by = step.created_by.clone().unwrap_or_default();
        steps.push(Step { created: step.created.clone(), created_by, comment: step.comment.clone(), layer });
    }
    if !agrees {
        let unsaid = |layer| Step { created: None, created_by: String::new(), comment: None, layer: Some(layer) };
        steps.extend((0..config.rootfs.diff_ids.len()).map(unsaid));
    }
    steps
}

fn referrers(
    found: &Found<'_>,
    document: &Document,
    subjects: &BTreeSet<Digest>,
) -> Result<(Vec<Referrer>, usize), Report> {
    let mut all: Vec<Referrer> = Vec::new();
    for subject in subjects {
        let of = |one: Descriptor| {
            let kind = ReferrerKind::of(one.artifact_type.as_ref());
            Referrer { kind, artifact_type: one.artifact_type, digest: one.digest, subject: *subject }
        };
        // One that is about itself says nothing.
        all.extend(found.referrers(subject)?.into_iter().filter(|one| one.digest != *subject).map(of));
    }
    if let Document::Index(index) = document {
        all.extend(index.manifests.iter().filter_map(attestation));
    }
    let more = all.len().saturating_sub(MOST_REFERRERS);
    all.truncate(MOST_REFERRERS);
    Ok((all, more))
}

/// What BuildKit writes into the index beside the images (docs/attestations/attestation-storage.md of buildkit).
fn attestation(one: &Descriptor) -> Option<Referrer> {
    let is = one.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest");
    let subject = one.annotations.get("vnd.docker.reference.digest")?.parse().ok()?;
    let (artifact_type, kind) = (one.artifact_type.clone(), ReferrerKind::Attestation);
    is.then_some(Referrer { kind, artifact_type, digest: one.digest, subject })
}

/// What a list of images says of one of the store: its platforms, and bytes of all their layers. What is not whole says
/// less.
pub fn summary(digest: &Digest, world: &World<'_>) -> Result<(Vec<String>, Option<u64>), Report> {
    let options = crate::registry::RegistryOptions::default();
    let name = digest.to_string();
    let wanted = super::Wanted { name: &name, ask: super::Ask::StoreFirst };
    let Ok(found) = super::find(&wanted, &options, world) else { return Ok((Vec::new(), None)) };
    let document = found.document().map_err(|_| Failure::bug("a document that was found is none"));
    let Ok(document) = document else { return Ok((Vec::new(), None)) };
    Ok(match document {
        Document::Manifest(manifest) => {
            let platform = config(&found, &manifest).ok().flatten().as_ref().and_then(platform_of);
            let size = manifest.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size));
            (platform.iter().map(Platform::to_string).collect(), Some(size))
        }
        Document::Index(index) => {
            let images: Vec<&Descriptor> = index.manifests.iter().filter(|one| is_image(one)).collect();
            let names = images.iter().filter_map(|one| Some(one.platform.as_ref()?.to_string())).collect();
            let mut blobs = BTreeMap::new();
            let mut whole = true;
            for one in images.iter().take(MOST_PLATFORMS) {
                match found.child(one).ok().flatten() {
                    Some((Document::Manifest(manifest), _)) => {
                        blobs.extend(manifest.layers.iter().map(|layer| (layer.digest, layer.size)));
                    }
                    _ => whole = false,
                }
            }
            let size = blobs.values().fold(0, |sum: u64, size| sum.saturating_add(*size));
            (names, whole.then_some(size))
        }
    })
}
