//! The diff id, made on the way: the tar passes through buffers that a thread hashes.
//!
//! Inflating and hashing cost about the same; on two threads a layer takes as long as the slower of them. A layer that fits
//! into one buffer never starts the thread. Buffers come back to be filled again, so memory stays at
//! [`WAITING`] + 2 of them.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use corten_oci::{DiffId, Digester};

/// Bytes of a buffer.
const BUFFER: usize = 256 * 1024;
/// Full buffers that may wait for the hasher.
const WAITING: usize = 6;

/// Hashes a tar that is written piece by piece.
pub(super) struct TarHash {
    buffer: Vec<u8>,
    filled: usize,
    size: u64,
    hasher: Hasher,
}

enum Hasher {
    Here(Digester),
    Thread { full: SyncSender<Vec<u8>>, empty: Receiver<Vec<u8>>, result: JoinHandle<Digester> },
    Gone,
}

impl TarHash {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER], filled: 0, size: 0, hasher: Hasher::Here(Digester::new()) }
    }

    /// Bytes of the tar until now.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let now = bytes.len().min(space.len());
            space[..now].copy_from_slice(&bytes[..now]);
            self.advance(now);
            bytes = &bytes[now..];
        }
        Ok(())
    }

    /// Where the next bytes of the tar go; never empty.
    pub(super) fn space(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.hand_over()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    /// The first `count` bytes of the space have been filled; gives them back to look at.
    pub(super) fn advance(&mut self, count: usize) -> &[u8] {
        let start = self.filled;
        self.filled = self.buffer.len().min(start + count);
        self.size += (self.filled - start) as u64;
        &self.buffer[start..self.filled]
    }

    pub(super) fn finish(mut self) -> io::Result<DiffId> {
        let rest = self.buffer[..self.filled].to_vec();
        let mut digester = match std::mem::replace(&mut self.hasher, Hasher::Gone) {
            Hasher::Here(digester) => digester,
            Hasher::Thread { full, result, .. } => {
                drop(full);
                result.join().map_err(|_| gone())?
            }
            Hasher::Gone => return Err(gone()),
        };
        digester.update(&rest);
        Ok(DiffId(digester.finish()))
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if let Hasher::Here(digester) = &self.hasher {
            self.hasher = start(digester.clone())?;
        }
        let Hasher::Thread { full, empty, .. } = &self.hasher else { return Err(gone()) };
        let buffer = empty.try_recv().unwrap_or_else(|_| vec![0; BUFFER]);
        full.send(std::mem::replace(&mut self.buffer, buffer)).map_err(|_| gone())?;
        self.filled = 0;
        Ok(())
    }
}

fn start(mut digester: Digester) -> io::Result<Hasher> {
    let (full, buffers) = sync_channel::<Vec<u8>>(WAITING);
    let (used, empty) = sync_channel(WAITING + 2);
    let work = move || {
        for buffer in buffers {
            digester.update(&buffer);
            // Nobody may want it back: the layer can be finished, or given up.
            let _ = used.try_send(buffer);
        }
        digester
    };
    let result = thread::Builder::new().name("diff id".to_owned()).spawn(work)?;
    Ok(Hasher::Thread { full, empty, result })
}

fn gone() -> io::Error {
    io::Error::other("the thread that hashes the tar is gone")
}
