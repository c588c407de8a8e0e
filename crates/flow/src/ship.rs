//! Shipping: build, check, bill of materials, names, release, OCI layout. The whole main job.

use std::path::{Path, PathBuf};

use corten_attest::{RELEASE_TYPE, Release, ReleaseBase, ReleaseLayer, ReleaseWeights, Sizes, Times, referrer};
use corten_diagnostic::{Failure, Nobody, Report};
use corten_engine::Publish;
use corten_oci::{Descriptor, Digest, Reference, Repository};
use corten_plan::{Built, BuiltLayer};
use corten_registry::Pushed;
use corten_store::layout;

use crate::build::{BuildOptions, Outcome, build_for};
use crate::plan::Planned;
use crate::project::{Project, ProjectOptions};
use crate::registry::{self, RegistryOptions};
use crate::world::World;
use crate::{blobs, bom, check, outputs, publish, tags};

/// What is asked of a shipment.
#[derive(Debug, Clone, Default)]
pub struct ShipOptions {
    /// What to build.
    pub build: BuildOptions,
    /// A copy of the release, with times.
    pub release_file: Option<PathBuf>,
    /// List every file in the bill of materials.
    pub sbom_files: bool,
    /// Bring it to the repository of `[publish]`, and how registries are reached.
    pub push: Option<RegistryOptions>,
}

/// A shipped image.
pub struct Shipped {
    /// What was built.
    pub outcome: Outcome,
    /// What the rules found.
    pub verdict: corten_check::Verdict,
    /// Its names, most wanted first.
    pub references: Vec<Reference>,
    /// Its names at the registry, where it was brought to one.
    pub published: Vec<Reference>,
    /// What went there.
    pub pushed: Option<Pushed>,
    /// The folder with the OCI layout; none where layers that a registry has were left there.
    pub layout: Option<PathBuf>,
    /// The bill of materials, as a file.
    pub sbom: PathBuf,
    /// The release, as a file.
    pub release: PathBuf,
}

/// Ships a folder.
///
/// # Errors
/// Input where the checks say no: then nothing is named and nothing is published.
pub fn ship(
    folder: &Path,
    options: &ShipOptions,
    world: &World<'_>,
    elapsed: &dyn Fn() -> f64,
) -> Result<Shipped, Report> {
    if let Some(path) = &options.release_file {
        outputs::writable("--release-file", path)?;
    }
    let Some(registry) = &options.push else { return unpublished(folder, options, None, world, elapsed) };
    let to = publishable(folder, &options.build.plan.project)?;
    let build = |publish: &dyn Publish| unpublished(folder, options, Some(publish), world, elapsed);
    let (shipped, early) = publish::while_building(&to, registry, world, build, |shipped| shipped.verdict.passed())?;
    match shipped.verdict.passed() {
        true => published(shipped, &to, &early, registry, world),
        // Nothing names what has gone up.
        false => Ok(shipped),
    }
}

/// All but the names at a registry; layers go to `publish` already.
fn unpublished(
    folder: &Path,
    options: &ShipOptions,
    publish: Option<&dyn Publish>,
    world: &World<'_>,
    elapsed: &dyn Fn() -> f64,
) -> Result<Shipped, Report> {
    let outcome = build_for(folder, &options.build, publish, world)?;
    let verdict = check::verdict(&outcome, world)?;
    if !verdict.passed() {
        return Ok(unshipped(outcome, verdict));
    }
    let sbom = bom::attach(&outcome.planned, &outcome.built, options.sbom_files, world)?;
    for other in &outcome.others {
        bom::attach(&other.planned, &other.built, options.sbom_files, world)?;
    }
    let references = outcome.references(&outcome.repository()?);
    let release = release(&outcome, &sbom, world)?;
    let release_blob = record(&outcome, &release, world)?;
    let layout = write_layout(&outcome, &references, options, world)?;
    // Last: a name that can be deployed stands for everything above.
    outcome.name(&references, world)?;
    if let Some(path) = &options.release_file {
        let times = Times { released: tags::rfc3339(world.now)?, seconds: elapsed() };
        write_file(path, &release.to_bytes_with(&times).map_err(unwritable)?)?;
    }
    let sbom_blob = artifact_content(world, &sbom.digest)?;
    Ok(Shipped {
        sbom: world.store.blob_path(&sbom_blob),
        release: world.store.blob_path(&release_blob),
        outcome,
        verdict,
        references,
        published: Vec::new(),
        pushed: None,
        layout,
    })
}

/// An image that goes to a registry leaves there what it has there: a layout would need all of it.
fn write_layout(
    outcome: &Outcome,
    names: &[Reference],
    options: &ShipOptions,
    world: &World<'_>,
) -> Result<Option<PathBuf>, Report> {
    let image = outcome.root().digest;
    let layout = world.store.root().join("layouts").join(&outcome.planned.project.settings.name.value);
    let absent = blobs::absent(&image, world)?;
    if let (Some(_), [first, ..]) = (&options.push, absent.as_slice()) {
        let count = absent.len();
        let text = format!("no OCI layout is written: {count} layers such as {} are at registries alone", first.digest);
        world.events.note(&text);
        return Ok(None);
    }
    let what = format!("writing {}", layout.display());
    blobs::bring(&absent, &what, &options.build.plan.registry, world)?;
    layout::export(world.store, &image, names, &layout)?;
    Ok(Some(layout))
}

/// Where to? Asked before anything is built.
fn publishable(folder: &Path, options: &ProjectOptions) -> Result<Repository, Report> {
    // What is told of the project is told when it is planned.
    let settings = Project::open(folder, options, &Nobody)?.settings;
    match settings.publish.repository.filter(|repository| repository.value.host.is_some()) {
        Some(repository) => Ok(repository.value),
        None => Err(Failure::usage("publishing: the settings do not say where to")
            .hint("repository = \"HOST/PATH\" under [publish], or [tool.corten.publish] in pyproject.toml")
            .into()),
    }
}

/// What is not there yet, then manifests and what hangs on them, then the tags. `early`: what has gone up before.
fn published(
    shipped: Shipped,
    to: &Repository,
    early: &Pushed,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Shipped, Report> {
    let names = shipped.outcome.references(to);
    let mut pushed = *early;
    pushed.there = (0, 0);
    for (_, late) in registry::push(&shipped.outcome.root().digest, &names, options, world)? {
        pushed += late;
    }
    // What went up early is there by now, and was counted.
    for (blobs, bytes) in [early.sent, early.mounted] {
        pushed.there = (pushed.there.0.saturating_sub(blobs), pushed.there.1.saturating_sub(bytes));
    }
    Ok(Shipped { published: names, pushed: Some(pushed), ..shipped })
}

fn unshipped(outcome: Outcome, verdict: corten_check::Verdict) -> Shipped {
    let nowhere = PathBuf::new();
    let (sbom, release) = (nowhere.clone(), nowhere);
    Shipped {
        outcome,
        verdict,
        references: Vec::new(),
        published: Vec::new(),
        pushed: None,
        layout: None,
        sbom,
        release,
    }
}

fn release(outcome: &Outcome, sbom: &Descriptor, world: &World<'_>) -> Result<Release, Report> {
    let planned = &outcome.planned;
    let mut tags: Vec<String> = outcome.tags.iter().map(ToString::to_string).collect();
    tags.sort();
    let layers: Vec<&BuiltLayer> = outcome.parts().flat_map(|(_, built)| &built.layers).collect();
    let platform = |(planned, built): (&Planned, &Built)| {
        (format!("linux/{}", planned.base.architecture), built.image.manifest.digest)
    };
    let platforms = outcome.index.iter().flat_map(|_| outcome.parts().map(platform)).collect();
    let weights = planned.weights.iter().map(|file| ReleaseWeights {
        path: format!("/{}", file.path),
        digest: file.digest,
        size: file.size,
    });
    Ok(Release {
        version: 1,
        name: planned.project.settings.name.value.clone(),
        digest: outcome.root().digest,
        platforms,
        tags,
        commit: planned.commit.as_ref().map(|commit| commit.id.clone()),
        dirty: !planned.dirty.is_empty(),
        locks: locks(outcome)?,
        base: Some(ReleaseBase {
            reference: planned.base.reference.clone(),
            variant: planned.base.image.is_none().then(|| planned.base.variant.name().to_owned()),
            epoch: Some(planned.base.archive.epoch).filter(|epoch| *epoch > 0),
            digest: planned.base.image.as_ref().map(|image| image.digest),
        }),
        weights: weights.collect(),
        sizes: Sizes {
            compressed: layers.iter().map(|built| built.layer.blob.size).sum(),
            uncompressed: layers.iter().map(|built| built.tar_size).sum(),
        },
        layers: layers.iter().copied().map(release_layer).collect(),
        sbom: Some(sbom.digest),
        tool: world.tool.to_owned(),
    })
}

fn release_layer(built: &BuiltLayer) -> ReleaseLayer {
    ReleaseLayer {
        what: built.what.clone(),
        digest: built.layer.blob.digest,
        diff_id: built.layer.diff_id,
        size: built.layer.blob.size,
        tar_size: built.tar_size,
    }
}

fn locks(outcome: &Outcome) -> Result<std::collections::BTreeMap<String, Digest>, Report> {
    let project = &outcome.planned.project;
    let own = outcome.planned.new_lock.as_ref().map(|(lock, _)| lock).or(project.corten_lock.as_ref());
    let mut locks = std::collections::BTreeMap::from([(project.lock_name(), project.lock_digest)]);
    if let Some(own) = own {
        let text = own.text().map_err(|error| Failure::bug(format!("writing corten.lock: {error}")))?;
        locks.insert(crate::project::CORTEN_LOCK.to_owned(), Digest::of(text));
    }
    Ok(locks)
}

/// Hangs the release on the image. Gives the release's blob.
fn record(outcome: &Outcome, release: &Release, world: &World<'_>) -> Result<Digest, Report> {
    let image = outcome.root();
    let bytes = release.to_bytes().map_err(unwritable)?;
    let blob = Digest::of(&bytes);
    let made = referrer(image, RELEASE_TYPE, "release.json", bytes).map_err(unwritable)?;
    let batch = world.store.batch();
    batch.put(&made.layer)?;
    batch.put(&made.config)?;
    batch.put(&made.manifest)?;
    batch.referrer(&image.digest, &made.descriptor)?;
    batch.finish()?;
    Ok(blob)
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::bug(format!("writing the release: {error}"))
}

fn artifact_content(world: &World<'_>, artifact: &Digest) -> Result<Digest, Report> {
    let manifest = corten_oci::Manifest::parse(&world.store.bytes(artifact)?)
        .map_err(|error| Failure::world(format!("reading artifact {artifact}: {error}")))?;
    let layer = manifest.layers.first().map(|layer| layer.digest);
    layer.ok_or_else(|| Failure::world(format!("artifact {artifact} has no content")).into())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| Failure::world(format!("writing {}: {error}", path.display())))
}
