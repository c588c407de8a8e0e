//! The layer of a COPY: one tar, written while its files are read once; entries by path, parents first.
//!
//! A thread hashes the tar (see `corten_layer::write`), another one the content of each file, for those who copy from this stage.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Digester, Entry, Kind, LayerIndex, LayerPath};
use corten_store::{Batch, read_in_order};

use super::content::{Layers, Source};
use super::context::{Context, Stamp};
use super::details::{Detail, Details};
use super::old::Old;
use super::paths::{Content, Item, NOW};
use super::view::{Found, Place};

/// Bytes of a file that is read at once.
const SMALL: u64 = 64 << 10;

/// Times of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When the build began; seconds since 1970.
    pub(super) now: i64,
    /// None is later.
    pub(super) epoch: Option<i64>,
}

impl Times {
    fn of(self, mtime: i64) -> i64 {
        let mtime = if mtime == NOW { self.now } else { mtime };
        self.epoch.map_or(mtime, |epoch| mtime.min(epoch))
    }
}

/// A layer that was written to a batch.
pub(super) struct Wrote {
    pub(super) diff_id: DiffId,
    pub(super) tar_size: u64,
    pub(super) index: LayerIndex,
    pub(super) details: Details,
}

/// Where files of a folder are read from.
#[derive(Default)]
pub(super) struct Origins<'a> {
    /// The folder.
    pub(super) context: Option<&'a Arc<Context>>,
    /// What the step made the last time.
    pub(super) old: Option<Old>,
}

/// Writes entries as a layer.
pub(super) fn layer(
    items: Vec<(LayerPath, Item)>,
    mut origins: Origins<'_>,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Wrote, Report> {
    let mut sources = layers.sources(&of_layers(&items), None)?.into_iter();
    // The writer makes the diff id, which is the digest of this blob.
    let mut writer = LayerWriter::new(batch.blob_hashed_elsewhere()?, Compression::Stored, 0);
    let mut known = Vec::with_capacity(items.len());
    let mut small = Vec::new();
    for (path, item) in items {
        let attributes = Attributes { mtime: times.of(item.attributes.mtime), xattrs: item.attributes.xattrs.clone() };
        let (source, file);
        let mut opened = None;
        let content: Box<dyn Read + '_> = match &item.content {
            Content::None => Box::new(io::empty()),
            Content::Bytes(bytes) => Box::new(bytes.as_ref()),
            Content::Own(folder, path) => Box::new(folder.file(path)?.0),
            Content::At(file, at) => {
                source = Source::At(file.clone(), *at);
                source.open(item.size)?
            }
            Content::Found(Found { place: Place::Layer(..), .. }) => {
                source = sources.next().ok_or_else(|| lost(&path))?;
                source.open(item.size)?
            }
            Content::Found(found) => match origins.old.as_mut().and_then(|old| old.content(&item)) {
                Some(bytes) => Box::new(bytes),
                None => {
                    let context = origins.context.ok_or_else(|| lost(&path))?;
                    file = context.file(&found.path)?.0;
                    opened = Some((&file, found));
                    content_of(&file, item.size, &mut small).map_err(|error| failed(&error, &path))?
                }
            },
        };
        let is_new = item.digest.is_none() && item.kind == Kind::File;
        let mut content = Hashed { content, digester: is_new.then(Digester::new) };
        let written = writer.with(entry(&path, &item), &attributes, &mut content);
        written.map_err(|error| failed(&error, &path))?;
        let digest = item.digest.or_else(|| content.digester.map(Digester::finish));
        if let Some((file, found)) = opened {
            is_unchanged(file, found, &path)?;
        }
        known.push((attributes, digest));
    }
    let (blob, written) = writer.finish().map_err(|error| failed(&error, &LayerPath::root()))?;
    let (_, tar_size) = blob.finish_as(written.diff_id.0)?;
    let details = written
        .index
        .entries
        .iter()
        .zip(known)
        .map(|(entry, (attributes, digest))| (entry.offset, Detail { attributes, digest }))
        .collect();
    Ok(Wrote { diff_id: written.diff_id, tar_size, index: written.index, details })
}

/// What lies in other layers.
fn of_layers(items: &[(LayerPath, Item)]) -> Vec<&Found> {
    let all = items.iter().filter_map(|(_, item)| match &item.content {
        Content::Found(found) if matches!(found.place, Place::Layer(..)) => Some(found),
        _ => None,
    });
    all.collect()
}

fn entry(path: &LayerPath, item: &Item) -> Entry {
    Entry {
        path: path.clone(),
        kind: item.kind.clone(),
        mode: item.mode,
        uid: item.uid,
        gid: item.gid,
        size: item.size,
        crc32: None,
        offset: 0,
        package: None,
    }
}

/// Of a small file all at once: how many bytes there are shows that it has ended.
fn content_of<'a>(mut file: &'a File, size: u64, small: &'a mut Vec<u8>) -> io::Result<Box<dyn Read + 'a>> {
    if size > SMALL {
        read_in_order(file, size);
        return Ok(Box::new(file));
    }
    small.resize(usize::try_from(size).unwrap_or_default() + 1, 0);
    let mut filled = 0;
    while let Some(space) = small.get_mut(filled..).filter(|space| !space.is_empty()) {
        match file.read(space) {
            // A regular file that gives less has no more.
            Ok(got) if got < space.len() => {
                filled += got;
                break;
            }
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Box::new(small.get(..filled).unwrap_or_default()))
}

fn lost(path: &LayerPath) -> Failure {
    Failure::bug(format!("nobody knows where the content of {path} is"))
}

fn failed(error: &io::Error, path: &LayerPath) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            Failure::world(format!("copying /{path}: {error}")).hint("was it changed while it was read? build again")
        }
        io::ErrorKind::InvalidInput => Failure::input(format!("copying /{path}: {error}")),
        _ => Failure::world(format!("copying /{path}: {error}")),
    }
}

/// A file of the context that is another one than when it was hashed would lie under the key of the old one.
fn is_unchanged(file: &File, found: &Found, path: &LayerPath) -> Result<(), Report> {
    match found.place {
        Place::Context(stamp, _) if Stamp::of_file(file).is_ok_and(|now| now == stamp) => Ok(()),
        _ => {
            let failure = Failure::world(format!("copying /{path}: it was changed while it was read"));
            Err(failure.hint("build again").into())
        }
    }
}

/// Content that is hashed as it is read, where nobody has said its digest: steps that take from this layer go by it.
struct Hashed<R> {
    content: R,
    digester: Option<Digester>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.content.read(buffer)?;
        if let (Some(digester), Some(bytes)) = (&mut self.digester, buffer.get(..got)) {
            digester.update(bytes);
        }
        Ok(got)
    }
}
