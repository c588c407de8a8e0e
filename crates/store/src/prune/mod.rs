//! Freeing space: mark what names, leases and layouts need, choose of the rest, sweep.
//!
//! What nothing needs can be made or downloaded again: it goes least recently used first, and as far as is asked for.
//! A sweep holds the gate of `lease.rs` for the moment in which it looks again who needs what, and renames the rest
//! into a folder below `trash/`; bytes are freed after that. Names and artifacts' pointers go before what they point to,
//! and durably, so that no power cut leaves a name without its image.

mod mark;
mod survey;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use corten_oci::{Digest, Reference, Tag};

pub(crate) use mark::{Kept, Marker};
pub(crate) use survey::survey;
pub use survey::{Item, Kind};

use crate::scratch::{self, Scratch};
use crate::{Store, StoreError, disk, layout, lease, names, tidy, trees, usage};

/// A mark of use that is later than now by this is none of a right clock.
const SKEW: Duration = Duration::from_secs(24 * 3600);

/// What may be removed.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Remove until the store has so many bytes; without it, all that may be removed.
    pub keep: Option<u64>,
    /// Remove only what nobody used for so long.
    pub unused_for: Duration,
    /// Remove images that have names, too, and the layouts that `ship` wrote.
    pub all: bool,
    /// The time.
    pub now: SystemTime,
}

/// What is to be removed, or was.
#[derive(Debug, Default)]
pub struct Pruning {
    /// Names of images, with what they point to.
    pub names: Vec<(Reference, Digest)>,
    /// Files, least recently used first.
    pub items: Vec<Item>,
    /// Bytes that are freed.
    pub freed: u64,
    /// Bytes that the store has then.
    pub left: u64,
    /// The store's OCI layouts go, too.
    pub layouts: bool,
    /// When each of the names was used last.
    used: BTreeMap<Reference, SystemTime>,
}

impl Pruning {
    /// Is there nothing to remove?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.items.is_empty()
    }
}

impl Pruning {
    /// Of it, the cache mounts alone; as far as is needed for the store to have `keep` bytes.
    #[must_use]
    pub fn cache_mounts(self, keep: Option<u64>) -> Self {
        let total = self.freed.saturating_add(self.left);
        let mut items: Vec<Item> = self.items.into_iter().filter(|item| item.kind == Kind::CacheMount).collect();
        if let Some(keep) = keep {
            items = as_far_as(items, total.saturating_sub(keep));
        }
        let freed = sum(&items);
        Self { items, freed, left: total.saturating_sub(freed), ..Self::default() }
    }

    /// Removes a file and counts it; a download or a cache that somebody is at stays.
    fn take(&mut self, item: Item, bin: &Bin) -> Result<(), StoreError> {
        // Held until the file is away: whoever waits for it sees then that it is.
        let _lock = match item.kind {
            Kind::Download | Kind::CacheMount => match abandoned(&item.path) {
                Some(lock) => Some(lock),
                None => return Ok(()),
            },
            _ => None,
        };
        if item.kind == Kind::CacheMount {
            // The lock goes after what it guards.
            bin.take(&item.path.with_extension(""))?;
        }
        let whole = match item.kind {
            Kind::Tree { .. } => item.path.parent().unwrap_or(&item.path),
            _ => &item.path,
        };
        bin.take(whole)?;
        self.freed += item.size;
        self.items.push(item);
        Ok(())
    }
}

/// What the store was asked to remove, when it is asked for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untagged {
    /// The name.
    pub name: Reference,
    /// What it pointed to; none where it was torn.
    pub digest: Option<Digest>,
    /// Other names of the same image.
    pub others: Vec<Reference>,
}

impl Store {
    /// Bytes of all files.
    pub fn total(&self) -> Result<u64, StoreError> {
        Ok(survey(self)?.iter().map(|item| item.size).sum())
    }

    /// What [`Store::prune`] would remove. Changes nothing.
    ///
    /// # Errors
    /// A damaged document of a named image: what it needs is not known.
    pub fn prunable(&self, options: &PruneOptions) -> Result<Pruning, StoreError> {
        let mut marker = Marker::new(self);
        self.choose(options, &mut marker)
    }

    /// Removes what `chosen` says, but what is needed or used meanwhile. Waits for the moment in which nobody else names
    /// anything. What was removed.
    ///
    /// # Errors
    /// As [`Store::prunable`]; and a disk that says no.
    pub fn prune(&self, chosen: Pruning) -> Result<Pruning, StoreError> {
        let folder = self.folder(lease::FOLDER);
        let gate = lease::shut(&folder).map_err(|error| StoreError::disk("locking", &folder, 0, error))?;
        self.sweep(chosen, gate)
    }

    /// The same, if nobody is at work in this very moment; none otherwise.
    pub fn try_prune(&self, chosen: Pruning) -> Result<Option<Pruning>, StoreError> {
        let folder = self.folder(lease::FOLDER);
        match lease::try_shut(&folder).map_err(|error| StoreError::disk("locking", &folder, 0, error))? {
            Some(gate) => self.sweep(chosen, gate).map(Some),
            None => Ok(None),
        }
    }

    /// Takes a name away; its image stays until it is pruned. None where there is no such name.
    pub fn untag(&self, name: &Reference) -> Result<Option<Untagged>, StoreError> {
        let folder = self.folder(lease::FOLDER);
        let _gate = lease::shut(&folder).map_err(|error| StoreError::disk("locking", &folder, 0, error))?;
        let path = self.image_path(name);
        // One that is torn can be taken away as well.
        let digest = match self.pointed(&path) {
            Ok(None) => return Ok(None),
            Ok(Some(digest)) => Some(digest),
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        self.remove_name(name)?;
        let names = self.roots_that_can_be_read()?.into_iter();
        let others = names.filter(|(_, found)| Some(*found) == digest).map(|(name, _)| name).collect();
        Ok(Some(Untagged { name: name.clone(), digest, others }))
    }

    fn choose(&self, options: &PruneOptions, marker: &mut Marker<'_>) -> Result<Pruning, StoreError> {
        let items = survey(self)?;
        let total: u64 = items.iter().map(|item| item.size).sum();
        let mut names = match options.all {
            true => self.roots_that_can_be_read()?,
            false => self.roots()?,
        };
        let mut gone = Vec::new();
        if options.all && options.keep.is_none() {
            (gone, names) = names.into_iter().partition(|(name, _)| self.is_old(name, options));
        }
        let mut chosen = self.unneeded(&items, &names, &gone, options, marker)?;
        while options.all
            && options.keep.is_some_and(|keep| total.saturating_sub(sum(&chosen)) > keep)
            && let Some(oldest) = self.oldest(&names)
        {
            gone.extend(names.extract_if(.., |(_, digest)| *digest == oldest));
            chosen = self.unneeded(&items, &names, &gone, options, marker)?;
        }
        if let Some(keep) = options.keep {
            chosen = as_far_as(chosen, total.saturating_sub(keep));
        }
        self.add_pointers(&items, &mut chosen, marker);
        let freed = sum(&chosen);
        let layouts = options.all && names.is_empty();
        let used = gone.iter().filter_map(|(name, _)| Some((name.clone(), self.used(name)?))).collect();
        Ok(Pruning { names: gone, items: chosen, freed, left: total.saturating_sub(freed), layouts, used })
    }

    /// What these names do not need, least recently used first.
    fn unneeded(
        &self,
        items: &[Item],
        names: &[(Reference, Digest)],
        gone: &[(Reference, Digest)],
        options: &PruneOptions,
        marker: &mut Marker<'_>,
    ) -> Result<Vec<Item>, StoreError> {
        let kept = self.kept(names, gone, options.all && names.is_empty(), marker)?;
        let origins = marker.origins(&kept);
        let mut is_needed = |item: &Item| {
            let about = item.kind == Kind::Record;
            is_kept(item, &kept) || about && (origins.contains(&item.path) || marker.is_about(item, &kept))
        };
        let is_idle = |item: &Item| item.kind == Kind::Trash || age(item.used, options.now) >= options.unused_for;
        let mut unneeded: Vec<Item> = items.iter().filter(|item| is_idle(item) && !is_needed(item)).cloned().collect();
        // Of two that were used in the same hour, the larger goes first.
        // What frees nothing by itself is never what is left over: a second name of a blob, what was set aside.
        unneeded.sort_by_key(|item| {
            (!matches!(item.kind, Kind::Trash | Kind::Layout), item.used, std::cmp::Reverse(item.size))
        });
        Ok(unneeded)
    }

    fn kept(
        &self,
        names: &[(Reference, Digest)],
        gone: &[(Reference, Digest)],
        without_layouts: bool,
        marker: &mut Marker<'_>,
    ) -> Result<Kept, StoreError> {
        let mut kept = Kept::default();
        marker.images(names, &mut kept)?;
        marker.leases(&mut kept)?;
        if !without_layouts {
            marker.layouts(gone, &mut kept)?;
        }
        Ok(kept)
    }

    /// Pointers to artifacts that lose a part go with it.
    fn add_pointers(&self, items: &[Item], chosen: &mut Vec<Item>, marker: &mut Marker<'_>) {
        let gone: HashSet<Digest> = chosen.iter().filter_map(|item| blob_of(&item.kind)).collect();
        let listed: HashSet<PathBuf> = chosen.iter().map(|item| item.path.clone()).collect();
        for item in items {
            let Kind::Referrer { subject, artifact } = item.kind else { continue };
            if listed.contains(&item.path) {
                continue;
            }
            if gone.contains(&subject) || marker.below(&artifact).blobs.iter().any(|blob| gone.contains(blob)) {
                chosen.push(item.clone());
            }
        }
    }

    fn is_old(&self, name: &Reference, options: &PruneOptions) -> bool {
        self.used(name).is_none_or(|used| age(used, options.now) >= options.unused_for)
    }

    /// When a name was used last; none where it is gone.
    fn used(&self, name: &Reference) -> Option<SystemTime> {
        fs::symlink_metadata(self.pointer(name)).and_then(|found| found.modified()).ok()
    }

    /// The image that nobody asked for the longest time.
    fn oldest(&self, names: &[(Reference, Digest)]) -> Option<Digest> {
        let mut latest: BTreeMap<Digest, SystemTime> = BTreeMap::new();
        for (name, digest) in names {
            let used = self.used(name).unwrap_or(SystemTime::UNIX_EPOCH);
            let known = latest.entry(*digest).or_insert(used);
            *known = used.max(*known);
        }
        latest.into_iter().min_by_key(|(_, used)| *used).map(|(digest, _)| digest)
    }

    /// All names, and as names with digests what repositories keep without a tag.
    pub(crate) fn roots(&self) -> Result<Vec<(Reference, Digest)>, StoreError> {
        let mut roots = self.images()?;
        roots.extend(self.kept_without_tags()?);
        Ok(roots)
    }

    /// The same but for names whose pointers are torn.
    pub(crate) fn roots_that_can_be_read(&self) -> Result<Vec<(Reference, Digest)>, StoreError> {
        let read = |(name, path): (Reference, PathBuf)| self.pointed(&path).ok().flatten().map(|digest| (name, digest));
        let mut roots: Vec<_> = self.image_paths()?.into_iter().filter_map(read).collect();
        roots.extend(self.kept_without_tags()?);
        Ok(roots)
    }

    fn kept_without_tags(&self) -> Result<Vec<(Reference, Digest)>, StoreError> {
        let mut kept = Vec::new();
        for repository in self.repositories()? {
            for digest in self.held(&repository)? {
                kept.push((Reference { repository: repository.clone(), tag: None, digest: Some(digest) }, digest));
            }
        }
        Ok(kept)
    }

    /// Pointers of what repositories keep without a tag.
    pub(crate) fn held_paths(&self) -> Result<Vec<PathBuf>, StoreError> {
        Ok(self.kept_without_tags()?.iter().map(|(name, _)| self.pointer(name)).collect())
    }

    /// Where it is written down what a name points to, or that a repository keeps a digest.
    pub fn pointer(&self, name: &Reference) -> PathBuf {
        match (&name.tag, &name.digest) {
            (None, Some(digest)) => self.held_path(&name.repository, digest),
            _ => self.image_path(name),
        }
    }

    /// With the gate shut: looks again, removes pointers durably, renames the rest away; then opens the gate and frees.
    fn sweep(&self, chosen: Pruning, gate: fs::File) -> Result<Pruning, StoreError> {
        let (mut names, mut done) = (self.roots_that_can_be_read()?, Pruning::default());
        let going: BTreeSet<&(Reference, Digest)> = chosen.names.iter().collect();
        let is_unused = |name: &Reference| self.used(name).is_some_and(|used| chosen.used.get(name) == Some(&used));
        done.names = names.extract_if(.., |root| going.contains(root) && is_unused(&root.0)).collect();
        done.layouts = chosen.layouts && names.is_empty();
        let mut marker = Marker::new(self);
        let kept = self.kept(&names, &done.names, done.layouts, &mut marker)?;
        // Where layers of an image are that was named meanwhile.
        let origins = marker.origins(&kept);
        let may_go = |item: &Item| !is_kept(item, &kept) && !origins.contains(&item.path) && is_unused_since(item);
        let (pointers, files): (Vec<_>, Vec<_>) =
            chosen.items.into_iter().filter(may_go).partition(|item| matches!(item.kind, Kind::Referrer { .. }));
        let (of_layouts, files) = files.into_iter().partition(|item| item.kind == Kind::Layout);
        self.remove_pointers(&done.names, &pointers)?;
        let bin = Bin::new(self);
        self.sweep_layouts(of_layouts, &mut done, &bin)?;
        for item in files {
            done.take(item, &bin)?;
        }
        self.forget_unnamed_that_are_gone()?;
        self.remove_empty_folders()?;
        drop(gate);
        done.freed += sum(&pointers);
        done.items.extend(pointers);
        drop(bin);
        let items = survey(self)?;
        if let Some(now) = self.now {
            tame(&items, now);
        }
        done.left = sum(&items);
        Ok(done)
    }

    /// Whole layouts, or what is left over in them.
    fn sweep_layouts(&self, mut items: Vec<Item>, done: &mut Pruning, bin: &Bin) -> Result<(), StoreError> {
        let all = self.layouts()?;
        // Those that lie below another one come before it.
        for (repository, layout) in all.iter().rev() {
            let blobs = layout::blobs(layout);
            let own: Vec<Item> = items.extract_if(.., |item| item.path.starts_with(&blobs)).collect();
            if done.layouts {
                let Some(_lock) = tidy::try_lock(layout) else { continue };
                done.freed += sum(&own);
                match all.iter().any(|(_, other)| other != layout && other.starts_with(layout)) {
                    true => layout::own(layout).iter().try_for_each(|part| bin.take(part))?,
                    false => bin.take(layout)?,
                }
                self.remove_empty(&layout.join("blobs"));
                layout.parent().iter().for_each(|folder| self.remove_empty(folder));
                continue;
            }
            let names = done.names.iter().filter(|(name, _)| name.repository.to_string() == *repository);
            let tags: Vec<Tag> = names.filter_map(|(name, _)| name.tag.clone()).collect();
            if !tags.is_empty() {
                layout::forget(layout, &tags)?;
            }
            let paths: Vec<PathBuf> = own.iter().map(|item| item.path.clone()).collect();
            let Some((paths, _lock)) = tidy::removable(layout, &paths) else { continue };
            for item in own.into_iter().filter(|item| paths.contains(&item.path)) {
                done.take(item, bin)?;
            }
        }
        Ok(())
    }

    /// Folders of layers without an index, and of subjects without artifacts: a killed process leaves such.
    fn remove_empty_folders(&self) -> Result<(), StoreError> {
        for parent in [self.folder("layers"), self.folder("referrers")] {
            for name in names::names_in(&parent)? {
                // One that is not empty stays.
                drop(fs::remove_dir(parent.join(name)));
            }
        }
        Ok(())
    }

    fn remove_pointers(&self, names: &[(Reference, Digest)], pointers: &[Item]) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for path in names.iter().map(|(name, _)| self.pointer(name)).chain(pointers.iter().map(|it| it.path.clone())) {
            remove(&path)?;
            changed.extend(path.parent().map(PathBuf::from));
        }
        changed.sort();
        changed.dedup();
        if !changed.is_empty() {
            disk::sync_folders(&mut changed)?;
        }
        for folder in &changed {
            self.remove_empty(folder);
        }
        Ok(())
    }

    fn remove_name(&self, name: &Reference) -> Result<(), StoreError> {
        let path = self.image_path(name);
        remove(&path)?;
        if let Some(folder) = path.parent() {
            disk::sync_folders(&mut vec![folder.to_owned()])?;
            self.remove_empty(folder);
        }
        let layout = self.folder("layouts").join(name.repository.to_string());
        let tag = match &name.tag {
            Some(tag) => Some(tag.clone()),
            None => Tag::new(names::DEFAULT_TAG).ok(),
        };
        if layout::is_there(&layout)
            && let Some(tag) = tag
        {
            layout::forget(&layout, &[tag])?;
        }
        Ok(())
    }

    /// Removes a folder if it is empty, and so those above it, up to those that every store has.
    pub(crate) fn remove_empty(&self, folder: &std::path::Path) {
        let ends = [self.folder("images"), self.folder("referrers"), self.folder("layouts")];
        let mut folder = Some(folder);
        while let Some(one) = folder.filter(|one| one.starts_with(self.root()) && !ends.iter().any(|end| end == one)) {
            if fs::remove_dir(one).is_err() {
                return;
            }
            folder = one.parent();
        }
    }
}

fn sum(items: &[Item]) -> u64 {
    items.iter().map(|item| item.size).sum()
}

/// So many of them, from the first, that `bytes` are freed.
fn as_far_as(items: Vec<Item>, bytes: u64) -> Vec<Item> {
    let mut freed = 0_u64;
    let enough = |item: &Item| {
        let before = freed;
        freed = freed.saturating_add(item.size);
        before < bytes
    };
    items.into_iter().take_while(enough).collect()
}

fn blob_of(kind: &Kind) -> Option<Digest> {
    match kind {
        Kind::Blob(digest) => Some(*digest),
        _ => None,
    }
}

fn is_kept(item: &Item, kept: &Kept) -> bool {
    match &item.kind {
        Kind::Blob(digest) => kept.blobs.contains(digest),
        Kind::Index(diff_id) => kept.layers.contains(diff_id),
        Kind::Tree { layer, made_here } => kept.trees.contains(layer) || *made_here && kept.layers.contains(layer),
        Kind::Referrer { subject, artifact } => kept.blobs.contains(subject) && kept.blobs.contains(artifact),
        Kind::Layout => kept.files.contains(&item.path),
        Kind::Record | Kind::CacheMount | Kind::Download | Kind::Trash => false,
    }
}

/// How long nobody used it. A mark from the future is one of a clock that was wrong: it counts as young.
fn age(used: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(used).unwrap_or_default()
}

/// Was it neither used nor replaced since it was chosen?
fn is_unused_since(item: &Item) -> bool {
    let found = fs::symlink_metadata(&item.path);
    found.is_ok_and(|found| found.modified().is_ok_and(|used| used == item.used))
}

/// The lock of a download that nobody is at.
fn abandoned(path: &std::path::Path) -> Option<fs::File> {
    let file = disk::open_regular(path).ok()?;
    (file.try_lock().is_ok() && scratch::is_still(&file, path)).then_some(file)
}

fn remove(path: &std::path::Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if !disk::is_absent(&error) => Err(StoreError::disk("removing", path, 0, error)),
        _ => Ok(()),
    }
}

/// Where files go in one step, to be freed when nobody waits. On a disk that is too full for a folder they are freed
/// at once.
struct Bin(Option<Scratch>);

impl Bin {
    fn new(store: &Store) -> Self {
        Self(Scratch::new(&store.folder("trash")).ok())
    }

    fn take(&self, path: &std::path::Path) -> Result<(), StoreError> {
        if let Some(scratch) = &self.0
            && fs::rename(path, scratch.path()).is_ok()
        {
            return Ok(());
        }
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => trees::remove_tree(path),
            _ => fs::remove_file(path),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::disk("removing", path, 0, error)),
            _ => Ok(()),
        }
    }
}

/// Marks from the future are set to now, so that they age from here on.
pub(crate) fn tame(items: &[Item], now: SystemTime) {
    for item in items.iter().filter(|item| item.used.duration_since(now).is_ok_and(|ahead| ahead > SKEW)) {
        usage::set(&item.path, now);
    }
}
