//! Layers of others into the store: each read once, to its end, for its blob, its diff id and its index.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use corten_layer::bounds::{self, Capped};
use corten_layer::compress::{Compressor, Method};
use corten_layer::gzip;
use corten_layer::tar::{Indexed, TarError, index};
use corten_oci::{Descriptor, DiffId, Digest, LayerIndex, MediaType};

use super::{ForeignError, Found};
use crate::verified::VerifiedReader;
use crate::{Batch, BlobWriter, Store, StoreError};

/// Bytes of one uncompressed layer: more is a bomb.
const LARGEST_TAR: u64 = 256 << 30;

/// The largest tar that a blob of `size` bytes may have.
fn largest_tar(media_type: &MediaType, size: u64) -> u64 {
    match media_type.of_oci().is(MediaType::LAYER) {
        true => LARGEST_TAR,
        false => bounds::largest(size, LARGEST_TAR),
    }
}

/// Where bytes are.
pub(super) struct Bytes {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Where they begin, in a file that has more.
    pub(super) part: Option<u64>,
    pub(super) size: u64,
    /// What they must be.
    pub(super) digest: Option<Digest>,
}

impl Bytes {
    /// Exactly these bytes; the last of them come only when they are right.
    pub(super) fn open(self) -> io::Result<Box<dyn Read>> {
        let Self { mut file, path, part, size, digest } = self;
        file.seek(SeekFrom::Start(part.unwrap_or(0)))?;
        Ok(match (digest, part) {
            (Some(digest), None) => Box::new(VerifiedReader::new(file, path, size, digest)),
            (Some(digest), Some(_)) => Box::new(VerifiedReader::new(file, path, size, digest).part()),
            (None, _) => Box::new(Exact { source: file.take(size), left: size }),
        })
    }
}

/// Bytes whose number alone is known: a file that became shorter is an error.
struct Exact {
    source: io::Take<File>,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.left = self.left.saturating_sub(got as u64);
        match got == 0 && !buffer.is_empty() && self.left > 0 {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(got),
        }
    }
}

/// A layer, not yet taken. A plain tar without a digest of its own is compressed on the way.
pub(super) struct Layer {
    pub(super) media_type: MediaType,
    pub(super) bytes: Bytes,
}

/// A layer that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// As it is stored.
    pub blob: Descriptor,
    /// Of the uncompressed tar, as the config says it.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// What lies in it.
    pub index: LayerIndex,
}

impl Found {
    /// Takes every layer into the store, with its index: lowest first. `taken` is told the bytes of each.
    ///
    /// # Errors
    /// A layer whose bytes are not those of its digest, whose tar is not that of the config's diff id, or is none.
    pub fn take(self, store: &Store, taken: &dyn Fn(u64)) -> Result<Vec<Taken>, ForeignError> {
        let batch = store.batch();
        let mut all = Vec::new();
        for (layer, diff_id) in self.layers.into_iter().zip(&self.config.rootfs.diff_ids) {
            let size = layer.bytes.size;
            all.push(layer.take_as(diff_id, &self.place, &batch)?);
            taken(size);
        }
        batch.finish()?;
        Ok(all)
    }

    /// The same of one of many images of an archive: a layer that another one has is not read again. `known`: where the
    /// layers that were taken begin in it.
    pub(super) fn take_new(
        self,
        store: &Store,
        known: &mut HashMap<u64, (Descriptor, DiffId)>,
    ) -> Result<Vec<Descriptor>, ForeignError> {
        let batch = store.batch();
        let mut all = Vec::new();
        for (layer, diff_id) in self.layers.into_iter().zip(&self.config.rootfs.diff_ids) {
            let at = layer.bytes.part;
            let before = at.and_then(|at| known.get(&at)).filter(|(_, known)| known == diff_id);
            if let Some((blob, _)) = before {
                all.push(blob.clone());
                continue;
            }
            let Taken { blob, diff_id, .. } = layer.take_as(diff_id, &self.place, &batch)?;
            known.extend(at.map(|at| (at, (blob.clone(), diff_id))));
            all.push(blob);
        }
        batch.finish()?;
        Ok(all)
    }

    /// Bytes of all layers, as they are there.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.bytes.size))
    }
}

/// What lies in a layer whose blob the store has: read once, checked, and kept.
///
/// # Errors
/// A blob whose bytes are not those of its digest, whose tar is not that of the diff id, or is none.
pub fn look_into(blob: &Descriptor, diff_id: &DiffId, store: &Store) -> Result<LayerIndex, ForeignError> {
    let (file, path) = (store.file(&blob.digest)?, store.blob_path(&blob.digest));
    let refuse = |why: String| ForeignError::Refused { place: path.display().to_string(), why };
    let bytes = Bytes { file, path: path.clone(), part: None, size: blob.size, digest: Some(blob.digest) };
    let batch = store.batch();
    let layer = Layer { media_type: blob.media_type.clone(), bytes };
    let taken = layer.take(&batch, store).map_err(|error| match error {
        Wrong::Tar(why) => refuse(why),
        Wrong::Store(error) => error.into(),
    })?;
    if taken.diff_id != *diff_id {
        return Err(refuse(format!("its config says that it is {diff_id}, its tar is {}", taken.diff_id)));
    }
    batch.layer_index(diff_id, &taken.index)?;
    batch.finish()?;
    Ok(taken.index)
}

enum Wrong {
    Tar(String),
    Store(StoreError),
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Layer {
    /// Takes it, if its tar is that of the diff id, with its index.
    fn take_as(self, diff_id: &DiffId, place: &str, batch: &Batch<'_>) -> Result<Taken, ForeignError> {
        let refuse = |why: String| ForeignError::Refused { place: place.to_owned(), why };
        let one = self.take(batch, batch.store()).map_err(|error| match error {
            Wrong::Tar(why) => refuse(format!("layer {diff_id}: {why}")),
            Wrong::Store(error) => error.into(),
        })?;
        if one.diff_id != *diff_id {
            return Err(refuse(format!("its config says that a layer is {diff_id}, its tar is {}", one.diff_id)));
        }
        batch.layer_index(&one.diff_id, &one.index)?;
        Ok(one)
    }

    fn take(self, batch: &Batch<'_>, store: &Store) -> Result<Taken, Wrong> {
        let Self { media_type, bytes } = self;
        let (path, size, digest) = (bytes.path.clone(), bytes.size, bytes.digest);
        let reading = |error: io::Error| Wrong::Store(StoreError::from_io("reading", &path, error));
        let source = bytes.open().map_err(reading)?;
        let blob = batch.blob()?;
        if digest.is_none() && media_type.is(MediaType::LAYER) {
            let mut sink = Compressor::new(BufWriter::new(blob), Method::Gzip);
            let found = read_through(&MediaType::LAYER.into(), source, &mut sink, (&path, LARGEST_TAR))?;
            let sink = sink.finish().map_err(reading)?;
            let blob = sink.into_inner().map_err(|error| reading(error.into_error()))?;
            return Ok(taken(MediaType::LAYER_GZIP, blob.finish()?, found));
        }
        let limit = largest_tar(&media_type, size);
        let is_there = digest.map(|digest| store.size(&digest)).transpose()?.flatten() == Some(size);
        if let (Some(digest), true) = (digest, is_there) {
            let found = read_through(&media_type, source, &mut io::sink(), (&path, limit))?;
            return Ok(taken(&media_type.0, (digest, size), found));
        }
        let mut blob: BlobWriter<'_> = blob;
        let found = read_through(&media_type, source, &mut blob, (&path, limit))?;
        Ok(taken(&media_type.0, blob.finish()?, found))
    }
}

fn taken(media_type: &str, (digest, size): (Digest, u64), found: Indexed) -> Taken {
    let Indexed { index, diff_id, tar_size } = found;
    Taken { blob: Descriptor::new(media_type, digest, size), diff_id, tar_size, index }
}

/// Reads a layer to its end, and gives its bytes on as they are.
fn read_through(
    media_type: &MediaType,
    source: impl Read,
    sink: &mut dyn Write,
    (path, limit): (&Path, u64),
) -> Result<Indexed, Wrong> {
    let mut tee = Tee { source, sink };
    let wrong = |error: io::Error| match StoreError::from_io("reading", path, error) {
        StoreError::Disk { source, .. } if is_content(source.kind()) => Wrong::Tar(source.to_string()),
        other => Wrong::Store(other),
    };
    let found = {
        let tar = gzip::reader(media_type, &mut tee).map_err(wrong)?;
        index(Capped::new(tar, limit, "layer"))
    };
    let found = found.map_err(|error| match error {
        TarError::Read(error) => wrong(error),
        refused => Wrong::Tar(refused.to_string()),
    })?;
    // A decompressor may be content before the last bytes, which are those that are checked.
    io::copy(&mut tee, &mut io::sink()).map_err(wrong)?;
    Ok(found)
}

fn is_content(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, Other, UnexpectedEof, Unsupported};
    matches!(kind, FileTooLarge | InvalidData | InvalidInput | UnexpectedEof | Unsupported | Other)
}

/// What is read is written, too.
struct Tee<'a, R> {
    source: R,
    sink: &'a mut dyn Write,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.sink.write_all(buffer.get(..got).unwrap_or_default())?;
        Ok(got)
    }
}
