//! Writing on a thread of its own: memory that a disk's cache takes for the first time is not to be had at once, and who makes
//! the bytes has better to do than to wait for it.
//!
//! What fits into one buffer needs no thread. Buffers come back to be filled again, so memory stays at [`WAITING`] + 2 of them.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Bytes of a buffer.
const BUFFER: usize = 256 * 1024;
/// Full buffers that may wait.
const WAITING: usize = 6;

/// Lets `give` write to a sink behind which a thread writes, and gives the sink back when it has all bytes. Errors of the sink
/// come out of later writes, or with the second value.
pub fn write_behind<W: Write + Send, T>(sink: W, give: impl FnOnce(&mut dyn Write) -> T) -> (T, io::Result<W>) {
    thread::scope(|scope| {
        let mut behind = Behind { scope, buffer: Vec::with_capacity(BUFFER), place: Place::Here(sink) };
        (give(&mut behind), behind.finish())
    })
}

struct Behind<'scope, 'env, W> {
    scope: &'scope Scope<'scope, 'env>,
    buffer: Vec<u8>,
    place: Place<'scope, W>,
}

/// Where the sink is.
enum Place<'scope, W> {
    Here(W),
    Thread { full: SyncSender<Vec<u8>>, empty: Receiver<Vec<u8>>, sink: ScopedJoinHandle<'scope, io::Result<W>> },
    Gone,
}

impl<W: Write + Send> Behind<'_, '_, W> {
    /// Writes what is left.
    fn finish(mut self) -> io::Result<W> {
        let rest = mem::take(&mut self.buffer);
        let mut sink = self.sink()?;
        sink.write_all(&rest)?;
        Ok(sink)
    }

    /// Waits for what the thread has still to write.
    fn sink(&mut self) -> io::Result<W> {
        match mem::replace(&mut self.place, Place::Gone) {
            Place::Here(sink) => Ok(sink),
            Place::Thread { full, sink, .. } => {
                drop(full);
                sink.join().map_err(|_| gone())?
            }
            Place::Gone => Err(gone()),
        }
    }
}

impl<'scope, W: Write + Send + 'scope> Behind<'scope, '_, W> {
    fn hand_over(&mut self) -> io::Result<()> {
        self.place = match mem::replace(&mut self.place, Place::Gone) {
            Place::Here(sink) => start(self.scope, sink)?,
            place => place,
        };
        let Place::Thread { full, empty, .. } = &self.place else { return Err(gone()) };
        let next = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER));
        match full.send(mem::replace(&mut self.buffer, next)) {
            Ok(()) => Ok(()),
            // It has ended, which it does early for one reason.
            Err(_) => Err(self.sink().err().unwrap_or_else(gone)),
        }
    }
}

fn start<'scope, W: Write + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut sink: W,
) -> io::Result<Place<'scope, W>> {
    let (full, buffers) = sync_channel::<Vec<u8>>(WAITING);
    let (used, empty) = sync_channel(WAITING + 2);
    let work = move || {
        for mut buffer in buffers {
            sink.write_all(&buffer)?;
            buffer.clear();
            // Where nobody takes it back it is freed.
            let _ = used.try_send(buffer);
        }
        Ok(sink)
    };
    let sink = thread::Builder::new().name("write behind".into()).spawn_scoped(scope, work)?;
    Ok(Place::Thread { full, empty, sink })
}

impl<'scope, W: Write + Send + 'scope> Write for Behind<'scope, '_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= BUFFER {
            self.hand_over()?;
        }
        let now = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..now).unwrap_or_default());
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and no more.
    struct Sink {
        bytes: Vec<u8>,
        space: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let now = bytes.len().min(self.space - self.bytes.len()).min(70_001);
            if now == 0 {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "full"));
            }
            self.bytes.extend_from_slice(&bytes[..now]);
            Ok(now)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(size: usize, piece: usize, space: usize) -> io::Result<Vec<u8>> {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let (given, sink) = write_behind(Sink { bytes: Vec::new(), space }, |behind| {
            bytes.chunks(piece).try_for_each(|piece| behind.write_all(piece))
        });
        given?;
        let sink = sink?;
        assert!(sink.bytes == bytes);
        Ok(sink.bytes)
    }

    #[test]
    fn the_sink_gets_all_bytes_and_its_error_comes_back() {
        for size in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 20 * BUFFER + 7] {
            for piece in [1000, BUFFER, 3 * BUFFER] {
                assert_eq!(written(size, piece, usize::MAX).unwrap().len(), size);
            }
        }
        for space in [0, 10, BUFFER, 5 * BUFFER + 3, 20 * BUFFER + 6] {
            let error = written(20 * BUFFER + 7, 1000, space).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{space}");
        }
    }

    #[test]
    fn what_was_written_is_there_however_little() {
        let sink = Sink { bytes: Vec::new(), space: usize::MAX };
        let (size, sink) = write_behind(sink, |behind| behind.write(&vec![1; 3 * BUFFER]).unwrap());
        assert_eq!((size, sink.unwrap().bytes.len()), (BUFFER, BUFFER));
    }
}
