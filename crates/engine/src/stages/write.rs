//! The layer of a COPY: one tar, written while its files are read once; entries by path, parents first.
//!
//! A thread hashes the tar (see `corten_layer::write`), another one reads the files of a folder ahead (see `files`).

use std::io::{self, Read};

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Digest, Digester, Entry, Kind, LayerIndex, LayerPath};
use corten_store::{Batch, read_ahead};

use super::content::{Layers, Source};
use super::details::{Detail, Details};
use super::files::{Files, Origins, Tidings, of_folder};
use super::paths::{Content, Item, NOW};
use super::view::{Found, Place};

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

/// Writes entries as a layer.
pub(super) fn layer(
    items: &[(LayerPath, Item)],
    origins: Origins<'_>,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Wrote, Report> {
    let tidings = Tidings::default();
    let files = Files::new(items, origins, &tidings);
    let written = read_ahead(files, |files| entries(items, files, layers, times, batch));
    let (diff_id, tar_size, index, known) = match written {
        Ok(written) => written,
        Err(report) => return Err(tidings.failure().unwrap_or(report)),
    };
    let mut read = tidings.digests().into_iter();
    let mut details = Details::default();
    for ((entry, (attributes, digest)), (path, item)) in index.entries.iter().zip(known).zip(items) {
        let digest = match digest {
            None if of_folder(item).is_some() => Some(read.next().ok_or_else(|| lost(path))?),
            digest => digest,
        };
        details.insert(entry.offset, Detail { attributes, digest });
    }
    Ok(Wrote { diff_id, tar_size, index, details })
}

type Written = (DiffId, u64, LayerIndex, Vec<(Attributes, Option<Digest>)>);

/// `files` gives the content of all that come from a folder.
fn entries(
    items: &[(LayerPath, Item)],
    files: &mut dyn Read,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Written, Report> {
    let mut sources = layers.sources(&of_layers(items), None)?.into_iter();
    // The writer makes the diff id, which is the digest of this blob.
    let mut writer = LayerWriter::new(batch.blob_hashed_elsewhere()?, Compression::Stored, 0);
    let mut known = Vec::with_capacity(items.len());
    for (path, item) in items {
        let attributes = Attributes { mtime: times.of(item.attributes.mtime), xattrs: item.attributes.xattrs.clone() };
        let source;
        let content: Box<dyn Read + '_> = match &item.content {
            Content::None => Box::new(io::empty()),
            Content::Bytes(bytes) => Box::new(bytes.as_ref()),
            Content::Own(folder, path) => Box::new(folder.file(path)?.0),
            Content::At(file, at) => {
                source = Source::At(file.clone(), *at);
                source.open(item.size)?
            }
            Content::Found(Found { place: Place::Layer(..), .. }) => {
                source = sources.next().ok_or_else(|| lost(path))?;
                source.open(item.size)?
            }
            Content::Found(_) => Box::new((&mut *files).take(item.size)),
        };
        let is_new = item.digest.is_none() && item.kind == Kind::File && of_folder(item).is_none();
        let mut content = Hashed { content, digester: is_new.then(Digester::new) };
        let written = writer.with(entry(path, item), &attributes, &mut content);
        written.map_err(|error| failed(&error, path))?;
        known.push((attributes, item.digest.or_else(|| content.digester.map(Digester::finish))));
    }
    // The last file was looked at again, too, when there is nothing after it.
    let rest = files.read(&mut [0]).map_err(|error| failed(&error, &LayerPath::root()))?;
    if rest > 0 {
        return Err(Failure::bug("a file of the folder is in no entry").into());
    }
    let (blob, written) = writer.finish().map_err(|error| failed(&error, &LayerPath::root()))?;
    let (_, tar_size) = blob.finish_as(written.diff_id.0)?;
    Ok((written.diff_id, tar_size, written.index, known))
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
