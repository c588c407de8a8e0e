//! Blobs that were pushed and that no manifest names yet, repository by repository. They are remembered in the store, too:
//! a client goes on with a push after this registry was started anew, and need not send again what it has sent.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use corten_oci::{Digest, Repository};
use corten_store::{Store, StoreError};

/// Blobs that are kept in mind.
const MOST: usize = 100_000;
/// A blob that no manifest names for so long was given up.
const LONGEST_PUSH: Duration = Duration::from_secs(24 * 3600);

#[derive(Default)]
pub(crate) struct Recent {
    blobs: HashSet<(Repository, Digest)>,
    order: VecDeque<(Instant, Repository, Digest)>,
}

impl Recent {
    /// What was pushed before this registry was started, and is there. It stays now.
    pub(crate) fn of(store: &Store) -> Result<Self, StoreError> {
        let (mut recent, now) = (Self::default(), Instant::now());
        for it in store.unnamed()? {
            if it.age > LONGEST_PUSH || recent.order.len() >= MOST || store.size(&it.blob)?.is_none() {
                store.forget_unnamed(&it.repository, &it.blob);
                continue;
            }
            // A machine may have been started after that.
            let when = now.checked_sub(it.age).unwrap_or(now);
            recent.order.push_back((when, it.repository.clone(), it.blob));
            recent.blobs.insert((it.repository, it.blob));
        }
        Ok(recent)
    }

    pub(crate) fn contains(&self, repository: &Repository, blob: &Digest) -> bool {
        self.blobs.contains(&(repository.clone(), *blob))
    }

    /// A blob was pushed, or mounted.
    pub(crate) fn add(&mut self, store: &Store, repository: &Repository, blob: Digest) {
        if self.blobs.insert((repository.clone(), blob)) {
            store.remember_unnamed(repository, &blob);
            self.order.push_back((Instant::now(), repository.clone(), blob));
        }
        while self.order.len() > MOST {
            self.forget_oldest(store);
        }
    }

    /// Those are over: a manifest names them, or nobody wants them. Which of them were here.
    pub(crate) fn remove(&mut self, store: &Store, repository: &Repository, blobs: &[Digest]) -> usize {
        let mut removed = 0;
        for blob in blobs {
            if self.blobs.remove(&(repository.clone(), *blob)) {
                store.forget_unnamed(repository, blob);
                removed += 1;
            }
        }
        if removed > 0 {
            self.order.retain(|(_, name, blob)| name != repository || !blobs.contains(blob));
        }
        removed
    }

    /// Forgets what was given up. The rest.
    pub(crate) fn renew(&mut self, store: &Store) -> Vec<Digest> {
        while self.order.front().is_some_and(|(when, ..)| when.elapsed() > LONGEST_PUSH) {
            self.forget_oldest(store);
        }
        self.order.iter().map(|(_, _, blob)| *blob).collect()
    }

    /// Blobs of one repository.
    pub(crate) fn of_repository(&self, repository: &Repository) -> impl Iterator<Item = Digest> {
        self.order.iter().filter(move |(_, name, _)| name == repository).map(|(_, _, blob)| *blob)
    }

    fn forget_oldest(&mut self, store: &Store) {
        if let Some((_, repository, blob)) = self.order.pop_front() {
            store.forget_unnamed(&repository, &blob);
            self.blobs.remove(&(repository, blob));
        }
    }
}
