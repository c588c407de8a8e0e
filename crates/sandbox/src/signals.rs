//! Signals as something to read, not as interruptions.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::system;

/// Signals that arrive, to be read. While it lives, and in threads that are started afterwards, they interrupt nothing.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Of these signals (signal(7)). To be called before threads are started that are not to be interrupted either.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        system::signals(signals).map(Self)
    }

    /// The next one that has arrived, if there is one.
    pub fn next(&self) -> Option<i32> {
        // struct signalfd_siginfo, of which the first four bytes are the number.
        let mut buffer = [0; 128];
        let count = rustix::io::read(&self.0, &mut buffer).ok()?;
        let number = buffer.first_chunk::<4>().filter(|_| count == buffer.len())?;
        i32::try_from(u32::from_ne_bytes(*number)).ok()
    }
}

impl AsFd for Signals {
    /// Readable when one has arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
