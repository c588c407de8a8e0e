//! All images of an archive into the store, with their names and what hangs on them: what `corten save`, `docker save`,
//! `podman save`, skopeo and BuildKit write.
//!
//! An OCI layout's blobs are taken as they are. A docker archive has no manifest: one is made, always the same of the same
//! archive; layers that are plain tars are compressed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::Path;

use corten_oci::{Closure, Descriptor, Digest, Document, LARGEST_DOCUMENT, Manifest, MediaType, Reference, Unsuitable};

use super::members::Members;
use super::walk::Layout;
use super::{ForeignError, docker, refused};
use crate::contents::{NAME, WHOLE_NAME, subject_of_name, to_json};
use crate::{Batch, Store, StoreError, layout};

/// An image that is in the store now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Of its manifest or index.
    pub digest: Digest,
    /// The names that the archive gives it, and that it has in the store now.
    pub names: Vec<Reference>,
    /// Artifacts that came with it.
    pub artifacts: usize,
}

/// Takes everything; names come last.
///
/// # Errors
/// See [`ForeignError`]; nothing is named then.
pub fn load(store: &Store, file: &Path) -> Result<Vec<Loaded>, ForeignError> {
    let members = Members::open(file)?;
    match members.small(layout::INDEX)? {
        Some(_) => load_layout(store, &members),
        None => load_docker(store, &members),
    }
}

fn load_layout(store: &Store, members: &Members) -> Result<Vec<Loaded>, ForeignError> {
    let marker = members.small(layout::MARKER)?;
    let marker = marker.ok_or_else(|| refused(members.path(), "it has no oci-layout, so it is no OCI layout"))?;
    layout::check_marker_bytes(members.path(), &marker)?;
    let index = members.index()?;
    let fetch = |descriptor: &Descriptor| -> Result<Vec<u8>, StoreError> { small(members, descriptor) };
    let mut closure = Closure::default();
    let roots = layout::roots(&index, &fetch)?;
    roots.iter().try_for_each(|root| closure.add(root, &fetch))?;
    let batch = store.batch();
    let documents = closure.documents.iter().map(|(descriptor, _)| descriptor);
    documents.chain(&closure.blobs).try_for_each(|blob| take(&batch, store, members, blob))?;
    let mut about: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut artifacts = BTreeSet::new();
    for (descriptor, document) in &closure.documents {
        if let Some(subject) = document.subject() {
            batch.referrer(&subject.digest, &document.as_referrer(descriptor))?;
            *about.entry(subject.digest).or_default() += 1;
            artifacts.insert(descriptor.digest);
        }
    }
    let mut loaded: Vec<Loaded> = Vec::new();
    for entry in index.manifests.iter().filter(|entry| is_image(entry, &artifacts)) {
        let name = name(entry);
        if let Some(name) = &name {
            batch.image(name, &entry.digest)?;
        }
        match loaded.iter_mut().find(|known| known.digest == entry.digest) {
            Some(known) => known.names.extend(name),
            None => {
                let artifacts = about.get(&entry.digest).copied().unwrap_or_default();
                loaded.push(Loaded { digest: entry.digest, names: name.into_iter().collect(), artifacts });
            }
        }
    }
    if loaded.is_empty() {
        return Err(refused(members.path(), "it has no images"));
    }
    batch.finish()?;
    Ok(loaded)
}

fn is_image(entry: &Descriptor, artifacts: &BTreeSet<Digest>) -> bool {
    let is_fallback = entry.annotations.get(NAME).is_some_and(|name| subject_of_name(name).is_some());
    Document::is_document(&entry.media_type) && !is_fallback && !artifacts.contains(&entry.digest)
}

/// A whole name; a tag alone (as `oci:FOLDER:TAG` of skopeo writes it) names no repository.
fn name(entry: &Descriptor) -> Option<Reference> {
    let whole = |key: &str| {
        let text = entry.annotations.get(key)?;
        let name: Reference = text.contains([':', '/']).then(|| text.parse().ok()).flatten()?;
        name.digest.is_none().then_some(name)
    };
    let familiar = |name: Reference| {
        let text = name.to_string();
        let short = text.strip_prefix("docker.io/").map(|rest| rest.strip_prefix("library/").unwrap_or(rest));
        short.and_then(|short| short.parse().ok()).unwrap_or(name)
    };
    whole(NAME).or_else(|| whole(WHOLE_NAME).map(familiar))
}

fn small(members: &Members, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    if descriptor.size > LARGEST_DOCUMENT {
        let why = format!("a document of {} bytes is too large", descriptor.size);
        return Err(Unsuitable { digest: descriptor.digest, why }.into());
    }
    let read = open(members, descriptor)?.read_to_end(&mut bytes);
    read.map_err(|error| StoreError::from_io("reading", members.path(), error))?;
    Ok(bytes)
}

fn open(members: &Members, descriptor: &Descriptor) -> Result<Box<dyn Read>, StoreError> {
    let bytes = members.blob(&descriptor.digest, Some(descriptor.size)).map_err(|error| match error {
        ForeignError::Store(error) => error,
        other => StoreError::damaged(members.path(), other.to_string()),
    })?;
    bytes.open().map_err(|error| StoreError::from_io("reading", members.path(), error))
}

fn take(batch: &Batch<'_>, store: &Store, members: &Members, blob: &Descriptor) -> Result<(), StoreError> {
    if store.size(&blob.digest)? == Some(blob.size) {
        return Ok(());
    }
    let mut content = open(members, blob)?;
    let mut writer = batch.blob()?;
    io::copy(&mut content, &mut writer).map_err(|error| StoreError::from_io("reading", members.path(), error))?;
    writer.finish().map(drop)
}

fn load_docker(store: &Store, members: &Members) -> Result<Vec<Loaded>, ForeignError> {
    let (batch, mut loaded, mut known) = (store.batch(), Vec::new(), HashMap::new());
    docker::all(members, &mut |docker::Whole { found, config, names }| {
        let (layers, diff_ids) = (found.layers.len(), found.config.rootfs.diff_ids.len());
        if layers != diff_ids {
            let why = format!("an image of {layers} layers, {diff_ids} in its config, cannot be taken");
            return Err(refused(members.path(), why));
        }
        let digest = put_manifest(&batch, &config, found.take_new(store, &mut known)?)?;
        names.iter().try_for_each(|name| batch.image(name, &digest))?;
        loaded.push(Loaded { digest, names, artifacts: 0 });
        Ok(())
    })?;
    if loaded.is_empty() {
        return Err(refused(members.path(), "it has no images"));
    }
    batch.finish()?;
    Ok(loaded)
}

fn put_manifest(batch: &Batch<'_>, config: &[u8], layers: Vec<Descriptor>) -> Result<Digest, StoreError> {
    let described = Descriptor::of(MediaType::CONFIG, config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: None,
        config: described.clone(),
        layers,
        subject: None,
        annotations: BTreeMap::new(),
    };
    batch.put(config)?;
    batch.put(&to_json(&manifest, &described.digest)?)
}

/// Is the file an archive that has to be uncompressed first? By what.
pub fn compression(head: &[u8]) -> Option<&'static str> {
    super::members::compression(head)
}
