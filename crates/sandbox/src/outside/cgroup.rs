//! A cgroup of the sandbox's own, where we may make one: of version 2, else of [version 1](super::cgroup_old).
//!
//! Its parent must be one that we can write to and that already hands `memory` and `pids` to its children; we never change the
//! settings of a cgroup that is not ours. Looked for: our own cgroup, then those above it. As root under systemd that is the
//! slice of the session; for a user a delegated one (`user@.service`), which a shell of a login session is not below.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup_old::Old;
use crate::sandbox::{Excess, Limit, Limits};

/// Where the kernel counts a sandbox's processes together.
pub(super) enum Cgroup {
    /// Version 2.
    New(New),
    /// Version 1.
    Old(Old),
}

impl Cgroup {
    /// Makes one with the limits, or says why not.
    pub(super) fn make(limits: &Limits) -> Result<Self, String> {
        New::make(limits)
            .map(Self::New)
            .or_else(|why| Old::make(limits).map(Self::Old).map_err(|old| format!("{why}; {old}")))
    }

    /// For clone: where the child is to start.
    pub(super) fn open(&self) -> Option<OwnedFd> {
        match self {
            Self::New(new) => new.open().ok(),
            Self::Old(_) => None,
        }
    }

    /// Puts a process there that was not born there.
    pub(super) fn take(&self, pid: i32) -> io::Result<()> {
        match self {
            Self::New(_) => Ok(()),
            Self::Old(old) => old.take(pid),
        }
    }

    /// The limit that was reached.
    pub(super) fn reached(&self) -> Option<Limit> {
        match self {
            Self::New(new) => new.reached(),
            Self::Old(old) => old.reached(),
        }
    }

    pub(super) fn counted(&self) -> Counted {
        match self {
            Self::New(new) => new.counted(),
            Self::Old(old) => Counted { cpu: old.cpu(), peak_memory: old.peak_memory() },
        }
    }
}

/// A cgroup of version 2.
pub(super) struct New {
    path: PathBuf,
    excess: Excess,
}

/// What was counted.
pub(super) struct Counted {
    pub(super) cpu: Option<Duration>,
    pub(super) peak_memory: Option<u64>,
}

impl New {
    /// Makes one with the limits, or says why not.
    fn make(limits: &Limits) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let top = mount_point(&mounts).ok_or("cgroup v2 is not mounted")?;
        let own = own_path(&own).ok_or("this process is in no cgroup v2")?;
        Self::make_below(&top, &own, limits)
    }

    fn make_below(top: &Path, own: &Path, limits: &Limits) -> Result<Self, String> {
        let own = own.strip_prefix("/").unwrap_or(own);
        if own.components().any(|part| part == std::path::Component::ParentDir) {
            return Err("this process's cgroup is outside of what is mounted".into());
        }
        let mut why = "the controllers memory and pids of cgroup v2 are not delegated".to_owned();
        for above in own.ancestors() {
            let parent = top.join(above);
            if !delegates(&parent) {
                continue;
            }
            sweep(&parent);
            let path = parent.join(format!("corten-{}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let cgroup = Self { path, excess: limits.excess };
                    match cgroup.limit(limits) {
                        Ok(()) => return Ok(cgroup),
                        Err(error) => why = format!("a cgroup takes no limits: {error}"),
                    }
                }
                Err(error) => why = format!("cannot make a cgroup: {error}"),
            }
        }
        Err(why)
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        if let Some(memory) = limits.memory {
            write(&self.path, "memory.max", &memory.to_string())?;
            // A kernel without swap accounting has no such file, and what is swapped is not in memory.max.
            let _ = write(&self.path, "memory.swap.max", "0");
            write(&self.path, "memory.oom.group", "1")?;
        }
        if let Some(processes) = limits.processes {
            // One more: pid 1 is ours.
            write(&self.path, "pids.max", &processes.saturating_add(1).to_string())?;
        }
        if let Some(cpu) = limits.cpu {
            let quota = (cpu.saturating_mul(100)).max(1000);
            write(&self.path, "cpu.max", &format!("{quota} 100000"))?;
        }
        Ok(())
    }

    /// For clone: where the child is to start.
    fn open(&self) -> io::Result<OwnedFd> {
        fs::File::open(&self.path).map(Into::into)
    }

    /// The limit that was reached.
    fn reached(&self) -> Option<Limit> {
        if event(&self.path, "memory.events", "oom_kill") > 0 {
            Some(Limit::Memory)
        } else if self.excess == Excess::End && event(&self.path, "pids.events", "max") > 0 {
            Some(Limit::Processes)
        } else {
            None
        }
    }

    fn counted(&self) -> Counted {
        let peak = fs::read_to_string(self.path.join("memory.peak")).ok();
        let cpu = event(&self.path, "cpu.stat", "usage_usec");
        Counted {
            cpu: (cpu > 0).then(|| Duration::from_micros(cpu)),
            peak_memory: peak.and_then(|peak| peak.trim().parse().ok()),
        }
    }
}

impl Drop for New {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a cgroup. The kernel lets go of the last process a little after it was waited for.
pub(super) fn remove(path: &Path) {
    for _ in 0..100 {
        match fs::remove_dir(path) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(Duration::from_millis(2)),
            _ => return,
        }
    }
}

/// Writes a file of a cgroup. Not `fs::write`: these files are never made.
pub(super) fn write(cgroup: &Path, file: &str, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(cgroup.join(file))?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// A number of a file of lines "key number"; 0 where there is none.
pub(super) fn event(cgroup: &Path, file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(cgroup.join(file)).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

fn delegates(parent: &Path) -> bool {
    let text = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
    ["memory", "pids"].iter().all(|wanted| text.split_whitespace().any(|controller| controller == *wanted))
}

/// Removes the empty cgroups of sandboxes whose S was killed.
pub(super) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("corten-")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Refused while a process is in it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where cgroup v2 is mounted, from `/proc/self/mountinfo`: "id parent device root point options… - type source options".
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?;
        after.starts_with("cgroup2 ").then(|| PathBuf::from(point.replace("\\040", " ")))
    })
}

/// Our path in the hierarchy of version 2, from `/proc/self/cgroup`: "0::/path".
fn own_path(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:38 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n";

    /// A folder that looks like the hierarchy of a user's session.
    fn hierarchy() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        let slice = top.path().join("user.slice/app.slice");
        fs::create_dir_all(slice.join("shell.scope")).unwrap();
        fs::write(slice.join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        fs::write(slice.join("shell.scope/cgroup.subtree_control"), "\n").unwrap();
        top
    }

    #[test]
    fn the_hierarchy_is_found() {
        assert_eq!(mount_point(MOUNTS), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(own_path("9:pids:/x\n0::/user.slice/a\n"), Some("/user.slice/a".into()));
        assert_eq!(own_path("9:pids:/x\n"), None);
    }

    #[test]
    fn a_parent_that_delegates_is_found_and_one_of_a_dead_sandbox_removed() {
        let top = hierarchy();
        let slice = top.path().join("user.slice/app.slice");
        fs::create_dir(slice.join("corten-4294967295")).unwrap();
        let own = Path::new("/user.slice/app.slice/shell.scope");
        let cgroup = New::make_below(top.path(), own, &Limits::default()).unwrap();
        assert_eq!(cgroup.path.parent(), Some(slice.as_path()));
        assert!(!slice.join("corten-4294967295").exists());
        let path = cgroup.path.clone();
        fs::write(path.join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert_eq!(cgroup.reached(), Some(Limit::Memory));
        fs::write(path.join("memory.events"), "oom 0\noom_kill 0\n").unwrap();
        fs::write(path.join("pids.events"), "max 1\n").unwrap();
        assert_eq!(cgroup.reached(), Some(Limit::Processes));
        fs::write(path.join("cpu.stat"), "usage_usec 1500\nuser_usec 9\n").unwrap();
        fs::write(path.join("memory.peak"), "4096\n").unwrap();
        assert_eq!(cgroup.counted().cpu, Some(Duration::from_micros(1500)));
        assert_eq!(cgroup.counted().peak_memory, Some(4096));
        for file in fs::read_dir(&path).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        drop(cgroup);
        assert!(!path.exists());
    }

    #[test]
    fn without_delegation_the_reason_is_told() {
        let top = hierarchy();
        let refused = New::make_below(top.path(), Path::new("/user.slice"), &Limits::default());
        assert!(refused.is_err_and(|why| why.contains("not delegated")));
        let limits = Limits { memory: Some(1), ..Limits::default() };
        let refused = New::make_below(top.path(), Path::new("/user.slice/app.slice"), &limits);
        assert!(refused.is_err_and(|why| why.contains("takes no limits")), "a folder is no cgroup");
        assert!(New::make_below(top.path(), Path::new("/../outside"), &limits).is_err());
    }
}
