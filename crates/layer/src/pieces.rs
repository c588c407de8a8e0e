//! What the threads of a [`Pool`] do: compress one piece of a layer. A piece's bytes depend on its content alone (and
//! the 32 KiB before it, for [`Job::Sync`]), never on what a thread compressed before.
//!
//! | job | engine | result |
//! |---|---|---|
//! | [`Job::Sync`] | zlib-rs 6 | blocks that end at a byte boundary, for [`crate::splice`] |
//! | [`Job::Joined`] | libdeflate 6, [`crate::pack`] 5 | a stream whose last block is no longer the last: others can follow at its end bit |
//! | [`Job::Member`] | libdeflate 6 | a whole gzip member, with the SHA-256 of its content |
//! | [`Job::Frame`] | zstd 3 | a whole frame with its size and checksum |
//!
//! Measured on 693 MB of shared libraries (one core; pieces of 1 MiB, of 4 MiB for zstd; bytes against one piece):
//! zstd 3 gives 219.9 MB (+0.6 %), libdeflate 6 226.8 MB at twice the speed of zlib-rs 6 (236.4 MB), ruzstd, the encoder
//! in pure Rust, half as much again as zstd 3 at a third of its speed. libdeflate cannot leave a stream open, so a
//! joined piece is inflated once to find its last block; that costs a sixth, and proves it.

use std::io;

use corten_oci::{Digest, Digester};
use libdeflater::{CompressionLvl, Compressor};

use crate::deflate::deflate_piece;
use crate::pool::{Pool, Work};
use crate::walk::{Claim, LastByte, Sides, Walker};

/// zlib's level as everybody's default; part of the format.
const DEFLATE_LEVEL: DeflateLevel = DeflateLevel(6);
/// zstd's own default; part of the format.
const ZSTD_LEVEL: i32 = 3;
/// Content that is only looked at comes in parts of so many bytes.
const SPACE: usize = 128 * 1024;

/// Magic, deflate, no flags, no time, no extra flags, unknown system (RFC 1952, 2.3).
pub(crate) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

pub(crate) type Pieces = Pool<Worker>;

/// One piece to compress.
pub(crate) enum Job {
    Sync { piece: Vec<u8>, before: Vec<u8> },
    Joined(Vec<u8>),
    Member(Vec<u8>),
    Frame(Vec<u8>),
}

/// One piece, compressed.
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Of [`Job::Joined`], what follows the bytes.
    pub(crate) last_byte: Option<LastByte>,
    /// Of the content of [`Job::Member`].
    pub(crate) digest: Option<Digest>,
}

impl Piece {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, last_byte: None, digest: None }
    }
}

/// A level of libdeflate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeflateLevel(pub(crate) i32);

impl Default for DeflateLevel {
    fn default() -> Self {
        DEFLATE_LEVEL
    }
}

/// What one thread keeps: memory that compressors work in.
#[derive(Default)]
pub(crate) struct Worker {
    level: DeflateLevel,
    deflate: Option<Compressor>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    walker: Option<Walker>,
}

impl Work for Worker {
    type Job = Job;
    type Done = Piece;

    fn work(&mut self, job: Job) -> io::Result<Piece> {
        match job {
            Job::Sync { piece, before } => Ok(Piece::of(deflate_piece(&piece, &before)?)),
            Job::Joined(piece) => self.joined(&piece),
            Job::Member(piece) => self.member(&piece),
            Job::Frame(piece) => Ok(Piece::of(self.frame(&piece)?)),
        }
    }
}

impl Worker {
    pub(crate) fn with_level(level: DeflateLevel) -> Self {
        Self { level, ..Self::default() }
    }

    fn deflated(&mut self, piece: &[u8], mut out: Vec<u8>) -> io::Result<Vec<u8>> {
        let deflate = match &mut self.deflate {
            Some(deflate) => deflate,
            empty => {
                let level =
                    CompressionLvl::new(self.level.0).map_err(|_| unexpected("libdeflate has no such level"))?;
                empty.insert(Compressor::new(level))
            }
        };
        let start = out.len();
        out.resize(start + deflate.deflate_compress_bound(piece.len()), 0);
        let space = out.get_mut(start..).unwrap_or_default();
        let length =
            deflate.deflate_compress(piece, space).map_err(|_| unexpected("libdeflate broke its own bound"))?;
        out.truncate(start + length);
        Ok(out)
    }

    pub(crate) fn joined(&mut self, piece: &[u8]) -> io::Result<Piece> {
        let stream = self.deflated(piece, Vec::new())?;
        let walker = match &mut self.walker {
            Some(walker) => walker,
            empty => empty.insert(Walker::new()?),
        };
        let compressed_size = stream.len() as u64;
        let claim = Claim { compressed_size, size: piece.len() as u64, crc32: crc32fast::hash(piece) };
        let mut open = Open { bytes: Vec::with_capacity(stream.len()), space: vec![0; SPACE] };
        let last_byte = walker.walk(&mut stream.as_slice(), &claim, &mut open)?;
        Ok(Piece { bytes: open.bytes, last_byte: Some(last_byte), digest: None })
    }

    fn member(&mut self, piece: &[u8]) -> io::Result<Piece> {
        let mut digester = Digester::new();
        digester.update(piece);
        let mut bytes = self.deflated(piece, GZIP_HEADER.to_vec())?;
        bytes.extend_from_slice(&crc32fast::hash(piece).to_le_bytes());
        // Modulo 2^32, as RFC 1952 has it.
        bytes.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        bytes.shrink_to_fit();
        Ok(Piece { bytes, last_byte: None, digest: Some(digester.finish()) })
    }

    fn frame(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            empty => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                compressor.include_checksum(true)?;
                compressor.include_contentsize(true)?;
                empty.insert(compressor)
            }
        };
        let mut frame = zstd.compress(piece)?;
        frame.shrink_to_fit();
        Ok(frame)
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

/// Keeps the stream, whose last block has become one like the others; the content is only checked.
struct Open {
    bytes: Vec<u8>,
    space: Vec<u8>,
}

impl Sides for Open {
    fn space(&mut self) -> io::Result<&mut [u8]> {
        Ok(&mut self.space)
    }

    fn inflated(&mut self, _count: usize) -> io::Result<()> {
        Ok(())
    }

    fn verbatim(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
