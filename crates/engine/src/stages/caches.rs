//! The caches of one RUN: each is taken once, however many mounts show it, and all in one order.
//!
//! Two commands that want the same caches in turn would wait for each other for ever if each had one and wanted the other's. So
//! whoever takes several takes them by the order of their keys. Who waits holds those before, listens to a stop, and tries again
//! when another step has ended, or after a moment: other programs tell nobody.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Report};
use corten_oci::Digest;
use corten_plan::recipe::{Mount as Asked, MountKind, RunAction, Sharing};
use corten_store::{CacheMount, CacheUse};

use super::mounts::{self, Bound};
use super::solve::Solver;

/// What a RUN has taken; let go with this value.
#[derive(Default)]
pub(super) struct Caches(BTreeMap<Digest, CacheMount>);

/// What several mounts of one cache ask for.
struct Wanted<'a> {
    how: CacheUse,
    mount: &'a Asked,
    bound: Option<&'a Bound>,
}

/// Takes all caches that the mounts of a command show.
pub(super) fn take(solver: &Solver<'_>, action: &RunAction, bound: &[Option<Bound>]) -> Result<Caches, Report> {
    let mut wanted: BTreeMap<Digest, Wanted<'_>> = BTreeMap::new();
    for ((mount, _), bound) in action.mounts.iter().zip(bound) {
        if mount.kind != MountKind::Cache {
            continue;
        }
        let (how, bound) = (how(mount.sharing), bound.as_ref());
        let entry = wanted.entry(key(mount, bound)).or_insert(Wanted { how, mount, bound });
        entry.how = entry.how.max(how);
    }
    let mut caches = Caches::default();
    for (key, wanted) in wanted {
        caches.0.insert(key, wait(solver, &key, &wanted)?);
    }
    Ok(caches)
}

impl Caches {
    /// The files of one.
    pub(super) fn files(&self, mount: &Asked, bound: Option<&Bound>) -> Result<PathBuf, Failure> {
        let cache = self.0.get(&key(mount, bound)).map(CacheMount::files);
        cache.ok_or_else(|| Failure::bug(format!("the cache '{}' was not taken", id(mount))))
    }
}

pub(super) fn id(mount: &Asked) -> &str {
    mount.id.as_deref().unwrap_or_else(|| mounts::shown(mount))
}

fn how(sharing: Sharing) -> CacheUse {
    match sharing {
        Sharing::Private => CacheUse::Alone,
        Sharing::Shared => CacheUse::Together,
        Sharing::Locked => CacheUse::InTurn,
    }
}

fn owner(mount: &Asked) -> (u32, u32) {
    (mount.uid.unwrap_or_default(), mount.gid.unwrap_or_default())
}

fn mode(mount: &Asked) -> u32 {
    mount.mode.unwrap_or(0o755)
}

/// Caches of one id with other owners, modes or beginnings are others.
fn key(mount: &Asked, bound: Option<&Bound>) -> Digest {
    let id = id(mount);
    let key = Digest::of(format!("corten cache mount 1\n{id}\n{:?} {:o}\n", owner(mount), mode(mount)));
    bound.map_or(key, |bound| Digest::of(format!("{key}\n{}", bound.digest())))
}

fn wait(solver: &Solver<'_>, key: &Digest, wanted: &Wanted<'_>) -> Result<CacheMount, Report> {
    let (id, (user, group), mode) = (id(wanted.mount), owner(wanted.mount), mode(wanted.mount));
    let asked = wanted.mount;
    // What it begins with keeps its own, where nothing is asked for.
    let asks = wanted.bound.is_none() || asked.uid.is_some() || asked.gid.is_some() || asked.mode.is_some();
    let own = asks.then_some(((user, group), mode));
    let about = serde_json::json!({"id": id, "uid": user, "gid": group, "mode": format!("{mode:o}")}).to_string();
    let mut make = |new: &Path| -> Result<(), Report> {
        let seed = wanted.bound.map(|bound| mounts::materialized(solver, bound)).transpose()?;
        begin(new, seed.as_ref().map(|(files, _)| files.as_path()), own)
            .map_err(|error| Failure::world(format!("preparing the cache '{id}' in {}: {error}", new.display())).into())
    };
    loop {
        match solver.means.store.cache_mount(key, wanted.how, &about, &mut make)? {
            Some(cache) => return Ok(cache),
            None => solver.pause()?,
        }
    }
}

/// What a cache begins with.
fn begin(new: &Path, seed: Option<&Path>, own: Option<((u32, u32), u32)>) -> std::io::Result<()> {
    match seed {
        Some(seed) if seed.is_dir() => mounts::copy_tree(seed, new)?,
        _ => fs::create_dir(new)?,
    }
    let Some(((user, group), mode)) = own else { return Ok(()) };
    fs::set_permissions(new, fs::Permissions::from_mode(mode & 0o7777))?;
    match chown(new, Some(user), Some(group)) {
        // One id is all that a user without ranges has.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}
