//! Building: plan, write corten.lock if it changed, solve.

use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_engine::{Capabilities, LocalEngine, Publish};
use corten_install::debian::contents::Sought;
use corten_oci::{Descriptor, Digest, Index, MediaType, Platform, Reference, Repository, Tag};
use corten_plan::{Built, CortenLock, Engine};

use crate::base::{HOST, Sources};
use crate::once::Once;
use crate::plan::{PlanOptions, Planned, plan};
use crate::project::Project;
use crate::registry::RegistryOptions;
use crate::upgrade::{self, PackageChange};
use crate::world::World;
use crate::{blobs, builds, debs, lock, program, project, tags, unlocked};

/// What is asked of a build.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// What to build.
    pub plan: PlanOptions,
    /// Make every layer again.
    pub no_cache: bool,
}

/// One platform of an image.
pub struct Part {
    /// What it was built from.
    pub planned: Planned,
    /// The image, in the store.
    pub built: Built,
}

/// A built image.
pub struct Outcome {
    /// What it was built from.
    pub planned: Planned,
    /// The image, in the store.
    pub built: Built,
    /// The platforms after the first.
    pub others: Vec<Part>,
    /// The index of the platforms, in the store; none where there is one.
    pub index: Option<Descriptor>,
    /// Its tags, most wanted first.
    pub tags: Vec<Tag>,
}

impl Outcome {
    /// Every platform, the first one first.
    pub fn parts(&self) -> impl Iterator<Item = (&Planned, &Built)> {
        let others = self.others.iter().map(|part| (&part.planned, &part.built));
        std::iter::once((&self.planned, &self.built)).chain(others)
    }

    /// What names point to: the index, or the only manifest.
    pub fn root(&self) -> &Descriptor {
        self.index.as_ref().unwrap_or(&self.built.image.manifest)
    }

    /// The manifest for this machine, else the first, and its platform: what can be loaded where indexes are not
    /// understood.
    pub fn loadable(&self) -> (Digest, Platform) {
        let own = self.parts().find(|(planned, _)| planned.base.architecture == HOST);
        let (planned, built) = own.unwrap_or((&self.planned, &self.built));
        (built.image.manifest.digest, Platform::linux(planned.base.architecture))
    }

    /// Is one of its platforms this machine's?
    pub fn runs_here(&self) -> bool {
        self.parts().any(|(planned, _)| planned.base.architecture == HOST)
    }

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
        let new = self.root().digest;
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

/// What a new corten.lock changes.
#[derive(Debug, Default)]
pub struct Relocked {
    /// One line each.
    pub changes: Vec<String>,
    /// The base's packages, where it alone was renewed.
    pub packages: Vec<PackageChange>,
}

/// Locks what nobody has locked, pins everything anew, or the base alone, and writes corten.lock: what changed.
pub fn lock(folder: &Path, options: &PlanOptions, world: &World<'_>) -> Result<Relocked, Report> {
    let mut changed = match options.upgrade_base {
        true => Vec::new(),
        false => unlocked::lock(folder, options, world)?,
    };
    let locked = project::corten_lock(folder)?.map(|lock| lock.bases).unwrap_or_default();
    let mut architectures = options.platforms();
    architectures.extend(locked.iter().map(|base| base.architecture));
    architectures.sort();
    architectures.dedup();
    let renew = !options.upgrade_base;
    let planned = plan_each(folder, &PlanOptions { renew, architectures, ..options.clone() }, world)?;
    let Some((lock, changes)) = whole_lock(&planned) else {
        return Ok(Relocked { changes: changed, packages: Vec::new() });
    };
    let packages = match planned.first().filter(|_| options.upgrade_base) {
        Some(first) => upgrade::changes(&first.project, &locked, &lock.bases, world)?,
        None => Vec::new(),
    };
    lock::write(folder, &lock)?;
    changed.extend(changes);
    Ok(Relocked { changes: changed, packages })
}

/// Plans every platform, before anything is built for one.
pub fn plan_each(folder: &Path, options: &PlanOptions, world: &World<'_>) -> Result<Vec<Planned>, Report> {
    let platforms = options.platforms();
    let once = Once::new(world.events);
    let world = &World { events: &once, ..*world };
    let mut all: Vec<Planned> = Vec::new();
    for &architecture in &platforms {
        let siblings = all.iter().map(|planned| planned.base.clone()).collect();
        let options = PlanOptions { architecture, architectures: platforms.clone(), siblings, ..options.clone() };
        all.push(plan(folder, &options, world)?);
    }
    Ok(all)
}

/// corten.lock as the platforms together want it, where any of them wants a change.
fn whole_lock(planned: &[Planned]) -> Option<(CortenLock, Vec<String>)> {
    let wanted: Vec<_> = planned.iter().filter_map(|planned| planned.new_lock.as_ref()).collect();
    let (mut lock, mut changes) = (*wanted.first()?).clone();
    for (other, more) in wanted.iter().skip(1) {
        changes.extend(more.iter().filter(|change| !changes.contains(change)).cloned().collect::<Vec<_>>());
        lock.bases.extend(
            other.bases.iter().filter(|base| lock.base(base.architecture).is_none()).cloned().collect::<Vec<_>>(),
        );
        lock.build = builds::joined(lock.build.take(), other.build.clone());
        if let (Some(lock), Some(other)) = (&mut lock.lock, &other.lock) {
            lock.recorded.extend(other.recorded.iter().map(|(file, digest)| (file.clone(), *digest)));
        }
    }
    for planned in planned {
        lock.bases.retain(|base| base.architecture != planned.base.architecture);
        lock.bases.push(planned.base.clone());
    }
    lock.bases.sort_by_key(|base| base.architecture);
    Some((lock, changes))
}

/// Builds the image of a folder into the store.
pub fn build(folder: &Path, options: &BuildOptions, world: &World<'_>) -> Result<Outcome, Report> {
    build_for(folder, options, None, world)
}

/// As [`build`]; finished layers go to `publish` while others are made.
pub fn build_for(
    folder: &Path,
    options: &BuildOptions,
    publish: Option<&dyn Publish>,
    world: &World<'_>,
) -> Result<Outcome, Report> {
    let planned = plan_each(folder, &options.plan, world)?;
    if let Some((lock, changes)) = whole_lock(&planned) {
        lock::write(folder, &lock)?;
        world.events.note(&format!("corten.lock: {}", changes.join("; ")));
    }
    let mut parts = Vec::new();
    for planned in planned {
        let built = solve(&planned, options.no_cache, publish, world)?;
        parts.push(Part { planned, built });
    }
    let index = index(&parts, world)?;
    let mut parts = parts.into_iter();
    let Some(Part { planned, built }) = parts.next() else { return Err(Failure::bug("there is no platform").into()) };
    let root = index.as_ref().unwrap_or(&built.image.manifest).digest;
    let tags = tags::tags(&planned.version, planned.origin(), &root)?;
    Ok(Outcome { planned, built, others: parts.collect(), index, tags })
}

/// Writes the index of several platforms.
fn index(parts: &[Part], world: &World<'_>) -> Result<Option<Descriptor>, Report> {
    if parts.len() < 2 {
        return Ok(None);
    }
    let manifest = |part: &Part| Descriptor {
        platform: Some(Platform::linux(part.planned.base.architecture)),
        ..part.built.image.manifest.clone()
    };
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: None,
        manifests: parts.iter().map(manifest).collect(),
        subject: None,
        annotations: Default::default(),
    };
    let bytes = serde_json::to_vec(&index).map_err(|error| Failure::bug(format!("writing the index: {error}")))?;
    let batch = world.store.batch();
    batch.put(&bytes)?;
    batch.finish()?;
    Ok(Some(Descriptor::of(MediaType::INDEX, &bytes)))
}

fn solve(planned: &Planned, no_cache: bool, publish: Option<&dyn Publish>, world: &World<'_>) -> Result<Built, Report> {
    with_engine(planned, no_cache, publish, world, |engine| engine.solve(&planned.plan, planned.image))
}

/// Lets an engine that has what the project needs work.
pub(crate) fn with_engine<T>(
    planned: &Planned,
    no_cache: bool,
    publish: Option<&dyn Publish>,
    world: &World<'_>,
    work: impl FnOnce(&LocalEngine<'_>) -> Result<T, Report>,
) -> Result<T, Report> {
    let package_of = |sought: &Sought| builds::package_of(planned, sought, world);
    let made = Making { project: &planned.project, registry: &planned.registry, package_of: &package_of };
    made.with_engine(no_cache, publish, world, work)
}

/// What an engine needs to know of a project.
pub(crate) struct Making<'a> {
    /// Whose mirrors are asked.
    pub(crate) project: &'a Project,
    /// How registries are reached.
    pub(crate) registry: &'a RegistryOptions,
    /// Which Debian package has what a build from source lacks.
    pub(crate) package_of: &'a (dyn Fn(&Sought) -> Option<String> + Sync),
}

impl Making<'_> {
    /// As [`with_engine`].
    pub(crate) fn with_engine<T>(
        &self,
        no_cache: bool,
        publish: Option<&dyn Publish>,
        world: &World<'_>,
        work: impl FnOnce(&LocalEngine<'_>) -> Result<T, Report>,
    ) -> Result<T, Report> {
        let sources = Sources::of(self.project)?;
        let bring = |blobs: &[Descriptor], what: &str| blobs::bring(blobs, what, self.registry, world);
        let engine = LocalEngine::new(Capabilities {
            store: world.store,
            client: world.client,
            archive: sources.archive(world),
            run_program: &program::run,
            package_of: self.package_of,
            bring: &bring,
            publish,
            events: world.events,
            jobs: world.jobs,
            reuse: !no_cache,
        });
        work(&engine).map_err(|error| debs::refused(error, self.project))
    }
}
