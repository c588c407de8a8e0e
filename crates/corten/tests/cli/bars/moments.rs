//! R9b: a RUN that is killed, interrupted or short of space at any moment: nothing of it stays, and the next build goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use corten_testkit::bar::Bar;
use corten_testkit::command::Ran;

use super::boxes::{Player, mounts_with, processes_with};
use crate::ground::{SmallDisk, not_run, steps};

/// Calls by which a sandbox is made, a command runs in it, and its layer is kept.
const CALLS: [&str; 34] = [
    "openat",
    "openat2",
    "write",
    "read",
    "sendmsg",
    "recvmsg",
    "sendto",
    "recvfrom",
    "clone3",
    "clone",
    "execve",
    "mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "pivot_root",
    "umount2",
    "setresuid",
    "waitid",
    "wait4",
    "poll",
    "rename",
    "renameat2",
    "mkdirat",
    "mkdir",
    "unlinkat",
    "linkat",
    "fsync",
    "syncfs",
    "flock",
    "statx",
];
/// So long may what was started be there after the program has ended.
const LONGEST: Duration = Duration::from_secs(2);

/// A build that is disturbed.
pub struct Build<'a> {
    player: &'a Player,
    mark: String,
    /// The image that an undisturbed build makes.
    pub id: String,
}

impl<'a> Build<'a> {
    /// Of two commands, the first of which starts others that would never end.
    fn new(player: &'a Player) -> Self {
        let mark = format!("8{:07}", std::process::id());
        let text = format!(
            "FROM box:1\nCOPY some /some\nRUN (sleep {mark} &) ; for n in 1 2 3 4 5 6 7 8; do head -c 40000 /bin/busybox > /f$n; mkdir /d$n; mv /f$n /d$n/f; ln /d$n/f /d$n/g; echo $n; done; chmod 700 /data; rm /data/seed\n\
             RUN --mount=type=cache,target=/cache echo x > /cache/x; ls / > /list\n"
        );
        Self::of(player, &text, mark)
    }

    /// Of a Dockerfile whose commands have `mark` on their command lines.
    pub fn of(player: &'a Player, text: &str, mark: String) -> Self {
        player.write("moments/Dockerfile", text);
        player.write("moments/some", "some");
        let mut build = Self { player, mark, id: String::new() };
        build.id = build.again().expect("an undisturbed build");
        build
    }

    /// The same again, with a store that has not seen it.
    pub fn known(player: &'a Player) -> Self {
        Self { player, mark: format!("6{:07}", std::process::id()), id: String::new() }
    }

    /// What is run: the program, its words and variables.
    pub fn command(&self) -> Command {
        let mut command = self.player.command(&self.line());
        self.environment(&mut command);
        command
    }

    fn line(&self) -> Vec<&'static str> {
        vec!["build", "moments", "-t", "moments:1", "--format", "json"]
    }

    fn environment(&self, command: &mut Command) {
        command.env("SOURCE_DATE_EPOCH", "1600000000");
    }

    /// Builds; the image's id.
    pub fn again(&self) -> Result<String, Ran> {
        let ran = Ran::from(self.command().output().unwrap());
        if ran.status == 0 { Ok(ran.json()["id"].as_str().unwrap().to_owned()) } else { Err(ran) }
    }

    /// From nothing but the base, under strace, which does something at one call; none without strace.
    fn traced(&self, inject: Option<&str>) -> Option<(Ran, Vec<(String, usize)>)> {
        self.followed(&CALLS, inject)
    }

    /// The same, with the calls that strace follows.
    pub fn followed(&self, calls: &[&str], inject: Option<&str>) -> Option<(Ran, Vec<(String, usize)>)> {
        self.reset();
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(log.path(), fs::Permissions::from_mode(0o666)).unwrap();
        let mut command = self.player.traced(log.path(), calls, inject, &self.line());
        self.environment(&mut command);
        let output = command.output().ok()?;
        let said = fs::read_to_string(log.path()).unwrap_or_default();
        Some((Ran::from(output), steps(&said)))
    }

    /// Steps are forgotten, so that they are made again.
    pub fn reset(&self) {
        for folder in ["cache", "layers", "images"] {
            let path = self.player.store().join(folder);
            let _ = fs::remove_dir_all(path);
        }
        self.player.reload();
    }

    /// What must hold after a disturbance; what does not.
    pub fn judge(&self, what: &str) -> Vec<String> {
        let begun = Instant::now();
        while processes_with(&self.mark) > 0 && begun.elapsed() < LONGEST {
            std::thread::yield_now();
        }
        let mut wrong = Vec::new();
        let place = self.player.path("");
        wrong.extend(mounts_with(place.to_str().unwrap()).into_iter().map(|mount| format!("a mount: {mount}")));
        if processes_with(&self.mark) > 0 {
            wrong.push("processes".into());
        }
        match self.again() {
            Ok(id) if id == self.id => {}
            Ok(id) => wrong.push(format!("another image: {id}")),
            Err(ran) => wrong.push(format!("the next build fails: {}", ran.stderr)),
        }
        wrong.extend(self.player.left().into_iter().map(|name| format!("{name} is left")));
        let verified = self.player.run(&["store", "verify"]);
        if verified.status != 0 {
            wrong.push(verified.stdout + &verified.stderr);
        }
        wrong.extend(cgroups());
        wrong.into_iter().map(|one| format!("{} {what}: {one}", self.player.name)).collect()
    }
}

/// Groups of ours whose maker is gone.
fn cgroups() -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![(Path::new("/sys/fs/cgroup").to_owned(), 0)];
    while let Some((folder, depth)) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth < 6 {
                let name = entry.file_name().to_string_lossy().into_owned();
                let maker = name.strip_prefix("corten-").and_then(|rest| rest.split('-').next());
                if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                    found.push(format!("the cgroup {}", entry.path().display()));
                }
                todo.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

#[test]
fn r9b_a_run_that_is_disturbed_at_any_moment_leaves_nothing() {
    let bar = Bar::begin("R9b");
    let mut random = bar.random();
    let (mut wrong, mut killed, mut interrupted) = (Vec::new(), 0, 0);
    let times = bar.length(2, 40);
    for player in Player::all() {
        let build = Build::new(&player);
        let Some((ran, points)) = build.traced(None) else { return not_run("strace is not installed") };
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(points.len() > 100, "{}", points.len());
        for signal in ["SIGKILL", "SIGINT"] {
            let mut done = 0;
            for _ in 0..times * 4 {
                if done == times {
                    break;
                }
                let (call, when) = random.pick(&points);
                let inject = format!("{call}:signal={signal}:when={when}");
                let (ran, _) = build.traced(Some(&inject)).unwrap();
                // Threads share the work as they like: a call may not come this time.
                if ran.status != 0 {
                    done += 1;
                    wrong.extend(build.judge(&inject));
                }
            }
            *if signal == "SIGKILL" { &mut killed } else { &mut interrupted } += done;
        }
    }
    let full = full_disks(bar.length(2, 20), &mut wrong);
    wrong.iter().for_each(|what| println!("{what}"));
    assert!(killed >= times && interrupted >= times, "{killed} kills, {interrupted} interrupts");
    let figure = format!("{} wrong after {killed} kills, {interrupted} interrupts, {full} full disks", wrong.len());
    bar.finish(figure, wrong.is_empty());
}

/// A store on disks of several sizes, from nothing to nearly enough; how many were too small.
fn full_disks(sizes: usize, wrong: &mut Vec<String>) -> usize {
    let Some(disk) = SmallDisk::new("size=64m,mode=0777") else {
        not_run("mounting a small tmpfs needs root");
        return 0;
    };
    let player = Player::all().remove(0).with_store(disk.path().join("store"));
    let build = Build::new(&player);
    let used = |folder: &Path| {
        let found = rustix::fs::statfs(folder).unwrap();
        (found.f_blocks - found.f_bfree) * u64::try_from(found.f_bsize).unwrap() / 1024
    };
    let most = used(disk.path());
    build.reset();
    let least = used(disk.path());
    let mut full = 0;
    for number in 0..sizes {
        build.reset();
        let size = least + 4 + (most.saturating_sub(least)) * number as u64 / sizes as u64;
        disk.remount(&format!("size={size}k"));
        let ended = build.again();
        disk.remount("size=64m");
        if let Err(ran) = ended {
            full += 1;
            if !ran.stderr.contains("full") && !ran.stderr.contains("No space left") {
                wrong.push(format!("a disk of {size} kB: {}", ran.stderr));
            }
            wrong.extend(build.judge(&format!("a disk of {size} kB")));
        }
    }
    assert!(full * 2 >= sizes, "{full} of {sizes} disks were full");
    full
}
