//! `corten pull`.

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::registry::{self, Platforms};
use serde::Serialize;

use super::{reference, registry_options, result};
use crate::args::{self, Format};
use crate::render::text::size;

/// What `--format json` prints: all documented in README.md.
#[derive(Serialize)]
struct Shape {
    reference: String,
    digest: String,
    fetched: Count,
    there: Count,
}

#[derive(Serialize)]
struct Count {
    blobs: usize,
    bytes: u64,
}

/// Pulls an image.
pub fn run(arguments: &args::Pull, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let name = reference(&arguments.image)?;
    let platforms = match arguments.platform.as_deref() {
        Some("all") => Platforms::All,
        Some(text) => Platforms::One(text.parse().map_err(|error| Failure::usage(format!("--platform: {error}")))?),
        None => Platforms::OWN,
    };
    let pulled = registry::pull(&name, platforms, &registry_options(&arguments.registry)?, world)?;
    let count = |(blobs, bytes)| Count { blobs, bytes };
    let shape = Shape {
        reference: name.to_string(),
        digest: pulled.digest.to_string(),
        fetched: count(pulled.fetched),
        there: count(pulled.there),
    };
    result(format, &shape, || {
        let of = |count: &Count| format!("{} ({} blobs)", size(count.bytes), count.blobs);
        format!("{}\nfetched {}, there already {}", shape.digest, of(&shape.fetched), of(&shape.there))
    })?;
    Ok(0)
}
