//! Counts processes and memory where no cgroup does: every few milliseconds, from a `/proc` of our own.
//!
//! It sees what processes map. What they can fill without mapping it is kept from them by the [filter](super::filter) (memfd,
//! memory of System V) or has a size (tmpfs); pages of a shared mapping that were let go of by madvise are not seen.

use std::ffi::CStr;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{Dir, Mode, OFlags};

use super::root::proc_of_ours;
use crate::sandbox::{End, Limit, Limits};
use crate::trouble::{Outcome, Step};

const SHORTEST: Duration = Duration::from_millis(5);

pub(super) struct Watch {
    proc: Option<OwnedFd>,
    memory: u64,
    processes: u64,
    next: Instant,
    peak_memory: u64,
}

impl Watch {
    pub(super) fn new(limits: &Limits, is_on: bool) -> Outcome<Self> {
        let is_on = is_on && (limits.memory.is_some() || limits.processes.is_some());
        let proc = if is_on { Some(proc_of_ours()?) } else { None };
        if let Some(proc) = &proc {
            count(proc).step(|| "count processes".into())?;
        }
        Ok(Self {
            proc,
            memory: limits.memory.unwrap_or(u64::MAX),
            processes: limits.processes.unwrap_or(u64::MAX),
            next: Instant::now(),
            peak_memory: 0,
        })
    }

    /// The limit that is reached, if it is time to look.
    pub(super) fn look(&mut self) -> Option<Limit> {
        let proc = self.proc.as_ref()?;
        let start = Instant::now();
        if start < self.next {
            return None;
        }
        // What cannot be counted once (no descriptor is free) is counted the next time.
        let (tasks, memory) = count(proc).unwrap_or_default();
        self.peak_memory = self.peak_memory.max(memory);
        // Never more than a tenth of a processor.
        self.next = Instant::now() + SHORTEST.max(start.elapsed() * 9);
        if memory > self.memory {
            Some(Limit::Memory)
        } else if tasks > self.processes {
            Some(Limit::Processes)
        } else {
            None
        }
    }

    /// How long nothing needs to be looked at; `None`: ever.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.proc.as_ref().map(|_| self.next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
    }

    /// The end of the process: one that fails after one of its own was above the limit, faster than we looked, failed of that.
    /// `peak`: of the largest process, in bytes.
    pub(super) fn judge(&mut self, end: End, peak: u64) -> End {
        self.peak_memory = self.peak_memory.max(peak);
        if self.proc.is_some() && peak > self.memory && end != End::Status(0) { End::Limit(Limit::Memory) } else { end }
    }

    pub(super) fn peak_memory(&self) -> u64 {
        self.peak_memory
    }
}

/// Threads, and bytes of memory that is no file's, of everyone but pid 1. Memory that several share counts for each.
fn count(proc: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    let (mut tasks, mut memory) = (0, 0_u64);
    // The mount's own descriptor is only a path.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for entry in Dir::new(rustix::fs::openat(proc, c".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes().first().is_some_and(u8::is_ascii_digit) && name != c"1" {
            let (threads, bytes) = status(proc, name).unwrap_or((1, 0));
            tasks += threads;
            memory = memory.saturating_add(bytes);
        }
    }
    Ok((tasks, memory))
}

fn status(proc: &OwnedFd, pid: &CStr) -> Option<(u64, u64)> {
    let folder =
        rustix::fs::openat(proc, pid, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let file = rustix::fs::openat(&folder, c"status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = Vec::new();
    std::fs::File::from(file).take(16 << 10).read_to_end(&mut text).ok()?;
    Some(parse(&String::from_utf8_lossy(&text)))
}

/// Threads and bytes of `/proc/PID/status`. The process chooses the first line, its name, in which a newline is escaped.
fn parse(text: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let kibibytes = ["RssAnon", "RssShmem", "VmSwap", "VmPTE"].map(field).into_iter().fold(0, u64::saturating_add);
    (field("Threads").max(1), kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_failed_above_the_limit_failed_of_it() {
        let proc = Some(std::fs::File::open("/proc").unwrap().into());
        let mut watch = Watch { proc, memory: 100, processes: 1, next: Instant::now(), peak_memory: 0 };
        assert_eq!(watch.judge(End::Status(1), 101), End::Limit(Limit::Memory));
        assert_eq!(watch.judge(End::Status(1), 100), End::Status(1));
        assert_eq!(watch.judge(End::Status(0), 101), End::Status(0));
        assert_eq!(watch.peak_memory(), 101);
        watch.proc = None;
        assert_eq!(watch.judge(End::Signal(9), 101), End::Signal(9), "the cgroup knows better");
    }

    #[test]
    fn memory_and_threads_are_read_whatever_the_name_is() {
        let text = "Name:\tThreads:\\n9\nState:\tR\nThreads:\t3\nRssAnon:\t  100 kB\nRssFile:\t 7 kB\nRssShmem:\t 20 kB\nVmPTE:\t 4 kB\n";
        assert_eq!(parse(text), (3, 124 << 10));
        assert_eq!(parse("Name:\tzombie\n"), (1, 0));
        assert_eq!(parse("RssAnon:\t99999999999999999999 kB\nThreads:\t-4\n"), (1, 0));
    }
}
