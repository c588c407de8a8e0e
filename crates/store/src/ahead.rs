//! Reading on a thread of its own: a blob is verified while it is read, which takes longer than copying it, so who copies or
//! compresses it must not wait for that.
//!
//! What fits into one buffer needs no thread. Buffers come back to be filled again, so memory stays at [`WAITING`] + 2 of them.

use std::io::{self, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes of a buffer.
const BUFFER: usize = 256 * 1024;
/// Full buffers that may wait.
const WAITING: usize = 6;

/// Gives `take` the bytes of `source`, which are read ahead of it. Errors of the source come out of the reads.
pub fn read_ahead<T>(mut source: impl Read + Send, take: impl FnOnce(&mut dyn Read) -> T) -> T {
    let first = filled(&mut source, vec![0; BUFFER]);
    if first.as_ref().map_or(true, |first| first.len() < BUFFER) {
        return take(&mut Last(first.map(Cursor::new)));
    }
    thread::scope(|scope| {
        let (full, buffers) = sync_channel(WAITING);
        let (used, empty) = sync_channel(WAITING + 2);
        let started = thread::Builder::new().name("read ahead".into()).spawn_scoped(scope, move || {
            fill_all(&mut source, first, &full, &empty);
        });
        match started {
            Ok(_) => take(&mut Ahead { buffers, used, now: Cursor::default() }),
            Err(error) => take(&mut Last(Err(error))),
        }
    })
}

/// Until the source ends, fails, or nobody wants more.
fn fill_all(
    source: &mut impl Read,
    first: io::Result<Vec<u8>>,
    full: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
) {
    let mut next = first;
    loop {
        let is_last = next.as_ref().map_or(true, |next| next.len() < BUFFER);
        if full.send(next).is_err() || is_last {
            return;
        }
        let mut buffer = empty.try_recv().unwrap_or_default();
        buffer.resize(BUFFER, 0);
        next = filled(source, buffer);
    }
}

/// A buffer full, or what is left.
fn filled(source: &mut impl Read, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut have = 0;
    while let Some(space) = buffer.get_mut(have..).filter(|space| !space.is_empty()) {
        match source.read(space) {
            Ok(0) => break,
            Ok(got) => have += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(have);
    Ok(buffer)
}

/// What was read before there was a thread, and all there is.
struct Last(io::Result<Cursor<Vec<u8>>>);

impl Read for Last {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Ok(bytes) => bytes.read(buffer),
            Err(_) => std::mem::replace(&mut self.0, Ok(Cursor::default())).map(|_| 0),
        }
    }
}

/// What a thread reads.
struct Ahead {
    buffers: Receiver<io::Result<Vec<u8>>>,
    used: SyncSender<Vec<u8>>,
    now: Cursor<Vec<u8>>,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.now.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            // The thread is gone once it has sent the end, or an error.
            let Ok(next) = self.buffers.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.now, Cursor::new(next?)).into_inner();
            // Where nobody takes it back it is freed.
            let _ = self.used.try_send(used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives few bytes at a time, and an error where they end, if there is to be one.
    struct Source {
        left: usize,
        error: bool,
    }

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.left.min(buffer.len()).min(70_001);
            for (at, byte) in buffer.iter_mut().take(count).enumerate() {
                *byte = ((self.left - at) % 251) as u8;
            }
            self.left -= count;
            match (count, self.error) {
                (0, true) => Err(io::Error::other("damaged")),
                _ => Ok(count),
            }
        }
    }

    fn all(left: usize, error: bool) -> (Vec<u8>, Option<String>) {
        let mut bytes = Vec::new();
        let result = read_ahead(Source { left, error }, |source| source.read_to_end(&mut bytes));
        (bytes, result.err().map(|error| error.to_string()))
    }

    #[test]
    fn the_bytes_are_the_sources_and_so_is_the_error() {
        for left in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 20 * BUFFER, 20 * BUFFER + 7] {
            let expected: Vec<u8> = (1..=left).rev().map(|left| (left % 251) as u8).collect();
            assert!(all(left, false) == (expected, None), "{left}");
            // What came before a damaged end may be seen; the error always is.
            assert_eq!(all(left, true).1.as_deref(), Some("damaged"), "{left}");
        }
    }

    #[test]
    fn who_stops_early_waits_for_nobody() {
        let mut first = [0; 10];
        read_ahead(Source { left: 100 * BUFFER, error: false }, |source| source.read_exact(&mut first)).unwrap();
        assert_eq!(first[0], (100 * BUFFER % 251) as u8);
    }
}
