//! Bases that are images of a registry: asked for by name once, pinned by digest, from then on never asked for by name.
//!
//! ```text
//! corten.lock pins it? ── yes ─► its indexes are here? ── yes ─► nothing is asked
//!        │ no, or it is renewed              └─ no ─► by digest ──┐
//! a platform of the same image is pinned? ── yes ─► its index, by digest ─► documents ─► layers, once ─► look ─► pin
//!        └─ no ─► by name ────────────────────────────────────────┘
//! ```
//!
//! Afterwards the layers' bytes may go from the store: their indexes and what was found in them stay.

use std::collections::BTreeSet;

use corten_diagnostic::{Diagnose, Event, Failure, Report};
use corten_frontend::settings::{Base, ImageBase, Setting};
use corten_oci::{
    Architecture, Descriptor, Digest, Document, ImageConfig, LARGEST_DOCUMENT, Manifest, Platform, Reference,
    Repository, Tag,
};
use corten_plan::{LockedBase, LockedImage, LockedPlace};
use corten_registry::{Fetched, Remote, Which};
use corten_store::foreign::{self, MOST_LAYERS, Origin};

use crate::images::{self, BaseImage, Needed};
use crate::plan::PlanOptions;
use crate::project::Project;
use crate::registry::{self, RegistryOptions};
use crate::world::World;
use crate::{libraries, places};

/// Manifests and indexes of one image that are looked at.
const MOST_DOCUMENTS: usize = 64;
/// Indexes in indexes.
const DEEPEST: usize = 4;

/// The image that the settings name.
struct Asked<'a> {
    setting: Option<&'a Setting<Base>>,
    /// As it is written.
    text: String,
    name: Reference,
    /// With what Docker leaves out.
    repository: Repository,
    architecture: Architecture,
    options: &'a RegistryOptions,
}

impl Asked<'_> {
    /// Of what was pinned, is it the same image?
    fn is(&self, base: &LockedBase) -> bool {
        let place = base.image.as_ref().and_then(|image| image.place.as_ref());
        base.reference == self.text && place.is_some_and(|place| place.repository == self.repository)
    }

    fn failed(&self, error: &dyn Diagnose) -> Report {
        let failure = images::failure(error, format!("the base {}: {error}", self.text));
        self.placed(failure).into()
    }

    fn placed(&self, failure: Failure) -> Failure {
        match self.setting {
            Some(setting) => images::placed(failure, setting),
            None => failure,
        }
    }

    fn refused(&self, why: &str) -> Failure {
        self.placed(Failure::input(format!("the base {}: {why}", self.text)))
    }

    /// Docker's default, where neither tag nor digest is told.
    fn tag(&self) -> Option<Tag> {
        let latest = || Tag::new("latest").ok().filter(|_| self.name.digest.is_none());
        self.name.tag.clone().or_else(latest)
    }
}

/// The base that corten.lock pins, else what the registry has now.
pub fn choose(
    project: &Project,
    setting: &Setting<Base>,
    image: &ImageBase,
    options: &PlanOptions,
    world: &World<'_>,
) -> Result<LockedBase, Report> {
    let name: Reference = image.path.parse().map_err(|error| Failure::usage(format!("the base: {error}")))?;
    let asked = Asked {
        setting: Some(setting),
        text: setting.value.to_string(),
        repository: name.repository.normalised(),
        name: Reference { digest: image.digest, ..name },
        architecture: options.architecture,
        options: &options.registry,
    };
    let locked = project.corten_lock.iter().flat_map(|lock| &lock.bases).filter(|_| !options.renews_base());
    let known: Vec<&LockedBase> = options.siblings.iter().chain(locked).filter(|base| asked.is(base)).collect();
    let pinned = known.iter().find(|base| base.architecture == asked.architecture);
    let decide = |image: &BaseImage, how: &str| {
        let why = format!("{} layers, {how}: {}", image.layers.len(), image.digest.short());
        world.events.emit(Event::Decision { about: "base", choice: &asked.text, why: &why });
    };
    if let Some(base) = pinned
        && let Ok(Some(image)) = images::open(base, world)
    {
        remember_where(&asked, &image, world)?;
        decide(&image, "pinned in corten.lock");
        return Ok((*base).clone());
    }
    let index = known.iter().find_map(|base| base.image.as_ref()?.place.as_ref()?.index);
    let (which, how) = match (pinned.and_then(|base| base.image.as_ref()), index) {
        (Some(image), _) => (Which::Digest(image.digest), "pinned in corten.lock".to_owned()),
        (None, Some(index)) => (Which::Digest(index), "of the index that corten.lock pins".to_owned()),
        (None, None) => {
            let which = Which::of(&asked.name).map_err(|error| asked.failed(&error))?;
            (which, format!("as {} has it now", asked.repository))
        }
    };
    let (image, index) = take(&asked, setting, &which, world)?;
    decide(&image, &how);
    let kept = pinned.and_then(|base| base.image.as_ref()?.place.clone());
    let place = kept.unwrap_or_else(|| LockedPlace { repository: asked.repository.clone(), tag: asked.tag(), index });
    let base = image.locked(asked.text.clone(), asked.architecture);
    Ok(LockedBase { image: base.image.map(|image| LockedImage { place: Some(place), ..image }), ..base })
}

/// corten.lock knows where layers are that the store has no more.
fn remember_where(asked: &Asked<'_>, image: &BaseImage, world: &World<'_>) -> Result<(), Report> {
    let mut lost = Vec::new();
    for layer in &image.layers {
        if world.store.size(&layer.blob.digest)?.is_none() && world.store.origins(&layer.blob.digest)?.is_empty() {
            lost.push(&layer.blob);
        }
    }
    places::remember(&asked.repository, lost, world)
}

/// Brings an image's documents and layers to the store, and looks at what it is. Gives the index that has it, too.
fn take(
    asked: &Asked<'_>,
    setting: &Setting<Base>,
    which: &Which,
    world: &World<'_>,
) -> Result<(BaseImage, Option<Digest>), Report> {
    let is_known = |digest: &Digest, layers: &[Descriptor]| {
        let known = images::remembered(digest, asked.architecture, Needed::Indexes, world.store)?;
        if known.is_some() {
            places::remember(&asked.repository, layers, world)?;
        }
        Ok(known)
    };
    let (digest, index, known) = bring(asked, which, &is_known, world)?;
    if let Some(known) = known {
        return Ok((known, index));
    }
    let origin = Origin::Pulled { name: "it".to_owned() };
    let found = foreign::find(&origin, Some(&digest), asked.architecture, world.store);
    let found = found.map_err(|error| images::at_setting(&error, setting))?;
    let image = images::take(found, asked.architecture, Needed::Indexes, world).map_err(|it| it.at(setting))?;
    for layer in &image.layers {
        // So that nobody has to read it again for that.
        libraries::of_layer(&layer.blob, &layer.diff_id, world)?;
    }
    Ok((image, index))
}

/// Brings an image to the store for a Dockerfile, unless `is_known`: its digest, and what is known of it.
pub fn pull<T>(
    name: &Reference,
    architecture: Architecture,
    options: &RegistryOptions,
    is_known: &dyn Fn(&Digest) -> Result<Option<T>, Report>,
    world: &World<'_>,
) -> Result<(Digest, Option<T>), Report> {
    let text = name.to_string();
    let repository = name.repository.normalised();
    let asked = Asked { setting: None, text, name: name.clone(), repository, architecture, options };
    let which = Which::of(name).map_err(|error| asked.failed(&error))?;
    let (digest, _, known) = bring(&asked, &which, &|digest, _| is_known(digest), world)?;
    Ok((digest, known))
}

/// Asks whether an image (its manifest's digest, its layers) is known already.
type Known<'a, T> = &'a dyn Fn(&Digest, &[Descriptor]) -> Result<Option<T>, Report>;

/// Brings an image's documents to the store, and its layers unless `is_known`: its digest, and that of the index that has it.
fn bring<T>(
    asked: &Asked<'_>,
    which: &Which,
    is_known: Known<'_, T>,
    world: &World<'_>,
) -> Result<(Digest, Option<Digest>, Option<T>), Report> {
    let registry = registry::registry(world, asked.options);
    let remote = registry.remote(&asked.name.repository).map_err(|error| asked.failed(&error))?;
    let root = remote.manifest(which).map_err(|error| asked.failed(&error))?;
    let root_digest = root.descriptor.digest;
    let mut walk = Walk { asked, remote: &remote, world, seen: BTreeSet::new(), others: BTreeSet::new() };
    let found = walk.visit(root, DEEPEST)?;
    let Some((found, manifest, config)) = found else {
        let failure = asked.refused(&format!("it has no image for linux/{}", asked.architecture));
        let others: Vec<String> = walk.others.into_iter().collect();
        return Err(match others.as_slice() {
            [] => failure.into(),
            others => failure.hint(format!("there are: {}", others.join(", "))).into(),
        });
    };
    let digest = found.descriptor.digest;
    check(asked, &manifest, &config)?;
    let index = Some(root_digest).filter(|root| *root != digest);
    if let Some(known) = is_known(&digest, &manifest.layers)? {
        return Ok((digest, index, Some(known)));
    }
    let batch = world.store.batch();
    batch.put(&found.bytes)?;
    batch.finish()?;
    let layers = distinct(&manifest.layers);
    registry::fetch(&remote, &layers, world)?;
    places::remember(&asked.repository, layers.iter().chain([&manifest.config]), world)?;
    Ok((digest, index, None))
}

/// Before anything large is fetched.
fn check(asked: &Asked<'_>, manifest: &Manifest, config: &ImageConfig) -> Result<(), Failure> {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    match layers {
        _ if layers != diff_ids => {
            Err(asked.refused(&format!("its manifest has {layers} layers, its config {diff_ids}")))
        }
        _ if layers > MOST_LAYERS => Err(asked.refused(&format!("it has {layers} layers, more than {MOST_LAYERS}"))),
        _ => Ok(()),
    }
}

fn distinct(layers: &[Descriptor]) -> Vec<Descriptor> {
    let mut seen = BTreeSet::new();
    layers.iter().filter(|layer| seen.insert(layer.digest)).cloned().collect()
}

/// From a name's document to the manifest for a platform.
struct Walk<'a> {
    asked: &'a Asked<'a>,
    remote: &'a Remote<'a>,
    world: &'a World<'a>,
    seen: BTreeSet<Digest>,
    /// Platforms that are not wanted.
    others: BTreeSet<String>,
}

impl Walk<'_> {
    /// The first that fits, as Docker takes it.
    fn visit(&mut self, fetched: Fetched, depth: usize) -> Result<Option<(Fetched, Manifest, ImageConfig)>, Report> {
        let digest = fetched.descriptor.digest;
        if !self.seen.insert(digest) {
            return Ok(None);
        }
        if self.seen.len() > MOST_DOCUMENTS {
            return Err(self.asked.refused(&format!("more than {MOST_DOCUMENTS} manifests belong together")).into());
        }
        let document = Document::parse(&fetched.descriptor, &fetched.bytes);
        match document.map_err(|why| self.asked.refused(&format!("{digest}: {why}")))? {
            Document::Manifest(manifest) => self.manifest(fetched, *manifest),
            Document::Index(index) => {
                let Some(depth) = depth.checked_sub(1) else {
                    return Err(self.asked.refused(&format!("indexes are nested deeper than {DEEPEST}")).into());
                };
                for child in index.manifests.iter().filter(|child| Document::is_document(&child.media_type)) {
                    match &child.platform {
                        Some(other) if !foreign::is_wanted(other, self.asked.architecture) => self.other(other),
                        _ => {
                            let found = self.visit(self.child(child)?, depth)?;
                            if found.is_some() {
                                return Ok(found);
                            }
                        }
                    }
                }
                Ok(None)
            }
        }
    }

    fn child(&self, child: &Descriptor) -> Result<Fetched, Report> {
        let fetched = self.remote.manifest(&Which::Digest(child.digest)).map_err(|error| self.asked.failed(&error))?;
        match fetched.descriptor.size == child.size && fetched.descriptor.media_type == child.media_type {
            true => Ok(fetched),
            false => {
                let Descriptor { media_type, size, .. } = &fetched.descriptor;
                let why = format!(
                    "{} is {media_type} of {size} bytes, its index says {} of {}",
                    child.digest, child.media_type, child.size
                );
                Err(self.asked.refused(&why).into())
            }
        }
    }

    fn manifest(
        &mut self,
        fetched: Fetched,
        manifest: Manifest,
    ) -> Result<Option<(Fetched, Manifest, ImageConfig)>, Report> {
        if !foreign::is_image(&manifest) {
            return Ok(None);
        }
        let described = &manifest.config;
        if described.size > LARGEST_DOCUMENT {
            let why = format!("a config of {} bytes is too large", described.size);
            return Err(self.asked.refused(&why).into());
        }
        registry::fetch(self.remote, std::slice::from_ref(described), self.world)?;
        let bytes = self.world.store.bytes(&described.digest)?;
        let config = ImageConfig::parse(&bytes);
        let config = config.map_err(|error| self.asked.refused(&format!("{}: {error}", described.digest)))?;
        let (os, architecture, variant) = (config.os.clone(), config.architecture.clone(), config.variant.clone());
        let platform = Platform { os, architecture, variant };
        if foreign::is_wanted(&platform, self.asked.architecture) {
            return Ok(Some((fetched, manifest, config)));
        }
        self.other(&platform);
        Ok(None)
    }

    fn other(&mut self, platform: &Platform) {
        // What buildkit writes beside images.
        if platform.os != "unknown" {
            self.others.insert(platform.to_string());
        }
    }
}
