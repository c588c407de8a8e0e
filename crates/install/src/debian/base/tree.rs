//! The files of a base while it is made: a map in memory, in the order of paths.
//!
//! Packages are unpacked into it as dpkg unpacks into a root with a merged `/usr`: links among the parents of a path
//! are followed (inside the root, never out of it), a directory never replaces a link to a directory, and no file
//! replaces another package's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use corten_oci::LayerPath;

/// Links that may be followed on the way to one path: the kernel's own limit.
const LINK_LIMIT: usize = 40;
/// Set-user-id and set-group-id: never in an image.
const PRIVILEGE_BITS: u32 = 0o6000;

/// The files of a base.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<LayerPath, Node>,
}

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with sticky (`01777` at most).
    pub mode: u32,
    /// Owner's number.
    pub uid: u64,
    /// Group's number.
    pub gid: u64,
    /// The package URL of the package that it came from, or that it was made for.
    pub package: Option<Arc<str>>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// With its content.
    File(Arc<[u8]>),
    /// A directory.
    Directory,
    /// With its target, verbatim.
    Symlink(String),
    /// A further name of the file at this path.
    HardLink(LayerPath),
}

/// Two things want the same place, or a path cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{path}: {why}")]
pub struct TreeError {
    /// Where.
    pub path: String,
    /// Why not.
    pub why: String,
}

impl Node {
    /// A node of root's; set-id bits are taken off.
    pub fn new(kind: NodeKind, mode: u32) -> Self {
        Self { kind, mode: mode & 0o7777 & !PRIVILEGE_BITS, uid: 0, gid: 0, package: None }
    }

    /// With a group.
    #[must_use]
    pub fn group(mut self, gid: u64) -> Self {
        self.gid = gid;
        self
    }

    /// Said to be of a package.
    #[must_use]
    pub fn of(mut self, package: Option<&Arc<str>>) -> Self {
        self.package = package.cloned();
        self
    }

    fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }
}

impl Tree {
    /// What is at `path`, no link followed.
    pub fn get(&self, path: &LayerPath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Everything, in the order of path bytes; the root itself is not in it.
    pub fn iter(&self) -> impl Iterator<Item = (&LayerPath, &Node)> {
        self.nodes.iter()
    }

    /// Everything below a directory, in the order of path bytes. No link is followed.
    pub fn below(&self, directory: &LayerPath) -> impl Iterator<Item = (&LayerPath, &Node)> {
        let inside = if directory.is_root() { Vec::new() } else { [directory.as_bytes(), b"/"].concat() };
        // '0' is the byte behind '/': the first name that sorts behind everything in the directory.
        let behind = LayerPath::new([directory.as_bytes(), b"0"].concat()).ok().filter(|_| !directory.is_root());
        let end = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let nodes = self.nodes.range((Bound::Excluded(directory.clone()), end));
        nodes.filter(move |(path, _)| path.as_bytes().starts_with(&inside))
    }

    /// The names directly in a directory.
    pub fn children(&self, directory: &LayerPath) -> impl Iterator<Item = (&LayerPath, &Node)> {
        let depth = if directory.is_root() { 0 } else { directory.as_bytes().len() + 1 };
        self.below(directory).filter(move |(path, _)| !path.as_bytes().get(depth..).unwrap_or_default().contains(&b'/'))
    }

    /// Where a path leads when every link is followed, the last one too. None if nothing is there.
    pub fn resolve(&self, path: &LayerPath) -> Option<LayerPath> {
        let found = self.walk(path, true).ok()?;
        (found.is_root() || self.nodes.contains_key(&found)).then_some(found)
    }

    /// The content of the file at a path, links followed.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Option<&Arc<[u8]>> {
        let found = self.resolve(&LayerPath::new(path).ok()?)?;
        self.content(&found)
    }

    /// The content of a file by any of its hard names; no symbolic link followed.
    pub fn content(&self, path: &LayerPath) -> Option<&Arc<[u8]>> {
        match &self.nodes.get(path)?.kind {
            NodeKind::File(content) => Some(content),
            NodeKind::HardLink(target) => match &self.nodes.get(target)?.kind {
                NodeKind::File(content) => Some(content),
                _ => None,
            },
            _ => None,
        }
    }

    /// Is something there, links followed?
    pub fn exists(&self, path: impl AsRef<[u8]>) -> bool {
        LayerPath::new(path).is_ok_and(|path| self.resolve(&path).is_some())
    }

    /// Unpacks a package's file as dpkg does.
    ///
    /// # Errors
    /// When something else than a directory or the same link is there already.
    pub fn unpack(&mut self, path: &LayerPath, mut node: Node) -> Result<(), TreeError> {
        let path = self.place(path, node.package.as_ref())?;
        if let NodeKind::HardLink(target) = &mut node.kind {
            *target = self.walk(target, false)?;
            if !matches!(self.nodes.get(target).map(|node| &node.kind), Some(NodeKind::File(_))) {
                return Err(error(&path, format!("is a hard link to /{target}, which is no file of the package")));
            }
        }
        let Some(there) = self.nodes.get(&path) else {
            self.nodes.insert(path, node);
            return Ok(());
        };
        let leads_to_directory = || self.resolve(&path).and_then(|end| self.nodes.get(&end).map(Node::is_directory));
        match (&there.kind, &node.kind) {
            (NodeKind::Directory, NodeKind::Directory) => Ok(()),
            (NodeKind::Symlink(_), NodeKind::Directory) if leads_to_directory() == Some(true) => Ok(()),
            (NodeKind::Symlink(old), NodeKind::Symlink(new)) if old == new => {
                self.nodes.insert(path, node);
                Ok(())
            }
            _ => Err(error(&path, collision(there.package.as_deref(), node.package.as_deref()))),
        }
    }

    /// Puts something of ours at a path, parents with it; replaces a file or link, keeps a directory that is there.
    ///
    /// # Errors
    /// When a parent is no directory, or a directory stands where no directory shall be.
    pub fn put(&mut self, path: impl AsRef<[u8]>, node: Node) -> Result<(), TreeError> {
        let path = LayerPath::new(&path).map_err(|bad| TreeError {
            path: String::from_utf8_lossy(path.as_ref()).into_owned(),
            why: bad.to_string(),
        })?;
        let path = self.place(&path, node.package.as_ref())?;
        match self.nodes.get(&path) {
            Some(there) if there.is_directory() && node.is_directory() => Ok(()),
            Some(there) if there.is_directory() => Err(error(&path, "is a directory")),
            _ => {
                self.nodes.insert(path, node);
                Ok(())
            }
        }
    }

    /// Takes away what is at a path, and everything below.
    pub fn remove(&mut self, path: &LayerPath) {
        self.nodes.retain(|other, _| !other.starts_with(path));
    }

    /// Takes away directories below `top` that hold nothing, deepest first; `top` too.
    pub fn remove_empty(&mut self, top: &LayerPath) {
        let below: Vec<_> = self.nodes.keys().filter(|path| path.starts_with(top)).cloned().collect();
        for path in below.into_iter().rev() {
            if self.nodes.get(&path).is_some_and(Node::is_directory) && self.below(&path).next().is_none() {
                self.nodes.remove(&path);
            }
        }
    }

    /// Of these paths alone.
    #[must_use]
    pub fn only(&self, paths: &BTreeSet<LayerPath>) -> Self {
        let nodes = paths.iter().filter_map(|path| Some((path.clone(), self.nodes.get(path)?.clone())));
        Self { nodes: nodes.collect() }
    }

    /// Changes what is at a path, no link followed.
    pub fn change(&mut self, path: &LayerPath, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(path) {
            change(node);
        }
    }

    /// Makes the first name of every hard-linked file, in the order of paths, the one that carries the content.
    pub fn order_hard_links(&mut self) {
        let links = self.nodes.iter().filter_map(|(path, node)| match &node.kind {
            NodeKind::HardLink(target) => Some((path.clone(), target.clone())),
            _ => None,
        });
        let links: Vec<(LayerPath, LayerPath)> = links.collect();
        let mut first: BTreeMap<LayerPath, LayerPath> = BTreeMap::new();
        for (path, target) in &links {
            let least = first.entry(target.clone()).or_insert_with(|| target.clone());
            if path < least {
                *least = path.clone();
            }
        }
        for (target, least) in first.iter().filter(|(target, least)| target != least) {
            if let Some(NodeKind::File(content)) = self.nodes.get(target).map(|node| node.kind.clone()) {
                self.change(least, |node| node.kind = NodeKind::File(content));
                self.change(target, |node| node.kind = NodeKind::HardLink(least.clone()));
            }
        }
        for (path, target) in links {
            if let Some(least) = first.get(&target).filter(|least| **least != path) {
                self.change(&path, |node| node.kind = NodeKind::HardLink(least.clone()));
            }
        }
    }

    /// Follows the links among the parents of `path` and makes the parents that are missing.
    fn place(&mut self, path: &LayerPath, package: Option<&Arc<str>>) -> Result<LayerPath, TreeError> {
        if path.is_root() {
            return Err(error(path, "is the root"));
        }
        let path = self.walk(path, false)?;
        for parent in path.ancestors() {
            match self.nodes.get(&parent) {
                None => {
                    self.nodes.insert(parent, Node::new(NodeKind::Directory, 0o755).of(package));
                }
                Some(node) if node.is_directory() => {}
                Some(_) => return Err(error(&path, format!("its parent /{parent} is no directory"))),
            }
        }
        Ok(path)
    }

    /// Follows links; what does not exist stays as written. `last`: also a link at the very end.
    fn walk(&self, path: &LayerPath, last: bool) -> Result<LayerPath, TreeError> {
        let mut rest: Vec<Vec<u8>> = components(path.as_bytes()).rev().collect();
        let mut found: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                let end = found.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                found.truncate(end);
                continue;
            }
            let before = found.len();
            if !found.is_empty() {
                found.push(b'/');
            }
            found.extend_from_slice(&name);
            let here = LayerPath::new(&found).map_err(|bad| error(path, bad.to_string()))?;
            let Some(NodeKind::Symlink(target)) = self.nodes.get(&here).map(|node| &node.kind) else { continue };
            if rest.is_empty() && !last {
                continue;
            }
            links += 1;
            if links > LINK_LIMIT {
                return Err(error(path, "more than 40 links lead to it"));
            }
            found.truncate(if target.starts_with('/') { 0 } else { before });
            rest.extend(components(target.as_bytes()).rev());
        }
        LayerPath::new(found).map_err(|bad| error(path, bad.to_string()))
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

fn error(path: &LayerPath, why: impl Into<String>) -> TreeError {
    TreeError { path: path.to_string(), why: why.into() }
}

fn collision(old: Option<&str>, new: Option<&str>) -> String {
    let name = |package: Option<&str>| package.unwrap_or("the base itself").to_owned();
    format!("{} and {} both want to be there", name(old), name(new))
}

#[cfg(test)]
#[path = "tree/tests.rs"]
mod tests;
