//! A base goes to a registry, for other projects to stand on: by digest, so that what they get never moves.

use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, Reference};
use corten_registry::Pushed;
use corten_store::layout;

use crate::registry::{self, RegistryOptions};
use crate::world::World;
use crate::{bases, look};

/// A base that is at a registry.
#[derive(Debug, Clone)]
pub struct PushedBase {
    /// What others write as their base: with its digest.
    pub reference: Reference,
    /// What went up.
    pub pushed: Pushed,
}

/// Brings a base to a registry: an image of the store by name or digest (`store:` before it or not), or the only image of
/// an OCI layout by its folder (`oci-layout:` before it or not).
///
/// # Errors
/// Usage where it is no image yet, or is one of several.
pub fn push(base: &str, to: &Reference, options: &RegistryOptions, world: &World<'_>) -> Result<PushedBase, Report> {
    let digest = find(base, world)?;
    let all = registry::push(&digest, std::slice::from_ref(to), options, world)?;
    let mut pushed = Pushed::default();
    all.into_iter().for_each(|(_, one)| pushed += one);
    Ok(PushedBase { reference: Reference { digest: Some(digest), ..to.clone() }, pushed })
}

fn find(base: &str, world: &World<'_>) -> Result<Digest, Report> {
    if let Some(known) = bases::BASES.iter().find(|known| known.reference == base) {
        let failure = Failure::usage(format!("{} is made from Debian's archive, and is no image yet", known.reference));
        return Err(failure
            .hint("`corten base build --bare --name NAME` makes one in a project that stands on it")
            .into());
    }
    if let Some(other) = ["oci-archive:", "docker-archive:"].into_iter().find(|kind| base.starts_with(kind)) {
        let failure = Failure::usage(format!("{base}: what lies in {other} files is not pushed"));
        return Err(failure.hint("`skopeo copy` makes an OCI layout of it, which is").into());
    }
    let folder = base.strip_prefix("oci-layout:");
    if let Some(folder) = folder.or(Some(base).filter(|path| Path::new(path).join("oci-layout").is_file())) {
        return of_layout(folder, world);
    }
    look::digest_in_store(base.strip_prefix("store:").unwrap_or(base), world)
}

fn of_layout(folder: &str, world: &World<'_>) -> Result<Digest, Report> {
    let (folder, wanted) = match folder.split_once("@sha256:") {
        None => (folder, None),
        Some((folder, hex)) => {
            let digest = format!("sha256:{hex}").parse::<Digest>();
            (folder, Some(digest.map_err(|error| Failure::usage(format!("oci-layout:{folder}: {error}")))?))
        }
    };
    let images = layout::import(world.store, Path::new(folder))?;
    match (wanted, images.as_slice()) {
        (Some(wanted), images) if images.contains(&wanted) => Ok(wanted),
        (Some(wanted), _) => Err(Failure::usage(format!("{folder} has no image {wanted}")).into()),
        (None, [one]) => Ok(*one),
        (None, []) => Err(Failure::input(format!("{folder} has no image")).into()),
        (None, images) => {
            let names: Vec<String> = images.iter().map(|digest| format!("oci-layout:{folder}@{digest}")).collect();
            let failure = Failure::usage(format!("{folder} has {} images: which of them is the base?", images.len()));
            Err(failure.hint(format!("name it: {}", names.join(", "))).into())
        }
    }
}
