//! `corten lock`.

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::build::lock;

use super::plan_options;
use crate::args;
use crate::render::print;

/// Renews the pins of corten.lock; prints what changed, one line each.
pub fn run(arguments: &args::Lock, world: &World<'_>) -> Result<u8, Report> {
    let changes = lock(&arguments.project.folder, &plan_options(&arguments.project)?, world)?;
    if changes.is_empty() {
        world.events.note("corten.lock is up to date");
    }
    changes.iter().try_for_each(|change| print(change))?;
    Ok(0)
}
