//! What is asked of a container that runs, over its socket: signals, its end, further processes.
//!
//! One connection, one request. A further process gets the asker's own descriptors; its end is the answer, and meanwhile the asker
//! may send signals for it.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use corten_diagnostic::{Diagnose, Failure, Fault};
use corten_sandbox::{End, NotStarted, Process, Remote, not_started, post};
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::container::{Container, Containers, State, failed};
use crate::life::{Outcome, explained};

/// How long a connection may say nothing.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a container may take to be gone after it was killed.
const GONE: Duration = Duration::from_secs(10);
/// How long it is waited where nobody can be let in.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Serialize, Deserialize)]
enum Ask {
    Signal(i32),
    Stop { seconds: u64 },
    Start { process: Box<Process> },
}

#[derive(Serialize, Deserialize)]
enum Reply {
    Done,
    Ended(End),
    Failed { message: String, is_input: bool, not_started: Option<NotStarted> },
}

/// The end of a container, to be waited for.
#[derive(Default)]
pub(crate) struct Over(Mutex<bool>, Condvar);

impl Over {
    pub(crate) fn tell(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_all();
    }

    fn within(&self, time: Duration) -> bool {
        let over = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.1.wait_timeout_while(over, time, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The socket of a container that runs.
pub(crate) struct Control {
    listener: UnixListener,
}

impl Control {
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let open = || {
            // The folder's own path may be too long for a socket's.
            let opened = open_folder(folder)?;
            let path = below(&opened, "control");
            let listener = UnixListener::bind(&path)?;
            std::fs::set_permissions(folder.join("control"), std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        open().map(|listener| Self { listener }).map_err(|error| failed("making", &folder.join("control"), &error))
    }

    /// Lets [`serve`](Self::serve) end.
    pub(crate) fn close(&self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }

    /// Answers until it is closed.
    pub(crate) fn serve(&self, remote: &Remote, stop_signal: i32, over: &Over) {
        std::thread::scope(|scope| {
            loop {
                let connection = match self.listener.accept() {
                    Ok((connection, _)) => connection,
                    // It was closed.
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return,
                    // No descriptor is free, or who asked has gone: others will ask.
                    Err(_) => {
                        std::thread::sleep(LOOK_AGAIN);
                        continue;
                    }
                };
                scope.spawn(move || {
                    let reply = answer(&connection, remote, stop_signal, over);
                    if let Some(reply) = reply {
                        let _ = post::send(&connection, &reply);
                    }
                    let _ = connection.shutdown(Shutdown::Both);
                });
            }
        });
    }
}

fn answer(connection: &UnixStream, remote: &Remote, stop_signal: i32, over: &Over) -> Option<Reply> {
    connection.set_read_timeout(Some(SILENCE)).ok()?;
    match post::receive(connection).ok()?? {
        Ask::Signal(number) => remote.signal(number),
        Ask::Stop { seconds } => {
            remote.signal(stop_signal);
            if !over.within(Duration::from_secs(seconds)) {
                remote.kill();
                over.within(GONE);
            }
        }
        Ask::Start { process } => {
            let streams = post::receive_descriptors(connection, 3).ok()?;
            connection.set_read_timeout(None).ok()?;
            return Some(start(connection, remote, *process, streams));
        }
    }
    Some(Reply::Done)
}

fn start(connection: &UnixStream, remote: &Remote, process: Process, streams: Vec<OwnedFd>) -> Reply {
    let started = match &streams[..] {
        [stdin, stdout, stderr] => remote.start(process, [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
        _ => Err(Failure::bug("three descriptors are expected")),
    };
    drop(streams);
    let end = started.and_then(|another| {
        let another = &another;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while let Ok(Some(Ask::Signal(number))) = post::receive(connection) {
                    another.signal(number);
                }
            });
            let end = another.wait();
            let _ = connection.shutdown(Shutdown::Read);
            end
        })
    });
    match end {
        Ok(end) => Reply::Ended(end),
        Err(failure) => Reply::Failed {
            message: failure.to_string(),
            is_input: failure.fault() == Fault::Input,
            not_started: not_started(&failure),
        },
    }
}

fn open_folder(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, folder, flags, Mode::empty())?)
}

fn below(folder: &OwnedFd, name: &str) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

fn connect(containers: &Containers, container: &Container) -> Result<UnixStream, Failure> {
    let folder = containers.folder(&container.id);
    let connect = || UnixStream::connect(below(&open_folder(&folder)?, "control"));
    connect().map_err(|error| {
        Failure::input(format!("the container {} cannot be asked: {error}", container.name))
            .hint("it ends just now, or has not started yet")
    })
}

fn running(state: &State, container: &Container) -> Result<(), Failure> {
    match state {
        State::Running => Ok(()),
        _ => Err(Failure::input(format!("the container {} does not run", container.name))
            .hint("`corten ps` lists those that do")),
    }
}

/// Ends a container: its stop signal, and after `seconds` SIGKILL. One that does not run is stopped already.
///
/// # Errors
/// Input where it cannot be asked; world where it does not end.
pub fn stop(containers: &Containers, container: &Container, seconds: u64) -> Result<(), Failure> {
    if containers.state(&container.id) != State::Running {
        return Ok(());
    }
    let asked = connect(containers, container).map(|connection| {
        // Whatever the answer, the lock tells.
        let asked = post::send(&connection, &Ask::Stop { seconds });
        asked.is_ok().then(|| post::receive::<Reply>(&connection))
    });
    let mut refused = asked.err();
    let deadline = Instant::now() + GONE;
    while !containers.is_over(&container.id) {
        if let Some(failure) = refused.take() {
            return Err(failure);
        }
        if Instant::now() > deadline {
            return Err(Failure::world(format!("the container {} does not end", container.name)));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// A further process in a container that runs.
pub struct Exec {
    connection: UnixStream,
}

/// Starts one. With a terminal the first descriptor is a socket, for [`corten_sandbox::receive_terminal`].
///
/// # Errors
/// Input where the container does not run.
pub fn exec(
    containers: &Containers,
    container: &Container,
    process: Process,
    streams: [BorrowedFd<'_>; 3],
) -> Result<Exec, Failure> {
    running(&containers.state(&container.id), container)?;
    let connection = connect(containers, container)?;
    post::send(&connection, &Ask::Start { process: Box::new(process) })
        .and_then(|()| post::send_descriptors(&connection, &streams))
        .map_err(|error| failed("asking", &containers.folder(&container.id), &error))?;
    Ok(Exec { connection })
}

impl Exec {
    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        let _ = post::send(&self.connection, &Ask::Signal(number));
    }

    /// Waits for its end.
    pub fn wait(&self) -> Outcome {
        match post::receive(&self.connection) {
            Ok(Some(Reply::Ended(end))) => explained(end, &[], 0),
            Ok(Some(Reply::Failed { message, is_input, not_started })) => {
                let failure = if is_input { Failure::input(message) } else { Failure::world(message) };
                Outcome::failed(failure, not_started)
            }
            Ok(Some(Reply::Done) | None) | Err(_) => explained(End::Killed, &[], 0),
        }
    }
}
