//! What lies in the store: every file that can be removed by itself, with its size and when it was used last.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use corten_oci::{DiffId, Digest};

use crate::{Store, StoreError, cache_mount, disk, layout, names, trees};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something that is named by its digest: a layer, a document, a wheel, a .deb.
    Blob(Digest),
    /// What lies in a layer.
    Index(DiffId),
    /// A layer unpacked; the path is that of its state.
    Tree {
        /// Which.
        layer: DiffId,
        /// Its bytes may be nowhere else.
        made_here: bool,
    },
    /// A remembered result.
    Record,
    /// What `RUN --mount=type=cache` keeps; the path is that of its lock.
    CacheMount,
    /// A download under way.
    Download,
    /// An artifact about a manifest.
    Referrer {
        /// The manifest.
        subject: Digest,
        /// The artifact.
        artifact: Digest,
    },
    /// A blob of an OCI layout in the store; a link to one of the store's, as a rule.
    Layout,
    /// What was set aside because it was damaged.
    Trash,
}

/// A file of the store.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes that it takes, counted once for all its names.
    pub size: u64,
    /// When it was used last, to the hour.
    pub used: SystemTime,
}

/// Every file of the store but names, leases and what is being written.
pub(crate) fn survey(store: &Store) -> Result<Vec<Item>, StoreError> {
    let mut survey = Survey::default();
    survey.folder(&store.blobs_folder(), |name| names::digest_of_name(name.as_ref()).map(Kind::Blob))?;
    for name in names::names_in(&store.folder("layers"))? {
        if let Some(digest) = names::digest_of_name(name.as_ref()) {
            let folder = store.folder("layers").join(name);
            survey.file(&folder.join("index"), Kind::Index(DiffId(digest)))?;
            survey.trees(&folder, DiffId(digest))?;
        }
    }
    survey.folder(&store.folder("cache"), |_| Some(Kind::Record))?;
    survey.folder(&store.folder("downloads"), |_| Some(Kind::Download))?;
    for (lock, files) in cache_mount::all(store)? {
        survey.cache_mount(&lock, &files)?;
    }
    for name in names::names_in(&store.folder("referrers"))? {
        let Some(subject) = names::digest_of_name(name.as_ref()) else { continue };
        survey.folder(&store.folder("referrers").join(&name), |name| {
            names::digest_of_name(name.as_ref()).map(|artifact| Kind::Referrer { subject, artifact })
        })?;
    }
    for (_, folder) in store.layouts()? {
        survey.folder(&layout::blobs(&folder), |_| Some(Kind::Layout))?;
    }
    survey.folder(&store.folder("trash"), |name| (!is_being_emptied(name)).then_some(Kind::Trash))?;
    Ok(survey.items)
}

/// `<pid>-<n>` and its lock: another process is removing what is in it.
fn is_being_emptied(name: &str) -> bool {
    let name = name.strip_suffix(".lock").unwrap_or(name);
    name.split_once('-').is_some_and(|(pid, number)| pid.parse::<u32>().is_ok() && number.parse::<u64>().is_ok())
}

#[derive(Default)]
struct Survey {
    items: Vec<Item>,
    /// Files with several names, by device and inode.
    seen: HashSet<(u64, u64)>,
}

impl Survey {
    fn folder(&mut self, folder: &Path, kind: impl Fn(&str) -> Option<Kind>) -> Result<(), StoreError> {
        for name in names::names_in(folder)? {
            if let Some(kind) = kind(&name) {
                self.file(&folder.join(name), kind)?;
            }
        }
        Ok(())
    }

    fn trees(&mut self, folder: &Path, layer: DiffId) -> Result<(), StoreError> {
        for (path, state) in trees::all(folder, &layer)? {
            let before = self.items.len();
            self.file(&path, Kind::Tree { layer, made_here: state.made_here })?;
            self.items.get_mut(before..).into_iter().flatten().for_each(|item| item.size = state.bytes);
        }
        Ok(())
    }

    fn cache_mount(&mut self, lock: &Path, files: &Path) -> Result<(), StoreError> {
        let before = self.items.len();
        self.file(lock, Kind::CacheMount)?;
        let size = self.below(files);
        self.items.get_mut(before..).into_iter().flatten().for_each(|item| item.size = size);
        Ok(())
    }

    fn file(&mut self, path: &Path, kind: Kind) -> Result<(), StoreError> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() && kind != Kind::Trash => return Ok(()),
            Ok(found) => found,
            Err(error) if disk::is_absent(&error) => return Ok(()),
            Err(error) => return Err(StoreError::disk("looking at", path, 0, error)),
        };
        let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let size = if found.is_dir() { self.below(path) } else { self.size(&found) };
        self.items.push(Item { kind, path: path.to_owned(), size, used });
        Ok(())
    }

    /// Bytes of all files in a folder that was set aside whole.
    fn below(&mut self, folder: &Path) -> u64 {
        let (mut sum, mut next) = (0, vec![folder.to_owned()]);
        while let Some(folder) = next.pop() {
            // Somebody may be emptying the trash, and an unpacked layer has folders that nobody may read.
            for path in names::names_in(&folder).unwrap_or_default().into_iter().map(|name| folder.join(name)) {
                match fs::symlink_metadata(&path) {
                    Ok(found) if found.is_dir() => next.push(path),
                    Ok(found) => sum += self.size(&found),
                    Err(_) => {}
                }
            }
        }
        sum
    }

    fn size(&mut self, found: &Metadata) -> u64 {
        let is_first = found.nlink() < 2 || self.seen.insert((found.dev(), found.ino()));
        if is_first { found.len() } else { 0 }
    }
}
