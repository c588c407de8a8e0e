//! An image goes up: blobs side by side, then documents after all that they name, names last. So a registry never holds
//! a name whose image is not whole, wherever the push is cut.
//!
//! Nothing corrupt is pushed, and each byte is hashed once, by the registry: it is told the digest of each blob, and takes
//! no other bytes (distribution specification, `DIGEST_INVALID`); without all blobs, no manifest is sent. Hashed here, too,
//! while it is sent, a blob would be found damaged no earlier, at its end, for two thirds more work. Where a registry
//! refuses one, it is read and hashed here: then it is known who has it wrongly, and a damaged one is set aside.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use corten_diagnostic::{Event, Events, TaskId, Unit};
use corten_oci::{Blobs, Closure, Descriptor, Digest, Document, Index, MediaType, Repository, Tag, Unsuitable};

use crate::error::{Doing, RegistryError};
use crate::remote::{Remote, Which, referrers_tag};
use crate::upload::{Sent, hurries, largest};

/// How often a list of referrers is written again because somebody else has written it, too.
const REFERRERS_TRIES: usize = 5;

/// How an image goes up.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// How many blobs at a time; at least one.
    pub jobs: usize,
    /// Repositories of the same registry that may have a blob already.
    pub neighbours: BTreeMap<Digest, Vec<Repository>>,
}

/// What has gone up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were sent, and their bytes.
    pub sent: (usize, u64),
    /// Blobs that another repository had.
    pub mounted: (usize, u64),
    /// Blobs that were there.
    pub there: (usize, u64),
}

impl AddAssign for Pushed {
    fn add_assign(&mut self, more: Self) {
        let sum = |sum: &mut (usize, u64), one: (usize, u64)| *sum = (sum.0 + one.0, sum.1 + one.1);
        sum(&mut self.sent, more.sent);
        sum(&mut self.mounted, more.mounted);
        sum(&mut self.there, more.there);
    }
}

/// Brings an image, or an index with its images, to a repository, under names; without names by its digest alone.
pub fn push(
    remote: &Remote<'_>,
    root: &Descriptor,
    names: &[Tag],
    blobs: &(dyn Blobs + Sync),
    options: &PushOptions,
    events: &dyn Events,
) -> Result<Pushed, RegistryError> {
    let doing = Doing(format!("pushing {}@{}", remote.repository, root.digest));
    let whole = Whole::read(root, blobs, &doing)?;
    fit(remote, &whole.closure.blobs, &doing, events)?;
    let pushed = send_blobs(remote, &whole.closure.blobs, blobs, options, &doing, events)?;
    let (own, below): (Vec<_>, Vec<_>) =
        whole.closure.documents.iter().partition(|(descriptor, _)| descriptor.digest == root.digest);
    for (descriptor, _) in below.into_iter().chain(own.into_iter().filter(|_| names.is_empty())) {
        let bytes = whole.bytes(&descriptor.digest);
        remote.put_manifest(&Which::Digest(descriptor.digest), &descriptor.media_type.0, bytes)?;
    }
    for name in names {
        remote.put_tag(name, &root.media_type.0, whole.bytes(&root.digest))?;
    }
    list_referrers(remote, &whole)?;
    Ok(pushed)
}

/// Brings one blob to a repository, before there is an image that names it.
pub fn push_blob(
    remote: &Remote<'_>,
    blob: &Descriptor,
    blobs: &dyn Blobs,
    options: &PushOptions,
    events: &dyn Events,
) -> Result<Pushed, RegistryError> {
    let doing = Doing(format!("pushing {} to {}", blob.digest, remote.repository));
    fit(remote, std::slice::from_ref(blob), &doing, events)?;
    let neighbours = options.neighbours.get(&blob.digest).map(Vec::as_slice).unwrap_or_default();
    let pushed = Mutex::default();
    count(&pushed, send_blob(remote, blob, neighbours, blobs, &doing, events)?, blob.size);
    Ok(pushed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Told before anything is sent: a layer that is too large is an error; one that has to go up fast, a warning.
fn fit(remote: &Remote<'_>, blobs: &[Descriptor], doing: &Doing, events: &dyn Events) -> Result<(), RegistryError> {
    let host = remote.repository.normalised().host.unwrap_or_default();
    for blob in blobs {
        if let Some((longest, least)) = hurries(&host, blob.size) {
            let (minutes, gigabytes, least) = (longest.as_secs() / 60, blob.size as f64 / 1e9, least as f64 / 1e6);
            events.warning(&format!(
                "{host} ends an upload after {minutes} minutes: {} of {gigabytes:.1} GB needs {least:.1} MB/s; on a slower \
                 line make the layer smaller, or let weights be fetched at start",
                blob.digest.short()
            ));
        }
    }
    let Some(limit) = largest(&host) else { return Ok(()) };
    let Some(large) = blobs.iter().find(|blob| blob.size > limit) else { return Ok(()) };
    let why = format!("{host} takes no layer above {limit} bytes, {} has {}", large.digest, large.size);
    Err(RegistryError::TooLarge { doing: doing.clone(), why })
}

/// An image with its documents' bytes.
struct Whole {
    closure: Closure,
    documents: BTreeMap<Digest, Vec<u8>>,
}

/// The walk's errors.
enum Walk {
    Unsuitable(Unsuitable),
    Read(io::Error),
}

impl From<Unsuitable> for Walk {
    fn from(unsuitable: Unsuitable) -> Self {
        Self::Unsuitable(unsuitable)
    }
}

impl Whole {
    fn read(root: &Descriptor, blobs: &dyn Blobs, doing: &Doing) -> Result<Self, RegistryError> {
        let documents = Mutex::new(BTreeMap::new());
        let fetch = |descriptor: &Descriptor| -> Result<Vec<u8>, Walk> {
            let mut bytes = Vec::new();
            blobs.open(descriptor).and_then(|mut reader| reader.read_to_end(&mut bytes)).map_err(Walk::Read)?;
            documents.lock().unwrap_or_else(PoisonError::into_inner).insert(descriptor.digest, bytes.clone());
            Ok(bytes)
        };
        let mut closure = Closure::default();
        closure.add(root, &fetch).map_err(|error| match error {
            Walk::Unsuitable(unsuitable) => RegistryError::Unsuitable(unsuitable),
            Walk::Read(source) => RegistryError::Own { doing: doing.clone(), source },
        })?;
        let documents = documents.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { closure, documents })
    }

    fn bytes(&self, digest: &Digest) -> &[u8] {
        self.documents.get(digest).map_or(&[], Vec::as_slice)
    }
}

fn send_blobs(
    remote: &Remote<'_>,
    all: &[Descriptor],
    blobs: &(dyn Blobs + Sync),
    options: &PushOptions,
    doing: &Doing,
    events: &dyn Events,
) -> Result<Pushed, RegistryError> {
    // The largest first: else it would be sent alone at the end.
    let mut all: Vec<&Descriptor> = all.iter().collect();
    all.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failed: Mutex<Option<RegistryError>> = Mutex::new(None);
    let pushed = Mutex::new(Pushed::default());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(blob) = all.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let neighbours = options.neighbours.get(&blob.digest).map(Vec::as_slice).unwrap_or_default();
            match send_blob(remote, blob, neighbours, blobs, doing, events) {
                Ok(sent) => count(&pushed, sent, blob.size),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, all.len().max(1)) {
            scope.spawn(work);
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(pushed.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn count(pushed: &Mutex<Pushed>, sent: Sent, size: u64) {
    let mut pushed = pushed.lock().unwrap_or_else(PoisonError::into_inner);
    let which = match sent {
        Sent::Uploaded => &mut pushed.sent,
        Sent::Mounted => &mut pushed.mounted,
        Sent::There => &mut pushed.there,
    };
    *which = (which.0 + 1, which.1 + size);
}

fn send_blob(
    remote: &Remote<'_>,
    blob: &Descriptor,
    neighbours: &[Repository],
    blobs: &dyn Blobs,
    doing: &Doing,
    events: &dyn Events,
) -> Result<Sent, RegistryError> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if is_foreign(blob) && blobs.has(&blob.digest).is_ok_and(|has| !has) {
        return Ok(Sent::There);
    }
    let open = |from: u64| blobs.open_unchecked(blob, from);
    let task = TaskId::fresh();
    let what = format!("push {}", blob.digest.short());
    let (begun, shown) = (AtomicBool::new(false), AtomicU64::new(0));
    let sent = |bytes: u64| {
        if !begun.swap(true, Ordering::Relaxed) {
            events.emit(Event::Started { task, what: &what, unit: Unit::Bytes, total: Some(blob.size) });
        }
        // Bytes that are sent a second time are not shown twice.
        let before = shown.fetch_add(bytes, Ordering::Relaxed);
        let by = blob.size.saturating_sub(before).min(bytes);
        events.emit(Event::Advanced { task, by });
    };
    let result = remote.upload(blob, &open, neighbours, &sent);
    if begun.load(Ordering::Relaxed) {
        events.emit(Event::Finished { task });
    }
    result.map_err(|error| match error {
        RegistryError::Own { source, .. } if missing(&source) => RegistryError::Own {
            doing: doing.clone(),
            source: io::Error::new(source.kind(), format!("{} is not in the store", blob.digest)),
        },
        refused @ (RegistryError::Status { status: 400..=499, .. } | RegistryError::Wrong { .. }) => {
            match read_whole(blobs, blob) {
                Ok(_) => refused,
                Err(source) => RegistryError::Own { doing: doing.clone(), source },
            }
        }
        other => other,
    })
}

/// Is it we who have it wrongly?
fn read_whole(blobs: &dyn Blobs, blob: &Descriptor) -> io::Result<u64> {
    io::copy(&mut blobs.open(blob)?, &mut io::sink())
}

/// Layers that are only to be had elsewhere; never fetched, and sent only where we have them.
fn is_foreign(blob: &Descriptor) -> bool {
    blob.media_type.0.contains("nondistributable") || blob.media_type.0.contains("foreign")
}

/// Where the registry lists no referrers itself, the tag that stands for the list is written.
fn list_referrers(remote: &Remote<'_>, whole: &Whole) -> Result<(), RegistryError> {
    for (descriptor, document) in &whole.closure.documents {
        let Some(subject) = document.subject() else { continue };
        if remote.lists_referrers(&subject.digest)? {
            continue;
        }
        let entry = referrer(descriptor, document);
        let tag = Which::Tag(referrers_tag(&subject.digest)?);
        let mut tries = 0;
        loop {
            let mut listed = remote.referrers_here(&subject.digest)?;
            if listed.iter().any(|known| known.digest == entry.digest) {
                break;
            }
            if tries == REFERRERS_TRIES {
                let doing = remote.doing("listing what hangs on ", &format!("@{}", subject.digest));
                let why = "somebody else writes the list again and again, or the registry does not keep it";
                return Err(RegistryError::Wrong { doing, why: why.to_owned() });
            }
            listed.push(entry.clone());
            let bytes = index_of(listed)?;
            remote.put_manifest(&tag, MediaType::INDEX, &bytes)?;
            tries += 1;
        }
    }
    Ok(())
}

/// As a list of referrers has it.
fn referrer(descriptor: &Descriptor, document: &Document) -> Descriptor {
    let (artifact_type, annotations) = match document {
        Document::Manifest(manifest) => {
            let of_config = || manifest.config.media_type.clone();
            (Some(manifest.artifact_type.clone().unwrap_or_else(of_config)), manifest.annotations.clone())
        }
        Document::Index(index) => (index.artifact_type.clone(), index.annotations.clone()),
    };
    Descriptor { artifact_type, annotations, ..descriptor.clone() }
}

fn index_of(manifests: Vec<Descriptor>) -> Result<Vec<u8>, RegistryError> {
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: None,
        manifests,
        subject: None,
        annotations: BTreeMap::new(),
    };
    serde_json::to_vec(&index).map_err(|error| RegistryError::Unusable(format!("writing a list: {error}")))
}
