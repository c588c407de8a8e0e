//! What a repository has. The store keeps every blob once, and has others than images (wheels, packages of Debian, blobs
//! of other repositories): what is served under a name is what hangs on that name, nothing else.
//!
//! ```text
//! repository ─► tags, manifests that were pushed to it ─► indexes' manifests ─► configs, layers
//!                                                     └─► artifacts about any of these, and theirs
//! ```
//!
//! What is remembered of that is either pinned by a digest (what a manifest names) or looked at anew each time
//! ([`crate::ways`]): whatever another process does to the store, or somebody deletes, is so at the next request. Blobs that
//! were pushed and that no manifest names yet are kept in mind ([`crate::recent`]).
//!
//! The repository `x/y` is the name `x/y` of the store, letter for letter; and `localhost:5000/x/y`, where that is this
//! registry's own address, which goes first: so what is built under either name can be pulled at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use corten_oci::{Descriptor, Digest, Document, LARGEST_DOCUMENT, Reference, Repository, Tag};
use corten_store::{Store, StoreError};

use crate::recent::Recent;
use crate::ways::{Way, Ways};

/// Manifests whose children are remembered.
const MOST_KNOWN: usize = 10_000;
/// Documents of which it is remembered what they are about.
const MOST_ABOUT: usize = 200_000;
/// Manifests and blobs that one repository may have; the walk ends there.
const MOST: usize = 1_000_000;
/// Steps from a name to what belongs to it by indexes and artifacts; beyond, only a walk finds it.
const LONGEST_WAY: usize = 32;

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
    /// What documents are about, that repositories keep.
    about: Mutex<HashMap<Digest, Option<Digest>>>,
    /// Manifests that were made for images that had none.
    made: Mutex<HashMap<Digest, Digest>>,
    ways: Mutex<Ways>,
    recent: Mutex<Recent>,
}

/// What a digest is in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Document,
    Blob,
}

impl Holdings {
    pub(crate) fn new(store: Store, own: Vec<String>) -> Result<Self, StoreError> {
        let recent = Mutex::new(Recent::of(&store)?);
        let shared = Shared {
            own,
            known: Mutex::default(),
            about: Mutex::default(),
            made: Mutex::default(),
            ways: Mutex::default(),
            recent,
        };
        Ok(Self { store: Arc::new(store), shared: Arc::new(shared) })
    }

    /// The same with the store opened anew. What requests have looked at stays no longer, once they are over; what was
    /// pushed and has no manifest yet, stays.
    pub(crate) fn renewed(&self, store: Store) -> Result<Self, StoreError> {
        let new = Self { store: Arc::new(store), shared: Arc::clone(&self.shared) };
        new.keep_recent()?;
        Ok(new)
    }

    /// Lets these take the place of those that requests get. What was pushed while they were made stays by them, too.
    pub(crate) fn replace(self, current: &Mutex<Self>) -> Result<(), StoreError> {
        let old = std::mem::replace(&mut *current.lock().unwrap_or_else(PoisonError::into_inner), self.clone());
        let kept = self.keep_recent();
        // Until here the old ones keep it.
        drop(old);
        kept
    }

    fn keep_recent(&self) -> Result<(), StoreError> {
        let blobs = self.recent().renew(&self.store);
        blobs.iter().try_for_each(|blob| self.store.size(blob).map(drop))
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
                return Ok(Some((reference, self.manifest(digest)?)));
            }
        }
        Ok(None)
    }

    /// What a name stands for. An image that was built here may have no manifest yet: then one is made, the same each
    /// time.
    fn manifest(&self, named: Digest) -> Result<Digest, StoreError> {
        if self.children(&named)?.is_some() {
            return Ok(named);
        }
        if let Some(made) = self.made().get(&named).copied()
            && self.store.size_now(&made)?.is_some()
        {
            return Ok(made);
        }
        let made = match self.store.with_manifest(&named) {
            // Whoever asks for it learns that it is not there.
            Err(StoreError::Missing(_) | StoreError::Damaged { .. }) => return Ok(named),
            made => made?,
        };
        // Layers of its base may lie at a registry alone: so it cannot be pulled from here.
        for child in self.children(&made)?.iter().flat_map(|all| all.iter()) {
            if self.store.size_now(&child.digest)?.is_none() {
                return Ok(named);
            }
        }
        let mut all = self.made();
        if all.len() >= MOST_KNOWN {
            all.clear();
        }
        all.insert(named, made);
        Ok(made)
    }

    /// Tags, in the order of their bytes.
    pub(crate) fn tag_names(&self, repository: &Repository) -> Result<BTreeSet<Tag>, StoreError> {
        let names = self.names(repository);
        let tags = names.iter().map(|name| self.store.tags(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(tags.into_iter().flatten().collect())
    }

    /// Tags and what they point to, in the order of their bytes.
    pub(crate) fn tags(&self, repository: &Repository) -> Result<BTreeMap<Tag, Digest>, StoreError> {
        let mut tags = BTreeMap::new();
        for name in self.names(repository).into_iter().rev() {
            for tag in self.store.tags(&name)? {
                let reference = Reference { repository: name.clone(), tag: Some(tag.clone()), digest: None };
                if let Some(digest) = self.store.image(&reference)? {
                    // One that was ever served is made again at once; nobody knows the digest of another.
                    let digest = if self.store.is_packed(&digest)? { self.manifest(digest)? } else { digest };
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
        if self.store.size_now(wanted)?.is_none() {
            return Ok(false);
        }
        if as_what == Kind::Blob && self.recent().contains(repository, wanted) {
            return Ok(self.store.size(wanted)?.is_some());
        }
        Ok(self.belongs(repository, wanted, as_what)? || self.finds(repository, wanted, as_what)?)
    }

    /// Does the way still lead there by which something was found before?
    fn belongs(&self, repository: &Repository, wanted: &Digest, as_what: Kind) -> Result<bool, StoreError> {
        if as_what == Kind::Document && self.children(wanted)?.is_none() {
            return Ok(false);
        }
        let (mut digest, mut kind) = (*wanted, as_what);
        for _ in 0..LONGEST_WAY {
            if kind == Kind::Document && self.store.holds(repository, &digest) {
                return Ok(true);
            }
            let way = self.ways().get(repository, &digest, kind);
            let (before, leads) = match way {
                None => return Ok(false),
                Some(Way::Held) => return Ok(self.store.holds(repository, &digest)),
                Some(Way::Tag(tag)) => {
                    return Ok(self.tag(repository, &tag)?.is_some_and(|(_, found)| found == digest));
                }
                Some(Way::Part(document)) => {
                    let children = self.children(&document)?;
                    (document, children.is_some_and(|all| all.iter().any(|it| it.digest == digest && sort(it) == kind)))
                }
                Some(Way::Artifact(subject)) => (subject, self.store.is_referrer(&subject, &digest)),
            };
            if !leads {
                return Ok(false);
            }
            (digest, kind) = (before, Kind::Document);
        }
        Ok(false)
    }

    fn finds(&self, repository: &Repository, wanted: &Digest, as_what: Kind) -> Result<bool, StoreError> {
        let mut found = false;
        self.walk(repository, &mut |digest, kind| {
            found |= digest == wanted && kind == as_what;
            found
        })?;
        Ok(found)
    }

    /// A document was found by a tag, or by its digest: its parts are asked for next.
    pub(crate) fn learn(&self, repository: &Repository, document: Digest, tag: Option<&Tag>) -> Result<(), StoreError> {
        let Some(children) = self.children(&document)? else { return Ok(()) };
        let mut ways = self.ways();
        if let Some(tag) = tag {
            ways.learn(repository, document, Kind::Document, Way::Tag(tag.clone()));
        }
        for child in children.iter() {
            ways.learn(repository, child.digest, sort(child), Way::Part(document));
        }
        Ok(())
    }

    /// Those of some documents that belong to a repository.
    pub(crate) fn those_of(
        &self,
        repository: &Repository,
        documents: &[Digest],
    ) -> Result<HashSet<Digest>, StoreError> {
        let mut here = HashSet::new();
        for document in documents {
            if self.belongs(repository, document, Kind::Document)? {
                here.insert(*document);
            }
        }
        if here.len() < documents.len() {
            let all = self.all(repository)?;
            here.extend(documents.iter().filter(|document| all.contains(&(**document, Kind::Document))));
        }
        Ok(here)
    }

    /// Everything in a repository.
    pub(crate) fn all(&self, repository: &Repository) -> Result<HashSet<(Digest, Kind)>, StoreError> {
        let mut all: HashSet<(Digest, Kind)> =
            self.recent().of_repository(repository).map(|blob| (blob, Kind::Blob)).collect();
        self.walk(repository, &mut |digest, kind| {
            all.insert((*digest, kind));
            false
        })?;
        Ok(all)
    }

    /// A blob was pushed to a repository, or mounted.
    pub(crate) fn remember(&self, repository: &Repository, blob: Digest) {
        self.recent().add(&self.store, repository, blob);
    }

    /// A manifest names them now: they stay with it, and go with it.
    pub(crate) fn settle(&self, repository: &Repository, document: &Document) {
        let children: Vec<Digest> = document.children().iter().map(|child| child.digest).collect();
        self.recent().remove(&self.store, repository, &children);
    }

    /// A blob that no manifest names is wanted no longer; false where there is none such.
    pub(crate) fn give_up(&self, repository: &Repository, blob: &Digest) -> bool {
        self.recent().remove(&self.store, repository, std::slice::from_ref(blob)) > 0
    }

    /// Calls `visit` with everything that hangs on a repository's names, until it says that it is enough.
    fn walk(&self, repository: &Repository, visit: &mut dyn FnMut(&Digest, Kind) -> bool) -> Result<(), StoreError> {
        let tags = self.tags(repository)?.into_iter();
        let mut next: Vec<(Digest, Way)> = tags.map(|(tag, digest)| (digest, Way::Tag(tag))).collect();
        next.extend(self.store.held(repository)?.into_iter().map(|digest| (digest, Way::Held)));
        let (mut seen, mut blobs) = (HashSet::new(), HashSet::new());
        while let Some((document, way)) = next.pop() {
            if !seen.insert(document) {
                continue;
            }
            let Some(children) = self.children(&document)? else { continue };
            self.ways().learn(repository, document, Kind::Document, way);
            if visit(&document, Kind::Document) || seen.len() + blobs.len() > MOST {
                return Ok(());
            }
            for child in children.iter() {
                let way = Way::Part(document);
                if sort(child) == Kind::Document {
                    next.push((child.digest, way));
                } else if blobs.insert(child.digest) {
                    self.ways().learn(repository, child.digest, Kind::Blob, way);
                    if visit(&child.digest, Kind::Blob) {
                        return Ok(());
                    }
                }
            }
            let about = self.store.referrer_digests(&document)?.into_iter();
            next.extend(about.map(|artifact| (artifact, Way::Artifact(document))));
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
        let Some((_, parsed)) = self.document(document)? else { return Ok(None) };
        let children: Arc<Vec<Descriptor>> = Arc::new(parsed.children().into_iter().cloned().collect());
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(*document, Arc::clone(&children));
        Ok(Some(children))
    }

    /// Artifacts about a manifest that a repository keeps by their digests: so it has them when another one, that had the
    /// same, has deleted them.
    pub(crate) fn kept_about(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Descriptor>, StoreError> {
        let mut kept = Vec::new();
        for digest in self.store.held(repository)? {
            if self.about().get(&digest).is_some_and(|about| about.as_ref() != Some(subject)) {
                continue;
            }
            if self.store.size_now(&digest)?.is_none_or(|size| size > LARGEST_DOCUMENT) {
                continue;
            }
            let Some((described, document)) = self.document(&digest)? else { continue };
            let about = document.subject().map(|subject| subject.digest);
            if about.as_ref() == Some(subject) {
                kept.push(document.as_referrer(&described));
            }
            let mut known = self.about();
            if known.len() >= MOST_ABOUT {
                known.clear();
            }
            known.insert(digest, about);
        }
        Ok(kept)
    }

    /// None where it is not there, or is no manifest and no index.
    fn document(&self, digest: &Digest) -> Result<Option<(Descriptor, Document)>, StoreError> {
        let bytes = match self.store.bytes(digest) {
            Err(StoreError::Missing(_) | StoreError::Damaged { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let Ok(described) = self.store.describe(digest, &bytes) else { return Ok(None) };
        let document = Document::parse(&described, &bytes).ok();
        Ok(document.map(|document| (described, document)))
    }

    fn made(&self) -> MutexGuard<'_, HashMap<Digest, Digest>> {
        self.shared.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn about(&self) -> MutexGuard<'_, HashMap<Digest, Option<Digest>>> {
        self.shared.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Vec<Descriptor>>>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.shared.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sort(child: &Descriptor) -> Kind {
    if Document::is_document(&child.media_type) { Kind::Document } else { Kind::Blob }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_store::PruneOptions;

    /// A blob comes while the store is opened anew: its push still needs it.
    #[test]
    fn what_is_pushed_while_the_store_is_opened_anew_is_not_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path()).unwrap();
        let current = Mutex::new(Holdings::new(open(), Vec::new()).unwrap());
        let request = current.lock().unwrap().clone();
        let new = request.renewed(open()).unwrap();
        let batch = request.store.batch();
        let blob = batch.put(b"a layer").unwrap();
        batch.finish().unwrap();
        request.remember(&"a".parse().unwrap(), blob);
        new.replace(&current).unwrap();
        drop(request);
        let other = open();
        let now = std::time::SystemTime::now();
        let all = PruneOptions { keep: None, unused_for: Default::default(), all: true, now };
        other.prune(other.prunable(&all).unwrap()).unwrap();
        assert!(current.lock().unwrap().has(&"a".parse().unwrap(), &blob, Kind::Blob).unwrap());
    }
}
