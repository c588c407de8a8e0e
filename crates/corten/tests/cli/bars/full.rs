//! R5: a disk that is full, of blocks or of files, or says so in the middle: told with path and need, the store is
//! whole, space can be freed although there is none, and then the build goes on.

use std::fs;
use std::path::Path;

use corten_testkit::bar::Bar;

use super::cuts::LoopDisk;
use crate::ground::{Ground, Traced, assert_swept, contents, corten_at, not_run};
use crate::service::digest;

const SHIP: &str = "ship --format json";

#[test]
fn r5_no_space_left() {
    let bar = Bar::begin("R5");
    let ground = Ground::new();
    let shipped = digest(&ground.run(SHIP));
    let needed = contents(ground.home.path()).values().map(|bytes| bytes.len().next_multiple_of(4096)).sum::<usize>();
    let mut random = bar.random();
    let (mut points, mut violations) = (0, Vec::new());
    let of_each = bar.length(1, 14);
    for number in 0..of_each {
        let left = needed * (number * 10 + random.below(10)) / (of_each * 11);
        let Some(disk) = LoopDisk::new(16, &[]) else { return not_run("a disk in a file needs root and mkfs.ext4") };
        let ballast = fill(&disk.path(), left);
        points += 1;
        judge(&ground, &disk.path(), &shipped, &format!("{left} bytes left"), &mut violations, || {
            drop(fs::remove_file(ballast))
        });
    }
    for number in 0..of_each {
        let inodes = 16 + 2 * (number * 10 + random.below(10)) * 5 / of_each;
        let Some(disk) = LoopDisk::new(16, &["-N", &inodes.to_string()]) else { return };
        points += 1;
        let grown = disk.path().join("grown");
        judge(&ground, &disk.path(), &shipped, &format!("{inodes} files"), &mut violations, || {
            drop(fs::remove_file(grown))
        });
    }
    ground.empty();
    let calls = ["write"];
    let Some(whole) = Traced::run(&ground.corten, &ground.service.folder(), SHIP, &calls, None) else {
        return not_run("strace is not installed");
    };
    let mut writes = whole.steps;
    writes.sort();
    writes.dedup();
    for _ in 0..of_each {
        let (call, when) = random.pick(&writes);
        ground.empty();
        let inject = format!("{call}:error=ENOSPC:when={when}");
        let ran = Traced::run(&ground.corten, &ground.service.folder(), SHIP, &calls, Some(&inject)).unwrap().ran;
        points += 1;
        // The write that fails may be that of the error itself.
        let has_words = ran.stderr.contains("full") || !ran.stderr.contains("error");
        let told = ran.status == 0 || ran.status == 3 && has_words;
        let clean = ground.run("store verify").status == 0;
        if !told || !clean || digest(&ground.run(SHIP)) != shipped {
            violations.push(format!("{inject}: told {told}, clean {clean}: {}", ran.stderr));
        }
        assert_swept(ground.home.path(), &ground.service.folder());
    }
    violations.iter().for_each(|violation| println!("{violation}"));
    bar.finish(format!("{} of {points} clean", points - violations.len()), violations.is_empty());
}

/// A file that leaves so many bytes.
fn fill(disk: &Path, left: usize) -> std::path::PathBuf {
    let path = disk.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    let size = file.metadata().unwrap().len();
    file.set_len(size.saturating_sub(left as u64)).unwrap();
    file.sync_all().unwrap();
    path
}

/// A build on a disk that is too small; freeing; room.
fn judge(
    ground: &Ground,
    disk: &Path,
    shipped: &str,
    point: &str,
    violations: &mut Vec<String>,
    make_room: impl FnOnce(),
) {
    let home = disk.join("store");
    drop(fs::remove_file(ground.service.folder().join("corten.lock")));
    let corten = corten_at(&home);
    let run = |line: &str| corten.run(&ground.service.folder(), line.split(' '));
    let first = run(SHIP);
    let told = match first.status {
        0 => digest(&first) == shipped,
        3 => first.stderr.contains(&*disk.to_string_lossy()) && first.stderr.contains("the disk is full"),
        _ => false,
    };
    // A store that could not be begun has nothing to free.
    let begun = home.join("leases/gate").exists();
    let clean = !begun || run("store verify").status == 0;
    let freed = !begun || run("prune --all --yes").status == 0;
    make_room();
    let again = run(SHIP);
    let goes_on = point.ends_with("files") && again.status == 3 || again.status == 0 && digest(&again) == shipped;
    if !(told && clean && freed && goes_on) {
        violations.push(format!(
            "{point}: told {told}, clean {clean}, freed {freed}, goes on {goes_on}: {}{}",
            first.stderr, again.stderr
        ));
    }
}
