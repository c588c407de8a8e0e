//! The layer that a step made the last time. Of a large folder most files are as they were, and their bytes are read faster from
//! one tar than from a hundred thousand files.
//!
//! Nothing of it is believed: what is taken has the digest that the file of the folder had when it was hashed.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use corten_oci::{DiffId, Digest};

use super::content::Layers;
use super::paths::{Content, Item, Items};
use super::view::Place;

/// Bytes of a file that is worth it: larger ones are read as fast where they are.
const SMALL: u64 = 64 << 10;
/// So many of them are.
const MANY: usize = 256;
/// Bytes that are read at a time.
const AHEAD: usize = 256 << 10;

/// Small files of an old layer.
pub(super) struct Old {
    tar: File,
    offsets: HashMap<Digest, u64>,
    /// What was read last, and where it begins in the tar.
    bytes: Vec<u8>,
    start: u64,
}

impl Old {
    /// None where it is not there as a tar, or not worth it.
    pub(super) fn find(layer: &DiffId, layers: &Layers<'_>, items: &Items<'_>) -> Option<Self> {
        if items.values().filter(|item| may_be_old(item)).take(MANY).count() < MANY {
            return None;
        }
        layers.store.size(&layer.0).ok().flatten()?;
        let tar = layers.store.file(&layer.0).ok()?;
        let offsets = layers.remembered(layer)?.digests().map(|(offset, digest)| (digest, offset)).collect();
        Some(Self { tar, offsets, bytes: Vec::new(), start: 0 })
    }

    /// Where in [`Old::bytes`] the content of a file is, if the old layer has it: until the next one is asked for.
    pub(super) fn content(&mut self, item: &Item<'_>) -> Option<Range<usize>> {
        let digest = item.digest.filter(|_| may_be_old(item))?;
        let (offset, size) = (*self.offsets.get(&digest)?, usize::try_from(item.size).ok()?);
        let within = |start: u64| usize::try_from(offset.checked_sub(start)?).ok();
        let is_read = within(self.start).is_some_and(|at| at.saturating_add(size) <= self.bytes.len());
        if !is_read {
            self.read(offset)?;
        }
        let at = within(self.start)?;
        let range = at..at.checked_add(size)?;
        (Digest::of(self.bytes.get(range.clone())?) == digest).then_some(range)
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    fn read(&mut self, offset: u64) -> Option<()> {
        self.bytes.resize(AHEAD, 0);
        self.start = offset;
        let mut filled = 0;
        while let Some(space) = self.bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.tar.read_at(space, offset.checked_add(filled as u64)?) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => {
                    filled = 0;
                    break;
                }
            }
        }
        self.bytes.truncate(filled);
        Some(())
    }
}

fn may_be_old(item: &Item<'_>) -> bool {
    let is_of_folder = matches!(&item.content, Content::Found(found) if matches!(found.place, Place::Context(..)));
    is_of_folder && item.digest.is_some() && item.size > 0 && item.size <= SMALL
}
