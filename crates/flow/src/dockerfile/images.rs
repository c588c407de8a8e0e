//! What FROM, `COPY --from` and mounts name, found and pinned by digest.
//!
//! Looked for in this order: a name of `--build-context`, `[base.aliases]`, the store (not with `--pull`), the name's registry.
//! Which it was is said. Nothing is ever taken in place of a name without the user's word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use corten_diagnostic::{Event, Failure, Fault, Report};
use corten_frontend::settings::{ImageBase, ImageKind};
use corten_oci::{
    Architecture, Descriptor, Digest, ImageConfig, LayerIndex, MediaType, Reference, Repository, SetId, Tag,
};
use corten_plan::GivenLayer;
use corten_plan::recipe::{BaseName, PinnedImage};
use corten_store::foreign::{self, Found, Origin};
use corten_store::{Key, TreeLayer};
use serde::{Deserialize, Serialize};

use super::request::ContextPlace;
use crate::images::failure;
use crate::named;
use crate::registry::RegistryOptions;
use crate::registry_base;
use crate::world::World;

/// Raised when what is remembered of the same image changes.
const FORMAT: u32 = 1;

/// Finds images.
pub struct Images<'a> {
    /// `--build-context`.
    pub contexts: &'a BTreeMap<String, ContextPlace>,
    /// `[base.aliases]`: names and what they stand for.
    pub aliases: &'a BTreeMap<String, String>,
    /// `--pull`.
    pub pull: bool,
    /// How registries are reached.
    pub registry: &'a RegistryOptions,
    /// The store and the network.
    pub world: &'a World<'a>,
    /// What was said about names: stages on one image are told of it once.
    pub said: Mutex<BTreeSet<(String, String)>>,
}

/// What is remembered of an image.
#[derive(Serialize, Deserialize)]
struct Known {
    config: ImageConfig,
    layers: Vec<GivenLayer>,
}

impl Images<'_> {
    /// The image of a name.
    ///
    /// # Errors
    /// Usage where a context or alias names nothing, input for a broken image, world where it is at no place that can be reached.
    pub fn find(&self, name: &BaseName) -> Result<PinnedImage, Report> {
        let platform = name.platform.to_string();
        let architecture = platform.parse::<Architecture>();
        let architecture = architecture.map_err(|error| Failure::input(format!("{}: {error}", name.image)))?;
        let (image, how) = match self.contexts.get(&name.image) {
            Some(ContextPlace::Image(image)) => {
                (self.local(Path::new("."), image, architecture, &name.image)?, "of --build-context".to_owned())
            }
            Some(ContextPlace::Named(reference)) => {
                let (image, how) = self.named(reference, architecture)?;
                (image, format!("{reference} of --build-context, {how}"))
            }
            _ => self.written(&name.image, architecture)?,
        };
        let made = named::made_by(&image.config);
        let made = made.map(|base| format!(", made of Debian's packages by `corten base build {base}`"));
        let why = format!("{how}{}: {}", made.unwrap_or_default(), image.digest.short());
        let is_new = self.said.lock().unwrap_or_else(PoisonError::into_inner).insert((name.image.clone(), why.clone()));
        if is_new {
            self.world.events.emit(Event::Decision { about: "base", choice: &name.image, why: &why });
        }
        Ok(image)
    }

    fn written(&self, name: &str, architecture: Architecture) -> Result<(PinnedImage, String), Report> {
        let reference: Reference = name.parse().map_err(|error| Failure::input(format!("'{name}': {error}")))?;
        let Some((_, alias)) = self.aliases.iter().find(|(known, _)| *known == name) else {
            return self.named(&reference, architecture);
        };
        let wrong = |why: String| Failure::usage(format!("[base.aliases] {name} = \"{alias}\": {why}"));
        match ContextPlace::parse(&format!("{name}={}", alias.replacen("oci-layout:", "oci-layout://", 1)))?.1 {
            ContextPlace::Image(image) => {
                let image = self.local(Path::new("."), &image, architecture, name)?;
                Ok((image, format!("{alias} by [base.aliases]")))
            }
            ContextPlace::Named(other) => {
                let (image, how) = self.named(&other, architecture)?;
                Ok((image, format!("{other} by [base.aliases], {how}")))
            }
            _ => {
                let other: Reference = alias.parse().map_err(|error| wrong(format!("{error}")))?;
                let (image, how) = self.named(&other, architecture)?;
                Ok((image, format!("{other} by [base.aliases], {how}")))
            }
        }
    }

    /// From the store, else from its registry.
    fn named(&self, reference: &Reference, architecture: Architecture) -> Result<(PinnedImage, String), Report> {
        let normal = Reference { repository: reference.repository.normalised(), ..reference.clone() };
        if !self.pull {
            for name in [reference, &normal, &familiar(&normal)] {
                if let Some(image) = self.of_store(name, architecture)? {
                    return Ok((image, "of the store".to_owned()));
                }
            }
        }
        let is_known = |digest: &Digest| self.remembered(digest);
        let pulled = registry_base::pull(reference, architecture, self.registry, &is_known, self.world);
        let (digest, known) = pulled.map_err(|report| self.unreachable(reference, report))?;
        let how = format!("as {} has it now", normal.repository);
        if let Some(known) = known {
            return Ok((pinned(digest, known), how));
        }
        let origin = Origin::Pulled { name: reference.to_string() };
        let found = foreign::find(&origin, Some(&digest), architecture, self.world.store);
        let found = found.map_err(|error| failure(&error, format!("{reference}: {error}")))?;
        Ok((self.take(found, &reference.to_string())?, how))
    }

    fn of_store(&self, name: &Reference, architecture: Architecture) -> Result<Option<PinnedImage>, Report> {
        let latest = || Tag::new("latest").ok().filter(|_| name.digest.is_none());
        let name = Reference { tag: name.tag.clone().or_else(latest), ..name.clone() };
        let Some(digest) = self.world.store.image(&name)? else { return Ok(None) };
        if let Some(image) = self.of_config(&digest, architecture)? {
            return Ok(Some(image));
        }
        let image = ImageBase { kind: ImageKind::Store, path: name.to_string(), name: None, digest: None };
        self.local(Path::new("."), &image, architecture, &name.to_string()).map(Some)
    }

    /// What a build left here: a config with diff ids, whose layers have no blobs yet.
    fn of_config(&self, digest: &Digest, architecture: Architecture) -> Result<Option<PinnedImage>, Report> {
        let Ok(config) = ImageConfig::parse(&self.world.store.bytes(digest)?) else { return Ok(None) };
        if config.architecture != architecture.to_string() {
            let failure =
                Failure::input(format!("the image {digest} is for {}, not {architecture}", config.architecture));
            return Err(failure.hint("--platform builds for another machine").into());
        }
        let mut layers = Vec::new();
        for TreeLayer { diff_id, blob } in self.world.store.local_layers(&config)? {
            let index = self.world.store.layer_index(&diff_id)?;
            let Some(index) = index else {
                return Err(Failure::world(format!("the image {digest} has a layer {diff_id} that the store has not"))
                    .hint("build it again")
                    .into());
            };
            let size = index.entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.size));
            let blob = blob.unwrap_or_else(|| Descriptor::new(MediaType::LAYER, diff_id.0, size));
            layers.push(given(blob, diff_id, size, &index));
        }
        Ok(Some(PinnedImage { digest: *digest, config, layers }))
    }

    fn local(
        &self,
        folder: &Path,
        image: &ImageBase,
        architecture: Architecture,
        shown: &str,
    ) -> Result<PinnedImage, Report> {
        if image.kind == ImageKind::Store {
            let name: Reference =
                image.path.parse().map_err(|error| Failure::usage(format!("'{}': {error}", image.path)))?;
            let digest = self.world.store.image(&name)?;
            if let Some(local) = digest.map(|digest| self.of_config(&digest, architecture)).transpose()?.flatten() {
                return Ok(local);
            }
        }
        let origin = crate::images::origin(folder, image)?;
        let found = foreign::find(&origin, image.digest.as_ref(), architecture, self.world.store);
        let found = found.map_err(|error| failure(&error, format!("{shown}: {error}")))?;
        self.take(found, shown)
    }

    fn take(&self, found: Found, shown: &str) -> Result<PinnedImage, Report> {
        let (digest, config) = (found.digest, found.config.clone());
        if let Some(known) = self.remembered(&digest)? {
            return Ok(pinned(digest, known));
        }
        let store = self.world.store;
        let taken = found.take(store, &|_| {}).map_err(|error| failure(&error, format!("{shown}: {error}")))?;
        let layers = taken.into_iter().map(|layer| given(layer.blob, layer.diff_id, layer.tar_size, &layer.index));
        let known = Known { config, layers: layers.collect() };
        let bytes =
            serde_json::to_vec(&known).map_err(|error| Failure::bug(format!("remembering {shown}: {error}")))?;
        let batch = store.batch();
        batch.record(&key(&digest), &bytes)?;
        batch.finish()?;
        Ok(pinned(digest, known))
    }

    fn remembered(&self, digest: &Digest) -> Result<Option<Known>, Report> {
        let store = self.world.store;
        let Some(record) = store.record(&key(digest))? else { return Ok(None) };
        let Ok(known) = serde_json::from_slice::<Known>(&record) else { return Ok(None) };
        for layer in &known.layers {
            let somewhere = store.size(&layer.blob.digest)? == Some(layer.blob.size)
                || !store.origins(&layer.blob.digest)?.is_empty();
            if !somewhere || !store.has_layer_index(&layer.diff_id) {
                return Ok(None);
            }
        }
        Ok(Some(known))
    }

    /// No registry answers: what else there is.
    fn unreachable(&self, reference: &Reference, report: Report) -> Report {
        let error = report.error();
        if error.fault() != Fault::World {
            return report;
        }
        let mut failure = Failure::world(error.to_string());
        if named::known(reference).is_some() {
            failure = failure.hint(format!("`corten base build {reference}` makes one from Debian's signed archive"));
        }
        let failure = error.hints().into_iter().fold(failure, Failure::hint);
        failure.hint(format!("--build-context {reference}=oci-layout://FOLDER takes one from a folder")).into()
    }
}

/// As people write names of Docker's registry: `python` for `docker.io/library/python`, `me/x` for `docker.io/me/x`.
fn familiar(normal: &Reference) -> Reference {
    let whole = normal.repository.to_string();
    let short = whole.strip_prefix("docker.io/library/").or_else(|| whole.strip_prefix("docker.io/"));
    // What begins as a host does is one without the rest: docker.io/localhost/x is not localhost/x.
    let repository = short.and_then(|short| short.parse().ok()).filter(|short: &Repository| short.host.is_none());
    Reference { repository: repository.unwrap_or_else(|| normal.repository.clone()), ..normal.clone() }
}

fn pinned(digest: Digest, known: Known) -> PinnedImage {
    PinnedImage { digest, config: known.config, layers: known.layers }
}

fn given(blob: Descriptor, diff_id: corten_oci::DiffId, tar_size: u64, index: &LayerIndex) -> GivenLayer {
    GivenLayer { blob, diff_id, tar_size, installed: Vec::new(), set_id: SetId::all(index) }
}

fn key(digest: &Digest) -> Key {
    let facts = ("image of a Dockerfile", FORMAT, digest);
    Key(Digest::of(serde_json::to_vec(&facts).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_of_the_same_registry() {
        for (whole, short) in [
            ("docker.io/library/python:3", "python:3"),
            ("docker.io/me/x:1", "me/x:1"),
            ("docker.io/localhost/x:1", "docker.io/localhost/x:1"),
            ("docker.io/quay.io/x:1", "docker.io/quay.io/x:1"),
            ("quay.io/me/x:1", "quay.io/me/x:1"),
        ] {
            assert_eq!(familiar(&whole.parse().unwrap()).to_string(), short);
        }
    }
}
