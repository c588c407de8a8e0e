//! C: pid 1 of the sandbox. It builds the root, starts the process, reaps what is orphaned, and ends everything.
//!
//! It keeps its capabilities in the new namespaces, and the process shares its pid namespace: so it is not dumpable, and
//! because it was executed outside, no capability inside opens its memory, its descriptors or its program's file.

mod fill;
mod filter;
mod root;
mod start;
mod watch;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{Gid, Uid};

pub(crate) use root::{Known, known, open_all};

use crate::sandbox::{End, Network, Process, Sandbox};
use crate::system;
use crate::trouble::{Outcome, Step, Trouble};
use crate::wire::{self, Demand, Go, Word};
use root::NewRoot;
use watch::Watch;

/// What C is born with.
pub(crate) struct Inside<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) socket: UnixStream,
    /// stdin, stdout, stderr of the process.
    pub(crate) streams: [OwnedFd; 3],
    /// Sources that descriptors name.
    pub(crate) known: &'a [Option<Known>],
}

impl Inside<'_> {
    /// Everything that C does. It never comes back: it is a copy of S in the middle of S's work.
    pub(crate) fn live(self) -> ! {
        if let Err(trouble) = self.try_to_live() {
            // S may be gone: then nobody wants to know.
            let _ = wire::send(&self.socket, &Word::Failed(trouble));
        }
        system::exit(0)
    }

    fn try_to_live(&self) -> Outcome<()> {
        self.keep_only_ours().step(|| "close what is the host's".into())?;
        // The kernel's killer takes the process before anything of the host's. Now: a change of ids closes the file to us.
        let _ = std::fs::write("/proc/self/oom_score_adj", "500");
        rustix::process::umask(rustix::fs::Mode::empty());
        let go: Go = match wire::receive(&self.socket).step(|| "hear from outside".into())? {
            Some(go) => go,
            None => system::exit(0),
        };
        let trees = wire::receive_descriptors(&self.socket, go.trees).step(|| "get the trees".into())?;
        self.become_owner(go.many_ids)?;
        let root = self.build(trees, &go)?;
        self.hide()?;
        let mut watch = Watch::new(&self.sandbox.limits, go.watch)?;
        root.enter()?;
        let signals = system::signals(&[libc::SIGCHLD]).step(|| "wait for signals".into())?;
        let early = if go.await_network { self.await_network() } else { Vec::new() };
        let born = Born { go: &go, terminals: root.terminals() };
        let process = self.start(&self.sandbox.process, &self.streams, &born).inspect_err(|_| {
            system::kill(-1, libc::SIGKILL);
        })?;
        let _ = wire::send(&self.socket, &Word::Up);
        early.into_iter().for_each(|signal| system::kill(process, signal));
        let end = self.wait(process, &signals, &mut watch, &born);
        end_everyone();
        root.clean_up();
        if let Some(end) = end {
            let word = Word::Ended { end, peak_memory: watch.peak_memory() };
            wire::send(&self.socket, &word).step(|| "answer".into())?;
        }
        Ok(())
    }

    fn keep_only_ours(&self) -> std::io::Result<()> {
        let [stdin, stdout, stderr] = &self.streams;
        let keep = [stdin, stdout, stderr].map(AsRawFd::as_raw_fd);
        system::close_all_but(&[keep[0], keep[1], keep[2], self.socket.as_raw_fd()])
    }

    /// Takes the ids that own what we make: without them the namespace's files belong to nobody.
    fn become_owner(&self, many_ids: bool) -> Outcome<()> {
        let process = &self.sandbox.process;
        let (user, group) = if many_ids { (0, 0) } else { (process.user, process.group) };
        let step = || "take the ids of the user namespace".to_owned();
        if many_ids {
            rustix::thread::set_thread_groups(&[]).step(step)?;
        }
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::thread::set_thread_res_gid(group, group, group).step(step)?;
        rustix::thread::set_thread_res_uid(user, user, user).step(step)?;
        // After the change of ids, which clears it; S's end is seen on the socket too.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step(step)?;
        rustix::process::setsid().step(|| "start a session".into())?;
        system::leave_keyrings();
        Ok(())
    }

    fn build(&self, trees: Vec<OwnedFd>, go: &Go) -> Outcome<NewRoot> {
        let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).step(|| "keep mounts to itself".into())?;
        let trees = if trees.is_empty() { open_all(self.sandbox, self.known)? } else { trees };
        let root = root::build(self.sandbox, trees, go.many_ids)?;
        if self.sandbox.network != Network::Host {
            system::loopback_up().step(|| "bring up the loopback".into())?;
        }
        rustix::system::sethostname(self.sandbox.hostname.as_bytes()).step(|| "set the host name".into())?;
        Ok(root)
    }

    fn hide(&self) -> Outcome<()> {
        let step = || "hide its own memory".to_owned();
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).step(step)
    }

    /// Waits until there is a network; the signals that came meanwhile.
    fn await_network(&self) -> Vec<i32> {
        let mut early = Vec::new();
        loop {
            match wire::receive(&self.socket) {
                Ok(Some(Demand::NetworkIsUp)) => return early,
                Ok(Some(Demand::Signal(number))) => early.push(number),
                Ok(Some(Demand::Start { .. })) => drop(wire::receive_descriptors(&self.socket, 3)),
                Ok(Some(Demand::SignalOther { .. })) => {}
                Ok(Some(Demand::Stop) | None) | Err(_) => system::exit(0),
            }
        }
    }

    /// Starts a process and waits until it executes.
    fn start(&self, process: &Process, streams: &[OwnedFd; 3], born: &Born<'_>) -> Outcome<i32> {
        let (ours, theirs) = UnixStream::pair().step(|| "make a socket".into())?;
        let child = system::clone(0, None).step(|| "start a process".into())?;
        let Some(child) = child else {
            drop(ours);
            let trouble = start::start(process, &self.sandbox.limits, streams, born);
            let _ = wire::send(&theirs, &trouble);
            system::exit(127)
        };
        drop(theirs);
        match wire::receive::<Trouble>(&ours).step(|| "hear from the process".into())? {
            Some(trouble) => Err(trouble),
            None => Ok(child.pid.as_raw_nonzero().get()),
        }
    }

    /// Waits for the process's end, or for the order to stop (`None`).
    fn wait(&self, process: i32, signals: &OwnedFd, watch: &mut Watch, born: &Born<'_>) -> Option<End> {
        let mut peak = 0;
        let mut others = BTreeMap::new();
        loop {
            while let Ok(Some(waited)) = system::reap() {
                peak = peak.max(waited.peak_memory);
                if waited.pid == process {
                    return Some(watch.judge(end_of(waited.status), peak));
                }
                if let Some(number) = others.remove(&waited.pid) {
                    let _ = wire::send(&self.socket, &Word::Other { number, end: Ok(end_of(waited.status)) });
                }
            }
            if let Some(limit) = watch.look() {
                return Some(End::Limit(limit));
            }
            let mut ready = [
                PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            ];
            let pause = watch.pause().map(timespec);
            if poll(&mut ready, pause.as_ref()).is_err() {
                continue;
            }
            if !ready[1].revents().is_empty() {
                let mut buffer = [0; 1024];
                let _ = rustix::io::read(signals, &mut buffer);
            }
            if !ready[0].revents().is_empty() {
                match wire::receive(&self.socket) {
                    Ok(Some(Demand::Signal(number))) => system::kill(process, number),
                    Ok(Some(Demand::Start { number, process })) => {
                        others.extend(self.start_other(number, &process, born).map(|pid| (pid, number)));
                    }
                    Ok(Some(Demand::SignalOther { number, signal })) => {
                        let other = others.iter().find(|(_, known)| **known == number);
                        other.into_iter().for_each(|(pid, _)| system::kill(*pid, signal));
                    }
                    Ok(Some(Demand::NetworkIsUp)) => {}
                    Ok(Some(Demand::Stop) | None) | Err(_) => return None,
                }
            }
        }
    }

    /// Starts another process beside the first; its pid.
    fn start_other(&self, number: u32, process: &Process, born: &Born<'_>) -> Option<i32> {
        let started = wire::receive_descriptors(&self.socket, 3)
            .and_then(|streams| streams.try_into().map_err(|_| std::io::ErrorKind::InvalidData.into()))
            .step(|| "get stdin, stdout and stderr".into())
            .and_then(|streams: [OwnedFd; 3]| self.start(process, &streams, born));
        started
            .inspect_err(|trouble| {
                let _ = wire::send(&self.socket, &Word::Other { number, end: Err(trouble.clone()) });
            })
            .ok()
    }
}

/// What every process of the sandbox is born into.
struct Born<'a> {
    go: &'a Go,
    /// Where terminals are made.
    terminals: Option<&'a OwnedFd>,
}

/// Kills all that is left and waits until it is gone.
fn end_everyone() {
    loop {
        system::kill(-1, libc::SIGKILL);
        if system::wait_for(-1).is_err() {
            return;
        }
    }
}

fn end_of(status: i32) -> End {
    if libc::WIFSIGNALED(status) { End::Signal(libc::WTERMSIG(status)) } else { End::Status(libc::WEXITSTATUS(status)) }
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
