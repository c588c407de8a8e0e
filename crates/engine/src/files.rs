//! Layers of files that the plan holds, and what all layers of ours share: parents and entries.

use std::collections::BTreeSet;
use std::io::{self, Write};

use corten_diagnostic::{Failure, Report};
use corten_layer::write::{LayerWriter, Written};
use corten_oci::{Entry, Kind, LayerPath};
use corten_plan::{GeneratedFile, GeneratedKind};

/// Reads a file of the layers below, by its path.
pub type Below<'a> = dyn Fn(&LayerPath) -> Result<Vec<u8>, Report> + 'a;

/// Writes generated files; `below` gives what an appended file begins with.
pub fn write<W: Write>(
    files: &[GeneratedFile],
    below: &Below<'_>,
    mut layer: LayerWriter<W>,
) -> Result<(W, Written), Report> {
    let mut parents = Parents::default();
    for file in files {
        parents.before(&file.path, &mut layer)?;
        write_one(file, below, &mut parents, &mut layer)?;
    }
    Ok(written(layer.finish())?)
}

fn write_one<W: Write>(
    file: &GeneratedFile,
    below: &Below<'_>,
    parents: &mut Parents,
    layer: &mut LayerWriter<W>,
) -> Result<(), Report> {
    let owned = |kind| {
        let entry = entry(&file.path, kind, file.mode)?;
        Ok::<_, Failure>(Entry { uid: file.uid, gid: file.gid, ..entry })
    };
    match &file.kind {
        GeneratedKind::Directory => {
            parents.seen(&file.path)?;
            written(layer.bare(owned(Kind::Directory)?))?;
        }
        GeneratedKind::Symlink(target) => written(layer.bare(owned(Kind::Symlink(target.clone()))?))?,
        GeneratedKind::File(text) => content(layer, owned(Kind::File)?, text.as_bytes())?,
        GeneratedKind::Append(more) => {
            let mut bytes = below(&path(&file.path)?)?;
            if bytes.last().is_some_and(|last| *last != b'\n') {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(more.as_bytes());
            content(layer, owned(Kind::File)?, &bytes)?;
        }
    }
    Ok(())
}

fn content<W: Write>(layer: &mut LayerWriter<W>, entry: Entry, mut bytes: &[u8]) -> Result<(), Failure> {
    let size = bytes.len() as u64;
    written(layer.file(Entry { size, ..entry }, &mut bytes))
}

/// Parents that a layer already has: each comes once, before its first child, owned by root, 0755.
#[derive(Default)]
pub struct Parents(BTreeSet<LayerPath>);

impl Parents {
    /// Writes the parents of `child` that are still missing.
    pub fn before<W: Write>(&mut self, child: &str, layer: &mut LayerWriter<W>) -> Result<(), Failure> {
        for parent in path(child)?.ancestors() {
            if self.0.insert(parent.clone()) {
                written(layer.bare(bare(parent, Kind::Directory, 0o755)))?;
            }
        }
        Ok(())
    }

    fn seen(&mut self, directory: &str) -> Result<(), Failure> {
        self.0.insert(path(directory)?);
        Ok(())
    }
}

/// An entry owned by root, without content.
pub fn entry(at: &str, kind: Kind, mode: u32) -> Result<Entry, Failure> {
    Ok(bare(path(at)?, kind, mode))
}

fn bare(path: LayerPath, kind: Kind, mode: u32) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None }
}

fn path(text: &str) -> Result<LayerPath, Failure> {
    LayerPath::new(text).map_err(|error| Failure::input(format!("putting '{text}' into the image: {error}")))
}

/// What a failed write into a layer means: the disk.
pub fn written<T>(result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| unwritten(&error))
}

/// The error of a failed write into a layer, with what the store advises.
pub fn unwritten(error: &io::Error) -> Failure {
    let hints = corten_store::hints(error.kind());
    hints.into_iter().fold(Failure::world(format!("writing a layer: {error}")), Failure::hint)
}
