//! Freeing space: on demand, and by itself after a build where the store has a cap.

use std::time::{Duration, SystemTime};

use corten_diagnostic::Report;
use corten_store::{PruneOptions, Pruning};

use crate::world::World;

/// What a store removes by itself nobody has used for so long: a command that runs on a machine whose clock or locks
/// are doubtful keeps what it works with.
const GRACE: Duration = Duration::from_secs(3600);

/// What is asked of a prune.
#[derive(Debug, Clone, Copy, Default)]
pub struct PruneRequest {
    /// Remove until the store has so many bytes; without it, all that nothing needs.
    pub keep: Option<u64>,
    /// Remove only what nobody used for so long.
    pub unused_for: Duration,
    /// Remove named images, too.
    pub all: bool,
    /// Remove cache mounts alone.
    pub cache_mounts: bool,
}

/// What would be removed.
pub fn prunable(request: &PruneRequest, world: &World<'_>) -> Result<Pruning, Report> {
    if request.cache_mounts {
        let all = PruneOptions { keep: None, all: false, ..options(request, world) };
        return Ok(world.store.prunable(&all)?.cache_mounts(request.keep));
    }
    Ok(world.store.prunable(&options(request, world))?)
}

/// Removes it: what was removed.
pub fn prune(chosen: Pruning, world: &World<'_>) -> Result<Pruning, Report> {
    Ok(world.store.prune(chosen)?)
}

/// Keeps the store below its cap, where it has one: quietly, least recently used first, never what names or running
/// commands need. What hinders it is no reason for a build to fail.
pub fn cap(world: &World<'_>) {
    let Some(keep) = world.store_cap else { return };
    let request = PruneRequest { keep: Some(keep), unused_for: GRACE, ..PruneRequest::default() };
    let cap = || -> Result<(), corten_store::StoreError> {
        if world.store.total()? <= keep {
            return Ok(());
        }
        let chosen = world.store.prunable(&options(&request, world))?;
        if !chosen.is_empty() {
            world.store.try_prune(chosen)?;
        }
        Ok(())
    };
    if let Err(error) = cap() {
        world.events.warning(&format!("the store could not be kept below its cap: {error}"));
    }
}

fn options(request: &PruneRequest, world: &World<'_>) -> PruneOptions {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(world.now).unwrap_or_default());
    PruneOptions { keep: request.keep, unused_for: request.unused_for, all: request.all, now }
}
