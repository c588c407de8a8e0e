//! What is removed, what stays, and who is at work meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use corten_oci::{DiffId, Digest};
use corten_store::{Key, PruneOptions, Pruning, Store, layout};

use crate::support::{asked, assert_clean, child, filled, folder, index, noise, reference, stage, stage_referrer};

fn options() -> PruneOptions {
    PruneOptions { keep: None, unused_for: Duration::ZERO, all: false, now: SystemTime::now() }
}

fn prune(store: &Store, options: &PruneOptions) -> Pruning {
    store.prune(store.prunable(options).unwrap()).unwrap()
}

/// All files of these folders, named from the store.
fn files(store: &Store, folders: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<_> = folders.iter().map(|folder| store.root().join(folder)).collect();
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => next.push(entry.path()),
                false => drop(found.insert(entry.path().strip_prefix(store.root()).unwrap().display().to_string())),
            }
        }
    }
    found
}

const CONTENT: [&str; 8] = ["blobs", "layers", "cache", "referrers", "images", "layouts", "downloads", "trash"];

/// A store with an image, and with what nothing needs: another image that lost its name, a wheel, a record.
fn littered(root: &Path) -> (Store, Digest, BTreeSet<String>) {
    let (store, image) = filled(root, "app:1");
    let needed = files(&store, &CONTENT);
    let batch = store.batch();
    let other = stage(&batch, &[noise(3, 50_000), noise(2, 700)]);
    batch.image(&reference("old:1"), &other.digest).unwrap();
    stage_referrer(&batch, &other, b"of the old one");
    batch.put(b"PK\x03\x04 a wheel").unwrap();
    batch.record(&Key(Digest::of("more")), b"value").unwrap();
    batch.layer_index(&DiffId(Digest::of("nobody's")), &index(3)).unwrap();
    batch.finish().unwrap();
    store.untag(&reference("old:1")).unwrap().unwrap();
    // Whoever opens it anew relies on nothing yet.
    drop(store);
    (Store::open(root).unwrap(), image, needed)
}

#[test]
fn what_no_name_needs_goes_and_nothing_else() {
    let folder = folder();
    let (store, image, mut needed) = littered(folder.path());
    let before = store.total().unwrap();
    let foreseen = store.prunable(&options()).unwrap();
    assert_eq!(store.total().unwrap(), before, "to ask changes nothing");
    let done = store.prune(foreseen).unwrap();
    // A record that is about no image goes, too.
    needed.remove(&format!("cache/{}", Digest::of("key").hex()));
    assert_eq!(files(&store, &CONTENT), needed);
    assert_eq!((done.freed, done.left), (before - store.total().unwrap(), store.total().unwrap()));
    assert_eq!(store.image(&reference("app:1")).unwrap(), Some(image));
    assert_eq!(store.referrers(&image).unwrap().len(), 1);
    assert_clean(&store);
    assert!(store.prunable(&options()).unwrap().is_empty());
}

#[test]
fn all_means_all() {
    let folder = folder();
    let (store, image, _) = littered(folder.path());
    layout::export(&store, &image, &[reference("app:1")], &folder.path().join("layouts/app")).unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let done = prune(&store, &PruneOptions { all: true, ..options() });
    assert_eq!(files(&store, &CONTENT), BTreeSet::new());
    assert_eq!((done.left, store.total().unwrap()), (0, 0));
    assert!(store.images().unwrap().is_empty());
    for parent in ["layers", "referrers", "images", "layouts", "trash", "tmp"] {
        assert_eq!(fs::read_dir(folder.path().join(parent)).unwrap().count(), 0, "{parent}");
    }
    assert_clean(&store);
}

/// Marks of use, oldest first.
fn age(store: &Store, digest: &Digest, hours: u64) {
    let time = SystemTime::now() - Duration::from_secs(hours * 3600);
    fs::File::open(store.blob_path(digest)).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_least_recently_used_goes_first_and_no_more_than_must() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    let blobs: Vec<Digest> = (0..5).map(|seed| batch.put(&noise(seed, 1000)).unwrap()).collect();
    batch.finish().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    for (digest, hours) in blobs.iter().zip([30, 50, 10, 40, 20]) {
        age(&store, digest, hours);
    }
    let there = || blobs.iter().map(|digest| store.blob_path(digest).exists()).collect::<Vec<_>>();
    let unused = PruneOptions { unused_for: Duration::from_secs(45 * 3600), ..options() };
    prune(&store, &PruneOptions { keep: Some(0), ..unused });
    assert_eq!(there(), [true, false, true, true, true], "what was used since stays, whatever is to be kept");
    prune(&store, &PruneOptions { keep: Some(2500), ..options() });
    assert_eq!(there(), [false, false, true, false, true], "two fit");
    assert!(store.prunable(&PruneOptions { keep: Some(2000), ..options() }).unwrap().is_empty());
}

#[test]
fn a_use_is_a_mark_and_a_fresh_mark_is_not_renewed() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:1");
    age(&store, &image, 100);
    drop(store);
    let now = SystemTime::now();
    let used = || fs::metadata(Store::open(folder.path()).unwrap().blob_path(&image)).unwrap().modified().unwrap();
    Store::open(folder.path()).unwrap().size(&image).unwrap();
    assert!(used() < now - Duration::from_secs(99 * 3600), "who does not say the time, marks nothing");
    Store::open(folder.path()).unwrap().marking(now).size(&image).unwrap();
    assert_eq!(used(), now);
    Store::open(folder.path()).unwrap().marking(now + Duration::from_secs(1800)).size(&image).unwrap();
    assert_eq!(used(), now);
}

/// 1970, 2038, 2099, and back: a clock alone removes nothing that is needed, nor keeps anything for ever.
#[test]
fn a_clock_that_is_wrong_decides_nothing() {
    let year = |year: u64| SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600);
    for now in [1970, 2038, 2099].map(year) {
        let folder = folder();
        let (store, image, mut needed) = littered(folder.path());
        let store = store.marking(now);
        let month = PruneOptions { unused_for: Duration::from_secs(30 * 24 * 3600), now, ..options() };
        prune(&store, &month);
        assert_eq!(store.image(&reference("app:1")).unwrap(), Some(image));
        assert_clean(&store);
        prune(&store, &PruneOptions { now, ..options() });
        needed.remove(&format!("cache/{}", Digest::of("key").hex()));
        assert_eq!(files(&store, &CONTENT), needed, "{now:?}");
    }
}

#[test]
fn of_named_images_the_oldest_goes_where_all_may_go() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    for (seed, name) in ["a:1", "b:1", "c:1"].iter().enumerate() {
        let batch = store.batch();
        let image = stage(&batch, &[noise(seed as u64 + 10, 100_000), noise(99, 5000)]);
        batch.image(&reference(name), &image.digest).unwrap();
        batch.finish().unwrap();
    }
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    for (name, hours) in [("a", 5), ("b", 50), ("c", 7)] {
        let pointer = folder.path().join(format!("images/{name}/_tags/1"));
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(pointer).unwrap().set_modified(time).unwrap();
    }
    let keep = PruneOptions { keep: Some(230_000), ..options() };
    assert!(prune(&store, &keep).names.is_empty(), "names stay");
    let done = prune(&store, &PruneOptions { all: true, ..keep });
    assert_eq!(done.names.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["b:1"]);
    assert!(done.left <= 230_000 && store.images().unwrap().len() == 2);
    assert_clean(&store);
}

/// A manifest that is damaged or gone hides what it needs: nothing is removed on a guess.
#[test]
fn damage_to_a_named_image_stops_a_prune() {
    for damage in ["flip", "empty", "gone"] {
        let folder = folder();
        let (store, image, _) = littered(folder.path());
        let path = store.blob_path(&image);
        let mut bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        bytes[40] ^= 1;
        match damage {
            "flip" => fs::write(&path, &bytes).unwrap(),
            "empty" => fs::write(&path, "").unwrap(),
            _ => {}
        }
        let before = files(&store, &CONTENT);
        let error = store.prunable(&options()).unwrap_err().to_string();
        assert!(error.contains("it is not known what it needs"), "{damage}: {error}");
        assert_eq!(files(&store, &CONTENT), before);
        prune(&store, &PruneOptions { all: true, ..options() });
        assert_eq!(files(&store, &CONTENT), BTreeSet::new());
    }
}

/// Between the plan and the sweep somebody names, uses or notes what was to go.
#[test]
fn what_becomes_needed_meanwhile_stays() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let batch = store.batch();
    let named = stage(&batch, &[noise(1, 9000)]);
    let noted = stage(&batch, &[noise(2, 9000)]);
    let used = batch.put(&noise(3, 500)).unwrap();
    let idle = batch.put(&noise(4, 500)).unwrap();
    batch.finish().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    age(&store, &used, 30);
    let chosen = store.prunable(&options()).unwrap();
    let naming = Store::open(folder.path()).unwrap();
    let batch = naming.batch();
    batch.image(&reference("new:1"), &named.digest).unwrap();
    batch.finish().unwrap();
    drop(naming);
    let other = Store::open(folder.path()).unwrap();
    assert!(other.size(&noted.digest).unwrap().is_some());
    Store::open(folder.path()).unwrap().marking(SystemTime::now()).size(&used).unwrap();
    store.prune(chosen).unwrap();
    assert_eq!(store.image(&reference("new:1")).unwrap(), Some(named.digest));
    assert_clean(&store);
    let closure = other.bytes(&noted.digest).unwrap();
    let manifest = corten_oci::Manifest::parse(&closure).unwrap();
    assert!(
        other.size(&manifest.layers[0].digest).unwrap().is_some(),
        "a document that is noted stands for its layers"
    );
    assert!(other.blob_path(&used).exists() && !other.blob_path(&idle).exists());
}

/// A build that found a blob is held still while everything is pruned; then it names what it found.
#[test]
fn a_sweep_in_the_middle_of_a_build_takes_nothing_from_it() {
    let folder = folder();
    filled(folder.path(), "app:1");
    let mut process = child("prune::child_builds_in_steps", folder.path());
    let mut process = process.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut input = process.stdin.take().unwrap();
    for step in ["found", "put", "finished", "named"] {
        lines.by_ref().find(|line| line.ends_with(step)).unwrap_or_else(|| panic!("no {step}"));
        let store = Store::open(folder.path()).unwrap();
        prune(&store, &PruneOptions { all: step != "named", ..options() });
        drop(store);
        writeln!(input).unwrap();
    }
    drop(input);
    assert!(process.wait().unwrap().success());
    let store = Store::open(folder.path()).unwrap();
    assert!(store.image(&reference("built:1")).unwrap().is_some());
    assert_clean(&store);
    assert_eq!(store.images().unwrap().len(), 1);
}

#[test]
fn child_builds_in_steps() {
    let Some(root) = asked() else { return };
    let wait = |word: &str| {
        println!("{word}");
        let mut byte = [0];
        std::io::stdin().read_exact(&mut byte).unwrap();
    };
    let store = Store::open(root).unwrap();
    let base = store.image(&reference("app:1")).unwrap().unwrap();
    wait("found");
    let manifest = corten_oci::Manifest::parse(&store.bytes(&base).unwrap()).unwrap();
    assert!(store.size(&manifest.layers[0].digest).unwrap().is_some(), "what the base names was kept");
    let batch = store.batch();
    batch.put(&store.bytes(&manifest.config.digest).unwrap()).unwrap();
    let config = store.bytes(&manifest.config.digest).unwrap();
    let config = corten_oci::ImageConfig::parse(&config).unwrap();
    assert!(store.layer_index(&config.rootfs.diff_ids[0]).unwrap().is_some());
    wait("put");
    batch.finish().unwrap();
    wait("finished");
    let batch = store.batch();
    batch.image(&reference("built:1"), &base).unwrap();
    batch.finish().unwrap();
    wait("named");
}

/// Leases of the dead go; a lease whose owner lives stays, and what cannot be read is not thrown away.
#[test]
fn a_lease_ends_with_its_owner() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:1");
    let leases = || {
        let mut names: Vec<_> =
            fs::read_dir(folder.path().join("leases")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| name != "gate");
        names.len()
    };
    assert_eq!(leases(), 1);
    drop(Store::open(folder.path()).unwrap());
    assert_eq!(leases(), 1, "the living are left alone");
    let other = Store::open(folder.path()).unwrap();
    assert_eq!(leases(), 1, "who relies on nothing has no lease");
    other.size(&image).unwrap();
    assert_eq!(leases(), 2);
    drop(store);
    assert_eq!(leases(), 1);
    drop(other);
    fs::write(folder.path().join("leases/1-0"), "corten-lease 1 x 1 1\nblob 00\n").unwrap();
    drop(Store::open(folder.path()).unwrap());
    assert_eq!(leases(), 0);
}

#[test]
fn a_store_of_a_newer_format_is_refused_politely_and_an_older_one_taken_along() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:1");
    drop(store);
    let written = fs::read(folder.path().join("format")).unwrap();
    // As the first stores were.
    fs::remove_file(folder.path().join("format")).unwrap();
    fs::remove_dir_all(folder.path().join("leases")).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.image(&reference("app:1")).unwrap(), Some(image));
    assert_eq!(fs::read(folder.path().join("format")).unwrap(), written);
    drop(store);
    let newer = format!("{}\ncorten-store 2\n", Digest::of("format"));
    let newer = format!("corten-record 2 {}\ncorten-store 2\n", Digest::of(newer));
    fs::write(folder.path().join("format"), newer).unwrap();
    let error = Store::open(folder.path()).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("the store at {} is of format 2; this program knows up to 1", folder.path().display())
    );
    // A bit that turned is no version.
    fs::write(folder.path().join("format"), String::from_utf8(written).unwrap().replace("store 1", "store 3")).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let problems = store.verify(&corten_diagnostic::Nobody).unwrap();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].path.ends_with("format"));
}

/// What a layout's own index does not reach goes; a tag that is taken away leaves the layout, too.
#[test]
fn layouts_lose_what_their_index_does_not_reach() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:1");
    let to = folder.path().join("layouts/app");
    layout::export(&store, &image, &[reference("app:1")], &to).unwrap();
    let batch = store.batch();
    let second = stage(&batch, &[noise(5, 40_000), noise(2, 700)]);
    batch.image(&reference("app:2"), &second.digest).unwrap();
    batch.finish().unwrap();
    layout::export(&store, &second.digest, &[reference("app:2")], &to).unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    prune(&store, &options());
    let blobs = || files(&store, &["layouts/app/blobs"]).len();
    let both = blobs();
    store.untag(&reference("app:1")).unwrap().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    prune(&store, &options());
    let blobs = files(&store, &["layouts/app/blobs"]).len();
    // Manifest, config and two layers of the second image.
    assert_eq!((blobs, both > blobs), (4, true));
    assert_clean(&store);
    assert_eq!(layout::import(&Store::open(folder.path().join("again")).unwrap(), &to).unwrap(), [second.digest]);
}

/// What a registry's client pushed by digest alone stays until it is deleted there, or all goes.
#[test]
fn what_a_repository_keeps_without_a_tag_stays() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let repository: corten_oci::Repository = "host.example/team/app".parse().unwrap();
    let batch = store.batch();
    let image = stage(&batch, &[noise(1, 9000)]);
    batch.hold(&repository, &image.digest).unwrap();
    batch.finish().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert!(store.prunable(&options()).unwrap().is_empty());
    assert_eq!(store.sizes().unwrap().images.len(), 1);
    assert!(store.release(&repository, &image.digest).unwrap());
    prune(&store, &options());
    assert_eq!(files(&store, &["blobs", "layers"]), BTreeSet::new());
    let batch = store.batch();
    let image = stage(&batch, &[noise(1, 9000)]);
    batch.hold(&repository, &image.digest).unwrap();
    batch.finish().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    prune(&store, &PruneOptions { all: true, ..options() });
    assert_eq!(files(&store, &CONTENT), BTreeSet::new());
    assert!(store.repositories().unwrap().is_empty());
}

/// `ship` of a project `team/app` writes to `layouts/team/app`.
#[test]
fn layouts_of_names_with_a_slash_go_with_all_the_rest() {
    for shipped in [&["team/app:1"][..], &["team/app:1", "team:1", "team/app/deep:1"]] {
        let folder = folder();
        let (store, image) = filled(folder.path(), "team/app:1");
        for name in shipped {
            let to = folder.path().join("layouts").join(reference(name).repository.to_string());
            layout::export(&store, &image, &[reference(name)], &to).unwrap();
        }
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        prune(&store, &options());
        let manifests = files(&store, &["layouts"]).iter().filter(|path| path.ends_with(&image.hex())).count();
        assert_eq!(manifests, shipped.len());
        prune(&store, &PruneOptions { all: true, ..options() });
        assert_eq!(files(&store, &CONTENT), BTreeSet::new(), "{shipped:?}");
        assert_eq!(fs::read_dir(folder.path().join("layouts")).unwrap().count(), 0);
        assert_eq!(store.total().unwrap(), 0);
    }
}

fn has_tag(layout: &Path, tag: &str) -> bool {
    fs::read_to_string(layout.join("index.json"))
        .unwrap()
        .contains(&format!("\"org.opencontainers.image.ref.name\":\"{tag}\""))
}

/// `app` is the end of `layouts/app`, too.
#[test]
fn a_name_that_goes_leaves_the_layouts_of_others_alone() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:1");
    let batch = store.batch();
    for name in ["layouts/app:1", "x/app:1"] {
        batch.image(&reference(name), &image).unwrap();
    }
    batch.finish().unwrap();
    let paths = ["app", "layouts/app", "x/app"].map(|name| folder.path().join("layouts").join(name));
    for path in &paths {
        layout::export(&store, &image, &[reference("app:1")], path).unwrap();
    }
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let used = |name: &str, hours: u64| {
        let pointer = folder.path().join(format!("images/{name}/_tags/1"));
        fs::File::open(pointer).unwrap().set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    };
    used("layouts/app", 100);
    let old = PruneOptions { all: true, unused_for: Duration::from_secs(50 * 3600), ..options() };
    assert_eq!(prune(&store, &old).names.len(), 1);
    assert_eq!(paths.each_ref().map(|path| has_tag(path, "1")), [true, false, true]);
    store.untag(&reference("x/app:1")).unwrap().unwrap();
    assert_eq!(paths.each_ref().map(|path| has_tag(path, "1")), [true, false, false]);
    assert_clean(&store);
}

#[test]
fn a_name_without_a_tag_that_is_taken_away_leaves_its_layout_as_latest() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:latest");
    let to = folder.path().join("layouts/app");
    layout::export(&store, &image, &[reference("app:latest"), reference("app:1")], &to).unwrap();
    store.untag(&reference("app")).unwrap().unwrap();
    assert!(has_tag(&to, "1") && !has_tag(&to, "latest"));
}

/// Somebody asks for an image between the plan and the sweep.
#[test]
fn a_name_that_is_used_meanwhile_stays() {
    for does_name in [false, true] {
        let folder = folder();
        let (store, image) = filled(folder.path(), "app:1");
        let batch = store.batch();
        let other = stage(&batch, &[noise(7, 900)]);
        batch.image(&reference("other:1"), &other.digest).unwrap();
        batch.finish().unwrap();
        drop(store);
        for name in ["app", "other"] {
            let time = SystemTime::now() - Duration::from_secs(100 * 3600);
            fs::File::open(folder.path().join(format!("images/{name}/_tags/1"))).unwrap().set_modified(time).unwrap();
        }
        let store = Store::open(folder.path()).unwrap();
        let chosen = store.prunable(&PruneOptions { all: true, ..options() }).unwrap();
        assert_eq!(chosen.names.len(), 2);
        let user = Store::open(folder.path()).unwrap().marking(SystemTime::now());
        match does_name {
            true => {
                let batch = user.batch();
                batch.image(&reference("app:1"), &image).unwrap();
                batch.finish().unwrap();
            }
            false => drop(user.image(&reference("app:1")).unwrap()),
        }
        drop(user);
        let done = store.prune(chosen).unwrap();
        assert_eq!(done.names, [(reference("other:1"), other.digest)]);
        assert_eq!(store.image(&reference("app:1")).unwrap(), Some(image));
        assert_clean(&store);
    }
}

/// An image whose layers are at a registry alone is pulled again between the plan and the sweep.
#[test]
fn where_the_layers_are_of_an_image_that_is_named_meanwhile_is_not_forgotten() {
    let folder = folder();
    let (store, image) = filled(folder.path(), "app:1");
    let layers = corten_oci::Manifest::parse(&store.bytes(&image).unwrap()).unwrap().layers;
    let batch = store.batch();
    for layer in &layers {
        batch.origin(&layer.digest, &"registry.example/app".parse().unwrap()).unwrap();
        fs::remove_file(store.blob_path(&layer.digest)).unwrap();
    }
    batch.finish().unwrap();
    store.untag(&reference("app:1")).unwrap().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let chosen = store.prunable(&options()).unwrap();
    let other = Store::open(folder.path()).unwrap();
    let batch = other.batch();
    batch.image(&reference("app:1"), &image).unwrap();
    batch.finish().unwrap();
    store.prune(chosen).unwrap();
    for layer in &layers {
        assert_eq!(store.origins(&layer.digest).unwrap().len(), 1, "{}", layer.digest);
    }
    assert_clean(&store);
}

/// A manifest that grew beyond what is read hides what it needs; a config of any size does not.
#[test]
fn a_manifest_that_grew_stops_a_prune_and_a_large_config_does_not() {
    let folder = folder();
    let (store, image, _) = littered(folder.path());
    let large = vec![b' '; 5 << 20];
    let batch = store.batch();
    batch.put(&large).unwrap();
    let artifact = corten_oci::Manifest {
        schema_version: 2,
        media_type: Some(corten_oci::MediaType::MANIFEST.into()),
        artifact_type: None,
        config: corten_oci::Descriptor::of("application/vnd.example.model", &large),
        layers: Vec::new(),
        subject: None,
        annotations: [].into(),
    };
    let artifact = batch.put(&crate::support::to_json(&artifact)).unwrap();
    batch.image(&reference("model:1"), &artifact).unwrap();
    batch.finish().unwrap();
    prune(&store, &options());
    assert!(store.blob_path(&Digest::of(&large)).exists());
    let path = store.blob_path(&image);
    let manifest = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, [manifest, large].concat()).unwrap();
    let before = files(&store, &CONTENT);
    let error = store.prunable(&options()).unwrap_err().to_string();
    assert!(error.ends_with("bytes are too many for a document, so it is not known what it needs"), "{error}");
    assert_eq!(files(&store, &CONTENT), before);
}

/// Whoever has the lock of a download has the file of that name.
#[test]
fn a_download_is_not_removed_under_somebody_who_has_just_begun_with_it() {
    let folder = folder();
    let root = folder.path();
    let digest = Digest::of("under way");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = Store::open(root).unwrap();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                prune(&store, &options());
            }
        });
        let lost = std::panic::catch_unwind(|| {
            let store = Store::open(root).unwrap();
            let is_there = || {
                let under_way = store.partial(&digest).unwrap();
                (0..50).all(|_| under_way.path().exists())
            };
            (0..3000).filter(|_| !is_there()).count()
        });
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(lost.unwrap(), 0);
    });
}
