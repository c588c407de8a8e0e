//! Joins raw deflate streams and our own blocks to **one** ordinary gzip member (layout m0).
//!
//! ```text
//! gzip header │ our block: headers │ empty stored │ member's stream, verbatim, last block's   │ our block: padding, │ … │ CRC-32,
//! 10 bytes    │ of entry 1         │ block: align │ BFINAL bit cleared, ends inside a byte ───┤ headers of entry 2  │   │ ISIZE
//! ```
//!
//! A deflate stream may hold any number of blocks, and only the first bit of the last one (BFINAL) says that it is the
//! last (RFC 1951, 3.2.3). So a stream can be followed by more blocks if that bit is cleared and the next block begins at
//! the very bit where the stream ended. A stream begins at a byte boundary, because stored blocks inside it are aligned to
//! bytes. The CRC-32 of the whole is combined from those of the parts, ISIZE is the length modulo 2³² (RFC 1952, 2.3.1).
//! The gzip header is constant: no name, no time, system unknown.
//!
//! Bytes of our own are gathered, at most [`PIECE`], and given to the frozen encoder or, where they hold more than
//! [`SMALL_CONTENT`] bytes of files, to zlib-rs ([`crate::deflate`]). Where they are cut depends on the bytes alone, never on
//! how a reader hands them over; nor does the number of threads change a bit.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use crate::deflate::{BitWriter, Encoder, Last};
use crate::pieces::{GZIP_HEADER, Job, Pieces};
use crate::walk::LastByte;

/// Our own bytes are compressed in pieces of at most this many. Part of the format.
const PIECE: usize = 1 << 20;

/// Up to this many bytes of files among our own bytes go through the frozen encoder. Part of the format.
const SMALL_CONTENT: usize = 16 * 1024;

/// Deflate's window: what a piece may refer to.
const WINDOW: usize = 32 * 1024;

/// Finished bytes are given to the sink when there are this many.
const FLUSH: usize = 128 * 1024;

/// What plain bytes are: it decides who compresses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Headers and padding.
    Frame,
    /// Bytes of files.
    Content,
}

/// One gzip member that is being written.
pub(crate) struct GzipMember<W: Write> {
    sink: W,
    out: BitWriter,
    crc: crc32fast::Hasher,
    /// Bytes of content, pending ones included.
    size: u64,
    pending: Vec<u8>,
    /// How many of `pending` are bytes of files.
    pending_content: usize,
    encoder: Encoder,
    pieces: Pieces,
    /// The end of the piece before, where nothing lies between.
    before: Vec<u8>,
}

impl<W: Write> GzipMember<W> {
    pub(crate) fn new(sink: W, threads: NonZeroUsize) -> Self {
        let mut out = BitWriter::default();
        out.extend(&GZIP_HEADER);
        Self {
            sink,
            out,
            crc: crc32fast::Hasher::new(),
            size: 0,
            pending: Vec::new(),
            pending_content: 0,
            encoder: Encoder::new(),
            pieces: Pieces::new(threads),
            before: Vec::new(),
        }
    }

    /// Bytes that have no stream of their own.
    pub(crate) fn plain(&mut self, mut bytes: &[u8], origin: Origin) -> io::Result<()> {
        self.crc.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.pending.len()));
            self.pending.extend_from_slice(now);
            self.size += now.len() as u64;
            if origin == Origin::Content {
                self.pending_content += now.len();
            }
            if self.pending.len() == PIECE {
                self.encode_pending(Last::No)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Goes to a byte boundary: what follows by [`GzipMember::verbatim`] is a deflate stream.
    pub(crate) fn start_stream(&mut self) -> io::Result<()> {
        self.encode_pending(Last::No)?;
        self.write_pieces()?;
        self.out.align();
        Ok(())
    }

    /// Bytes of a deflate stream, all but its last one.
    pub(crate) fn verbatim(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < FLUSH / 4 {
            self.out.extend(bytes);
            return self.flush(FLUSH);
        }
        self.flush(0)?;
        self.sink.write_all(bytes)
    }

    /// The stream is complete: the next block begins at its end bit. CRC-32 and size are those of its content.
    pub(crate) fn end_stream(&mut self, last_byte: LastByte, crc32: u32, size: u64) {
        self.out.resume(last_byte.byte, last_byte.used);
        self.crc.combine(&crc32fast::Hasher::new_with_initial_len(crc32, size));
        self.size += size;
    }

    /// Ends the member and gives the sink back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.encode_pending(Last::Yes)?;
        self.out.pad();
        let crc32 = self.crc.clone().finalize();
        self.out.extend(&crc32.to_le_bytes());
        self.out.extend(&(self.size as u32).to_le_bytes());
        self.flush(0)?;
        Ok(self.sink)
    }

    fn encode_pending(&mut self, last: Last) -> io::Result<()> {
        let big = self.pending_content > SMALL_CONTENT;
        self.pending_content = 0;
        let pending = std::mem::take(&mut self.pending);
        if big {
            self.push_piece(pending)?;
        } else if !pending.is_empty() {
            self.write_pieces()?;
            let at = self.size - pending.len() as u64;
            self.encoder.block(&mut self.out, &pending, at, last);
            self.pending = pending;
            self.pending.clear();
            return self.flush(FLUSH);
        }
        if last == Last::Yes {
            self.write_pieces()?;
            self.out.empty_last_block();
        }
        Ok(())
    }

    fn push_piece(&mut self, piece: Vec<u8>) -> io::Result<()> {
        let end = piece.get(piece.len().saturating_sub(WINDOW)..).unwrap_or_default().to_vec();
        let before = std::mem::replace(&mut self.before, end);
        self.pieces.push(Job::Sync { piece, before })?;
        while self.pieces.full() || self.pieces.done_first() {
            self.write_piece()?;
        }
        Ok(())
    }

    /// Writes all pieces: something else follows them.
    fn write_pieces(&mut self) -> io::Result<()> {
        self.before.clear();
        while self.write_piece()? {}
        Ok(())
    }

    /// Was there one?
    fn write_piece(&mut self) -> io::Result<bool> {
        let Some(piece) = self.pieces.next()? else { return Ok(false) };
        self.out.align();
        self.flush(0)?;
        self.sink.write_all(&piece.bytes)?;
        Ok(true)
    }

    /// Gives the finished bytes to the sink, where there are more than `most`.
    fn flush(&mut self, most: usize) -> io::Result<()> {
        if self.out.bytes().len() > most {
            self.sink.write_all(self.out.bytes())?;
            self.out.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let content: Vec<u8> = (0..700_000_u32).flat_map(|i| (i / 5).to_be_bytes()).collect();
        let with = |limit| {
            let mut member = GzipMember::new(Vec::new(), NonZeroUsize::new(limit).unwrap());
            member.plain(&content, Origin::Content).unwrap();
            member.plain(&[0; 1024], Origin::Frame).unwrap();
            member.finish().unwrap()
        };
        let one = with(1);
        assert!(one == with(2) && one == with(7));
        let mut read = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(one.as_slice()), &mut read).unwrap();
        assert!(read[..content.len()] == content);
    }
}
