//! Walks once over the raw deflate stream of a zip member: inflates it, checks every claim, and prepares it for being
//! followed by more blocks.
//!
//! ```text
//!        ┌ byte kept of the chunk before
//! chunk: │k│ . . . . . . . . . . . . . │      inflate stops at each block's end, at a bit of the last byte taken
//!           └ at                       └ end  or before the next one; there BFINAL is peeked at, and cleared once set
//! ```
//!
//! A boundary lies in the last byte taken or before the next byte, so one byte is held back between chunks and nothing
//! more. The bit is cleared only after inflate has taken it.

use std::io::{self, Read};

use crate::inflate::{Inflate, Stop};

/// Bytes of a stream that are looked at together.
const CHUNK: usize = 256 * 1024;

/// What a zip directory says of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    /// Bytes of the stream.
    pub(crate) compressed_size: u64,
    /// Bytes of the content.
    pub(crate) size: u64,
    /// Of the content.
    pub(crate) crc32: u32,
}

/// Who takes what comes out of a walk.
pub(crate) trait Sides {
    /// Where content goes; never empty.
    fn space(&mut self) -> io::Result<&mut [u8]>;
    /// The first `count` bytes of the space are content.
    fn inflated(&mut self, count: usize) -> io::Result<()>;
    /// Bytes of the stream, all but the last one.
    fn verbatim(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Do more blocks follow? Then the last block's BFINAL is cleared.
    fn goes_on(&self) -> bool {
        true
    }
}

/// The last byte of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastByte {
    /// With BFINAL cleared, should it lie here.
    pub(crate) byte: u8,
    /// How many bits of it (1 to 8, from the lowest) belong to the stream.
    pub(crate) used: u32,
}

/// A decoder and a buffer, to be used for one stream after another.
pub(crate) struct Walker {
    inflate: Inflate,
    chunk: Vec<u8>,
}

impl Walker {
    pub(crate) fn new() -> io::Result<Self> {
        let inflate = Inflate::new().map_err(io::Error::other)?;
        Ok(Self { inflate, chunk: vec![0; 1 + CHUNK] })
    }

    /// Walks over `stream`, which must hold what `claim` says, to the bit.
    pub(crate) fn walk(&mut self, stream: &mut dyn Read, claim: &Claim, sides: &mut dyn Sides) -> io::Result<LastByte> {
        self.inflate.reset().map_err(io::Error::other)?;
        let walk = Walk {
            inflate: &mut self.inflate,
            chunk: &mut self.chunk,
            claim,
            crc: crc32fast::Hasher::new(),
            produced: 0,
            at: 1,
            end: 1,
            peek_next: true,
            last_block: None,
        };
        walk.run(stream, sides)
    }
}

struct Walk<'a> {
    inflate: &'a mut Inflate,
    /// The byte kept, then the chunk.
    chunk: &'a mut [u8],
    claim: &'a Claim,
    crc: crc32fast::Hasher,
    produced: u64,
    /// The next byte for inflate.
    at: usize,
    /// Behind the last byte read.
    end: usize,
    /// A block begins with the next byte.
    peek_next: bool,
    /// Byte in the chunk and bit in it of the last block's BFINAL, while it has not been cleared.
    last_block: Option<(usize, u32)>,
}

impl Walk<'_> {
    fn run(mut self, stream: &mut dyn Read, sides: &mut dyn Sides) -> io::Result<LastByte> {
        let mut left = self.claim.compressed_size;
        let mut kept = 1;
        let used = loop {
            left -= self.refill(stream, left)?;
            let used = self.inflate_chunk(sides)?;
            if let Some((byte, bit)) = self.last_block.take().filter(|_| sides.goes_on()) {
                self.chunk[byte] &= !(1 << bit);
            }
            sides.verbatim(self.chunk.get(kept..self.at - 1).unwrap_or_default())?;
            if let Some(used) = used {
                break used;
            }
            self.chunk[0] = self.chunk[self.at - 1];
            kept = 0;
        };
        let behind = left + (self.end - self.at) as u64;
        if behind > 0 {
            return Err(invalid(format!("{behind} bytes follow the end of its deflate stream")));
        }
        self.check_content()?;
        Ok(LastByte { byte: self.chunk[self.at - 1], used })
    }

    /// Reads the next chunk: gives how many bytes, at least one.
    fn refill(&mut self, stream: &mut dyn Read, left: u64) -> io::Result<u64> {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.chunk.len() - 1);
        let got = read_full(stream, &mut self.chunk[1..=want])?;
        if got == 0 {
            let why = if left == 0 { "does not end in its compressed size" } else { "is cut off" };
            return Err(invalid(format!("its deflate stream {why}")));
        }
        (self.at, self.end) = (1, 1 + got);
        if self.peek_next {
            self.peek(1, 0);
        }
        Ok(got as u64)
    }

    /// Inflates until the chunk is used up, or the stream ends: then gives how many bits of the last byte it used.
    fn inflate_chunk(&mut self, sides: &mut dyn Sides) -> io::Result<Option<u32>> {
        loop {
            let space = sides.space()?;
            let step =
                self.inflate.step(&self.chunk[self.at..self.end], space).map_err(|error| invalid(error.to_string()))?;
            self.at += step.consumed;
            self.produced += step.produced as u64;
            if self.produced > self.claim.size {
                return Err(invalid(format!("it holds more than the {} bytes of its zip directory", self.claim.size)));
            }
            self.crc.update(&space[..step.produced]);
            sides.inflated(step.produced)?;
            match step.stop {
                Stop::Boundary { unused_bits, last: true } => return Ok(Some(8 - u32::from(unused_bits))),
                Stop::Boundary { unused_bits: 0, .. } if self.at == self.end => self.peek_next = true,
                Stop::Boundary { unused_bits: 0, .. } => self.peek(self.at, 0),
                Stop::Boundary { unused_bits, .. } => self.peek(self.at - 1, 8 - u32::from(unused_bits)),
                Stop::Starved if step.consumed + step.produced > 0 => {}
                Stop::Starved if self.at == self.end => return Ok(None),
                Stop::Starved => return Err(invalid("its deflate stream goes nowhere".to_owned())),
            }
        }
    }

    /// Looks at the first bit of a block.
    fn peek(&mut self, byte: usize, bit: u32) {
        self.peek_next = false;
        if self.chunk[byte] >> bit & 1 == 1 {
            self.last_block = Some((byte, bit));
        }
    }

    fn check_content(&self) -> io::Result<()> {
        if self.produced != self.claim.size {
            let (found, claimed) = (self.produced, self.claim.size);
            return Err(invalid(format!("it holds {found} bytes, not the {claimed} of its zip directory")));
        }
        let (found, claimed) = (self.crc.clone().finalize(), self.claim.crc32);
        if found != claimed {
            return Err(invalid(format!("its CRC-32 is {found:08x}, not the {claimed:08x} of its zip directory")));
        }
        Ok(())
    }
}

/// Reads until `buffer` is full or the source ends.
pub(crate) fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
