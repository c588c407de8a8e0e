//! A local layer as a blob, made when somebody wants one: for a registry, a layout, an archive.
//!
//! What was made is remembered by diff id and format ([`Store::packed`]). Of gzip blobs it is remembered, too, where in them
//! which piece lies ([`corten_layer::pack`]): the next layer that has the same piece copies it. Nothing is stored twice for
//! that; a piece is gone with its blob.
//!
//! | record | value |
//! |---|---|
//! | `corten pieces of <blob>` | the blob's digest as text, a line end, then 54 bytes a piece |
//! | `corten pieces` | digests of blobs that have such a record, those made last first |

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use corten_layer::compress::{Compressor, Method};
use corten_layer::pack::{self, Compressed, Memory, Placed};
use corten_layer::write::Compression;
use corten_oci::{Descriptor, DiffId, Digest, Entry, LayerIndex, MediaType};

use super::FORMAT;
use crate::ahead::read_ahead;
use crate::{BlobWriter, Key, Store, StoreError, disk};

/// Blobs whose pieces are looked at.
const MOST_BLOBS: usize = 32;
/// Bytes of a piece in a record.
const PIECE: usize = 32 + 4 + 8 + 4 + 1 + 1 + 4;
/// Pieces are smaller.
const LARGEST_PIECE: usize = 32 << 20;
const CHUNK: usize = 1 << 20;

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Packing {
    /// gzip, one member of pieces: what every registry and reader takes.
    Gzip,
    /// zstd, level 3.
    Zstd,
    /// Not at all.
    Tar,
}

impl Packing {
    /// Name and version of the rules.
    pub fn format(self) -> &'static str {
        match self {
            Self::Gzip => pack::FORMAT,
            Self::Zstd => Compression::Zstd.format(),
            Self::Tar => Compression::Stored.format(),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => MediaType::LAYER_GZIP,
            Self::Zstd => MediaType::LAYER_ZSTD,
            Self::Tar => MediaType::LAYER,
        }
    }
}

impl Store {
    /// The blob of a layer that is in the store as a tar or as the tree of a command; made unless it is there already.
    ///
    /// # Errors
    /// A layer that is in neither form, or damaged; a disk that says no.
    pub fn pack(&self, diff_id: &DiffId, packing: Packing) -> Result<Descriptor, StoreError> {
        for mut blob in self.packed(diff_id)? {
            let is_same = blob.annotations.remove(FORMAT).is_some_and(|format| format == packing.format());
            if is_same && self.size(&blob.digest)? == Some(blob.size) {
                return Ok(blob);
            }
        }
        let blob = self.pack_anew(diff_id, packing)?;
        let mut noted = blob.clone();
        noted.annotations.insert(FORMAT.into(), packing.format().into());
        self.remember_packed(diff_id, &noted)?;
        Ok(blob)
    }

    fn pack_anew(&self, diff_id: &DiffId, packing: Packing) -> Result<Descriptor, StoreError> {
        let tar = self.tar(diff_id)?;
        read_ahead(tar, |tar| self.pack_tar(diff_id, tar, packing))
    }

    fn pack_tar(&self, diff_id: &DiffId, tar: &mut dyn Read, packing: Packing) -> Result<Descriptor, StoreError> {
        let batch = self.batch();
        let mut sink = batch.blob()?;
        let failed = |error| StoreError::from_io("compressing", &self.blob_path(&diff_id.0), error);
        let mut packed = None;
        match packing {
            Packing::Gzip => {
                let index = self.layer_index(diff_id)?.unwrap_or_default();
                let cuts = pack::cuts(&index, tar_size(&index));
                let memory = Arc::new(Remembered::load(self)?);
                packed = Some(pack::gzip(tar, &cuts, memory, &mut sink).map_err(failed)?);
            }
            Packing::Zstd => {
                let mut compressor = Compressor::new(sink, Method::Zstd);
                copy(tar, &mut compressor).map_err(failed)?;
                sink = compressor.finish().map_err(failed)?;
            }
            Packing::Tar => copy(tar, &mut sink).map_err(failed)?,
        }
        let (digest, size) = BlobWriter::finish(sink)?;
        if let Some(packed) = packed.filter(|packed| packed.pieces.len() > 1) {
            batch.record(&pieces_key(&digest), &encode(&digest, &packed.pieces))?;
            let mut known = blobs_with_pieces(self)?;
            known.retain(|known| *known != digest);
            known.insert(0, digest);
            known.truncate(MOST_BLOBS);
            let text: String = known.iter().map(|digest| format!("{digest}\n")).collect();
            batch.record(&blobs_key(), text.as_bytes())?;
        }
        batch.finish()?;
        Ok(Descriptor::new(packing.media_type(), digest, size))
    }
}

/// Of a tar that ends with its last entry and two blocks, as ours do.
fn tar_size(index: &LayerIndex) -> u64 {
    let end = |entry: &Entry| entry.offset.saturating_add(entry.size).checked_next_multiple_of(512);
    index.entries.last().and_then(end).map_or(0, |end| end.saturating_add(1024))
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => to.write_all(buffer.get(..got).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn pieces_key(blob: &Digest) -> Key {
    Key(Digest::of(format!("corten pieces of {blob} {}", pack::FORMAT)))
}

fn blobs_key() -> Key {
    Key(Digest::of(format!("corten pieces {}", pack::FORMAT)))
}

fn blobs_with_pieces(store: &Store) -> Result<Vec<Digest>, StoreError> {
    let record = store.record(&blobs_key())?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&record).lines().filter_map(|line| line.parse().ok()).collect())
}

fn encode(blob: &Digest, pieces: &[Placed]) -> Vec<u8> {
    let mut bytes = format!("{blob}\n").into_bytes();
    for piece in pieces {
        bytes.extend_from_slice(piece.content.as_bytes());
        bytes.extend_from_slice(&piece.size.to_le_bytes());
        bytes.extend_from_slice(&piece.offset.to_le_bytes());
        bytes.extend_from_slice(&piece.length.to_le_bytes());
        bytes.extend_from_slice(&[piece.last, piece.used]);
        bytes.extend_from_slice(&piece.crc32.to_le_bytes());
    }
    bytes
}

/// What is known of one piece: its content's digest, and where its bytes are.
fn decode(bytes: &[u8]) -> Option<([u8; 32], Place)> {
    let (content, rest) = bytes.split_first_chunk::<32>()?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let ([last, used], rest) = rest.split_first_chunk::<2>()?;
    let crc32 = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let (size, length) = (u32::from_le_bytes(*size), u32::from_le_bytes(*length));
    let place = Place { blob: 0, size, offset: u64::from_le_bytes(*offset), length, last: *last, used: *used, crc32 };
    Some((*content, place))
}

struct Place {
    /// Of the open blobs.
    blob: usize,
    size: u32,
    offset: u64,
    length: u32,
    last: u8,
    used: u8,
    crc32: u32,
}

/// Pieces of blobs that are in the store.
struct Remembered {
    blobs: Vec<File>,
    pieces: HashMap<[u8; 32], Place>,
}

impl Remembered {
    fn load(store: &Store) -> Result<Self, StoreError> {
        let mut all = Self { blobs: Vec::new(), pieces: HashMap::new() };
        for digest in blobs_with_pieces(store)? {
            if store.size(&digest)?.is_none() {
                continue;
            }
            let Some(record) = store.record(&pieces_key(&digest))? else { continue };
            let text = format!("{digest}\n");
            let Some(pieces) = record.strip_prefix(text.as_bytes()) else { continue };
            let Ok(file) = store.file(&digest) else { continue };
            // Most pieces are taken in their order.
            disk::read_in_order(&file, u64::MAX);
            let blob = all.blobs.len();
            all.blobs.push(file);
            for piece in pieces.chunks_exact(PIECE) {
                if let Some((content, place)) = decode(piece) {
                    all.pieces.entry(content).or_insert(Place { blob, ..place });
                }
            }
        }
        Ok(all)
    }
}

impl Memory for Remembered {
    /// The piece's bytes are checked by their CRC-32: damage of an old blob must not spread to a new one.
    fn piece(&self, content: &Digest, size: usize) -> Option<Compressed> {
        let place = self.pieces.get(content.as_bytes())?;
        let length = usize::try_from(place.length).ok().filter(|length| *length <= LARGEST_PIECE)?;
        if usize::try_from(place.size) != Ok(size) || !(1..=8).contains(&place.used) {
            return None;
        }
        let mut bytes = vec![0; length];
        self.blobs.get(place.blob)?.read_exact_at(&mut bytes, place.offset).ok()?;
        (crc32fast::hash(&bytes) == place.crc32).then_some(())?;
        Some(Compressed { bytes, last: place.last, used: place.used.into() })
    }
}
