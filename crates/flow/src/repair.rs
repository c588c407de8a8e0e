//! Repairing the store: what is damaged is taken away, what images lack is fetched again from where it was seen, and what
//! cannot be had is told with the command that makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use corten_diagnostic::Report;
use corten_oci::{Digest, Reference, Repository};
use corten_store::{Problem, Wanting};

use crate::places;
use crate::registry::{self, RegistryOptions};
use crate::world::World;

/// A missing document hides what it names, and an index names manifests: so often something new can be missing.
const ROUNDS: usize = 8;

/// What came of a repair.
#[derive(Debug, Default)]
pub struct Repair {
    /// What was done: a path or a digest, and what to it.
    pub mended: Vec<(String, String)>,
    /// What is still wrong, and what to do about it.
    pub left: Vec<(String, String)>,
}

/// Repairs the store.
pub fn repair(options: &RegistryOptions, world: &World<'_>) -> Result<Repair, Report> {
    let mut repair = Repair::default();
    let told = |problem: Problem| (problem.path.display().to_string(), problem.why);
    let mended = world.store.mend(world.events)?;
    let digest = |problem: &Problem| format!("sha256:{}", problem.path.file_name()?.to_str()?).parse::<Digest>().ok();
    let aside: BTreeSet<Digest> = mended.iter().filter_map(digest).collect();
    repair.mended.extend(mended.into_iter().map(told));
    for _ in 0..ROUNDS {
        let (mut tried, mut is_any_fetched) = (BTreeSet::new(), false);
        for one in world.store.wanting(&aside)? {
            // Several images may lack it, and one of their registries may have it.
            if tried.contains(&one.blob.digest) {
                continue;
            }
            if let Some(place) = fetch(&one, options, world)? {
                repair.mended.push((one.blob.digest.to_string(), format!("fetched again from {place}")));
                is_any_fetched = tried.insert(one.blob.digest);
            }
        }
        // What was fetched may name more that is lacking.
        if !is_any_fetched {
            break;
        }
    }
    let layouts = world.store.mend_layouts(&world.store.verify(world.events)?)?;
    repair.mended.extend(layouts.iter().map(|path| (path.display().to_string(), "written anew".to_owned())));
    let wanting = world.store.wanting(&BTreeSet::new())?;
    repair.left.extend(lacking(&wanting));
    // These are told by their names.
    let known: BTreeSet<PathBuf> = wanting.iter().map(|one| world.store.pointer(&one.name)).collect();
    let others = world.store.verify(world.events)?.into_iter().filter(|problem| !known.contains(&problem.path));
    repair.left.extend(others.map(told));
    Ok(repair)
}

/// Asks the registries where it was seen: which had it.
fn fetch(wanting: &Wanting, options: &RegistryOptions, world: &World<'_>) -> Result<Option<Repository>, Report> {
    if world.client.is_offline() {
        return Ok(None);
    }
    for place in places::of(&wanting.blob, &wanting.name.repository, world)? {
        let fetched = match wanting.is_document {
            true => registry::fetch_document(&place, &wanting.blob.digest, options, world),
            false => registry::fetch_blob(&place, &wanting.blob, options, world),
        };
        match fetched {
            Ok(()) => return Ok(Some(place)),
            Err(error) => world.events.note(&format!("{} is not to be had from {place}: {error}", wanting.blob.digest)),
        }
    }
    Ok(None)
}

/// By image: how much is missing, and what makes it again.
fn lacking(wanting: &[Wanting]) -> Vec<(String, String)> {
    let mut by_image: BTreeMap<&Reference, usize> = BTreeMap::new();
    for one in wanting {
        *by_image.entry(&one.name).or_default() += 1;
    }
    let told = |(name, count): (&Reference, usize)| {
        let command = match name.repository.host {
            Some(_) => format!("`corten pull {name}`"),
            None => "`corten build` in its project".to_owned(),
        };
        (name.to_string(), format!("{count} of its blobs are missing: {command} brings them back"))
    };
    by_image.into_iter().map(told).collect()
}
