//! `corten sbom`.

use corten_diagnostic::{Failure, Report};
use corten_flow::{World, bom, look};
use corten_oci::{Architecture, PlatformError};

use crate::args;
use crate::render::print_bytes;

/// Prints the bill of materials of an image of the store.
pub fn run(arguments: &args::Sbom, world: &World<'_>) -> Result<u8, Report> {
    let digest = look::digest_in_store(&arguments.image, world)?;
    let bytes = bom::read(&digest, platform(arguments)?, world)?;
    print_bytes(&bytes)?;
    Ok(0)
}

fn platform(arguments: &args::Sbom) -> Result<Option<Architecture>, Failure> {
    let platform = arguments.platform.as_deref().map(str::parse).transpose();
    platform.map_err(|error: PlatformError| Failure::usage(format!("--platform: {error}")))
}
