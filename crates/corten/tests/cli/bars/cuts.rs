//! R3: the power is cut while a build runs: what was acknowledged is there, what is torn is found, the next run heals.
//!
//! The disk is a file with ext4, or one time in ten with xfs; it dies by the ioctl that both have for this
//! (`EXT4_IOC_SHUTDOWN`, `XFS_IOC_GOINGDOWN`, with NOLOGFLUSH: what is not on the disk by then never comes there), when
//! the build has made its n-th rename or sync.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_testkit::bar::Bar;

use crate::ground::{Ground, corten_at, not_run};
use crate::service::digest;

/// A disk in a file, mounted. Needs root.
pub struct LoopDisk {
    folder: tempfile::TempDir,
    options: &'static str,
    /// How often its power was cut.
    cuts: AtomicUsize,
}

/// xfs makes none smaller; what is not written takes no space.
const SMALLEST_XFS: u64 = 320;

impl LoopDisk {
    /// With ext4. None where that is not allowed. Nothing reaches the disk by itself while a test runs (`commit`).
    pub fn new(megabytes: u64, options: &[&str]) -> Option<Self> {
        let mut mkfs = Command::new("/usr/sbin/mkfs.ext4");
        mkfs.args(["-q", "-F", "-m", "0"]).args(options);
        Self::made_by(mkfs, megabytes, "loop,commit=600")
    }

    /// With xfs.
    pub fn xfs() -> Option<Self> {
        let mut mkfs = Command::new("/usr/sbin/mkfs.xfs");
        mkfs.args(["-q", "-f"]);
        Self::made_by(mkfs, SMALLEST_XFS, "loop,nouuid")
    }

    fn made_by(mut mkfs: Command, megabytes: u64, options: &'static str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mounted")).unwrap();
        let disk = Self { folder, options, cuts: AtomicUsize::new(0) };
        std::fs::File::create(disk.image()).unwrap().set_len(megabytes << 20).unwrap();
        (runs(mkfs.arg(disk.image())) && disk.mount()).then_some(disk)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join(format!("image{}", self.cuts.load(Ordering::Relaxed)))
    }

    fn mount(&self) -> bool {
        runs(Command::new("mount").args(["-o", self.options]).arg(self.image()).arg(self.path()))
    }

    /// The power goes. Everything that is open on the disk fails from here on.
    pub fn cut(&self) {
        const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
        assert!(runs(Command::new("python3").args(["-c", SHUTDOWN]).arg(self.path())), "the disk cannot be shut down");
    }

    /// The power comes back: the journal is replayed. On a copy, because the dead disk may live on: in whoever was killed
    /// a moment ago, or in a mount namespace that another program made meanwhile.
    pub fn come_back(&self) {
        assert!(runs(Command::new("umount").arg("--lazy").arg(self.path())), "umount");
        let dead = self.image();
        self.cuts.fetch_add(1, Ordering::Relaxed);
        assert!(runs(Command::new("cp").arg("--sparse=always").args([&dead, &self.image()])), "cp");
        std::fs::remove_file(dead).unwrap();
        assert!(self.mount(), "mount");
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).stderr(Stdio::null()).status());
    }
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

pub const CALLS: &str = "rename,renameat2,fsync,fdatasync,syncfs";
const SHIP: &str = "ship --format json";

#[test]
fn r3_the_power_is_cut() {
    let bar = Bar::begin("R3");
    let ground = Ground::new();
    let shipped = digest(&ground.run(SHIP));
    let lock = ground.service.read("corten.lock");
    ground.service.write("more.py", "x = 1\n");
    let with_more = digest(&ground.run(SHIP));
    ground.service.remove("more.py");
    let Some(calls) = count(&ground) else { return not_run("strace is not installed") };
    let mut random = bar.random();
    let cuts = bar.length(4, 500);
    let (mut lost, mut torn, mut unhealed) = (0, 0, 0);
    for number in 0..cuts {
        ground.service.write("corten.lock", &lock);
        // Of twenty, two in a row: one on an empty store, one on a store with an image.
        let disk = if number / 2 % 10 == 1 { LoopDisk::xfs() } else { LoopDisk::new(24, &[]) };
        let Some(disk) = disk else { return not_run("a disk in a file needs root, mkfs.ext4 and mkfs.xfs") };
        let home = disk.path().join("store");
        // Half of the stores have an image already: that one was acknowledged.
        let before = (number % 2 == 0).then(|| digest(&run(&ground, &home, SHIP)));
        let expected = if before.is_some() { &with_more } else { &shipped };
        if before.is_some() {
            ground.service.write("more.py", "x = 1\n");
        }
        let (call, when) = random.pick(&calls);
        let finished = stopped(&ground, &home, call, *when, || disk.cut());
        disk.come_back();
        let verified = run(&ground, &home, "store verify");
        let named = run(&ground, &home, "images --format json").stdout;
        // The names of the image before may have gone over to the new one, in the moment before the cut.
        let has = |digest: &String| named.contains(digest.as_str());
        let is_lost = before.as_ref().is_some_and(|before| !has(before) && !has(&with_more));
        lost += usize::from(is_lost || finished.as_ref().is_some_and(|finished| !has(finished)));
        torn += usize::from(verified.status != 0);
        if verified.status != 0 {
            println!("cut {number} at {call} {when}: {}", verified.stdout);
        }
        let again = run(&ground, &home, SHIP);
        let healed = again.status == 0 && *expected == digest(&again);
        if !healed || run(&ground, &home, "store verify").status != 0 {
            unhealed += 1;
            println!("cut {number} at {call} {when}: {}", again.stderr);
        }
        drop(std::fs::remove_file(ground.service.folder().join("more.py")));
    }
    let value = format!("{cuts} cuts: {lost} acknowledged images lost, {torn} stores torn, {unhealed} not healed");
    bar.finish(value, lost + torn + unhealed == 0);
}

fn run(ground: &Ground, home: &Path, line: &str) -> corten_testkit::command::Ran {
    corten_at(home).run(&ground.service.folder(), line.split(' '))
}

/// The calls of a build, each as its thread's n-th.
fn count(ground: &Ground) -> Option<Vec<(String, usize)>> {
    let calls: Vec<&str> = CALLS.split(',').collect();
    ground.empty();
    let mut steps = crate::ground::Traced::run(&ground.corten, &ground.service.folder(), SHIP, &calls, None)?.steps;
    steps.sort();
    steps.dedup();
    Some(steps)
}

/// Runs until a call has been made, then `cut`s, then kills. The digest, if it came to its end before.
fn stopped(ground: &Ground, home: &Path, call: &str, when: usize, cut: impl FnOnce()) -> Option<String> {
    let corten = corten_at(home);
    let mut command = corten.command(&ground.service.folder());
    command.args(SHIP.split(' '));
    let shipped: Option<serde_json::Value> = serde_json::from_str(&cut_at(&command, call, when, cut)).ok();
    shipped.map(|shipped| shipped["digest"].as_str().unwrap().to_owned())
}

/// Runs a command until it has made a call, then `cut`s, then kills; its standard output. None of its children may make that call.
pub fn cut_at(inner: &Command, call: &str, when: usize, cut: impl FnOnce()) -> String {
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.current_dir(inner.get_current_dir().unwrap()).env_clear();
    strace.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}"), "-e"]);
    strace.arg(format!("inject={call}:signal=SIGSTOP:when={when}")).arg(inner.get_program()).args(inner.get_args());
    strace.stdin(Stdio::null()).stdout(output.reopen().unwrap()).stderr(Stdio::null());
    let mut child = strace.spawn().unwrap();
    let stopped = loop {
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        if let Some(process) = child_of(child.id())
            && state(process) == Some('T')
        {
            break true;
        }
        std::thread::yield_now();
    };
    cut();
    if stopped {
        if let Some(process) = child_of(child.id()) {
            runs(Command::new("kill").args(["-KILL", &process.to_string()]));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    std::fs::read_to_string(output.path()).unwrap()
}

fn child_of(process: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// `T`: stopped by a signal; `t`: by strace.
fn state(process: u32) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let state = status.rsplit_once(") ")?.1.chars().next()?;
    Some(state.to_ascii_uppercase()).filter(|_| is_group_stopped(process, state))
}

/// strace lets a stopped process sleep in its stop (`t` with PTRACE_SEIZE shows as `t (tracing stop)`): all threads of it
/// are then still.
fn is_group_stopped(process: u32, state: char) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    let still = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let found = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        matches!(found, Some('t' | 'T'))
    };
    matches!(state, 'T' | 't') && tasks.flatten().all(still)
}
