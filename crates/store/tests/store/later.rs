//! Names that come later: found at once by the store that made them, by others when they have their names.

use corten_oci::{DiffId, Digest};
use corten_store::{Key, Owners, Store, StoreError, TreeLayer, Upper};

use crate::support::{assert_clean, folder, index, noise};

#[test]
fn what_is_finished_later_is_found_at_once_and_by_others_in_the_end() {
    let place = folder();
    let store = Store::open(place.path()).unwrap();
    let key = |number: usize| Key(Digest::of(format!("{number}")));
    let digests = store
        .later(|| {
            (0..40)
                .map(|number| {
                    let bytes = noise(number as u64, 5000);
                    let batch = store.batch();
                    let digest = batch.put(&bytes).unwrap();
                    batch.layer_index(&DiffId(digest), &index(number)).unwrap();
                    batch.record(&key(number), b"record").unwrap();
                    batch.finish_later().unwrap();
                    assert_eq!(store.size(&digest).unwrap(), Some(5000));
                    assert_eq!(store.bytes(&digest).unwrap(), bytes);
                    assert!(store.has_layer_index(&DiffId(digest)));
                    assert_eq!(store.layer_index(&DiffId(digest)).unwrap().unwrap().entries.len(), number);
                    assert_eq!(store.record(&key(number)).unwrap().unwrap(), b"record");
                    digest
                })
                .collect::<Vec<_>>()
        })
        .unwrap();
    let other = Store::open(place.path()).unwrap();
    for (number, digest) in digests.iter().enumerate() {
        assert!(other.is_whole(digest).unwrap());
        assert_eq!(other.layer_index(&DiffId(*digest)).unwrap().unwrap().entries.len(), number);
        assert_eq!(other.record(&key(number)).unwrap().unwrap(), b"record");
    }
    drop(store);
    assert_clean(&other);
}

#[test]
fn trees_are_stacked_before_they_have_names() {
    let place = folder();
    let store = Store::open(place.path()).unwrap();
    let mut layers: Vec<TreeLayer> = Vec::new();
    store
        .later(|| {
            for number in 0..12 {
                let ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
                let lower = store.trees(&layers, &store).unwrap();
                let seen: usize = lower.iter().map(|folder| std::fs::read_dir(folder).unwrap().count()).sum();
                assert_eq!(seen, number, "one file of each");
                let folder = store.upper_folder().unwrap();
                std::fs::create_dir(folder.path().join("upper")).unwrap();
                std::fs::write(folder.path().join(format!("upper/{number}")), "x").unwrap();
                let upper = Upper { folder, layers: &ids, lower: &lower, epoch: Some(0), owners: Owners::OnDisk };
                let batch = store.batch();
                let left = store.stage_upper(upper, &batch).unwrap();
                assert!(left.files[0].join(number.to_string()).is_file());
                batch.finish_later().unwrap();
                assert!(store.has_layer(&left.kept.diff_id).unwrap());
                layers.push(TreeLayer { diff_id: left.kept.diff_id, blob: None });
            }
        })
        .unwrap();
    let other = Store::open(place.path()).unwrap();
    assert_eq!(other.trees(&layers, &other).unwrap().len(), 12);
    assert_eq!(other.verify(&corten_diagnostic::Nobody).unwrap(), []);
}

#[test]
fn e_a_disk_that_says_no_is_told_and_nothing_gets_a_name() {
    let place = folder();
    let store = Store::open(place.path()).unwrap();
    let key = Key(Digest::of("key"));
    let told = store.later(|| {
        let batch = store.batch();
        batch.record(&key, b"record").unwrap();
        // The name is taken by a folder: no file can have it.
        std::fs::create_dir_all(place.path().join("cache").join(key.0.hex()).join("x")).unwrap();
        batch.finish_later().unwrap();
    });
    assert!(matches!(told, Err(StoreError::Disk { .. })), "{told:?}");
    // Work that comes after it begins anew.
    std::fs::remove_dir_all(place.path().join("cache").join(key.0.hex())).unwrap();
    store
        .later(|| {
            let batch = store.batch();
            batch.record(&key, b"record").unwrap();
            batch.finish_later().unwrap();
        })
        .unwrap();
    assert_eq!(Store::open(place.path()).unwrap().record(&key).unwrap().unwrap(), b"record");
}

#[test]
fn e_what_comes_after_something_that_has_no_name_gets_none_either() {
    for _ in 0..20 {
        let place = folder();
        let store = Store::open(place.path()).unwrap();
        let (first, second) = (Key(Digest::of("first")), Key(Digest::of("second")));
        let told = store.later(|| {
            let finished = |key: &Key| {
                let batch = store.batch();
                batch.record(key, b"record").unwrap();
                batch.finish_later()
            };
            std::fs::create_dir_all(place.path().join("cache").join(first.0.hex()).join("x")).unwrap();
            finished(&first).unwrap();
            // It is refused, or waits behind the other.
            drop(finished(&second));
        });
        assert!(matches!(told, Err(StoreError::Disk { .. })), "{told:?}");
        assert_eq!(Store::open(place.path()).unwrap().record(&second).unwrap(), None);
    }
}
