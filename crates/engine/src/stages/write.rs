//! The layer of a COPY: one tar, written while its files are read once; entries by path, parents first.
//!
//! A thread hashes the tar (see `corten_layer::write`), one writes it where files are small, others read the files of a folder
//! ahead (see `files` and `small`).

use std::borrow::Cow;
use std::io::{self, Read, Write};

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_layer::write::{Compression, LayerWriter, Written};
use corten_oci::{DiffId, Digester, Entry, Kind, LayerIndex, LayerPath};
use corten_store::{Batch, read_ahead, write_behind};

use super::content::{Layers, Source};
use super::details::Details;
use super::files::{Files, LARGE, Origins, Tidings, is_small, lost, of_folder};
use super::paths::{Content, Item, Items, NOW};
use super::small::{InOrder, SmallFiles};
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
    items: &Items<'_>,
    origins: Origins<'_>,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Wrote, Report> {
    let tidings = Tidings::default();
    let small = SmallFiles::new(items, &origins);
    let files = Files::new(items, origins, &tidings);
    // The writer makes the diff id, which is the digest of this blob.
    let mut blob = batch.blob_hashed_elsewhere()?;
    let write = |small: &mut InOrder<'_>, files: &mut dyn Read| match are_small(items) {
        true => write_behind(blob, |blob| entries(items, files, small, layers, times, blob)),
        false => (entries(items, files, small, layers, times, &mut blob), Ok(blob)),
    };
    let (mut written, blob) = small.while_writing(|small| read_ahead(files, |files| write(small, files)));
    if let Some(report) = tidings.failure() {
        written = Err(report);
    }
    let (mut wrote, hashed_late) = written?;
    blob.map_err(|error| failed(&error, &LayerPath::root()))?.finish_as(wrote.diff_id.0)?;
    let mut digests = tidings.digests().into_iter();
    for (path, offset) in hashed_late {
        wrote.details.hashed(offset, digests.next().ok_or_else(|| lost(path))?);
    }
    Ok(wrote)
}

/// Is making their entries more work than writing them? Large files are read and hashed by other threads already, and one more
/// copy of their bytes costs what a thread that writes would save.
fn are_small(items: &Items<'_>) -> bool {
    let bytes = items.values().fold(0, |bytes: u64, item| bytes.saturating_add(item.size));
    bytes / LARGE < items.len() as u64
}

/// Files of which the stream says the digest when they have gone by, and where each of them begins in the tar.
type HashedLate<'i> = Vec<(&'i LayerPath, u64)>;

/// `files` and `small` give the content of all that come from a folder.
fn entries<'i>(
    items: &'i Items<'_>,
    files: &mut dyn Read,
    small: &mut InOrder<'_>,
    layers: &Layers<'_>,
    times: Times,
    blob: &mut dyn Write,
) -> Result<(Wrote, HashedLate<'i>), Report> {
    let mut sources = layers.sources(&of_layers(items), None)?.into_iter();
    let mut writer = LayerWriter::new(blob, Compression::Stored, 0);
    let (mut details, mut hashed_late) = (Details::for_entries(items.len()), Vec::new());
    for (path, item) in items {
        let (mut attributes, mut digest) = (attributes(item, times), item.digest);
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
            Content::Found(_) if is_small(item) => {
                let file = small.next(path)?;
                digest = Some(file.digest);
                if !file.xattrs.is_empty() {
                    attributes.to_mut().xattrs = file.xattrs;
                }
                Box::new(file.content)
            }
            Content::Found(_) => Box::new((&mut *files).take(item.size)),
        };
        let is_unknown = digest.is_none() && item.kind == Kind::File;
        let is_late = is_unknown && of_folder(item).is_some();
        let mut content = Hashed { content, digester: (is_unknown && !is_late).then(Digester::new) };
        let written = writer.with(entry(path, item), &attributes, &mut content);
        written.map_err(|error| failed(&error, path))?;
        let offset = writer.offset();
        if is_late {
            hashed_late.push((path, offset));
        }
        details.add(offset, &attributes, digest.or_else(|| content.digester.map(Digester::finish)));
    }
    // The last file was looked at again, too, when there is nothing after it.
    let rest = files.read(&mut [0]).map_err(|error| failed(&error, &LayerPath::root()))?;
    if rest > 0 {
        return Err(Failure::bug("a file of the folder is in no entry").into());
    }
    let (_, Written { diff_id, tar_size, index, .. }) =
        writer.finish().map_err(|error| failed(&error, &LayerPath::root()))?;
    Ok((Wrote { diff_id, tar_size, index, details }, hashed_late))
}

/// As they are written.
fn attributes<'i>(item: &'i Item<'_>, times: Times) -> Cow<'i, Attributes> {
    match times.of(item.attributes.mtime) {
        mtime if mtime == item.attributes.mtime => Cow::Borrowed(&item.attributes),
        mtime => Cow::Owned(Attributes { mtime, xattrs: item.attributes.xattrs.clone() }),
    }
}

/// What lies in other layers.
fn of_layers<'a>(items: &Items<'a>) -> Vec<&'a Found> {
    let all = items.values().filter_map(|item| match item.content {
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
