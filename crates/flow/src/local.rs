//! Wheels that lie on disk: files of the project that a lock names, and those of an index that is a folder.
//!
//! They enter the store by their bytes, held to the lock's hash, else to the one that corten.lock has recorded; from there
//! on they are wheels like others.

use std::fs::File;
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Report, Span};
use corten_oci::Digest;
use corten_store::Batch;

use crate::context::{Found, Hashes};
use crate::packages::Packages;
use crate::project::Project;
use crate::repository;
use crate::world::World;

/// Where the file lies that a lock names by `url`; none where that is an address.
pub fn path(project: &Project, url: &str) -> Option<PathBuf> {
    if url.starts_with("https://") || url.starts_with("http://") || url.starts_with(repository::SCHEME) {
        return None;
    }
    let path = url.strip_prefix("file://").unwrap_or(url);
    Some(project.lock.path.parent().unwrap_or(Path::new("")).join(path))
}

/// Takes a wheel into the store: its digest and bytes. `locked`: what the lock or corten.lock says of it.
///
/// # Errors
/// Input where there is none, or another one.
pub fn take_in(path: &Path, locked: Option<Digest>, at: &Span, world: &World<'_>) -> Result<(Digest, u64), Report> {
    let batch = world.store.batch();
    let (digest, size) = copy(path, &batch).map_err(|failure| failure.at(at.clone()))?;
    if let Some(locked) = locked.filter(|locked| *locked != digest) {
        return Err(differs(path, locked, digest).at(at.clone()).into());
    }
    batch.finish()?;
    Ok((digest, size))
}

/// Sees that every wheel of the plan that lies on disk is still the one that was locked, and that the store has it.
pub fn bring(project: &Project, packages: &Packages, world: &World<'_>) -> Result<(), Report> {
    // What was made of a source distribution lies in the store alone.
    let made = |digest: &Digest| packages.sources.iter().any(|source| source.wheel == *digest);
    let wheels = packages.wheels.iter().filter(|wheel| !made(&wheel.digest));
    let local = wheels.filter_map(|wheel| Some((wheel, path(project, &wheel.url)?)));
    let local: Vec<_> = local.collect();
    if local.is_empty() {
        return Ok(());
    }
    let mut hashes = Hashes::load(world.store, &project.folder)?;
    for (wheel, path) in local {
        let metadata = path.metadata().map_err(|error| absent(&path, &error))?;
        let found = Found { path: path.to_string_lossy().into_owned(), metadata };
        let file = hashes.source_file(Path::new(""), &found, wheel.file.clone(), world.now)?;
        if file.digest != wheel.digest {
            return Err(differs(&path, wheel.digest, file.digest).into());
        }
        if !world.store.is_whole(&wheel.digest)? {
            let batch = world.store.batch();
            copy(&path, &batch)?;
            batch.finish()?;
        }
    }
    Ok(hashes.save(world.store, &project.folder)?)
}

fn copy(path: &Path, batch: &Batch<'_>) -> Result<(Digest, u64), Failure> {
    let mut file = File::open(path).map_err(|error| absent(path, &error))?;
    let reading = |error: &dyn std::fmt::Display| Failure::world(format!("reading {}: {error}", path.display()));
    let mut blob = batch.blob().map_err(|error| reading(&error))?;
    std::io::copy(&mut file, &mut blob).map_err(|error| reading(&error))?;
    blob.finish().map_err(|error| reading(&error))
}

fn absent(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("the lock names the file {}, which cannot be read: {error}", path.display());
    Failure::input(message).hint("bring the wheel along, or publish it to an index and lock it from there")
}

fn differs(path: &Path, locked: Digest, found: Digest) -> Failure {
    Failure::input(format!("{} is not the file that was locked: expected {locked}, found {found}", path.display()))
        .hint("bring that file back, or lock again; `corten lock` renews a hash that only corten.lock has")
}
