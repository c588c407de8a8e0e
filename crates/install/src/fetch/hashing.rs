//! A hash on a thread of its own, beside whoever receives the bytes and writes them: of one large blob both processors
//! have work. Small blobs are hashed where they are, a thread costs more than they do.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use corten_oci::{Digest, Digester};

/// Bytes from which on it is worth a thread.
const WORTH_A_THREAD: u64 = 4 << 20;
/// Buffers that wait to be hashed; then whoever brings the next one waits, too.
const WAITING: usize = 3;
/// Bytes of a buffer: it is received, written and hashed while it is in the processor's cache.
const CHUNK: usize = 128 << 10;

/// A digest under way.
#[derive(Default)]
pub(crate) struct Hashing {
    hasher: Hasher,
    may_be_beside: bool,
    length: u64,
    spare: Option<Vec<u8>>,
}

enum Hasher {
    Here(Digester),
    Beside(Beside),
}

impl Default for Hasher {
    fn default() -> Self {
        Self::Here(Digester::new())
    }
}

struct Beside {
    todo: SyncSender<Vec<u8>>,
    done: Receiver<Vec<u8>>,
    thread: JoinHandle<Digester>,
}

impl Hashing {
    /// `may_be_beside`: a thread of its own is free. Where several hash at once, they have all processors anyway, and what was
    /// just received is hashed at the least cost where it is.
    pub(crate) fn new(may_be_beside: bool) -> Self {
        Self { may_be_beside, ..Self::default() }
    }

    /// A buffer to fill, to cut to what is in it, and to give back with [`Hashing::update`].
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        let back = match &self.hasher {
            Hasher::Here(_) => None,
            Hasher::Beside(beside) => beside.done.try_recv().ok(),
        };
        let mut buffer = self.spare.take().or(back).unwrap_or_default();
        buffer.resize(CHUNK, 0);
        buffer
    }

    /// Bytes that were hashed, or will be before [`Hashing::finish`].
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Takes in a buffer; it is reused.
    pub(crate) fn update(&mut self, bytes: Vec<u8>) {
        self.length += bytes.len() as u64;
        if self.may_be_beside
            && self.length >= WORTH_A_THREAD
            && let Hasher::Here(digester) = &mut self.hasher
            && let Ok(beside) = Beside::start(digester.clone())
        {
            self.hasher = Hasher::Beside(beside);
        }
        match &mut self.hasher {
            Hasher::Here(digester) => {
                digester.update(&bytes);
                self.spare = Some(bytes);
            }
            // Nobody listens only where the thread has panicked, and then `finish` does.
            Hasher::Beside(beside) => drop(beside.todo.send(bytes)),
        }
    }

    /// The digest of everything that was taken in.
    pub(crate) fn finish(self) -> Digest {
        match self.hasher {
            Hasher::Here(digester) => digester.finish(),
            Hasher::Beside(Beside { todo, thread, .. }) => {
                drop(todo);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).finish()
            }
        }
    }
}

impl Beside {
    fn start(mut digester: Digester) -> io::Result<Self> {
        let (todo, next) = sync_channel::<Vec<u8>>(WAITING);
        // As many as there can be under way: giving one back never waits.
        let (back, done) = sync_channel(WAITING + 2);
        let thread = thread::Builder::new().name("hash".to_owned()).spawn(move || {
            for bytes in next {
                digester.update(&bytes);
                drop(back.try_send(bytes));
            }
            digester
        })?;
        Ok(Self { todo, done, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a thread and without.
    #[test]
    fn small_and_large_have_the_digest_of_their_bytes() {
        let all: Vec<u8> = (0..WORTH_A_THREAD as u32 / 2).flat_map(|number| number.to_le_bytes()).collect();
        for length in [0, 1, CHUNK, WORTH_A_THREAD as usize - 1, WORTH_A_THREAD as usize, all.len()] {
            let mut hashing = Hashing::new(length % 2 == 0);
            for piece in all[..length].chunks(100_001) {
                let mut buffer = hashing.buffer();
                buffer.truncate(piece.len());
                buffer.copy_from_slice(piece);
                hashing.update(buffer);
            }
            assert_eq!(hashing.length(), length as u64);
            assert_eq!(hashing.finish(), Digest::of(&all[..length]), "{length} bytes");
        }
    }
}
