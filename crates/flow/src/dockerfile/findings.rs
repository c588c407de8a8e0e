//! What the rules have to say about the steps of a Dockerfile, once they are done: only what this build has measured. And whether
//! the CUDA in what they made fits.

use std::collections::HashMap;

use corten_check::cuda::Target;
use corten_check::{Policy, StepFacts, StepLayer, Verdict, check_steps, judge};
use corten_diagnostic::{Failure, Finding, Report, Span};
use corten_frontend::settings::Settings;
use corten_oci::{DiffId, Kind, LayerIndex};
use corten_plan::recipe::Action;
use corten_store::TreeLayer;

use super::build::Outcome;
use super::pip;
use super::plan::Planned;
use crate::gpu::{self, TargetOptions};
use crate::project;
use crate::world::World;

/// On which terms an image is judged: known before anything is built, so that a mistake in it costs no build.
pub(super) struct Terms {
    policy: Policy,
    target: Target,
}

impl Terms {
    /// By `[check]` and `[gpu]` of the folder's settings, where it has some; what comes from elsewhere has none.
    ///
    /// # Errors
    /// Usage for settings that are wrong, a GPU that nobody knows.
    pub(super) fn of(planned: &Planned, target: &TargetOptions, world: &World<'_>) -> Result<Self, Failure> {
        let folder = planned.source.folder.as_ref().filter(|_| planned.source.address.is_none());
        let Some(folder) = folder else {
            return Ok(Self { policy: Policy::lenient(), target: target.alone(world)? });
        };
        let settings = Settings::read(&project::texts(folder)?)?;
        Ok(Self { policy: Policy::of(&settings.check)?, target: target.of(&settings.gpu, world)? })
    }
}

/// What they find, judged by the folder's settings.
///
/// # Errors
/// World where the store cannot be read.
pub fn verdict(outcome: &Outcome, world: &World<'_>) -> Result<Verdict, Report> {
    let mut findings = of_steps(outcome, world)?;
    findings.extend(of_cuda(outcome, &outcome.terms.target, world)?);
    Ok(judge(findings, &outcome.terms.policy))
}

fn of_cuda(outcome: &Outcome, target: &Target, world: &World<'_>) -> Result<Vec<Finding>, Report> {
    let layers = outcome.finished.layers.iter();
    let layers: Vec<TreeLayer> =
        layers.map(|layer| TreeLayer { diff_id: layer.diff_id, blob: layer.blob.clone() }).collect();
    let contents = gpu::of_layers(&outcome.finished.config, &layers, target, world)?;
    Ok(contents.map(|contents| gpu::findings(&contents, target)).unwrap_or_default())
}

fn of_steps(outcome: &Outcome, world: &World<'_>) -> Result<Vec<Finding>, Report> {
    let file = &outcome.planned.source.file;
    let shipped: HashMap<DiffId, u64> =
        outcome.finished.layers.iter().map(|layer| (layer.diff_id, layer.tar_size)).collect();
    let mut facts = Vec::new();
    for step in &outcome.finished.steps {
        let stages = &outcome.planned.pinned.recipe.stages;
        let action = stages.get(step.id.stage).and_then(|stage| stage.steps.get(step.id.step)).map(|step| &step.action);
        let Some(Action::Run(action)) = action else { continue };
        let installs = pip::installs(&action.arguments).filter(|name| is_there(outcome, name));
        let layer = match shipped.get(&step.diff_id) {
            Some(bytes) => Some(StepLayer { bytes: *bytes, ..parts(&step.diff_id, world)? }),
            None => None,
        };
        let is_place = file.text.get(step.range.clone()).is_some();
        facts.push(StepFacts {
            name: step.name.clone(),
            at: is_place.then(|| Span::new(&file.path, std::sync::Arc::clone(&file.text), step.range.clone())),
            doubled: (step.doubled.files, step.doubled.bytes),
            installs,
            seconds: (!step.cached).then_some(step.wall.as_secs_f64()),
            layer,
        });
    }
    Ok(check_steps(&facts))
}

/// Is the file one of the project's? Layers come from what is there, not from what the Dockerfile makes.
fn is_there(outcome: &Outcome, name: &str) -> bool {
    let is_plain = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    is_plain && outcome.planned.source.folder.as_ref().is_some_and(|folder| folder.join(name).is_file())
}

/// What of a layer nobody needs who runs the image.
fn parts(diff_id: &DiffId, world: &World<'_>) -> Result<StepLayer, Report> {
    let index = world.store.layer_index(diff_id)?.unwrap_or_default();
    let of = |is: fn(&str) -> bool| sum(&index, is);
    Ok(StepLayer { bytes: 0, caches: of(is_cache), bytecode: of(is_bytecode), compilers: of(is_compiler) })
}

fn sum(index: &LayerIndex, is: fn(&str) -> bool) -> u64 {
    let files = index.entries.iter().filter(|entry| entry.kind == Kind::File);
    files.filter(|entry| is(&entry.path.to_string())).fold(0, |sum, entry| sum.saturating_add(entry.size))
}

pub(crate) fn is_cache(path: &str) -> bool {
    let homes = [".cache/pip/", ".cache/uv/", ".cache/pypoetry/", ".conda/pkgs/", "opt/conda/pkgs/"];
    homes.iter().any(|home| path.contains(home))
        || (path.starts_with("var/cache/apt/") && path.ends_with(".deb"))
        || path.starts_with("var/lib/apt/lists/")
}

fn is_bytecode(path: &str) -> bool {
    path.ends_with(".pyc") && path.contains("/__pycache__/")
}

pub(crate) fn is_compiler(path: &str) -> bool {
    let folders = ["usr/lib/gcc/", "usr/libexec/gcc/", "usr/lib/llvm-"];
    folders.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needs_is_known_by_its_place() {
        for path in [
            "root/.cache/pip/http-v2/a",
            "home/app/.cache/uv/x",
            "var/lib/apt/lists/deb_InRelease",
            "var/cache/apt/archives/a.deb",
        ] {
            assert!(is_cache(path), "{path}");
        }
        for path in ["usr/lib/python3/dist-packages/pip/cache.py", "var/cache/apt/pkgcache.bin", "app/.cache/models/x"]
        {
            assert!(!is_cache(path), "{path}");
        }
        assert!(
            is_bytecode("usr/lib/python3.11/__pycache__/os.cpython-311.pyc") && !is_bytecode("a/__pycache__/x.txt")
        );
        assert!(
            is_compiler("usr/libexec/gcc/x86_64-linux-gnu/14/cc1")
                && !is_compiler("usr/lib/x86_64-linux-gnu/libgcc_s.so.1")
        );
    }
}
