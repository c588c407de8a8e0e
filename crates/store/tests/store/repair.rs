//! What a repair takes away, gives back, and leaves alone because it is all that is left.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use corten_diagnostic::{Event, Events, Nobody};
use corten_oci::{Descriptor, Digest, Index, MediaType};
use corten_store::{Kind, PruneOptions, Store, layout};

use crate::support::{assert_clean, filled, folder, noise, reference, stage, to_json};

/// Turns a bit where the file lies, under all of its names.
fn rot(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A store with `team/app:1`, `team/app:2` and `team:1`, all shipped: their digests.
fn shipped(root: &Path) -> (Store, [Digest; 3]) {
    let (store, _) = filled(root, "other:1");
    let batch = store.batch();
    let images = ["team/app:1", "team/app:2", "team:1"].map(|name| (reference(name), name));
    let digests = images.clone().map(|(name, text)| {
        let image = stage(&batch, &[noise(text.len() as u64 + u64::from(text.as_bytes()[text.len() - 1]), 5000)]);
        batch.image(&name, &image.digest).unwrap();
        image.digest
    });
    batch.finish().unwrap();
    for ((name, _), digest) in images.iter().zip(&digests) {
        let to = root.join("layouts").join(name.repository.to_string());
        layout::export(&store, digest, std::slice::from_ref(name), &to).unwrap();
    }
    (store, digests)
}

fn tags(layout: &Path) -> Vec<String> {
    let index = Index::parse(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name = |entry: &Descriptor| entry.annotations.get("org.opencontainers.image.ref.name").cloned();
    index.manifests.iter().filter_map(name).collect()
}

/// A name with a slash is a folder in a folder: only the layout that is damaged is written anew.
#[test]
fn a_layout_below_another_one_is_found_and_not_moved_away_with_it() {
    for (damaged, whole) in [("team", "team/app"), ("team/app", "team")] {
        let folder = folder();
        let (store, _) = shipped(folder.path());
        let path = |name: &str| folder.path().join("layouts").join(name);
        let before = crate::support::snapshot(&path("team/app"));
        fs::write(path(damaged).join("index.json"), "{").unwrap();
        let problems = store.verify(&Nobody).unwrap();
        assert_eq!(problems.iter().map(|it| it.path.clone()).collect::<Vec<_>>(), [path(damaged)], "{damaged}");
        let written = tags(&path(whole));
        assert_eq!(store.mend_layouts(&problems).unwrap(), [path(damaged)]);
        assert_clean(&store);
        assert_eq!(tags(&path(whole)), written);
        assert_eq!((tags(&path("team")).len(), tags(&path("team/app")).len()), (1, 2));
        if damaged == "team" {
            assert!(crate::support::snapshot(&path("team/app")) == before, "nothing of it was touched");
        }
    }
}

/// One layer rots under both of its names, and nobody has it: the layout keeps what is good of it.
#[test]
fn a_layout_is_not_thrown_away_as_long_as_its_images_are_not_whole() {
    let folder = folder();
    let (store, [first, second, _]) = shipped(folder.path());
    let manifest = corten_oci::Manifest::parse(&store.bytes(&first).unwrap()).unwrap();
    let layer = manifest.layers[0].digest;
    rot(&store.blob_path(&layer));
    assert_eq!(store.mend(&Nobody).unwrap().len(), 1, "the layer is set aside");
    let problems = store.verify(&Nobody).unwrap();
    let to = folder.path().join("layouts/team/app");
    assert!(problems.iter().any(|problem| problem.path.starts_with(&to)), "{problems:?}");
    assert_eq!(store.mend_layouts(&problems).unwrap(), [] as [std::path::PathBuf; 0]);
    assert_eq!(tags(&to), ["1", "2"]);
    let mut elsewhere = layout::import(&Store::open(folder.path().join("other")).unwrap(), &to);
    assert!(elsewhere.is_err(), "the layer is still missed");
    // It is fetched again: then all of it comes back.
    let batch = store.batch();
    batch.put(&noise(10 + u64::from(b'1'), 5000)).unwrap();
    batch.finish().unwrap();
    assert_eq!(store.mend_layouts(&store.verify(&Nobody).unwrap()).unwrap(), std::slice::from_ref(&to));
    assert_clean(&store);
    elsewhere = layout::import(&Store::open(folder.path().join("other")).unwrap(), &to);
    assert_eq!(BTreeSet::from_iter(elsewhere.unwrap()), BTreeSet::from([first, second]));
}

/// Makes a blob again as soon as all blobs were looked at.
struct Maker<'a>(&'a Path, &'a [u8]);

impl Events for Maker<'_> {
    fn emit(&self, event: Event) {
        if let Event::Finished { .. } = event {
            fs::remove_file(self.0).unwrap();
            fs::write(self.0, self.1).unwrap();
        }
    }
}

#[test]
fn a_blob_that_was_made_again_meanwhile_is_not_set_aside() {
    let folder = folder();
    let (store, manifest) = filled(folder.path(), "app:1");
    let path = store.blob_path(&manifest);
    let bytes = fs::read(&path).unwrap();
    rot(&path);
    assert_eq!(store.mend(&Maker(&path, &bytes)).unwrap(), []);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_clean(&store);
}

/// What an artifact is, stands in its config where it has no `artifactType`; and an index can be an artifact.
#[test]
fn a_pointer_that_is_written_anew_says_what_its_artifact_is() {
    let folder = folder();
    let (store, subject) = filled(folder.path(), "app:1");
    let about = Descriptor::new(MediaType::MANIFEST, subject, store.size(&subject).unwrap().unwrap());
    let batch = store.batch();
    batch.put(b"{}").unwrap();
    let manifest = corten_oci::Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::of("application/vnd.example.signature+json", b"{}"),
        layers: Vec::new(),
        subject: Some(about.clone()),
        annotations: [("author".to_owned(), "me".to_owned())].into(),
    };
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: Some("application/vnd.example.list".into()),
        manifests: Vec::new(),
        subject: Some(about),
        annotations: Default::default(),
    };
    let documents = [
        (MediaType::MANIFEST, "application/vnd.example.signature+json", to_json(&manifest)),
        (MediaType::INDEX, "application/vnd.example.list", serde_json::to_vec(&index).unwrap()),
    ];
    let mut pointers = Vec::new();
    for (media_type, artifact_type, bytes) in &documents {
        batch.put(bytes).unwrap();
        let mut described = Descriptor::of(media_type, bytes);
        described.artifact_type = Some((*artifact_type).into());
        batch.referrer(&subject, &described).unwrap();
        pointers.push(folder.path().join("referrers").join(subject.hex()).join(described.digest.hex()));
    }
    batch.finish().unwrap();
    pointers.iter().for_each(|path| fs::write(path, "torn").unwrap());
    let mended = store.mend(&Nobody).unwrap();
    assert!(mended.len() == 2 && mended.iter().all(|it| it.why == "written anew from its artifact"), "{mended:?}");
    let mut types: Vec<String> =
        store.referrers(&subject).unwrap().iter().map(|it| it.artifact_type.as_ref().unwrap().to_string()).collect();
    types.sort();
    assert_eq!(types, ["application/spdx+json", documents[1].1, documents[0].1]);
    assert_clean(&store);
}

/// A folder that lay where a blob belongs, and a layout's blobs, are set aside whole.
#[test]
fn folders_in_the_trash_are_counted_and_freed() {
    let folder = folder();
    let (store, _) = shipped(folder.path());
    let blob = store.blob_path(&Digest::of(noise(2, 700)));
    fs::remove_file(&blob).unwrap();
    fs::create_dir_all(blob.join("deep")).unwrap();
    fs::write(blob.join("deep/file"), noise(5, 4321)).unwrap();
    let before = store.total().unwrap();
    store.mend(&Nobody).unwrap();
    assert_eq!(store.total().unwrap(), before + 4321);
    let chosen = store
        .prunable(&PruneOptions {
            keep: None,
            unused_for: Default::default(),
            all: false,
            now: std::time::SystemTime::now(),
        })
        .unwrap();
    let trash: Vec<u64> = chosen.items.iter().filter(|it| it.kind == Kind::Trash).map(|it| it.size).collect();
    assert_eq!(trash, [4321]);
    store.prune(chosen).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("trash")).unwrap().count(), 0);
}
