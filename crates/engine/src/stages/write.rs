//! The layer of a COPY: one tar, written while its files are read once; entries by path, parents first.
//!
//! A thread hashes the tar (see `corten_layer::write`), another one the content of each file, for those who copy from this stage.

use std::io::{self, Read};
use std::sync::Arc;

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::Attributes;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Digest, Digester, Entry, LayerIndex, LayerPath};
use corten_store::Batch;

use super::content::{Layers, Source};
use super::context::Context;
use super::details::{Detail, Details};
use super::paths::{Content, Item, NOW};
use super::view::Place;

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

/// Writes entries as a layer; `digests`: of files whose content was hashed already, by path in the layer.
pub(super) fn layer(
    items: Vec<(LayerPath, Item)>,
    digest_of: &dyn Fn(&Item) -> Option<Digest>,
    context: Option<&Arc<Context>>,
    layers: &Layers<'_>,
    times: Times,
    batch: &Batch<'_>,
) -> Result<Wrote, Report> {
    let wanted: Vec<_> = items
        .iter()
        .filter_map(|(_, item)| match &item.content {
            Content::Found(found) => Some(found),
            _ => None,
        })
        .collect();
    let mut sources = layers.sources(&wanted, context)?.into_iter();
    let mut writer = LayerWriter::new(batch.blob()?, Compression::Stored, 0);
    let mut known = Vec::with_capacity(items.len());
    for (path, item) in &items {
        let attributes = Attributes { mtime: times.of(item.attributes.mtime), xattrs: item.attributes.xattrs.clone() };
        let entry = Entry {
            path: path.clone(),
            kind: item.kind.clone(),
            mode: item.mode,
            uid: item.uid,
            gid: item.gid,
            size: item.size,
            crc32: None,
            offset: 0,
            package: None,
        };
        let source;
        let content: Box<dyn Read + '_> = match &item.content {
            Content::None => Box::new(io::empty()),
            Content::Bytes(bytes) => Box::new(bytes.as_ref()),
            Content::Own(folder, path) => Box::new(folder.file(path)?.0),
            Content::At(file, at) => {
                source = Source::At(file.clone(), *at);
                source.open(item.size)?
            }
            Content::Found(_) => {
                source = sources
                    .next()
                    .ok_or_else(|| Failure::bug(format!("nobody knows where the content of {path} is")))?;
                source.open(item.size)?
            }
        };
        let digest = digest_of(item);
        let is_new = digest.is_none() && item.kind == corten_oci::Kind::File;
        let mut content = Hashed { content, digester: is_new.then(Digester::new) };
        let written = writer.with(entry, &attributes, &mut content);
        written.map_err(|error| failed(&error, path))?;
        is_unchanged(item, context.map(|context| &**context), path)?;
        known.push((attributes, digest.or_else(|| content.digester.map(Digester::finish))));
    }
    let (blob, written) = writer.finish().map_err(|error| failed(&error, &LayerPath::root()))?;
    let (digest, tar_size) = blob.finish()?;
    if digest != written.diff_id.0 {
        return Err(Failure::bug(format!("a tar was hashed to {digest} and to {}", written.diff_id.0)).into());
    }
    let details = written
        .index
        .entries
        .iter()
        .zip(known)
        .map(|(entry, (attributes, digest))| (entry.offset, Detail { attributes, digest }))
        .collect();
    Ok(Wrote { diff_id: written.diff_id, tar_size, index: written.index, details })
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
fn is_unchanged(item: &Item, context: Option<&Context>, path: &LayerPath) -> Result<(), Report> {
    if let (Content::Found(found), Some(context)) = (&item.content, context)
        && let Place::Context(stamp, _) = found.place
        && context.file(&found.path)?.1 != stamp
    {
        let failure = Failure::world(format!("copying /{path}: it was changed while it was read"));
        return Err(failure.hint("build again").into());
    }
    Ok(())
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
