//! Where it ends, and that nothing is left.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use corten_diagnostic::{Diagnose, Fault};
use corten_sandbox::{End, Limit, Note, Output, Streams};

use crate::Programs;
use crate::world::{HELPER, ROLE, World, helper, is_root, processes_with, role, run, unique};

#[test]
fn time_ends() {
    let world = World::new();
    let mark = unique(7);
    let mut sandbox = world.shell(&format!("sleep {mark} & sleep {mark}"));
    sandbox.limits.time = Some(Duration::from_millis(300));
    let ran = run(&sandbox);
    assert_eq!(ran.exit.end, End::Limit(Limit::Time));
    assert!(ran.exit.wall >= Duration::from_millis(300));
    assert_eq!(processes_with(&mark), [""; 0]);
    assert_eq!(fs::read_dir(world.root()).unwrap().count(), 2, "bin and etc: mount points are removed here too");
}

#[test]
fn output_ends() {
    let world = World::new();
    let mut sandbox = world.sandbox(&["yes"]);
    sandbox.limits.output = Some(100_001);
    let ran = run(&sandbox);
    assert_eq!((ran.exit.end, ran.stdout.len()), (End::Limit(Limit::Output), 100_001));
    let mut sandbox = world.shell("yes | head -c 5000; yes | head -c 5000 >&2");
    sandbox.limits.output = Some(10_000);
    let ran = run(&sandbox);
    assert_eq!((ran.exit.end, ran.stdout.len(), ran.stderr.len()), (End::Status(0), 5000, 5000), "just enough");
    sandbox.limits.output = Some(9_999);
    assert_eq!(run(&sandbox).exit.end, End::Limit(Limit::Output), "both count together");
}

#[test]
fn e18_a_fork_bomb_ends() {
    let mark = unique(8);
    let script = format!("import os\nwhile True:\n try: os.fork()\n except OSError as error: last = {mark}");
    let world = World::new();
    let mut sandbox = world.with_host_programs(&["/usr/bin/python3", "-c", &script]);
    sandbox.limits.processes = Some(60);
    let ran = run(&sandbox);
    assert_eq!(ran.exit.end, End::Limit(Limit::Processes));
    assert_eq!(processes_with(&mark), [""; 0]);
}

/// Shells give up when they cannot fork: the bomb may be over before it is seen, but never grows and never stays.
#[test]
fn a_fork_bomb_of_shells_ends() {
    let world = World::new();
    let mark = unique(9);
    let mut sandbox = world.shell(&format!("bomb() {{ bomb {mark} | bomb {mark} & }}; bomb; sleep 0.5; exit 5"));
    sandbox.limits.processes = Some(60);
    let ran = run(&sandbox);
    assert!([End::Limit(Limit::Processes), End::Status(5), End::Status(2)].contains(&ran.exit.end), "{ran:?}");
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[test]
fn threads_count_as_processes() {
    let script = "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(60,)).start()";
    let world = World::new();
    let mut sandbox = world.with_host_programs(&["/usr/bin/python3", "-c", script]);
    sandbox.limits.processes = Some(50);
    assert_eq!(run(&sandbox).exit.end, End::Limit(Limit::Processes));
    sandbox.limits.processes = Some(150);
    sandbox.process.arguments[2] = script.replace("60", "0.1").into();
    assert_eq!(run(&sandbox).exit.end, End::Status(0));
}

#[test]
fn memory_of_one_process_ends() {
    let world = World::new();
    let mut sandbox = world.sandbox(&["tail", "/dev/zero"]);
    sandbox.limits.memory = Some(48 << 20);
    let ran = run(&sandbox);
    assert_eq!(ran.exit.end, End::Limit(Limit::Memory));
    assert!(ran.exit.peak_memory >= 40 << 20, "{}", ran.exit.peak_memory);
    let enforced = !ran.exit.notes.iter().any(|note| matches!(note, Note::LimitsNotEnforced(_)));
    assert!(!enforced || ran.exit.peak_memory <= 49 << 20, "{}", ran.exit.peak_memory);
}

#[test]
fn memory_of_all_processes_together_ends() {
    let world = World::new();
    let one = "(head -c 15000000 /dev/zero; sleep 60) | tail";
    let mut sandbox = world.shell(&format!("{one} & {one} & {one} & {one} & {one} & wait"));
    sandbox.limits.memory = Some(48 << 20);
    assert_eq!(run(&sandbox).exit.end, End::Limit(Limit::Memory));
}

/// Memory that nobody maps: it must end all the same, here by the file system's size or by the cgroup.
#[test]
fn memory_in_files_ends() {
    let world = World::new();
    let ran = run(&world.shell("dd if=/dev/zero of=/dev/shm/big bs=64k count=100 || echo full"));
    assert_eq!(ran.stdout, "full\n", "{}", ran.stderr);
    let script = "import os\n\
                  files = [os.memfd_create(str(number)) for number in range(16)]\n\
                  for file in files: os.posix_fallocate(file, 0, 16 << 20)";
    let mut sandbox = world.with_host_programs(&["/usr/bin/python3", "-c", script]);
    assert_eq!(run(&sandbox).exit.end, End::Status(0), "the control: nothing is limited");
    sandbox.limits.memory = Some(64 << 20);
    let ran = run(&sandbox);
    assert!(ran.exit.end == End::Limit(Limit::Memory) || ran.stderr.contains("not implemented"), "{ran:?}");
}

#[test]
fn what_it_started_ends_with_it() {
    let world = World::new();
    let mark = unique(6);
    let script = format!("setsid sh -c 'sleep {mark} & sleep {mark}' & (sleep {mark} &); exit 3");
    let ran = run(&world.shell(&script));
    assert_eq!(ran.exit.end, End::Status(3));
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[test]
fn everyones_time_counts_and_the_killer_knows_whom_to_take() {
    let world = World::new();
    let ran =
        run(&world.shell("(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done) & wait; cat /proc/self/oom_score_adj"));
    assert!(ran.exit.cpu > Duration::from_millis(20), "{:?}", ran.exit.cpu);
    assert_eq!(ran.stdout, "500\n");
}

#[test]
fn orphans_are_reaped() {
    let world = World::new();
    let script = "i=0; while [ $i -lt 100 ]; do (true &); i=$((i+1)); done; \
                  until [ $(ls /proc | grep -c -E '^[0-9]+$') -le 6 ]; do :; done";
    assert_eq!(run(&world.shell(script)).exit.end, End::Status(0), "zombies would stay for ever");
}

#[test]
fn notes_say_what_is_not_enforced() {
    let world = World::new();
    let mut sandbox = world.sandbox(&["true"]);
    assert!(
        run(&sandbox).exit.notes.iter().all(|note| !matches!(note, Note::LimitsNotEnforced(_))),
        "nothing was asked for"
    );
    sandbox.limits.memory = Some(1 << 30);
    for note in run(&sandbox).exit.notes {
        if let Note::LimitsNotEnforced(why) = &note {
            assert!(why.contains("cgroup"), "{note}");
            assert!(note.to_string().starts_with("limits_not_enforced: "));
        }
    }
}

/// Plays the caller that is killed.
#[test]
fn caller_that_is_killed() {
    if role().as_deref() == Some("caller") {
        let world = World::new();
        let sandbox = world.shell("(setsid sleep 6341 &); echo up; sleep 6341");
        let failure = sandbox.run(Streams { stdout: Output::Inherit, ..Streams::default() }).unwrap_err();
        assert_eq!(failure.fault(), Fault::World);
        assert!(failure.to_string().contains("ended without an answer"), "{failure}");
        println!("told");
    }
}

/// `sleep` holds the pipe that we read: its end is the end of all of them, whoever was killed.
#[test]
fn nothing_survives_whoever_is_killed() {
    for victim in ["the caller", "S"] {
        // A caller that is killed leaves its root behind: in here.
        let folder = tempfile::tempdir().unwrap();
        let mut caller = Command::new(std::env::current_exe().unwrap());
        caller.env("TMPDIR", folder.path());
        caller.args(["--exact", "limits::caller_that_is_killed", "--nocapture"]);
        caller.env(ROLE, "caller").env(HELPER, helper()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut caller = caller.spawn().unwrap();
        let mut output = BufReader::new(caller.stdout.take().unwrap());
        let mut line = String::new();
        while line != "up\n" {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "it does not come up");
        }
        let pid = if victim == "S" { child_of(caller.id()) } else { caller.id() };
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        caller.wait().unwrap();
        assert_eq!(rest.contains("told"), victim == "S", "{rest}");
    }
}

/// The only child of a process, by whichever thread.
fn child_of(pid: u32) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let children = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    children.collect::<String>().trim().parse().unwrap()
}

/// Plays the caller who may not make user namespaces.
#[test]
fn caller_without_user_namespaces() {
    if role().as_deref() == Some("refused") {
        let world = World::new();
        let failure = world.sandbox(&["true"]).run(Streams::default()).unwrap_err();
        assert_eq!(failure.fault(), Fault::World);
        assert!(failure.to_string().contains("make its namespaces"), "{failure}");
        assert!(failure.hints().iter().any(|hint| hint.contains("user.max_user_namespaces")), "{:?}", failure.hints());
        println!("told");
    }
}

/// The setting counts for a user namespace and those in it: ours is not changed.
#[test]
fn forbidden_user_namespaces_are_named_with_the_setting() {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" --exact limits::caller_without_user_namespaces --nocapture";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    let output = command.env(ROLE, "refused").env(HELPER, helper()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("told"), "{output:?}");
}

/// Plays a user who has ranges of ids.
#[test]
fn caller_with_ranges() {
    if role().as_deref() == Some("ranges") {
        let world = World::new();
        let mut sandbox =
            world.shell("cat /proc/self/uid_map; touch /made; chown 33:7 /made; stat -c %u:%g /made; id -G");
        sandbox.process.capabilities = corten_sandbox::Capabilities::CONTAINER;
        sandbox.process.groups = vec![6];
        let ran = run(&sandbox);
        let words: Vec<_> = ran.stdout.split_whitespace().collect();
        assert_eq!(words, ["0", "65534", "1", "1", "300000", "65535", "33:7", "0", "6"], "{}", ran.stderr);
        assert!(ran.exit.notes.iter().all(|note| !matches!(note, Note::OneId(_) | Note::GroupsNotSet)));
        println!("told");
    }
}

#[test]
fn ranges_of_subuid_are_used() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("subuid");
    fs::write(&file, "65534:300000:65536\n").unwrap();
    let script = "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec \"$@\"";
    for existing in ["/etc/subuid", "/etc/subgid"] {
        fs::File::options().append(true).create(true).open(existing).unwrap();
    }
    let programs = Programs::copy();
    let before = ["unshare", "--mount", "sh", "-c", script, file.to_str().unwrap()];
    let mut command = programs.as_nobody(&before);
    let output =
        command.args(["--exact", "limits::caller_with_ranges", "--nocapture"]).env(ROLE, "ranges").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("told"), "{output:?}");
}
