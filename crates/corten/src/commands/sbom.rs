//! `corten sbom`.

use std::io::Write;

use corten_diagnostic::{Failure, Report};
use corten_flow::{World, bom, look};
use corten_oci::{Architecture, Digest, PlatformError};

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
    look::digest_in_store(text, world)
}
