//! System calls that rustix does not wrap safely: the only `unsafe` of the workspace's sandbox, each with its reason.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::process::Pid;

/// A child that waits to be looked after.
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// clone(2) with `flags` (CLONE_NEW…); `None` in the child. `cgroup`: the child starts there.
///
/// # Safety for callers
/// The process must have one thread: the child goes on with a copy of everything, locks of other threads included.
pub(crate) fn clone(flags: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain numbers, for which zero means "not given".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::try_from(flags | libc::CLONE_PIDFD).unwrap_or_default();
    arguments.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= 1 << 33; // CLONE_INTO_CGROUP
        arguments.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
    }
    // SAFETY: no CLONE_VM and no stack: the child gets a copy of this process, as by fork. `arguments` outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::other("clone gave no pid"))?;
            // SAFETY: the kernel has just put a new descriptor there, which nobody else knows.
            Ok(Some(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }))
        }
    }
}

/// How a child ended, and what it and its own children took.
pub(crate) struct Waited {
    pub(crate) pid: i32,
    pub(crate) status: i32,
    pub(crate) cpu: Duration,
    /// Of the largest single process, in bytes.
    pub(crate) peak_memory: u64,
}

/// Waits for a child's end; −1: any child's.
pub(crate) fn wait_for(pid: i32) -> io::Result<Waited> {
    wait4(pid, 0)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// A child that has ended already, if there is one.
pub(crate) fn reap() -> io::Result<Option<Waited>> {
    wait4(-1, libc::WNOHANG)
}

fn wait4(pid: i32, options: i32) -> io::Result<Option<Waited>> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let options = libc::__WALL | options;
    let pid = loop {
        // SAFETY: both pointers are to locals that outlive the call.
        let pid = unsafe { libc::wait4(pid, &raw mut status, options, &raw mut usage) };
        if pid >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break pid;
        }
    };
    match pid {
        0 => Ok(None),
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => {
            let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
            let peak_memory = u64::try_from(usage.ru_maxrss).unwrap_or_default().saturating_mul(1024);
            Ok(Some(Waited { pid, status, cpu, peak_memory }))
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
        + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
}

/// Gives this process mounts of its own.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: no memory is touched; of descriptors nothing changes.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWNS) }))
}

/// kill(2); −1: every process but ourselves.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: no memory is touched.
    unsafe { libc::kill(pid, signal) };
}

/// What mount_setattr(2) changes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Attributes<'a> {
    /// MOUNT_ATTR_… to set.
    pub(crate) set: u64,
    /// The user namespace whose ids the mount shows.
    pub(crate) ids: Option<BorrowedFd<'a>>,
}

/// mount_setattr(2) of the mounts of a tree.
pub(crate) fn set_attributes(tree: BorrowedFd<'_>, attributes: Attributes<'_>) -> io::Result<()> {
    change_mount(tree, attributes, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)
}

/// Nothing of this one mount can be changed any more.
pub(crate) fn make_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ids: None };
    change_mount(mount, attributes, libc::AT_EMPTY_PATH)
}

fn change_mount(tree: BorrowedFd<'_>, attributes: Attributes<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: mount_attr is plain numbers.
    let mut change: libc::mount_attr = unsafe { std::mem::zeroed() };
    change.attr_set = attributes.set;
    if let Some(ids) = attributes.ids {
        change.attr_set |= libc::MOUNT_ATTR_IDMAP;
        change.userns_fd = u64::try_from(ids.as_raw_fd()).unwrap_or_default();
    }
    // SAFETY: the path is a literal, `change` outlives the call, the descriptor is borrowed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    })
}

/// A descriptor that becomes readable when one of `signals` arrives; they are blocked.
pub(crate) fn signals(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised and outlives the calls; signalfd gives a new descriptor, which nobody else knows.
    unsafe {
        check(libc::c_long::from(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())))?;
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(libc::c_long::from(descriptor))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Makes the terminal on descriptor 0 the controlling one of this session, whose leader we are.
pub(crate) fn control_terminal() -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    check(libc::c_long::from(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) }))
}

/// The process that a command becomes gets SIGKILL when this thread's process ends.
pub(crate) fn die_with_us(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let die = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)
    };
    // SAFETY: one system call, which is safe to make between fork and exec.
    unsafe { command.pre_exec(die) };
}

/// The process that a command becomes is in a user namespace of its own, whose ids these are (user_namespaces(7)); as it is, where
/// there can be none.
pub(crate) fn map_ids(command: &mut std::process::Command, users: String, groups: String) {
    use std::os::unix::process::CommandExt;
    let write = |file: &CStr, text: &[u8]| -> io::Result<()> {
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(file, flags, rustix::fs::Mode::empty())?;
        rustix::io::write(file, text)?;
        Ok(())
    };
    let map = move || {
        // SAFETY: no memory is touched; of descriptors nothing changes.
        if check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) })).is_err() {
            return Ok(());
        }
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", users.as_bytes())?;
        write(c"/proc/self/gid_map", groups.as_bytes())
    };
    // SAFETY: between fork and exec only system calls are made, with memory that is there already.
    unsafe { command.pre_exec(map) };
}

/// Restricts this process to the first `count` of the processors that it may run on.
pub(crate) fn take_processors(count: usize) -> io::Result<()> {
    // SAFETY: cpu_set_t is plain bits; both calls get its size; the indexes are below CPU_SETSIZE.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        check(libc::c_long::from(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut all)))?;
        let mut some: libc::cpu_set_t = std::mem::zeroed();
        let limit = usize::try_from(libc::CPU_SETSIZE).unwrap_or_default();
        for number in (0..limit).filter(|number| libc::CPU_ISSET(*number, &all)).take(count.max(1)) {
            libc::CPU_SET(number, &mut some);
        }
        check(libc::c_long::from(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const some)))
    }
}

/// Where [`note`] writes; −1: nowhere.
static NOTED: AtomicI32 = AtomicI32::new(-1);

/// The handler: one byte, the signal's number. A full pipe loses a signal, as the kernel does.
extern "C" fn note(signal: libc::c_int) {
    let byte = u8::try_from(signal).unwrap_or_default();
    // SAFETY: write(2) may be called in a handler; errno, which it may change, belongs to what is interrupted.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(NOTED.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *errno = before;
    }
}

/// Signals are written to `pipe`, as a byte each, from now on.
pub(crate) fn handle(signals: &[i32], pipe: OwnedFd) -> io::Result<()> {
    if NOTED.compare_exchange(-1, pipe.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).is_err() {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    std::mem::forget(pipe);
    signals.iter().try_for_each(|signal| set_handler(*signal, note as *const () as libc::sighandler_t))
}

/// They do what they do by default, and the pipe is closed.
pub(crate) fn stop_handling(signals: &[i32]) {
    for signal in signals {
        let _ = set_handler(*signal, libc::SIG_DFL);
    }
    let pipe = NOTED.swap(-1, Ordering::SeqCst);
    if pipe >= 0 {
        // SAFETY: it was forgotten by `handle`, so nobody else owns it. A handler that still runs in another thread has at
        // worst a descriptor that is closed.
        drop(unsafe { OwnedFd::from_raw_fd(pipe) });
    }
}

fn set_handler(signal: i32, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: sigaction is plain data, the handler is async-signal-safe, and the old action is not asked for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        check(libc::c_long::from(libc::sigaction(signal, &raw const action, std::ptr::null_mut())))
    }
}

/// Every signal does what it does in a new process, and none is blocked.
pub(crate) fn reset_signals() {
    let none = signal_set(&[]);
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is no handler of ours; signals that have no other disposition refuse, which is right.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: `none` is initialised and outlives the call.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigset_t is plain numbers, and sigemptyset initialises it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Closes every descriptor but `keep`.
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for descriptor in keep {
        if descriptor > first {
            close_range(first, descriptor - 1, 0)?;
        }
        first = descriptor + 1;
    }
    close_range(first, u32::MAX, 0)
}

/// Descriptors above stderr end with execve.
pub(crate) fn close_on_exec_above_stderr() -> io::Result<()> {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: descriptors that values of ours own are closed only where those values are never used or dropped again: in a
    // child that ends by execve or exit.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// Makes `descriptor` number `number`.
pub(crate) fn place(descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: the numbers are 0, 1 and 2, which no value of ours owns.
    check(libc::c_long::from(unsafe { libc::dup2(descriptor.as_raw_fd(), number) }))
}

/// Leaves the caller's keyrings for a new empty one.
pub(crate) fn leave_keyrings() {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the name may be null. A kernel without keyrings has nothing to leave.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}

/// Brings the loopback up.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: ifreq is plain numbers and a union of such; the name "lo" leaves it terminated.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l'.cast_signed() as libc::c_char;
    request.ifr_name[1] = b'o'.cast_signed() as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    check(libc::c_long::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }))
}

/// What a limit is of: the C libraries do not agree on its type.
#[cfg(target_env = "musl")]
pub(crate) type Resource = libc::c_int;
/// What a limit is of: the C libraries do not agree on its type.
#[cfg(not(target_env = "musl"))]
pub(crate) type Resource = libc::__rlimit_resource_t;

/// setrlimit(2), soft and hard.
pub(crate) fn limit(resource: Resource, value: u64) -> io::Result<()> {
    limit_both(resource, value, value)
}

/// setrlimit(2).
pub(crate) fn limit_both(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` outlives the call.
    check(libc::c_long::from(unsafe { libc::setrlimit(resource as _, &raw const limit) }))
}

/// seccomp(2) with a filter, for this thread.
pub(crate) fn filter(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    // seccompiler's sock_filter is the kernel's, repr(C), as libc's.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `program` points to `length` instructions that outlive the call and are only read.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
}

/// landlock(7): from here on this thread, and what it starts, reaches no abstract socket of others. Nothing where the kernel
/// cannot.
pub(crate) fn leave_abstract_sockets() -> io::Result<()> {
    // landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped (LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET).
    let ruleset = [0_u64, 0, 1];
    // SAFETY: the kernel reads so many bytes of `ruleset`, which outlives the call.
    let made =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ruleset.as_ptr(), size_of_val(&ruleset), 0_usize) };
    let Some(made) = RawFd::try_from(made).ok().filter(|made| *made >= 0) else {
        let error = io::Error::last_os_error();
        // Not built in, not switched on, or older than scopes.
        let unknown = [libc::ENOSYS, libc::EOPNOTSUPP, libc::E2BIG, libc::EINVAL];
        return if unknown.map(Some).contains(&error.raw_os_error()) { Ok(()) } else { Err(error) };
    };
    // SAFETY: the kernel has just made it, and nobody else knows it.
    let made = unsafe { OwnedFd::from_raw_fd(made) };
    // SAFETY: no memory is touched.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, made.as_raw_fd(), 0_usize) })
}

/// execve(2); comes back only with an error.
pub(crate) fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both are null-terminated arrays of null-terminated strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// _exit(2): no destructor, no buffer of the process that this one is a copy of.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: it does not come back.
    unsafe { libc::_exit(status) }
}

/// The kernel's version; (0, 0) when it does not say.
pub(crate) fn release() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Takes over descriptor 0, where S gets its socket.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
