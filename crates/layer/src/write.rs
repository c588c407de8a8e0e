//! One layer, written entry by entry. The tar is the same for every compression, so the diff id is too.
//!
//! | call | gzip | plain tar |
//! |---|---|---|
//! | [`LayerWriter::bare`] | header through the frozen encoder | header |
//! | [`LayerWriter::file`] | small bytes as the header, big ones by zlib-rs | header, bytes |
//! | [`LayerWriter::deflated`] | the stream verbatim ([`crate::splice`]); inflated once, to check and to hash | inflated |
//!
//! Memory does not depend on the content: a few buffers of 256 KiB, and a few MiB while big content is compressed.
//! What was written before an error is rubbish, so after one every call fails.
//!
//! `deflated` believes nothing that a zip says of a member: the stream must end where its compressed size says, give
//! exactly the bytes and the CRC-32 that are claimed, and nothing may follow its last block.

mod header;
mod tar_hash;

use std::io::{self, Read, Write};

use corten_oci::{DiffId, Entry, Kind, LayerIndex};

use self::header::BLOCK;
use self::tar_hash::TarHash;
use crate::splice::{GzipMember, Origin};
use crate::walk::{Claim, Sides, Walker, invalid, read_full};

/// Bytes of a file that are copied together.
const CHUNK: usize = 64 * 1024;

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
///
/// Errors: `InvalidData` where content is not what was claimed, `InvalidInput` where an entry cannot be written to a
/// tar or means something else in a layer (`.wh.` names), else the sink's or the reader's own.
pub struct LayerWriter<W: Write> {
    output: Output<W>,
    tar: TarHash,
    mtime: u64,
    index: LayerIndex,
    walker: Option<Walker>,
    chunk: Vec<u8>,
    failed: bool,
}

enum Output<W: Write> {
    Stored(W),
    Gzip(Box<GzipMember<W>>),
}

impl<W: Write> LayerWriter<W> {
    /// `mtime`: seconds since 1970 for every entry.
    pub fn new(sink: W, compression: Compression, mtime: u64) -> Self {
        let output = match compression {
            Compression::Stored => Output::Stored(sink),
            Compression::Gzip => Output::Gzip(Box::new(GzipMember::new(sink))),
        };
        let (tar, index) = (TarHash::new(), LayerIndex::default());
        Self { output, tar, mtime, index, walker: None, chunk: Vec::new(), failed: false }
    }

    /// A directory, link, whiteout, or an empty file.
    pub fn bare(&mut self, entry: Entry) -> io::Result<()> {
        self.file(entry, &mut io::empty())
    }

    /// A file whose bytes are in hand or come from a reader: exactly `entry.size` of them.
    pub fn file(&mut self, entry: Entry, content: &mut dyn Read) -> io::Result<()> {
        self.attempt(entry, |writer, entry| writer.copied(entry.size, content))
    }

    /// A file whose bytes are already deflated; `suffix` is appended to its content (RECORD lines).
    /// `entry.size` is the whole, suffix included. Inflates once to check CRC, size and end of stream.
    pub fn deflated(&mut self, entry: Entry, content: Deflated<'_>, suffix: &[u8]) -> io::Result<()> {
        self.attempt(entry, |writer, entry| {
            let size = entry.size.checked_sub(suffix.len() as u64);
            let size = size.ok_or_else(|| invalid("it is smaller than what is appended to it".to_owned()))?;
            let mut crc = writer.spliced(content, size)?;
            crc.update(suffix);
            writer.plain(suffix, Origin::Content)?;
            Ok(crc)
        })
    }

    /// Ends tar and gzip, gives the sink back.
    pub fn finish(mut self) -> io::Result<(W, Written)> {
        if self.failed {
            return Err(io::Error::other("the layer is unusable after an earlier error"));
        }
        self.plain(&[0; 2 * BLOCK], Origin::Frame)?;
        let sink = match self.output {
            Output::Stored(sink) => sink,
            Output::Gzip(member) => member.finish()?,
        };
        let tar_size = self.tar.size();
        Ok((sink, Written { diff_id: self.tar.finish()?, tar_size, index: self.index }))
    }

    /// Header, content (whose CRC `write` gives back), padding, index.
    fn attempt(
        &mut self,
        mut entry: Entry,
        write: impl FnOnce(&mut Self, &Entry) -> io::Result<crc32fast::Hasher>,
    ) -> io::Result<()> {
        if std::mem::replace(&mut self.failed, true) {
            return Err(io::Error::other("the layer is unusable after an earlier error"));
        }
        let header = header::encode(&entry, self.mtime)?;
        self.plain(&header, Origin::Frame)?;
        entry.offset = self.tar.size();
        let crc = write(self, &entry).map_err(|error| about(&entry, &error))?;
        entry.crc32 = (entry.kind == Kind::File).then(|| crc.finalize());
        let padding = self.tar.size().next_multiple_of(BLOCK as u64) - self.tar.size();
        self.plain(&[0; BLOCK][..padding as usize], Origin::Frame)?;
        self.index.entries.push(entry);
        self.failed = false;
        Ok(())
    }

    /// Bytes of the tar that go through our own encoders.
    fn plain(&mut self, bytes: &[u8], origin: Origin) -> io::Result<()> {
        self.tar.push(bytes)?;
        match &mut self.output {
            Output::Stored(sink) => sink.write_all(bytes),
            Output::Gzip(member) => member.plain(bytes, origin),
        }
    }

    fn copied(&mut self, size: u64, content: &mut dyn Read) -> io::Result<crc32fast::Hasher> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(CHUNK, 0);
        let mut crc = crc32fast::Hasher::new();
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let filled = read_full(content, &mut chunk[..want])?;
            if filled == 0 {
                return Err(invalid(format!("it has only {} of {size} bytes", size - left)));
            }
            crc.update(&chunk[..filled]);
            self.plain(&chunk[..filled], Origin::Content)?;
            left -= filled as u64;
        }
        if read_full(content, &mut [0])? > 0 {
            return Err(invalid(format!("it has more than {size} bytes")));
        }
        self.chunk = chunk;
        Ok(crc)
    }

    fn spliced(&mut self, content: Deflated<'_>, size: u64) -> io::Result<crc32fast::Hasher> {
        let claim = Claim { compressed_size: content.compressed_size, size, crc32: content.crc32 };
        let mut walker = match self.walker.take() {
            Some(walker) => walker,
            None => Walker::new()?,
        };
        // A stream without content is checked like any other, but nothing of it is kept.
        let keep = size > 0;
        if let (Output::Gzip(member), true) = (&mut self.output, keep) {
            member.start_stream()?;
        }
        let mut splice = Splice { tar: &mut self.tar, output: &mut self.output, keep };
        let last_byte = walker.walk(content.stream, &claim, &mut splice)?;
        if let (Output::Gzip(member), true) = (&mut self.output, keep) {
            member.end_stream(last_byte, claim.crc32, size);
        }
        self.walker = Some(walker);
        Ok(crc32fast::Hasher::new_with_initial_len(claim.crc32, size))
    }
}

/// Content to the hash of the tar; content or stream to the sink.
struct Splice<'a, W: Write> {
    tar: &'a mut TarHash,
    output: &'a mut Output<W>,
    keep: bool,
}

impl<W: Write> Sides for Splice<'_, W> {
    fn space(&mut self) -> io::Result<&mut [u8]> {
        self.tar.space()
    }

    fn inflated(&mut self, count: usize) -> io::Result<()> {
        let content = self.tar.advance(count);
        match self.output {
            Output::Stored(sink) => sink.write_all(content),
            Output::Gzip(_) => Ok(()),
        }
    }

    fn verbatim(&mut self, bytes: &[u8]) -> io::Result<()> {
        match (&mut *self.output, self.keep) {
            (Output::Gzip(member), true) => member.verbatim(bytes),
            _ => Ok(()),
        }
    }
}

/// Says which entry an error is about; keeps its kind.
fn about(entry: &Entry, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write '{}' to a layer: {error}", entry.path))
}
