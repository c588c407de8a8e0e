//! Bytes as a capability: a blob is in the store, else at a registry where it was seen. So of an image whose layers are at
//! a registry, config and indexes are enough, until somebody needs the bytes.
//!
//! | who | gets them |
//! |---|---|
//! | a push to where they are | not at all: it asks, or mounts them |
//! | a push to elsewhere | [`Everywhere`]: from there to there, through memory |
//! | files, `docker load`, an interpreter that runs | [`bring`]: into the store |

use std::io::{self, Read};

use corten_diagnostic::{Failure, Report};
use corten_oci::{Blobs, Closure, Descriptor, Digest, Digester, Repository};
use corten_store::StoreError;

use crate::registry::{self, RegistryOptions};
use crate::world::World;

/// The store, and behind it the registries at which blobs were seen.
pub struct Everywhere<'w> {
    /// The store and the network.
    pub world: &'w World<'w>,
    /// How registries are reached.
    pub options: &'w RegistryOptions,
}

impl Blobs for Everywhere<'_> {
    fn open(&self, descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        match self.elsewhere(descriptor)? {
            Some(origins) => self.asked_of(&origins, descriptor),
            None => self.world.store.open(descriptor),
        }
    }

    fn open_unchecked(&self, descriptor: &Descriptor, from: u64) -> io::Result<Box<dyn Read + '_>> {
        let Some(origins) = self.elsewhere(descriptor)? else {
            return self.world.store.open_unchecked(descriptor, from);
        };
        let mut reader = self.asked_of(&origins, descriptor)?;
        io::copy(&mut reader.by_ref().take(from), &mut io::sink())?;
        Ok(reader)
    }

    fn has(&self, digest: &Digest) -> io::Result<bool> {
        let is_somewhere = !self.world.store.origins(digest).map_err(io::Error::other)?.is_empty();
        Ok(is_somewhere || self.world.store.has(digest)?)
    }
}

impl Everywhere<'_> {
    /// Where it has to be asked for: it was seen there, and is not in the store.
    fn elsewhere(&self, descriptor: &Descriptor) -> io::Result<Option<Vec<Repository>>> {
        let store = self.world.store;
        let origins = store.origins(&descriptor.digest).map_err(io::Error::other)?;
        Ok((!origins.is_empty() && !store.has(&descriptor.digest)?).then_some(origins))
    }

    fn asked_of(&self, origins: &[Repository], descriptor: &Descriptor) -> io::Result<Box<dyn Read>> {
        if self.world.client.is_offline() {
            return Err(io::Error::other(offline(descriptor, origins)));
        }
        let mut first = None;
        for place in origins {
            match self.ask(place, descriptor) {
                Ok(reader) => return Ok(reader),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn ask(&self, place: &Repository, descriptor: &Descriptor) -> io::Result<Box<dyn Read>> {
        let remote = registry::registry(self.world, self.options).remote(place).map_err(io::Error::other)?;
        let answer = remote.blob_of_any(descriptor, 0).map_err(io::Error::other)?;
        let hash = Some(Digester::new());
        Ok(Box::new(Checked { inner: answer.body, left: descriptor.size, hash, of: descriptor.digest }))
    }
}

/// Exactly the bytes of a digest: the last of them come only when all are right.
struct Checked<R> {
    inner: R,
    left: u64,
    hash: Option<Digester>,
    of: Digest,
}

impl<R: Read> Checked<R> {
    fn wrong(&self, why: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("what came of blob {} {why}", self.of))
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(hash) = self.hash.take() else { return Ok(()) };
        if self.inner.read(&mut [0])? != 0 {
            return Err(self.wrong("is longer than it says"));
        }
        let found = hash.finish();
        if found == self.of { Ok(()) } else { Err(self.wrong(&format!("has the digest {found}"))) }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return self.end().map(|()| 0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let room = buffer.get_mut(..most).unwrap_or_default();
        let got = self.inner.read(room)?;
        if got == 0 {
            return Err(self.wrong(&format!("ends {} bytes too early", self.left)));
        }
        if let (Some(hash), Some(bytes)) = (&mut self.hash, room.get(..got)) {
            hash.update(bytes);
        }
        self.left = self.left.saturating_sub(got as u64);
        if self.left == 0 {
            self.end()?;
        }
        Ok(got)
    }
}

fn offline(blob: &Descriptor, origins: &[Repository]) -> String {
    let at = origins.first().map_or_else(String::new, |place| format!(" but at {place}"));
    format!("{} ({} bytes) is not in the store{at}, which is not asked while offline", blob.digest, blob.size)
}

/// Brings blobs to the store that it has not. `what` needs them: "writing base.tar".
///
/// # Errors
/// World where a blob is nowhere, or offline: it says which, and where it is.
pub fn bring(blobs: &[Descriptor], what: &str, options: &RegistryOptions, world: &World<'_>) -> Result<(), Report> {
    let mut missing: Vec<(Descriptor, Vec<Repository>)> = Vec::new();
    for blob in blobs {
        if world.store.size(&blob.digest)? != Some(blob.size) && !missing.iter().any(|it| it.0.digest == blob.digest) {
            missing.push((blob.clone(), world.store.origins(&blob.digest)?));
        }
    }
    if let Some((blob, _)) = missing.iter().find(|(_, origins)| origins.is_empty()) {
        let failure = Failure::world(format!("{what} needs {}, which is not in the store", blob.digest));
        return Err(failure.hint("build again: what the store lacks is made or fetched again").into());
    }
    if let (Some((blob, origins)), true) = (missing.first(), world.client.is_offline()) {
        let failure = Failure::world(format!("{what}: {}", offline(blob, origins)));
        return Err(failure.hint("leave out --offline once: it is fetched and kept").into());
    }
    for turn in 0.. {
        let mut by_place: Vec<(Repository, Vec<Descriptor>)> = Vec::new();
        for (blob, origins) in &missing {
            let Some(place) = origins.get(turn) else { continue };
            match by_place.iter_mut().find(|(known, _)| known == place) {
                Some((_, blobs)) => blobs.push(blob.clone()),
                None => by_place.push((place.clone(), vec![blob.clone()])),
            }
        }
        let mut failed = None;
        for (place, blobs) in &by_place {
            if from(place, blobs, options, world).is_ok() {
                continue;
            }
            // One that is not there stops the others: each for itself.
            for blob in blobs {
                if let Err(report) = from(place, std::slice::from_ref(blob), options, world) {
                    failed.get_or_insert(report);
                }
            }
        }
        let Some(report) = failed else { return Ok(()) };
        missing.retain(|(blob, _)| !matches!(world.store.size(&blob.digest), Ok(Some(size)) if size == blob.size));
        if missing.iter().any(|(_, origins)| origins.len() <= turn + 1) {
            return Err(report);
        }
    }
    Ok(())
}

fn from(place: &Repository, blobs: &[Descriptor], options: &RegistryOptions, world: &World<'_>) -> Result<(), Report> {
    let remote = registry::registry(world, options).remote(place)?;
    registry::fetch(&remote, blobs, world)
}

/// All of an image: manifests are there already.
pub fn bring_image(image: &Digest, what: &str, options: &RegistryOptions, world: &World<'_>) -> Result<(), Report> {
    bring(&of_image(image, world)?, what, options, world)
}

/// Blobs of an image that are not in the store.
pub fn absent(image: &Digest, world: &World<'_>) -> Result<Vec<Descriptor>, Report> {
    let mut absent = of_image(image, world)?;
    let mut whole = Ok(());
    absent.retain(|blob| match world.store.size(&blob.digest) {
        Ok(size) => size != Some(blob.size),
        Err(error) => {
            whole = Err(error);
            false
        }
    });
    whole?;
    Ok(absent)
}

/// Of an image that has no manifest yet, those that came with its base: the others are made when somebody asks for them.
fn of_image(image: &Digest, world: &World<'_>) -> Result<Vec<Descriptor>, Report> {
    if let Some(config) = world.store.local_config(image)? {
        let mut blobs = Vec::new();
        for blob in world.store.local_layers(&config)?.into_iter().filter_map(|layer| layer.blob) {
            if !world.store.origins(&blob.digest)?.is_empty() {
                blobs.push(blob);
            }
        }
        return Ok(blobs);
    }
    let root = registry::describe(image, world)?;
    let mut closure = Closure::default();
    closure.add::<StoreError>(&root, &|document| world.store.bytes(&document.digest))?;
    Ok(closure.blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], of: &[u8], size: u64) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        let mut checked = Checked { inner: bytes, left: size, hash: Some(Digester::new()), of: Digest::of(of) };
        let read = checked.read_to_end(&mut all);
        read.map(|_| all).map_err(|error| error.to_string())
    }

    #[test]
    fn what_comes_from_elsewhere_is_held_to_its_digest() {
        assert_eq!(read(b"blob", b"blob", 4), Ok(b"blob".to_vec()));
        assert_eq!(read(b"", b"", 0), Ok(Vec::new()));
        let name = Digest::of(b"blob");
        for (bytes, why) in [
            (&b"blo"[..], "ends 1 bytes too early".to_owned()),
            (b"blobs", "is longer than it says".to_owned()),
            (b"bloB", format!("has the digest {}", Digest::of(b"bloB"))),
        ] {
            assert_eq!(read(bytes, b"blob", 4), Err(format!("what came of blob {name} {why}")));
        }
    }
}
