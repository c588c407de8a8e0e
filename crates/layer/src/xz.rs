//! Decompressors of .deb members and archive indexes: xz, gzip, zstd, by name.
use std::io::{self, Read};

/// Decompresses by file name ending (`.xz`, `.gz`, `.zst`, else as is), with a memory cap.
pub fn reader<'a>(_name: &str, _source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    todo!()
}
