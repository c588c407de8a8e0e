//! Further names for an image: in the store, or at its registry. Its manifest stays as it is, byte for byte.

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, Reference, Tag};
use corten_registry::Which;

use super::{Ask, Found, Place, Source, Wanted, find, reference};
use crate::registry::RegistryOptions;
use crate::world::World;

/// A name that stands for the image now.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// The name.
    pub name: Reference,
    /// What it stood for before; none where it is new.
    pub was: Option<Digest>,
}

/// Gives an image further names; says what each stood for before.
///
/// # Errors
/// Usage where a name is none, has a digest, or is in another repository of a registry; else as [`find`].
pub fn tag(
    old: &str,
    new: &[String],
    ask: Ask,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<(Digest, Vec<Tagged>), Report> {
    let old_reference = old.parse::<Digest>().is_err().then(|| reference(old)).transpose()?;
    let names = match ask {
        Ask::StoreFirst => new.iter().map(|text| name(text)).collect::<Result<Vec<_>, Failure>>()?,
        Ask::Registry => {
            let old = old_reference.as_ref().ok_or_else(|| {
                Failure::usage(format!("{old} names no repository")).hint("say HOST/REPOSITORY@DIGEST")
            })?;
            new.iter().map(|text| beside(old, text)).collect::<Result<Vec<_>, Failure>>()?
        }
    };
    if ask == Ask::StoreFirst {
        let here = old_reference.as_ref().map(|old| super::in_store(old, world)).transpose()?.flatten();
        if let Some(elsewhere) = old_reference.filter(|old| here.is_none() && old.repository.host.is_some()) {
            return Err(super::absent(&elsewhere.to_string()).hint("--remote does it at its registry").into());
        }
        let digest = match here {
            Some(digest) => digest,
            None => super::digest_in_store(old, world)?,
        };
        if world.store.size(&digest)?.is_none() {
            return Err(super::absent(old).hint("`corten images` lists what is there").into());
        }
        let tagged = in_store(&digest, names, world)?;
        return Ok((digest, tagged));
    }
    // A mirror decides nothing about what is changed.
    let own = RegistryOptions { mirrors: Vec::new(), ..options.clone() };
    let found = find(&Wanted { name: old, ask }, &own, world)?;
    Ok((found.root.digest, at_registry(&found, names)?))
}

/// Without a tag, `latest` is meant, as by docker.
fn name(text: &str) -> Result<Reference, Failure> {
    let name = reference(text)?;
    let tag = match (&name.tag, name.digest) {
        (_, Some(_)) => {
            return Err(Failure::usage(format!("{name} has a digest: an image has its own")).hint("say NAME:TAG"));
        }
        (Some(tag), None) => tag.clone(),
        (None, None) => Tag::new("latest").map_err(|error| Failure::bug(error.to_string()))?,
    };
    Ok(Reference { tag: Some(tag), ..name })
}

/// A tag alone, or a name of the same repository.
fn beside(old: &Reference, text: &str) -> Result<Reference, Failure> {
    if let Ok(tag) = Tag::new(text) {
        return Ok(Reference { repository: old.repository.clone(), tag: Some(tag), digest: None });
    }
    let new = name(text)?;
    match new.repository.normalised() == old.repository.normalised() {
        true => Ok(new),
        false => Err(Failure::usage(format!("{new} is in another repository than {old}"))
            .hint(format!("`corten pull {old}`, then `corten push {old} {new}`"))),
    }
}

fn in_store(digest: &Digest, names: Vec<Reference>, world: &World<'_>) -> Result<Vec<Tagged>, Report> {
    let batch = world.store.batch();
    let mut tagged = Vec::new();
    for name in names {
        let was = world.store.image(&name)?;
        batch.image(&name, digest)?;
        tagged.push(Tagged { name, was });
    }
    batch.finish()?;
    Ok(tagged)
}

fn at_registry(found: &Found<'_>, names: Vec<Reference>) -> Result<Vec<Tagged>, Report> {
    let (Source::Registry(remote), Place::Registry) = (&found.source, found.place) else {
        return Err(Failure::bug("an image of a registry was found elsewhere").into());
    };
    let mut tagged = Vec::new();
    for name in names {
        let was = remote.resolve(&Which::of(&name)?)?;
        if let Some(tag) = name.tag.as_ref().filter(|_| was != Some(found.root.digest)) {
            remote.put_tag(tag, &found.root.media_type.0, &found.bytes)?;
        }
        tagged.push(Tagged { name, was });
    }
    Ok(tagged)
}
