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
