//! `corten resolve`.

use corten_diagnostic::Report;
use corten_flow::{World, registry};
use serde::Serialize;

use super::{reference, registry_options, result};
use crate::args::{self, Format};

#[derive(Serialize)]
struct Shape {
    reference: String,
    digest: String,
}

/// Prints the digest that a name has at its registry now.
pub fn run(arguments: &args::Resolve, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let name = reference(&arguments.image)?;
    let digest = registry::resolve(&name, &registry_options(&arguments.registry)?, world)?;
    let shape = Shape { reference: name.to_string(), digest: digest.to_string() };
    result(format, &shape, || shape.digest.clone())?;
    Ok(0)
}
