//! Building: plan, write corten.lock if it changed, solve.

use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_engine::{Capabilities, LocalEngine};
use corten_oci::{Reference, Repository, Tag};
use corten_plan::{Built, Engine};

use crate::base::Sources;
use crate::plan::{PlanOptions, Planned, plan};
use crate::world::World;
use crate::{lock, program, tags};

/// What is asked of a build.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// What to build.
    pub plan: PlanOptions,
    /// Make every layer again.
    pub no_cache: bool,
}

/// A built image.
pub struct Outcome {
    /// What it was built from.
    pub planned: Planned,
    /// The image, in the store.
    pub built: Built,
    /// Its tags, most wanted first.
    pub tags: Vec<Tag>,
}

impl Outcome {
    /// The image's names in `repository`, most wanted first.
    pub fn references(&self, repository: &Repository) -> Vec<Reference> {
        let reference = |tag: &Tag| Reference { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
        self.tags.iter().map(reference).collect()
    }

    /// The image's repository in the local store.
    pub fn repository(&self) -> Result<Repository, Failure> {
        let name = &self.planned.project.settings.name;
        name.value.parse().map_err(|error| Failure::usage(format!("the name of the image: {error}")))
    }
}

impl Outcome {
    /// Lets names of the local store point to the image. One that moves is worth a word; nobody deploys from here.
    pub fn name(&self, names: &[Reference], world: &World<'_>) -> Result<(), Report> {
        let new = self.built.image.manifest.digest;
        let batch = world.store.batch();
        for name in names {
            match world.store.image(name)? {
                Some(old) if old == new => continue,
                Some(old) => world.events.note(&format!("{name} moves from {} to {}", old.short(), new.short())),
                None => {}
            }
            batch.image(name, &new)?;
        }
        Ok(batch.finish()?)
    }
}

/// Pins the base anew and writes corten.lock: what changed.
pub fn lock(folder: &Path, options: &PlanOptions, world: &World<'_>) -> Result<Vec<String>, Report> {
    let planned = plan(folder, &PlanOptions { renew: true, ..options.clone() }, world)?;
    let Some((lock, changes)) = &planned.new_lock else { return Ok(Vec::new()) };
    lock::write(&planned.project.folder, lock)?;
    Ok(changes.clone())
}

/// Builds the image of a folder into the store.
pub fn build(folder: &Path, options: &BuildOptions, world: &World<'_>) -> Result<Outcome, Report> {
    let planned = plan(folder, &options.plan, world)?;
    if let Some((lock, changes)) = &planned.new_lock {
        lock::write(&planned.project.folder, lock)?;
        world.events.note(&format!("corten.lock: {}", changes.join("; ")));
    }
    let built = solve(&planned, options.no_cache, world)?;
    let tags = tags::tags(&planned.version, planned.origin(), &built.image.manifest.digest)?;
    Ok(Outcome { planned, built, tags })
}

fn solve(planned: &Planned, no_cache: bool, world: &World<'_>) -> Result<Built, Report> {
    let sources = Sources::of(&planned.project)?;
    let engine = LocalEngine::new(Capabilities {
        store: world.store,
        client: world.client,
        archive: sources.archive(world),
        run_program: &program::run,
        events: world.events,
        jobs: world.jobs,
        reuse: !no_cache,
    });
    engine.solve(&planned.plan, planned.image)
}
