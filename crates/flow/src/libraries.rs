//! What an image's programs lack: found out once per layer and once per image, and remembered with both.

use std::collections::BTreeSet;
use std::io::Read;

use corten_diagnostic::{Failure, Report};
use corten_install::debian::files_of_packages;
use corten_install::libraries::{self, Collector, ImageLayer, LayerPrograms};
use corten_oci::{Descriptor, DiffId, Digest, Kind};
use corten_package::Purl;
use corten_plan::{Built, BuiltLayer};
use corten_store::{Key, Store};
use serde::{Deserialize, Serialize};

use crate::base::Sources;
use crate::blobs;
use crate::debs;
use crate::gpu::CudaFiles;
use crate::machines::{self, ForeignProgram};
use crate::packages::side_by_side;
use crate::plan::Planned;
use crate::registry::RegistryOptions;
use crate::world::World;

/// Raised when the answer for the same layers changes.
const FORMAT: u32 = 5;
/// Bytes of a file that are read together.
const CHUNK: usize = 64 * 1024;

/// What is known of the programs of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// Libraries that they do not find.
    pub missing: Vec<MissingLibrary>,
    /// Those for another processor.
    pub foreign: Vec<ForeignProgram>,
    /// What they bring of CUDA.
    pub cuda: CudaFiles,
}

/// A library that no layer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLibrary {
    /// Its name: `libGL.so.1`.
    pub library: String,
    /// The first file that needs it, absolute.
    pub file: String,
    /// Name and version of the package that the file is of.
    pub package: Option<String>,
    /// How many files need it.
    pub files: usize,
    /// Does an import fail without it?
    pub breaks_import: bool,
    /// The Debian package that has it.
    pub deb: Option<String>,
}

/// Of a built image. One that was looked at before is not looked at again.
pub fn programs(planned: &Planned, built: &Built, world: &World<'_>) -> Result<Programs, Report> {
    let key = key(planned, built);
    // Who makes a layer again wants nothing that is remembered of it.
    let unchanged = built.layers.iter().all(|layer| layer.reused);
    if unchanged && let Some(known) = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(known);
    }
    let layers = side_by_side(&built.layers, world.jobs, |layer| image_layer(layer, &planned.registry, world))?;
    let found = libraries::missing(&layers, planned.base.architecture, &library_path(built));
    let foreign = built.layers.iter().zip(&layers).flat_map(|(built, layer)| machines::foreign(planned, built, layer));
    let (missing, foreign) = (found.into_iter().map(named).collect(), foreign.collect());
    let mut programs = Programs { missing, foreign, cuda: CudaFiles::of_built(&layers) };
    if !programs.missing.is_empty() && !name_debs(planned, &mut programs.missing, world)? {
        return Ok(programs);
    }
    let bytes =
        serde_json::to_vec(&programs).map_err(|error| Failure::bug(format!("remembering libraries: {error}")))?;
    let batch = world.store.batch();
    batch.record(&key, &bytes)?;
    batch.finish()?;
    Ok(programs)
}

fn key(planned: &Planned, built: &Built) -> Key {
    let layers: Vec<DiffId> = built.layers.iter().map(|layer| layer.layer.diff_id).collect();
    let facts = (FORMAT, libraries::FORMAT, planned.base.architecture, library_path(built), layers);
    Key(Digest::of(serde_json::to_vec(&("libraries", facts)).unwrap_or_default()))
}

fn library_path(built: &Built) -> Vec<String> {
    let variables = built.image.config.config.env.iter().flatten();
    let path = variables.filter_map(|variable| variable.strip_prefix("LD_LIBRARY_PATH=")).next_back();
    path.unwrap_or_default().split(':').filter(|folder| folder.starts_with('/')).map(str::to_owned).collect()
}

fn named(missing: libraries::Missing) -> MissingLibrary {
    let purl = missing.package.and_then(|purl| purl.parse::<Purl>().ok());
    let package = purl.map(|purl| match purl.version() {
        Some(version) => format!("{} {version}", purl.name()),
        None => purl.name().to_owned(),
    });
    MissingLibrary {
        library: missing.library,
        file: format!("/{}", missing.file),
        package,
        files: missing.files,
        breaks_import: missing.breaks_import,
        deb: None,
    }
}

/// Asks the archive which packages have the libraries. Without an answer the findings stand all the same; then `false`.
fn name_debs(planned: &Planned, missing: &mut [MissingLibrary], world: &World<'_>) -> Result<bool, Report> {
    let names: BTreeSet<String> = missing.iter().map(|one| one.library.clone()).collect();
    let sources = Sources::of(&planned.project)?;
    let request = debs::request(&planned.base, &[], world);
    match files_of_packages(&sources.archive(world), &request, &names) {
        Ok(found) => {
            missing.iter_mut().for_each(|one| one.deb = found.get(&one.library).cloned());
            Ok(true)
        }
        Err(error) => {
            world.events.warning(&format!("which Debian packages have the missing libraries is not known: {error}"));
            Ok(false)
        }
    }
}

fn image_layer(built: &BuiltLayer, options: &RegistryOptions, world: &World<'_>) -> Result<ImageLayer, Report> {
    let (blob, diff_id) = (&built.layer.blob, &built.layer.diff_id);
    if world.store.record(&libraries::key(diff_id))?.is_none() {
        blobs::bring(std::slice::from_ref(blob), &format!("looking into {}", built.what), options, world)?;
    }
    of_layer(blob, diff_id, world)
}

/// What is known of a layer's programs; it is read where that was not done yet.
pub fn of_layer(blob: &Descriptor, diff_id: &DiffId, world: &World<'_>) -> Result<ImageLayer, Report> {
    let store = world.store;
    let index = store.layer_index(diff_id)?.unwrap_or_default();
    let key = libraries::key(diff_id);
    if let Some(programs) = store.record(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(ImageLayer { index, programs });
    }
    let programs =
        read(blob, &index, store).map_err(|error| Failure::world(format!("reading layer {diff_id}: {error}")))?;
    let bytes =
        serde_json::to_vec(&programs).map_err(|error| Failure::bug(format!("remembering programs: {error}")))?;
    let batch = store.batch();
    batch.record(&key, &bytes)?;
    batch.finish()?;
    Ok(ImageLayer { index, programs })
}

/// Reads a layer that was made before its programs were remembered.
fn read(blob: &Descriptor, index: &corten_oci::LayerIndex, store: &Store) -> std::io::Result<LayerPrograms> {
    let source = store.read(&blob.digest).map_err(std::io::Error::other)?;
    let mut tar = corten_layer::gzip::reader(&blob.media_type, source)?;
    let mut collector = Collector::default();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    for entry in index.entries.iter().filter(|entry| entry.kind == Kind::File && entry.size > 0) {
        std::io::copy(&mut tar.by_ref().take(entry.offset.saturating_sub(at)), &mut std::io::sink())?;
        collector.begin(entry);
        let mut content = tar.by_ref().take(entry.size);
        loop {
            match content.read(&mut chunk)? {
                0 => break,
                count => collector.content(&chunk[..count]),
            }
        }
        collector.end();
        at = entry.offset.saturating_add(entry.size);
    }
    Ok(collector.finish())
}
