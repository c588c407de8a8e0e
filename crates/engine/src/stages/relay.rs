//! An agent's socket for a RUN: one of ours, which passes on what is said.
//!
//! An agent serves its owner alone, by the peer's id; within a sandbox all ids are others. So who connects here is passed on by us.
//! The socket lies in a folder that nobody else may enter, and is mounted from there.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// Connections at a time.
const MOST: usize = 64;

/// Ends its listening with this value.
pub(super) struct Relay {
    path: PathBuf,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens in a private folder for those who want `agent`.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn start(folder: &Path, agent: PathBuf) -> io::Result<Self> {
        // A socket's name has at most 107 bytes; that of a descriptor is short.
        let open = std::fs::File::open(folder)?;
        let short = |name: &str| format!("/proc/self/fd/{}/{name}", open.as_raw_fd());
        let listener = UnixListener::bind(short("agent"))?;
        let path = folder.join("agent");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
            let count = Arc::new(AtomicUsize::new(0));
            for inside in listener.incoming() {
                if end.load(Ordering::Acquire) {
                    return;
                }
                let Ok(inside) = inside else { continue };
                if count.fetch_add(1, Ordering::AcqRel) >= MOST {
                    count.fetch_sub(1, Ordering::AcqRel);
                    continue;
                }
                let (agent, left) = (agent.clone(), count.clone());
                let served = move || {
                    // Whoever asked sees the end of his connection.
                    drop(pass(&inside, &agent));
                    left.fetch_sub(1, Ordering::AcqRel);
                };
                if thread::Builder::new().spawn(served).is_err() {
                    count.fetch_sub(1, Ordering::AcqRel);
                }
            }
        })?;
        Ok(Self { path, ended, thread: Some(thread) })
    }

    /// The socket.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let wake = self.path.parent().and_then(|folder| std::fs::File::open(folder).ok());
        let woken = wake.map(|open| UnixStream::connect(format!("/proc/self/fd/{}/agent", open.as_raw_fd())));
        if let (Some(Ok(_)), Some(thread)) = (woken, self.thread.take()) {
            drop(thread.join());
        }
    }
}

fn pass(inside: &UnixStream, agent: &Path) -> io::Result<()> {
    let outside = UnixStream::connect(agent)?;
    let (mut from, mut to) = (inside.try_clone()?, outside.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(move || {
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
        });
        drop(io::copy(&mut &outside, &mut &*inside));
        drop(inside.shutdown(Shutdown::Both));
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_said_is_passed_on_both_ways_and_the_end_ends() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("real");
        let listener = UnixListener::bind(&agent).unwrap();
        let answering = thread::spawn(move || {
            let (mut asked, _) = listener.accept().unwrap();
            let mut question = Vec::new();
            asked.read_to_end(&mut question).unwrap();
            asked.write_all(&question.repeat(2)).unwrap();
        });
        let place = folder.path().join("x".repeat(120));
        std::fs::create_dir(&place).unwrap();
        let relay = Relay::start(&place, agent).unwrap();
        let open = std::fs::File::open(&place).unwrap();
        let mut inside = UnixStream::connect(format!("/proc/self/fd/{}/agent", open.as_raw_fd())).unwrap();
        inside.write_all(b"who").unwrap();
        inside.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        inside.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "whowho");
        answering.join().unwrap();
        drop(relay);
        assert!(UnixStream::connect(format!("/proc/self/fd/{}/agent", open.as_raw_fd())).is_err());
    }
}
