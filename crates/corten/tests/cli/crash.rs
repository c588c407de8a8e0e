//! Killed anywhere, and side by side: the next run succeeds with the same digest, and the store is clean.

use std::fs;
use std::process::Stdio;

use corten_testkit::command::Ran;

use crate::ground::{Ground, Step, Traced, assert_same, assert_swept, contents, not_run};
use crate::service::digest;

/// What changes the disk, and enough of the rest that the moments lie everywhere in a build.
const CALLS: [&str; 23] = [
    "openat",
    "write",
    "writev",
    "sendto",
    "recvfrom",
    "connect",
    "rename",
    "renameat2",
    "mkdir",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
    "fchmod",
    "flock",
    "statx",
    "getdents64",
    "clone3",
];

const KILLS: usize = 100;
/// So many builds are killed at the same time, each on a store of its own.
const LANES: usize = 2;

/// The same random numbers for the same seed (xorshift).
struct Random(u64);

impl Random {
    /// `CORTEN_TEST_SEED`, else another one each time; printed.
    fn seed() -> u64 {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("CORTEN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
        println!("CORTEN_TEST_SEED={seed}");
        seed
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }
}

/// How often a build was killed in each tenth of its course.
type Tenths = [usize; 10];

#[test]
fn killed_at_a_hundred_moments() {
    let seed = Random::seed();
    let lane = |lane: usize| kill_often(&mut Random(seed.wrapping_add(lane as u64) | 1 << 40), KILLS / LANES);
    let lanes: Vec<Option<Tenths>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let Some(lanes) = lanes.into_iter().collect::<Option<Vec<_>>>() else {
        return not_run("strace is not installed");
    };
    let tenths: Vec<usize> = (0..10).map(|tenth| lanes.iter().map(|lane| lane[tenth]).sum()).collect();
    println!("kills by tenths of a build: {tenths:?}");
    assert!(tenths.iter().filter(|count| **count > 0).count() >= 8, "{tenths:?}");
}

/// Each time from nothing. None where there is no strace.
fn kill_often(random: &mut Random, kills: usize) -> Option<Tenths> {
    let ground = Ground::new();
    let (shipped, store) = ground.reference();
    let whole = ship(&ground, None)?;
    assert_eq!(digest(&whole.ran), shipped);
    let moments = moments(&whole.steps);
    let mut tenths = Tenths::default();
    while tenths.iter().sum::<usize>() < kills {
        // Each tenth of the course in turn.
        let tenth = &moments[tenths.iter().sum::<usize>() % 10];
        let (call, when) = tenth[random.below(tenth.len())];
        ground.empty();
        let inject = format!("{call}:signal=SIGKILL:when={when}");
        let run = ship(&ground, Some(&inject))?;
        // Threads share the work as they like, so that a call may not come this time.
        if !run.killed {
            continue;
        }
        tenths[(run.steps.len() * 10 / whole.steps.len()).min(9)] += 1;
        let verified = ground.run("store verify");
        assert_eq!(verified.status, 0, "{inject}: {}", verified.stdout);
        assert_eq!(digest(&ground.run("ship --format json")), shipped, "{inject}");
        assert_swept(ground.home.path(), &ground.service.folder());
        // Byte for byte that of an undisturbed build; so it is clean, too.
        assert_same(&contents(ground.home.path()), &store);
    }
    Some(tenths)
}

/// For each tenth of a build's course the calls at which strace would stop it there: those that no thread has made so
/// often before. A tenth without one borrows that before it.
fn moments(steps: &[Step]) -> Vec<Vec<&Step>> {
    let mut seen = std::collections::BTreeSet::new();
    let mut moments: Vec<Vec<&Step>> = vec![Vec::new(); 10];
    for (at, step) in steps.iter().enumerate() {
        if seen.insert(step) {
            moments[at * 10 / steps.len()].push(step);
        }
    }
    for tenth in 1..10 {
        if moments[tenth].is_empty() {
            moments[tenth] = moments[tenth - 1].clone();
        }
    }
    moments
}

fn ship(ground: &Ground, inject: Option<&str>) -> Option<Traced> {
    Traced::run(&ground.corten, &ground.service.folder(), "ship --format json", &CALLS, inject)
}

/// A build that was killed goes on, and nobody's temporary files are taken away while he lives.
#[test]
fn side_by_side_on_one_store() {
    let ground = Ground::new();
    let (shipped, store) = ground.reference();
    let other = ground.service.folder().with_file_name("other");
    ground.service.write_to(&other);
    fs::write(other.join("pyproject.toml"), ground.service.read("pyproject.toml").replace("\"service\"", "\"other\""))
        .unwrap();
    fs::write(other.join("uv.lock"), ground.service.read("uv.lock").replace("\"service\"", "\"other\"")).unwrap();
    fs::write(other.join("more.py"), "x = 1\n").unwrap();
    let others = digest(&ground.corten.run(&other, ["ship", "--format", "json"]));
    assert_ne!(shipped, others);
    for round in 0..6 {
        ground.empty();
        if round % 2 == 0 {
            fs::remove_file(other.join("corten.lock")).unwrap();
        }
        let folders = [&ground.service.folder(), &other, &ground.service.folder(), &other];
        let running: Vec<_> = folders
            .map(|folder| {
                let mut command = ground.corten.command(folder);
                command
                    .args(["ship", "--format", "json"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .into();
        for (folder, process) in folders.iter().zip(running) {
            let ran = Ran::from(process.wait_with_output().unwrap());
            assert_eq!(&digest(&ran), if **folder == other { &others } else { &shipped });
        }
        ground.run("store verify").expect(0);
        assert_swept(ground.home.path(), &ground.service.folder());
        assert_swept(ground.home.path(), &other);
        let mut both = contents(ground.home.path());
        assert!(
            store.iter().all(|(path, bytes)| both.remove(path).as_ref() == Some(bytes)),
            "the first project's files"
        );
        assert_eq!(ground.run("images --format json").json().as_array().unwrap().len(), 4);
    }
}
