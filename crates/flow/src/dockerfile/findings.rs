//! What the rules have to say about the steps of a Dockerfile, once they are done: only what this build has measured.

use std::collections::HashMap;

use corten_check::{Policy, StepFacts, StepLayer, Verdict, check_steps, judge};
use corten_diagnostic::{Failure, Report, Span};
use corten_frontend::settings::Settings;
use corten_oci::{DiffId, Kind, LayerIndex};
use corten_plan::recipe::Action;

use super::build::Outcome;
use super::pip;
use crate::project;
use crate::world::World;

/// What they find, judged by `[check]` of the folder's settings, where it has some.
///
/// # Errors
/// Usage for settings that are wrong; world where the store cannot be read.
pub fn verdict(outcome: &Outcome, world: &World<'_>) -> Result<Verdict, Report> {
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
    Ok(judge(check_steps(&facts), &policy(outcome)?))
}

fn policy(outcome: &Outcome) -> Result<Policy, Failure> {
    let source = &outcome.planned.source;
    match source.folder.as_ref().filter(|_| source.address.is_none()) {
        Some(folder) => Policy::of(&Settings::read(&project::texts(folder)?)?.check),
        None => Ok(Policy::lenient()),
    }
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
