//! Other people's programs that are asked something and have to answer in time: one that hangs is ended, one that floods is cut off,
//! and what it writes beside its answer is shown to nobody.
//!
//! Nothing looks again and again: the kernel says when a program has ended (pidfd, Linux 5.3), a thread hands on what it has said.

use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of an answer.
    pub(crate) bytes: u64,
    /// From the start to the end.
    pub(crate) patience: Duration,
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// On its standard output.
    pub(crate) said: Vec<u8>,
    /// Did it end with status 0?
    pub(crate) good: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It did not start, or cannot be waited for.
    Failed(io::Error),
    /// Its output stayed open.
    Silent(Duration),
    /// More bytes than that.
    Flood(u64),
    /// It went on.
    Endless(Duration),
}

impl fmt::Display for NoAnswer {
    /// What follows the program's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "cannot be run: {error}"),
            Self::Silent(patience) => write!(f, "has said nothing for {} s", patience.as_secs_f32()),
            Self::Flood(bytes) => write!(f, "says more than {bytes} bytes"),
            Self::Endless(patience) => write!(f, "has not ended within {} s", patience.as_secs_f32()),
        }
    }
}

/// Starts a program and tells it something: at most as much as a pipe holds, 64 KiB, which waits for nobody.
///
/// # Errors
/// See [`NoAnswer`]; then it has ended, too.
pub(crate) fn ask(mut command: Command, input: &[u8], limits: Limits) -> Result<Answer, NoAnswer> {
    let Limits { bytes, patience } = limits;
    let end = Instant::now() + patience;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(NoAnswer::Failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that wants nothing may have closed it.
        drop(stdin.write_all(input));
    }
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let read = stdout.map(|stdout| stdout.take(bytes.saturating_add(1)).read_to_end(&mut said));
        drop(sender.send(read.map(|_| said)));
    });
    let said = receiver.recv_timeout(patience);
    let is_whole = matches!(&said, Ok(Some(said)) if said.len() as u64 <= bytes);
    let ended = ended(&mut child, if is_whole { end } else { Instant::now() });
    let ended = ended.map_err(NoAnswer::Failed)?;
    match said {
        Ok(Some(said)) if is_whole => match ended {
            Some(status) => Ok(Answer { said, good: status.success() }),
            None => Err(NoAnswer::Endless(patience)),
        },
        Ok(_) => Err(NoAnswer::Flood(bytes)),
        Err(_) => Err(NoAnswer::Silent(patience)),
    }
}

/// How it ended until then; none where it went on, and was killed.
fn ended(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    let waited = until(child, end);
    match child.try_wait() {
        Ok(Some(status)) => Ok(Some(status)),
        other => {
            child.kill()?;
            child.wait()?;
            waited.and(other)
        }
    }
}

/// Waits for its end, no longer than that.
fn until(child: &Child, end: Instant) -> io::Result<()> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a patience in milliseconds: little for who hangs, much for who answers, whatever else the machine does.
    fn shell(script: &str, patience: u64) -> Result<(String, bool), String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let limits = Limits { bytes: 65536, patience: Duration::from_millis(patience) };
        let answer = ask(command, b"registry.test", limits).map_err(|why| why.to_string())?;
        Ok((String::from_utf8_lossy(&answer.said).into_owned(), answer.good))
    }

    /// Recipe C6: who hangs is ended, who floods is cut off, and what it says beside its answer is shown to nobody.
    #[test]
    fn c6_programs_have_an_end() {
        assert_eq!(shell("exec sleep 600", 200).unwrap_err(), "has said nothing for 0.2 s");
        assert_eq!(shell("exec yes", 60_000).unwrap_err(), "says more than 65536 bytes");
        assert_eq!(shell("exec >&-; exec sleep 600", 1000).unwrap_err(), "has not ended within 1 s");
        assert_eq!(shell("exec cat", 60_000).unwrap(), ("registry.test".to_owned(), true));
        assert_eq!(shell("exec >&-; echo secret >&2; exit 3", 60_000).unwrap(), (String::new(), false));
        assert_eq!(shell("exec <&-; echo answer", 60_000).unwrap(), ("answer\n".to_owned(), true));
        let absent = ask(Command::new("/nonexistent"), b"", Limits { bytes: 1, patience: Duration::ZERO });
        assert!(matches!(absent, Err(NoAnswer::Failed(_))));
    }
}
