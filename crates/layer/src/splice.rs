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

use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::{self, JoinHandle};

use crate::deflate::{BitWriter, Encoder, Last, deflate_piece};
use crate::walk::LastByte;

/// Magic, deflate, no flags, no time, no extra flags, unknown system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Our own bytes are compressed in pieces of at most this many. Part of the format.
const PIECE: usize = 1 << 20;

/// Up to this many bytes of files among our own bytes go through the frozen encoder. Part of the format.
const SMALL_CONTENT: usize = 16 * 1024;

/// Deflate's window: what a piece may refer to.
const WINDOW: usize = 32 * 1024;

/// Finished bytes are given to the sink when there are this many.
const FLUSH: usize = 128 * 1024;

/// More threads than this do not help one layer: hashing its tar is serial.
const MOST_THREADS: usize = 4;

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
}

impl<W: Write> GzipMember<W> {
    pub(crate) fn new(sink: W) -> Self {
        let mut out = BitWriter::default();
        out.extend(&HEADER);
        Self {
            sink,
            out,
            crc: crc32fast::Hasher::new(),
            size: 0,
            pending: Vec::new(),
            pending_content: 0,
            encoder: Encoder::new(),
            pieces: Pieces::default(),
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
        self.write_pieces(0)?;
        self.pieces.forget();
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
            self.write_pieces(self.pieces.limit - 1)?;
            self.pieces.push(pending)?;
        } else if !pending.is_empty() {
            self.write_pieces(0)?;
            self.pieces.forget();
            let at = self.size - pending.len() as u64;
            self.encoder.block(&mut self.out, &pending, at, last);
            self.pending = pending;
            self.pending.clear();
            return self.flush(FLUSH);
        }
        if last == Last::Yes {
            self.write_pieces(0)?;
            self.out.empty_last_block();
        }
        Ok(())
    }

    /// Writes finished pieces until at most `left` are on their way.
    fn write_pieces(&mut self, left: usize) -> io::Result<()> {
        while self.pieces.waiting.len() > left {
            let Some(piece) = self.pieces.next()? else { break };
            self.out.align();
            self.flush(0)?;
            self.sink.write_all(&piece)?;
        }
        Ok(())
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

/// Pieces that are being deflated, in order.
struct Pieces {
    waiting: VecDeque<JoinHandle<io::Result<Vec<u8>>>>,
    /// At most so many at once.
    limit: usize,
    /// The end of the piece before, where nothing lies between.
    before: Vec<u8>,
}

impl Default for Pieces {
    fn default() -> Self {
        let limit = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        Self { waiting: VecDeque::new(), limit, before: Vec::new() }
    }
}

impl Pieces {
    fn push(&mut self, piece: Vec<u8>) -> io::Result<()> {
        let tail = piece.get(piece.len().saturating_sub(WINDOW)..).unwrap_or_default().to_vec();
        let before = std::mem::replace(&mut self.before, tail);
        let work = move || deflate_piece(&piece, &before);
        self.waiting.push_back(thread::Builder::new().name("deflate".to_owned()).spawn(work)?);
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(piece) = self.waiting.pop_front() else { return Ok(None) };
        piece.join().unwrap_or_else(|_| Err(io::Error::other("compressing a piece panicked"))).map(Some)
    }

    /// Something else follows the pieces.
    fn forget(&mut self) {
        self.before.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let content: Vec<u8> = (0..700_000_u32).flat_map(|i| (i / 5).to_be_bytes()).collect();
        let with = |limit| {
            let mut member = GzipMember::new(Vec::new());
            member.pieces.limit = limit;
            member.plain(&content, Origin::Content).unwrap();
            member.plain(&[0; 1024], Origin::Frame).unwrap();
            member.finish().unwrap()
        };
        let one = with(1);
        assert!(one == with(2) && one == with(4));
        let mut read = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(one.as_slice()), &mut read).unwrap();
        assert!(read[..content.len()] == content);
    }
}
