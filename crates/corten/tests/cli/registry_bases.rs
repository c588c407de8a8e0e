//! Bases that are images of a registry: pinned on first use, never asked for by name again, their layers left where they
//! are until somebody needs the bytes.

use std::fs;

use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Descriptor, Digest, Entry, LayerPath, Manifest, MediaType};
use corten_testkit::command::Ran;
use corten_testkit::http::{Answer, Asked};
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind};
use serde_json::{Value, json};

use crate::ground::corten_at;
use crate::oci::{Image, Made};
use crate::service::Service;
use crate::told::told;

const MANIFEST: &str = MediaType::MANIFEST;
const INDEX: &str = MediaType::INDEX;

pub fn habits() -> Habits {
    Habits { referrers: true, mounts: true, ..Habits::default() }
}

/// Puts an image there under a tag.
pub fn put(registry: &FakeRegistry, repository: &str, tag: &str, made: &Made) -> Digest {
    made.blobs.iter().chain([&made.config]).for_each(|blob| {
        registry.add_blob(repository, blob);
    });
    registry.add_manifest(repository, tag, MANIFEST, &made.manifest)
}

/// Puts images there as an index of platforms.
fn put_index(registry: &FakeRegistry, repository: &str, tag: &str, images: &[(&str, &Made)]) -> Digest {
    let entry = |(architecture, made): &(&str, &Made)| {
        put(registry, repository, &format!("{tag}-{architecture}"), made);
        let mut entry = json!(Descriptor::of(MANIFEST, &made.manifest));
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    };
    let manifests: Vec<Value> = images.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string();
    registry.add_manifest(repository, tag, INDEX, index.as_bytes())
}

/// A service whose base is that; published to `team/service` of the registry.
pub fn based(registry: &FakeRegistry, base: &str) -> Service {
    let service = Service::new();
    rebase(&service, registry, base);
    service
}

fn rebase(service: &Service, registry: &FakeRegistry, base: &str) {
    let settings = service.settings(&format!("base = \"{base}\""));
    let publish = format!("\n[publish]\nrepository = \"{}/team/service\"\n", registry.place());
    service.write("corten.toml", settings + &publish);
}

/// `REGISTRY/ml/python:1` holds Python.
fn with_python() -> (FakeRegistry, Service, Made) {
    let registry = FakeRegistry::start(habits());
    let made = Image::python().make();
    put(&registry, "ml/python", "1", &made);
    let service = based(&registry, &format!("{}/ml/python:1", registry.place()));
    (registry, service, made)
}

/// Requests for a path's begin, in order.
fn asked(registry: &FakeRegistry, what: &str) -> Vec<Asked> {
    let all = registry.server().asked();
    all.into_iter().filter(|asked| format!("{} {}", asked.method, asked.path).contains(what)).collect()
}

/// Bytes that came in as blobs.
pub fn received(registry: &FakeRegistry) -> u64 {
    let length = |asked: &Asked| asked.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let uploads = asked(registry, "/blobs/uploads/");
    uploads.iter().filter(|asked| matches!(asked.method.as_str(), "PUT" | "PATCH")).filter_map(length).sum()
}

/// As `corten prune` may leave the store: without these layers.
pub fn forget(service: &Service, blobs: &[Vec<u8>]) {
    for blob in blobs {
        fs::remove_file(service.corten.store().join("blobs/sha256").join(Digest::of(blob).hex())).unwrap();
    }
}

#[track_caller]
fn refuses(service: &Service, registry: &FakeRegistry, ran: Ran, status: i32, expected: &str) {
    let place = |text: String| text.replace(&registry.place(), "REGISTRY");
    told(service, &Ran { status: ran.status, stdout: ran.stdout, stderr: place(ran.stderr) }, status, expected);
}

/// Says `why` of the base `REGISTRY/ml/python:1`, at the setting.
#[track_caller]
fn says(service: &Service, registry: &FakeRegistry, status: i32, why: &str, hints: &[&str]) {
    let caret = "^".repeat(format!("{}/ml/python:1", registry.place()).len() + 2);
    let hints: String = hints.iter().map(|hint| format!("hint: {hint}\n")).collect();
    let expected = format!(
        "error: the base REGISTRY/ml/python:1: {why}\n --> ./corten.toml:1:8\n  |\n1 | base = \"REGISTRY/ml/python:1\"\n  |        {caret}\n{hints}"
    );
    refuses(service, registry, service.run("build"), status, &expected);
    assert!(!service.folder().join("corten.lock").exists(), "nothing of it was pinned");
}

#[test]
fn first_use_pins_and_the_tag_is_asked_for_no_more() {
    let (registry, service, made) = with_python();
    let digest = Digest::of(&made.manifest);
    let first = service.digest("build");
    assert_eq!(asked(&registry, "/manifests/1").len(), 1);
    assert_eq!(registry.count(Kind::Blob), 3, "each layer once, and the config");
    let lock = service.read("corten.lock");
    for line in [
        &format!("reference = \"{}/ml/python:1\"", registry.place()),
        "python = \"3.11.9\"",
        &format!("digest = \"{digest}\""),
        "interpreter = \"/usr/local/bin/python3.11\"",
        &format!("repository = \"{}/ml/python\"", registry.place()),
        "tag = \"1\"",
    ] {
        assert!(lock.contains(line), "no {line} in\n{lock}");
    }
    let before = registry.server().asked().len();
    // The tag moves: what is pinned is built, and nobody is asked.
    let other = Image::python().with("etc/new", b"x").make();
    put(&registry, "ml/python", "1", &other);
    assert_eq!(service.digest("build --locked"), first);
    assert_eq!(registry.server().asked().len(), before, "the registry was asked");
    // Another machine: by digest.
    let home = tempfile::tempdir().unwrap();
    let elsewhere = corten_at(home.path());
    let built = elsewhere.run(&service.folder(), ["build", "--locked", "--format", "json"]).expect(0).json();
    assert_eq!(built["digest"], first.as_str());
    assert_eq!(asked(&registry, "/manifests/1").len(), 1);
    assert_eq!(asked(&registry, &format!("/manifests/{digest}")).len(), 1);

    let renewed = service.run("lock --upgrade-base").expect(0);
    assert!(renewed.stdout.contains(&format!("{digest} → {}", Digest::of(&other.manifest))), "{}", renewed.stdout);
    assert_ne!(service.digest("build --locked"), first);
    assert_eq!(asked(&registry, "/manifests/1").len(), 2);
    // By digest in the settings, no tag counts.
    rebase(&service, &registry, &format!("{}/ml/python:gone@{digest}", registry.place()));
    service.run("build").expect(0);
    assert!(service.read("corten.lock").contains("tag = \"gone\"") && asked(&registry, "/manifests/gone").is_empty());
}

#[test]
fn config_and_indexes_are_enough_to_build_and_to_push_to_where_the_layers_are() {
    let (registry, service, made) = with_python();
    let first = service.digest("build");
    forget(&service, &made.blobs);
    let before = registry.count(Kind::Blob);
    assert_eq!(service.digest("build --offline --locked"), first);
    service.edit("app.py", "well", "fine");
    let second = service.digest("build");
    assert_ne!(first, second);
    let shipped = service.run("ship --push --format json").expect(0).json();
    assert_eq!(shipped["digest"], second.as_str());
    assert_eq!(shipped["layout"], Value::Null);
    assert_eq!(registry.count(Kind::Blob), before, "a layer was fetched again");
    let manifest = registry.manifest("team/service", &second.parse().unwrap()).unwrap();
    let manifest = Manifest::parse(&manifest.1).unwrap();
    assert_eq!(manifest.layers[0].digest, Digest::of(&made.blobs[0]));
    let base: u64 = made.blobs.iter().map(|blob| blob.len() as u64).sum();
    assert_eq!(registry.count(Kind::Mount), 2, "the base's layers, and nothing else, are known to be elsewhere");
    let all: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
    let sent = received(&registry);
    assert!(sent >= all - base && sent < all - base + 60_000, "{sent} of {all}, {base} are the base's");
    assert_eq!((registry.torn(), registry.breaches()), (vec![], vec![]));
    service.run("store verify").expect(0);
    // A second push: only what is new.
    let before = received(&registry);
    service.edit("app.py", "fine", "very well");
    service.run("ship --push").expect(0);
    let sent = received(&registry) - before;
    assert!(sent > 0 && sent < 40_000, "{sent}");
}

#[test]
fn layers_go_from_their_registry_to_another_one_through_memory() {
    for mounts in [false, true] {
        let registry = FakeRegistry::start(Habits { mounts, ..habits() });
        let made = Image::python().make();
        put(&registry, "ml/python", "1", &made);
        let service = based(&registry, &format!("{}/ml/python:1", registry.place()));
        service.run("build").expect(0);
        forget(&service, &made.blobs);
        let other = FakeRegistry::start(habits());
        let target = if mounts { &other } else { &registry };
        let name = format!("{}/somewhere/else:1", target.place());
        let pushed = service.run(&format!("push service {name} --format json")).expect(0).json();
        for blob in &made.blobs {
            assert_eq!(target.blob("somewhere/else", &Digest::of(blob)).as_ref(), Some(blob), "{pushed}");
            let kept = service.corten.store().join("blobs/sha256").join(Digest::of(blob).hex());
            assert!(!kept.exists(), "it is sent on, not kept");
        }
        assert_eq!((target.torn(), target.breaches()), (vec![], vec![]));
    }
}

#[test]
fn who_needs_the_bytes_fetches_them_once() {
    let (registry, service, made) = with_python();
    let digest = service.digest("build");
    forget(&service, &made.blobs);
    let layer = Digest::of(&made.blobs[0]);
    let size = made.blobs[0].len();
    refuses(
        &service,
        &registry,
        service.run("build --offline -o type=oci,dest=../image.tar"),
        3,
        &format!(
            "warning: ML193 …\nhint: …\nerror: writing ../image.tar: {layer} ({size} bytes) is not in the store but at REGISTRY/ml/python, which is not asked while offline\nhint: leave out --offline once: it is fetched and kept"
        ),
    );
    assert!(!service.folder().join("../image.tar").exists());
    registry.fault(Kind::Blob, 99, Fault::Flip);
    let broken = service.run("build -o type=docker,dest=../image.tar").expect(3);
    assert!(broken.stderr.contains("error: downloading blob ") && broken.stderr.contains(": expected sha256:"));
    registry.heal();
    let before = registry.count(Kind::Blob);
    service.run("build -o type=docker,dest=../image.tar").expect(0);
    let after = registry.count(Kind::Blob);
    assert_eq!(after, before + made.blobs.len(), "each once");
    service.run("build -o type=oci,dest=../image.tar").expect(0);
    service.run("ship").expect(0);
    assert_eq!(registry.count(Kind::Blob), after);
    assert_eq!(service.digest("build"), digest);
    service.run("store verify").expect(0);
    // Nothing but the settings and corten.lock is left.
    forget(&service, &made.blobs);
    for folder in ["cache", "layers"] {
        fs::remove_dir_all(service.corten.store().join(folder)).unwrap();
    }
    assert_eq!(service.digest("build --locked"), digest);
}

#[test]
fn all_platforms_are_of_one_index() {
    let registry = FakeRegistry::start(habits());
    let amd64 = Image::python().make();
    let arm64 = Image::python_for_arm64().make();
    let both = [("amd64", &amd64), ("arm64", &arm64)];
    let index = put_index(&registry, "ml/python", "1", &both);
    let service = based(&registry, &format!("{}/ml/python:1", registry.place()));
    crate::bases::without_tensor(&service);
    service.run("build").expect(0);
    // The tag moves before the other platform comes in.
    let newer = Image::python().with("etc/new", b"x").make();
    put_index(&registry, "ml/python", "1", &[("amd64", &newer)]);
    service.run("build --platform linux/amd64,linux/arm64").expect(0);
    assert_eq!(asked(&registry, "/manifests/1").iter().filter(|asked| asked.path.ends_with("/1")).count(), 1);
    let lock = service.read("corten.lock");
    assert_eq!(lock.matches(&format!("index = \"{index}\"")).count(), 2, "{lock}");
    for made in [&amd64, &arm64] {
        assert!(lock.contains(&format!("digest = \"{}\"", Digest::of(&made.manifest))));
    }
    let other = based(&registry, &format!("{}/ml/python:1", registry.place()));
    crate::bases::without_tensor(&other);
    let ran = other.run("build --platform linux/arm64");
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("it has no image for linux/arm64") && ran.stderr.contains("hint: there are: linux/amd64")
    );
    // Both at once ask once.
    put_index(&registry, "ml/python", "1", &both);
    let before = asked(&registry, "/manifests/1").iter().filter(|asked| asked.path.ends_with("/1")).count();
    other.run("build --platform linux/amd64,linux/arm64").expect(0);
    let after = asked(&registry, "/manifests/1").iter().filter(|asked| asked.path.ends_with("/1")).count();
    assert_eq!(after, before + 1);
}

/// As `docker push` writes it.
#[test]
fn an_image_of_docker_s_own_kind() {
    let (registry, service, made) = with_python();
    let manifest = String::from_utf8(made.manifest.clone()).unwrap();
    let manifest = manifest
        .replace(MediaType::MANIFEST, MediaType::DOCKER_MANIFEST)
        .replace(MediaType::CONFIG, MediaType::DOCKER_CONFIG)
        .replace(MediaType::LAYER_GZIP, MediaType::DOCKER_LAYER_GZIP);
    registry.add_manifest("ml/python", "1", MediaType::DOCKER_MANIFEST, manifest.as_bytes());
    let digest = service.digest("ship --push");
    assert!(service.read("corten.lock").contains(&format!("digest = \"{}\"", Digest::of(&manifest))));
    let pushed = registry.manifest("team/service", &digest.parse().unwrap()).unwrap();
    let pushed = Manifest::parse(&pushed.1).unwrap();
    assert_eq!(pushed.layers[0].digest, Digest::of(&made.blobs[0]));
    assert!(pushed.layers[0].media_type.is(MediaType::LAYER_GZIP), "kinds are not mixed in one image");
}

/// An image with one layer of these bytes, whose tar is said to be that.
fn of_layer(registry: &FakeRegistry, blob: &[u8], tar: Digest) {
    let kind = if blob.starts_with(&[0x1f, 0x8b]) { MediaType::LAYER_GZIP } else { MediaType::LAYER_ZSTD };
    let rootfs = json!({"type": "layers", "diff_ids": [tar.to_string()]});
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs});
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": Descriptor::of(MediaType::CONFIG, &config),
        "layers": [Descriptor::of(kind, blob)],
    });
    let manifest = manifest.to_string().into_bytes();
    put(registry, "ml/python", "1", &Made { blobs: vec![blob.to_vec()], tars: Vec::new(), config, manifest });
}

/// Some kilobytes that become 300 MiB.
fn bomb() -> Vec<u8> {
    let size = 300 << 20;
    let path = LayerPath::new("zeros").unwrap();
    let entry = Entry {
        path,
        kind: corten_oci::Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size,
        crc32: None,
        offset: 0,
        package: None,
    };
    let mut layer = LayerWriter::new(Vec::new(), Compression::Zstd, 0);
    layer.file(entry, &mut std::io::Read::take(std::io::repeat(0), size)).unwrap();
    layer.finish().unwrap().0
}

#[test]
fn images_that_lie() {
    let (registry, service, made) = with_python();
    let broken = "something on the way changes what is sent, or the registry is broken; nothing wrong was kept";
    of_layer(&registry, &bomb(), Digest::of("x"));
    let why = "it cannot be a base: layer sha256:…: it has more than … MiB uncompressed, which no layer has";
    says(&service, &registry, 1, why, &[]);

    of_layer(&registry, &made.blobs[0], Digest::of("another"));
    says(
        &service,
        &registry,
        1,
        "it cannot be a base: its config says that a layer is sha256:…, its tar is sha256:…",
        &[],
    );
    put(&registry, "ml/python", "1", &made);
    // Later ones come by digest.
    let index = put_index(&registry, "ml/python", "1", &[("amd64", &made)]);
    assert_ne!(index, Digest::of(&made.manifest));
    let by_digest = Digest::of(&made.manifest);
    registry.forge("ml/python", by_digest, MANIFEST, b"{\"schemaVersion\": 2}");
    says(
        &service,
        &registry,
        3,
        &format!("pulling REGISTRY/ml/python@{by_digest}: what came has the digest sha256:…"),
        &[broken],
    );
    let large = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": MediaType::CONFIG, "digest": Digest::of("c").to_string(), "size": 1_u64 << 40},
        "layers": [],
    });
    registry.add_manifest("ml/python", "1", MANIFEST, large.to_string().as_bytes());
    says(&service, &registry, 1, "a config of 1099511627776 bytes is too large", &[]);
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of("{}").to_string(), "size": 2},
        "layers": [],
    });
    registry.add_manifest("ml/python", "1", MANIFEST, artifact.to_string().as_bytes());
    says(&service, &registry, 1, "it has no image for linux/amd64", &[]);
    let config =
        json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}});
    let config = config.to_string().into_bytes();
    registry.add_blob("ml/python", &config);
    let layer = Descriptor::of(MediaType::LAYER_GZIP, b"x");
    let mut manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": Descriptor::of(MediaType::CONFIG, &config), "layers": [layer]});
    registry.add_manifest("ml/python", "1", MANIFEST, manifest.to_string().as_bytes());
    says(&service, &registry, 1, "its manifest has 1 layers, its config 0", &[]);
    manifest["layers"] = json!([]);
    registry.add_manifest("ml/python", "1", MANIFEST, manifest.to_string().as_bytes());
    says(&service, &registry, 1, "it cannot be a base: it has no layers", &[]);
    let mut entry = json!({"mediaType": INDEX, "digest": Digest::of("none").to_string(), "size": 10});
    for _ in 0..6 {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
        registry.add_manifest("ml/python", "1", INDEX, index.as_bytes());
        entry = json!(Descriptor::of(INDEX, index.as_bytes()));
    }
    says(&service, &registry, 1, "indexes are nested deeper than 4", &[]);
    registry.fault(Kind::Manifest, 1, Fault::Answer(Answer::status(404)));
    says(
        &service,
        &registry,
        3,
        "pulling REGISTRY/ml/python:1: there is no such image at 127.0.0.1",
        &["check the name; some registries say this also of what one may not see: `corten login`"],
    );
}
