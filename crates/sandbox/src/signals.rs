//! Signals as something to read, not as interruptions.
//!
//! By handlers that write to a pipe: they serve threads that run already, which a mask of signals would not.

use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};

use crate::system;

/// Signals that arrive, to be read. While it lives they interrupt nothing; there is one at a time.
#[derive(Debug)]
pub struct Signals {
    signals: Vec<i32>,
    pipe: PipeReader,
}

impl Signals {
    /// Of these signals (signal(7)).
    ///
    /// # Errors
    /// The kernel's; also where there is one already.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        for end in [pipe.as_fd(), writer.as_fd()] {
            rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)?;
        }
        system::handle(signals, writer.into())?;
        Ok(Self { signals: signals.to_vec(), pipe })
    }

    /// The next one that has arrived, if there is one.
    pub fn next(&self) -> Option<i32> {
        let mut number = [0];
        let count = rustix::io::read(&self.pipe, &mut number).ok()?;
        (count == 1).then(|| i32::from(number[0]))
    }
}

impl AsFd for Signals {
    /// Readable when one has arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        system::stop_handling(&self.signals);
    }
}
