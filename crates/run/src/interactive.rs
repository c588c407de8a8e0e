//! A process in front of the user that is no container: nothing is kept of it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use corten_diagnostic::Failure;
use corten_sandbox::{Exit, Remote, Sandbox, Signals, Streams, receive_terminal};

use crate::terminal::{Attendant, PASSED, WINCH};

/// Runs a process that has a terminal ([`terminal`](corten_sandbox::Process::terminal)) to its end, with this process's stdin and
/// stdout as the other side.
///
/// # Errors
/// As [`Sandbox::run`]; world where the kernel has no descriptor left.
pub fn interactive(sandbox: &Sandbox) -> Result<Exit, Failure> {
    let failed = |error: io::Error| Failure::world(format!("cannot attend a terminal: {error}"));
    let signals = Signals::new(&[&PASSED[..], &[WINCH]].concat()).map_err(failed)?;
    let (end, ends) = io::pipe().map_err(failed)?;
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let remote = Remote::default();
    let (stdin, mut stdout) = (io::stdin(), io::stdout());
    std::thread::scope(|scope| {
        let (remote, signals, stdin, stdout) = (&remote, &signals, &stdin, &mut stdout);
        scope.spawn(move || {
            let terminal = receive_terminal(&ours).ok().map(File::from);
            let pass = |number| remote.signal(number);
            let stdin = Some(stdin.as_fd());
            Attendant { signals: Some(signals), end, pass: &pass, terminal, stdin, stdout }.attend();
        });
        let exit = sandbox.run(Streams { remote: Some(remote), terminal: Some(theirs), ..Streams::default() });
        drop(ends);
        exit
    })
}
