//! R1 and R2: killed at any moment of a build and push, the next run makes the same image, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use corten_testkit::bar::Bar;

use super::Published;
use crate::ground::{Traced, assert_swept, contents, not_run};
use crate::service::digest;

const SHIP: &str = "ship --push --format json";

/// What changes names, contents or their durability.
pub const MUTATING: [&str; 18] = [
    "rename",
    "renameat2",
    "mkdir",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "symlinkat",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
    "fchmod",
    "utimensat",
    "fallocate",
    "write",
    "flock",
];

/// On a machine that is busy with other things.
const LONGEST_BIRTH: Duration = Duration::from_secs(30);

/// What must hold after a kill. How often anything did not.
struct Judge {
    shipped: String,
    /// Files of a store that nobody disturbed.
    whole: Vec<std::path::PathBuf>,
    violations: usize,
}

impl Judge {
    fn new(published: &Published) -> Self {
        let ground = &published.ground;
        let shipped = digest(&ground.run(SHIP));
        let whole = contents(ground.home.path()).into_keys().collect();
        Self { shipped, whole, violations: 0 }
    }

    fn after(&mut self, published: &Published, kill: &str) {
        let ground = &published.ground;
        wait_for_orphans(ground.home.path());
        let verified = ground.run("store verify");
        let again = ground.run(SHIP);
        let same = again.status == 0 && digest(&again) == self.shipped;
        let files: Vec<_> = contents(ground.home.path()).into_keys().collect();
        let registry = (published.registry.torn(), published.registry.breaches()) == (vec![], vec![]);
        if verified.status != 0 || !same || files != self.whole || !registry {
            self.violations += 1;
            println!("{kill}: verify {}, same image {same}, registry {registry}, {}", verified.stdout, again.stderr);
        }
        assert_swept(ground.home.path(), &ground.service.folder());
    }
}

/// A child that was being started (git) has the locks of its parent, also of one that was killed, until it is another
/// program: what they guard counts as somebody's until then.
pub fn wait_for_orphans(home: &Path) {
    let begun = Instant::now();
    let locks = ["tmp", "leases"].map(|folder| home.join(folder));
    let files = locks.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    for file in files.filter_map(|entry| fs::File::open(entry.path()).ok()) {
        while file.try_lock().is_err() && begun.elapsed() < LONGEST_BIRTH {
            std::thread::yield_now();
        }
    }
}

#[test]
fn r1_killed_at_random_while_building_and_pushing() {
    let bar = Bar::begin("R1");
    let mut published = Published::new();
    let begun = Instant::now();
    let mut judge = Judge::new(&published);
    let course = begun.elapsed();
    let mut random = bar.random();
    let kills = bar.length(8, 1000);
    let mut killed = 0;
    for number in 0.. {
        if killed == kills {
            break;
        }
        // A repository that has nothing yet, so that the push is one.
        published.repository(&format!("kill{number}"));
        published.ground.empty();
        let moment = Duration::from_nanos(random.number() % u64::try_from(course.as_nanos()).unwrap());
        let mut command = published.ground.corten.command(&published.ground.service.folder());
        command.args(SHIP.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        while begun.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        // Whoever was faster than the kill, is none.
        if child.wait().unwrap().code().is_none() {
            killed += 1;
            judge.after(&published, &format!("kill {number} after {moment:?}"));
        }
    }
    bar.finish(format!("{} of {killed} clean", killed - judge.violations), judge.violations == 0);
}

#[test]
fn r2_killed_before_each_call_that_changes_something() {
    let bar = Bar::begin("R2");
    let published = Published::new();
    let ground = &published.ground;
    let mut judge = Judge::new(&published);
    let ship = |inject: Option<&str>| {
        ground.empty();
        Traced::run(&ground.corten, &ground.service.folder(), SHIP, &MUTATING, inject)
    };
    let Some(whole) = ship(None) else { return not_run("strace is not installed") };
    let mut points = whole.steps;
    points.sort();
    points.dedup();
    let mut random = bar.random();
    for _ in bar.length(6, points.len())..points.len() {
        points.remove(random.below(points.len()));
    }
    let mut killed = 0;
    for (call, when) in &points {
        let inject = format!("{call}:signal=SIGKILL:when={when}");
        // Threads share the work as they like, so that a call may not come this time.
        if ship(Some(&inject)).unwrap().killed {
            killed += 1;
            judge.after(&published, &inject);
        }
    }
    assert!(killed * 2 >= points.len(), "only {killed} of {} kills", points.len());
    bar.finish(format!("{} violations at {killed} calls", judge.violations), judge.violations == 0);
}
