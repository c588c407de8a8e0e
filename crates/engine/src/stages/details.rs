//! What a layer's index does not say of its entries: time, extended attributes, digest of the content.
//!
//! Known when we write a layer; found in one pass over the layer of somebody else, when somebody copies from it. One record of the
//! store for each layer; it may be lost. A hundred thousand entries are kept as they lie there, which costs no allocation:
//!
//! ```text
//! entries:u64
//! per entry, by offset: offset:u64  mtime:i64  flags:u8  sha256:[32]  attributes:u64, counted from the end of the entries
//! attributes: count:u16, of each: length:u16 name  length:u32 value
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read};

use corten_diagnostic::{Failure, Report};
use corten_layer::attributes::{Attributes, is_kept};
use corten_layer::tar::TarReader;
use corten_oci::{DiffId, Digest, Digester, Kind, LayerIndex};
use corten_store::Key;

use super::context::Context;
use super::view::View;

const HAS_DIGEST: u8 = 1;
const HAS_ATTRIBUTES: u8 = 2;
/// Where they are in an entry.
const FLAGS: usize = 8 + 8;
/// Bytes of one entry.
const ROW: usize = 8 + 8 + 1 + 32 + 8;

/// Of one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) attributes: Attributes,
    /// Of the content; none of what has none.
    pub(super) digest: Option<Digest>,
}

/// Of one layer: by where an entry's content begins in its tar.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    rows: Vec<u8>,
    attributes: Vec<u8>,
}

pub(super) fn key(layer: &DiffId) -> Key {
    Key(Digest::of(format!("corten layer details 3\n{}", layer.0)))
}

impl Details {
    /// For so many entries.
    pub(super) fn for_entries(count: usize) -> Self {
        Self { rows: Vec::with_capacity(count.saturating_mul(ROW)), attributes: Vec::new() }
    }

    /// Adds an entry; the first at an offset stays.
    pub(super) fn add(&mut self, offset: u64, attributes: &Attributes, digest: Option<Digest>) {
        let Err(at) = self.position(offset) else { return };
        let mut flags = if digest.is_some() { HAS_DIGEST } else { 0 };
        let start = self.attributes.len() as u64;
        if encode_attributes(&mut self.attributes, &attributes.xattrs) {
            flags |= HAS_ATTRIBUTES;
        }
        let digest = digest.map_or([0; 32], |digest| *digest.as_bytes());
        // Entries come in their order: nothing is behind this one.
        let behind = self.rows.split_off(at * ROW);
        self.rows.extend_from_slice(&offset.to_le_bytes());
        self.rows.extend_from_slice(&attributes.mtime.to_le_bytes());
        self.rows.push(flags);
        self.rows.extend_from_slice(&digest);
        self.rows.extend_from_slice(&start.to_le_bytes());
        self.rows.extend_from_slice(&behind);
    }

    /// Adds the digest of an entry's content.
    pub(super) fn hashed(&mut self, offset: u64, digest: Digest) {
        let Ok(at) = self.position(offset) else { return };
        if let Some(row) = self.rows.get_mut(at * ROW..).and_then(<[u8]>::first_chunk_mut::<ROW>) {
            row[FLAGS] |= HAS_DIGEST;
            row[FLAGS + 1..FLAGS + 33].copy_from_slice(digest.as_bytes());
        }
    }

    pub(super) fn get(&self, offset: u64) -> Option<Detail> {
        let row = self.row(self.position(offset).ok()?)?;
        let xattrs = if row.has_attributes { self.attributes_at(row.attributes)? } else { BTreeMap::new() };
        Some(Detail { attributes: Attributes { mtime: row.mtime, xattrs }, digest: row.digest })
    }

    /// Of all files, with where they begin.
    pub(super) fn digests(&self) -> impl Iterator<Item = (u64, Digest)> {
        self.all().filter_map(|row| Some((row.offset, row.digest?)))
    }

    /// As it lies in the record.
    pub(super) fn encode(&self) -> Vec<u8> {
        [&(self.len() as u64).to_le_bytes(), self.rows.as_slice(), &self.attributes].concat()
    }

    /// None where it is cut off, or not in the order of its entries.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let count = usize::try_from(u64::from_le_bytes(take(&mut bytes)?)).ok()?;
        let (rows, attributes) = bytes.split_at_checked(count.checked_mul(ROW)?)?;
        let details = Self { rows: rows.to_vec(), attributes: attributes.to_vec() };
        let is_whole = |row: &Row| !row.has_attributes || details.attributes_at(row.attributes).is_some();
        (details.all().is_sorted_by(|one, next| one.offset < next.offset) && details.all().all(|row| is_whole(&row)))
            .then_some(details)
    }

    fn len(&self) -> usize {
        self.rows.len() / ROW
    }

    fn all(&self) -> impl Iterator<Item = Row> {
        self.rows.chunks_exact(ROW).filter_map(Row::decode)
    }

    fn row(&self, at: usize) -> Option<Row> {
        Row::decode(self.rows.get(at.checked_mul(ROW)?..)?)
    }

    /// Where an entry is, or where it would be.
    fn position(&self, offset: u64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        if self.row(high.wrapping_sub(1)).is_none_or(|last| last.offset < offset) {
            return Err(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.row(middle).map_or(std::cmp::Ordering::Greater, |row| row.offset.cmp(&offset)) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    fn attributes_at(&self, start: u64) -> Option<Xattrs> {
        let mut rest = self.attributes.get(usize::try_from(start).ok()?..)?;
        let mut all = Xattrs::new();
        for _ in 0..u16::from_le_bytes(take(&mut rest)?) {
            let length = u16::from_le_bytes(take(&mut rest)?);
            let name = part(&mut rest, usize::from(length))?;
            let length = u32::from_le_bytes(take(&mut rest)?);
            all.insert(name, part(&mut rest, usize::try_from(length).ok()?)?);
        }
        Some(all)
    }
}

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Are there any that can be written?
fn encode_attributes(to: &mut Vec<u8>, xattrs: &Xattrs) -> bool {
    let fits =
        |(name, value): &(&Vec<u8>, &Vec<u8>)| u16::try_from(name.len()).is_ok() && u32::try_from(value.len()).is_ok();
    let all: Vec<_> = xattrs.iter().filter(fits).take(usize::from(u16::MAX)).collect();
    if all.is_empty() {
        return false;
    }
    to.extend_from_slice(&(all.len() as u16).to_le_bytes());
    for (name, value) in all {
        to.extend_from_slice(&(name.len() as u16).to_le_bytes());
        to.extend_from_slice(name);
        to.extend_from_slice(&(value.len() as u32).to_le_bytes());
        to.extend_from_slice(value);
    }
    true
}

/// An entry as it lies in the record.
struct Row {
    offset: u64,
    mtime: i64,
    digest: Option<Digest>,
    has_attributes: bool,
    attributes: u64,
}

impl Row {
    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let offset = u64::from_le_bytes(take(&mut bytes)?);
        let mtime = i64::from_le_bytes(take(&mut bytes)?);
        let [flags] = take(&mut bytes)?;
        let digest = Digest::from(take::<32>(&mut bytes)?);
        let attributes = u64::from_le_bytes(take(&mut bytes)?);
        let digest = (flags & HAS_DIGEST != 0).then_some(digest);
        Some(Self { offset, mtime, digest, has_attributes: flags & HAS_ATTRIBUTES != 0, attributes })
    }
}

fn take<const COUNT: usize>(rest: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (head, tail) = rest.split_first_chunk::<COUNT>()?;
    *rest = tail;
    Some(*head)
}

fn part(rest: &mut &[u8], length: usize) -> Option<Vec<u8>> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head.to_vec())
}

/// Reads a whole tar.
pub(super) fn of_tar(tar: impl Read) -> Result<Details, Report> {
    let mut reader = TarReader::new(io::BufReader::with_capacity(1 << 18, tar));
    let mut all = Details::default();
    while let Some(entry) = reader.next_entry()? {
        let Attributes { mtime, xattrs } = reader.attributes().clone();
        let xattrs: BTreeMap<_, _> = xattrs.into_iter().filter(|(name, _)| is_kept(name)).collect();
        let digest = if entry.kind == Kind::File {
            let mut digester = Digester::new();
            io::copy(&mut reader.content(), &mut digester)
                .map_err(|error| Failure::world(format!("reading a layer: {error}")))?;
            Some(digester.finish())
        } else {
            None
        };
        all.add(entry.offset, &Attributes { mtime, xattrs }, digest);
    }
    Ok(all)
}

/// Reads an unpacked layer.
pub(super) fn of_tree(tree: &Context, index: &LayerIndex) -> Result<Details, Report> {
    let mut all = Details::for_entries(index.entries.len());
    for entry in &index.entries {
        // Devices may be missing where the kernel allows none to us.
        if matches!(entry.kind, Kind::Whiteout | Kind::Opaque) || tree.look(&entry.path)?.is_none() {
            continue;
        }
        let digest = if entry.kind == Kind::File {
            let mut digester = Digester::new();
            let (mut file, _) = tree.file(&entry.path)?;
            io::copy(&mut file, &mut digester)
                .map_err(|error| Failure::world(format!("reading {}: {error}", entry.path)))?;
            Some(digester.finish())
        } else {
            None
        };
        let attributes = Attributes { mtime: tree.mtime(&entry.path)?, xattrs: tree.attributes(&entry.path)? };
        all.add(entry.offset, &attributes, digest);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(mtime: i64, xattrs: &[(&str, &[u8])]) -> Attributes {
        let xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        Attributes { mtime, xattrs }
    }

    #[test]
    fn what_is_remembered_is_what_was_known_and_nothing_that_is_cut_off() {
        let mut entries = [
            (512, attributes(-7, &[]), None),
            (
                1024,
                attributes(1_700_000_000, &[("user.a", b""), ("security.capability", &[1, 0, 255])]),
                Some(Digest::of("1")),
            ),
            (4096, attributes(0, &[]), Some(Digest::of("2"))),
            (1 << 40, attributes(i64::MAX, &[("user.b", &[7; 300])]), None),
        ];
        let mut details = Details::default();
        // In any order they come to the same.
        for at in [1, 3, 0, 2] {
            let (offset, attributes, digest) = &entries[at];
            details.add(*offset, attributes, *digest);
        }
        details.hashed(512, Digest::of("3"));
        details.hashed(513, Digest::of("4"));
        entries[0].2 = Some(Digest::of("3"));
        let bytes = details.encode();
        let back = Details::decode(&bytes).unwrap();
        for (offset, attributes, digest) in entries {
            assert_eq!(back.get(offset), Some(Detail { attributes, digest }));
            assert_eq!(back.get(offset + 1), None);
        }
        assert_eq!(
            back.digests().collect::<Vec<_>>(),
            [(512, Digest::of("3")), (1024, Digest::of("1")), (4096, Digest::of("2"))]
        );
        assert_eq!(Details::decode(&Details::default().encode()), Some(Details::default()));
        for length in 0..bytes.len() {
            assert_eq!(Details::decode(&bytes[..length]), None, "{length}");
        }
        let swapped = [&bytes[..8], &bytes[8 + ROW..8 + 2 * ROW], &bytes[8..8 + ROW], &bytes[8 + 2 * ROW..]].concat();
        assert_eq!(Details::decode(&swapped), None);
    }
}
