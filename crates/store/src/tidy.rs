//! Layouts of the store that lose images: what the rest of them needs, and removing the rest.
//!
//! A layout is somebody's output: only what its own index does not reach is removed, and only while its lock can be
//! taken at once, so that nobody adds to it.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use corten_oci::{Closure, Descriptor, Digest, LARGEST_DOCUMENT, Tag, Unsuitable};

use crate::contents::NAME;
use crate::{StoreError, disk, layout, scratch};

/// What a layout's index reaches when these tags are gone. None where that cannot be told: then all of it is needed.
pub(crate) fn needed(root: &Path, gone: &[Tag]) -> Option<HashSet<Digest>> {
    let index = layout::read_index(root).ok()??;
    let fetch = |descriptor: &Descriptor| -> Result<Vec<u8>, StoreError> {
        let bytes = disk::read_small(&layout::blobs(root).join(descriptor.digest.hex()), LARGEST_DOCUMENT)?;
        let bytes = bytes.filter(|bytes| Digest::of(bytes) == descriptor.digest);
        bytes.ok_or_else(|| {
            StoreError::Unsuitable(Unsuitable { digest: descriptor.digest, why: "it is missing or damaged".into() })
        })
    };
    let mut closure = Closure::default();
    let entries = without(root, index.manifests, gone);
    entries.iter().try_for_each(|entry| closure.add(entry, &fetch)).ok()?;
    let documents = closure.documents.iter().map(|(descriptor, _)| descriptor.digest);
    Some(documents.chain(closure.blobs.iter().map(|blob| blob.digest)).collect())
}

/// The entries of an index when these tags are gone, with what was only about them.
pub(crate) fn without(root: &Path, entries: Vec<Descriptor>, gone: &[Tag]) -> Vec<Descriptor> {
    let loses = |entry: &Descriptor| {
        entry.annotations.get(NAME).is_some_and(|name| gone.iter().any(|tag| tag.as_str() == name.as_str()))
    };
    let (replaced, mut kept): (Vec<_>, Vec<_>) = entries.into_iter().partition(loses);
    layout::drop_orphans(root, &mut kept, &replaced, &BTreeSet::new());
    kept
}

/// Files of a layout that may go, of those that were chosen; with the lock under which that is so.
pub(crate) fn removable(root: &Path, chosen: &[PathBuf]) -> Option<(Vec<PathBuf>, File)> {
    let lock = try_lock(root)?;
    let needed = needed(root, &[])?;
    let is_needed = |path: &PathBuf| {
        path.file_name().and_then(crate::names::digest_of_name).is_some_and(|digest| needed.contains(&digest))
    };
    Some((chosen.iter().filter(|path| !is_needed(path)).cloned().collect(), lock))
}

/// The lock of a layout that nobody else has.
pub(crate) fn try_lock(root: &Path) -> Option<File> {
    let marker = root.join(layout::MARKER);
    let file = disk::open_regular(&marker).ok()?;
    (file.try_lock().is_ok() && scratch::is_still(&file, &marker)).then_some(file)
}
