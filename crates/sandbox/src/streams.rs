//! The caller's side: starts S, carries bytes, waits for the answer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use corten_diagnostic::Failure;

use crate::sandbox::{End, Exit, Limit, Sandbox};
use crate::wire::{self, Answer, Order, Request};

/// What the process reads and where what it writes goes.
#[derive(Default)]
pub struct Streams<'a> {
    /// What it reads.
    pub stdin: Stdin<'a>,
    /// Where its output goes.
    pub stdout: Output<'a>,
    /// Where its complaints go.
    pub stderr: Output<'a>,
    /// Ends it or sends it signals from another thread.
    pub remote: Option<&'a Remote>,
}

/// What the process reads.
#[derive(Default)]
pub enum Stdin<'a> {
    /// The end of the file.
    #[default]
    Empty,
    /// These bytes, then the end.
    Bytes(&'a [u8]),
    /// What the caller reads.
    Inherit,
}

/// Where the process writes.
#[derive(Default)]
pub enum Output<'a> {
    /// `/dev/null`; not counted.
    #[default]
    Discard,
    /// Here, as it comes; counted for [`Limits::output`](crate::Limits::output).
    Sink(&'a mut (dyn Write + Send)),
    /// Where the caller writes; not counted.
    Inherit,
}

/// Ends a sandbox or sends signals to its process, from another thread.
#[derive(Debug, Clone, Default)]
pub struct Remote(Arc<Mutex<Option<UnixStream>>>);

impl Remote {
    /// Kills everything in the sandbox; [`End::Killed`] follows.
    pub fn kill(&self) {
        self.ask(&Request::End(End::Killed));
    }

    /// Sends a signal (signal(7)) to the process, as soon as it runs. Nothing happens before [`Sandbox::run`] and after it.
    pub fn signal(&self, number: i32) {
        self.ask(&Request::Signal(number));
    }

    fn ask(&self, request: &Request) {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = &*socket {
            // S may have ended meanwhile: then nothing is left to ask for.
            let _ = wire::send(socket, request);
        }
    }

    fn attach(&self, socket: Option<UnixStream>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }
}

impl Sandbox {
    /// Runs the process to its end. When this returns, nothing that it started is alive, and nothing is mounted.
    ///
    /// # Errors
    /// Says which step of setting up failed; a fault of the input is a root without the program, the folder or a mount's
    /// target, one of the world is a kernel that forbids what is needed. Also when a sink fails.
    pub fn run(&self, streams: Streams<'_>) -> Result<Exit, Failure> {
        let (socket, theirs) = UnixStream::pair().map_err(|error| failed("make a socket", error))?;
        let (stdin, feed) = input(streams.stdin).map_err(|error| failed("make a pipe", error))?;
        let (stdout, from_stdout) =
            output(streams.stdout, io::stdout().as_fd()).map_err(|error| failed("make a pipe", error))?;
        let (stderr, from_stderr) =
            output(streams.stderr, io::stderr().as_fd()).map_err(|error| failed("make a pipe", error))?;
        let mut helper = self.start_helper(theirs)?;
        let order = Order { sandbox: self.clone() };
        let remote = Remote::default();
        let remote = streams.remote.unwrap_or(&remote);
        let answer = wire::send_descriptors(&socket, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])
            .and_then(|()| wire::send(&socket, &order))
            .and_then(|()| socket.try_clone());
        drop((order, stdin, stdout, stderr));
        let answer = answer.and_then(|control| {
            remote.attach(Some(control));
            self.carry(&socket, feed, [from_stdout, from_stderr], remote)
        });
        remote.attach(None);
        let _ = socket.shutdown(Shutdown::Both);
        let status = helper.wait().map_err(|error| failed("wait for the sandbox", error))?;
        match answer {
            Ok((Some(Answer::Ended(exit)), None)) => Ok(exit),
            Ok((Some(Answer::Failed(trouble)), _)) => Err(trouble.into_failure()),
            Ok((_, Some(error))) => {
                Err(Failure::world(format!("cannot write the output of a sandboxed process: {error}")))
            }
            Ok((None, None)) => Err(Failure::world(format!("the sandbox ended without an answer: {status}"))),
            Err(error) => Err(failed("talk to it", error)),
        }
    }

    fn start_helper(&self, socket: UnixStream) -> Result<Child, Failure> {
        let helper = &self.helper;
        let mut command = Command::new(&helper.program);
        command.args(&helper.arguments).env_clear().current_dir("/");
        command.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|error| failed(&format!("start {}", helper.program.display()), error))
    }

    /// Carries bytes until S answers and both outputs end: with the last process, their last writer is gone.
    fn carry(
        &self,
        socket: &UnixStream,
        feed: Option<(OwnedFd, &[u8])>,
        outputs: [Option<(OwnedFd, &mut (dyn Write + Send))>; 2],
        remote: &Remote,
    ) -> io::Result<(Option<Answer>, Option<io::Error>)> {
        let left = AtomicU64::new(self.limits.output.unwrap_or(u64::MAX));
        let budget = Budget { left, is_over: AtomicBool::new(false), remote };
        thread::scope(|scope| {
            if let Some((pipe, bytes)) = feed {
                // The process need not read it all: a broken pipe is its own business.
                scope.spawn(move || std::fs::File::from(pipe).write_all(bytes));
            }
            let budget = &budget;
            let readers: Vec<_> = outputs
                .into_iter()
                .flatten()
                .map(|(pipe, sink)| scope.spawn(move || budget.copy(pipe.into(), sink)))
                .collect();
            let answer = wire::receive(socket);
            let failed = readers.into_iter().filter_map(|reader| reader.join().ok().and_then(Result::err)).next();
            answer.map(|answer| (answer.map(|answer| budget.judge(answer)), failed))
        })
    }
}

/// How much may still be written.
struct Budget<'a> {
    left: AtomicU64,
    is_over: AtomicBool,
    remote: &'a Remote,
}

impl Budget<'_> {
    fn copy(&self, mut pipe: std::fs::File, sink: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut result = Ok(());
        loop {
            let count = match pipe.read(&mut buffer) {
                Ok(0) => return result,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let granted = self.take(count);
            if result.is_ok() {
                // What comes after an error is read all the same, so that the process's end is seen.
                result = sink.write_all(buffer.get(..granted).unwrap_or_default());
                if result.is_err() {
                    self.remote.kill();
                }
            }
            if granted < count && !self.is_over.swap(true, Ordering::Relaxed) {
                self.remote.ask(&Request::End(End::Limit(Limit::Output)));
            }
        }
    }

    /// The last bytes may be too many after the process has ended.
    fn judge(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Ended(exit) if self.is_over.load(Ordering::Relaxed) => {
                Answer::Ended(Exit { end: End::Limit(Limit::Output), ..exit })
            }
            answer => answer,
        }
    }

    /// Takes up to `count` bytes from what is left.
    fn take(&self, count: usize) -> usize {
        let wanted = count as u64;
        let before =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(wanted)));
        before.map_or(count, |left| usize::try_from(left).unwrap_or(count).min(count))
    }
}

type Feed<'a> = Option<(OwnedFd, &'a [u8])>;
type Drain<'a> = Option<(OwnedFd, &'a mut (dyn Write + Send))>;

fn input(stdin: Stdin<'_>) -> io::Result<(OwnedFd, Feed<'_>)> {
    Ok(match stdin {
        Stdin::Empty => (std::fs::File::open("/dev/null")?.into(), None),
        Stdin::Inherit => (io::stdin().as_fd().try_clone_to_owned()?, None),
        Stdin::Bytes(bytes) => {
            let (read, write) = io::pipe()?;
            (read.into(), Some((write.into(), bytes)))
        }
    })
}

fn output<'a>(output: Output<'a>, inherited: std::os::fd::BorrowedFd<'_>) -> io::Result<(OwnedFd, Drain<'a>)> {
    Ok(match output {
        Output::Discard => (std::fs::File::options().write(true).open("/dev/null")?.into(), None),
        Output::Inherit => (inherited.try_clone_to_owned()?, None),
        Output::Sink(sink) => {
            let (read, write) = io::pipe()?;
            (write.into(), Some((read.into(), sink)))
        }
    })
}

fn failed(what: &str, error: io::Error) -> Failure {
    Failure::world(format!("cannot set up the sandbox: {what}: {error}"))
}
