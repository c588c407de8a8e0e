//! What an image that nobody has planned brings of CUDA, by its layers in whatever form they are: for builds from Dockerfiles.
//!
//! ```text
//! each layer, once:  index ─► does a name speak of CUDA?      GPUs are known ─► GPU code of its programs
//! each image, once:  all indexes ─► packages, CUDA's libraries, what is there twice
//! ```
//!
//! An image of which no name speaks of CUDA, and no program has GPU code, costs one record of each layer.

use std::io::Read;

use corten_check::cuda::{Contents, Package, Target, of_packages};
use corten_diagnostic::{Failure, Report};
use corten_install::image::distribution_of;
use corten_install::libraries::{self, Collector, ImageFiles, ImageLayer, LayerPrograms, Program};
use corten_oci::{DiffId, Digest, Entry, ImageConfig, Kind, LayerIndex};
use corten_store::{Key, TreeLayer};
use serde::{Deserialize, Serialize};

use super::brought::{base_runtime, variable};
use super::cuda_files::{CudaFiles, is_of_cuda};
use super::image::owner;
use crate::packages::side_by_side;
use crate::world::World;

/// Raised when the answer for the same layer or image changes.
const FORMAT: u32 = 1;
/// Bytes of a file that are read together.
const CHUNK: usize = 256 << 10;
/// Reading this much is told before it begins: 64 MiB take a disk a moment.
const TOLD: u64 = 64 << 20;

/// What is known of one layer, and remembered with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OfLayer {
    /// Does the name of a library speak of CUDA?
    named: bool,
    /// Programs with GPU code; none where nobody has looked.
    code: Option<Vec<Program>>,
}

/// What an image's files say, remembered with it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OfImage {
    /// Names and versions.
    packages: Vec<(String, String)>,
    files: CudaFiles,
}

/// Of an image's layers, the lowest first. None where nothing of CUDA is in it. Libraries are read where GPUs are named.
///
/// # Errors
/// World: the store, a layer that is damaged.
pub fn of_layers(
    config: &ImageConfig,
    layers: &[TreeLayer],
    target: &Target,
    world: &World<'_>,
) -> Result<Option<Contents>, Report> {
    let reads = !target.gpus.is_empty();
    let known = side_by_side(layers, world.jobs, |layer| of_layer(layer, reads, world))?;
    let has_code = |one: &OfLayer| one.code.as_ref().is_some_and(|code| !code.is_empty());
    let base = base_runtime(config, "image's CUDA_VERSION");
    if base.is_none() && !known.iter().any(|one| one.named || has_code(one)) {
        return Ok(None);
    }
    let image = of_image(layers, &known, world)?;
    let package =
        |(name, version): &(String, String)| Package { name: name.clone(), version: version.clone(), size: 0 };
    let packages: Vec<Package> = image.packages.iter().map(package).collect();
    let mut contents = of_packages(&packages, &config.architecture, base);
    contents.require = variable(config, "NVIDIA_REQUIRE_CUDA");
    image.files.tell(&mut contents);
    if reads && known.iter().any(|one| one.code.is_none()) {
        world
            .events
            .note("layers that are at a registry are not read for GPU code: `corten gpu check IMAGE` fetches them");
    }
    Ok(Some(contents))
}

fn of_layer(layer: &TreeLayer, reads: bool, world: &World<'_>) -> Result<OfLayer, Report> {
    let key = Key(Digest::of(format!("cuda of layer {FORMAT} {} {}", libraries::FORMAT, layer.diff_id)));
    let known: Option<OfLayer> = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(known) = &known
        && (known.code.is_some() || !reads)
    {
        return Ok(known.clone());
    }
    let index = index(&layer.diff_id, world)?;
    let named = index.entries.iter().any(speaks_of_cuda);
    let code = if reads { code(layer, &index, world)? } else { None };
    let found = OfLayer { named, code };
    if known.is_none() || found.code.is_some() {
        remember(&key, &found, world)?;
    }
    Ok(found)
}

/// By the index alone, but for GPU code, which is known of the layers.
fn of_image(layers: &[TreeLayer], known: &[OfLayer], world: &World<'_>) -> Result<OfImage, Report> {
    let facts: Vec<(&DiffId, bool)> =
        layers.iter().zip(known).map(|(layer, one)| (&layer.diff_id, one.code.is_some())).collect();
    let facts = serde_json::to_vec(&("cuda of image", FORMAT, libraries::FORMAT, facts)).unwrap_or_default();
    let key = Key(Digest::of(facts));
    if let Some(found) = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(found);
    }
    let mut all = Vec::new();
    for (layer, one) in layers.iter().zip(known) {
        let programs = LayerPrograms { programs: one.code.clone().unwrap_or_default(), ..LayerPrograms::default() };
        all.push(ImageLayer { index: index(&layer.diff_id, world)?, programs });
    }
    let packages = packages(&all);
    let named: Vec<Package> = packages
        .iter()
        .map(|(name, version)| Package { name: name.clone(), version: version.clone(), size: 0 })
        .collect();
    let files = CudaFiles::of(&all, &|_, path| owner(path, &named));
    let found = OfImage { packages, files };
    remember(&key, &found, world)?;
    Ok(found)
}

/// Python's, that no later layer has taken away.
fn packages(layers: &[ImageLayer]) -> Vec<(String, String)> {
    let files = ImageFiles::new(layers);
    let entries =
        layers.iter().enumerate().flat_map(|(at, layer)| layer.index.entries.iter().map(move |one| (at, one)));
    let found = entries.filter_map(|(at, entry)| {
        let (name, version) = distribution_of(entry)?;
        files.is_of(&entry.path, at).then(|| (name.as_str().to_owned(), version))
    });
    let mut all: Vec<(String, String)> = found.collect();
    all.sort();
    all.dedup();
    all
}

fn index(diff_id: &DiffId, world: &World<'_>) -> Result<LayerIndex, Report> {
    let index = world.store.layer_index(diff_id)?;
    Ok(index.ok_or_else(|| {
        Failure::world(format!("what lies in layer {diff_id} is no longer known")).hint("build again")
    })?)
}

fn remember<T: Serialize>(key: &Key, found: &T, world: &World<'_>) -> Result<(), Report> {
    let bytes = serde_json::to_vec(found).map_err(|error| Failure::bug(format!("remembering GPU code: {error}")))?;
    let batch = world.store.batch();
    batch.record(key, &bytes)?;
    Ok(batch.finish_later()?)
}

/// Is it a library that CUDA brings, or that is made for it? `libcudart.so.12`, `nvidia/nccl/lib/libnccl.so.2`, `libtorch_cuda.so`.
fn speaks_of_cuda(entry: &Entry) -> bool {
    let Some(path) = entry.path.as_str().filter(|path| entry.kind == Kind::File && path.contains(".so")) else {
        return false;
    };
    path.contains("cuda") || path.contains("nvidia") || is_of_cuda(path)
}

/// Programs and libraries by their names and modes; CUDA's own are not asked.
fn may_have_code(entry: &Entry) -> bool {
    let path = entry.path.to_string();
    let is_program = entry.mode & 0o111 != 0 || path.rsplit('/').next().is_some_and(|name| name.contains(".so"));
    entry.kind == Kind::File && entry.size > 0 && is_program && !is_of_cuda(&path)
}

/// The programs with GPU code; none where the layer's bytes are not here.
fn code(layer: &TreeLayer, index: &LayerIndex, world: &World<'_>) -> Result<Option<Vec<Program>>, Report> {
    let has_code = |mut programs: LayerPrograms| {
        programs.programs.retain(|program| program.gpu.is_some());
        programs.programs
    };
    let whole = world.store.record(&libraries::key(&layer.diff_id))?;
    if let Some(programs) = whole.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(Some(has_code(programs)));
    }
    let wanted: Vec<Entry> = index.entries.iter().filter(|entry| may_have_code(entry)).cloned().collect();
    if wanted.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let bytes = wanted.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.size));
    if bytes > TOLD {
        world.events.note(&format!("reading for which GPUs {} MB of libraries have code", bytes / 1_000_000));
    }
    let mut collector = Collector::default();
    let mut chunk = vec![0; CHUNK];
    let is_here = world
        .store
        .read_files(layer, &wanted, &mut |entry, content| look_at(entry, content, &mut chunk, &mut collector))?;
    Ok(is_here.then(|| has_code(collector.finish())))
}

/// Reads a file to its end only if it is an ELF file.
fn look_at(entry: &Entry, content: &mut dyn Read, chunk: &mut [u8], collector: &mut Collector) -> std::io::Result<()> {
    let mut is_first = true;
    loop {
        let count = content.read(chunk)?;
        let bytes = chunk.get(..count).unwrap_or_default();
        if bytes.is_empty() || (is_first && !corten_elf::MAGIC.starts_with(bytes.get(..4).unwrap_or(bytes))) {
            break;
        }
        if is_first {
            collector.begin(entry);
        }
        is_first = false;
        collector.content(bytes);
    }
    collector.end();
    Ok(())
}
