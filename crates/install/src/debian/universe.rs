//! All packages that can be had: the indexes of a release, its updates and its security updates merged, the highest
//! version of each name, and who provides what.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::index::{Index, Package};
use super::lock::Mirror;
use super::relation::{self, Group, Relation, RelationError};

/// A package's place in a [`Universe`].
pub type Id = usize;

/// The candidates of an archive.
pub struct Universe<'a> {
    candidates: Vec<Candidate<'a>>,
    by_name: HashMap<&'a str, Id>,
    providers: HashMap<&'a str, Vec<Provider<'a>>>,
}

/// The version of a package that is taken, if one is.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The package.
    pub package: Package<'a>,
    /// Where it is.
    pub mirror: Mirror,
}

#[derive(Clone, Copy)]
struct Provider<'a> {
    id: Id,
    /// `Provides: x (= 1)`.
    version: Option<&'a str>,
}

impl<'a> Universe<'a> {
    /// Merges indexes; of equal versions the earlier index's is taken.
    pub fn new(indexes: impl IntoIterator<Item = (&'a Index, Mirror)>) -> Self {
        let mut universe = Self { candidates: Vec::new(), by_name: HashMap::new(), providers: HashMap::new() };
        for (index, mirror) in indexes {
            for package in index.packages() {
                universe.offer(Candidate { package, mirror });
            }
        }
        for id in 0..universe.candidates.len() {
            universe.register(id);
        }
        for providers in universe.providers.values_mut() {
            let candidates = &universe.candidates;
            providers.sort_by_key(|provider| {
                candidates
                    .get(provider.id)
                    .map(|Candidate { package, .. }| (!package.essential, package.priority, package.name))
            });
        }
        universe
    }

    fn offer(&mut self, candidate: Candidate<'a>) {
        let name = candidate.package.name;
        match self.by_name.get(name).and_then(|id| self.candidates.get_mut(*id)) {
            None => {
                self.by_name.insert(name, self.candidates.len());
                self.candidates.push(candidate);
            }
            Some(known) => {
                if relation::compare(candidate.package.version, known.package.version) == Ordering::Greater {
                    *known = candidate;
                }
            }
        }
    }

    /// Notes what a package provides. Rust's libraries provide hundreds of names each, so this only cuts the text.
    fn register(&mut self, id: Id) {
        let Some(candidate) = self.candidates.get(id) else { return };
        for provided in candidate.package.provides.split(',') {
            let (name, bound) = provided.split_once('(').unwrap_or((provided, ""));
            let name = name.split(':').next().unwrap_or_default().trim();
            let version =
                bound.trim_start().strip_prefix('=').map(|version| version.trim_end_matches([')', ' ']).trim());
            if !name.is_empty() {
                self.providers.entry(name).or_default().push(Provider { id, version });
            }
        }
    }

    /// The candidate at a place.
    pub fn get(&self, id: Id) -> Option<&Candidate<'a>> {
        self.candidates.get(id)
    }

    /// The candidate of a name.
    pub fn find(&self, name: &str) -> Option<Id> {
        self.by_name.get(name).copied()
    }

    /// Every place with its candidate.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &Candidate<'a>)> {
        self.candidates.iter().enumerate()
    }

    /// Name of the package at a place.
    pub fn name(&self, id: Id) -> &'a str {
        self.get(id).map_or("", |candidate| candidate.package.name)
    }

    /// The packages that provide a virtual name, best first.
    pub fn providers_of(&self, name: &str) -> Vec<Id> {
        let mut ids = Vec::new();
        for provider in self.providers.get(name).map(Vec::as_slice).unwrap_or_default() {
            if !ids.contains(&provider.id) {
                ids.push(provider.id);
            }
        }
        ids
    }

    /// Everything that meets a relation: the real package first, then its providers, best first. A versioned relation
    /// is met only by a versioned provision.
    pub fn targets(&self, relation: &Relation<'_>) -> Vec<Id> {
        let mut ids = Vec::new();
        let real = self.find(relation.name).and_then(|id| Some((id, self.get(id)?)));
        if let Some((id, candidate)) = real
            && self.native(relation)
            && relation.admits(candidate.package.version)
        {
            ids.push(id);
        }
        for provider in self.providers.get(relation.name).map(Vec::as_slice).unwrap_or_default() {
            if !ids.contains(&provider.id) && self.native(relation) && admits_provision(relation, provider.version) {
                ids.push(provider.id);
            }
        }
        ids
    }

    /// Does the relation mean packages of this architecture? (`python3:any` does, `libc6:i386` does not.)
    fn native(&self, relation: &Relation<'_>) -> bool {
        match relation.qualifier {
            None | Some("any" | "native") => true,
            Some(other) => self
                .find(relation.name)
                .and_then(|id| self.get(id))
                .is_some_and(|candidate| candidate.package.architecture == other),
        }
    }

    /// What a package needs: groups of `Pre-Depends`, then of `Depends`, in the file's order.
    pub fn needs(&self, id: Id) -> Result<Vec<Group<'a>>, RelationError> {
        let Some(candidate) = self.get(id) else { return Ok(Vec::new()) };
        let mut groups = relation::parse(candidate.package.pre_depends)?;
        groups.extend(relation::parse(candidate.package.depends)?);
        Ok(groups)
    }

    /// What a package rules out: everything that meets its `Conflicts` and `Breaks`, but itself.
    pub fn excludes(&self, id: Id) -> Result<Vec<Id>, RelationError> {
        let Some(candidate) = self.get(id) else { return Ok(Vec::new()) };
        let mut excluded = Vec::new();
        for field in [candidate.package.conflicts, candidate.package.breaks] {
            for relation in relation::parse_flat(field)? {
                excluded.extend(self.targets(&relation).into_iter().filter(|target| *target != id));
            }
        }
        Ok(excluded)
    }
}

fn admits_provision(relation: &Relation<'_>, provided: Option<&str>) -> bool {
    match (relation.version, provided) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(_), Some(version)) => relation.admits(version),
    }
}
