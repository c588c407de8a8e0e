//! Compresses any tar stream on all cores: cut into pieces of one size, compressed side by side, put together in order.
//! So the bytes do not depend on the number of threads, nor on how the stream was written.
//!
//! | method | piece | result |
//! |---|---|---|
//! | [`Method::Zstd`] | 4 MiB | independent frames, each with its size and checksum (RFC 8878): any decoder reads them one after another, in 4 MiB |
//! | [`Method::Gzip`] | 1 MiB | **one** gzip member: pieces joined at the bit as in a splice, which the readers need that stop after one |

use std::io::{self, Write};
use std::num::NonZeroUsize;

use crate::deflate::BitWriter;
use crate::pieces::{GZIP_HEADER, Job, Piece, Pieces};
use crate::pool::processors;

/// Bytes of a piece; part of the format.
const ZSTD_PIECE: usize = 4 << 20;
/// Bytes of a piece; part of the format.
const GZIP_PIECE: usize = 1 << 20;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Level 6 of libdeflate.
    Gzip,
    /// Level 3.
    Zstd,
}

/// A sink for a tar whose compressed bytes go to another sink.
///
/// Memory: about five pieces for each thread, of which there are at most eight. After an error it is unusable.
pub struct Compressor<W: Write> {
    sink: W,
    method: Method,
    pieces: Pieces,
    piece: Vec<u8>,
    /// What has been joined and not been written, for gzip.
    joint: BitWriter,
    crc: crc32fast::Hasher,
    size: u64,
}

impl<W: Write> Compressor<W> {
    /// On as many threads as there are processors.
    pub fn new(sink: W, method: Method) -> Self {
        Self::with_threads(sink, method, processors())
    }

    /// On at most so many threads; the bytes are the same.
    pub fn with_threads(sink: W, method: Method, threads: NonZeroUsize) -> Self {
        let mut joint = BitWriter::default();
        if method == Method::Gzip {
            joint.extend(&GZIP_HEADER);
        }
        let (pieces, crc) = (Pieces::new(threads), crc32fast::Hasher::new());
        Self { sink, method, pieces, piece: Vec::new(), joint, crc, size: 0 }
    }

    /// Ends the stream, gives the sink back.
    ///
    /// # Errors
    /// The sink's own, or when a compressor fails.
    pub fn finish(mut self) -> io::Result<W> {
        // Nothing at all is still one frame: an empty blob is no zstd.
        if !self.piece.is_empty() || (self.size == 0 && self.method == Method::Zstd) {
            let job = self.job();
            self.pieces.push_last(job)?;
        }
        while let Some(piece) = self.pieces.next()? {
            self.put(&piece)?;
        }
        if self.method == Method::Gzip {
            self.joint.empty_last_block();
            self.joint.pad();
            let crc = self.crc.clone().finalize();
            self.joint.extend(&crc.to_le_bytes());
            // Modulo 2^32, as RFC 1952 has it.
            self.joint.extend(&(self.size as u32).to_le_bytes());
        }
        self.flush_joint()?;
        Ok(self.sink)
    }

    fn piece_size(&self) -> usize {
        match self.method {
            Method::Gzip => GZIP_PIECE,
            Method::Zstd => ZSTD_PIECE,
        }
    }

    fn job(&mut self) -> Job {
        let piece = std::mem::take(&mut self.piece);
        match self.method {
            Method::Gzip => Job::Joined(piece),
            Method::Zstd => Job::Frame(piece),
        }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let job = self.job();
        self.pieces.push(job)?;
        self.piece.reserve_exact(self.piece_size());
        while self.pieces.full() || self.pieces.done_first() {
            let Some(piece) = self.pieces.next()? else { break };
            self.put(&piece)?;
        }
        Ok(())
    }

    fn put(&mut self, piece: &Piece) -> io::Result<()> {
        if self.method == Method::Gzip {
            self.joint.align();
            self.flush_joint()?;
        }
        self.sink.write_all(&piece.bytes)?;
        if let Some(last) = piece.last_byte {
            self.joint.resume(last.byte, last.used);
        }
        Ok(())
    }

    fn flush_joint(&mut self) -> io::Result<()> {
        self.sink.write_all(self.joint.bytes())?;
        self.joint.clear();
        Ok(())
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = bytes.len().min(self.piece_size() - self.piece.len());
        let taken = bytes.get(..now).unwrap_or_default();
        if self.method == Method::Gzip {
            self.crc.update(taken);
        }
        self.piece.extend_from_slice(taken);
        self.size += now as u64;
        if self.piece.len() == self.piece_size() {
            self.hand_over()?;
        }
        Ok(now)
    }

    /// Flushes the sink; the piece that is being gathered stays, for it must not be cut elsewhere.
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
#[path = "compress/tests.rs"]
mod tests;
