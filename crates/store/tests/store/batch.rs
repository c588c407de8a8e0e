//! Writing and reading, names, downloads.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use corten_oci::{Blobs, Descriptor, DiffId, Digest};
use corten_store::{Key, Store, StoreError};

use crate::support::{asked, assert_clean, child, filled, index, noise, reference, snapshot, stage, stage_referrer};

#[test]
fn what_a_batch_wrote_is_there_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let (_, manifest) = filled(folder.path(), "ghcr.io/team/app:1.0");
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.image(&reference("ghcr.io/team/app:1.0")).unwrap(), Some(manifest));
    assert_eq!(store.record(&Key(Digest::of("key"))).unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(store.bytes(&Digest::of(noise(1, 300_000))).unwrap(), noise(1, 300_000));
    let diff_id = DiffId(Digest::of([noise(2, 700).as_slice(), b"tar"].concat()));
    assert_eq!(store.layer_index(&diff_id).unwrap(), Some(index(0)));
    assert_eq!(store.referrers(&manifest).unwrap().len(), 1);
    assert_eq!(store.images().unwrap(), [(reference("ghcr.io/team/app:1.0"), manifest)]);
    assert_clean(&store);
}

#[test]
fn writing_the_same_again_changes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), "app:1.0"));
    let before = snapshot(folder.path());
    drop(filled(folder.path(), "app:1.0"));
    assert!(snapshot(folder.path()) == before);
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    let manifest = stage(&batch, &[noise(1, 1000)]);
    batch.image(&reference("app:1"), &manifest.digest).unwrap();
    let mut half = batch.blob().unwrap();
    half.write_all(&noise(2, 1 << 20)).unwrap();
    drop(half);
    drop(batch);
    drop(store);
    assert!(snapshot(folder.path()).is_empty());
}

#[test]
fn a_name_for_what_is_not_there_is_refused_and_nothing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    batch.put(b"blob").unwrap();
    batch.image(&reference("app:1"), &Digest::of("absent")).unwrap();
    assert!(matches!(batch.finish(), Err(StoreError::Missing(_))));
    assert_eq!(store.size(&Digest::of("blob")).unwrap(), None);
    assert!(store.images().unwrap().is_empty());
}

#[test]
fn threads_share_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let batch = &batch;
            scope.spawn(move || {
                let manifest = stage(batch, &[noise(7, 50_000), noise(100 + thread, 50_000)]);
                batch.image(&reference(&format!("app:{thread}")), &manifest.digest).unwrap();
            });
        }
    });
    batch.finish().unwrap();
    assert_eq!(store.images().unwrap().len(), 8);
    assert_clean(&store);
}

#[test]
fn names_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    let first = stage(&batch, &[noise(1, 10)]).digest;
    let second = stage(&batch, &[noise(2, 10)]).digest;
    let names = ["a:b", "a/b:c", "a/b/c", "localhost:5000/a:b", "[::1]:80/a/b:c", "ghcr.io/a:B", "ghcr.io/a:b"];
    for (number, name) in names.iter().enumerate() {
        batch.image(&reference(name), if number % 2 == 0 { &first } else { &second }).unwrap();
    }
    batch.image(&reference("moved:1"), &first).unwrap();
    batch.image(&reference("moved:1"), &second).unwrap();
    batch.finish().unwrap();
    for (number, name) in names.iter().enumerate() {
        assert_eq!(
            store.image(&reference(name)).unwrap(),
            Some(if number % 2 == 0 { first } else { second }),
            "{name}"
        );
    }
    assert_eq!(store.image(&reference("a/b/c:latest")).unwrap(), Some(first), "no tag means latest");
    assert_eq!(store.image(&reference("moved:1")).unwrap(), Some(second));
    assert_eq!(store.image(&reference(&format!("whatever@{first}"))).unwrap(), Some(first));
    assert_eq!(store.image(&reference(&format!("a:b@{}", Digest::of("absent")))).unwrap(), None);
    assert_eq!(store.image(&reference("a:absent")).unwrap(), None);
    assert_eq!(store.images().unwrap().len(), names.len() + 1);
    assert_clean(&store);
}

#[test]
fn a_descriptor_must_be_met_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    let digest = batch.put(b"hello").unwrap();
    batch.finish().unwrap();
    let mut bytes = Vec::new();
    store.open(&Descriptor::new("a/b", digest, 5)).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"hello");
    assert!(store.open(&Descriptor::new("a/b", digest, 4)).is_err());
    assert_eq!(store.size(&digest).unwrap(), Some(5), "a descriptor that lies does not harm the blob");
    let absent = store.open(&Descriptor::new("a/b", Digest::of("absent"), 4)).err().unwrap();
    assert_eq!(absent.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(3, 100_000);
    let digest = Digest::of(&content);
    let store = Store::open(folder.path()).unwrap();
    let mut partial = store.partial(&digest).unwrap();
    assert_eq!(partial.length, 0);
    partial.file.write_all(&content[..40_000]).unwrap();
    drop(partial);
    let mut partial = Store::open(folder.path()).unwrap().partial(&digest).unwrap();
    assert_eq!(partial.length, 40_000);
    partial.file.write_all(&content[40_000..]).unwrap();
    store.keep(partial, &digest).unwrap();
    assert_eq!(store.bytes(&digest).unwrap(), content);
    let mode = std::fs::metadata(store.blob_path(&digest)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    assert_clean(&store);
}

#[test]
fn who_waits_for_a_download_finds_it_done() {
    let folder = tempfile::tempdir().unwrap();
    let content = noise(4, 100_000);
    let digest = Digest::of(&content);
    let store = Store::open(folder.path()).unwrap();
    let mut mine = store.partial(&digest).unwrap();
    let mut waiting = child("batch::child_waits_for_a_download", folder.path()).spawn().unwrap();
    // The child has said that it will ask next; from here on it waits for the lock, or has not asked yet. Both are fine.
    let mut said = Vec::new();
    let mut output = waiting.stdout.take().unwrap();
    while !said.ends_with(b"asking\n") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    mine.file.write_all(&content).unwrap();
    store.keep(mine, &digest).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(waiting.wait().unwrap().success());
    assert!(rest.contains("length 0 there true"), "{rest}");
}

#[test]
fn child_waits_for_a_download() {
    let Some(root) = asked() else { return };
    let store = Store::open(root).unwrap();
    let digest = Digest::of(noise(4, 100_000));
    println!("asking");
    let partial = store.partial(&digest).unwrap();
    println!("length {} there {}", partial.length, store.size(&digest).unwrap().is_some());
    store.discard(partial).unwrap();
}

#[test]
fn a_torn_record_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = filled(folder.path(), "app:1");
    let key = Key(Digest::of("key"));
    let path = folder.path().join("cache").join(key.0.hex());
    let good = std::fs::read(&path).unwrap();
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert_eq!(store.record(&key).unwrap(), None);
    }
    std::fs::write(&path, [good.as_slice(), b"more"].concat()).unwrap();
    assert_eq!(store.record(&key).unwrap(), None);
}

#[test]
fn referrers_are_sorted_and_known_by_subject() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    let image = stage(&batch, &[noise(1, 10)]);
    let made: Vec<_> = (0..5_u8).map(|number| stage_referrer(&batch, &image, &[number])).collect();
    batch.finish().unwrap();
    let mut sorted = made;
    sorted.sort_by_key(|referrer| referrer.digest);
    assert_eq!(store.referrers(&image.digest).unwrap(), sorted);
    assert!(store.referrers(&Digest::of("other")).unwrap().is_empty());
}

/// The umask belongs to the whole process, so this runs in one of its own.
#[test]
fn a_strict_umask_changes_no_byte_and_no_mode_of_a_blob() {
    let folder = tempfile::tempdir().unwrap();
    let strict = folder.path().join("strict");
    let output = child("batch::child_with_a_strict_umask", &strict).output().unwrap();
    assert!(output.status.success());
    let (store, manifest) = filled(&folder.path().join("usual"), "app:1");
    let mut tar = Vec::new();
    corten_store::layout::export_tar(&store, &manifest, &[reference("app:1")], &mut tar).unwrap();
    assert!(std::fs::read(strict.join("image.tar")).unwrap() == tar);
    for entry in std::fs::read_dir(strict.join("store/blobs/sha256")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o444);
    }
    for name in ["layout/index.json", "layout/oci-layout"] {
        let found = std::fs::metadata(strict.join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o644, "{name}");
    }
}

#[test]
fn child_with_a_strict_umask() {
    let Some(folder) = asked() else { return };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let (store, manifest) = filled(&folder.join("store"), "app:1");
    let mut tar = std::fs::File::create(folder.join("image.tar")).unwrap();
    corten_store::layout::export_tar(&store, &manifest, &[reference("app:1")], &mut tar).unwrap();
    corten_store::layout::export(&store, &manifest, &[reference("app:1")], &folder.join("layout")).unwrap();
    assert_clean(&store);
}
