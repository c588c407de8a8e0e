//! Where copied files go: the paths of the layer, found in the merged files of the stage as far as they are there.
//!
//! | copied | onto | gives |
//! |---|---|---|
//! | a folder | nothing, a folder | its content in that folder |
//! | a folder | anything else | an error |
//! | a file | a folder, or a path that ends in `/` | the file in it |
//! | a file | nothing, a file, a link within a copied folder | the file in its place |
//!
//! Links in a destination are followed inside the root of the stage; with `--link` there is no stage, so nothing to follow.
//! Folders that are made on the way have `--chown`'s owner and, of an octal `--chmod`, all but the set-id bits, as BuildKit makes
//! them; those of an archive are 0755.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;

use corten_diagnostic::Failure;
use corten_layer::attributes::Attributes;
use corten_oci::{Digest, Kind, LayerPath};

use super::context::Context;
use super::copy::{Selected, Told, relative};
use super::modes;
use super::view::{Found, Last, Place, View, resolve};

/// In place of a time: when the build began.
pub(super) const NOW: i64 = i64::MAX;

/// The entries of a layer to be, parents first.
pub(super) type Items<'a> = BTreeMap<LayerPath, Item<'a>>;

/// One of them.
pub(super) struct Item<'a> {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) attributes: Attributes,
    pub(super) content: Content<'a>,
    /// Of the content, where it is known.
    pub(super) digest: Option<Digest>,
    /// Of a file that may have other names: its source, and its number there.
    pub(super) file: Option<(usize, u64)>,
}

/// Where an entry's bytes come from.
#[derive(Clone)]
pub(super) enum Content<'a> {
    /// It has none.
    None,
    /// A file where the step's files are looked up.
    Found(&'a Found),
    /// A file of a folder of its own.
    Own(&'a Context, &'a LayerPath),
    /// Here.
    Bytes(Arc<[u8]>),
    /// At this byte of a file without a name.
    At(Arc<File>, u64),
}

/// How files are changed on the way.
pub(super) struct Change {
    pub(super) owner: Option<(u64, u64)>,
    pub(super) mode: Option<String>,
}

impl Change {
    fn mode(&self, mode: u32, is_folder: bool) -> Result<u32, Failure> {
        match &self.mode {
            None => Ok(mode),
            Some(text) => {
                modes::changed(text, mode, is_folder).map_err(|why| Failure::input(format!("--chmod={text}: {why}")))
            }
        }
    }

    /// Of a folder that is made on the way.
    fn mode_on_the_way(&self) -> u32 {
        let octal = self.mode.as_ref().and_then(|text| u32::from_str_radix(text, 8).ok());
        octal.map_or(0o755, |mode| mode & 0o777)
    }
}

/// What may be where a file goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Onto {
    /// Nothing: the folder that it goes into is new.
    Nothing,
    /// What is found there.
    Looked,
}

/// A layer on its way.
pub(super) struct Target<'a> {
    stage: &'a dyn View,
    pub(super) change: Change,
    pub(super) items: Items<'a>,
    sources: usize,
    /// A folder among the entries: the one that the last of them lies in.
    folder: Option<LayerPath>,
}

impl View for Target<'_> {
    fn look(&self, path: &LayerPath) -> Result<Option<Found>, Failure> {
        if path.is_root() {
            return Ok(Some(root()));
        }
        if let Some(item) = self.items.get(path) {
            let Item { kind, mode, uid, gid, size, .. } = item;
            let place = Place::Layer(corten_oci::DiffId(Digest::of([])), 0);
            return Ok(Some(Found {
                path: path.clone(),
                kind: kind.clone(),
                mode: *mode,
                uid: *uid,
                gid: *gid,
                size: *size,
                place,
            }));
        }
        let is_hidden =
            path.ancestors().any(|above| self.items.get(&above).is_some_and(|item| item.kind != Kind::Directory));
        if is_hidden { Ok(None) } else { self.stage.look(path) }
    }

    fn children(&self, folder: &LayerPath) -> Result<Vec<Found>, Failure> {
        self.stage.children(folder)
    }

    fn below(&self, folder: &LayerPath, jobs: usize) -> Result<Vec<Found>, Failure> {
        self.stage.below(folder, jobs)
    }
}

impl<'a> Target<'a> {
    /// On top of what a stage has.
    pub(super) fn new(stage: &'a dyn View, change: Change) -> Self {
        Self { stage, change, items: Items::new(), sources: 0, folder: None }
    }

    /// WORKDIR: a folder with all above it.
    pub(super) fn folder(&mut self, path: &str) -> Result<(), Failure> {
        let real = resolve(self, path.as_bytes(), Last::Followed)?;
        self.make_folders(&real)
    }

    /// Copies one source to a destination; what is an archive is not unpacked here.
    pub(super) fn copy(&mut self, selected: &'a Selected, destination: &str) -> Result<(), Failure> {
        self.sources += 1;
        let real = self.begin(destination)?;
        let existing = self.look(&real)?;
        let root = &selected.root;
        if !root.found.is_folder() {
            let real = match &existing {
                Some(found) if found.is_folder() => {
                    let name = real.join(&selected.name);
                    name.map_err(|error| Failure::input(error.to_string()))?
                }
                _ => real,
            };
            return self.put(&real, root, selected, Onto::Looked);
        }
        match existing {
            None => self.make_folders(&real)?,
            Some(found) if !found.is_folder() => {
                return Err(Failure::input(format!(
                    "cannot copy the content of a folder to /{real}, which is no folder"
                )));
            }
            Some(_) => {}
        }
        let onto = if self.is_new(&real)? { Onto::Nothing } else { Onto::Looked };
        self.copy_below(selected, &real, onto)?;
        // The folder that receives them has the time of theirs; the root of a folder that is built has none of its own.
        if let (Some(item), false) = (self.items.get_mut(&real), root.found.path.is_root()) {
            item.attributes.mtime = root.attributes.mtime;
        }
        Ok(())
    }

    /// Is a folder empty that is among the entries, because there was none before?
    fn is_new(&self, folder: &LayerPath) -> Result<bool, Failure> {
        let begin_alike = self.items.range(folder..).map(|(path, _)| path).filter(|path| *path != folder);
        let mut begin_alike = begin_alike.take_while(|path| path.as_bytes().starts_with(folder.as_bytes()));
        Ok(!begin_alike.any(|path| path.starts_with(folder)) && self.stage.look(folder)?.is_none())
    }

    fn copy_below(&mut self, selected: &'a Selected, real: &LayerPath, onto: Onto) -> Result<(), Failure> {
        let root = &selected.root;
        for told in &selected.below {
            let relative = relative(&told.found.path, &root.found.path);
            let path = real.join(relative).map_err(|error| Failure::input(error.to_string()))?;
            self.put(&path, told, selected, onto)?;
        }
        Ok(())
    }

    /// Makes the folders that a destination lies in, and says where it really is.
    pub(super) fn begin(&mut self, destination: &str) -> Result<LayerPath, Failure> {
        let folder = destination.rfind('/').map_or("", |at| &destination[..at]);
        let folder = resolve(self, folder.as_bytes(), Last::Followed)?;
        self.make_folders(&folder)?;
        resolve(self, destination.as_bytes(), Last::Followed)
    }

    fn put(&mut self, path: &LayerPath, told: &'a Told, selected: &'a Selected, onto: Onto) -> Result<(), Failure> {
        let found = &told.found;
        let existing = if onto == Onto::Nothing { None } else { self.look(path)? };
        if found.is_folder() {
            if existing.is_some_and(|existing| !existing.is_folder()) {
                return Err(Failure::input(format!("cannot copy a folder to /{path}, which is no folder")));
            }
        } else if existing.is_some_and(|existing| existing.is_folder()) {
            return Err(Failure::input(format!("cannot replace the folder /{path} by a file")));
        }
        let content = match (&found.kind, &selected.text, &selected.own) {
            (Kind::File, Some(text), _) => Content::Bytes(text.clone()),
            (Kind::File, None, Some(own)) => Content::Own(own, &found.path),
            (Kind::File, None, None) => Content::Found(found),
            _ => Content::None,
        };
        let (uid, gid) = self.change.owner.unwrap_or((found.uid, found.gid));
        let is_link = matches!(found.kind, Kind::Symlink(_));
        let mode = if is_link { 0o777 } else { self.change.mode(found.mode, found.is_folder())? };
        let file = names_of(found).map(|number| (self.sources, number));
        let attributes = told.attributes.clone();
        let (kind, size, digest) = (found.kind.clone(), found.size, told.digest);
        self.place(path, Item { kind, mode, uid, gid, size, attributes, content, digest, file })
    }

    /// Puts an entry somewhere; folders above it that the layer has not yet are told again as they are.
    pub(super) fn place(&mut self, path: &LayerPath, item: Item<'a>) -> Result<(), Failure> {
        if path.is_root() {
            return Ok(());
        }
        if !self.folder.as_ref().is_some_and(|folder| lies_in(path, folder)) {
            self.have_parent(path)?;
        }
        self.items.insert(path.clone(), item);
        Ok(())
    }

    fn have_parent(&mut self, path: &LayerPath) -> Result<(), Failure> {
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Ok(()) };
        if !self.items.contains_key(&parent) {
            self.make_folders(&parent)?;
            self.repeat_folders(&parent)?;
        }
        self.folder = Some(parent);
        Ok(())
    }

    fn repeat_folders(&mut self, folder: &LayerPath) -> Result<(), Failure> {
        let all: Vec<LayerPath> = folder.ancestors().chain([folder.clone()]).collect();
        for path in all {
            if self.items.contains_key(&path) {
                continue;
            }
            if let Some(found) = self.stage.look(&path)? {
                self.items.insert(path, folder_item(found.mode, found.uid, found.gid));
            }
        }
        Ok(())
    }

    /// Makes a folder of real path with all above it.
    pub(super) fn make_folders(&mut self, folder: &LayerPath) -> Result<(), Failure> {
        let all: Vec<LayerPath> = folder.ancestors().chain([folder.clone()]).filter(|path| !path.is_root()).collect();
        for path in all {
            match self.look(&path)? {
                Some(found) if found.is_folder() => {}
                Some(_) => {
                    return Err(Failure::input(format!("cannot make the folder /{path}: something else is there")));
                }
                None => {
                    if let Some(parent) = path.parent().filter(|parent| !parent.is_root()) {
                        self.repeat_folders(&parent)?;
                    }
                    let (uid, gid) = self.change.owner.unwrap_or((0, 0));
                    let item = folder_item(self.change.mode_on_the_way(), uid, gid);
                    self.items.insert(path, item);
                }
            }
        }
        Ok(())
    }

    /// As an archive's entry says: what is in the way goes.
    pub(super) fn extract(&mut self, path: &LayerPath, item: Item<'a>) -> Result<(), Failure> {
        let is_folder = item.kind == Kind::Directory;
        match self.look(path)? {
            Some(found) if found.is_folder() && !is_folder => {
                self.items.retain(|other, _| !other.starts_with(path));
                self.folder = None;
            }
            _ => {}
        }
        self.place(path, item)
    }

    pub(super) fn owner(&self) -> Option<(u64, u64)> {
        self.change.owner
    }

    pub(super) fn next_source(&mut self) -> usize {
        self.sources += 1;
        self.sources
    }

    /// The entries; names of one file become hard links to the first of them.
    pub(super) fn finish(mut self) -> Items<'a> {
        let mut first: HashMap<(usize, u64, Option<Place>), LayerPath> = HashMap::new();
        for (path, item) in &mut self.items {
            let Some((source, number)) = item.file else { continue };
            let place = match item.content {
                Content::Found(found) => Some(found.place),
                _ => None,
            };
            let known = first.entry((source, number, place)).or_insert_with(|| path.clone());
            if known != path {
                item.kind = Kind::HardLink(known.clone());
                item.size = 0;
                item.content = Content::None;
                item.digest = None;
                item.attributes.xattrs.clear();
            }
        }
        self.items
    }
}

/// Of any stage, and of none.
fn root() -> Found {
    let place = Place::Layer(corten_oci::DiffId(corten_oci::Digest::of([])), 0);
    Found { path: LayerPath::root(), kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, size: 0, place }
}

/// Directly.
fn lies_in(path: &LayerPath, folder: &LayerPath) -> bool {
    let rest = path.as_bytes().strip_prefix(folder.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    rest.is_some_and(|rest| !rest.contains(&b'/'))
}

/// The number of a file that may have other names.
fn names_of(found: &Found) -> Option<u64> {
    match found.place {
        _ if found.kind != Kind::File => None,
        Place::Context(stamp, others) => (others == 1).then_some(stamp.inode),
        Place::Layer(_, offset) => Some(offset),
    }
}

fn folder_item(mode: u32, uid: u64, gid: u64) -> Item<'static> {
    Item {
        kind: Kind::Directory,
        mode,
        uid,
        gid,
        size: 0,
        attributes: Attributes::at(NOW),
        content: Content::None,
        digest: None,
        file: None,
    }
}
