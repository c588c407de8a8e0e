//! The content of some files of a layer, from whatever form the layer has here: its tree, its tar, or a compressed blob.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use corten_oci::{Descriptor, Entry, Kind};

use super::TreeLayer;
use super::beneath::Root;
use crate::{Store, StoreError};

/// Is given each file and its content.
pub type EachFile<'a> = dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()> + 'a;

impl Store {
    /// Reads files of a layer, `wanted` of its index, in the order of its tar. False where the layer's bytes are not here.
    ///
    /// # Errors
    /// A disk that says no, a blob that is not what its digest says, what `each` answers.
    pub fn read_files(&self, layer: &TreeLayer, wanted: &[Entry], each: &mut EachFile<'_>) -> Result<bool, StoreError> {
        let mut wanted: Vec<&Entry> = wanted.iter().filter(|entry| entry.kind == Kind::File).collect();
        wanted.sort_by_key(|entry| entry.offset);
        let path = self.index_path(&layer.diff_id);
        let failed = |error| StoreError::from_io("reading files of", path.parent().unwrap_or(Path::new("")), error);
        if self.size(&layer.diff_id.0)?.is_some() {
            let mut tar = self.file(&layer.diff_id.0)?;
            of_tar(&mut tar, &wanted, each).map_err(failed)?;
            return Ok(true);
        }
        if let Some(folder) = self.tree_of(&layer.diff_id).as_deref().and_then(<[_]>::first) {
            of_tree(&mut Root::open(folder).map_err(failed)?, &wanted, each).map_err(failed)?;
            return Ok(true);
        }
        let Some(blob) = self.blob_here(layer)? else { return Ok(false) };
        let opened = self.read(&blob.digest)?;
        let tar = corten_layer::gzip::reader(&blob.media_type, opened);
        tar.and_then(|mut tar| of_stream(&mut tar, &wanted, each)).map_err(failed)?;
        Ok(true)
    }

    fn blob_here(&self, layer: &TreeLayer) -> Result<Option<Descriptor>, StoreError> {
        for blob in layer.blob.iter().cloned().chain(self.packed(&layer.diff_id)?) {
            if self.size(&blob.digest)? == Some(blob.size) {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }
}

fn of_tree(root: &mut Root, wanted: &[&Entry], each: &mut EachFile<'_>) -> io::Result<()> {
    for entry in wanted {
        each(entry, &mut root.read(&entry.path)?.take(entry.size))?;
    }
    Ok(())
}

fn of_tar(tar: &mut (impl Read + Seek), wanted: &[&Entry], each: &mut EachFile<'_>) -> io::Result<()> {
    for entry in wanted {
        tar.seek(SeekFrom::Start(entry.offset))?;
        each(entry, &mut tar.by_ref().take(entry.size))?;
    }
    Ok(())
}

/// To its end: only there it shows whether all was right.
fn of_stream(tar: &mut dyn Read, wanted: &[&Entry], each: &mut EachFile<'_>) -> io::Result<()> {
    let mut at = 0;
    for entry in wanted {
        let Some(gap) = entry.offset.checked_sub(at) else { continue };
        io::copy(&mut tar.take(gap), &mut io::sink())?;
        let mut content = tar.take(entry.size);
        each(entry, &mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        at = entry.offset.saturating_add(entry.size);
    }
    io::copy(tar, &mut io::sink()).map(drop)
}
