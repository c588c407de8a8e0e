//! The life of a container, from its start to its end, in the process that runs it.

use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_diagnostic::Failure;
use corten_sandbox::{
    End, Exit, Limit, Mount, NotStarted, Note, Output, Remote, Signals, Stdin, Streams, not_started, receive_terminal,
};

use crate::container::{Container, Containers, Ended, Lock, failed, status};
use crate::control::{Control, Over};
use crate::log::{Log, Tee};
use crate::terminal::{Attendant, Direct, PASSED, WINCH, type_into};

/// So many times a user asks for the end before it comes without asking the container.
const PATIENCE: usize = 3;
const BUS: i32 = 7;

/// Who looks on while a container runs.
pub enum Attach<'a> {
    /// A user: stdout, stderr and, if it is open to the container, stdin are this process's. With it the signals that the
    /// user sends.
    User(Signals),
    /// Nobody; this is called when the container's process runs.
    Nobody(&'a (dyn Fn() + Sync)),
}

impl Attach<'_> {
    /// A user, whose signals come to us from now on.
    ///
    /// # Errors
    /// World: the kernel's.
    pub fn user() -> Result<Self, Failure> {
        let signals = Signals::new(&[&PASSED[..], &[WINCH]].concat());
        signals.map(Self::User).map_err(|error| Failure::world(format!("cannot wait for signals: {error}")))
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status: the process's own, or as docker has it.
    pub status: u8,
    /// Why, where there is something to say.
    pub why: Option<Failure>,
    /// What was not as it was asked for.
    pub notes: Vec<String>,
}

impl Outcome {
    pub(crate) fn failed(failure: Failure, reason: Option<NotStarted>) -> Self {
        let status = match reason {
            Some(NotStarted::Missing) => 127,
            Some(NotStarted::Refused) => 126,
            None => 125,
        };
        Self { status, why: Some(failure), notes: Vec::new() }
    }
}

/// One life.
pub struct Run<'a> {
    /// Where containers are.
    pub containers: &'a Containers,
    /// Which.
    pub container: &'a Container,
    /// Held until the end.
    pub lock: Lock,
}

impl Run<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// World: the disk. What the container itself does wrong is an outcome.
    pub fn run(self, attach: Attach<'_>) -> Result<Outcome, Failure> {
        let folder = self.containers.folder(&self.container.id);
        let control = Control::open(&folder)?;
        // Of one that goes, nobody reads a log afterwards; one that nobody sees may be asked for it meanwhile.
        let is_logged = !self.container.is_removed || matches!(attach, Attach::Nobody(_));
        let log = if is_logged { Some(Log::create(&folder)) } else { None };
        let log = log.transpose().map_err(|error| failed("writing", &folder.join("log"), &error))?;
        let mut outcome = self.live(&control, log, attach);
        let ended = Ended { status: outcome.status, why: outcome.why.as_ref().map(ToString::to_string) };
        let _ = std::fs::remove_file(folder.join("control"));
        let cleaned = match self.container.is_removed {
            true => self.containers.clear(self.container, true),
            false => self.containers.ended(&self.container.id, &ended),
        };
        // How it ended is what was asked for.
        outcome.notes.extend(cleaned.err().map(|failure| failure.to_string()));
        drop(self.lock);
        Ok(outcome)
    }

    fn live(&self, control: &Control, log: Option<Arc<Log>>, attach: Attach<'_>) -> Outcome {
        let (remote, over) = (Remote::default(), Over::default());
        std::thread::scope(|scope| {
            let (remote, over) = (&remote, &over);
            scope.spawn(move || control.serve(remote, self.container.stop_signal, over));
            let outcome = self.attended(remote, log, attach);
            over.tell();
            control.close();
            outcome
        })
    }

    fn attended(&self, remote: &Remote, log: Option<Arc<Log>>, attach: Attach<'_>) -> Outcome {
        let (signals, up, is_seen) = match &attach {
            Attach::User(signals) => (Some(signals), None, true),
            Attach::Nobody(up) => (None, Some(*up), false),
        };
        let asked = AtomicUsize::new(0);
        let pass = |number: i32| pass(remote, &asked, number);
        let Ok((end, ends)) = io::pipe() else {
            return Outcome::failed(Failure::world("no descriptor is free"), None);
        };
        let sandbox = &self.container.sandbox;
        let stdin = io::stdin();
        let input = self.container.is_interactive && is_seen;
        let has_terminal = sandbox.process.terminal.is_some();
        let sockets = if has_terminal { UnixStream::pair().ok() } else { None };
        let (ours, theirs) = sockets.unzip();
        let tee = |mark: u8, to: Box<dyn Write + Send>| {
            log.as_ref().map(|log| Tee::new(Arc::clone(log), mark, is_seen.then_some(to)))
        };
        let mut stdout = tee(b'1', Box::new(io::stdout()));
        let mut stderr = tee(b'2', Box::new(io::stderr()));
        let (mut plain, mut plain_stdout, mut plain_stderr) =
            (io::stdout(), Direct(io::stdout()), Direct(io::stderr()));
        let input_of_terminal = (has_terminal && input).then(|| stdin.as_fd());
        let Ok((typed, keyboard)) = typed(input && !has_terminal, &end) else {
            return Outcome::failed(Failure::world("no descriptor is free"), None);
        };
        let exit = std::thread::scope(|scope| {
            if let Some((pipe, end)) = keyboard {
                scope.spawn(move || type_into(io::stdin().as_fd(), pipe, &end));
            }
            let pass = &pass as &(dyn Fn(i32) + Sync);
            // With a terminal there is one output, which the attendant carries.
            let (sink, stdout): (&mut (dyn Write + Send), _) = match (&mut stdout, has_terminal) {
                (Some(tee), true) => (tee, None),
                (tee, _) => (&mut plain, tee.as_mut()),
            };
            scope.spawn(move || {
                let terminal = ours.and_then(|socket| receive_terminal(&socket).ok()).map(File::from);
                Attendant { signals, end, pass, terminal, stdin: input_of_terminal, stdout: sink }.attend();
            });
            let streams = Streams {
                stdin: typed,
                stdout: output(has_terminal, stdout, is_seen, &mut plain_stdout),
                stderr: output(has_terminal, stderr.as_mut(), is_seen, &mut plain_stderr),
                remote: Some(remote),
                terminal: theirs,
                up,
            };
            let exit = sandbox.run(streams);
            drop(ends);
            exit
        });
        self.outcome(exit)
    }

    fn outcome(&self, exit: Result<Exit, Failure>) -> Outcome {
        let sandbox = &self.container.sandbox;
        match exit {
            Ok(exit) => {
                let notes = exit.notes.iter().filter(|note| is_news(note)).map(ToString::to_string).collect();
                Outcome { notes, ..explained(exit.end, &sandbox.mounts, sandbox.limits.memory.unwrap_or(0)) }
            }
            Err(failure) => {
                let reason = not_started(&failure);
                Outcome::failed(failure, reason)
            }
        }
    }
}

/// What the process reads, and what carries it there. The user's own terminal goes into no container: what has it could change
/// its settings, and read what is typed for others.
#[allow(clippy::type_complexity, reason = "a pipe and the end of it all")]
fn typed(is_open: bool, end: &PipeReader) -> io::Result<(Stdin<'static>, Option<(OwnedFd, PipeReader)>)> {
    if !is_open {
        return Ok((Stdin::Empty, None));
    }
    if !io::stdin().is_terminal() {
        return Ok((Stdin::Inherit, None));
    }
    let (read, write) = io::pipe()?;
    Ok((Stdin::Descriptor(read.into()), Some((write.into(), end.try_clone()?))))
}

fn output<'a, W: Write + Send + AsFd>(
    has_terminal: bool,
    tee: Option<&'a mut Tee>,
    is_seen: bool,
    plain: &'a mut Direct<W>,
) -> Output<'a> {
    match tee {
        _ if has_terminal => Output::Discard,
        Some(tee) => Output::Sink(tee),
        None if is_seen && plain.0.as_fd().is_terminal() => Output::Sink(plain),
        None if is_seen => Output::Inherit,
        None => Output::Discard,
    }
}

/// That there is one user inside is how rootless containers are.
fn is_news(note: &Note) -> bool {
    !matches!(note, Note::OneId(_) | Note::GroupsNotSet)
}

/// A user who asks three times means it.
fn pass(remote: &Remote, asked: &AtomicUsize, number: i32) {
    let is_end = [2, 15].contains(&number);
    if is_end && asked.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
        remote.kill();
    } else {
        remote.signal(number);
    }
}

/// The outcome of an end, with what there is to say about it.
pub(crate) fn explained(end: End, mounts: &[Mount], memory: u64) -> Outcome {
    let why = match end {
        End::Limit(Limit::Memory) => Some(
            Failure::input(format!("the container took more than its {} MiB of memory and was ended", memory >> 20))
                .hint("--memory gives it more"),
        ),
        End::Limit(Limit::Processes) => Some(
            Failure::input("the container had more processes than it may and was ended")
                .hint("--pids-limit gives it more"),
        ),
        // A shell says 128 + 7 of its child.
        End::Signal(BUS) | End::Status(135) => shm(mounts).map(|size| {
            Failure::input(format!(
                "the process ended by a bus error (SIGBUS): its /dev/shm, of {} MiB, may have been full",
                size >> 20
            ))
            .hint("data loaders share batches there: --shm-size 8g gives it more, fewer workers take less")
        }),
        _ => None,
    };
    Outcome { status: status(end), why, notes: Vec::new() }
}

fn shm(mounts: &[Mount]) -> Option<u64> {
    mounts.iter().find_map(|mount| match mount {
        Mount::Dev { shm } => Some(*shm),
        _ => None,
    })
}

/// Looks after a further process: signals, and its terminal.
///
/// # Errors
/// World: no descriptor is free.
pub fn attend(
    exec: &crate::Exec,
    socket: Option<UnixStream>,
    stdin: Option<BorrowedFd<'_>>,
    signals: &Signals,
) -> Result<Outcome, Failure> {
    let (end, ends) = io::pipe().map_err(|error| Failure::world(format!("cannot make a pipe: {error}")))?;
    let mut stdout = io::stdout();
    Ok(std::thread::scope(|scope| {
        let pass = |number| exec.signal(number);
        scope.spawn(move || {
            let terminal = socket.and_then(|socket| receive_terminal(&socket).ok()).map(File::from);
            let pass: &dyn Fn(i32) = &pass;
            Attendant { signals: Some(signals), end, pass, terminal, stdin, stdout: &mut stdout }.attend();
        });
        let outcome = exec.wait();
        drop(ends);
        outcome
    }))
}
