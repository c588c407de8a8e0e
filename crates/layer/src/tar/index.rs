//! The index of a layer that somebody else wrote.

use std::io::{self, BufReader, Read};

use corten_oci::{DiffId, Digester, Kind, LayerIndex};

use super::{TarError, TarReader};

/// Entries that one layer may have.
const ENTRY_LIMIT: u64 = 2_000_000;
/// Bytes that the paths of one layer may have together.
const PATHS_LIMIT: usize = 256 << 20;

/// What is known of a layer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// What lies in it.
    pub index: LayerIndex,
    /// Of the uncompressed tar, to its last byte.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
}

/// Reads an uncompressed layer to its last byte and remembers what lies in it, with the CRC-32 of every file.
///
/// # Errors
/// As [`TarReader::next_entry`], and when there are more than 2,000,000 entries or 256 MiB of paths.
pub fn index(source: impl Read) -> Result<Indexed, TarError> {
    let mut hashing = Hashing { source, digester: Digester::new(), size: 0 };
    let mut index = LayerIndex::default();
    let mut paths = 0;
    let mut reader = TarReader::new(BufReader::with_capacity(128 << 10, &mut hashing));
    while let Some(mut entry) = reader.next_entry()? {
        if entry.kind == Kind::File {
            entry.crc32 = Some(check_content(&mut reader.content())?);
        }
        paths += entry.path.as_bytes().len() + target_length(&entry.kind);
        if reader.number > ENTRY_LIMIT || paths > PATHS_LIMIT {
            return Err(reader.refuse(entry.offset, "the layer has more than 2,000,000 entries or 256 MiB of paths"));
        }
        index.entries.push(entry);
    }
    drop(reader);
    Ok(Indexed { index, diff_id: DiffId(hashing.digester.finish()), tar_size: hashing.size })
}

fn target_length(kind: &Kind) -> usize {
    match kind {
        Kind::Symlink(target) => target.len(),
        Kind::HardLink(target) => target.as_bytes().len(),
        _ => 0,
    }
}

fn check_content(content: &mut impl Read) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = [0; 32 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Hashes and counts what passes.
struct Hashing<R> {
    source: R,
    digester: Digester,
    size: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.digester.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
