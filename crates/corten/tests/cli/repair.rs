//! Stores are repaired: from a registry that had the image, by the next build, and never on a guess.

use std::fs;

use corten_testkit::registry::{FakeRegistry, Habits};

use crate::service::{Service, corten};

/// A manifest, a config, a layer: lost or damaged, each comes back from where the image came from.
#[test]
fn what_was_pulled_comes_back_from_its_registry() {
    let registry = FakeRegistry::start(Habits { referrers: true, ..Habits::default() });
    let service = Service::filled();
    let digest = service.digest("build");
    service.run(&format!("push {digest} {}/team/app:1", registry.place())).expect(0);
    let other = corten();
    let run = |line: &str| other.run(other.home(), line.split(' '));
    run(&format!("pull {}/team/app:1", registry.place())).expect(0);
    let blobs = other.store().join("blobs/sha256");
    let names: Vec<_> = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() > 5);
    for path in &names {
        let bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        run("store verify").expect(1);
        let repaired = run("store repair --format json").expect(0).json();
        assert_eq!(repaired["left"].as_array().unwrap().len(), 0);
        assert!(repaired.to_string().contains("fetched again from"), "{repaired}");
        assert_eq!(fs::read(path).unwrap(), bytes, "{}", path.display());
        run("store verify").expect(0);
    }
    assert_eq!(run("store repair").expect(0).stdout, "nothing is damaged, and no image lacks anything\n");
    // Without the registry: said, and nothing is lost that is right.
    fs::remove_file(&names[0]).unwrap();
    let manifest = blobs.join(digest.trim_start_matches("sha256:"));
    drop(fs::remove_file(&manifest));
    let ran = run("store repair --offline").expect(1);
    assert!(
        ran.stdout.contains(&format!("`corten pull {}/team/app:1` brings them back", registry.place())),
        "{}",
        ran.stdout
    );
    run(&format!("pull {}/team/app:1", registry.place())).expect(0);
    run("store verify").expect(0);
}

#[test]
fn what_was_built_is_told_with_the_command_that_makes_it() {
    let service = Service::filled();
    let digest = service.digest("build");
    let blob = service.corten.store().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    fs::remove_file(blob).unwrap();
    let ran = service.run("store repair").expect(1);
    assert!(
        ran.stdout.contains("service:1.3.0: 1 of its blobs are missing: `corten build` in its project"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        ran.stderr.lines().last(),
        Some(format!("error: {} things could not be mended", ran.stdout.lines().count()).as_str())
    );
    assert_eq!(service.digest("build --offline"), digest);
    assert_eq!(service.run("store repair").expect(0).stdout, "nothing is damaged, and no image lacks anything\n");
}

/// Names and artifacts that were torn come back from what is there.
#[test]
fn torn_pointers_come_back_where_somebody_knows_them() {
    let service = Service::filled();
    let shipped = service.digest("ship");
    let store = service.corten.store();
    let tag = store.join("images/service/_tags/1.3.0");
    fs::write(&tag, "sha256:").unwrap();
    let referrers = store.join("referrers").join(shipped.trim_start_matches("sha256:"));
    let referrer = fs::read_dir(&referrers).unwrap().next().unwrap().unwrap().path();
    let pointer = fs::read(&referrer).unwrap();
    fs::write(&referrer, &pointer[..10]).unwrap();
    service.run("store verify").expect(1);
    let ran = service.run("store repair").expect(0);
    assert!(ran.stdout.contains("given back by its layout"), "{}", ran.stdout);
    assert!(ran.stdout.contains("written anew from its artifact"), "{}", ran.stdout);
    service.run("store verify").expect(0);
    assert!(service.run("images").expect(0).stdout.contains("service:1.3.0"));
    service.run("sbom service:1.3.0").expect(0);
    // Nobody knows this one.
    service.run("build -t lonely:1").expect(0);
    fs::write(store.join("images/lonely/_tags/1"), "").unwrap();
    let ran = service.run("store repair").expect(0);
    assert!(ran.stdout.contains("removed: nobody knows what it stood for"), "{}", ran.stdout);
    service.run("store verify").expect(0);
}

/// Everything of an image is gone but its name: what comes back names what is still lacking, as often as that is so.
#[test]
fn a_repair_goes_on_as_long_as_something_comes_back() {
    let registry = FakeRegistry::start(Habits::default());
    let service = Service::filled();
    let digest = service.digest("build");
    service.run(&format!("push {digest} {}/team/app:1", registry.place())).expect(0);
    let other = corten();
    let run = |line: &str| other.run(other.home(), line.split(' '));
    run(&format!("pull {}/team/app:1", registry.place())).expect(0);
    let blobs = other.store().join("blobs/sha256");
    let pulled = fs::read_dir(&blobs).unwrap().count();
    fs::read_dir(&blobs).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    let repaired = run("store repair --format json").expect(0).json();
    let fetched = repaired["mended"].as_array().unwrap().len();
    assert!(fetched >= 2 && fetched <= pulled, "{repaired}");
    run("store verify").expect(0);
    // One document is lost for each that is fetched: as many are lacking as before.
    let config = fs::read_to_string(blobs.join(digest.trim_start_matches("sha256:"))).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let config = config["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    for lost in [digest.trim_start_matches("sha256:"), &config] {
        fs::remove_file(blobs.join(lost)).unwrap();
    }
    run("store repair").expect(0);
    run("store verify").expect(0);
}

/// A layer rots under both of its names, and no registry has it. Where the store lies, is no matter.
#[test]
fn a_shipped_layout_is_kept_and_told_where_its_layer_cannot_be_had() {
    use std::os::unix::fs::MetadataExt;
    let service = Service::filled();
    service.digest("ship");
    let home = service.corten.home().join("images");
    fs::create_dir(&home).unwrap();
    fs::rename(service.corten.store(), home.join("store")).unwrap();
    std::os::unix::fs::symlink(home.join("store"), service.corten.store()).unwrap();
    let corten = crate::ground::corten_at(&home.join("store"));
    let run = |line: &str| corten.run(&service.folder(), line.split(' '));
    let layout = home.join("store/layouts/service");
    let index = fs::read(layout.join("index.json")).unwrap();
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let layer = blobs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    assert_eq!(fs::metadata(&layer).unwrap().nlink(), 2);
    let mut bytes = fs::read(&layer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&layer, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&layer, bytes).unwrap();
    let ran = run("store repair").expect(1);
    assert!(ran.stdout.contains("service:1.3.0: 1 of its blobs are missing: `corten build` in its project"), "{ran:?}");
    let told = ran.stdout.lines().filter(|line| line.contains("layouts/service/blobs/sha256/")).count();
    assert_eq!(told, 1, "{}", ran.stdout);
    assert!(!ran.stdout.contains("_tags"), "told by name, not by path: {}", ran.stdout);
    assert_eq!(fs::read(layout.join("index.json")).unwrap(), index);
    run("build").expect(0);
    let ran = run("store repair").expect(0);
    assert!(ran.stdout.contains(&format!("{}: written anew", layout.display())), "{}", ran.stdout);
    assert_eq!(fs::read(layout.join("index.json")).unwrap(), index);
    run("store verify").expect(0);
}
