//! Which image is meant: config and layers, all in the store but for layers' bytes.

use corten_diagnostic::{Failure, Report};
use corten_oci::{Descriptor, DiffId, Digest, Document, ImageConfig, LARGEST_DOCUMENT, Manifest, Platform, Reference};

use super::Pull;
use crate::base::HOST;
use crate::registry::{self, Platforms, RegistryOptions};
use crate::world::World;

/// An image that can be run.
#[derive(Debug)]
pub(crate) struct Runnable {
    /// Of its manifest; of its config where it was built here and has none yet.
    pub(crate) digest: Digest,
    /// How it starts.
    pub(crate) config: ImageConfig,
    /// Lowest first.
    pub(crate) layers: Vec<(DiffId, Option<Descriptor>)>,
}

/// Finds an image by name, digest, or the beginning of its digest; pulls it as `pull` says.
pub(crate) fn find(
    text: &str,
    pull: Pull,
    platform: Option<&str>,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Runnable, Report> {
    let own = Platform::linux(HOST);
    if let Some(asked) = platform {
        let (os, architecture) = asked.split_once('/').unwrap_or(("linux", asked));
        let architecture = architecture.split_once('/').map_or(architecture, |(architecture, _)| architecture);
        runs_here(os, architecture, &format!("--platform {asked}"))?;
    }
    let digest = match by_digest(text, world)? {
        Some(digest) => digest,
        None => by_name(text, pull, options, world)?,
    };
    let image = read(&digest, &own, text, world)?;
    runs_here(&image.config.os, &image.config.architecture, &format!("{text} is for"))?;
    Ok(image)
}

fn runs_here(os: &str, architecture: &str, what: &str) -> Result<(), Failure> {
    let own = Platform::linux(HOST);
    if os == own.os && architecture == own.architecture {
        return Ok(());
    }
    let asked = if what.starts_with("--") { what.to_owned() } else { format!("{what} {os}/{architecture}") };
    Err(Failure::input(format!("{asked}: this machine is {own}"))
        .hint("corten emulates no other processor: run it on such a machine, or build it for this one"))
}

/// A digest, or the beginning of the digest of an image that has a name.
fn by_digest(text: &str, world: &World<'_>) -> Result<Option<Digest>, Report> {
    if let Ok(digest) = text.parse::<Digest>() {
        return match world.store.size(&digest)? {
            Some(_) => Ok(Some(digest)),
            None => Err(absent(text).into()),
        };
    }
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let is_beginning = (6..64).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_beginning || world.store.image(&reference(text).unwrap_or_else(|_| nothing()))?.is_some() {
        return Ok(None);
    }
    let mut found: Vec<Digest> = world.store.images()?.into_iter().map(|(_, digest)| digest).collect();
    found.retain(|digest| digest.hex().starts_with(hex));
    found.sort();
    found.dedup();
    match found[..] {
        [one] => Ok(Some(one)),
        [] => Ok(None),
        _ => Err(Failure::input(format!("'{text}' is the beginning of {} images' digests", found.len())).into()),
    }
}

/// A name that no image has.
fn nothing() -> Reference {
    Reference { repository: corten_oci::Repository { host: None, path: String::new() }, tag: None, digest: None }
}

fn by_name(text: &str, pull: Pull, options: &RegistryOptions, world: &World<'_>) -> Result<Digest, Report> {
    let reference = reference(text)?;
    let here = match pull {
        Pull::Always => None,
        Pull::Missing | Pull::Never => crate::look::in_store(&reference, world)?,
    };
    match (here, pull) {
        (Some(digest), _) => Ok(digest),
        (None, Pull::Never) => Err(absent(text).hint("without --pull never it is pulled").into()),
        (None, _) => {
            world.events.note(&format!(
                "{text} is pulled: {}",
                match pull {
                    Pull::Always => "that was asked for",
                    _ => "the store does not have it",
                }
            ));
            Ok(registry::pull(&reference, Platforms::OWN, options, world)?.digest)
        }
    }
}

fn reference(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("'{text}' names no image: {error}")))
}

fn absent(text: &str) -> Failure {
    Failure::input(format!("there is no image '{text}' in the store")).hint("`corten images` lists what is there")
}

/// The image that a digest stands for on this machine.
fn read(digest: &Digest, own: &Platform, text: &str, world: &World<'_>) -> Result<Runnable, Report> {
    let bytes = small(digest, text, world)?;
    if let Ok(config) = ImageConfig::parse(&bytes) {
        let layers = config.rootfs.diff_ids.iter().map(|diff_id| (*diff_id, None)).collect();
        return Ok(Runnable { digest: *digest, config, layers });
    }
    let described = registry::describe_bytes(digest, &bytes)?;
    match Document::parse(&described, &bytes).map_err(|error| Failure::input(format!("{text}: {error}")))? {
        Document::Manifest(manifest) => of_manifest(digest, &manifest, text, world),
        Document::Index(index) => {
            let is_own = |platform: &Platform| platform.os == own.os && platform.architecture == own.architecture;
            let chosen = index.manifests.iter().find(|one| one.platform.as_ref().is_some_and(is_own));
            let unknown = index.manifests.iter().find(|one| one.platform.is_none());
            let Some(chosen) = chosen.or(unknown) else {
                let all: Vec<String> =
                    index.manifests.iter().filter_map(|one| Some(one.platform.as_ref()?.to_string())).collect();
                return Err(Failure::input(format!("{text} has no image for {own}"))
                    .hint(format!("it has: {}", all.join(", ")))
                    .into());
            };
            let bytes = small(&chosen.digest, text, world)?;
            let manifest = Manifest::parse(&bytes).map_err(|error| Failure::input(format!("{text}: {error}")))?;
            of_manifest(&chosen.digest, &manifest, text, world)
        }
    }
}

fn of_manifest(digest: &Digest, manifest: &Manifest, text: &str, world: &World<'_>) -> Result<Runnable, Report> {
    let bytes = small(&manifest.config.digest, text, world)?;
    let config =
        ImageConfig::parse(&bytes).map_err(|error| Failure::input(format!("{text} is no image that runs: {error}")))?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(Failure::input(format!(
            "{text} cannot be run: its config has {} layers, its manifest {}",
            config.rootfs.diff_ids.len(),
            manifest.layers.len()
        ))
        .into());
    }
    let blobs = manifest.layers.iter().cloned().map(Some);
    let layers = config.rootfs.diff_ids.iter().copied().zip(blobs).collect();
    Ok(Runnable { digest: *digest, config, layers })
}

fn small(digest: &Digest, text: &str, world: &World<'_>) -> Result<Vec<u8>, Report> {
    match world.store.size(digest)? {
        Some(size) if size > LARGEST_DOCUMENT => {
            Err(Failure::input(format!("{text} is no image: {digest} has {size} bytes")).into())
        }
        Some(_) => Ok(world.store.bytes(digest)?),
        None => Err(Failure::input(format!("{text} is not whole: {digest} is not in the store"))
            .hint(format!("corten pull {text}"))
            .into()),
    }
}
