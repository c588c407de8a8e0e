//! What is installed in an image whose layers nobody made from packages: read from its own databases, whatever form its layers
//! are kept in.

use std::collections::BTreeMap;
use std::io::{self, Read};

use corten_attest::bom::{BomKind, BomPackage, Supplier};
use corten_diagnostic::{Failure, Report};
use corten_install::image::{self, Listed};
use corten_layer::tree::Node;
use corten_oci::{Architecture, DiffId, LayerIndex};
use corten_plan::PythonTarget;
use corten_store::{TreeLayer, foreign};

use crate::base::HOST;
use crate::blobs;
use crate::images::from_tar;
use crate::registry::RegistryOptions;
use crate::start::VENV;
use crate::world::World;

/// The packages of an image's layers, the lowest first.
///
/// # Errors
/// Layers that are nowhere; databases that cannot be read.
pub fn packages(layers: &[TreeLayer], options: &RegistryOptions, world: &World<'_>) -> Result<Vec<BomPackage>, Report> {
    let indexes = indexes(layers, options, world)?;
    let all: Vec<(DiffId, &LayerIndex)> = indexes.iter().map(|(diff_id, index)| (*diff_id, index)).collect();
    let read = |nodes: &[Node]| read(nodes, layers, options, world);
    let image = image::Image {
        layers: &all,
        environment: &[],
        architecture: Architecture::default(),
        prefix: VENV,
        read: &read,
    };
    Ok(image::inventory(&image)?.into_iter().map(package).collect())
}

/// An image to which packages are to be added.
#[derive(Debug)]
pub(crate) struct Inside {
    /// What wheels would run on.
    pub(crate) python: PythonTarget,
    /// The program, by its absolute path.
    pub(crate) interpreter: String,
    /// Versions of Python's packages by their normalised names.
    pub(crate) installed: BTreeMap<String, String>,
    /// Is the folder of our virtual environments one of its own?
    pub(crate) has_venv: bool,
}

/// Looks into an image for its Python.
///
/// # Errors
/// Input where wheels do not run on it; layers that are nowhere.
pub(crate) fn inside(
    layers: &[TreeLayer],
    environment: &[String],
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Inside, Report> {
    let indexes = indexes(layers, options, world)?;
    let all: Vec<(DiffId, &LayerIndex)> = indexes.iter().map(|(diff_id, index)| (*diff_id, index)).collect();
    let read = |nodes: &[Node]| read(nodes, layers, options, world);
    let image = image::Image { layers: &all, environment, architecture: HOST, prefix: VENV, read: &read };
    let facts = image::look(&image)?;
    let python = facts.packages.iter().filter(|(_, one)| one.purl.starts_with("pkg:pypi/"));
    let installed = python.map(|(_, one)| (one.name.clone(), one.version.clone()));
    Ok(Inside {
        interpreter: facts.python.path,
        python: PythonTarget {
            version: facts.python.version,
            full_version: facts.python.full_version,
            glibc: facts.glibc,
            architecture: HOST,
        },
        installed: installed.collect(),
        has_venv: !facts.in_venv.is_empty(),
    })
}

fn indexes(
    layers: &[TreeLayer],
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Vec<(DiffId, LayerIndex)>, Report> {
    layers.iter().map(|layer| Ok((layer.diff_id, index(layer, options, world)?))).collect()
}

fn package(listed: Listed) -> BomPackage {
    let is_python = listed.purl.starts_with("pkg:pypi/");
    let supplier = listed.supplier.map(if is_python { Supplier::Person } else { Supplier::Organization });
    BomPackage {
        purl: listed.purl,
        name: listed.name,
        version: listed.version,
        license: listed.licence,
        supplier,
        digest: None,
        download_url: None,
        source: None,
        layer: listed.layer,
        kind: if is_python { BomKind::Wheel } else { BomKind::Deb },
    }
}

fn index(layer: &TreeLayer, options: &RegistryOptions, world: &World<'_>) -> Result<LayerIndex, Report> {
    let store = world.store;
    if let Some(index) = store.layer_index(&layer.diff_id)? {
        return Ok(index);
    }
    let missing = || Failure::world(format!("layer {} is not in the store", layer.diff_id)).hint("build it again");
    let blob = layer.blob.as_ref().ok_or_else(missing)?;
    blobs::bring(std::slice::from_ref(blob), "listing what is installed", options, world)?;
    let found = foreign::look_into(blob, &layer.diff_id, store);
    Ok(found.map_err(|error| crate::images::failure(&error, error.to_string()))?)
}

fn read(
    nodes: &[Node],
    layers: &[TreeLayer],
    options: &RegistryOptions,
    world: &World<'_>,
) -> io::Result<Vec<Vec<u8>>> {
    let mut contents = vec![Vec::new(); nodes.len()];
    for layer in layers {
        let of_layer = nodes.iter().enumerate().filter(|(_, node)| node.layer == layer.diff_id && node.entry.size > 0);
        let of_layer: Vec<(usize, &Node)> = of_layer.collect();
        if !of_layer.is_empty() {
            let mut tar = tar(layer, options, world).map_err(|report| io::Error::other(report.to_string()))?;
            from_tar(&mut tar, of_layer, &mut contents)?;
        }
    }
    Ok(contents)
}

/// A layer's tar: what is unpacked here before what is compressed.
fn tar<'w>(layer: &TreeLayer, options: &RegistryOptions, world: &World<'w>) -> Result<Box<dyn Read + 'w>, Report> {
    let store = world.store;
    if let Some(blob) = layer.blob.as_ref().filter(|_| !matches!(store.size(&layer.diff_id.0), Ok(Some(_)))) {
        blobs::bring(std::slice::from_ref(blob), "listing what is installed", options, world)?;
        let opened = store.read(&blob.digest)?;
        let tar = corten_layer::gzip::reader(&blob.media_type, opened);
        return Ok(tar.map_err(|error| Failure::world(format!("reading layer {}: {error}", layer.diff_id)))?);
    }
    Ok(store.tar(&layer.diff_id)?)
}
