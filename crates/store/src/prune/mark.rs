//! What is needed: everything that names, leases and layouts reach.
//!
//! Documents never change, so what one names is read once; to mark again, in the moment of a sweep, takes names and
//! leases alone. A layer's blob may be absent on purpose (it can be had from where its image came from): nothing is
//! said of that here. But a document that is damaged hides what it needs: then nothing may be removed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use corten_oci::{
    Descriptor, DiffId, Digest, Document, ImageConfig, Index, LARGEST_DOCUMENT, Manifest, Reference, Tag,
};

use crate::lease::{self, Noted};
use crate::prune::Item;
use crate::{Store, StoreError, disk, ground, layout, names, origins, pointer, tidy};

/// A larger record is one of very much, as an archive's index is: it is about no image.
const LARGEST_RECORD: u64 = 1 << 20;

/// What stays.
#[derive(Debug, Default, Clone)]
pub(crate) struct Kept {
    pub(crate) blobs: HashSet<Digest>,
    pub(crate) layers: HashSet<DiffId>,
    /// Layers that may be mounted at this moment; of others a tree can be unpacked again.
    pub(crate) trees: HashSet<DiffId>,
    /// Of layouts.
    pub(crate) files: HashSet<PathBuf>,
}

/// What a document names.
#[derive(Debug, Default)]
struct Named {
    blobs: Vec<(Digest, Sort)>,
    layers: Vec<DiffId>,
}

/// Walks documents, and remembers what they name.
pub(crate) struct Marker<'store> {
    store: &'store Store,
    known: HashMap<Digest, Named>,
    referrers: HashMap<Digest, Vec<Digest>>,
    /// Digests that records mention.
    mentioned: HashMap<PathBuf, Vec<Digest>>,
}

impl<'store> Marker<'store> {
    pub(crate) fn new(store: &'store Store) -> Self {
        Self { store, known: HashMap::new(), referrers: HashMap::new(), mentioned: HashMap::new() }
    }

    /// Everything below these images, and what hangs on it. `kept` grows.
    ///
    /// # Errors
    /// A document of theirs that is damaged, or an image whose manifest is missing.
    pub(crate) fn images(&mut self, roots: &[(Reference, Digest)], kept: &mut Kept) -> Result<(), StoreError> {
        self.referrers.clear();
        for (name, digest) in roots {
            if self.store.size_now(digest)?.is_none() {
                let why = format!("its manifest {digest} is missing, so it is not known what it needs");
                return Err(StoreError::damaged(&self.store.pointer(name), why));
            }
        }
        self.walk(roots.iter().map(|(_, digest)| (*digest, Sort::Document)).collect(), kept)
    }

    /// What running commands rely on. `kept` grows.
    pub(crate) fn leases(&mut self, kept: &mut Kept) -> Result<(), StoreError> {
        let folder = self.store.folder(lease::FOLDER);
        let mut roots = Vec::new();
        for noted in lease::living(&folder, ground::of(&folder).is_doubtful())? {
            match noted {
                Noted::Blob(digest) => roots.push((digest, Sort::Unknown)),
                Noted::Layer(diff_id) => {
                    kept.trees.insert(diff_id);
                    kept.layers.insert(diff_id);
                    kept.blobs.insert(diff_id.0);
                }
            }
        }
        self.walk(roots, kept)
    }

    /// Blobs that the store's layouts need: to remove one of two links frees nothing. `gone` are names that go; `kept`
    /// grows.
    pub(crate) fn layouts(&self, gone: &[(Reference, Digest)], kept: &mut Kept) -> Result<(), StoreError> {
        for (repository, folder) in self.store.layouts()? {
            let gone = gone.iter().filter(|(gone, _)| gone.repository.to_string() == repository);
            let gone: Vec<Tag> = gone.filter_map(|(gone, _)| gone.tag.clone()).collect();
            let needed = tidy::needed(&folder, &gone);
            for file in names::names_in(&layout::blobs(&folder))? {
                let Some(digest) = names::digest_of_name(file.as_ref()) else { continue };
                if needed.as_ref().is_none_or(|needed| needed.contains(&digest)) {
                    kept.blobs.insert(digest);
                    kept.files.insert(layout::blobs(&folder).join(file));
                }
            }
        }
        Ok(())
    }

    /// What a document and all below it need, as far as that can be told.
    pub(crate) fn below(&mut self, digest: &Digest) -> Kept {
        let mut kept = Kept::default();
        // Of damage nothing more is known.
        drop(self.walk(vec![(*digest, Sort::Unknown)], &mut kept));
        kept
    }

    /// Where the blobs that stay were seen: an image whose layers are elsewhere is whole by that.
    pub(crate) fn origins(&self, kept: &Kept) -> HashSet<PathBuf> {
        kept.blobs.iter().map(|blob| self.store.record_path(&origins::key(blob))).collect()
    }

    /// Is a record about something that stays: how a layer was made?
    pub(crate) fn is_about(&mut self, record: &Item, kept: &Kept) -> bool {
        if !self.mentioned.contains_key(&record.path) {
            let bytes = disk::read_small(&record.path, LARGEST_RECORD).ok().flatten().unwrap_or_default();
            let key = record.path.file_name().and_then(names::digest_of_name);
            let value = key.and_then(|key| pointer::decode_record(&key, &bytes)).unwrap_or_default();
            self.mentioned.insert(record.path.clone(), mentioned(&value));
        }
        let mentioned = self.mentioned.get(&record.path).into_iter().flatten();
        mentioned.into_iter().any(|digest| kept.blobs.contains(digest) || kept.layers.contains(&DiffId(*digest)))
    }

    fn walk(&mut self, mut next: Vec<(Digest, Sort)>, kept: &mut Kept) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        while let Some((digest, sort)) = next.pop() {
            kept.blobs.insert(digest);
            if sort == Sort::Plain || !seen.insert(digest) {
                continue;
            }
            if !self.known.contains_key(&digest)
                && let Some(named) = read(self.store, &digest, sort)?
            {
                self.known.insert(digest, named);
            }
            if let Some(named) = self.known.get(&digest) {
                kept.layers.extend(&named.layers);
                // An image that was built and not yet packed has tars, under their diff ids.
                kept.blobs.extend(named.layers.iter().map(|layer| layer.0));
                for layer in &named.layers {
                    kept.blobs.extend(self.store.packed(layer)?.iter().map(|blob| blob.digest));
                }
                next.extend(&named.blobs);
            }
            next.extend(self.referrers(&digest)?.into_iter().map(|artifact| (artifact, Sort::Document)));
        }
        Ok(())
    }

    fn referrers(&mut self, subject: &Digest) -> Result<Vec<Digest>, StoreError> {
        if let Some(known) = self.referrers.get(subject) {
            return Ok(known.clone());
        }
        let found: Vec<Digest> = self.store.referrers(subject)?.into_iter().map(|referrer| referrer.digest).collect();
        self.referrers.insert(*subject, found.clone());
        Ok(found)
    }
}

/// Digests that stand in a text as `sha256:<hex>`.
fn mentioned(bytes: &[u8]) -> Vec<Digest> {
    let text = String::from_utf8_lossy(bytes);
    let digests = text.split("sha256:").skip(1).filter_map(|rest| names::digest_of_name(rest.get(..64)?.as_ref()));
    digests.collect()
}

/// What a blob is thought to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A document: damage must not hide what it needs.
    Document,
    /// What a manifest calls its config: of an image, or of anything, and then of any size.
    Config,
    /// Perhaps a document.
    Unknown,
    /// A layer or the like: it names nothing.
    Plain,
}

/// What a blob names; none where it is absent: it may come back any moment.
fn read(store: &Store, digest: &Digest, sort: Sort) -> Result<Option<Named>, StoreError> {
    let path = store.blob_path(digest);
    let size = match fs::symlink_metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if disk::is_absent(&error) => return Ok(None),
        Err(error) => return Err(StoreError::disk("looking at", &path, 0, error)),
    };
    if size > LARGEST_DOCUMENT {
        return match sort {
            Sort::Document => {
                let why = format!("its {size} bytes are too many for a document, so it is not known what it needs");
                Err(StoreError::damaged(&path, why))
            }
            _ => Ok(Some(Named::default())),
        };
    }
    let bytes = match disk::read_small(&path, LARGEST_DOCUMENT) {
        Err(_) if sort == Sort::Unknown => return Ok(Some(Named::default())),
        other => other?.unwrap_or_default(),
    };
    match Digest::of(&bytes) == *digest {
        true => Ok(Some(parse(&bytes).unwrap_or_default())),
        false if sort == Sort::Unknown => Ok(Some(Named::default())),
        false => Err(StoreError::damaged(&path, "its bytes have another digest, so it is not known what it needs")),
    }
}

fn parse(bytes: &[u8]) -> Option<Named> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        let mut blobs = vec![(manifest.config.digest, Sort::Config)];
        blobs.extend(manifest.layers.iter().map(|layer| (layer.digest, Sort::Plain)));
        return Some(Named { blobs, layers: Vec::new() });
    }
    if let Ok(index) = Index::parse(bytes) {
        let sort = |one: &Descriptor| match Document::is_document(&one.media_type) {
            true => Sort::Document,
            false => Sort::Unknown,
        };
        let blobs = index.manifests.iter().map(|one| (one.digest, sort(one))).collect();
        return Some(Named { blobs, layers: Vec::new() });
    }
    let config = ImageConfig::parse(bytes).ok()?;
    Some(Named { blobs: Vec::new(), layers: config.rootfs.diff_ids })
}
