//! What a layer's index does not say of its entries: time, extended attributes, digest of the content.
//!
//! Known when we write a layer; found in one pass over the layer of somebody else, when somebody copies from it. One record of the
//! store for each layer; it may be lost.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::{Attributes, is_kept};
use corten_layer::tar::TarReader;
use corten_oci::{DiffId, Digest, Digester, Kind, LayerIndex};
use corten_store::Key;
use serde::{Deserialize, Serialize};

use super::context::Context;
use super::view::View;

/// Of one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) attributes: Attributes,
    /// Of the content; none of what has none.
    pub(super) digest: Option<Digest>,
}

/// Of one layer: by where an entry's content begins in its tar.
pub(super) type Details = HashMap<u64, Detail>;

/// As it lies in the record.
#[derive(Serialize, Deserialize)]
struct Line(u64, i64, Option<Digest>, #[serde(default, skip_serializing_if = "Vec::is_empty")] Vec<(Vec<u8>, Vec<u8>)>);

pub(super) fn key(layer: &DiffId) -> Key {
    Key(Digest::of(format!("corten layer details 2\n{}", layer.0)))
}

pub(super) fn encode(details: &Details) -> Result<Vec<u8>, Failure> {
    let mut lines: Vec<Line> = details
        .iter()
        .map(|(offset, detail)| {
            Line(
                *offset,
                detail.attributes.mtime,
                detail.digest,
                detail.attributes.xattrs.clone().into_iter().collect(),
            )
        })
        .collect();
    lines.sort_by_key(|line| line.0);
    serde_json::to_vec(&lines).map_err(|error| Failure::bug(format!("remembering a layer's details: {error}")))
}

pub(super) fn decode(bytes: &[u8]) -> Option<Details> {
    let lines: Vec<Line> = serde_json::from_slice(bytes).ok()?;
    let detail = |Line(offset, mtime, digest, xattrs): Line| {
        (offset, Detail { attributes: Attributes { mtime, xattrs: xattrs.into_iter().collect() }, digest })
    };
    Some(lines.into_iter().map(detail).collect())
}

/// Reads a whole tar.
pub(super) fn of_tar(tar: impl Read) -> Result<Details, Report> {
    let mut reader = TarReader::new(io::BufReader::with_capacity(1 << 18, tar));
    let mut all = Details::new();
    while let Some(entry) = reader.next_entry()? {
        let Attributes { mtime, xattrs } = reader.attributes().clone();
        let xattrs: BTreeMap<_, _> = xattrs.into_iter().filter(|(name, _)| is_kept(name)).collect();
        let digest = if entry.kind == Kind::File {
            let mut digester = Digester::new();
            io::copy(&mut reader.content(), &mut digester)
                .map_err(|error| Failure::world(format!("reading a layer: {error}")))?;
            Some(digester.finish())
        } else {
            None
        };
        all.insert(entry.offset, Detail { attributes: Attributes { mtime, xattrs }, digest });
    }
    Ok(all)
}

/// Reads an unpacked layer.
pub(super) fn of_tree(tree: &Context, index: &LayerIndex) -> Result<Details, Report> {
    let mut all = Details::new();
    for entry in &index.entries {
        // Devices may be missing where the kernel allows none to us.
        if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) || tree.look(&entry.path)?.is_none() {
            continue;
        }
        let digest = if entry.kind == Kind::File {
            let mut digester = Digester::new();
            let (mut file, _) = tree.file(&entry.path)?;
            io::copy(&mut file, &mut digester)
                .map_err(|error| Failure::world(format!("reading {}: {error}", entry.path)))?;
            Some(digester.finish())
        } else {
            None
        };
        let attributes = Attributes { mtime: tree.mtime(&entry.path)?, xattrs: tree.attributes(&entry.path)? };
        all.insert(entry.offset, Detail { attributes, digest });
    }
    Ok(all)
}
