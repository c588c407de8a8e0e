//! `corten lock`.

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::build::lock;
use serde::Serialize;

use super::{plan_options, result};
use crate::args::{self, Format};
use crate::render::print;

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape {
    changes: Vec<String>,
}

/// Renews the pins of corten.lock; prints what changed, one line each.
pub fn run(arguments: &args::Lock, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let changes = lock(&arguments.project.folder, &plan_options(&arguments.project)?, world)?;
    if changes.is_empty() {
        world.events.note("corten.lock is up to date");
    }
    match format {
        Format::Text => changes.iter().try_for_each(|change| print(change))?,
        Format::Json => result(format, &Shape { changes }, String::new)?,
    }
    Ok(0)
}
