//! The layer of a COPY: one tar, written while its files are read once; entries by path, parents first.
//!
//! A thread hashes the tar (see `corten_layer::write`), another one reads the files of a folder ahead (see `files`).

use std::borrow::Cow;
use std::io::{self, Read};

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Digest, Digester, Entry, Kind, LayerIndex, LayerPath};
use corten_store::{Batch, read_ahead};

use super::content::{Layers, Source};
use super::details::Details;
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
    items: &[(LayerPath, Item<'_>)],
    origins: Origins<'_>,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Wrote, Report> {
    let tidings = Tidings::default();
    let files = Files::new(items, origins, &tidings);
    let written = read_ahead(files, |files| entries(items, files, layers, times, batch));
    let Written { diff_id, tar_size, index, new } = match written {
        Ok(written) => written,
        Err(report) => return Err(tidings.failure().unwrap_or(report)),
    };
    let (mut new, mut read) = (new.into_iter(), tidings.digests().into_iter());
    let mut details = Details::for_entries(items.len());
    for (entry, (path, item)) in index.entries.iter().zip(items) {
        let digest = match item.digest {
            None if of_folder(item).is_some() => Some(read.next().ok_or_else(|| lost(path))?),
            None if item.kind == Kind::File => Some(new.next().ok_or_else(|| lost(path))?),
            digest => digest,
        };
        details.add(entry.offset, &attributes(item, times), digest);
    }
    Ok(Wrote { diff_id, tar_size, index, details })
}

struct Written {
    diff_id: DiffId,
    tar_size: u64,
    index: LayerIndex,
    /// Of the files that nobody had hashed, those of a folder aside.
    new: Vec<Digest>,
}

/// As they are written.
fn attributes<'i>(item: &'i Item<'_>, times: Times) -> Cow<'i, Attributes> {
    match times.of(item.attributes.mtime) {
        mtime if mtime == item.attributes.mtime => Cow::Borrowed(&item.attributes),
        mtime => Cow::Owned(Attributes { mtime, xattrs: item.attributes.xattrs.clone() }),
    }
}

/// `files` gives the content of all that come from a folder.
fn entries(
    items: &[(LayerPath, Item<'_>)],
    files: &mut dyn Read,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Written, Report> {
    let mut sources = layers.sources(&of_layers(items), None)?.into_iter();
    // The writer makes the diff id, which is the digest of this blob.
    let mut writer = LayerWriter::new(batch.blob_hashed_elsewhere()?, Compression::Stored, 0);
    let mut new = Vec::new();
    for (path, item) in items {
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
        let written = writer.with(entry(path, item), &attributes(item, times), &mut content);
        written.map_err(|error| failed(&error, path))?;
        new.extend(content.digester.map(Digester::finish));
    }
    // The last file was looked at again, too, when there is nothing after it.
    let rest = files.read(&mut [0]).map_err(|error| failed(&error, &LayerPath::root()))?;
    if rest > 0 {
        return Err(Failure::bug("a file of the folder is in no entry").into());
    }
    let (blob, written) = writer.finish().map_err(|error| failed(&error, &LayerPath::root()))?;
    let (_, tar_size) = blob.finish_as(written.diff_id.0)?;
    Ok(Written { diff_id: written.diff_id, tar_size, index: written.index, new })
}

/// What lies in other layers.
fn of_layers<'a>(items: &[(LayerPath, Item<'a>)]) -> Vec<&'a Found> {
    let all = items.iter().filter_map(|(_, item)| match item.content {
        Content::Found(found) if matches!(found.place, Place::Layer(..)) => Some(found),
        _ => None,
    });
    all.collect()
}

fn entry(path: &LayerPath, item: &Item<'_>) -> Entry {
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
