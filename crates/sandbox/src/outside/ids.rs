//! Which ids inside are which outside.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::sandbox::{Ids, Note, Process};
use crate::system;
use crate::trouble::{Outcome, Step};

/// The ids of an image: 0…65535.
pub(super) const MANY: u32 = 65_536;
/// Where systemd-nspawn, too, takes ids that belong to no one.
const FIRST_FREE: u32 = 524_288;
const FREE_RANGES: u32 = 28_000;

/// How ids are mapped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// 0…65535 to a range of host ids; files on disk through idmapped mounts.
    Shifted { first: u32 },
    /// As many of 0…65535 as there are, to themselves.
    Same { count: u32 },
    /// 0 to the caller, 1… to ranges of `/etc/subuid` and `/etc/subgid`, by newuidmap and newgidmap.
    Sub { users: Range, groups: Range },
    /// The process's user and group to the caller's.
    One,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: u32,
    count: u32,
}

impl Map {
    /// The map for this caller.
    pub(super) fn choose(ids: Ids, notes: &mut Vec<Note>) -> Self {
        if rustix::process::geteuid().is_root() {
            let has_all = mapped(&read_own("uid_map")) == u32::MAX;
            return match ids {
                Ids::Shifted if has_all => {
                    Self::Shifted { first: FIRST_FREE + std::process::id() % FREE_RANGES * MANY }
                }
                _ => Self::same(),
            };
        }
        match sub_ranges() {
            Ok((users, groups)) => Self::Sub { users, groups },
            Err(why) => {
                notes.push(Note::OneId(why));
                Self::One
            }
        }
    }

    /// For root.
    pub(super) fn same() -> Self {
        let mapped = ["uid_map", "gid_map"].map(|file| mapped(&read_own(file)));
        Self::Same { count: mapped.into_iter().min().unwrap_or(0).min(MANY) }
    }

    pub(super) fn has_many(&self) -> bool {
        *self != Self::One
    }

    /// Gives the user namespace of `pid` this map.
    pub(super) fn write(&self, pid: i32, process: &Process) -> Outcome<()> {
        let step = || "map the ids of the user namespace".to_owned();
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let write = |file: &str, text: String| fs::write(format!("/proc/{pid}/{file}"), text).step(step);
        match self {
            Self::Shifted { first } => {
                write("uid_map", format!("0 {first} {MANY}"))?;
                write("gid_map", format!("0 {first} {MANY}"))
            }
            Self::Same { count } => {
                let own = |file: &str| identical(&read_own(file), *count);
                write("uid_map", own("uid_map"))?;
                write("gid_map", own("gid_map"))
            }
            Self::Sub { users, groups } => map_ranges(pid, *users, *groups).step(step),
            Self::One => {
                write("uid_map", format!("{} {user} 1", process.user))?;
                write("setgroups", "deny".into())?;
                write("gid_map", format!("{} {group} 1", process.group))
            }
        }
    }
}

/// Goes into a user namespace where the caller is root over the ranges of `/etc/subuid` and `/etc/subgid`, if there are such and
/// newuidmap maps them: there files have the owners that images give them, and sandboxes all users. False: everything is as it was.
///
/// To be called while the process has one thread.
///
/// # Errors
/// The namespace was made and cannot be entered.
pub fn enter_ranges() -> io::Result<bool> {
    if rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    let Ok((users, groups)) = sub_ranges() else { return Ok(false) };
    let caller = Caller { user: rustix::process::geteuid().as_raw(), group: rustix::process::getegid().as_raw() };
    let (ours, theirs) = UnixStream::pair()?;
    let Ok(child) = system::clone(libc::CLONE_NEWUSER, None) else { return Ok(false) };
    let Some(child) = child else {
        // It is there so that the namespace is, until the other end is closed.
        drop(ours);
        let _ = (&theirs).read(&mut [0]);
        system::exit(0)
    };
    drop(theirs);
    let pid = child.pid.as_raw_nonzero().get();
    let is_mapped = map_ranges(pid, users, groups).is_ok();
    let entered = if is_mapped { enter(pid).map(|()| true) } else { Ok(false) };
    drop(ours);
    let _ = system::wait_for(pid);
    if let Ok(true) = entered {
        let _ = CALLER.set(caller);
    }
    entered
}

/// Who has called, in numbers of where he did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Effective.
    pub user: u32,
    /// Effective.
    pub group: u32,
}

/// Set once, for a process goes into one namespace.
static CALLER: OnceLock<Caller> = OnceLock::new();

/// Who is root over ranges here since [`enter_ranges`]; none where it has changed nothing.
pub fn caller() -> Option<Caller> {
    CALLER.get().copied()
}

/// For a program of the caller's, which is to be him and not the root that [`enter_ranges`] has made of him: what it finds by its
/// user (the home of passwd(5), his keys, his session's bus) is his. In a user namespace of its own his numbers are mapped to
/// him again; where there can be no further one, it starts as this process is.
pub fn as_caller(command: &mut Command) -> &mut Command {
    if let Some(Caller { user, group }) = caller() {
        system::map_ids(command, format!("{user} 0 1\n"), format!("{group} 0 1\n"));
    }
    command
}

/// With mounts of its own, so that trees can be cloned there.
fn enter(pid: i32) -> io::Result<()> {
    let namespace = fs::File::open(format!("/proc/{pid}/ns/user"))?;
    let kind = Some(rustix::thread::LinkNameSpaceType::User);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)?;
    system::unshare_mounts()?;
    // Other ids took it away.
    Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)?)
}

/// Is the caller root in a user namespace where that is a user of the host? Then nothing would be safer with other ids.
pub(super) fn is_rootless() -> bool {
    is_over_ranges(&read_own("uid_map"))
}

fn is_over_ranges(uid_map: &str) -> bool {
    let first = uid_map.lines().next().unwrap_or_default();
    let numbers: Vec<u32> = first.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    matches!(numbers[..], [0, outside, 1] if outside != 0)
}

/// `/proc/self/uid_map` or `gid_map`.
fn read_own(file: &str) -> String {
    fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default()
}

/// The first ids of a map, each the same inside; a line for each of its own, for the kernel takes none that is of two.
fn identical(text: &str, count: u32) -> String {
    let mut lines = String::new();
    for (first, length) in extents(text) {
        let length = length.min(count.saturating_sub(first));
        if length > 0 {
            lines.push_str(&format!("{first} {first} {length}\n"));
        }
    }
    lines
}

/// How many ids from 0 on there are where we are.
fn mapped(text: &str) -> u32 {
    extents(text).last().map_or(0, |(first, length)| first.saturating_add(*length))
}

/// First and number of ids inside, from 0 on without a gap: `uid_map` has lines "inside outside count".
fn extents(text: &str) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, u32)> = Vec::new();
    let mut end = 0_u32;
    for line in text.lines() {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [inside, _, count] if inside == end => {
                all.push((inside, count));
                end = end.saturating_add(count);
            }
            _ => break,
        }
    }
    all
}

/// The caller becomes root in the user namespace of `pid`, with these ranges behind it.
fn map_ranges(pid: i32, users: Range, groups: Range) -> io::Result<()> {
    map_with("newuidmap", pid, rustix::process::geteuid().as_raw(), users)?;
    map_with("newgidmap", pid, rustix::process::getegid().as_raw(), groups)
}

fn map_with(program: &str, pid: i32, own: u32, range: Range) -> io::Result<()> {
    let path = helper(program).ok_or(io::ErrorKind::NotFound)?;
    let count = range.count.min(MANY - 1);
    let arguments = [pid.cast_unsigned(), 0, own, 1, 1, range.first, count].map(|number| number.to_string());
    let output = Command::new(path).args(arguments).env_clear().stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(said))
}

fn helper(program: &str) -> Option<String> {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .map(|folder| format!("{folder}/{program}"))
        .find(|path| Path::new(path).exists())
}

/// The caller's ranges, where there are such and the programs that map them.
fn sub_ranges() -> Result<(Range, Range), String> {
    if mapped(&read_own("uid_map")) != u32::MAX {
        return Err("the caller is itself in a user namespace".into());
    }
    for program in ["newuidmap", "newgidmap"] {
        helper(program).ok_or_else(|| format!("{program} is not installed (package uidmap)"))?;
    }
    let user = rustix::process::geteuid().as_raw();
    let name = name_of(user, &fs::read_to_string("/etc/passwd").unwrap_or_default());
    let range = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        range_of(user, name.as_deref(), &text).ok_or_else(|| format!("{file} gives this user no range"))
    };
    Ok((range("/etc/subuid")?, range("/etc/subgid")?))
}

/// passwd(5), of the host.
fn name_of(user: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

/// The largest range of a user in subuid(5): `name-or-number:first:count`.
fn range_of(user: u32, name: Option<&str>, text: &str) -> Option<Range> {
    let ranges = text.lines().filter_map(|line| {
        let [owner, first, count] = line.trim().split(':').collect::<Vec<_>>().try_into().ok()?;
        let is_ours = Some(owner) == name || owner.parse() == Ok(user);
        let range = Range { first: first.parse().ok()?, count: count.parse().ok()? };
        (is_ours && range.count > 0).then_some(range)
    });
    ranges.max_by_key(|range| range.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_belong_to_names_and_numbers() {
        let text = "# comment\nother:1:9\nann:100000:65536\n1000:300000:70000\nann:x:5\nann:5:0\n";
        assert_eq!(range_of(1000, Some("ann"), text), Some(Range { first: 300_000, count: 70_000 }));
        assert_eq!(range_of(7, Some("ann"), text), Some(Range { first: 100_000, count: 65_536 }));
        assert_eq!(range_of(7, None, text), None);
    }

    #[test]
    fn names_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(name_of(1000, passwd), Some("ann".into()));
        assert_eq!(name_of(1, passwd), None);
    }

    #[test]
    fn nested_namespaces_have_fewer_ids() {
        assert_eq!(mapped("         0          0 4294967295\n"), u32::MAX);
        assert_eq!(mapped("0 1000 1\n1 100000 65536\n"), 65_537);
        assert_eq!(mapped("5 1000 1\n"), 0);
        assert_eq!(identical("0 1000 1\n1 100000 65536\n", MANY), "0 0 1\n1 1 65535\n");
        assert_eq!(identical("0 0 4294967295\n", MANY), "0 0 65536\n");
    }

    #[test]
    fn who_is_root_over_ranges_is_a_user_outside() {
        assert!(is_over_ranges("         0       1000          1\n         1     100000      65536\n"));
        for other in ["0 0 4294967295\n", "0 100000 65536\n", "0 0 1\n1 100000 65536\n", "1000 1000 1\n", ""] {
            assert!(!is_over_ranges(other), "{other}");
        }
    }

    #[test]
    fn shifted_ranges_stay_below_the_signed_half() {
        assert!(FIRST_FREE.checked_add(FREE_RANGES * MANY).is_some_and(|end| end < 1 << 31));
    }
}
