//! One process in one root file system, as root and rootless, without a daemon.
//!
//! It carries what Corten does not trust: the build back ends of sdists, the `RUN` steps of Dockerfiles, the interpreter of a
//! base. A [`Sandbox`] says everything that the process gets; [`Sandbox::run`] says how it ended.
//!
//! ```text
//!  the program            S, outside                     C, pid 1 inside              the process
//!  Sandbox::run ──spawn──► init(): cgroup, clone ───────► root, mounts, pivot_root ──► ids, capabilities, filter
//!     ▲  ▲ order, fds      id maps, idmapped trees ─fds─► reaps, counts, watches       execve
//!     │  └──── report ──── time, cgroup events ◄─report──                                │
//!     └──────────────────────────── pipes of output, bounded ◄───────────────────────────┘
//! ```
//!
//! S is the program itself, started again with the argument [`ARGUMENT`]: a process of one thread, which may fork and
//! allocate, and holds nothing of the caller's but the order and three descriptors. A program that uses this crate calls
//! [`init`] where its first argument is that one. S lives in the caller's namespaces; C is a clone of it in new ones (user,
//! mount, pid, ipc, uts, cgroup, and net unless the host's is asked for). There is no time namespace: its clocks would have
//! the host's offsets and hide nothing.
//!
//! **Nothing survives.** When S or the caller dies, by whatever, C gets SIGKILL (parent death signal) and sees its socket end;
//! with C, which is pid 1, the kernel kills its namespace, and with that go mounts and network. No temporary folder is used:
//! what a sandbox needs besides its root lies in one tmpfs that only its mount namespace has. An empty cgroup is what a killed
//! S may leave; the next sandbox removes it.
//!
//! **Ids.** For root, inside 0…65535 are a range of host ids that belong to no one (524288 + n × 65536, n from the pid of S),
//! and every tree is mounted through an id map, so that owners on disk are the image's own while a process that broke
//! out would own nothing, and limits per user count this sandbox alone. Where a kernel or file system has no
//! such mounts (before 5.19; NFS and others), inside and outside ids are the same, still in a user namespace, so without a
//! capability outside; [`Note::IdsNotShifted`] says so, and [`Ids::Same`] asks for it. For others, `newuidmap` with the ranges of
//! `/etc/subuid` where both are there; else one id: the process's user is the caller, and there are no other users. A program whose
//! files shall have such owners goes into a namespace with these ranges first ([`enter_ranges`]), and is root from then on;
//! programs of the caller's it starts as him ([`as_caller`]).
//!
//! **More of them.** A [`Remote`] starts further processes in the same sandbox: C, which is inside already, is their parent too, so
//! nothing enters namespaces from outside. A terminal is made in C's own devpts, by descriptor (TIOCGPTPEER), and its other side
//! goes to the caller over a socket.
//!
//! **Network.** Its own with nothing but a loopback, the host's, or its own joined to the host's by pasta in user space, as root
//! and rootless alike ([`Network::Own`]).
//!
//! **Limits.** With cgroup v2 (a parent cgroup that we may make children in and that has `memory` and `pids`) the kernel counts all
//! processes together. Without, each process has its limits (RLIMIT_DATA, RLIMIT_NPROC where it counts per user namespace,
//! Linux 5.14) and C adds them up every few milliseconds and ends everything above; that is a watch, not a wall:
//! [`Note::LimitsNotEnforced`]. Cgroups of version 1 serve root as well.
//!
//! **What it needs.** Linux 5.12 (5.11 for overlays in user namespaces, 5.12 for `mount_setattr`), user namespaces, a `/proc` that is not
//! masked. Tested, as root and as nobody, on Linux 6.18 (user namespaces for everyone, overlayfs in them, cgroup v1 beside a v2
//! without controllers: limits are watched) and on Debian 12's Linux 6.1 with cgroup v2 delegated (limits are enforced).
//!
//! **What is not limited.** The space that [`Upper::Keep`] and writable binds take on disk. Where limits are only watched, pages of
//! a shared mapping that a process lets go of with madvise; memfd and System V memory are refused there (ENOSYS).

#![warn(clippy::undocumented_unsafe_blocks)]

mod capabilities;
mod inside;
mod outside;
mod passage;
mod sandbox;
mod signals;
mod streams;
mod system;
mod trouble;
mod wire;

pub use outside::{ARGUMENT, Caller, as_caller, caller, enter_ranges, init, pasta};
pub use passage::Passage;
pub use sandbox::{
    Capabilities, Content, EachLimit, End, Excess, Exit, Helper, Ids, Limit, Limits, Mount, Network, Note, Port,
    Process, Root, Sandbox, Upper, Window,
};
pub use signals::Signals;
pub use streams::{Another, Output, Remote, Stdin, Streams, receive_terminal};
pub use trouble::{NotStarted, not_started};

/// Messages and descriptors over a socket, for programs that talk about sandboxes.
pub mod post {
    pub use crate::wire::{receive, receive_descriptors, send, send_descriptors};
}
