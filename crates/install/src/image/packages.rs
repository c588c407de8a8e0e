//! What an image's own databases say is installed in it.

use std::collections::{BTreeMap, BTreeSet};

use corten_layer::tree::{Node, Tree};
use corten_oci::{DiffId, Entry, Kind, LayerPath};
use corten_package::{PackageName, Purl, PurlParts};

use super::python::Interpreter;
use super::{Files, Image, ImageError, LARGEST_TEXT};
use crate::debian::control::Control;

/// Files of `status.d` that are read: distroless images have 40.
pub(super) const MOST_FILES: usize = 5_000;

/// A package that is in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Package URL.
    pub purl: String,
    /// As its database has it.
    pub name: String,
    /// As its database has it.
    pub version: String,
}

/// A Python package in the folder of our virtual environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InVenv {
    /// Normalised (PEP 503).
    pub name: String,
    /// As its `dist-info` folder has it.
    pub version: String,
}

/// Name, version, architecture of an installed package.
type Installed = BTreeMap<String, (String, String)>;

/// Debian packages, each with the layer that first lists this version of it.
pub(super) fn debian(
    image: &Image<'_>,
    files: &Files<'_>,
    id: &str,
    suite: &str,
) -> Result<Vec<(DiffId, Package)>, ImageError> {
    let mut below = Installed::new();
    let mut first: BTreeMap<(String, String), DiffId> = BTreeMap::new();
    for (layer, index) in image.layers {
        let databases = index.entries.iter().filter(|entry| is_database(entry)).take(MOST_FILES);
        let nodes: Vec<Node> = databases.map(|entry| Node { entry: entry.clone(), layer: *layer }).collect();
        let whole = nodes.iter().any(|node| node.entry.path.as_bytes().ends_with(b"/status"));
        let mut now = if whole { Installed::new() } else { below.clone() };
        if nodes.iter().any(|node| node.entry.size > LARGEST_TEXT) {
            return Err(ImageError::Unsuitable("dpkg's database is larger than 32 MiB".to_owned()));
        }
        let path = || "var/lib/dpkg/status".to_owned();
        let texts = (files.read)(&nodes).map_err(|source| ImageError::Read { path: path(), source })?;
        for text in texts {
            now.extend(stanzas(&String::from_utf8_lossy(&text)));
        }
        for (name, (version, _)) in &now {
            first.entry((name.clone(), version.clone())).or_insert(*layer);
        }
        below = now;
    }
    let namespace = if id.is_empty() { "debian" } else { id };
    let package = |(name, (version, architecture)): (String, (String, String))| {
        let layer = *first.get(&(name.clone(), version.clone()))?;
        let parts = PurlParts {
            kind: "deb",
            namespace: Some(namespace),
            name: &name,
            version: Some(&version),
            ..PurlParts::default()
        };
        let purl = Purl::from_parts(&parts).ok()?.with("arch", &architecture).with("distro", suite);
        Some((layer, Package { purl: purl.to_string(), name, version }))
    };
    Ok(below.into_iter().filter_map(package).collect())
}

pub(super) fn is_database(entry: &Entry) -> bool {
    let path = entry.path.as_bytes();
    let below = path.strip_prefix(b"var/lib/dpkg/status.d/");
    let of_distroless = below.is_some_and(|name| !name.ends_with(b".md5sums") && !name.contains(&b'/'));
    entry.kind == Kind::File && (path == b"var/lib/dpkg/status" || of_distroless)
}

/// Installed packages of a status file. What is no stanza is passed over: the file is somebody else's.
fn stanzas(text: &str) -> impl Iterator<Item = (String, (String, String))> + '_ {
    stanzas_of(text).filter_map(|control| {
        let version = control.get("Version")?.to_owned();
        let architecture = control.get("Architecture").unwrap_or_default().to_owned();
        Some((control.package().to_owned(), (version, architecture)))
    })
}

/// The same, with all their fields.
pub(super) fn stanzas_of(text: &str) -> impl Iterator<Item = Control> + '_ {
    text.split("\n\n").filter_map(|stanza| {
        let control = Control::parse(stanza.trim_matches('\n')).ok()?;
        let installed = control.get("Status").is_none_or(|status| status.ends_with(" installed"));
        let name = control.package();
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        (installed && plain).then_some(control)
    })
}

/// Python packages: all of them, and those of our virtual environment.
pub(super) fn python(tree: &Tree, prefix: &str, python: &Interpreter) -> (Vec<(DiffId, Package)>, Vec<InVenv>) {
    let ours = format!("{prefix}/lib/python{}.{}/site-packages", python.version.0, python.version.1);
    let (mut all, mut in_venv, mut seen) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (node, packages, package) in distributions(tree) {
        if packages.as_str() == Some(&ours) {
            in_venv.insert(InVenv { name: package.name.clone(), version: package.version.clone() });
        }
        if seen.insert(package.purl.clone()) {
            all.push((node.layer, package));
        }
    }
    (all, in_venv.into_iter().collect())
}

/// Every `*.dist-info` with its metadata, and the folder that it lies in.
pub(super) fn distributions(tree: &Tree) -> impl Iterator<Item = (&Node, LayerPath, Package)> {
    tree.iter().filter_map(|(path, node)| {
        let (name, version) = distribution_of(&node.entry)?;
        let folder = path.parent()?.parent().unwrap_or_default();
        let purl = Purl::pypi(&name, &version).to_string();
        Some((node, folder, Package { purl, name: name.as_str().to_owned(), version }))
    })
}

/// Name and version of the distribution whose `METADATA` a file is; none of any other.
pub fn distribution_of(file: &Entry) -> Option<(PackageName, String)> {
    let is_metadata = file.path.name() == b"METADATA" && file.kind == Kind::File;
    file.path.parent().filter(|_| is_metadata)?.as_str().and_then(dist_info)
}

/// `…/site-packages/numpy-2.4.6.dist-info` → numpy, 2.4.6.
fn dist_info(folder: &str) -> Option<(PackageName, String)> {
    let (place, name) = folder.rsplit_once('/')?;
    let known = place.ends_with("/site-packages") || place.ends_with("/dist-packages");
    let (name, version) = name.strip_suffix(".dist-info").filter(|_| known)?.split_once('-')?;
    let plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".!+_".contains(&byte));
    Some((PackageName::new(name).ok()?, version.to_owned())).filter(|_| plain && !version.is_empty())
}
