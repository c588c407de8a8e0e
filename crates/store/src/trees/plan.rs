//! Where a layer's entries go in its tree, and what of that depends on the layers below it.
//!
//! A layer is unpacked once and stacked by overlayfs in every image that has it. But some of what a tree must hold is not in
//! the layer alone:
//!
//! - A folder that the layer has files in and no entry for is there in the tree too, and overlayfs shows *its* mode and owner,
//!   not those of the folder below: so it gets those.
//! - Parents that are links of a lower layer lead elsewhere, a hard link may name a file of a lower layer.
//! - overlayfs takes no mark of an opaque root, and shows a whiteout of nothing in a folder that no other layer has.
//!
//! What of this is not as it would be without lower layers is an *adaptation*; a tree is named `tree` where it has none, else
//! `tree-<hash of them>`, so that images that ask for the same share it. A user with ranges of ids is root over them while he works
//! (sandbox's `enter_ranges`), and his trees have all owners; those of the same user without ranges have not, and other names.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use corten_layer::tree::{Place, Tree, TreeError};
use corten_oci::{DiffId, Digest, Kind, LayerIndex, LayerPath};

/// What the folder of a tree is named that depends on its layer alone.
pub(super) const PLAIN: &str = "tree";
/// A folder that no layer says anything of.
pub(super) const USUAL: Folder = Folder { mode: 0o755, user: 0, group: 0 };

/// Mode and owner of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) mode: u32,
    pub(super) user: u64,
    pub(super) group: u64,
}

/// Where everything goes.
pub(super) struct Plan {
    /// For each entry of the index.
    pub(super) places: Vec<Option<Place>>,
    /// Folders without an entry; the root among them, as the empty path.
    pub(super) implied: BTreeMap<LayerPath, Folder>,
    /// Names in the root that are gone because the layer hides all of it.
    pub(super) hidden: Vec<LayerPath>,
    /// Of the tree's folder.
    pub(super) name: String,
    /// It has hard links to files of lower layers.
    pub(super) needs_lower: bool,
}

impl Plan {
    /// Puts the layer on the tree of those below it.
    pub(super) fn new(layer: DiffId, index: &LayerIndex, tree: &mut Tree) -> Result<Self, TreeError> {
        let hides_all = |(entry, place): (&corten_oci::Entry, &Option<Place>)| {
            entry.kind == Kind::Opaque && place.as_ref().is_some_and(|place| place.path.is_root())
        };
        let may_hide = index.entries.iter().any(|entry| entry.kind == Kind::Opaque);
        let top: Vec<LayerPath> = if may_hide { tree.top().cloned().collect() } else { Vec::new() };
        let places = tree.add(layer, index)?;
        let hides_all = index.entries.iter().zip(&places).any(hides_all);
        let hidden = if hides_all { top } else { Vec::new() };
        let implied = implied(index, &places, tree);
        let mut lines = folder_lines(&implied);
        lines.extend(hidden.iter().map(|path| format!("w {path:?}")));
        let mut needs_lower = false;
        for (number, (entry, place)) in index.entries.iter().zip(&places).enumerate() {
            let Some(place) = place else { continue };
            if entry.kind == Kind::Whiteout && !place.hides {
                lines.push(format!("n {number}"));
                continue;
            }
            if place.path != entry.path {
                lines.push(format!("p {number} {:?}", place.path));
            }
            let Some(target) = &place.target else { continue };
            needs_lower |= target.is_lower;
            if target.is_lower || entry.kind != Kind::HardLink(target.path.clone()) {
                let node = tree.get(&place.path);
                let of = node.map(|node| format!("{} {}", node.layer, node.entry.offset)).unwrap_or_default();
                lines.push(format!("l {number} {:?} {} {of}", target.path, target.is_lower));
            }
        }
        Ok(Self { places, implied, hidden, name: name(&lines), needs_lower })
    }
}

/// The name of a tree with these adaptations. A user's own root, over ranges of ids, finds no trees of the same user without them:
/// those have his files alone.
pub(super) fn name(adaptations: &[String]) -> String {
    named(adaptations, is_over_ranges())
}

fn named(adaptations: &[String], is_over_ranges: bool) -> String {
    match adaptations {
        [] if !is_over_ranges => PLAIN.to_owned(),
        some => {
            let owners = if is_over_ranges { "owners\n" } else { "" };
            let hex = Digest::of(owners.to_owned() + &some.join("\n")).hex();
            format!("{PLAIN}-{}", hex.get(..32).unwrap_or(&hex))
        }
    }
}

/// Is this process root in a user namespace, with a user of the host for root?
pub(super) fn is_over_ranges() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        rustix::process::geteuid().is_root() && root_is_a_user(&map)
    })
}

/// user_namespaces(7): lines "inside outside count". As sandbox's `ids` has it, which this crate may not use.
fn root_is_a_user(uid_map: &str) -> bool {
    let first = uid_map.lines().next().unwrap_or_default();
    let numbers: Vec<u32> = first.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    matches!(numbers[..], [0, outside, 1] if outside != 0)
}

/// Adaptations of folders without an entry.
pub(super) fn folder_lines(implied: &BTreeMap<LayerPath, Folder>) -> Vec<String> {
    let unusual = implied.iter().filter(|(_, folder)| **folder != USUAL);
    unusual.map(|(path, it)| format!("d {:o} {} {} {path:?}", it.mode, it.user, it.group)).collect()
}

fn implied(index: &LayerIndex, places: &[Option<Place>], tree: &Tree) -> BTreeMap<LayerPath, Folder> {
    let told = |(entry, place): (&corten_oci::Entry, &Option<Place>)| match (&entry.kind, place) {
        (Kind::Directory, Some(place)) => Some(place.path.clone()),
        _ => None,
    };
    let told: HashSet<LayerPath> = index.entries.iter().zip(places).filter_map(told).collect();
    let folder = |path: &LayerPath| match tree.get(path) {
        Some(node) if node.entry.kind == Kind::Directory => {
            Folder { mode: node.entry.mode, user: node.entry.uid, group: node.entry.gid }
        }
        _ => USUAL,
    };
    let (mut implied, mut last) = (BTreeMap::new(), None);
    if !told.contains(&LayerPath::root()) {
        implied.insert(LayerPath::root(), folder(&LayerPath::root()));
    }
    for (entry, place) in index.entries.iter().zip(places) {
        let Some(place) = place else { continue };
        if entry.kind == Kind::Whiteout && !place.hides {
            continue;
        }
        let parent = if entry.kind == Kind::Opaque { Some(place.path.clone()) } else { place.path.parent() };
        if parent == last {
            continue;
        }
        let path = parent.clone().unwrap_or_default();
        for path in path.ancestors().chain([path.clone()]).filter(|path| !path.is_root()) {
            if !told.contains(&path) && !implied.contains_key(&path) {
                let folder = folder(&path);
                implied.insert(path, folder);
            }
        }
        last = parent;
    }
    implied
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of sandbox's `ids`.
    #[test]
    fn who_is_root_over_ranges_is_a_user_outside() {
        assert!(root_is_a_user("         0       1000          1\n         1     100000      65536\n"));
        for other in ["0 0 4294967295\n", "0 100000 65536\n", "0 0 1\n1 100000 65536\n", "1000 1000 1\n", ""] {
            assert!(!root_is_a_user(other), "{other}");
        }
    }
}
