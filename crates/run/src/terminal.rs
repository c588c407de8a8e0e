//! Between the user's terminal and the container's: bytes both ways, the size, and the user's as it was at the end.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sandbox::{Signals, Window};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, Winsize};

/// Signals that are passed on.
pub(crate) const PASSED: [i32; 6] = [1, 2, 3, 10, 12, 15];
/// The size of the user's terminal has changed.
pub(crate) const WINCH: i32 = 28;

/// The size of the terminal that stdin is.
pub fn window(terminal: impl AsFd) -> Option<Window> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(Window { rows: size.ws_row, columns: size.ws_col })
}

/// The user's terminal, raw for as long as this lives.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn new(terminal: BorrowedFd<'a>) -> Option<Self> {
        let before = rustix::termios::tcgetattr(terminal).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(terminal, OptionalActions::Now, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Carries what the user types into a pipe, until the process has ended (`end` is closed), or nobody reads any more: a process
/// without a terminal of its own gets nothing of the user's.
pub(crate) fn type_into(stdin: BorrowedFd<'_>, pipe: OwnedFd, end: &PipeReader) {
    let mut buffer = [0; 4096];
    let ready = |other: BorrowedFd<'_>, flags: PollFlags| {
        let mut both = [PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(other, flags)];
        let polled = poll(&mut both, None);
        polled.is_ok() && both[0].revents().is_empty() && !both[1].revents().is_empty()
    };
    // A pipe that can be written takes as much at once.
    while ready(pipe.as_fd(), PollFlags::OUT) && ready(stdin, PollFlags::IN) {
        match rustix::io::read(stdin, &mut buffer) {
            Ok(count) if count > 0 => {
                if rustix::io::write(&pipe, buffer.get(..count).unwrap_or_default()).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// What is written there is there at once.
pub(crate) struct Direct<W: Write>(pub(crate) W);

impl<W: Write> Write for Direct<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.0.flush().map(|()| count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Looks after a process until `end` is closed: passes signals on, and bytes where it has a terminal.
pub(crate) struct Attendant<'a> {
    /// What comes for us.
    pub(crate) signals: Option<&'a Signals>,
    /// Closed when the process has ended.
    pub(crate) end: PipeReader,
    /// What a signal does.
    pub(crate) pass: &'a dyn Fn(i32),
    /// The container's terminal.
    pub(crate) terminal: Option<File>,
    /// What the user types, if it is passed on.
    pub(crate) stdin: Option<BorrowedFd<'a>>,
    /// Where the terminal's output goes.
    pub(crate) stdout: &'a mut (dyn Write + Send),
}

impl Attendant<'_> {
    pub(crate) fn attend(mut self) {
        let _raw = self.stdin.filter(|_| self.terminal.is_some()).and_then(Raw::new);
        self.resize();
        let mut buffer = [0; 32 << 10];
        loop {
            let [has_signal, has_ended, has_output, has_input] = self.wait();
            if has_signal {
                while let Some(number) = self.signals.and_then(Signals::next) {
                    if number == WINCH { self.resize() } else { (self.pass)(number) }
                }
            }
            if has_output && !self.carry_out(&mut buffer) {
                // The last holder is gone: what is still to come is the end.
                self.terminal = None;
            }
            if has_input && !self.carry_in(&mut buffer) {
                self.stdin = None;
            }
            if has_ended && !has_output {
                return;
            }
        }
    }

    fn wait(&self) -> [bool; 4] {
        let none = self.end.as_fd();
        let terminal = self.terminal.as_ref().map(AsFd::as_fd);
        let stdin = self.stdin.filter(|_| self.terminal.is_some());
        let all = [self.signals.map(AsFd::as_fd), Some(self.end.as_fd()), terminal, stdin];
        let mut ready = all.map(|one| {
            let flags = if one.is_some() { PollFlags::IN } else { PollFlags::empty() };
            PollFd::from_borrowed_fd(one.unwrap_or(none), flags)
        });
        if poll(&mut ready, None).is_err() {
            return [self.signals.is_some(), false, false, false];
        }
        let mut is_ready = ready.map(|one| !one.revents().is_empty());
        for (is_ready, one) in is_ready.iter_mut().zip(all) {
            *is_ready &= one.is_some();
        }
        is_ready
    }

    fn carry_out(&mut self, buffer: &mut [u8]) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        match terminal.read(buffer) {
            Ok(0) => false,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.stdout.write_all(bytes).and_then(|()| self.stdout.flush()).is_ok()
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }

    fn carry_in(&mut self, buffer: &mut [u8]) -> bool {
        let (Some(stdin), Some(terminal)) = (self.stdin, &mut self.terminal) else { return false };
        match rustix::io::read(stdin, &mut *buffer) {
            Ok(0) => {
                // The end of a file that is piped in is Ctrl-D of a terminal.
                let _ = terminal.write_all(&[4]);
                false
            }
            Ok(count) => terminal.write_all(buffer.get(..count).unwrap_or_default()).is_ok(),
            Err(error) => error == rustix::io::Errno::INTR,
        }
    }

    fn resize(&self) {
        if let (Some(stdin), Some(terminal)) = (self.stdin, &self.terminal)
            && let Some(Window { rows, columns }) = window(stdin)
        {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(terminal, size);
        }
    }
}
