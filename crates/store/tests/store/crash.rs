//! Processes that die, processes side by side, disks that are full.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Command;

use corten_oci::Digest;
use corten_store::{Key, Store, StoreError};

use crate::support::{asked, assert_clean, child, folder, noise, not_run, reference, stage, stage_referrer};

const KILLS: u64 = 100;

/// One process is killed at a time, each time at another moment: after its n-th word, wherever it is by then.
#[test]
fn whoever_is_killed_leaves_a_clean_store() {
    let mut finished = 0;
    for first in (0..KILLS).step_by(10) {
        let folder = folder();
        for kill in first..first + 10 {
            finished += kill_one(folder.path(), usize::from(noise(kill, 8)[7]) % 60);
        }
    }
    assert!(finished > KILLS as usize, "processes came to the end of {finished} batches only");
}

/// Says how many batches the process had finished.
fn kill_one(root: &Path, moment: usize) -> usize {
    let mut process = child("crash::child_writes_for_ever", root).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut words: Vec<_> = lines.by_ref().take(moment).collect();
    process.kill().unwrap();
    process.wait().unwrap();
    words.extend(lines);
    let store = Store::open(root).unwrap();
    assert_clean(&store);
    let left: Vec<_> = std::fs::read_dir(root.join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "leftovers are removed: {left:?}");
    let promised: Vec<_> = words.iter().filter_map(|word| word.strip_prefix("finished ")).collect();
    for name in &promised {
        let (tag, digest) = name.split_once(' ').unwrap();
        assert_eq!(store.image(&reference(&format!("app:{tag}"))).unwrap(), Some(digest.parse().unwrap()));
    }
    promised.len()
}

#[test]
fn child_writes_for_ever() {
    let Some(root) = asked() else { return };
    let say = |word: &str| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{word}").and_then(|()| output.flush()).unwrap();
    };
    let store = Store::open(root).unwrap();
    let seed = u64::from(std::process::id()) << 16;
    for round in 0.. {
        say("begin");
        let batch = store.batch();
        let layers: Vec<_> = (0..4).map(|layer| noise(seed + round * 4 + layer, 1000 << (2 * layer))).collect();
        let manifest = stage(&batch, &layers);
        say("staged");
        stage_referrer(&batch, &manifest, &round.to_le_bytes());
        batch.record(&Key(Digest::of(round.to_le_bytes())), &noise(seed + round, 5000)).unwrap();
        let tag = format!("{seed}-{round}");
        batch.image(&reference(&format!("app:{tag}")), &manifest.digest).unwrap();
        batch.image(&reference("app:latest"), &manifest.digest).unwrap();
        say("finish");
        batch.finish().unwrap();
        say(&format!("finished {tag} {}", manifest.digest));
        let content = noise(seed + round, 10_000);
        let digest = Digest::of(&content);
        let mut partial = store.partial(&digest).unwrap();
        say("partial");
        partial.file.write_all(&content).unwrap();
        say("keep");
        store.keep(partial, &digest).unwrap();
    }
}

/// Not at random but at each single step: the process dies just before its n-th call of each kind that changes names
/// or makes them durable.
#[test]
fn each_step_may_be_the_last() {
    if Command::new("strace").arg("--version").output().is_err() {
        return not_run("strace is not installed");
    }
    let mut killed = 0;
    for call in ["renameat2", "rename", "mkdir", "unlink", "fdatasync", "fsync", "syncfs", "openat"] {
        // What a test harness opens before it begins counts too; later calls are what matters.
        let mut step = if call == "openat" { 20 } else { 1 };
        loop {
            let folder = folder();
            let inject = format!("inject={call}:signal=SIGKILL:when={step}");
            let inner = child("crash::child_writes_one_image", folder.path());
            let mut strace = Command::new("strace");
            strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            strace
                .arg(inner.get_program())
                .args(inner.get_args())
                .envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
            let output = strace.output().unwrap();
            let store = Store::open(folder.path()).unwrap();
            assert_clean(&store);
            let done = String::from_utf8_lossy(&output.stdout).contains("finished");
            assert!(!done || store.image(&reference("app:1")).unwrap().is_some());
            if output.status.success() {
                break;
            }
            killed += 1;
            step += 1;
        }
    }
    assert!(killed > 30, "only {killed} steps were the last");
}

#[test]
fn child_writes_one_image() {
    let Some(root) = asked() else { return };
    let store = Store::open(root).unwrap();
    let batch = store.batch();
    let manifest = stage(&batch, &[noise(1, 3000), noise(2, 3000)]);
    stage_referrer(&batch, &manifest, b"bom");
    batch.image(&reference("app:1"), &manifest.digest).unwrap();
    batch.finish().unwrap();
    println!("finished");
}

#[test]
fn processes_on_one_store_do_not_harm_each_other() {
    let folder = folder();
    let processes: Vec<_> =
        (0..4).map(|_| child("crash::child_writes_what_all_write", folder.path()).spawn().unwrap()).collect();
    for mut process in processes {
        let mut output = String::new();
        process.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(process.wait().unwrap().success(), "{output}");
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.images().unwrap().len(), 21);
    assert_clean(&store);
}

#[test]
fn child_writes_what_all_write() {
    let Some(root) = asked() else { return };
    for round in 0..20_u64 {
        // Opening cleans up after the dead: the living must not notice.
        let store = Store::open(&root).unwrap();
        let batch = store.batch();
        let manifest = stage(&batch, &[noise(round, 40_000), noise(7, 40_000)]);
        batch.image(&reference(&format!("app:{round}")), &manifest.digest).unwrap();
        batch.image(&reference("app:latest"), &manifest.digest).unwrap();
        batch.finish().unwrap();
        let content = noise(1000 + round, 20_000);
        let digest = Digest::of(&content);
        let mut partial = store.partial(&digest).unwrap();
        if store.size(&digest).unwrap().is_some() {
            store.discard(partial).unwrap();
        } else {
            partial.file.set_len(0).unwrap();
            partial.file.write_all(&content).unwrap();
            store.keep(partial, &digest).unwrap();
        }
    }
}

#[test]
fn a_full_disk_is_told_with_path_and_need_and_leaves_a_clean_store() {
    let folder = folder();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(folder.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return not_run("mounting a small tmpfs needs root");
    }
    let outcome = std::panic::catch_unwind(|| fill(folder.path()));
    Command::new("umount").arg(folder.path()).status().unwrap();
    outcome.unwrap();
}

fn fill(root: &Path) {
    let store = Store::open(root).unwrap();
    let batch = store.batch();
    let kept = stage(&batch, &[noise(1, 1000)]);
    batch.image(&reference("kept:1"), &kept.digest).unwrap();
    batch.finish().unwrap();

    let batch = store.batch();
    let mut writer = batch.blob().unwrap();
    let error = noise(2, 3 << 20).chunks(4096).find_map(|chunk| writer.write_all(chunk).err()).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(writer.finish().is_err(), "a writer that failed cannot be finished");
    let text = error.to_string();
    assert!(text.contains(&root.display().to_string()) && text.contains("bytes more are needed"), "{text}");
    match error.downcast::<StoreError>().unwrap() {
        StoreError::Full { needed, free, .. } => assert!(needed > free, "{text}"),
        other => panic!("{other}"),
    }
    drop(batch);

    assert_clean(&store);
    assert_eq!(store.image(&reference("kept:1")).unwrap(), Some(kept.digest));
    let batch = store.batch();
    batch.put(b"there is room again").unwrap();
    batch.finish().unwrap();
}

#[test]
fn a_scratch_folder_goes_with_its_user_or_after_him() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let scratch = store.scratch_folder().unwrap();
    std::fs::write(scratch.path().join("file"), "x").unwrap();
    assert_ne!(scratch.path(), store.scratch_folder().unwrap().path());
    drop(Store::open(folder.path()).unwrap());
    assert!(scratch.path().join("file").exists(), "the living are left alone");
    drop(scratch);
    drop(store);
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}
