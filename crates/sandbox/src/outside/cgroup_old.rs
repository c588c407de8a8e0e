//! The same limits by cgroups of version 1, each controller in a hierarchy of its own, where root may make some.
//!
//! C is put into them before it is let go: all that it starts is born there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::{event, remove, sweep, write};
use crate::sandbox::{Excess, Limit, Limits};

/// How long the kernel's accounting period of processor time is, in microseconds.
const PERIOD: u64 = 100_000;

/// One cgroup for each controller that is needed.
pub(super) struct Old {
    memory: Option<PathBuf>,
    processes: Option<PathBuf>,
    cpu: Option<PathBuf>,
    excess: Excess,
}

impl Old {
    /// Makes them with the limits, or says why not.
    pub(super) fn make(limits: &Limits) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let make = |controller: &str| {
            let parent = parent(controller, &mounts, &own)
                .ok_or_else(|| format!("the controller {controller} of cgroup v1 is not mounted"))?;
            sweep(&parent);
            let path = parent.join(format!("corten-{}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => Ok(path),
                Err(error) => Err(format!("cannot make a cgroup (v1, {controller}): {error}")),
            }
        };
        let mut made = Self { memory: None, processes: None, cpu: None, excess: limits.excess };
        // What is made is dropped, so removed, where a later step fails.
        if limits.memory.is_some() {
            made.memory = Some(make("memory")?);
        }
        if limits.processes.is_some() {
            made.processes = Some(make("pids")?);
        }
        if limits.cpu.is_some() {
            made.cpu = Some(make("cpu")?);
        }
        made.limit(limits).map_err(|error| format!("a cgroup (v1) takes no limits: {error}"))?;
        Ok(made)
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        if let (Some(path), Some(memory)) = (&self.memory, limits.memory) {
            write(path, "memory.limit_in_bytes", &memory.to_string())?;
            // Only there with swap accounting.
            let _ = write(path, "memory.memsw.limit_in_bytes", &memory.to_string());
        }
        if let (Some(path), Some(processes)) = (&self.processes, limits.processes) {
            // One more: pid 1 is ours.
            write(path, "pids.max", &processes.saturating_add(1).to_string())?;
        }
        if let (Some(path), Some(cpu)) = (&self.cpu, limits.cpu) {
            write(path, "cpu.cfs_period_us", &PERIOD.to_string())?;
            write(path, "cpu.cfs_quota_us", &quota(cpu).to_string())?;
        }
        Ok(())
    }

    /// Puts a process there, which has not started any.
    pub(super) fn take(&self, pid: i32) -> io::Result<()> {
        self.folders().try_for_each(|path| write(path, "cgroup.procs", &pid.to_string()))
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.memory, &self.processes, &self.cpu].into_iter().flatten()
    }

    /// The limit that was reached.
    pub(super) fn reached(&self) -> Option<Limit> {
        let count = |path: &Option<PathBuf>, file, key| path.as_ref().map_or(0, |path| event(path, file, key));
        if count(&self.memory, "memory.oom_control", "oom_kill") > 0 {
            Some(Limit::Memory)
        } else if self.excess == Excess::End && count(&self.processes, "pids.events", "max") > 0 {
            Some(Limit::Processes)
        } else {
            None
        }
    }

    pub(super) fn peak_memory(&self) -> Option<u64> {
        let text = fs::read_to_string(self.memory.as_ref()?.join("memory.max_usage_in_bytes")).ok()?;
        text.trim().parse().ok()
    }

    /// Both limits that C would else watch are the kernel's.
    pub(super) fn cpu(&self) -> Option<Duration> {
        None
    }
}

impl Drop for Old {
    fn drop(&mut self) {
        self.folders().for_each(|path| remove(path));
    }
}

/// Microseconds of a period, of thousandths of a processor; the kernel wants a thousand at least.
fn quota(cpu: u64) -> u64 {
    (cpu.saturating_mul(PERIOD) / 1000).max(1000)
}

/// Where a controller's cgroup of ours is: mountinfo's line of its hierarchy, and our path there.
fn parent(controller: &str, mounts: &str, own: &str) -> Option<PathBuf> {
    let has = |options: &str| options.split(',').any(|option| option == controller);
    let (root, point) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let options = after.strip_prefix("cgroup ")?.split(' ').nth(1)?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        has(options).then(|| (root.to_owned(), PathBuf::from(point.replace("\\040", " "))))
    })?;
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        fields.next().filter(|_| has(controllers))
    })?;
    let below = Path::new(path).strip_prefix(&root).ok()?;
    let is_plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_plain.then(|| point.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "35 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        32 31 0:29 /box /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const OWN: &str = "4:memory:/user/a\n1:cpuacct,cpu:/box/b\n8:pids:/\n0::/\n";

    #[test]
    fn each_controller_has_its_hierarchy() {
        assert_eq!(parent("memory", MOUNTS, OWN), Some("/sys/fs/cgroup/memory/user/a".into()));
        assert_eq!(parent("cpu", MOUNTS, OWN), Some("/sys/fs/cgroup/cpu,cpuacct/b".into()));
        assert_eq!(parent("pids", MOUNTS, OWN), None);
        assert_eq!(parent("memory", MOUNTS, "4:memory:/../outside\n"), None);
    }

    #[test]
    fn quotas_are_of_a_tenth_of_a_second() {
        assert_eq!([quota(1500), quota(500), quota(1)], [150_000, 50_000, 1000]);
    }
}
