//! Layers unpacked, one folder each, for overlayfs to stack.
//!
//! ```text
//! layers/<diff id>/index
//!                  tree/root/…          what lies in the layer, as overlayfs wants it (see `plan.rs`)
//!                  tree/state           size, and what it is checked by
//!                  tree-<hash>/…        the same for other lower layers
//! ```
//!
//! A tree is made in `tmp/`, synced, and gets its name in one step, together with its state: so it is there whole, or not.
//! Its files are not read again when it is used, but after the machine was started anew they are counted once
//! ([`state`]): a disk that lies about syncing may have lost some. Then the tree is made again.
//!
//! `tree` itself is 0700: set-user-id programs of an image are reached by nobody but us, and in sandboxes.

mod beneath;
mod content;
mod export;
mod local;
mod lower;
mod pack;
mod plan;
mod state;
mod tar;
mod unpack;
mod upper;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::tar::TarError;
use corten_layer::tree::Tree;
use corten_oci::{Blobs, Descriptor, DiffId, Digest, LayerIndex};

use crate::batch::StagedTree;
use crate::disk::{self, Renamed};
use crate::later::Trees;
use crate::lease::Noted;
use crate::scratch::ScratchFolder;
use crate::{Batch, Key, Problem, Store, StoreError};

pub(crate) use beneath::remove_tree;
pub use content::EachFile;
pub use export::AddedFile;
pub use local::ManifestOptions;
pub use pack::Packing;
use plan::Plan;
pub(crate) use state::State;
pub use upper::{Doubled, Kept, Left, Owners, Upper};

/// The folder of a tree's files, in the folder that has the tree's name.
pub(crate) const ROOT: &str = "root";
/// Chains of layers whose files are kept in mind.
const MOST_CHAINS: usize = 4;
/// Layers that are unpacked at the same time.
const MOST_THREADS: usize = 4;

/// A layer that is to be there as a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeLayer {
    /// Of its tar.
    pub diff_id: DiffId,
    /// Its blob, where there is one.
    pub blob: Option<Descriptor>,
}

/// What is known of chains of layers, by the digest of their diff ids.
#[derive(Default)]
pub(crate) struct Chains(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The name of the uppermost layer's tree.
    names: HashMap<Digest, String>,
    /// The files, of those that were asked for last.
    trees: Vec<(Digest, Tree)>,
}

impl Chains {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, chain: Digest, tree: Tree) {
        self.trees.retain(|(known, _)| *known != chain);
        self.trees.push((chain, tree));
        if self.trees.len() > MOST_CHAINS {
            self.trees.remove(0);
        }
    }
}

impl Store {
    /// The folders of these layers (lowest first) for overlayfs: the uppermost first. What is not there is unpacked, from the
    /// tar in the store or from its blob. They stay as long as this store is open.
    ///
    /// Device nodes are left out where the kernel allows none to us; whoever needs them has them from the sandbox.
    ///
    /// # Errors
    /// Layers that cannot be put on top of each other, bytes that are not what their digests say, a layer without bytes.
    pub fn trees(&self, layers: &[TreeLayer], blobs: &(dyn Blobs + Sync)) -> Result<Trees, StoreError> {
        self.note(layers.iter().map(|layer| Noted::Layer(layer.diff_id)))?;
        let chains = chains(layers.iter().map(|layer| layer.diff_id));
        if let Some(folders) = self.known_trees(layers, &chains)? {
            return Ok(folders);
        }
        let plans = self.plan(layers, &chains, blobs)?;
        self.unpack_all(layers, &plans, blobs)?;
        self.remember(&chains, plans.iter().map(|(_, plan)| plan.name.clone()).collect())?;
        let mut trees = Trees::default();
        for ((_, plan), layer) in plans.iter().zip(layers).rev() {
            self.tree_root(&layer.diff_id, &plan.name, &mut trees);
        }
        Ok(trees)
    }

    /// The folder of a layer's files, where it has been unpacked or a command has left it: one of them, if there are several.
    pub fn tree_of(&self, diff_id: &DiffId) -> Option<Trees> {
        let mut trees = Trees::default();
        let folder = self.folder("layers").join(diff_id.0.hex());
        if let Some(open) = self.later.tree_in(&folder, false) {
            trees.push_open(open);
            return Some(trees);
        }
        let names = crate::names::names_in(&folder).ok()?.into_iter().filter(|name| name.starts_with(plan::PLAIN));
        let root = names.map(|name| folder.join(name).join(ROOT)).find(|root| root.is_dir())?;
        trees.push(root);
        Some(trees)
    }

    /// A folder beside the others, on their file system, for a sandbox's upper folder.
    ///
    /// # Errors
    /// A disk that says no.
    pub fn upper_folder(&self) -> Result<ScratchFolder, StoreError> {
        let folder = self.scratch_folder()?;
        close(folder.path())?;
        Ok(folder)
    }

    pub(crate) fn tree_folder(&self, diff_id: &DiffId, name: &str) -> PathBuf {
        self.folder("layers").join(diff_id.0.hex()).join(name)
    }

    /// Adds the folder of a tree's files.
    fn tree_root(&self, diff_id: &DiffId, name: &str, to: &mut Trees) {
        let place = self.tree_folder(diff_id, name);
        // A sandbox that root does not make knows a folder by its path alone, which must stay what it is.
        if !rustix::process::geteuid().is_root() {
            self.later.settle(&place);
        }
        match self.later.tree(&place) {
            Some(open) => to.push_open(open),
            None => to.push(place.join(ROOT)),
        }
    }

    /// All of them, if they are there.
    fn known_trees(&self, layers: &[TreeLayer], chains: &[Digest]) -> Result<Option<Trees>, StoreError> {
        let Some(names) = self.known_names(chains)? else { return Ok(None) };
        let mut folders = Trees::default();
        for (layer, name) in layers.iter().zip(&names) {
            if !self.has_tree(&layer.diff_id, name)? {
                return Ok(None);
            }
            self.tree_root(&layer.diff_id, name, &mut folders);
        }
        folders.reverse();
        Ok(Some(folders))
    }

    fn known_names(&self, chains: &[Digest]) -> Result<Option<Vec<String>>, StoreError> {
        let in_mind = || {
            let known = self.chains.lock();
            chains.iter().map(|chain| known.names.get(chain).cloned()).collect::<Option<Vec<_>>>()
        };
        if let Some(names) = in_mind() {
            return Ok(Some(names));
        }
        let Some(last) = chains.last() else { return Ok(Some(Vec::new())) };
        let record = self.record(&chain_key(last))?;
        let names = record.and_then(|bytes| String::from_utf8(bytes).ok());
        let names: Option<Vec<String>> = names.map(|names| names.lines().map(str::to_owned).collect());
        let is_name = |name: &String| name.starts_with(plan::PLAIN) && !name.contains('/');
        let Some(names) = names.filter(|names| names.len() == chains.len() && names.iter().all(is_name)) else {
            return Ok(None);
        };
        self.chains.lock().names.extend(chains.iter().copied().zip(names.iter().cloned()));
        Ok(Some(names))
    }

    fn remember(&self, chains: &[Digest], names: Vec<String>) -> Result<(), StoreError> {
        if let Some(last) = chains.last() {
            let batch = self.batch();
            batch.record(&chain_key(last), names.join("\n").as_bytes())?;
            batch.finish_later()?;
        }
        self.chains.lock().names.extend(chains.iter().copied().zip(names));
        Ok(())
    }

    /// Where everything of these layers goes.
    fn plan(
        &self,
        layers: &[TreeLayer],
        chains: &[Digest],
        blobs: &(dyn Blobs + Sync),
    ) -> Result<Vec<(LayerIndex, Plan)>, StoreError> {
        let mut plans = Vec::with_capacity(layers.len());
        let mut tree = Tree::default();
        for layer in layers {
            let index = self.index_of(layer, blobs)?;
            let plan = Plan::new(layer.diff_id, &index, &mut tree).map_err(|error| StoreError::Layer {
                layer: error.layer,
                why: format!("'{}': {}", error.path, error.why),
                fault: Fault::Input,
            })?;
            plans.push((index, plan));
        }
        if let Some(last) = chains.last() {
            self.chains.lock().keep(*last, tree);
        }
        Ok(plans)
    }

    /// The files of a chain, from indexes alone.
    pub(crate) fn files_of(&self, layers: &[DiffId]) -> Result<Tree, StoreError> {
        let chains = chains(layers.iter().copied());
        let Some(last) = chains.last() else { return Ok(Tree::default()) };
        if let Some((_, tree)) = self.chains.lock().trees.iter().find(|(known, _)| known == last) {
            return Ok(tree.clone());
        }
        let mut tree = Tree::default();
        for diff_id in layers {
            let index = self
                .layer_index(diff_id)?
                .ok_or_else(|| StoreError::Missing(format!("the index of layer {diff_id}")))?;
            let added = tree.add(*diff_id, &index);
            added.map_err(|error| StoreError::Layer {
                layer: error.layer,
                why: format!("'{}': {}", error.path, error.why),
                fault: Fault::Input,
            })?;
        }
        self.chains.lock().keep(*last, tree.clone());
        Ok(tree)
    }

    /// What lies in a layer; read from its bytes where the store has no index of it.
    fn index_of(&self, layer: &TreeLayer, blobs: &(dyn Blobs + Sync)) -> Result<LayerIndex, StoreError> {
        if let Some(index) = self.layer_index(&layer.diff_id)? {
            return Ok(index);
        }
        let wrong = |why: String| StoreError::Layer { layer: layer.diff_id, why, fault: Fault::Input };
        let tar = self.open_tar(layer, blobs)?;
        let found = corten_layer::tar::index(tar).map_err(|error| match error {
            TarError::Read(error) => StoreError::layer(layer.diff_id, error),
            refused @ TarError::Refused { .. } => wrong(refused.to_string()),
        });
        let found = found.map_err(|error| self.blamed(layer, error))?;
        if found.diff_id != layer.diff_id {
            return Err(wrong(format!("its bytes have the diff id {}", found.diff_id)));
        }
        let batch = self.batch();
        batch.layer_index(&layer.diff_id, &found.index)?;
        batch.finish_later()?;
        Ok(found.index)
    }

    /// Bytes that are wrong are so as they were made, or are not any more what their name says.
    fn blamed(&self, layer: &TreeLayer, error: StoreError) -> StoreError {
        if error.fault() != Fault::Input {
            return error;
        }
        let packed = self.packed(&layer.diff_id).unwrap_or_default();
        let blobs = layer.blob.iter().chain(&packed).map(|blob| blob.digest).chain([layer.diff_id.0]);
        let damaged = blobs.filter(|digest| matches!(self.size(digest), Ok(Some(_)))).find_map(|digest| {
            let read = self.read(&digest).and_then(|mut bytes| {
                let copied = io::copy(&mut bytes, &mut io::sink());
                copied.map_err(|error| StoreError::from_io("reading", &self.blob_path(&digest), error))
            });
            read.err()
        });
        damaged.unwrap_or(error)
    }

    /// The tar of a layer, from wherever it is.
    fn open_tar<'a>(
        &'a self,
        layer: &TreeLayer,
        blobs: &'a (dyn Blobs + Sync),
    ) -> Result<Box<dyn Read + 'a>, StoreError> {
        let failed = |error: io::Error| StoreError::layer(layer.diff_id, error);
        if self.size(&layer.diff_id.0)?.is_some() {
            return self.read(&layer.diff_id.0).map(|tar| tar as Box<dyn Read>);
        }
        if let Some(blob) = &layer.blob {
            let source = blobs.open(blob).map_err(failed)?;
            return corten_layer::gzip::reader(&blob.media_type, source).map_err(failed);
        }
        for blob in self.packed(&layer.diff_id)? {
            if self.size(&blob.digest)? == Some(blob.size) {
                return corten_layer::gzip::reader(&blob.media_type, self.read(&blob.digest)?).map_err(failed);
            }
        }
        match self.made_here(&layer.diff_id)? {
            Some(_) => Ok(tar::reader(self, &layer.diff_id)?),
            None => Err(StoreError::Missing(format!("layer {}", layer.diff_id))),
        }
    }

    fn unpack_all(
        &self,
        layers: &[TreeLayer],
        plans: &[(LayerIndex, Plan)],
        blobs: &(dyn Blobs + Sync),
    ) -> Result<(), StoreError> {
        let missing = |(_, (layer, (_, plan))): &(usize, (&TreeLayer, &(LayerIndex, Plan)))| {
            self.has_tree(&layer.diff_id, &plan.name).map(|there| !there)
        };
        let mut work = Vec::new();
        for item in layers.iter().zip(plans).enumerate() {
            if missing(&item)? {
                work.push(item.0);
            }
        }
        // Those that take files of lower layers, when these are there.
        let (late, early): (Vec<usize>, Vec<usize>) =
            work.into_iter().partition(|at| plans.get(*at).is_some_and(|(_, plan)| plan.needs_lower));
        let one = |at: usize| -> Result<(), StoreError> {
            let (Some(layer), Some((index, plan))) = (layers.get(at), plans.get(at)) else { return Ok(()) };
            let mut lower = Trees::default();
            for (layer, (_, plan)) in layers.iter().zip(plans).take(at).rev() {
                self.tree_root(&layer.diff_id, &plan.name, &mut lower);
            }
            self.unpack(layer, index, plan, &lower, blobs)
        };
        side_by_side(&early, &one)?;
        late.into_iter().try_for_each(one)
    }

    fn unpack(
        &self,
        layer: &TreeLayer,
        index: &LayerIndex,
        plan: &Plan,
        lower: &[PathBuf],
        blobs: &(dyn Blobs + Sync),
    ) -> Result<(), StoreError> {
        let wrapper = self.upper_folder()?;
        let root = wrapper.path().join(ROOT);
        fs::create_dir(&root).map_err(|error| StoreError::disk("making the folder", &root, 4096, error))?;
        let tar = self.open_tar(layer, blobs)?;
        unpack::unpack(tar, &layer.diff_id, index, plan, &root, lower).map_err(|error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            match error.downcast::<StoreError>() {
                Ok(ours) => ours,
                Err(error) if full => StoreError::disk("unpacking into", &root, index.content_size(), error),
                Err(error) => self.blamed(layer, StoreError::layer(layer.diff_id, error)),
            }
        })?;
        let state = State::of(&root, false).map_err(|error| StoreError::disk("reading", &root, 0, error))?;
        let batch = self.batch();
        self.stage_tree(wrapper, &layer.diff_id, &plan.name, state, &batch)?;
        batch.finish_later()
    }

    /// Adds a tree to a batch. `wrapper` holds `root/`.
    fn stage_tree(
        &self,
        wrapper: ScratchFolder,
        diff_id: &DiffId,
        name: &str,
        state: State,
        batch: &Batch<'_>,
    ) -> Result<(), StoreError> {
        state::write(wrapper.path(), diff_id, &state)?;
        let place = self.tree_folder(diff_id, name);
        batch.tree(StagedTree { wrapper, diff_id: *diff_id, place, state });
        Ok(())
    }

    /// Is the tree there, as it was when it got its name?
    fn has_tree(&self, diff_id: &DiffId, name: &str) -> Result<bool, StoreError> {
        let folder = self.tree_folder(diff_id, name);
        Ok(self.later.tree(&folder).is_some() || state::check(self, diff_id, &folder)?)
    }

    /// Gives a tree that is durable its name. Folders that got a new entry are added to `changed`.
    pub(crate) fn name_tree(&self, tree: &StagedTree, changed: &mut Vec<PathBuf>) -> Result<(), StoreError> {
        let StagedTree { wrapper, diff_id, place, .. } = tree;
        let parent = self.folder("layers").join(diff_id.0.hex());
        // A sweep removes folders that are empty.
        let leases = self.folder(crate::lease::FOLDER);
        let _gate = crate::lease::share(&leases).map_err(|error| StoreError::disk("locking", &leases, 0, error))?;
        disk::make_folder(&parent, changed)?;
        changed.push(parent);
        loop {
            let naming = |error| StoreError::disk("naming", place, 4096, error);
            let taken = match disk::rename_without_replace(wrapper.path(), place) {
                Ok(Renamed::New) => false,
                Ok(Renamed::Taken) => true,
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => true,
                Err(error) => return Err(naming(error)),
            };
            if !taken || state::check(self, diff_id, place)? {
                return Ok(());
            }
            let away = self.scratch_path()?;
            match fs::rename(place, &away) {
                Err(error) if !disk::is_absent(&error) => return Err(naming(error)),
                _ => drop(remove_tree(&away)),
            }
        }
    }
}

/// The states of a layer's trees, with their paths.
pub(crate) fn all(layer_folder: &Path, diff_id: &DiffId) -> Result<Vec<(PathBuf, State)>, StoreError> {
    let names = crate::names::names_in(layer_folder)?.into_iter().filter(|name| name.starts_with(plan::PLAIN));
    let found = names.map(|name| layer_folder.join(name)).filter_map(|wrapper| {
        let path = state::path(&wrapper);
        // One that is torn is replaced by who needs it; what it takes is not known.
        let state = state::read(&wrapper, diff_id).or_else(|| path.exists().then(State::torn))?;
        Some((path, state))
    });
    Ok(found.collect())
}

/// Trees that are not as they were when they got their names, and trees made by commands whose tar is another now.
pub(crate) fn verify(store: &Store, layer_folder: &Path, diff_id: &DiffId) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    for (path, state) in all(layer_folder, diff_id)? {
        let path = path.parent().map(Path::to_owned).unwrap_or(path);
        let why = match State::of(&path.join(ROOT), state.made_here) {
            Err(error) => Some(error.to_string()),
            Ok(found) if !found.same_files(&state) => {
                Some("files of it are missing, or others than were unpacked".into())
            }
            Ok(_) if state.made_here => {
                let read = tar::reader(store, diff_id).map(|mut tar| io::copy(&mut tar, &mut io::sink()));
                match read {
                    Ok(Ok(_)) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(error) => Some(error.to_string()),
                }
            }
            Ok(_) => None,
        };
        problems.extend(why.map(|why| Problem { path, why }));
    }
    Ok(problems)
}

/// Does work on several threads; the first error counts.
fn side_by_side(work: &[usize], one: &(dyn Fn(usize) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST_THREADS));
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let run = || {
        while let Some(at) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = one(*at) {
                // The others need not begin anything.
                next.store(work.len(), Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(work.len()) {
            scope.spawn(run);
        }
        run();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Forbids a folder to all others.
fn close(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(|error| StoreError::disk("writing", folder, 0, error))
}

/// For each layer, what names it with all below it.
fn chains(layers: impl Iterator<Item = DiffId>) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::new();
    for layer in layers {
        let text = chains.last().map_or_else(|| layer.to_string(), |below| format!("{below} {layer}"));
        chains.push(Digest::of(text));
    }
    chains
}

fn chain_key(chain: &Digest) -> Key {
    let owners = if plan::is_over_ranges() { "with owners " } else { "" };
    Key(Digest::of(format!("corten trees 1 {owners}{chain}")))
}

/// A blob of a layer that was made here, by what is known of it.
impl Store {
    /// Blobs of a layer that were made here, whichever there are.
    pub fn packed(&self, diff_id: &DiffId) -> Result<Vec<Descriptor>, StoreError> {
        let record = self.record(&packed_key(diff_id))?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Remembers a blob of a layer; see [`Store::packed`]. Its annotation [`FORMAT`] says how it was made.
    ///
    /// # Errors
    /// A disk that says no.
    pub fn remember_packed(&self, diff_id: &DiffId, blob: &Descriptor) -> Result<(), StoreError> {
        let mut known = self.packed(diff_id)?;
        known.retain(|one| one.annotations.get(FORMAT) != blob.annotations.get(FORMAT));
        known.push(blob.clone());
        let bytes = serde_json::to_vec(&known).unwrap_or_default();
        let batch = self.batch();
        batch.record(&packed_key(diff_id), &bytes)?;
        batch.finish()
    }
}

/// What a remembered blob says of how it was made; in no manifest.
pub const FORMAT: &str = "corten.format";

fn packed_key(diff_id: &DiffId) -> Key {
    Key(Digest::of(format!("corten packed 1 {diff_id}")))
}
