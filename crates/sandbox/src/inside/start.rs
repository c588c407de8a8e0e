//! The last steps of the process before it is itself: what it may and has, then execve.
//!
//! The order matters: the filter is loaded while loading needs no promise (CAP_SYS_ADMIN of the namespace), and what follows
//! is what the filter allows.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::{Born, filter, root};
use crate::sandbox::{Capabilities, Limits, Process, Window};
use crate::system;
use crate::trouble::{NO_SUCH_PROGRAM, Outcome, Step, Trouble, cannot_start};
use crate::wire;

/// Becomes the process; comes back only with the reason why not.
pub(super) fn start(process: &Process, limits: &Limits, streams: &[OwnedFd; 3], born: &Born<'_>) -> Trouble {
    match prepare(process, limits, streams, born) {
        Ok(()) => execute(process),
        Err(trouble) => trouble,
    }
}

fn prepare(process: &Process, limits: &Limits, streams: &[OwnedFd; 3], born: &Born<'_>) -> Outcome<()> {
    let go = born.go;
    match process.terminal {
        Some(window) => open_terminal(process, window, streams, born)?,
        None => {
            for (stream, number) in streams.iter().zip(0..) {
                system::place(stream.as_fd(), number).step(|| "pass stdin, stdout and stderr".into())?;
            }
        }
    }
    system::close_on_exec_above_stderr().step(|| "close what is ours".into())?;
    system::reset_signals();
    rustix::process::setsid().step(|| "start a session".into())?;
    if process.terminal.is_some() {
        system::control_terminal().step(|| "take the terminal".into())?;
    }
    rustix::process::umask(Mode::from_raw_mode(process.umask & 0o777));
    set_limits(limits, go.watch).step(|| "set limits".into())?;
    let watched = go.watch && limits.memory.is_some();
    drop_privileges(process, go.many_ids, watched)?;
    let folder = process.folder.as_path();
    // Not through a link of /proc to a descriptor of ours (E1).
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = rustix::fs::ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(rustix::fs::CWD, folder, flags, Mode::empty(), resolve);
    opened.and_then(rustix::process::fchdir).map_err(|error| {
        Trouble::input(format!("cannot start in {} of the root file system: {error}", folder.display()))
    })
}

/// Makes a terminal in our own devpts, never by a path of the image, and sends the other side over the first stream, a socket.
fn open_terminal(process: &Process, window: Window, streams: &[OwnedFd; 3], born: &Born<'_>) -> Outcome<()> {
    let step = || "make a terminal".to_owned();
    let Some(terminals) = born.terminals else {
        return Err(Trouble::input("cannot set up the sandbox: a terminal needs /dev"));
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(terminals, c"ptmx", flags, Mode::empty()).step(step)?;
    rustix::pty::unlockpt(&master).step(step)?;
    let size = rustix::termios::Winsize { ws_row: window.rows, ws_col: window.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).step(step)?;
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
    let low = rustix::pty::ioctl_tiocgptpeer(&master, flags).step(step)?;
    if born.go.many_ids {
        rustix::fs::fchown(&low, Some(rustix::fs::Uid::from_raw(process.user)), None)
            .map_err(|_| root::no_such_id(process.user, process.group))?;
    }
    let socket = UnixStream::from(streams[0].try_clone().step(step)?);
    wire::send_descriptors(&socket, &[master.as_fd()]).step(|| "pass the terminal on".into())?;
    // Where it is none of 0, 1 and 2, which pid 1 does not keep free; and so that nothing of ours is closed there later.
    let peer = rustix::io::fcntl_dupfd_cloexec(&low, 3).step(step)?;
    drop((socket, master, low));
    for number in 0..3 {
        system::place(peer.as_fd(), number).step(step)?;
    }
    Ok(())
}

/// What each process has for itself. `alone`: no cgroup counts them together.
fn set_limits(limits: &Limits, alone: bool) -> io::Result<()> {
    // Who has lowered a hard limit cannot raise it again.
    if !limits.each.iter().any(|each| each.parts().0 == i64::from(libc::RLIMIT_CORE)) {
        system::limit(libc::RLIMIT_CORE, 0)?;
    }
    if let Some(files) = limits.open_files {
        system::limit(libc::RLIMIT_NOFILE, files)?;
    }
    if !alone {
        return set_each(limits);
    }
    if let Some(memory) = limits.memory {
        // Above what is watched, so that a growing process is seen, and ended with the reason, before malloc fails in it.
        system::limit(libc::RLIMIT_DATA, memory.saturating_mul(2))?;
    }
    match limits.processes {
        // Before, it counts the processes of the user on the whole host.
        Some(processes) if system::release() >= (5, 14) => {
            // Above what is watched, as memory.
            system::limit(libc::RLIMIT_NPROC, processes.saturating_add(processes / 4).saturating_add(32))?;
        }
        _ => {}
    }
    set_each(limits)
}

fn set_each(limits: &Limits) -> io::Result<()> {
    for each in &limits.each {
        let (resource, soft, hard) = each.parts();
        let resource = system::Resource::try_from(resource).map_err(io::Error::other)?;
        system::limit_both(resource, soft, hard)?;
    }
    Ok(())
}

fn drop_privileges(process: &Process, many_ids: bool, watched: bool) -> Outcome<()> {
    let step = || "give up privileges".to_owned();
    let wanted = CapabilitySet::from_bits_retain(known(process.capabilities));
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        // Numbers that the kernel does not know are refused; there is nothing to drop.
        if !wanted.contains(capability) && rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    rustix::thread::set_keep_capabilities(true).step(step)?;
    if process.no_abstract_sockets {
        system::leave_abstract_sockets().step(|| "keep away from the host's abstract sockets (Landlock)".into())?;
    }
    for program in filter::programs(process.capabilities, watched).map_err(Trouble::world)? {
        system::filter(&program).step(|| "load the system call filter (seccomp)".into())?;
    }
    if many_ids {
        let groups: Vec<_> = process.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        rustix::thread::set_thread_groups(&groups).step(|| "set the supplementary groups".into())?;
        let (user, group) = (Uid::from_raw(process.user), Gid::from_raw(process.group));
        let change = rustix::thread::set_thread_res_gid(group, group, group)
            .and_then(|()| rustix::thread::set_thread_res_uid(user, user, user));
        change.map_err(|_| root::no_such_id(process.user, process.group))?;
    }
    // As docker does: root has them, others may get them by programs with setuid or capabilities of their own (E12: none is
    // inheritable or ambient).
    let own = if process.user == 0 { wanted } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: own, permitted: own, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).step(step)?;
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).step(step)?;
    }
    Ok(())
}

/// Those of the asked capabilities that this kernel has.
fn known(capabilities: Capabilities) -> u64 {
    let all = rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits());
    capabilities.0 & all
}

fn execute(process: &Process) -> Trouble {
    let strings = |texts: Vec<Vec<u8>>| texts.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let arguments = strings(process.arguments.iter().map(|text| text.as_bytes().to_vec()).collect());
    let environment = strings(
        process.environment.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect(),
    );
    let (Ok(arguments), Ok(environment)) = (arguments, environment) else {
        return Trouble::input("cannot start a process: an argument or a variable holds a NUL");
    };
    let Some(name) = process.arguments.first().filter(|name| !name.is_empty()) else {
        return Trouble::input("cannot start a process: it has no name");
    };
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for candidate in candidates(process) {
        let failure = system::execute(&candidate, &arguments, &environment);
        // As execvp: a candidate that may not be executed is remembered, the search goes on.
        if failure.raw_os_error() != Some(libc::ENOENT) {
            error = failure;
        }
    }
    explain(Path::new(name), &error)
}

fn candidates(process: &Process) -> Vec<CString> {
    let Some(name) = process.arguments.first() else { return Vec::new() };
    let name = name.as_bytes();
    if name.contains(&b'/') {
        return CString::new(name).into_iter().collect();
    }
    let path =
        process.environment.get(std::ffi::OsStr::new("PATH")).map_or(&b"/usr/bin:/bin"[..], |path| path.as_bytes());
    let folders = path.split(|byte| *byte == b':').filter(|folder| !folder.is_empty());
    folders.filter_map(|folder| CString::new([folder, b"/", name].concat()).ok()).collect()
}

fn explain(name: &Path, error: &io::Error) -> Trouble {
    let because = match error.raw_os_error() {
        Some(libc::ENOENT) => NO_SUCH_PROGRAM.to_owned(),
        Some(libc::ENOEXEC) => "it is no program of this machine".to_owned(),
        _ => error.to_string(),
    };
    Trouble::input(cannot_start(&name.display().to_string(), &because))
}
