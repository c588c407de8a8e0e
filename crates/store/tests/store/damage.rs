//! Each file of a store, damaged in each way: found by verify, never handed out, and made again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use corten_diagnostic::Nobody;
use corten_oci::Digest;
use corten_store::Store;

use crate::support::{assert_clean, filled, folder};

type Harm = (&'static str, fn(&Path));

const HARMS: [Harm; 6] = [
    ("a bit is turned", |path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        write(path, &bytes);
    }),
    ("it is empty", |path| write(path, b"")),
    ("half is missing", |path| {
        let bytes = fs::read(path).unwrap();
        write(path, &bytes[..bytes.len() / 2]);
    }),
    ("it is longer", |path| {
        let bytes = fs::read(path).unwrap();
        write(path, &[bytes.as_slice(), b"x"].concat());
    }),
    ("it is a folder", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
    ("it is a link", |path| {
        let elsewhere = path.with_extension("elsewhere");
        fs::rename(path, &elsewhere).unwrap();
        symlink(&elsewhere, path).unwrap();
    }),
];

fn write(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn files(store: &Store, below: &str) -> Vec<PathBuf> {
    crate::support::snapshot(&store.root().join(below)).into_iter().map(|(path, ..)| path).collect()
}

#[test]
fn damage_is_found_wherever_it_is() {
    for below in ["blobs", "layers", "images", "referrers", "cache"] {
        for (what, harm) in HARMS {
            for place in 0..6 {
                let folder = folder();
                let (store, _) = filled(folder.path(), "team/app:1");
                let files = files(&store, below);
                let Some(path) = files.get(place) else { break };
                harm(path);
                let problems = store.verify(&Nobody).unwrap();
                let found = problems.iter().any(|problem| problem.path == *path);
                assert!(found, "{what}: {} is not among {problems:?}", path.display());
            }
        }
    }
}

#[test]
fn a_missing_blob_is_told_at_the_name_that_needs_it() {
    let folder = folder();
    let (store, _) = filled(folder.path(), "team/app:1");
    for path in files(&store, "blobs") {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let problems = store.verify(&Nobody).unwrap();
        assert!(!problems.is_empty(), "{}", path.display());
        fs::write(&path, bytes).unwrap();
        assert_clean(&store);
    }
}

/// A damaged blob is never read as good: it is set aside, and the same build as before puts a good one there.
#[test]
fn damage_heals_when_it_is_met() {
    let folder = folder();
    let (store, _) = filled(folder.path(), "app:1");
    let blobs: Vec<_> = files(&store, "blobs");
    for (what, harm) in HARMS.iter().take(4) {
        for path in &blobs {
            let digest: Digest = format!("sha256:{}", path.file_name().unwrap().to_str().unwrap()).parse().unwrap();
            harm(path);
            assert!(store.bytes(&digest).is_err(), "{what}: {}", path.display());
            assert_eq!(store.size(&digest).unwrap(), None, "{what}");
            drop(filled(folder.path(), "app:1"));
            assert_clean(&store);
        }
    }
}

#[test]
fn a_file_that_is_no_blob_is_told() {
    let folder = folder();
    let (store, _) = filled(folder.path(), "app:1");
    let stray = folder.path().join("blobs/sha256/README");
    fs::write(&stray, "hello").unwrap();
    let problems = store.verify(&Nobody).unwrap();
    assert_eq!(problems.iter().map(|problem| &problem.path).collect::<Vec<_>>(), [&stray]);
}

/// Rot keeps the size. Whoever makes the blob again compares, and puts the right bytes there.
#[test]
fn what_is_made_again_replaces_what_has_rotted() {
    let folder = folder();
    let (store, _) = filled(folder.path(), "app:1");
    for path in files(&store, "blobs") {
        let digest: Digest = format!("sha256:{}", path.file_name().unwrap().to_str().unwrap()).parse().unwrap();
        assert!(store.is_whole(&digest).unwrap());
        (HARMS[0].1)(&path);
        drop(filled(folder.path(), "app:1"));
        assert!(store.is_whole(&digest).unwrap(), "{digest}");
    }
    assert_clean(&store);
    let absent = Digest::of("absent");
    assert!(!store.is_whole(&absent).unwrap());
}

#[test]
fn a_rotten_download_counts_as_absent() {
    let folder = folder();
    let (store, _) = filled(folder.path(), "app:1");
    let path = files(&store, "blobs").remove(0);
    let digest: Digest = format!("sha256:{}", path.file_name().unwrap().to_str().unwrap()).parse().unwrap();
    (HARMS[0].1)(&path);
    assert!(!store.is_whole(&digest).unwrap());
    assert_eq!(store.size(&digest).unwrap(), None);
}

/// What a process leaves that dies while another one finishes the same download.
#[test]
fn downloads_of_blobs_that_are_there_are_swept() {
    let folder = folder();
    let (store, manifest) = filled(folder.path(), "app:1");
    let under_way = store.partial(&Digest::of("under way")).unwrap().path().to_owned();
    let left = store.partial(&manifest).unwrap();
    let path = left.path().to_owned();
    drop(Store::open(folder.path()).unwrap());
    assert!(path.exists(), "somebody holds it");
    drop(left);
    drop(Store::open(folder.path()).unwrap());
    assert!(!path.exists() && under_way.exists());
}

#[test]
fn damage_of_a_layout_in_the_store_is_found_and_healed() {
    let folder = folder();
    let (store, manifest) = filled(folder.path(), "app:1");
    let layout = folder.path().join("layouts/app");
    let export = || corten_store::layout::export(&store, &manifest, &["app:1".parse().unwrap()], &layout).unwrap();
    export();
    assert_clean(&store);
    for path in files(&store, "layouts/app/blobs") {
        let bytes = fs::read(&path).unwrap();
        // A file of its own, as on a disk that cannot link.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        assert_clean(&store);
        (HARMS[0].1)(&path);
        let found = store.verify(&Nobody).unwrap();
        assert!(found.iter().any(|problem| problem.path == path), "{}: {found:?}", path.display());
        export();
        assert_clean(&store);
        fs::remove_file(&path).unwrap();
        export();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    write(&layout.join("index.json"), b"{");
    assert_eq!(store.verify(&Nobody).unwrap().len(), 1);
}
