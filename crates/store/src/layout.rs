//! OCI image layout (image specification 1.1, "Image Layout"), out and in.
//!
//! An artifact about an image is found there in both ways that readers know: its manifest, which has a `subject`, stands
//! in `index.json`; and an index of all of them has the tag `sha256-<hex of the subject>` (distribution specification,
//! "Referrers Tag Schema").
//!
//! Adding to a layout holds a lock on its `oci-layout`; blobs come before `index.json`, which is replaced in one step,
//! and a layout that has everything already is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use corten_oci::{Closure, Descriptor, Digest, Index, LARGEST_DOCUMENT, MediaType, Reference, Tag, Unsuitable};

use crate::ahead::read_ahead;
use crate::archive::Archive;
use crate::contents::{Contents, NAME, subject_of_name, to_json};
use crate::verified::VerifiedReader;
use crate::{Batch, Store, StoreError, disk, scratch, tidy};

pub(crate) const MARKER: &str = "oci-layout";
pub(crate) const MARKER_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const INDEX: &str = "index.json";
pub(crate) const BLOBS: &str = "blobs/sha256";
/// What a writer that was killed leaves; the next one overwrites it. There is one writer at a time.
const INCOMPLETE: &str = ".corten-incomplete";

/// Writes (adds) an image with its referrers to the OCI layout folder `to`, named by `references` (annotation
/// `org.opencontainers.image.ref.name`, the tag alone). Blobs are linked where possible, else copied. An image that had
/// one of the tags before loses it.
pub fn export(store: &Store, manifest: &Digest, references: &[Reference], to: &Path) -> Result<(), StoreError> {
    export_annotated(store, manifest, (references, &BTreeMap::new()), to)
}

/// As [`export`]; the image's entries in `index.json` get free texts beside their names.
pub fn export_annotated(
    store: &Store,
    manifest: &Digest,
    (references, texts): (&[Reference], &BTreeMap<String, String>),
    to: &Path,
) -> Result<(), StoreError> {
    let mut contents = Contents::of(store, manifest, references)?;
    contents.annotate(texts);
    // Before the layout is locked: who notes waits for a sweep, and a sweep waits for the layout.
    for blob in &contents.blobs {
        store.size(&blob.digest)?;
    }
    let mut folder = Folder::open(to)?;
    let before = folder.entries()?;
    folder.keep_foreign_referrers(&before, &mut contents);
    let fallbacks = contents.fallbacks()?;
    let entries = folder.merge(before, &contents, &fallbacks);
    for blob in &contents.blobs {
        folder.add(store, blob)?;
    }
    for (descriptor, bytes) in &fallbacks {
        folder.write(&folder.blob(&descriptor.digest), bytes)?;
    }
    folder.finish(&to_json(&index_of(entries), manifest)?)
}

/// The image alone as a tar file (`-o type=oci,dest=FILE`): the same bytes whatever else the store holds, and nothing in
/// its `index.json` that a reader could take for a second image.
pub fn export_tar(
    store: &Store,
    manifest: &Digest,
    references: &[Reference],
    to: &mut dyn Write,
) -> Result<(), StoreError> {
    export_tar_annotated(store, manifest, (references, &BTreeMap::new()), to)
}

/// As [`export_tar`]; the image's entries in `index.json` get free texts beside their names.
pub fn export_tar_annotated(
    store: &Store,
    manifest: &Digest,
    (references, texts): (&[Reference], &BTreeMap<String, String>),
    to: &mut dyn Write,
) -> Result<(), StoreError> {
    let mut contents = Contents::alone(store, manifest, references)?;
    contents.annotate(texts);
    let index = to_json(&index_of(in_order(contents.entries)), manifest)?;
    let mut write = || -> io::Result<()> {
        let mut archive = Archive::new(to);
        archive.bytes(MARKER, MARKER_BYTES)?;
        archive.bytes(INDEX, &index)?;
        archive.folder("blobs/")?;
        archive.folder("blobs/sha256/")?;
        for blob in &contents.blobs {
            let (content, _) = store.stream(&blob.digest).map_err(StoreError::into_io)?;
            let name = format!("{BLOBS}/{}", blob.digest.hex());
            read_ahead(content, |content| archive.file(&name, blob.size, content))?;
        }
        archive.finish()
    };
    write().map_err(|error| StoreError::from_io("writing", Path::new("the OCI archive"), error))
}

/// Takes a tag out of a layout, with what was about its image; the blobs stay until the store is pruned.
pub(crate) fn forget(root: &Path, tags: &[Tag]) -> Result<(), StoreError> {
    let folder = Folder::open(root)?;
    let before = folder.entries()?;
    let kept = tidy::without(root, before.clone(), tags);
    match kept == before {
        true => Ok(()),
        false => folder.finish(&to_json(&index_of(kept), &Digest::of([]))?),
    }
}

pub(crate) fn index_of(manifests: Vec<Descriptor>) -> Index {
    let media_type = Some(MediaType::INDEX.into());
    Index { schema_version: 2, media_type, artifact_type: None, manifests, subject: None, annotations: BTreeMap::new() }
}

/// The entries of `index.json` that an image brings: itself by name, the fallback tags, its referrers.
fn new_entries(contents: &Contents, fallbacks: &[(Descriptor, Vec<u8>)]) -> Vec<Descriptor> {
    let mut entries = contents.entries.clone();
    entries.extend(fallbacks.iter().map(|(descriptor, _)| descriptor.clone()));
    entries.extend(contents.referrers.values().flatten().cloned());
    in_order(entries)
}

/// Images by name, then fallback tags, then what has no name: the same whatever came first.
pub(crate) fn in_order(mut entries: Vec<Descriptor>) -> Vec<Descriptor> {
    entries.sort_by_cached_key(|entry| {
        let name = entry.annotations.get(NAME).cloned();
        let class = name.as_deref().map_or(2, |name| u8::from(subject_of_name(name).is_some()));
        (class, name, entry.digest)
    });
    entries.dedup();
    entries
}

/// A layout that is being added to, locked.
struct Folder {
    root: PathBuf,
    changed: Vec<PathBuf>,
    _lock: File,
}

impl Folder {
    fn open(root: &Path) -> Result<Self, StoreError> {
        let mut changed = Vec::new();
        let marker = root.join(MARKER);
        let mut lock = loop {
            disk::make_folder(&root.join(BLOBS), &mut changed)?;
            let lock = lock(&marker).map_err(|error| StoreError::disk("locking", &marker, 0, error))?;
            // Meanwhile somebody may have removed the layout.
            if scratch::is_still(&lock, &marker) {
                break lock;
            }
        };
        if disk::read_small(&marker, LARGEST_DOCUMENT)?.is_some_and(|bytes| bytes.is_empty()) {
            lock.write_all(MARKER_BYTES)
                .and_then(|()| disk::set_mode(&lock, 0o644))
                .and_then(|()| lock.sync_data())
                .map_err(|error| StoreError::disk("writing", &marker, MARKER_BYTES.len() as u64, error))?;
            changed.push(root.to_owned());
        }
        check_marker(&marker)?;
        Ok(Self { root: root.to_owned(), changed, _lock: lock })
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join(BLOBS).join(digest.hex())
    }

    fn entries(&self) -> Result<Vec<Descriptor>, StoreError> {
        Ok(read_index(&self.root)?.map_or_else(Vec::new, |index| index.manifests))
    }

    /// Other tools may have added artifacts about the same subjects.
    fn keep_foreign_referrers(&self, before: &[Descriptor], contents: &mut Contents) {
        for entry in before {
            let subject = entry.annotations.get(NAME).and_then(|name| subject_of_name(name));
            let Some(ours) = subject.and_then(|subject| contents.referrers.get_mut(&subject)) else { continue };
            ours.extend(listed(&self.root, entry));
            ours.sort_by_key(|referrer| referrer.digest);
            ours.dedup_by_key(|referrer| referrer.digest);
        }
    }

    /// The entries with those of `contents`. Who lost a name and has no other goes, with what was about it.
    fn merge(
        &self,
        before: Vec<Descriptor>,
        contents: &Contents,
        fallbacks: &[(Descriptor, Vec<u8>)],
    ) -> Vec<Descriptor> {
        let new = new_entries(contents, fallbacks);
        let names: BTreeSet<_> = new.iter().filter_map(|entry| entry.annotations.get(NAME)).collect();
        let digests: BTreeSet<_> = new.iter().map(|entry| entry.digest).collect();
        let stays = |entry: &Descriptor| match entry.annotations.get(NAME) {
            Some(name) => !names.contains(name),
            None => !digests.contains(&entry.digest),
        };
        let (mut kept, replaced): (Vec<_>, Vec<_>) = before.into_iter().partition(stays);
        drop_orphans(&self.root, &mut kept, &replaced, &digests);
        kept.extend(new);
        in_order(kept)
    }

    /// Adds a blob of the store, unless it is there.
    fn add(&mut self, store: &Store, blob: &Descriptor) -> Result<(), StoreError> {
        let to = self.blob(&blob.digest);
        let from = store.blob_path(&blob.digest);
        if store.size(&blob.digest)? != Some(blob.size) {
            return Err(StoreError::Missing(blob.digest.to_string()));
        }
        match fs::symlink_metadata(&to) {
            Ok(found) if found.is_file() && found.len() == blob.size && holds(&from, &to) => return Ok(()),
            Ok(_) => fs::remove_file(&to).map_err(|error| StoreError::disk("replacing", &to, 0, error))?,
            Err(_) => {}
        }
        self.changed.push(self.root.join(BLOBS));
        match fs::hard_link(from, &to) {
            Ok(()) => Ok(()),
            Err(_) => self.copy(store, blob, &to),
        }
    }

    fn copy(&self, store: &Store, blob: &Descriptor, to: &Path) -> Result<(), StoreError> {
        let incomplete = self.root.join(INCOMPLETE);
        let mut content = store.read(&blob.digest)?;
        let mut copy = || -> io::Result<()> {
            let mut file = File::create(&incomplete)?;
            io::copy(&mut content, &mut file)?;
            disk::set_mode(&file, 0o444)?;
            file.sync_data()?;
            drop(file);
            fs::rename(&incomplete, to)
        };
        copy().map_err(|error| {
            let _ = fs::remove_file(&incomplete);
            match error.kind() {
                io::ErrorKind::StorageFull => StoreError::disk("writing", to, blob.size, error),
                _ => StoreError::from_io("writing", to, error),
            }
        })
    }

    /// Writes a small file, unless it has these bytes already.
    fn write(&mut self, to: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        if disk::read_small(to, LARGEST_DOCUMENT).is_ok_and(|found| found.as_deref() == Some(bytes)) {
            return Ok(());
        }
        let incomplete = self.root.join(INCOMPLETE);
        let write = || -> io::Result<()> {
            let mut file = File::create(&incomplete)?;
            file.write_all(bytes)?;
            disk::set_mode(&file, 0o644)?;
            file.sync_data()?;
            fs::rename(&incomplete, to)
        };
        write().map_err(|error| StoreError::disk("writing", to, bytes.len() as u64, error))?;
        self.changed.extend(to.parent().map(Path::to_owned));
        Ok(())
    }

    /// Makes the blobs durable, then replaces the index.
    fn finish(mut self, index: &[u8]) -> Result<(), StoreError> {
        if !self.changed.is_empty() {
            disk::sync_folders(&mut self.changed)?;
        }
        self.changed.clear();
        self.write(&self.root.join(INDEX), index)?;
        match self.changed.is_empty() {
            true => Ok(()),
            false => disk::sync_folders(&mut self.changed),
        }
    }
}

/// A layout's marker, made where it is absent, and locked.
fn lock(marker: &Path) -> io::Result<File> {
    let file = match OpenOptions::new().read(true).append(true).create(true).open(marker) {
        // There may be nothing to write.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(marker),
        other => other,
    }?;
    file.lock().map(|()| file)
}

/// Of those that lost a name: who has no other goes, with what was about it. `new`: what comes in their place.
pub(crate) fn drop_orphans(root: &Path, kept: &mut Vec<Descriptor>, replaced: &[Descriptor], new: &BTreeSet<Digest>) {
    let mut gone: Vec<Digest> = replaced.iter().map(|entry| entry.digest).collect();
    while let Some(digest) = gone.pop() {
        if new.contains(&digest) || kept.iter().any(|entry| entry.digest == digest) {
            continue;
        }
        let is_about =
            |entry: &Descriptor| entry.annotations.get(NAME).and_then(|name| subject_of_name(name)) == Some(digest);
        let fallbacks: Vec<_> = kept.extract_if(.., |entry| is_about(entry)).collect();
        let orphans: BTreeSet<_> =
            fallbacks.iter().flat_map(|entry| listed(root, entry)).map(|entry| entry.digest).collect();
        kept.retain(|entry| entry.annotations.contains_key(NAME) || !orphans.contains(&entry.digest));
        gone.extend(orphans);
    }
}

/// What a fallback index lists; nothing where it cannot be read.
fn listed(root: &Path, fallback: &Descriptor) -> Vec<Descriptor> {
    let path = root.join(BLOBS).join(fallback.digest.hex());
    let bytes = disk::read_small(&path, LARGEST_DOCUMENT).ok().flatten();
    bytes.and_then(|bytes| Index::parse(&bytes).ok()).map_or_else(Vec::new, |index| index.manifests)
}

/// Is `to` another name of the store's blob? Where it is a file of its own, it must have the same bytes: a damaged one
/// is replaced.
fn holds(from: &Path, to: &Path) -> bool {
    disk::is_same_file(from, to) || disk::same_bytes(from, to)
}

/// Is a layout in the folder, or what a writer began with?
pub(crate) fn is_there(root: &Path) -> bool {
    let is_no_folder = |name| fs::symlink_metadata(root.join(name)).is_ok_and(|found| !found.is_dir());
    is_no_folder(MARKER) || is_no_folder(INDEX) || root.join(BLOBS).is_dir()
}

/// What of a folder is the layout's own: others may lie below it. The marker comes last: it is locked.
pub(crate) fn own(root: &Path) -> [PathBuf; 4] {
    [INDEX, BLOBS, INCOMPLETE, MARKER].map(|name| root.join(name))
}

/// Where a layout has its blobs.
pub(crate) fn blobs(root: &Path) -> PathBuf {
    root.join(BLOBS)
}

/// Can the layout be read, and does it have what its index names? One without an index is not begun.
pub(crate) fn check(root: &Path) -> Result<(), StoreError> {
    let Some(index) = read_index(root)? else { return Ok(()) };
    check_marker(&root.join(MARKER))?;
    for entry in &index.manifests {
        let path = root.join(BLOBS).join(entry.digest.hex());
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == entry.size) {
            let why = format!("blob {}, which it names, is missing or of another size", entry.digest);
            return Err(StoreError::damaged(&root.join(INDEX), why));
        }
    }
    Ok(())
}

pub(crate) fn check_marker(path: &Path) -> Result<(), StoreError> {
    let Some(bytes) = disk::read_small(path, LARGEST_DOCUMENT)? else {
        return Err(StoreError::damaged(path, "it is absent, so the folder is no OCI layout"));
    };
    check_marker_bytes(path, &bytes)
}

/// Is it a layout of a version that is known?
pub(crate) fn check_marker_bytes(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    match serde_json::from_slice::<Marker>(bytes) {
        Ok(marker) if marker.image_layout_version.starts_with("1.") => Ok(()),
        Ok(marker) => Err(StoreError::damaged(path, format!("version '{}' is unknown", marker.image_layout_version))),
        Err(error) => Err(StoreError::damaged(path, error.to_string())),
    }
}

pub(crate) fn read_index(root: &Path) -> Result<Option<Index>, StoreError> {
    let path = root.join(INDEX);
    let Some(bytes) = disk::read_small(&path, LARGEST_DOCUMENT)? else { return Ok(None) };
    Index::parse(&bytes).map(Some).map_err(|error| StoreError::damaged(&path, error.to_string()))
}

/// Takes all images of an OCI layout folder into the store, checking every byte: their manifests' digests.
///
/// Artifacts with a subject become its referrers and are not among the digests. Nothing is named.
pub fn import(store: &Store, from: &Path) -> Result<Vec<Digest>, StoreError> {
    check_marker(&from.join(MARKER))?;
    let Some(index) = read_index(from)? else {
        return Err(StoreError::damaged(&from.join(INDEX), "it is absent"));
    };
    let fetch = |descriptor: &Descriptor| -> Result<Vec<u8>, StoreError> {
        let (path, mut content) = open_blob(from, descriptor)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut content, &mut bytes)
            .map_err(|error| StoreError::from_io("reading", &path, error))?;
        Ok(bytes)
    };
    let mut closure = Closure::default();
    let roots = roots(&index, &fetch)?;
    roots.iter().try_for_each(|root| closure.add(root, &fetch))?;
    let batch = store.batch();
    let documents = closure.documents.iter().map(|(descriptor, _)| descriptor);
    documents.chain(&closure.blobs).try_for_each(|blob| take(&batch, store, from, blob))?;
    let mut artifacts = BTreeSet::new();
    for (descriptor, document) in &closure.documents {
        if let Some(subject) = document.subject() {
            batch.referrer(&subject.digest, &bare(descriptor))?;
            artifacts.insert(descriptor.digest);
        }
    }
    batch.finish()?;
    let mut seen = BTreeSet::new();
    let images = roots.iter().map(|root| root.digest);
    Ok(images.filter(|digest| !artifacts.contains(digest) && seen.insert(*digest)).collect())
}

/// The entries of an index, and in place of a fallback index, what it lists.
pub(crate) fn roots(
    index: &Index,
    fetch: &dyn Fn(&Descriptor) -> Result<Vec<u8>, StoreError>,
) -> Result<Vec<Descriptor>, StoreError> {
    let mut roots = Vec::new();
    for entry in &index.manifests {
        let is_fallback = entry.annotations.get(NAME).is_some_and(|name| subject_of_name(name).is_some());
        if is_fallback && entry.media_type.is(MediaType::INDEX) && entry.size <= LARGEST_DOCUMENT {
            let listed = Index::parse(&fetch(entry)?)
                .map_err(|error| StoreError::Unsuitable(Unsuitable { digest: entry.digest, why: error.to_string() }))?;
            roots.extend(listed.manifests);
        } else {
            roots.push(entry.clone());
        }
    }
    Ok(roots)
}

/// Without the name that an entry has in one layout.
fn bare(descriptor: &Descriptor) -> Descriptor {
    let mut bare = descriptor.clone();
    bare.annotations.remove(NAME);
    bare
}

fn open_blob(layout: &Path, descriptor: &Descriptor) -> Result<(PathBuf, VerifiedReader), StoreError> {
    let path = layout.join(BLOBS).join(descriptor.digest.hex());
    let file = disk::open_regular(&path).map_err(|error| StoreError::disk("reading", &path, 0, error))?;
    let content = VerifiedReader::new(file, path.clone(), descriptor.size, descriptor.digest);
    Ok((path, content))
}

fn take(batch: &Batch<'_>, store: &Store, layout: &Path, blob: &Descriptor) -> Result<(), StoreError> {
    if store.size(&blob.digest)? == Some(blob.size) {
        return Ok(());
    }
    let (path, mut content) = open_blob(layout, blob)?;
    let mut writer = batch.blob()?;
    io::copy(&mut content, &mut writer).map_err(|error| StoreError::from_io("copying", &path, error))?;
    writer.finish().map(|_| ())
}
