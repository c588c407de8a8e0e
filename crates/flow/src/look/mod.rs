//! Images as they are looked at: found in the store or at a registry, told by their documents alone. No layer is fetched
//! but by [`diff()`], which needs to know what lies in it.
//!
//! ```text
//! text ─► digest ───────────────► the store
//!      └► name ─► the store has it? ─ yes ─► the store
//!                        └ no, it names a host, or the registry is asked for ─► its registry
//! ```
//!
//! A name without a host is never sent anywhere unless the user says so: a slip of the pen in the name of an image of
//! the store is nobody else's business.

mod diff;
mod inspect;
mod packages;
mod tag;

use std::io::Read;

use corten_diagnostic::{Failure, Report};
use corten_oci::{
    Descriptor, Digest, Document, Index, LARGEST_DOCUMENT, Manifest, MediaType, Platform, Reference, Unsuitable,
};
use corten_registry::{RegistryError, Remote, Which};

use crate::base::HOST;
use crate::registry::{self, RegistryOptions};
use crate::world::World;

pub use diff::{Change, Difference, Field, FileChange, FileState, Layers, PackageChange, Side, diff};
pub use inspect::{
    Base, Healthy, Inspection, LayerView, OfPlatform, Referrer, ReferrerKind, Step, View, image, inspect, summary,
};
pub(crate) use packages::{names as package_names, programs};
pub use tag::{Tagged, tag};

/// Where an image is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// In the store, and where that does not have it, at the registry that its name says.
    StoreFirst,
    /// At its registry.
    Registry,
}

/// Where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the store.
    Store,
    /// At its registry.
    Registry,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Name, or digest, as typed.
    pub name: &'a str,
    /// Where it is looked for.
    pub ask: Ask,
}

/// An image or an index that was found.
pub struct Found<'w> {
    /// As typed.
    pub name: String,
    /// Where.
    pub place: Place,
    /// The document that the name stands for.
    pub root: Descriptor,
    /// Its bytes, unchanged.
    pub bytes: Vec<u8>,
    /// Was it built here, and has no manifest? Then the document is the one that it would have uncompressed, under the
    /// image's id.
    pub is_local: bool,
    source: Source<'w>,
    world: World<'w>,
}

enum Source<'w> {
    Store,
    Registry(Box<Remote<'w>>),
}

/// Looks for an image.
///
/// # Errors
/// Usage where the name is none; input where the store does not have it and no registry may be asked; world where the
/// registry does not have it, or says no.
pub fn find<'w>(wanted: &Wanted<'_>, options: &'w RegistryOptions, world: &World<'w>) -> Result<Found<'w>, Report> {
    if let Ok(digest) = wanted.name.parse::<Digest>() {
        if wanted.ask == Ask::Registry {
            let failure = Failure::usage(format!("{} names no repository", wanted.name));
            return Err(failure.hint("say HOST/REPOSITORY@DIGEST").into());
        }
        return match world.store.size(&digest)? {
            Some(_) => stored(wanted.name, &digest, world),
            None => Err(absent(wanted.name)
                .hint(format!("at a registry it is HOST/REPOSITORY@sha256:{}…", digest.short()))
                .into()),
        };
    }
    let reference = reference(wanted.name)?;
    let here = match wanted.ask {
        Ask::StoreFirst => in_store(&reference, world)?,
        Ask::Registry => None,
    };
    if let Some(digest) = here {
        return stored(wanted.name, &digest, world);
    }
    match wanted.ask {
        Ask::StoreFirst if reference.repository.host.is_none() => Err(unknown(wanted.name, &reference, world)?.into()),
        Ask::StoreFirst if world.client.is_offline() => {
            Err(absent(wanted.name).hint("without --offline, its registry is asked").into())
        }
        _ => at_registry(wanted.name, &reference, options, world),
    }
}

/// A name of an image, as typed.
fn reference(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("'{text}' names no image: {error}")))
}

fn absent(name: &str) -> Failure {
    Failure::input(format!("there is no image '{name}' in the store"))
}

/// The names of the same repository that there are, or how to ask elsewhere.
fn unknown(name: &str, reference: &Reference, world: &World<'_>) -> Result<Failure, Report> {
    let (failure, is_alone) = not_here(name, reference, world)?;
    let host = reference.repository.normalised().host.unwrap_or_default();
    Ok(if is_alone { failure.hint(format!("--remote asks {host}")) } else { failure })
}

/// What the store has in place of it: the names of the same repository, if any. Are there none?
fn not_here(name: &str, reference: &Reference, world: &World<'_>) -> Result<(Failure, bool), Report> {
    let images = world.store.images()?;
    let same = images.iter().filter(|(name, _)| name.repository == reference.repository);
    let names: Vec<String> = same.map(|(name, _)| name.to_string()).collect();
    Ok(match names.is_empty() {
        true => (absent(name).hint("`corten images` lists what is there"), true),
        false => (absent(name).hint(format!("there are: {}", names.join(", "))), false),
    })
}

/// An image of the store by its digest, by name and tag, or by its name alone if only one image has it.
///
/// # Errors
/// Usage where the text is no name; input where there is no such image.
pub fn digest_in_store(text: &str, world: &World<'_>) -> Result<Digest, Report> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    let reference = reference(text)?;
    match in_store(&reference, world)? {
        Some(digest) => Ok(digest),
        None => Err(not_here(text, &reference, world)?.0.into()),
    }
}

/// The same, with a manifest: an image that was built here and has none yet gets one, its layers packed.
///
/// # Errors
/// As [`digest_in_store`]; world where a layer's bytes are gone.
pub fn manifest_in_store(text: &str, world: &World<'_>) -> Result<Digest, Report> {
    Ok(world.store.with_manifest(&digest_in_store(text, world)?)?)
}

/// A digest counts for a repository of a registry only where a name of that repository stands for it, itself or as one
/// of an index: the same bytes under another name do not say that this registry has them.
pub(crate) fn in_store(reference: &Reference, world: &World<'_>) -> Result<Option<Digest>, Report> {
    let found = world.store.image(reference)?;
    let images = || world.store.images();
    match (found, reference.digest) {
        (Some(digest), Some(_)) if reference.repository.host.is_some() => {
            for (name, root) in images()? {
                if name.repository.normalised() == reference.repository.normalised()
                    && (root == digest || lists(&root, &digest, world)?)
                {
                    return Ok(Some(digest));
                }
            }
            Ok(None)
        }
        (Some(digest), _) => Ok(Some(digest)),
        (None, None) if reference.tag.is_none() => {
            let images = images()?;
            let same = images.iter().filter(|(name, _)| name.repository == reference.repository);
            let mut digests: Vec<Digest> = same.map(|(_, digest)| *digest).collect();
            digests.sort();
            digests.dedup();
            Ok(digests.first().copied().filter(|_| digests.len() == 1))
        }
        (None, _) => Ok(None),
    }
}

fn lists(root: &Digest, child: &Digest, world: &World<'_>) -> Result<bool, Report> {
    if world.store.size(root)?.is_none_or(|size| size > LARGEST_DOCUMENT) {
        return Ok(false);
    }
    let index = Index::parse(&world.store.bytes(root)?);
    Ok(index.is_ok_and(|index| index.manifests.iter().any(|one| one.digest == *child)))
}

pub(crate) fn stored<'w>(name: &str, digest: &Digest, world: &World<'w>) -> Result<Found<'w>, Report> {
    let bytes = small(digest, world)?;
    let found = |root, bytes, is_local| Found {
        name: name.to_owned(),
        place: Place::Store,
        root,
        bytes,
        is_local,
        source: Source::Store,
        world: *world,
    };
    let Some(config) = world.store.local_config(digest)? else {
        return Ok(found(registry::describe_bytes(digest, &bytes)?, bytes, false));
    };
    let manifest = serde_json::to_vec(&world.store.plain_manifest(digest, &config)?)
        .map_err(|error| Failure::bug(format!("writing a manifest: {error}")))?;
    Ok(found(Descriptor::new(MediaType::MANIFEST, *digest, manifest.len() as u64), manifest, true))
}

fn at_registry<'w>(
    name: &str,
    reference: &Reference,
    options: &'w RegistryOptions,
    world: &World<'w>,
) -> Result<Found<'w>, Report> {
    let remote = registry::registry(world, options).remote(&reference.repository)?;
    let fetched = remote.manifest(&Which::of(reference)?)?;
    let source = Source::Registry(Box::new(remote));
    let (root, bytes) = (fetched.descriptor, fetched.bytes);
    let (name, place) = (name.to_owned(), Place::Registry);
    Ok(Found { name, place, root, bytes, is_local: false, source, world: *world })
}

/// A document of the store.
fn small(digest: &Digest, world: &World<'_>) -> Result<Vec<u8>, Report> {
    match world.store.size(digest)? {
        Some(size) if size > LARGEST_DOCUMENT => {
            Err(Failure::input(format!("{digest} is no image: a manifest of {size} bytes is too large")).into())
        }
        _ => Ok(world.store.bytes(digest)?),
    }
}

impl<'w> Found<'w> {
    /// Index or manifest.
    pub fn document(&self) -> Result<Document, Report> {
        let refuse = |why: String| Unsuitable { digest: self.root.digest, why };
        Ok(Document::parse(&self.root, &self.bytes).map_err(refuse).map_err(|error| self.unsuitable(error))?)
    }

    fn unsuitable(&self, error: Unsuitable) -> Failure {
        let message = format!("{}: {error}", self.name);
        match self.place {
            Place::Store => Failure::input(message),
            Place::Registry => Failure::world(message),
        }
    }

    fn refuse(&self, digest: &Digest, why: impl Into<String>) -> Report {
        self.unsuitable(Unsuitable { digest: *digest, why: why.into() }).into()
    }

    /// A manifest or index below the root; none where it is not there, as other platforms of an index in the store.
    fn child(&self, child: &Descriptor) -> Result<Option<(Document, Vec<u8>)>, Report> {
        if child.size > LARGEST_DOCUMENT {
            return Err(self.refuse(&child.digest, format!("a manifest of {} bytes is too large", child.size)));
        }
        let bytes = match &self.source {
            _ if self.world.store.size(&child.digest)?.is_some() => small(&child.digest, &self.world)?,
            Source::Store => return Ok(None),
            Source::Registry(remote) => match remote.manifest(&Which::Digest(child.digest)) {
                Ok(fetched) => fetched.bytes,
                Err(RegistryError::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        if bytes.len() as u64 != child.size {
            let why = format!("it has {} bytes, its descriptor says {}", bytes.len(), child.size);
            return Err(self.refuse(&child.digest, why));
        }
        match Document::parse(child, &bytes) {
            Ok(document) => Ok(Some((document, bytes))),
            Err(why) => Err(self.refuse(&child.digest, why)),
        }
    }

    /// A config, checked.
    fn config(&self, config: &Descriptor) -> Result<Vec<u8>, Report> {
        if config.size > LARGEST_DOCUMENT {
            return Err(self.refuse(&config.digest, format!("a config of {} bytes is too large", config.size)));
        }
        let remote = match &self.source {
            _ if self.world.store.size(&config.digest)? == Some(config.size) => {
                return Ok(self.world.store.bytes(&config.digest)?);
            }
            Source::Store => return Err(self.refuse(&config.digest, "its config is not in the store")),
            Source::Registry(remote) => remote,
        };
        let mut failed = None;
        for source in remote.sources() {
            match self.config_of(source, config) {
                Ok(bytes) => return Ok(bytes),
                Err(report) => failed = Some(report),
            }
        }
        Err(failed.unwrap_or_else(|| self.refuse(&config.digest, "it is nowhere")))
    }

    fn config_of(&self, source: &Remote<'_>, config: &Descriptor) -> Result<Vec<u8>, Report> {
        let mut bytes = Vec::new();
        let read = source.blob(config, 0)?.body.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.refuse(&config.digest, format!("it broke off: {error}")))?;
        match bytes.len() as u64 == config.size && Digest::of(&bytes) == config.digest {
            true => Ok(bytes),
            false => Err(self.refuse(&config.digest, "what came is not what its digest says")),
        }
    }

    /// What hangs on a manifest.
    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Report> {
        match &self.source {
            Source::Store => Ok(self.world.store.referrers(subject)?),
            Source::Registry(remote) => Ok(remote.referrers(subject)?),
        }
    }

    /// The manifest of one platform, with its descriptor and bytes; that of this machine, or the first, where none is
    /// wished for. What is no index has one manifest, whatever is wished for: see [`image`].
    fn one(&self, wish: Option<&str>) -> Result<(Descriptor, Manifest, Vec<u8>), Report> {
        let index = match self.document()? {
            Document::Manifest(manifest) => return Ok((self.root.clone(), *manifest, self.bytes.clone())),
            Document::Index(index) => index,
        };
        let images: Vec<&Descriptor> = index.manifests.iter().filter(|one| is_image(one)).collect();
        let named: Vec<(String, &Descriptor)> =
            images.iter().filter_map(|one| Some((one.platform.as_ref()?.to_string(), *one))).collect();
        let host = Platform::linux(HOST).to_string();
        let fits = |wish: &str| named.iter().find(|(name, _)| is_platform(name, wish)).map(|(_, one)| *one);
        let chosen = match wish {
            Some(wish) => fits(wish),
            None => fits(&host).or(images.first().copied()),
        };
        let Some(chosen) = chosen else {
            let names: Vec<String> = named.into_iter().map(|(name, _)| name).collect();
            return Err(not_for(&self.name, wish.unwrap_or(&host), &names).into());
        };
        match self.child(chosen)? {
            Some((Document::Manifest(manifest), bytes)) => Ok((chosen.clone(), *manifest, bytes)),
            Some((Document::Index(_), _)) => Err(self.refuse(&chosen.digest, "an index in an index is no image")),
            None => Err(Failure::input(format!("{}: the image {} is not there", self.name, chosen.digest))
                .hint("`corten pull --platform` brings another platform of it to the store")
                .into()),
        }
    }
}

fn not_for(name: &str, wish: &str, names: &[String]) -> Failure {
    let failure = Failure::input(format!("{name} is not for {wish}"));
    if names.is_empty() { failure } else { failure.hint(format!("it is for {}", names.join(", "))) }
}

/// What BuildKit writes beside images into an index is none.
fn is_image(one: &Descriptor) -> bool {
    Document::is_document(&one.media_type)
        && !one.annotations.contains_key("vnd.docker.reference.type")
        && one.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

/// `linux/arm64`, as `arm64` or `aarch64`, also means `linux/arm64/v8`; a variant that is said is meant.
fn is_platform(name: &str, wish: &str) -> bool {
    let wish = match wish.split_once('/') {
        Some(_) => wish.to_owned(),
        None => format!("linux/{wish}"),
    };
    let wish = wish.replace("/x86_64", "/amd64").replace("/aarch64", "/arm64");
    name == wish || name.strip_prefix(wish.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

fn is_image_config(media_type: &MediaType) -> bool {
    media_type.is(MediaType::CONFIG) || media_type.is(MediaType::DOCKER_CONFIG)
}

/// The bytes of the document that a name stands for, or of one platform's manifest.
pub fn raw(found: &Found<'_>, platform: Option<&str>) -> Result<Vec<u8>, Report> {
    match platform {
        _ if found.is_local => Ok(found.world.store.bytes(&found.root.digest)?),
        None => Ok(found.bytes.clone()),
        Some(_) => Ok(image(found, platform)?.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_meant_with_or_without_its_variant() {
        for (name, wish) in [
            ("linux/amd64", "amd64"),
            ("linux/amd64", "x86_64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/v8", "linux/aarch64"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert!(is_platform(name, wish), "{name} {wish}");
        }
        for (name, wish) in [("linux/arm64", "linux/arm"), ("linux/arm/v7", "linux/arm/v6"), ("linux/arm", "arm64")] {
            assert!(!is_platform(name, wish), "{name} {wish}");
        }
    }
}
