//! Disks that are full, read-only, damaged or failing: an error that names path and need, nothing half, and the next
//! run heals.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use corten_testkit::command::Ran;
use corten_testkit::registry::{FakeRegistry, Habits};

use crate::ground::{
    Ground, SmallDisk, Traced, assert_same, assert_swept, contents, corten_at, folder, not_run, paths,
};
use crate::service::{Service, digest};
use crate::told::told;

/// A disk of each size from nothing to nearly enough: told with path and bytes; then there is room.
#[test]
fn a_full_disk() {
    let ground = Ground::new();
    let (shipped, store) = ground.reference();
    let needed = store.values().map(|bytes| bytes.len().next_multiple_of(4096)).sum::<usize>() >> 10;
    let Some(disk) = SmallDisk::new("size=64k") else { return not_run("mounting a small tmpfs needs root") };
    let ground = Ground { corten: corten_at(disk.path()), ..ground };
    let mut told = 0;
    for tenth in 0..10 {
        let kilobytes = 64 + needed * tenth / 10;
        ground.forget(disk.path());
        disk.remount(&format!("size={kilobytes}k"));
        let full = ground.run("ship");
        if full.status == 0 {
            continue;
        }
        told += 1;
        assert_full(&full.expect(3), disk.path());
        ground.run("store verify").expect(0);
        assert_eq!(ground.run("images --format json").expect(0).json().as_array().unwrap().len(), 0);
        disk.remount("size=64m");
        assert_eq!(digest(&ground.run("ship --format json")), shipped, "after a disk of {kilobytes} kB");
        assert_same(&contents(disk.path()), &store);
        assert_swept(disk.path(), &ground.service.folder());
    }
    assert!(told >= 7, "only {told} disks were too small");
}

#[track_caller]
fn assert_full(ran: &Ran, disk: &Path) {
    let text = &ran.stderr;
    assert!(text.contains(&*disk.to_string_lossy()), "no path in: {text}");
    assert!(text.contains("the disk is full") && text.contains("bytes more are needed"), "no need in: {text}");
    assert!(text.contains("hint: free some space"), "no hint in: {text}");
}

/// A file system can have room and yet take no more files.
#[test]
fn a_disk_without_inodes() {
    let ground = Ground::new();
    let Some(disk) = SmallDisk::new("size=64m,nr_inodes=40") else {
        return not_run("mounting a small tmpfs needs root");
    };
    let ground = Ground { corten: corten_at(disk.path()), ..ground };
    let full = ground.run("ship").expect(3);
    assert!(full.stderr.contains("no more files can be made"), "{}", full.stderr);
    assert!(full.stderr.contains(&*disk.path().to_string_lossy()), "{}", full.stderr);
    disk.remount("nr_inodes=10k");
    ground.run("ship").expect(0);
    ground.run("store verify").expect(0);
}

#[test]
fn a_full_disk_under_the_project_and_under_outputs() {
    let ground = Ground::new();
    let Some(disk) = SmallDisk::new("size=96k") else { return not_run("mounting a small tmpfs needs root") };
    let project = disk.path().join("project");
    ground.service.write_to(&project);
    fs::write(disk.path().join("ballast"), vec![0; 128 << 10]).unwrap_err();
    let run = |line: &str| ground.corten.run(&project, line.split_whitespace());
    let full = run("build").expect(3);
    assert!(full.stderr.contains("writing ./corten.lock: the disk is full"), "{}", full.stderr);
    assert!(full.stderr.contains("bytes more are needed"), "{}", full.stderr);
    fs::remove_file(disk.path().join("ballast")).unwrap();
    run("build").expect(0);
    assert_swept(ground.home.path(), &project);
    for kind in ["oci", "docker"] {
        let to = disk.path().join("image.tar");
        fs::write(&to, "what was there before").unwrap();
        let full = run(&format!("build -o type={kind},dest={}", to.display())).expect(3);
        assert_full(&full, &to);
        assert_eq!(fs::read_to_string(&to).unwrap(), "what was there before");
        assert_eq!(paths(disk.path()).iter().filter(|path| path.to_string_lossy().contains("partial")).count(), 0);
    }
}

/// What was asked for and cannot be written is an error; whoever has gone away needs nothing.
#[test]
fn a_full_disk_under_standard_output() {
    let ground = Ground::new();
    let mut command = ground.corten.command(&ground.service.folder());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command.args(["plan", "--format", "json"]).stdout(full).output().unwrap();
    let ran = Ran::from(output).expect(3);
    assert!(ran.stderr.contains("writing to standard output"), "{}", ran.stderr);
}

#[test]
fn a_store_that_cannot_be_written() {
    let ground = Ground::new();
    let file = folder();
    let file = file.path().join("file");
    fs::write(&file, "I am a file").unwrap();
    for home in [file.clone(), file.join("below")] {
        let ran = Ground { corten: corten_at(&home), ..Ground::new() }.run("ship").expect(3);
        assert!(ran.stderr.contains(&*file.to_string_lossy()), "{}", ran.stderr);
        assert!(ran.stderr.contains("CORTEN_HOME"), "what to try: {}", ran.stderr);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "I am a file");
    let Some(disk) = SmallDisk::new("size=64m") else { return not_run("mounting a small tmpfs needs root") };
    let ground = Ground { corten: corten_at(disk.path()), ..ground };
    disk.remount("ro");
    let ran = ground.run("ship").expect(3);
    assert!(ran.stderr.contains(&*disk.path().to_string_lossy()), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: set CORTEN_HOME to a folder that can be written"), "{}", ran.stderr);
    disk.remount("rw");
    let shipped = digest(&ground.run("ship --format json"));
    // What needs no writing works: the image is there already.
    disk.remount("ro");
    assert_eq!(digest(&ground.run("ship --format json")), shipped);
    ground.run("store verify").expect(0);
    ground.run("images").expect(0);
    ground.service.write("app.py", "from fastapi import FastAPI\napp = FastAPI()\n");
    ground.run("ship").expect(3);
}

const SYNCS: [&str; 3] = ["fsync", "fdatasync", "syncfs"];
const OTHERS: [&str; 8] = ["rename", "renameat2", "mkdir", "write", "openat", "fchmod", "ftruncate", "linkat"];

/// A disk that fails to sync or to name: never success. Any other call that fails: an error, or nothing is lost.
#[test]
fn calls_that_fail() {
    let ground = Ground::new();
    let (shipped, store) = ground.reference();
    let calls: Vec<&str> = SYNCS.iter().chain(&OTHERS).copied().collect();
    let ship = |inject: Option<&str>| {
        ground.empty();
        Traced::run(&ground.corten, &ground.service.folder(), "ship --format json", &calls, inject)
    };
    let Some(whole) = ship(None) else { return not_run("strace is not installed") };
    let mut failed = 0;
    for call in &calls {
        let most = whole.steps.iter().filter(|(name, _)| name == call).map(|(_, count)| *count).max().unwrap_or(0);
        for when in moments(most) {
            let inject = format!("{call}:error=EIO:when={when}");
            let run = ship(Some(&inject)).unwrap();
            if !run.steps.iter().any(|(name, count)| name == call && *count == when) {
                continue;
            }
            let must_fail = SYNCS.contains(call) || call.starts_with("rename");
            failed += usize::from(run.ran.status != 0);
            match run.ran.status {
                0 if !must_fail => assert_eq!(digest(&run.ran), shipped, "{inject}"),
                3 => {
                    // Git, whose calls fail as well, may find no words for it.
                    let told = ["error (os error 5)", "error: asking git"];
                    assert!(told.iter().any(|told| run.ran.stderr.contains(told)), "{inject}: {}", run.ran.stderr);
                }
                status => panic!("{inject}: status {status}\n{}", run.ran.stderr),
            }
            assert_eq!(ground.run("store verify").status, 0, "{inject}");
            assert_eq!(digest(&ground.run("ship --format json")), shipped, "{inject}");
            assert_swept(ground.home.path(), &ground.service.folder());
            assert_same(&contents(ground.home.path()), &store);
        }
    }
    assert!(failed > 20, "only {failed} failures came through");
}

/// The first, the last and some between.
fn moments(most: usize) -> Vec<usize> {
    let mut moments: Vec<usize> = (0..4).map(|third| 1 + most.saturating_sub(1) * third / 3).collect();
    moments.dedup();
    moments.truncate(most);
    moments
}

/// Each file of a store, one bit turned or cut in half: verify names it, and making everything anew heals it; twice where the first
/// build meets the damage in the middle of its work. What only locking needs is removed, as verify says.
#[test]
fn damage_is_named_and_healed() {
    let ground = Ground::new();
    let shipped = digest(&ground.run("ship --format json"));
    let store = contents(ground.home.path());
    let mut removed = 0;
    // What the gate holds does not matter.
    for (path, bytes) in store.iter().filter(|(path, _)| !path.starts_with("leases")) {
        let at = ground.home.path().join(path);
        // Most blobs of the layout are other names of the store's.
        if path.starts_with("layouts") && fs::metadata(&at).unwrap().nlink() > 1 {
            continue;
        }
        // Nobody keeps the digest of a layout's own documents: those are cut.
        match path.starts_with("layouts") && path.extension().is_some() || path.ends_with("oci-layout") {
            true => fs::write(&at, &bytes[..bytes.len() / 2]).unwrap(),
            false => turn_a_bit(&at, bytes),
        }
        let named = ground.run("store verify");
        assert_eq!(named.status, 1, "{}", path.display());
        assert!(named.stdout.contains(&*at.to_string_lossy()), "{}: {}", path.display(), named.stdout);
        assert!(named.stderr.contains("hint: `corten store repair` takes away what is damaged"), "{}", named.stderr);
        let mut again = ground.run("ship --no-cache --format json");
        if again.status != 0 {
            assert!(again.status == 3 && again.stderr.contains("damaged"), "{}: {}", path.display(), again.stderr);
            again = ground.run("ship --no-cache --format json");
        }
        if ground.run("store verify").status != 0 {
            removed += 1;
            fs::remove_file(&at).unwrap();
            again = ground.run("ship --format json");
            drop(fs::create_dir_all(at.parent().unwrap()));
        }
        assert_eq!(digest(&again), shipped, "{}", path.display());
        ground.run("store verify").expect(0);
    }
    println!("{removed} of {} files had to be removed", store.len());
    assert!(removed < 16, "{removed}");
}

/// In place, as a disk does it: all names of the file see it.
fn turn_a_bit(path: &Path, bytes: &[u8]) {
    let mut damaged = bytes.to_vec();
    let middle = damaged.len() / 2;
    match damaged.get_mut(middle) {
        Some(byte) => *byte ^= 1,
        None => damaged.push(0),
    }
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(path, mode).unwrap();
    fs::write(path, damaged).unwrap();
}

/// The registry hashes what is sent, not we; nothing damaged gets a name there, and the user is told whose fault it is.
#[test]
fn a_damaged_layer_is_not_pushed_and_is_set_aside() {
    let registry = FakeRegistry::start(Habits::default());
    let service = Service::filled();
    let built = service.run("build --format json").expect(0).json();
    let layers = built["layers"].as_array().unwrap();
    let largest = layers.iter().max_by_key(|layer| layer["size"].as_u64()).unwrap()["digest"].as_str().unwrap();
    let at = service.corten.store().join("blobs/sha256").join(largest.trim_start_matches("sha256:"));
    turn_a_bit(&at, &fs::read(&at).unwrap());
    let ran = service.run(&format!("push {} {}/a:1", built["digest"].as_str().unwrap(), registry.place()));
    assert!(!at.exists(), "it was set aside");
    let expected = format!(
        "error: pushing {}/a@{}: …/blobs/sha256/{} is damaged: its bytes have the digest …; it was moved to the store's trash, and will be downloaded or made again
hint: build again: what the store lacks is made or fetched again",
        registry.place(),
        built["digest"].as_str().unwrap(),
        largest.trim_start_matches("sha256:"),
    );
    told(&service, &ran, 3, &expected);
    assert_eq!((registry.tag("a", "1"), registry.torn(), registry.breaches()), (None, vec![], vec![]));
    service.run("build").expect(0);
    service.run(&format!("push service:1.3.0 {}/a:1", registry.place())).expect(0);
    assert!(registry.tag("a", "1").is_some());
}

/// An image that does not fit: what is there of it is gone on with once there is room.
#[test]
fn a_full_disk_under_a_pull() {
    let Some(disk) = SmallDisk::new("size=1m") else { return not_run("mounting a small tmpfs needs root") };
    let registry = FakeRegistry::start(Habits::default());
    crate::reached::add_image_of(&registry, "a", "1", &vec![7; 3_000_000]);
    let corten = corten_at(disk.path());
    let pull = || corten.run(disk.path(), ["pull", &format!("{}/a:1", registry.place())]);
    let full = pull().expect(3);
    assert_full(&full, disk.path());
    assert!(full.stderr.contains("error: downloading blob ") && full.stdout.is_empty(), "{}", full.stderr);
    assert_eq!(corten.run(disk.path(), ["images", "--format", "json"]).expect(0).json(), serde_json::json!([]));
    disk.remount("size=16m");
    pull().expect(0);
    corten.run(disk.path(), ["store", "verify"]).expect(0);
}
