//! eStargz: gzip layers of which single files can be fetched (stargz-snapshotter, docs/estargz.md), by splice (layout m2).
//!
//! ```text
//! │ member: headers │ member: file │ member: padding, headers │ member: file │ … │ member: header, table, end of tar │ footer
//!                   └ offset in the table                     └ the next                        51 bytes, with the table's offset
//! ```
//!
//! A file's payload begins with a gzip member: the deflate stream of a zip member verbatim, or chunks of [`CHUNK`] bytes,
//! each a member compressed by libdeflate. A deflate stream can only be one chunk, and a chunk is fetched and kept in
//! memory as a whole; so files of more than [`LARGEST_STREAM`] bytes are compressed anew, in chunks. Our own bytes go
//! through the frozen encoder.
//!
//! Readers demand that every chunk has an offset of its own, that the table lies in one member alone, and that it ends
//! with its JSON (anything behind it would be hashed, or not).

mod table;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;

use corten_oci::{Digest, Digester, Entry};

use self::table::Table;
use crate::deflate::{BitWriter, Encoder, Last};
use crate::pieces::{GZIP_HEADER, Job, Piece, Pieces};
use crate::walk::LastByte;

/// Annotation of the descriptor: the digest of the table.
pub(crate) const TABLE_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Annotation of the descriptor: bytes of the tar.
pub(crate) const TAR_SIZE: &str = "io.containers.estargz.uncompressed-size";
/// The entry that holds the table.
pub(crate) const TABLE: &str = "stargz.index.json";
/// An entry that says: nothing is to be fetched before a container starts.
pub(crate) const LANDMARK: &str = ".no.prefetch.landmark";
pub(crate) const LANDMARK_CONTENT: [u8; 1] = [0x0f];

/// A stream of more content than this is compressed anew. Part of the format.
pub(crate) const LARGEST_STREAM: u64 = 32 << 20;

/// Bytes of a chunk, as everybody's default; part of the format.
const CHUNK: usize = 4 << 20;
/// Our own bytes in one member, at most; part of the format.
const FRAME: usize = 1 << 20;

/// An eStargz blob that is being written.
pub(crate) struct Estargz<W: Write> {
    sink: W,
    /// Bytes of the blob that the sink has.
    offset: u64,
    /// Our own bytes that are not yet in a member.
    frame: Vec<u8>,
    table: Table,
    pieces: Pieces,
    /// For each of the pieces, which chunk of the table it is, if any.
    chunks: VecDeque<Option<usize>>,
    /// The chunk that is being gathered.
    chunk: Vec<u8>,
    /// Of the file's content until now, where one chunk's digest will not do.
    file: Digester,
    /// Bytes of the file until now.
    size: u64,
    /// Where the stream's member begins.
    stream: u64,
}

impl<W: Write> Estargz<W> {
    pub(crate) fn new(sink: W, threads: NonZeroUsize) -> Self {
        Self {
            sink,
            offset: 0,
            frame: Vec::new(),
            table: Table::default(),
            pieces: Pieces::new(threads),
            chunks: VecDeque::new(),
            chunk: Vec::new(),
            file: Digester::new(),
            size: 0,
            stream: 0,
        }
    }

    /// Headers and padding.
    pub(crate) fn frame(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(FRAME - self.frame.len()));
            self.frame.extend_from_slice(now);
            if self.frame.len() == FRAME {
                self.end_frame()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// An entry whose header has been written, `name` as the tar has it.
    pub(crate) fn begin(&mut self, entry: &Entry, name: &[u8], mtime: u64) -> io::Result<()> {
        self.file = Digester::new();
        self.size = 0;
        let name = std::str::from_utf8(name);
        let name = name.map_err(|_| invalid_input("eStargz has only names that are UTF-8"))?;
        self.table.push(entry, name, mtime)
    }

    /// Bytes of the entry's file that have no stream.
    pub(crate) fn content(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.file.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            if self.chunk.len() == CHUNK {
                self.end_chunk()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// What follows by [`Estargz::verbatim`] is a deflate stream, from the file's beginning.
    pub(crate) fn start_stream(&mut self) -> io::Result<()> {
        self.end_frame()?;
        self.write_pieces(0)?;
        self.stream = self.offset;
        self.write(&GZIP_HEADER)
    }

    /// Bytes of the stream, all but its last one.
    pub(crate) fn verbatim(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }

    /// What the stream holds.
    pub(crate) fn inflated(&mut self, content: &[u8]) {
        self.file.update(content);
    }

    pub(crate) fn end_stream(&mut self, last: LastByte, crc32: u32, size: u64) -> io::Result<()> {
        // What lies in the byte behind the stream's end means nothing.
        let byte = last.byte & (u8::MAX >> (8 - last.used.clamp(1, 8)));
        let mut end = vec![byte];
        end.extend_from_slice(&crc32.to_le_bytes());
        // Modulo 2^32, as RFC 1952 has it.
        end.extend_from_slice(&(size as u32).to_le_bytes());
        self.write(&end)?;
        let chunk = self.table.chunk(0, size);
        self.table.place(chunk, self.stream, self.file.clone().finish());
        self.size = size;
        Ok(())
    }

    /// The entry is complete.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.end_chunk()?;
        if self.size > 0 {
            let file = std::mem::replace(&mut self.file, Digester::new());
            self.table.whole(file.finish());
        }
        Ok(())
    }

    /// The table of contents and its digest: every entry is complete.
    pub(crate) fn table(&mut self) -> io::Result<(Vec<u8>, Digest)> {
        self.end_frame()?;
        self.write_pieces(0)?;
        let table = self.table.json()?;
        let digest = Digest::of(&table);
        Ok((table, digest))
    }

    /// Ends the blob by the table's member, which holds `tail` (from the table's header to the end of the tar).
    pub(crate) fn finish(mut self, tail: Vec<u8>) -> io::Result<W> {
        let at = self.offset;
        self.pieces.push_last(Job::Member(tail))?;
        self.chunks.push_back(None);
        self.write_pieces(0)?;
        self.write(&footer(at))?;
        Ok(self.sink)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let mut out = BitWriter::default();
        out.extend(&GZIP_HEADER);
        // A member knows nothing of those before it.
        Encoder::new().block(&mut out, &self.frame, 0, Last::Yes);
        out.pad();
        out.extend(&crc32fast::hash(&self.frame).to_le_bytes());
        out.extend(&(self.frame.len() as u32).to_le_bytes());
        self.frame.clear();
        self.pieces.push_done(Piece::of(out.bytes().to_vec()));
        self.chunks.push_back(None);
        self.take_finished()
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.end_frame()?;
        let chunk = std::mem::take(&mut self.chunk);
        let number = self.table.chunk(self.size, chunk.len() as u64);
        self.size += chunk.len() as u64;
        self.chunks.push_back(Some(number));
        self.pieces.push(Job::Member(chunk))?;
        self.take_finished()
    }

    fn take_finished(&mut self) -> io::Result<()> {
        while self.pieces.full() || self.pieces.done_first() {
            let left = self.pieces.len().saturating_sub(1);
            self.write_pieces(left)?;
        }
        Ok(())
    }

    /// Writes pieces until at most `left` wait.
    fn write_pieces(&mut self, left: usize) -> io::Result<()> {
        while self.pieces.len() > left {
            let (Some(piece), Some(chunk)) = (self.pieces.next()?, self.chunks.pop_front()) else { break };
            if let (Some(chunk), Some(digest)) = (chunk, piece.digest) {
                self.table.place(chunk, self.offset, digest);
            }
            self.write(&piece.bytes)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

/// An empty gzip member whose header says where the table's member begins.
fn footer(table: u64) -> Vec<u8> {
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, b'S', b'G', 22, 0];
    footer.extend_from_slice(format!("{table:016x}STARGZ").as_bytes());
    // An empty stored block, the last; CRC-32 and size of nothing.
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    footer
}

fn invalid_input(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_is_that_of_the_specification() {
        let footer = footer(0x1234);
        assert_eq!(footer.len(), 51);
        assert_eq!(&footer[16..38], b"0000000000001234STARGZ");
        let mut content = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(footer.as_slice()), &mut content).unwrap();
        assert!(content.is_empty());
    }
}
