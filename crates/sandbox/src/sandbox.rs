//! What a process gets, and how it ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::outside::ARGUMENT;

/// One process in one root file system: everything that it gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    /// What it sees as `/`.
    pub root: Root,
    /// What is mounted in the root, in this order. Nothing is there unasked: no `/proc`, no `/dev`.
    pub mounts: Vec<Mount>,
    /// The process.
    pub process: Process,
    /// What network there is.
    pub network: Network,
    /// Where it ends.
    pub limits: Limits,
    /// The host name inside.
    pub hostname: String,
    /// Which ids the host sees, where the caller is root.
    pub ids: Ids,
    /// The program that becomes pid 1.
    #[serde(skip)]
    pub helper: Helper,
}

/// A program that calls [`init`](crate::init) when it gets [`ARGUMENT`] as its first argument.
#[derive(Debug, Clone)]
pub struct Helper {
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// What it is given.
    pub arguments: Vec<OsString>,
}

impl Default for Helper {
    /// This program itself, even where its file was replaced meanwhile.
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec![ARGUMENT.into()] }
    }
}

/// What the process sees as `/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Root {
    /// One folder. Folders and files that [`Mount`]s need are made in it, and removed at the end if they are still empty.
    Folder {
        /// The folder.
        path: PathBuf,
        /// No file of it can be changed.
        read_only: bool,
    },
    /// Folders on top of each other, by overlayfs. Opaque folders of the upper are marked `user.overlay.opaque`.
    Overlay {
        /// The lower folders, the uppermost first (as in overlayfs' own option); at most 500.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: Upper,
    },
}

/// Where the changes in an overlay go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Upper {
    /// Into `upper/` in this folder, which also gets `work/` for as long as the process runs; not on overlayfs itself.
    Keep(PathBuf),
    /// Into memory, at most so many bytes, gone at the end. Before Linux 6.6 (no `user.` attributes on tmpfs) a folder of a
    /// lower cannot be removed and made again.
    Discard(u64),
    /// Nowhere: nothing of the root can be changed. Targets of [`Mount`]s are made in memory all the same.
    ReadOnly,
}

/// Something mounted in the root. Symbolic links in targets are followed within the root; those of `/proc`, `/dev` and `/sys`
/// are refused. Missing targets are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Mount {
    /// A folder or file of the host, without what is mounted beneath it where the kernel allows that.
    Bind {
        /// On the host; links in it are followed.
        source: PathBuf,
        /// In the root.
        target: PathBuf,
        /// Nothing of it can be changed.
        read_only: bool,
    },
    /// A folder of the host that, while it is empty, is first filled with what the root has there: content, owners, modes, times,
    /// links and attributes.
    Volume {
        /// On the host; links in it are followed.
        source: PathBuf,
        /// In the root.
        target: PathBuf,
        /// Nothing of it can be changed.
        read_only: bool,
    },
    /// A folder of the root itself, made where it is missing, which stays.
    Folder(PathBuf),
    /// A folder in memory.
    Tmpfs {
        /// In the root.
        target: PathBuf,
        /// At most so many bytes.
        size: u64,
        /// The folder's mode.
        mode: u32,
    },
    /// `/proc` of the sandbox's processes, with what docker masks masked.
    Proc,
    /// `/dev` with null, zero, full, random, urandom, tty, pts, fd, and shm of so many bytes.
    Dev {
        /// Bytes of `/dev/shm`.
        shm: u64,
    },
    /// `/sys`, read-only; only with a network of its own.
    Sys,
    /// A file in memory, never on disk, read-only.
    Secret {
        /// In the root.
        target: PathBuf,
        /// The file's mode.
        mode: u32,
        /// The file's owner inside.
        user: u32,
        /// The file's group inside.
        group: u32,
        /// What is in it.
        content: Content,
    },
}

/// The bytes of a secret, which no message shows.
#[derive(Clone, Serialize, Deserialize)]
pub struct Content(pub Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}

/// The process itself. Ids are numbers: nothing inside, no `/etc/passwd`, has a say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Process {
    /// The program and its arguments; a name without a slash is looked up in `PATH` of `environment`, inside.
    pub arguments: Vec<OsString>,
    /// Exactly the environment: nothing is added.
    #[serde(with = "pairs")]
    pub environment: BTreeMap<OsString, OsString>,
    /// Where it starts, inside; must be there.
    pub folder: PathBuf,
    /// The user inside.
    pub user: u32,
    /// The group inside.
    pub group: u32,
    /// The other groups inside.
    pub groups: Vec<u32>,
    /// The mask of modes of new files.
    pub umask: u32,
    /// What it may do in its own namespaces. Never anything outside.
    pub capabilities: Capabilities,
    /// Programs with setuid, setgid or file capabilities give nothing.
    pub no_new_privileges: bool,
    /// It reaches no abstract socket of a process outside, which the host's network has all of. Nothing on kernels that cannot
    /// (Landlock's scopes: Linux 6.12).
    #[serde(default)]
    pub no_abstract_sockets: bool,
    /// It runs in a terminal of its own of this size; who started it gets the other side
    /// ([`Streams::terminal`](crate::Streams::terminal)).
    #[serde(default)]
    pub terminal: Option<Window>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Process {
    /// Root without any capability, with an empty environment, in `/`.
    pub fn new(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            folder: "/".into(),
            user: 0,
            group: 0,
            groups: Vec::new(),
            umask: 0o022,
            capabilities: Capabilities::NONE,
            no_new_privileges: true,
            no_abstract_sockets: false,
            terminal: None,
        }
    }
}

/// JSON has only texts for keys.
mod pairs {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Map = BTreeMap<OsString, OsString>;

    pub(super) fn serialize<S: Serializer>(map: &Map, serializer: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

/// A set of capabilities (capabilities(7)), as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// What docker gives to containers: what installers need (chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
    /// net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap).
    pub const CONTAINER: Self = Self(0xa804_25fb);
    /// Every one: for `RUN --security=insecure`. Still none outside the namespaces.
    pub const ALL: Self = Self(u64::MAX);

    pub(crate) const SYS_CHROOT: u32 = 18;
    pub(crate) const SYS_PTRACE: u32 = 19;
    pub(crate) const SYS_ADMIN: u32 = 21;

    pub(crate) fn has(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// What network there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Its own loopback and nothing else.
    None,
    /// The host's, with its loopback and its abstract sockets: only for what is trusted with them.
    Host,
    /// Its own, joined to the host's by a program in user space (pasta, see [`pasta`](crate::pasta)): outward connections go, the
    /// host's loopback is out of reach, and inward come only the ports that are named.
    Own {
        /// pasta, by its absolute path.
        helper: PathBuf,
        /// What is let in.
        ports: Vec<Port>,
        /// Queries of names that are sent to this address go where the host sends its own.
        resolver: Option<Ipv4Addr>,
    },
}

/// A port of the host whose connections go to one inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The address of the host that it is bound to.
    pub address: IpAddr,
    /// On the host.
    pub host: u16,
    /// Inside.
    pub inside: u16,
    /// UDP, not TCP.
    pub is_udp: bool,
}

/// Where it ends. `None`: no limit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory of all processes together, without swap.
    pub memory: Option<u64>,
    /// Processes and threads at the same time.
    pub processes: Option<u64>,
    /// From start to end.
    pub time: Option<Duration>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Bytes written to sinks, both together.
    pub output: Option<u64>,
    /// Processor time, in thousandths of one processor.
    pub cpu: Option<u64>,
    /// What each process has for itself (setrlimit(2)).
    pub each: Vec<EachLimit>,
    /// What happens when there are more processes than there may be.
    pub excess: Excess,
}

/// What happens when there are more processes than [`Limits::processes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Excess {
    /// Everything ends with [`Limit::Processes`].
    #[default]
    End,
    /// No further one starts, where a cgroup counts; elsewhere everything ends.
    Refuse,
}

/// A limit of each process, setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EachLimit {
    resource: i64,
    soft: u64,
    hard: u64,
}

impl EachLimit {
    /// By the name that docker has for it: `nofile`, `nproc`, `core`, …; [`u64::MAX`] is none. `None`: no such limit.
    pub fn named(name: &str, soft: u64, hard: u64) -> Option<Self> {
        let resource = match name {
            "cpu" => libc::RLIMIT_CPU,
            "fsize" => libc::RLIMIT_FSIZE,
            "data" => libc::RLIMIT_DATA,
            "stack" => libc::RLIMIT_STACK,
            "core" => libc::RLIMIT_CORE,
            "rss" => libc::RLIMIT_RSS,
            "nproc" => libc::RLIMIT_NPROC,
            "nofile" => libc::RLIMIT_NOFILE,
            "memlock" => libc::RLIMIT_MEMLOCK,
            "as" => libc::RLIMIT_AS,
            "locks" => libc::RLIMIT_LOCKS,
            "sigpending" => libc::RLIMIT_SIGPENDING,
            "msgqueue" => libc::RLIMIT_MSGQUEUE,
            "nice" => libc::RLIMIT_NICE,
            "rtprio" => libc::RLIMIT_RTPRIO,
            "rttime" => libc::RLIMIT_RTTIME,
            _ => return None,
        };
        Some(Self { resource: i64::from(resource), soft, hard })
    }

    pub(crate) fn parts(self) -> (i64, u64, u64) {
        (self.resource, self.soft, self.hard)
    }
}

/// Which ids the host sees, where the caller is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Ids {
    /// A range that belongs to no one.
    #[default]
    Shifted,
    /// The same inside and outside: for files on file systems without idmapped mounts.
    Same,
}

/// How a process ended and what it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub end: End,
    /// Processor time of all processes.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// The most memory at one time, in bytes: of all processes as the cgroup counts it, else as far as it was seen.
    pub peak_memory: u64,
    /// What is not as it was asked for.
    pub notes: Vec<Note>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It exited with this status.
    Status(i32),
    /// This signal killed it.
    Signal(i32),
    /// It reached this limit and was ended with all that it had started.
    Limit(Limit),
    /// [`Remote::kill`](crate::Remote::kill).
    Killed,
}

/// A limit that can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Of [`Limits::memory`].
    Memory,
    /// Of [`Limits::processes`].
    Processes,
    /// Of [`Limits::time`].
    Time,
    /// Of [`Limits::output`].
    Output,
}

/// Something that is not as it was asked for, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// Memory and processes are limited one by one; their totals are watched, not enforced.
    LimitsNotEnforced(String),
    /// Ids are the same inside and outside.
    IdsNotShifted(String),
    /// There is one user and one group inside; files of others seem to be nobody's.
    OneId(String),
    /// The supplementary groups are the caller's: they cannot be changed with one id.
    GroupsNotSet,
    /// Processor time is not shared out: the processes run on as many processors as were asked for, rounded up.
    CpuNotEnforced(String),
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LimitsNotEnforced(why) => {
                write!(
                    f,
                    "limits_not_enforced: memory and processes are limited one by one and watched, their totals not enforced: {why}"
                )
            }
            Self::IdsNotShifted(why) => {
                write!(f, "ids_not_shifted: users have the same numbers inside and outside: {why}")
            }
            Self::OneId(why) => write!(f, "one_id: there is only one user inside: {why}"),
            Self::CpuNotEnforced(why) => {
                write!(f, "cpu_not_enforced: processors are only counted out, in whole ones: {why}")
            }
            Self::GroupsNotSet => f.write_str("groups_not_set: supplementary groups stay the caller's"),
        }
    }
}
