//! gzip around bytes that are not to be compressed: stored blocks alone (RFC 1951, section 3.2.4).
//!
//! For readers that want every layer of an archive in gzip. The size is known before the first byte is read.

use std::io::{self, Read};

/// Bytes of a stored block, at most.
const BLOCK: u64 = 65_535;
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Bytes of the gzip member around `size` bytes.
pub fn size_of(size: u64) -> u64 {
    10 + size.div_ceil(BLOCK).max(1) * 5 + size + 8
}

/// One gzip member around exactly `size` bytes of `source`.
pub struct StoredGzip<R> {
    source: R,
    /// Bytes of the source that have not been read.
    left: u64,
    size: u64,
    crc: crc32fast::Hasher,
    /// What is to be given out next.
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> StoredGzip<R> {
    /// Wraps a source of `size` bytes; a shorter one is an error when its end is met.
    pub fn new(source: R, size: u64) -> Self {
        let ready = HEADER.to_vec();
        Self { source, left: size, size, crc: crc32fast::Hasher::new(), ready, given: 0, ended: false }
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        if self.ended {
            return Ok(());
        }
        // At most 65,535.
        let length = self.left.min(BLOCK) as u16;
        self.left -= u64::from(length);
        self.ended = self.left == 0;
        self.ready.push(u8::from(self.ended));
        self.ready.extend_from_slice(&length.to_le_bytes());
        self.ready.extend_from_slice(&(!length).to_le_bytes());
        self.ready.resize(5 + usize::from(length), 0);
        self.source.read_exact(&mut self.ready[5..])?;
        self.crc.update(&self.ready[5..]);
        if self.ended {
            let crc = self.crc.clone().finalize();
            self.ready.extend_from_slice(&crc.to_le_bytes());
            // Modulo 2^32, as RFC 1952 has it.
            self.ready.extend_from_slice(&(self.size as u32).to_le_bytes());
        }
        Ok(())
    }
}

impl<R: Read> Read for StoredGzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.prepare()?;
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_gives_the_bytes_back_and_the_size_is_as_said() {
        for size in [0usize, 1, 65_534, 65_535, 65_536, 200_000] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 % 251) as u8).collect();
            let mut wrapped = Vec::new();
            StoredGzip::new(&bytes[..], size as u64).read_to_end(&mut wrapped).unwrap();
            assert_eq!(wrapped.len() as u64, size_of(size as u64), "{size}");
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&wrapped[..]).read_to_end(&mut back).unwrap();
            assert_eq!(back, bytes, "{size}");
        }
    }

    #[test]
    fn a_short_source_is_an_error() {
        assert!(StoredGzip::new(&b"abc"[..], 4).read_to_end(&mut Vec::new()).is_err());
    }
}
