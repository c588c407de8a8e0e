//! One layer, written entry by entry. The tar is the same for every compression, so the diff id is too.
use std::io::{self, Read, Write};

use corten_oci::{DiffId, Entry, LayerIndex};

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all (`.tar`).
    Stored,
    /// gzip at the level that everybody reads; splices deflated members verbatim (layout m0).
    Gzip,
}

/// What was written. The blob's own digest and size are the sink's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// What lies in it.
    pub index: LayerIndex,
}

/// Raw deflate bytes as they lie in a zip member.
pub struct Deflated<'a> {
    /// The deflate stream, exactly `compressed_size` bytes.
    pub stream: &'a mut dyn Read,
    /// Bytes of the stream.
    pub compressed_size: u64,
    /// CRC-32 of the content, as the zip directory claims; checked.
    pub crc32: u32,
}

/// Writes a deterministic tar (ustar, PAX where ustar is too small) into one gzip member or plain.
///
/// Parents are the caller's business: entries come out in the order of the calls. `entry.size` must be the content's;
/// `entry.crc32` and `entry.offset` are filled in for the index. mtime is one constant for the whole layer.
pub struct LayerWriter<W: Write> {
    #[expect(dead_code)]
    sink: W,
}

impl<W: Write> LayerWriter<W> {
    /// `mtime`: seconds since 1970 for every entry.
    pub fn new(sink: W, _compression: Compression, _mtime: u64) -> Self {
        Self { sink }
    }

    /// A directory, link, whiteout, or an empty file.
    pub fn bare(&mut self, _entry: Entry) -> io::Result<()> {
        todo!()
    }

    /// A file whose bytes are in hand or come from a reader: exactly `entry.size` of them.
    pub fn file(&mut self, _entry: Entry, _content: &mut dyn Read) -> io::Result<()> {
        todo!()
    }

    /// A file whose bytes are already deflated; `suffix` is appended to its content (RECORD lines).
    /// `entry.size` is the whole, suffix included. Inflates once to check CRC, size and end of stream.
    pub fn deflated(&mut self, _entry: Entry, _content: Deflated<'_>, _suffix: &[u8]) -> io::Result<()> {
        todo!()
    }

    /// Ends tar and gzip, gives the sink back.
    pub fn finish(self) -> io::Result<(W, Written)> {
        todo!()
    }
}
