//! The files of an image, as its layers leave them: what is where, and where links lead.

use std::collections::BTreeMap;
use std::ops::Bound;

use corten_oci::{Kind, LayerPath};

use super::find::ImageLayer;

/// Links that may be followed on the way to one path: the kernel's own limit.
const LINK_LIMIT: usize = 40;

/// ImageFiles by path.
#[derive(Debug)]
pub struct ImageFiles<'a>(BTreeMap<&'a LayerPath, File<'a>>);

#[derive(Debug)]
struct File<'a> {
    kind: &'a Kind,
    layer: usize,
    package: Option<&'a str>,
}

impl<'a> ImageFiles<'a> {
    /// Of all layers, the lowest first.
    pub fn new(layers: &'a [ImageLayer]) -> Self {
        let mut files = Self(BTreeMap::new());
        for (layer, of) in layers.iter().enumerate() {
            // What a layer hides lies below it: its own files come after.
            for entry in &of.index.entries {
                match entry.kind {
                    Kind::Whiteout => {
                        files.0.remove(&entry.path);
                        files.hide_below(&entry.path);
                    }
                    Kind::Opaque => files.hide_below(&entry.path),
                    _ => {}
                }
            }
            for entry in of.index.entries.iter().filter(|entry| !matches!(entry.kind, Kind::Whiteout | Kind::Opaque)) {
                let file = File { kind: &entry.kind, layer, package: entry.package.as_deref() };
                let before = files.0.insert(&entry.path, file);
                // A folder is gone with all that is in it, where something else takes its place.
                if entry.kind != Kind::Directory && before.is_some_and(|before| *before.kind == Kind::Directory) {
                    files.hide_below(&entry.path);
                }
            }
        }
        files
    }

    fn hide_below(&mut self, folder: &LayerPath) {
        let inside = if folder.is_root() { Vec::new() } else { [folder.as_bytes(), b"/"].concat() };
        // '0' is the byte behind '/': the first name that sorts behind everything in the folder.
        let behind = LayerPath::new([folder.as_bytes(), b"0"].concat()).ok().filter(|_| !folder.is_root());
        let end = behind.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let below = self.0.range::<LayerPath, _>((Bound::Excluded(folder), end)).map(|(path, _)| *path);
        let below: Vec<&LayerPath> = below.filter(|path| path.as_bytes().starts_with(&inside)).collect();
        for path in below {
            self.0.remove(path);
        }
    }

    /// Is what is at a path of this layer?
    pub fn is_of(&self, path: &LayerPath, layer: usize) -> bool {
        self.0.get(path).is_some_and(|file| file.layer == layer)
    }

    /// The package URL of what is at a path.
    pub(super) fn package(&self, path: &LayerPath) -> Option<&'a str> {
        self.0.get(path).and_then(|file| file.package)
    }

    /// Where a path leads when all links are followed, inside the image.
    pub(super) fn resolve(&self, path: &str) -> Option<LayerPath> {
        let mut rest: Vec<Vec<u8>> = components(path.as_bytes()).rev().collect();
        let mut found: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                found.truncate(found.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                continue;
            }
            let before = found.len();
            if !found.is_empty() {
                found.push(b'/');
            }
            found.extend_from_slice(&name);
            let here = LayerPath::new(&found).ok()?;
            match self.0.get(&here).map(|file| file.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return None;
                    }
                    found.truncate(if target.starts_with('/') { 0 } else { before });
                    rest.extend(components(target.as_bytes()).rev());
                }
                Some(Kind::HardLink(target)) => found = target.as_bytes().to_vec(),
                _ => {}
            }
        }
        LayerPath::new(found).ok()
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}
