//! By which way something belongs to a repository: found once, by a walk over all that hangs on the repository's names,
//! and looked at anew each time it is asked for. So a request for one blob costs as many looks as there are steps from a
//! name to it, however many names there are; and what another process has taken away is gone at once all the same.

use std::collections::HashMap;

use corten_oci::{Digest, Repository, Tag};

use crate::holdings::Kind;

/// Ways that are remembered; beyond, all are found anew.
const MOST: usize = 200_000;

/// The last step to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// A tag of the repository points to it.
    Tag(Tag),
    /// The repository keeps it by its digest.
    Held,
    /// This document names it.
    Part(Digest),
    /// It is an artifact about this document.
    Artifact(Digest),
}

/// Ways of all repositories.
#[derive(Default)]
pub(crate) struct Ways {
    known: HashMap<Repository, HashMap<(Digest, Kind), Way>>,
    number: usize,
}

impl Ways {
    pub(crate) fn get(&self, repository: &Repository, digest: &Digest, kind: Kind) -> Option<Way> {
        self.known.get(repository)?.get(&(*digest, kind)).cloned()
    }

    pub(crate) fn learn(&mut self, repository: &Repository, digest: Digest, kind: Kind, way: Way) {
        if self.number >= MOST {
            *self = Self::default();
        }
        if !self.known.contains_key(repository) {
            self.known.insert(repository.clone(), HashMap::new());
        }
        let known = self.known.get_mut(repository).and_then(|known| known.insert((digest, kind), way));
        self.number += usize::from(known.is_none());
    }
}
