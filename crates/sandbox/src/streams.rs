//! The caller's side: starts S, carries bytes, waits for the answer.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use corten_diagnostic::Failure;

use crate::sandbox::{End, Exit, Limit, Process, Sandbox};
use crate::trouble::Trouble;
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
    /// Where the other side of its terminal goes ([`receive_terminal`]), if it is to have one
    /// ([`Process::terminal`]): then the first three are not used.
    pub terminal: Option<UnixStream>,
    /// Called when the process executes.
    pub up: Option<&'a (dyn Fn() + Sync)>,
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
    /// What comes out of this.
    Descriptor(OwnedFd),
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
    /// Of stderr: where stdout goes, in the order in which both were written.
    Joined,
}

/// The other side of a terminal, which comes over the socket that a process with [`Process::terminal`] got.
///
/// # Errors
/// The kernel's; the end of the file where the process was not started.
pub fn receive_terminal(socket: &UnixStream) -> io::Result<OwnedFd> {
    wire::receive_descriptors(socket, 1)?.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Ends a sandbox, sends signals to its process or starts others beside it, from another thread.
#[derive(Debug, Clone, Default)]
pub struct Remote(Arc<Mutex<Line>>);

/// The line to S.
#[derive(Debug, Default)]
struct Line {
    state: State,
    next: u32,
    waiting: BTreeMap<u32, Sender<Result<End, Trouble>>>,
}

#[derive(Debug)]
enum State {
    /// Not yet: what was asked for is kept.
    Before(Vec<Request>),
    During(UnixStream),
    After,
}

impl Default for State {
    fn default() -> Self {
        Self::Before(Vec::new())
    }
}

impl Remote {
    /// Kills everything in the sandbox; [`End::Killed`] follows.
    pub fn kill(&self) {
        self.ask(Request::End(End::Killed));
    }

    /// Sends a signal (signal(7)) to the process, as soon as it runs.
    pub fn signal(&self, number: i32) {
        self.ask(Request::Signal(number));
    }

    /// Starts another process in the same sandbox, with the same limits. What it gets as stdin, stdout and stderr are three
    /// descriptors; with a [terminal](Process::terminal) the first is a socket, for [`receive_terminal`].
    ///
    /// # Errors
    /// World where the sandbox is not there (any more).
    pub fn start(&self, process: Process, streams: [BorrowedFd<'_>; 3]) -> Result<Another, Failure> {
        let gone = || Failure::world("cannot start a process: the sandbox has ended");
        let mut line = self.line();
        let number = line.next;
        line.next = number.wrapping_add(1);
        let State::During(socket) = &line.state else { return Err(gone()) };
        wire::send(socket, &Request::Start { number, process: Box::new(process) })
            .and_then(|()| wire::send_descriptors(socket, &streams))
            .map_err(|_| gone())?;
        let (sender, receiver) = mpsc::channel();
        line.waiting.insert(number, sender);
        Ok(Another { remote: self.clone(), number, end: Mutex::new(receiver) })
    }

    fn ask(&self, request: Request) {
        match &mut self.line().state {
            State::Before(kept) => kept.push(request),
            // S may have ended meanwhile: then nothing is left to ask for.
            State::During(socket) => drop(wire::send(socket, &request)),
            State::After => {}
        }
    }

    fn attach(&self, socket: UnixStream) -> io::Result<()> {
        let mut line = self.line();
        if let State::Before(kept) = &line.state {
            kept.iter().try_for_each(|request| wire::send(&socket, request))?;
        }
        line.state = State::During(socket);
        Ok(())
    }

    fn detach(&self) {
        let mut line = self.line();
        line.state = State::After;
        line.waiting.clear();
    }

    fn tell(&self, number: u32, end: Result<End, Trouble>) {
        if let Some(waiting) = self.line().waiting.remove(&number) {
            // Who does not wait any more need not know.
            let _ = waiting.send(end);
        }
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Another process in a sandbox.
#[derive(Debug)]
pub struct Another {
    remote: Remote,
    number: u32,
    end: Mutex<Receiver<Result<End, Trouble>>>,
}

impl Another {
    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        self.remote.ask(Request::SignalOther { number: self.number, signal });
    }

    /// Waits for its end; [`End::Killed`] with the sandbox's.
    ///
    /// # Errors
    /// Says why it could not be started.
    pub fn wait(&self) -> Result<End, Failure> {
        match self.end.lock().unwrap_or_else(PoisonError::into_inner).recv() {
            Ok(end) => end.map_err(Trouble::into_failure),
            Err(_) => Ok(End::Killed),
        }
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
        let pipe = |error| failed("make a pipe", error);
        let (stdin, feed) = input(streams.stdin).map_err(pipe)?;
        let (stdout, from_stdout) = output(streams.stdout, io::stdout().as_fd()).map_err(pipe)?;
        let (stderr, from_stderr) = match streams.stderr {
            Output::Joined => (stdout.try_clone().map_err(pipe)?, None),
            other => output(other, io::stderr().as_fd()).map_err(pipe)?,
        };
        let stdin = streams.terminal.map_or(stdin, OwnedFd::from);
        let mut helper = self.start_helper(theirs)?;
        let order = Order { sandbox: self.clone() };
        let remote = Remote::default();
        let remote = streams.remote.unwrap_or(&remote);
        let answer = wire::send_descriptors(&socket, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])
            .and_then(|()| wire::send(&socket, &order))
            .and_then(|()| socket.try_clone());
        drop((order, stdin, stdout, stderr));
        let answer = answer.and_then(|control| {
            remote.attach(control)?;
            self.carry(&socket, feed, [from_stdout, from_stderr], remote, streams.up)
        });
        remote.detach();
        let _ = socket.shutdown(Shutdown::Both);
        let status = helper.wait().map_err(|error| failed("wait for the sandbox", error))?;
        match answer {
            Ok((Some(Answer::Ended(exit)), None)) => Ok(exit),
            Ok((Some(Answer::Failed(trouble)), _)) => Err(trouble.into_failure()),
            Ok((_, Some(error))) => {
                Err(Failure::world(format!("cannot write the output of a sandboxed process: {error}")))
            }
            Ok((None | Some(Answer::Up | Answer::Other { .. }), None)) => {
                Err(Failure::world(format!("the sandbox ended without an answer: {status}")))
            }
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
        up: Option<&(dyn Fn() + Sync)>,
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
            let answer = last_answer(socket, remote, up);
            remote.detach();
            let failed = readers.into_iter().filter_map(|reader| reader.join().ok().and_then(Result::err)).next();
            answer.map(|answer| (answer.map(|answer| budget.judge(answer)), failed))
        })
    }
}

/// The answer that is the last; passes the others on.
fn last_answer(socket: &UnixStream, remote: &Remote, up: Option<&(dyn Fn() + Sync)>) -> io::Result<Option<Answer>> {
    loop {
        match wire::receive(socket)? {
            Some(Answer::Up) => up.into_iter().for_each(|up| up()),
            Some(Answer::Other { number, end }) => remote.tell(number, end),
            last => return Ok(last),
        }
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
                self.remote.ask(Request::End(End::Limit(Limit::Output)));
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
        Stdin::Descriptor(descriptor) => (descriptor, None),
        Stdin::Bytes(bytes) => {
            let (read, write) = io::pipe()?;
            (read.into(), Some((write.into(), bytes)))
        }
    })
}

fn output<'a>(output: Output<'a>, inherited: std::os::fd::BorrowedFd<'_>) -> io::Result<(OwnedFd, Drain<'a>)> {
    Ok(match output {
        Output::Discard | Output::Joined => (std::fs::File::options().write(true).open("/dev/null")?.into(), None),
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
