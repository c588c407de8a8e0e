//! R1b, R2b and R3b: a build of many steps, whose names come a little later by a thread (`store/src/later.rs`), is killed at any
//! moment or loses its power: nothing is torn, what was told is there, the next build makes the same image.

use std::process::Stdio;
use std::time::{Duration, Instant};

use corten_testkit::bar::Bar;

use super::boxes::Player;
use super::cuts::{CALLS, LoopDisk, cut_at};
use super::kills::{MUTATING, wait_for_orphans};
use super::moments::Build;
use crate::ground::not_run;

/// Commands and copies in turn, in two stages. Commands rename and sync nothing: those calls are the program's own.
fn dockerfile() -> String {
    let step = |number: usize| {
        format!(
            "RUN mkdir /d{number}; head -c 30000 /bin/busybox > /d{number}/f; echo {number} > /last\nCOPY some /some{number}\n"
        )
    };
    let half = |numbers: std::ops::Range<usize>| numbers.map(step).collect::<String>();
    format!("FROM box:1 AS one\n{}FROM box:1\n{}COPY --from=one /d1 /from-one\nRUN rm -r /d4\n", half(0..3), half(3..6))
}

fn root() -> Player {
    Player::all().remove(0)
}

fn build(player: &Player) -> Build<'_> {
    Build::of(player, &dockerfile(), format!("7{:07}", std::process::id()))
}

#[test]
fn r1b_a_build_of_many_steps_is_killed_at_random() {
    let bar = Bar::begin("R1b");
    let player = root();
    let build = build(&player);
    build.reset();
    let begun = Instant::now();
    build.again().unwrap();
    let course = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    let (mut random, mut wrong, mut killed) = (bar.random(), Vec::new(), 0);
    let kills = bar.length(3, 500);
    while killed < kills {
        build.reset();
        let moment = Duration::from_nanos(random.number() % course);
        let mut child = build.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        // Whoever was faster than the kill, is none.
        if child.wait().unwrap().code().is_none() {
            killed += 1;
            wait_for_orphans(&player.store());
            wrong.extend(build.judge(&format!("killed after {moment:?}")));
        }
    }
    wrong.iter().for_each(|what| println!("{what}"));
    bar.finish(format!("{} wrong after {killed} kills", wrong.len()), wrong.is_empty());
}

#[test]
fn r2b_a_build_of_many_steps_is_killed_before_each_call_that_changes_something() {
    let bar = Bar::begin("R2b");
    let player = root();
    let build = build(&player);
    let Some((_, mut points)) = build.followed(&MUTATING, None) else { return not_run("strace is not installed") };
    points.sort();
    points.dedup();
    let mut random = bar.random();
    for _ in bar.length(4, points.len())..points.len() {
        points.remove(random.below(points.len()));
    }
    let (mut wrong, mut killed) = (Vec::new(), 0);
    for (call, when) in &points {
        let inject = format!("{call}:signal=SIGKILL:when={when}");
        // Threads share the work as they like, so that a call may not come this time.
        if build.followed(&MUTATING, Some(&inject)).unwrap().0.status != 0 {
            killed += 1;
            wait_for_orphans(&player.store());
            wrong.extend(build.judge(&inject));
        }
    }
    wrong.iter().for_each(|what| println!("{what}"));
    assert!(killed * 2 >= points.len(), "only {killed} of {} kills", points.len());
    bar.finish(format!("{} wrong at {killed} calls", wrong.len()), wrong.is_empty());
}

#[test]
fn r3b_the_power_is_cut_in_a_build_of_many_steps() {
    let bar = Bar::begin("R3b");
    let player = root();
    let calls: Vec<&str> = CALLS.split(',').collect();
    let (id, points) = {
        let build = build(&player);
        let Some((_, points)) = build.followed(&calls, None) else { return not_run("strace is not installed") };
        (build.id, points)
    };
    let (mut random, mut wrong, mut acknowledged) = (bar.random(), Vec::new(), 0);
    let cuts = bar.length(2, 200);
    let mut player = player;
    for number in 0..cuts {
        let disk = if number % 10 == 9 { LoopDisk::xfs() } else { LoopDisk::new(48, &[]) };
        let Some(disk) = disk else { return not_run("a disk in a file needs root, mkfs.ext4 and mkfs.xfs") };
        player = player.with_store(disk.path().join("store"));
        // The base was there before; what this build makes was not.
        rustix::fs::sync();
        let build = Build::known(&player);
        let (call, when) = random.pick(&points);
        let what = format!("cut {number} at {call} {when}");
        let said = cut_at(&build.command(), call, *when, || disk.cut());
        disk.come_back();
        let verified = player.run(&["store", "verify"]);
        if verified.status != 0 {
            wrong.push(format!("{what}: torn: {}", verified.stdout));
        }
        if serde_json::from_str::<serde_json::Value>(&said).is_ok() {
            acknowledged += 1;
            let listed = player.run(&["images", "--format", "json"]).stdout;
            wrong.extend((!listed.contains("moments")).then(|| format!("{what}: what was told is lost: {listed}")));
        }
        match build.again() {
            Ok(again) if again == id => {}
            Ok(again) => wrong.push(format!("{what}: another image: {again}")),
            Err(ran) => wrong.push(format!("{what}: the next build fails: {}", ran.stderr)),
        }
        wrong.extend((player.run(&["store", "verify"]).status != 0).then(|| format!("{what}: not healed")));
    }
    wrong.iter().for_each(|what| println!("{what}"));
    bar.finish(
        format!("{} wrong after {cuts} cuts, {acknowledged} of them after the end", wrong.len()),
        wrong.is_empty(),
    );
}
