//! S: the program started again, in the caller's namespaces. It gives C its ids, trees and cgroup, keeps the time, and answers.

mod cgroup;
mod cgroup_old;
mod ids;
mod network;
mod refusal;

pub use ids::{Caller, as_caller, caller, enter_ranges};
pub use network::pasta;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};

use crate::inside::{self, Inside, timespec};
use crate::sandbox::{Capabilities, End, Exit, Ids, Limit, Limits, Network, Note, Process, Root, Sandbox, Upper};
use crate::system::{self, Attributes, Child};
use crate::trouble::{Outcome, Step, Trouble};
use crate::wire::{self, Answer, Demand, Go, Order, Request, Word};
use cgroup::Cgroup;
use ids::Map;
use network::Pasta;

/// The first argument of a program that is to become a sandbox's [`init`].
pub const ARGUMENT: &str = "sandbox-init";

/// How often a cgroup is asked whether it has refused a process.
const GLANCE: Duration = Duration::from_millis(50);
/// How long C may take to clean up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Becomes S: carries out the one order that comes on descriptor 0. To be called at the beginning of `main`, before any thread
/// is started, when the first argument is [`ARGUMENT`]. Gives the exit status.
pub fn init() -> u8 {
    match serve() {
        Ok(()) => 0,
        // Nobody listens: stdout and stderr are not ours.
        Err(_) => 1,
    }
}

fn serve() -> io::Result<()> {
    // A terminal's signals are the caller's business, who ends us by closing the socket.
    let _ = rustix::process::setsid();
    let socket = UnixStream::from(system::take_stdin()?);
    let streams = wire::receive_descriptors(&socket, 3)?;
    let streams: [OwnedFd; 3] = streams.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    let Some(Order { sandbox }) = wire::receive(&socket)? else { return Ok(()) };
    let answer = match carry_out(&sandbox, &socket, streams) {
        Ok(exit) => Answer::Ended(exit),
        Err(trouble) => Answer::Failed(refusal::explain(trouble)),
    };
    wire::send(&socket, &answer)
}

fn carry_out(sandbox: &Sandbox, caller: &UnixStream, streams: [OwnedFd; 3]) -> Outcome<Exit> {
    check(sandbox)?;
    let mut notes = Vec::new();
    let map = choose_map(sandbox, &mut notes);
    if !map.has_many() && !sandbox.process.groups.is_empty() {
        notes.push(Note::GroupsNotSet);
    }
    let mut cgroup = cgroup_for(sandbox, &mut notes);
    let known = inside::known(sandbox);
    let attempt = Attempt { sandbox, caller, streams: &streams, map: &map, known: &known };
    let exit = match attempt.run(&mut cgroup, &mut notes)? {
        Tried::Ended(exit) => exit,
        Tried::CannotShift(why) => {
            // Who is root inside would be root outside, and could take away what hides the host's settings.
            if sandbox.process.capabilities.has(Capabilities::SYS_ADMIN) {
                return Err(Trouble::world(format!("CAP_SYS_ADMIN would reach the host here: {why}")));
            }
            notes.push(Note::IdsNotShifted(why));
            let map = Map::same();
            let attempt = Attempt { map: &map, ..attempt };
            match attempt.run(&mut cgroup, &mut notes)? {
                Tried::Ended(exit) => exit,
                Tried::CannotShift(why) => return Err(Trouble::world(why)),
            }
        }
    };
    Ok(Exit { notes, ..exit })
}

fn check(sandbox: &Sandbox) -> Outcome<()> {
    match &sandbox.root {
        Root::Overlay { lower, .. } if lower.is_empty() || lower.len() > 500 => Err(Trouble::input(format!(
            "cannot set up the sandbox: {} lower folders (1 to 500 are possible)",
            lower.len()
        ))),
        _ => Ok(()),
    }
}

fn choose_map(sandbox: &Sandbox, notes: &mut Vec<Note>) -> Map {
    let map = Map::choose(sandbox.ids, notes);
    let is_shifted = matches!(map, Map::Shifted { .. });
    if is_shifted && system::release() < (5, 19) && matches!(sandbox.root, Root::Overlay { .. }) {
        notes.push(Note::IdsNotShifted("overlayfs on idmapped mounts needs Linux 5.19".into()));
        return Map::same();
    }
    if sandbox.ids == Ids::Shifted && matches!(map, Map::Same { .. }) && !ids::is_rootless() {
        notes.push(Note::IdsNotShifted("the caller is itself in a user namespace".into()));
    }
    map
}

fn cgroup_for(sandbox: &Sandbox, notes: &mut Vec<Note>) -> Option<Cgroup> {
    let limits = &sandbox.limits;
    if limits.memory.is_none() && limits.processes.is_none() && limits.cpu.is_none() {
        return None;
    }
    match Cgroup::make(limits) {
        Ok(cgroup) => Some(cgroup),
        Err(why) => {
            not_enforced(limits, why, notes);
            None
        }
    }
}

/// Says that there is no cgroup, and gives processors out in whole ones: C inherits ours.
fn not_enforced(limits: &Limits, why: String, notes: &mut Vec<Note>) {
    if let Some(cpu) = limits.cpu {
        let count = usize::try_from(cpu.div_ceil(1000)).unwrap_or(usize::MAX);
        let taken = system::take_processors(count).map_or_else(|error| format!("{why}; {error}"), |()| why.clone());
        notes.push(Note::CpuNotEnforced(taken));
    }
    if limits.memory.is_some() || limits.processes.is_some() {
        notes.push(Note::LimitsNotEnforced(why));
    }
}

enum Tried {
    Ended(Exit),
    CannotShift(String),
}

/// One C, from its birth to its end.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    sandbox: &'a Sandbox,
    caller: &'a UnixStream,
    streams: &'a [OwnedFd; 3],
    map: &'a Map,
    known: &'a [Option<inside::Known>],
}

impl Attempt<'_> {
    fn run(&self, cgroup: &mut Option<Cgroup>, notes: &mut Vec<Note>) -> Outcome<Tried> {
        let (socket, theirs) = UnixStream::pair().step(|| "make a socket".into())?;
        let child = self.give_birth(theirs, cgroup, notes)?;
        let result = self.raise(&child, &socket, cgroup.as_ref());
        // Whatever happened: with C, everything of the sandbox is gone when this returns.
        let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
        let waited = system::wait_for(child.pid.as_raw_nonzero().get());
        self.tidy_up();
        let seen = match result? {
            Raised::CannotShift(why) => return Ok(Tried::CannotShift(why)),
            Raised::Lived(seen) => seen,
        };
        let waited = waited.step(|| "wait for pid 1".into())?;
        let reached = cgroup.as_ref().and_then(Cgroup::reached);
        let counted = cgroup.as_ref().map(Cgroup::counted);
        let end = match (seen.ordered, reached, seen.end) {
            (Some(end), _, _) => end,
            (None, Some(limit), None | Some(End::Signal(_))) => End::Limit(limit),
            (None, _, Some(end)) => end,
            (None, None, None) => return Err(seen.failed.unwrap_or_else(|| died(waited.status))),
        };
        let (cpu, peak) = counted.map_or((None, None), |counted| (counted.cpu, counted.peak_memory));
        Ok(Tried::Ended(Exit {
            end,
            cpu: cpu.unwrap_or(waited.cpu),
            wall: seen.wall,
            peak_memory: peak.unwrap_or_else(|| seen.peak_memory.max(waited.peak_memory)),
            notes: Vec::new(),
        }))
    }

    /// Clones C, in its cgroup if there is one that takes it.
    fn give_birth(&self, socket: UnixStream, cgroup: &mut Option<Cgroup>, notes: &mut Vec<Note>) -> Outcome<Child> {
        let network = if self.sandbox.network == Network::Host { 0 } else { libc::CLONE_NEWNET };
        let flags = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP
            | network;
        let place = cgroup.as_ref().and_then(Cgroup::open);
        let child = match system::clone(flags, place.as_ref().map(AsFd::as_fd)) {
            Err(error) if place.is_some() => {
                *cgroup = None;
                let why = format!("cannot start in a cgroup of its own: {error}");
                not_enforced(&self.sandbox.limits, why, notes);
                system::clone(flags, None)
            }
            child => child,
        };
        match child.step(|| "make its namespaces".into()).map_err(refusal::of_namespaces)? {
            Some(child) => {
                if let Some(Err(error)) = cgroup.as_ref().map(|cgroup| cgroup.take(child.pid.as_raw_nonzero().get())) {
                    *cgroup = None;
                    let why = format!("cannot be put into a cgroup of its own: {error}");
                    not_enforced(&self.sandbox.limits, why, notes);
                }
                Ok(child)
            }
            None => {
                let streams = self.streams.each_ref().map(OwnedFd::try_clone);
                let [Ok(stdin), Ok(stdout), Ok(stderr)] = streams else { system::exit(1) };
                Inside { sandbox: self.sandbox, socket, streams: [stdin, stdout, stderr], known: self.known }.live()
            }
        }
    }

    fn raise(&self, child: &Child, socket: &UnixStream, cgroup: Option<&Cgroup>) -> Outcome<Raised> {
        let pid = child.pid.as_raw_nonzero().get();
        self.map.write(pid, &self.sandbox.process)?;
        let trees = match self.open_trees(pid)? {
            Ok(trees) => trees,
            Err(why) => return Ok(Raised::CannotShift(why)),
        };
        let mut pasta = Pasta::start(&self.sandbox.network, pid)?;
        let go = Go {
            trees: trees.len(),
            many_ids: self.map.has_many(),
            watch: cgroup.is_none(),
            await_network: pasta.is_some(),
        };
        let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
        wire::send(socket, &go)
            .and_then(|()| wire::send_descriptors(socket, &trees))
            .step(|| "pass trees to pid 1".into())?;
        if let Some(pasta) = &mut pasta {
            pasta.wait()?;
            // Where C is gone, what it said tells why.
            let _ = wire::send(socket, &Demand::NetworkIsUp);
        }
        self.look_after(child, socket, cgroup).map(Raised::Lived)
    }

    /// For root: the trees of the root and the binds, with the ids of C. Others leave it to C, who may.
    fn open_trees(&self, pid: i32) -> Outcome<Result<Vec<OwnedFd>, String>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Ok(Vec::new()));
        }
        let trees = inside::open_all(self.sandbox, &[])?;
        if let Map::Shifted { .. } = self.map {
            let ids = fs::File::open(format!("/proc/{pid}/ns/user")).step(|| "open its user namespace".into())?;
            for tree in &trees {
                let shift = Attributes { set: 0, ids: Some(ids.as_fd()) };
                if let Err(error) = system::set_attributes(tree.as_fd(), shift) {
                    return Ok(Err(format!(
                        "a file system of the root or a mount cannot be mounted with other ids: {error}"
                    )));
                }
            }
        }
        Ok(Ok(trees))
    }

    /// Waits for C, its words, the caller's requests and the limits.
    fn look_after(&self, child: &Child, socket: &UnixStream, cgroup: Option<&Cgroup>) -> Outcome<Seen> {
        let start = Instant::now();
        let deadline = self.sandbox.limits.time.and_then(|time| start.checked_add(time));
        let mut seen = Seen::default();
        loop {
            let pause =
                [deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())), cgroup.map(|_| GLANCE)];
            let pause = pause.into_iter().flatten().min().map(timespec);
            let mut ready = [
                PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.caller.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(child.pidfd.as_fd(), PollFlags::IN),
            ];
            match poll(&mut ready, pause.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).step(|| "wait for pid 1".into()),
            }
            let [has_word, has_request, is_dead] = ready.map(|one| !one.revents().is_empty());
            seen.wall = start.elapsed();
            if has_word || is_dead {
                if has_word && self.listen(socket, &mut seen) {
                    continue;
                }
                return Ok(seen);
            }
            seen.ordered = self.order(has_request, socket, deadline, cgroup);
            if seen.ordered.is_some() {
                stop(child, socket);
                return Ok(seen);
            }
        }
    }

    /// Takes one word of C; false when it has no more.
    fn listen(&self, socket: &UnixStream, seen: &mut Seen) -> bool {
        match wire::receive(socket) {
            Ok(Some(Word::Failed(trouble))) => seen.failed = Some(trouble),
            Ok(Some(Word::Up)) => self.tell(&Answer::Up),
            Ok(Some(Word::Other { number, end })) => self.tell(&Answer::Other { number, end }),
            Ok(Some(Word::Ended { end, peak_memory })) => (seen.end, seen.peak_memory) = (Some(end), peak_memory),
            Ok(None) | Err(_) => return false,
        }
        true
    }

    /// The caller may be gone: its requests will say so.
    fn tell(&self, answer: &Answer) {
        let _ = wire::send(self.caller, answer);
    }

    /// Passes on the order to start another process.
    fn start_other(&self, socket: &UnixStream, number: u32, process: Box<Process>) -> io::Result<()> {
        let streams = wire::receive_descriptors(self.caller, 3)?;
        wire::send(socket, &Demand::Start { number, process })?;
        let streams: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
        wire::send_descriptors(socket, &streams)
    }

    /// Why everything is to end now.
    fn order(
        &self,
        has_request: bool,
        socket: &UnixStream,
        deadline: Option<Instant>,
        cgroup: Option<&Cgroup>,
    ) -> Option<End> {
        if has_request {
            match wire::receive(self.caller) {
                Ok(Some(Request::Signal(number))) => {
                    let _ = wire::send(socket, &Demand::Signal(number));
                }
                Ok(Some(Request::SignalOther { number, signal })) => {
                    let _ = wire::send(socket, &Demand::SignalOther { number, signal });
                }
                Ok(Some(Request::Start { number, process })) => {
                    if self.start_other(socket, number, process).is_err() {
                        return Some(End::Killed);
                    }
                }
                Ok(Some(Request::End(end))) => return Some(end),
                Ok(None) | Err(_) => return Some(End::Killed),
            }
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Some(End::Limit(Limit::Time));
        }
        cgroup.and_then(Cgroup::reached).map(End::Limit)
    }

    /// Overlayfs' own folder is of no use to anyone after it.
    fn tidy_up(&self) {
        if let Root::Overlay { upper: Upper::Keep(folder), .. } = &self.sandbox.root {
            let work = folder.join("work");
            // The kernel's own, of mode 0, with the whiteouts that it keeps in stock.
            let _ = fs::set_permissions(work.join("work"), fs::Permissions::from_mode(0o700));
            let _ = fs::remove_dir_all(work);
        }
    }
}

enum Raised {
    Lived(Seen),
    CannotShift(String),
}

/// What was seen of C's life.
#[derive(Default)]
struct Seen {
    ordered: Option<End>,
    end: Option<End>,
    failed: Option<Trouble>,
    peak_memory: u64,
    wall: Duration,
}

/// Lets C end everything and clean up; S kills it if that takes too long.
fn stop(child: &Child, socket: &UnixStream) {
    if wire::send(socket, &Demand::Stop).is_ok() {
        let mut ready = [PollFd::from_borrowed_fd(child.pidfd.as_fd(), PollFlags::IN)];
        let _ = poll(&mut ready, Some(&timespec(PATIENCE)));
    }
}

fn died(status: i32) -> Trouble {
    let how = if libc::WIFSIGNALED(status) {
        format!("signal {}", libc::WTERMSIG(status))
    } else {
        format!("status {status}")
    };
    Trouble::world(format!("the sandbox was killed from outside ({how})"))
        .hint("the kernel does so when the machine has no memory left: see its log (dmesg)")
}
