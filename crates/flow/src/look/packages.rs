//! What lies in an image: its layers' indexes, and the packages that they and the image's own databases name.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::{Failure, Report};
use corten_install::image;
use corten_install::libraries::{self, ImageLayer};
use corten_layer::tree::Tree;
use corten_oci::{Architecture, Descriptor, DiffId, LayerIndex};
use corten_package::Purl;
use corten_store::foreign::{self, ForeignError};

use super::{Found, Source, View};
use crate::start::VENV;
use crate::{images, registry};

/// An image's files, and what they belong to.
pub(super) struct Contents {
    /// Layers applied.
    pub(super) tree: Tree,
    /// Bytes of all files of all layers.
    pub(super) unpacked: u64,
    /// Versions by kind (`pypi`, `deb`) and name, of what is installed in the end; of several, joined by commas.
    pub(super) packages: BTreeMap<(String, String), String>,
}

/// Reads what lies in an image. A layer without an index is read once, from the store or from its registry, and its index
/// kept.
pub(super) fn contents(found: &Found<'_>, view: &View) -> Result<Contents, Report> {
    let indexes = indexes(found, view)?;
    let layers: Vec<(DiffId, &LayerIndex)> = indexes.iter().map(|(diff_id, _, index)| (*diff_id, index)).collect();
    let tree = Tree::new(layers.iter().copied())?;
    let unpacked = indexes.iter().fold(0, |sum: u64, (_, _, index)| sum.saturating_add(index.content_size()));
    let packages = installed(found, view, &layers, &tree)?;
    Ok(Contents { tree, unpacked, packages })
}

type Indexes = Vec<(DiffId, Descriptor, LayerIndex)>;

fn indexes(found: &Found<'_>, view: &View) -> Result<Indexes, Report> {
    let store = found.world.store;
    let layers = view.layers.iter().filter_map(|layer| Some((layer.diff_id?, &layer.blob)));
    let layers: Vec<(DiffId, &Descriptor)> = layers.collect();
    if layers.len() < view.layers.len() || view.config.is_none() {
        return Err(Failure::input(format!("{} is no image: it is an artifact", found.name)).into());
    }
    let unknown = layers.iter().filter(|(diff_id, _)| !store.has_layer_index(diff_id));
    let missing: Vec<Descriptor> = unknown.map(|(_, blob)| (*blob).clone()).collect();
    bring(found, &missing)?;
    let mut indexes = Vec::new();
    for (diff_id, blob) in layers {
        let index = match store.layer_index(&diff_id)? {
            Some(index) => index,
            None => {
                bring(found, std::slice::from_ref(blob))?;
                foreign::look_into(blob, &diff_id, store).map_err(|error| refused(found, blob, error))?
            }
        };
        indexes.push((diff_id, blob.clone(), index));
    }
    Ok(indexes)
}

/// The programs and libraries of an image's layers, lowest first. A layer that nobody has looked into is brought and read.
pub(crate) fn programs(found: &Found<'_>, view: &View) -> Result<Vec<ImageLayer>, Report> {
    let of_layer = |(diff_id, blob, _): (DiffId, Descriptor, LayerIndex)| {
        if found.world.store.record(&libraries::key(&diff_id))?.is_none() {
            bring(found, std::slice::from_ref(&blob))?;
        }
        crate::libraries::of_layer(&blob, &diff_id, &found.world)
    };
    indexes(found, view)?.into_iter().map(of_layer).collect()
}

/// Names and versions of an image's Python packages and Debian packages, by kind (`pypi`, `deb`).
pub(crate) fn names(found: &Found<'_>, view: &View) -> Result<BTreeMap<(String, String), String>, Report> {
    Ok(contents(found, view)?.packages)
}

fn refused(found: &Found<'_>, blob: &Descriptor, error: ForeignError) -> Report {
    match error {
        ForeignError::Refused { why, .. } => found.refuse(&blob.digest, why),
        ForeignError::Store(error) => error.into(),
        other => found.refuse(&blob.digest, other.to_string()),
    }
}

/// Brings blobs of a registry to the store, as `pull` does.
fn bring(found: &Found<'_>, blobs: &[Descriptor]) -> Result<(), Report> {
    let store = found.world.store;
    let mut missing = Vec::new();
    for blob in blobs {
        if store.size(&blob.digest)? != Some(blob.size) {
            missing.push(blob.clone());
        }
    }
    match &found.source {
        _ if missing.is_empty() => Ok(()),
        Source::Registry(remote) => registry::fetch(remote, &missing, &found.world),
        Source::Store => {
            let first = missing.first().map(|blob| blob.digest.to_string()).unwrap_or_default();
            Err(Failure::world(format!("{}: layer {first} is not in the store", found.name))
                .hint("`corten pull`, or the build that made it, brings it back")
                .into())
        }
    }
}

/// Packages that the image's databases name, and those that our layers name themselves.
fn installed(
    found: &Found<'_>,
    view: &View,
    layers: &[(DiffId, &LayerIndex)],
    tree: &Tree,
) -> Result<BTreeMap<(String, String), String>, Report> {
    let read = |nodes: &[corten_layer::tree::Node]| {
        let of = view.layers.iter().filter_map(|layer| Some((layer.diff_id?, &layer.blob)));
        let of: Vec<_> = of.filter(|(diff_id, _)| nodes.iter().any(|node| node.layer == *diff_id)).collect();
        let blobs: Vec<Descriptor> = of.iter().map(|(_, blob)| (*blob).clone()).collect();
        bring(found, &blobs).map_err(|error| std::io::Error::other(error.to_string()))?;
        images::read(nodes, of, found.world.store)
    };
    let image =
        image::Image { layers, environment: &[], architecture: Architecture::default(), prefix: VENV, read: &read };
    let listed = image::packages(&image)?;
    let purls = listed.into_iter().map(|(_, package)| package.purl);
    let ours = tree.iter().filter_map(|(_, node)| node.entry.package.clone());
    let mut versions: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for purl in purls.chain(ours).collect::<BTreeSet<_>>() {
        let Ok(purl) = purl.parse::<Purl>() else { continue };
        let all = versions.entry((purl.kind().to_owned(), purl.name().to_owned())).or_default();
        let version = purl.version().unwrap_or_default().to_owned();
        if !all.contains(&version) {
            all.push(version);
        }
    }
    Ok(versions.into_iter().map(|(name, versions)| (name, versions.join(", "))).collect())
}
