//! An image's files, layers applied, from indexes alone: nothing is unpacked.
//!
//! Layers are applied as containerd applies them to a disk, entry by entry, with one difference: nothing here can
//! lead outside the image's root, because there is no outside.
//!
//! - Every key of the tree is a *real* path: all its parents are directories, never links. An entry whose parents
//!   are links is put where they lead, inside the root (`..` at the root stays there, at most 40 links).
//! - A directory over a directory changes its mode and owner; everything else replaces what was there, and what lay
//!   below. A directory replaces a link; it is never written through it.
//! - Whiteouts and opaque marks hide what *lower* layers have, wherever in their layer they stand.
//! - A hard link is the same file under another name. It may name a file of a lower layer.
//!
//! Source: OCI image specification 1.1, "Image Layer Filesystem Changeset".

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use corten_diagnostic::{Diagnose, Fault};
use corten_oci::{DiffId, Entry, Kind, LayerIndex, LayerPath};

use crate::tar::PATH_LIMIT;

/// Links that one path may lead through (`MAXSYMLINKS` of Linux).
const LINK_LIMIT: usize = 40;
/// Bytes of all paths of a tree, so that deep paths with many implied parents stay affordable.
const PATHS_LIMIT: usize = 1 << 30;
/// Changes of mode or owner that hard links may make to other names of their file.
const SPREAD_LIMIT: usize = 10_000_000;

/// The files of an image.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    slots: BTreeMap<Vec<u8>, Slot>,
    /// How many layers it is made of.
    layers: usize,
}

/// Where an entry of a layer went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// All its parents are directories of the tree, none is a link.
    pub path: LayerPath,
    /// What a hard link is another name of.
    pub target: Option<Target>,
    /// Of a whiteout: is something of lower layers gone by it?
    pub hides: bool,
}

/// What a hard link is another name of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As [`Place::path`].
    pub path: LayerPath,
    /// It is a lower layer's.
    pub is_lower: bool,
}

/// One file of a tree, and the layer that it comes from.
///
/// A hard link is a node of its own whose entry is its target's, but for the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The entry, path resolved. Its offset is that of the content in the tar of [`Node::layer`].
    pub entry: Entry,
    /// Where its bytes are.
    pub layer: DiffId,
}

impl Node {
    /// Are they names of one file?
    pub fn same_file(&self, other: &Self) -> bool {
        let is_directory = self.entry.kind == Kind::Directory;
        !is_directory && self.identity() == other.identity() && self.entry.kind == other.entry.kind
    }

    /// No two headers of a tar stand at one place.
    fn identity(&self) -> Identity {
        (self.layer, self.entry.offset)
    }
}

type Identity = (DiffId, u64);

#[derive(Debug, Clone)]
struct Slot {
    node: Node,
    /// Number of the layer that put it there, from the bottom.
    written: usize,
}

/// Why layers do not make a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {layer}: {path}: {why}")]
pub struct TreeError {
    /// Which layer.
    pub layer: DiffId,
    /// Which entry.
    pub path: String,
    /// Which rule it breaks.
    pub why: String,
}

impl Diagnose for TreeError {
    /// Layers are what a server sent.
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        vec!["the image was made wrong or by an attacker: ask whoever made it".into()]
    }
}

impl Tree {
    /// Applies layers, lowest first. Links are never followed to anything outside the root.
    ///
    /// # Errors
    /// Names the first entry that cannot be put anywhere: a file among its parents, a link loop, a hard link to
    /// nothing or to a directory, paths beyond the limits.
    pub fn new<'a>(layers: impl IntoIterator<Item = (DiffId, &'a LayerIndex)>) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        for (layer, index) in layers {
            tree.add(layer, index)?;
        }
        Ok(tree)
    }

    /// Applies one more layer. Says of every entry where it went; none of such as go nowhere (a file that would be the root).
    ///
    /// # Errors
    /// As [`Tree::new`]; the tree is empty then.
    pub fn add(&mut self, layer: DiffId, index: &LayerIndex) -> Result<Vec<Option<Place>>, TreeError> {
        let number = self.layers;
        let tree = std::mem::take(self);
        let mut changes = Changes { tree, layer, number, aliases: HashMap::new(), spread: 0, paths: 0 };
        changes.paths = changes.tree.slots.keys().map(Vec::len).sum();
        let mut places = Vec::with_capacity(index.entries.len());
        for entry in &index.entries {
            let place = changes.apply(entry);
            places.push(place.map_err(|why| TreeError { layer, path: entry.path.to_string(), why })?);
        }
        *self = changes.tree;
        self.layers = number + 1;
        Ok(places)
    }

    /// The names in the root, sorted.
    pub fn top(&self) -> impl Iterator<Item = &LayerPath> {
        self.slots
            .values()
            .map(|slot| &slot.node.entry.path)
            .filter(|path| !path.is_root() && path.ancestors().next().is_none())
    }

    /// What is at `path`, last link not followed, links among its parents followed inside the root. The root itself
    /// is there only if a layer has an entry for it.
    pub fn get(&self, path: &LayerPath) -> Option<&Node> {
        let slot = match self.slots.get(path.as_bytes()) {
            Some(slot) => slot,
            None => self.slots.get(&self.walk(path, Last::Kept).ok()?)?,
        };
        Some(&slot.node)
    }

    /// What is at `path`, links followed inside the root.
    pub fn resolve(&self, path: &LayerPath) -> Option<&Node> {
        self.slots.get(&self.walk(path, Last::Followed).ok()?).map(|slot| &slot.node)
    }

    /// Everything, by path, in byte order. Parents that no layer has an entry for are there too, as `0755 0:0`.
    pub fn iter(&self) -> impl Iterator<Item = (&LayerPath, &Node)> {
        self.slots.values().map(|slot| (&slot.node.entry.path, &slot.node))
    }

    /// Everything below a path that no link is part of, by path, parents first.
    pub fn descendants(&self, path: &LayerPath) -> impl Iterator<Item = &Node> {
        self.below(path.as_bytes()).map(|(_, slot)| &slot.node)
    }

    /// The real path that `path` leads to, whether or not something is there. Where a component is missing, the rest
    /// is taken as text.
    fn walk(&self, path: &LayerPath, last: Last) -> Result<Vec<u8>, String> {
        let mut rest = components(path.as_bytes());
        let (mut real, mut links) = (Vec::new(), 0);
        while let Some(component) = rest.pop() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    real.truncate(parent_length(&real));
                    continue;
                }
                name => push(&mut real, name)?,
            }
            match self.slots.get(&real).map(|slot| &slot.node.entry.kind) {
                None | Some(Kind::Directory) => {}
                Some(Kind::Symlink(_)) if rest.is_empty() && last == Last::Kept => {}
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(format!("more than {LINK_LIMIT} symbolic links: perhaps a loop"));
                    }
                    real.truncate(if target.starts_with('/') { 0 } else { parent_length(&real) });
                    rest.extend(components(target.as_bytes()));
                }
                Some(_) if rest.is_empty() => {}
                Some(_) => return Err(format!("its parent '{}' is no directory", String::from_utf8_lossy(&real))),
            }
        }
        Ok(real)
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.slots.get(path).is_some_and(|slot| slot.node.entry.kind == Kind::Directory)
    }

    /// The keys below `path`.
    fn below(&self, path: &[u8]) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Slot)> {
        let (from, to) = if path.is_empty() {
            // The root's own key is empty.
            (Bound::Excluded(Vec::new()), Bound::Unbounded)
        } else {
            // '0' comes after '/'.
            (Bound::Excluded([path, b"/"].concat()), Bound::Excluded([path, b"0"].concat()))
        };
        self.slots.range::<Vec<u8>, _>((from, to))
    }
}

/// Is a link at the end of a path followed?
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Kept,
    Followed,
}

/// One layer on its way into a tree.
struct Changes {
    tree: Tree,
    layer: DiffId,
    number: usize,
    /// Further names of files that have some, as far as this layer made them. Names may have gone since.
    aliases: HashMap<Identity, Vec<Vec<u8>>>,
    spread: usize,
    /// Bytes of all keys ever put.
    paths: usize,
}

impl Changes {
    fn apply(&mut self, entry: &Entry) -> Result<Option<Place>, String> {
        let place = |path: &[u8]| LayerPath::new(path).map_err(|error| error.to_string());
        let at = |path| Place { path, target: None, hides: false };
        match &entry.kind {
            Kind::Whiteout => {
                let path = self.real_path(&entry.path)?;
                let is_lower = |slot: &Slot| slot.written < self.number;
                let hides = self.tree.slots.get(&path).is_some_and(is_lower)
                    || self.tree.below(&path).any(|(_, slot)| is_lower(slot));
                self.hide_below(&path);
                self.hide(&path);
                Ok(Some(Place { path: place(&path)?, target: None, hides }))
            }
            Kind::Opaque => {
                let path = self.tree.walk(&entry.path, Last::Followed)?;
                self.hide_below(&path);
                Ok(Some(at(place(&path)?)))
            }
            Kind::HardLink(target) => self.link(entry, target),
            // Only a directory can be the root.
            kind if entry.path.is_root() && *kind != Kind::Directory => Ok(None),
            _ => {
                let path = self.real_path(&entry.path)?;
                let at = at(place(&path)?);
                self.put(path, entry.clone(), self.layer)?;
                Ok(Some(at))
            }
        }
    }

    /// The path with its parents' links followed, the last component as it is.
    fn real_path(&self, path: &LayerPath) -> Result<Vec<u8>, String> {
        match path.parent() {
            None => Ok(Vec::new()),
            Some(parent) if self.tree.is_directory(parent.as_bytes()) => Ok(path.as_bytes().to_vec()),
            Some(parent) => {
                let mut real = self.tree.walk(&parent, Last::Followed)?;
                push(&mut real, path.name())?;
                Ok(real)
            }
        }
    }

    fn put(&mut self, path: Vec<u8>, mut entry: Entry, layer: DiffId) -> Result<(), String> {
        self.make_parents(&path)?;
        if entry.kind != Kind::Directory {
            self.remove_below(&path);
        }
        entry.path = LayerPath::new(&path).map_err(|error| error.to_string())?;
        self.insert(path, Slot { node: Node { entry, layer }, written: self.number })
    }

    fn insert(&mut self, path: Vec<u8>, slot: Slot) -> Result<(), String> {
        self.paths += path.len();
        if self.paths > PATHS_LIMIT {
            return Err("the paths of all layers are over the limit of 1 GiB".into());
        }
        self.tree.slots.insert(path, slot);
        Ok(())
    }

    fn make_parents(&mut self, path: &[u8]) -> Result<(), String> {
        let parent = &path[..parent_length(path)];
        if self.tree.is_directory(parent) {
            return Ok(());
        }
        let real = LayerPath::new(path).map_err(|error| error.to_string())?;
        for parent in real.ancestors() {
            match self.tree.slots.get(parent.as_bytes()).map(|slot| &slot.node.entry.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(format!("its parent '{parent}' is no directory")),
                None => {
                    let key = parent.as_bytes().to_vec();
                    let slot = self.implied(parent);
                    self.insert(key, slot)?;
                }
            }
        }
        Ok(())
    }

    fn implied(&self, path: LayerPath) -> Slot {
        let entry = Entry {
            path,
            kind: Kind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 0,
            crc32: None,
            offset: 0,
            package: None,
        };
        Slot { node: Node { entry, layer: self.layer }, written: self.number }
    }

    fn remove_below(&mut self, path: &[u8]) {
        if !self.tree.is_directory(path) {
            return;
        }
        let doomed: Vec<_> = self.tree.below(path).map(|(key, _)| key.clone()).collect();
        for key in doomed {
            self.tree.slots.remove(&key);
        }
    }

    /// Takes away what lower layers have below a path.
    fn hide_below(&mut self, path: &[u8]) {
        let lower = self.tree.below(path).filter(|(_, slot)| slot.written < self.number);
        let doomed: Vec<_> = lower.map(|(key, _)| key.clone()).collect();
        // Children come after their parents: so the last first.
        for key in doomed.iter().rev() {
            self.hide(key);
        }
    }

    /// Takes away what lower layers have at a path. A directory that this layer has put something into stays, but
    /// not as the lower layer made it.
    fn hide(&mut self, path: &[u8]) {
        if self.tree.slots.get(path).is_none_or(|slot| slot.written == self.number) {
            return;
        }
        let is_empty = self.tree.below(path).next().is_none();
        match self.tree.slots.remove(path) {
            Some(slot) if !is_empty => {
                let implied = self.implied(slot.node.entry.path);
                self.tree.slots.insert(path.to_vec(), implied);
            }
            _ => {}
        }
    }

    fn link(&mut self, entry: &Entry, target: &LayerPath) -> Result<Option<Place>, String> {
        let from = self.real_path(target)?;
        let Some(slot) = self.tree.slots.get(&from) else {
            return Err(format!("a hard link to '{target}', which is not there"));
        };
        if slot.node.entry.kind == Kind::Directory {
            return Err(format!("a hard link to the directory '{target}'"));
        }
        let (node, is_lower) = (slot.node.clone(), slot.written < self.number);
        let path = self.real_path(&entry.path)?;
        if path == from {
            return Err("a hard link to itself".into());
        }
        if path.is_empty() {
            return Ok(None);
        }
        let real = |path: &[u8]| LayerPath::new(path).map_err(|error| error.to_string());
        let target = Some(Target { path: real(&from)?, is_lower });
        let place = Place { path: real(&path)?, target, hides: false };
        let names = self.aliases.entry(node.identity()).or_default();
        if names.is_empty() {
            names.push(from);
        }
        names.push(path.clone());
        self.put(path, node.entry.clone(), node.layer)?;
        self.spread_owner(entry, &node)?;
        Ok(Some(place))
    }

    /// Mode and owner are the file's, not the name's: what the last header says holds for all names. A link has no
    /// mode.
    fn spread_owner(&mut self, entry: &Entry, node: &Node) -> Result<(), String> {
        let owner = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
        if owner(entry) == owner(&node.entry) || matches!(node.entry.kind, Kind::Symlink(_)) {
            return Ok(());
        }
        let names = self.aliases.get(&node.identity()).map(Vec::as_slice).unwrap_or_default();
        self.spread += names.len();
        if self.spread > SPREAD_LIMIT {
            return Err("too many hard links that change their file's mode or owner".into());
        }
        for name in names {
            if let Some(slot) = self.tree.slots.get_mut(name).filter(|slot| slot.node.same_file(node)) {
                let changed = &mut slot.node.entry;
                (changed.mode, changed.uid, changed.gid) = owner(entry);
            }
        }
        Ok(())
    }
}

/// Last first, to be popped.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec).collect()
}

fn push(path: &mut Vec<u8>, name: &[u8]) -> Result<(), String> {
    if path.len() + 1 + name.len() > PATH_LIMIT {
        return Err(format!("links make its path longer than {PATH_LIMIT} bytes"));
    }
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    Ok(())
}

/// How long the path is without its last component.
fn parent_length(path: &[u8]) -> usize {
    path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)
}
