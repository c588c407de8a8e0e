//! How much may come out of what is compressed: who writes an archive decides it, and 1 MB can become a thousand times as much.
//!
//! | compressed by | at most, times | limit here |
//! |---|---|---|
//! | deflate | 1,032 | [`MOST_TIMES`] |
//! | xz | 7,000 | the same |
//! | bzip2, zstd | millions | the same |

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Anything may become so many bytes: files of zeros are innocent.
const INNOCENT: u64 = 256 << 20;
/// Above that, at most so many times as large as it was. Layers of real images reach 20 times.
const MOST_TIMES: u64 = 256;

/// The largest content, in bytes, that `packed` compressed bytes may have; `most` whatever they are.
pub fn largest(packed: u64, most: u64) -> u64 {
    packed.saturating_mul(MOST_TIMES).saturating_add(INNOCENT).min(most)
}

/// An error ([`io::ErrorKind::FileTooLarge`]) in place of the first byte too many.
pub struct Capped<R> {
    source: R,
    left: u64,
    limit: u64,
    what: &'static str,
}

impl<R> Capped<R> {
    /// At most `limit` bytes of `what` (`layer`).
    pub fn new(source: R, limit: u64, what: &'static str) -> Self {
        Self { source, left: limit, limit, what }
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.left = self.left.checked_sub(got as u64).ok_or_else(|| too_much(self.limit, self.what))?;
        Ok(got)
    }
}

fn too_much(limit: u64, what: &str) -> io::Error {
    let why = format!("it has more than {} MiB uncompressed, which no {what} has", limit >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, why)
}

/// Uncompresses a stream whose length nobody knows: what has come out is held against what has gone in. `open` makes the
/// decompressor; at most `most` bytes of `what` (`context`) come out.
///
/// # Errors
/// Those of `open`.
pub fn stream<'a>(
    packed: impl Read + 'a,
    (most, what): (u64, &'static str),
    open: impl FnOnce(Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>>,
) -> io::Result<Box<dyn Read + 'a>> {
    let taken = Rc::new(Cell::new(0));
    let source = open(Box::new(Counted { source: packed, taken: Rc::clone(&taken) }))?;
    Ok(Box::new(Held { source, given: 0, taken, most, what }))
}

struct Counted<R> {
    source: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.taken.set(self.taken.get().saturating_add(got as u64));
        Ok(got)
    }
}

struct Held<R> {
    source: R,
    given: u64,
    taken: Rc<Cell<u64>>,
    most: u64,
    what: &'static str,
}

impl<R: Read> Read for Held<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.given = self.given.saturating_add(got as u64);
        let limit = largest(self.taken.get(), self.most);
        if self.given > limit { Err(too_much(limit, self.what)) } else { Ok(got) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut source: impl Read) -> io::Result<u64> {
        io::copy(&mut source, &mut io::sink())
    }

    #[test]
    fn what_is_innocent_comes_out_and_not_a_byte_more_than_its_limit() {
        assert_eq!(largest(0, u64::MAX), INNOCENT);
        assert_eq!(largest(1 << 20, u64::MAX), INNOCENT + (256 << 20));
        assert_eq!(largest(u64::MAX, 5), 5);
        assert_eq!(read(Capped::new(io::repeat(0).take(10), 10, "layer")).unwrap(), 10);
        let error = read(Capped::new(io::repeat(0), 3 << 20, "layer")).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 3 MiB uncompressed, which no layer has");
    }

    /// What a stream that becomes 1,024 times as large as it is gives.
    struct Blown<R>(R);

    impl<R: Read> Read for Blown<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let mut one = [0; 64];
            let got = self.0.read(&mut one)?;
            buffer.get_mut(..got * 1024).map(|_| got * 1024).ok_or_else(|| io::ErrorKind::InvalidInput.into())
        }
    }

    #[test]
    fn a14_a_stream_is_held_against_what_it_was() {
        let whole = |packed: u64, most: u64| {
            let source = io::repeat(0).take(packed);
            let opened = stream(source, (most, "context"), |packed| Ok(Box::new(Blown(packed)))).unwrap();
            io::copy(&mut io::BufReader::with_capacity(1 << 17, opened), &mut io::sink())
        };
        assert_eq!(whole(256 << 10, u64::MAX).unwrap(), 256 << 20, "all of it is innocent");
        let error = whole(512 << 10, u64::MAX).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 341 MiB uncompressed, which no context has");
        assert!(whole(256 << 10, 1 << 20).is_err(), "the most");
    }
}
