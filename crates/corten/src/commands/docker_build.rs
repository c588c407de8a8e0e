//! `corten build` of a Dockerfile.

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::dockerfile::{Request, plan};

use crate::args::{self, Format};

/// Builds and names.
pub fn run(request: &Request, _arguments: &args::Build, _format: Format, world: &World<'_>) -> Result<u8, Report> {
    plan(request, &mut std::io::stdin().lock(), world)?;
    Err(Failure::usage("building from a Dockerfile is not part of this version")
        .hint("`corten plan` shows its stages and steps")
        .hint("--frontend native builds from the lock")
        .into())
}
