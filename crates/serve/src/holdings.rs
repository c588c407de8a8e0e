//! What a repository has. The store keeps every blob once, and has others than images (wheels, packages of Debian, blobs
//! of other repositories): what is served under a name is what hangs on that name, nothing else.
//!
//! ```text
//! repository ─► tags, manifests that were pushed to it ─► indexes' manifests ─► configs, layers
//!                                                     └─► artifacts about any of these, and theirs
//! ```
//!
//! Nothing of that is remembered but what a manifest names, which its digest pins: whatever another process does to the
//! store, or somebody deletes, is so at the next request. Blobs that were pushed and that no manifest names yet are kept
//! in mind, repository by repository.
//!
//! The repository `x/y` is the name `x/y` of the store, letter for letter; and `localhost:5000/x/y`, where that is this
//! registry's own address, which goes first: so what is built under either name can be pulled at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use corten_oci::{Descriptor, Digest, Document, LARGEST_DOCUMENT, Reference, Repository, Tag};
use corten_store::{Store, StoreError};

/// Manifests whose children are remembered.
const MOST_KNOWN: usize = 10_000;
/// Blobs without a manifest that are kept in mind.
const MOST_RECENT: usize = 100_000;
/// A blob that no manifest names for so long was given up.
const LONGEST_PUSH: Duration = Duration::from_secs(24 * 3600);
/// Manifests and blobs that one repository may have; the walk ends there.
const MOST: usize = 1_000_000;

/// The store as repositories, for one request: what it finds stays as long as this value.
#[derive(Clone)]
pub(crate) struct Holdings {
    pub(crate) store: Arc<Store>,
    shared: Arc<Shared>,
}

struct Shared {
    /// `host:port` of this registry itself.
    own: Vec<String>,
    known: Mutex<HashMap<Digest, Arc<Vec<Descriptor>>>>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    blobs: HashSet<(Repository, Digest)>,
    order: VecDeque<(Instant, Repository, Digest)>,
}

impl Recent {
    fn forget_oldest(&mut self) {
        if let Some((_, repository, blob)) = self.order.pop_front() {
            self.blobs.remove(&(repository, blob));
        }
    }
}

/// What a digest is in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Document,
    Blob,
}

impl Holdings {
    pub(crate) fn new(store: Store, own: Vec<String>) -> Self {
        let shared = Shared { own, known: Mutex::default(), recent: Mutex::default() };
        Self { store: Arc::new(store), shared: Arc::new(shared) }
    }

    /// The same with the store opened anew. What requests have looked at stays no longer, once they are over; what was
    /// pushed and has no manifest yet, stays.
    pub(crate) fn renewed(&self, store: Store) -> Result<Self, StoreError> {
        let mut recent = self.recent();
        while recent.order.front().is_some_and(|(when, ..)| when.elapsed() > LONGEST_PUSH) {
            recent.forget_oldest();
        }
        let blobs: Vec<Digest> = recent.blobs.iter().map(|(_, blob)| *blob).collect();
        drop(recent);
        for blob in blobs {
            store.size(&blob)?;
        }
        Ok(Self { store: Arc::new(store), shared: Arc::clone(&self.shared) })
    }

    /// The names that a repository has in the store.
    fn names(&self, repository: &Repository) -> Vec<Repository> {
        let path = repository.to_string();
        let own = self.shared.own.iter().map(|host| Repository { host: Some(host.clone()), path: path.clone() });
        own.chain([repository.clone()]).collect()
    }

    /// All repositories, sorted.
    pub(crate) fn repositories(&self) -> Result<BTreeSet<String>, StoreError> {
        let served = |name: &Repository| {
            let own = name.host.as_ref().is_some_and(|host| self.shared.own.contains(host));
            let path = if own { name.path.clone() } else { name.to_string() };
            // A host with a port, or in capitals, is no part of a path.
            crate::route::Route::of(&format!("/v2/{path}/tags/list")).is_ok().then_some(path)
        };
        Ok(self.store.repositories()?.iter().filter_map(served).collect())
    }

    /// The name that a tag of a repository has in the store, and what it points to.
    pub(crate) fn tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<(Reference, Digest)>, StoreError> {
        for name in self.names(repository) {
            let reference = Reference { repository: name, tag: Some(tag.clone()), digest: None };
            if let Some(digest) = self.store.image(&reference)? {
                return Ok(Some((reference, digest)));
            }
        }
        Ok(None)
    }

    /// Tags and what they point to, in the order of their bytes.
    pub(crate) fn tags(&self, repository: &Repository) -> Result<BTreeMap<Tag, Digest>, StoreError> {
        let mut tags = BTreeMap::new();
        for name in self.names(repository).into_iter().rev() {
            for tag in self.store.tags(&name)? {
                let reference = Reference { repository: name.clone(), tag: Some(tag.clone()), digest: None };
                if let Some(digest) = self.store.image(&reference)? {
                    tags.insert(tag, digest);
                }
            }
        }
        Ok(tags)
    }

    /// Is there anything of that name?
    pub(crate) fn is_known(&self, repository: &Repository) -> Result<bool, StoreError> {
        for name in self.names(repository) {
            if !self.store.tags(&name)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(!self.store.held(repository)?.is_empty())
    }

    /// Does a repository have a digest, as that?
    pub(crate) fn has(&self, repository: &Repository, wanted: &Digest, as_what: Kind) -> Result<bool, StoreError> {
        if as_what == Kind::Blob && self.recent().blobs.contains(&(repository.clone(), *wanted)) {
            return Ok(self.store.size(wanted)?.is_some());
        }
        let mut found = false;
        self.walk(repository, &mut |digest, kind| {
            found |= digest == wanted && kind == as_what;
            found
        })?;
        Ok(found)
    }

    /// Everything in a repository.
    pub(crate) fn all(&self, repository: &Repository) -> Result<HashSet<(Digest, Kind)>, StoreError> {
        let recent = self.recent();
        let mine = recent.blobs.iter().filter(|(name, _)| name == repository);
        let mut all: HashSet<(Digest, Kind)> = mine.map(|(_, blob)| (*blob, Kind::Blob)).collect();
        drop(recent);
        self.walk(repository, &mut |digest, kind| {
            all.insert((*digest, kind));
            false
        })?;
        Ok(all)
    }

    /// A blob was pushed to a repository, or mounted.
    pub(crate) fn remember(&self, repository: &Repository, blob: Digest) {
        let mut recent = self.recent();
        if recent.blobs.insert((repository.clone(), blob)) {
            recent.order.push_back((Instant::now(), repository.clone(), blob));
        }
        while recent.order.len() > MOST_RECENT {
            recent.forget_oldest();
        }
    }

    /// A manifest names them now: they stay with it, and go with it.
    pub(crate) fn settle(&self, repository: &Repository, document: &Document) {
        let mut recent = self.recent();
        for child in document.children() {
            recent.blobs.remove(&(repository.clone(), child.digest));
        }
        let Recent { blobs, order } = &mut *recent;
        order.retain(|(_, repository, blob)| blobs.contains(&(repository.clone(), *blob)));
    }

    /// Calls `visit` with everything that hangs on a repository's names, until it says that it is enough.
    fn walk(&self, repository: &Repository, visit: &mut dyn FnMut(&Digest, Kind) -> bool) -> Result<(), StoreError> {
        let mut next: Vec<Digest> = self.tags(repository)?.into_values().collect();
        next.extend(self.store.held(repository)?);
        let (mut seen, mut blobs) = (HashSet::new(), HashSet::new());
        while let Some(document) = next.pop() {
            if !seen.insert(document) {
                continue;
            }
            let Some(children) = self.children(&document)? else { continue };
            if visit(&document, Kind::Document) || seen.len() + blobs.len() > MOST {
                return Ok(());
            }
            for child in children.iter() {
                if Document::is_document(&child.media_type) {
                    next.push(child.digest);
                } else if blobs.insert(child.digest) && visit(&child.digest, Kind::Blob) {
                    return Ok(());
                }
            }
            next.extend(self.store.referrer_digests(&document)?);
        }
        Ok(())
    }

    /// What a manifest or index names; none where it is not there, or is none.
    pub(crate) fn children(&self, document: &Digest) -> Result<Option<Arc<Vec<Descriptor>>>, StoreError> {
        match self.store.size_now(document)? {
            Some(size) if size <= LARGEST_DOCUMENT => {}
            _ => return Ok(None),
        }
        if let Some(known) = self.known().get(document) {
            return Ok(Some(Arc::clone(known)));
        }
        let bytes = match self.store.bytes(document) {
            Err(StoreError::Missing(_) | StoreError::Damaged { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let Ok(described) = self.store.describe(document, &bytes) else { return Ok(None) };
        let Ok(parsed) = Document::parse(&described, &bytes) else { return Ok(None) };
        let children: Arc<Vec<Descriptor>> = Arc::new(parsed.children().into_iter().cloned().collect());
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(*document, Arc::clone(&children));
        Ok(Some(children))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Vec<Descriptor>>>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
