//! `corten sbom`.

use std::io::Write;

use corten_diagnostic::{Failure, Report};
use corten_flow::{World, bom};
use corten_oci::{Architecture, Digest, PlatformError, Reference};

use crate::args;

/// Prints the bill of materials of an image of the store.
pub fn run(arguments: &args::Sbom, world: &World<'_>) -> Result<u8, Report> {
    let digest = find(&arguments.image, world)?;
    let bytes = bom::read(&digest, platform(arguments)?, world)?;
    // A closed pipe ends the output quietly.
    drop(std::io::stdout().lock().write_all(&bytes));
    Ok(0)
}

fn platform(arguments: &args::Sbom) -> Result<Option<Architecture>, Failure> {
    let platform = arguments.platform.as_deref().map(str::parse).transpose();
    platform.map_err(|error: PlatformError| Failure::usage(format!("--platform: {error}")))
}

/// An image by digest, name and tag, or name alone if it has one image only.
pub fn find(text: &str, world: &World<'_>) -> Result<Digest, Report> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    let reference: Reference =
        text.parse().map_err(|error| Failure::usage(format!("'{text}' names no image: {error}")))?;
    if let Some(digest) = world.store.image(&reference)? {
        return Ok(digest);
    }
    let images = world.store.images()?;
    let same = images.iter().filter(|(name, _)| name.repository == reference.repository);
    let names: Vec<String> = same.clone().map(|(name, _)| name.to_string()).collect();
    let mut digests: Vec<Digest> = same.map(|(_, digest)| *digest).collect();
    digests.sort();
    digests.dedup();
    if let (None, [digest]) = (&reference.tag, digests.as_slice()) {
        return Ok(*digest);
    }
    let failure = Failure::input(format!("there is no image '{text}' in the store"));
    Err(match names.is_empty() {
        true => failure.hint("`corten images` lists what is there"),
        false => failure.hint(format!("there are: {}", names.join(", "))),
    }
    .into())
}
