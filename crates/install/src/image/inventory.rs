//! What is installed in an image, for a bill of materials: all that its databases name, with what they say of it.
//!
//! More than [`packages`](super::packages()) looks for: distributions wherever they lie (also those that others carry within them),
//! the older `*.egg-info`, who made a package, under which licence, from which source package.

use std::collections::BTreeMap;

use corten_layer::tree::{Node, Tree};
use corten_oci::{DiffId, Kind};
use corten_package::{PackageName, Purl};

use super::packages::{self, is_database, stanzas_of};
use super::{Files, Image, ImageError, LARGEST_TEXT, distribution};
use crate::python::Metadata;

/// Distributions that are read.
const MOST: usize = 20_000;

/// A package, as a bill of materials tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Package URL.
    pub purl: String,
    /// As its database has it.
    pub name: String,
    /// As its database has it.
    pub version: String,
    /// Which layer it came with.
    pub layer: DiffId,
    /// What it says of its licence.
    pub licence: Option<String>,
    /// Who keeps it, or wrote it.
    pub supplier: Option<String>,
}

/// Everything that is installed, Debian's packages first.
///
/// # Errors
/// Where layers do not make a tree, or a database cannot be read or is absurdly large.
pub fn inventory(image: &Image<'_>) -> Result<Vec<Listed>, ImageError> {
    let tree = Tree::new(image.layers.iter().copied())?;
    let files = Files { tree: &tree, read: image.read };
    let (id, suite) = distribution(&files)?;
    let mut all = debian(image, &files, &id, &suite)?;
    all.extend(python(&tree, &files)?);
    Ok(all)
}

fn debian(image: &Image<'_>, files: &Files<'_>, id: &str, suite: &str) -> Result<Vec<Listed>, ImageError> {
    let found = packages::debian(image, files, id, suite)?;
    let databases = files.tree.iter().map(|(_, node)| node).filter(|node| is_database(&node.entry));
    let databases: Vec<Node> = databases.take(packages::MOST_FILES).cloned().collect();
    let mut said: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for text in texts(files, &databases)? {
        for control in stanzas_of(&text) {
            // `Source: name (version)`, where it differs from the package's own.
            let source = control.get("Source").map(|source| match source.split_once(" (") {
                Some((name, version)) => format!("{name}@{}", version.trim_end_matches(')')),
                None => source.to_owned(),
            });
            said.insert(control.package().to_owned(), (control.get("Maintainer").map(str::to_owned), source));
        }
    }
    let listed = |(layer, package): (DiffId, packages::Package)| {
        let (supplier, source) = said.get(&package.name).cloned().unwrap_or_default();
        let purl = match (package.purl.parse::<Purl>(), source) {
            (Ok(purl), Some(source)) => purl.with("upstream", &source).to_string(),
            _ => package.purl,
        };
        Listed { purl, name: package.name, version: package.version, layer, licence: None, supplier }
    };
    Ok(found.into_iter().map(listed).collect())
}

/// `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `*.egg-info`.
fn python(tree: &Tree, files: &Files<'_>) -> Result<Vec<Listed>, ImageError> {
    let is_metadata = |node: &Node| {
        let path = node.entry.path.as_bytes();
        let within = path.ends_with(b".dist-info/METADATA") || path.ends_with(b".egg-info/PKG-INFO");
        node.entry.kind == Kind::File && (within || path.ends_with(b".egg-info"))
    };
    let nodes = tree.iter().map(|(_, node)| node).filter(|node| is_metadata(node));
    let nodes: Vec<Node> = nodes.take(MOST).cloned().collect();
    let mut all = Vec::new();
    for (node, text) in nodes.iter().zip(texts(files, &nodes)?) {
        // What cannot be read is somebody else's: it is passed over.
        let Ok(metadata) = Metadata::parse(&text) else { continue };
        let Ok(name) = PackageName::new(&metadata.name) else { continue };
        let licence = metadata.license_expression.or(metadata.license).filter(|text| text.len() < 200);
        all.push(Listed {
            purl: Purl::pypi(&name, &metadata.version).to_string(),
            name: metadata.name,
            version: metadata.version,
            layer: node.layer,
            licence,
            supplier: metadata.author.filter(|author| author.len() < 500),
        });
    }
    Ok(all)
}

fn texts(files: &Files<'_>, nodes: &[Node]) -> Result<Vec<String>, ImageError> {
    let total = nodes.iter().fold(0_u64, |sum, node| sum.saturating_add(node.entry.size));
    if let Some(large) = nodes.iter().find(|node| node.entry.size > LARGEST_TEXT) {
        return Err(ImageError::Unsuitable(format!("/{} is larger than 32 MiB", large.entry.path)));
    }
    if total > 8 * LARGEST_TEXT {
        return Err(ImageError::Unsuitable("the databases of its packages are larger than 256 MiB".to_owned()));
    }
    let failed = |source| ImageError::Read { path: "the databases of its packages".to_owned(), source };
    let bytes = (files.read)(nodes).map_err(failed)?;
    Ok(bytes.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect())
}
