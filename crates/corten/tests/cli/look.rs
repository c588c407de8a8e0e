//! Images are looked at: inspect, history, diff, tag; in the store and at a registry.

use corten_oci::Digest;
use corten_testkit::command::{Corten, Ran};
use corten_testkit::http::{Answer, Server};
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind};
use serde_json::{Value, json};

use crate::oci::Image;
use crate::service::{Service, corten};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn habits() -> Habits {
    Habits { referrers: true, ..Habits::default() }
}

/// Puts an image there under a tag.
fn put(registry: &FakeRegistry, repository: &str, tag: &str, image: &Image) -> Digest {
    let made = image.make();
    made.blobs.iter().chain([&made.config]).for_each(|blob| {
        registry.add_blob(repository, blob);
    });
    registry.add_manifest(repository, tag, MANIFEST, &made.manifest)
}

fn run(corten: &Corten, line: &str) -> Ran {
    corten.run(corten.home(), line.split_whitespace())
}

/// The whole of what a command says where it says no, with the registry's place taken off.
#[track_caller]
fn refuses(corten: &Corten, registry: &FakeRegistry, line: &str, status: i32, expected: &str) {
    let ran = run(corten, &line.replace("REGISTRY", &registry.place()));
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr.trim().replace(&registry.place(), "REGISTRY"), expected);
    assert_eq!(ran.status, status);
}

/// What a command prints as JSON; the registry's place is written as P.
fn json_of(corten: &Corten, registry: &FakeRegistry, line: &str) -> Value {
    let line = format!("{line} --format json").replace("P/", &format!("{}/", registry.place()));
    run(corten, &line).expect(0).json()
}

#[test]
fn an_image_is_told_alike_in_the_store_and_at_a_registry_of_which_no_layer_is_fetched() {
    let registry = FakeRegistry::start(habits());
    let service = Service::filled();
    service.run("ship").expect(0);
    let name = format!("{}/team/service:1", registry.place());
    service.run(&format!("push service:1.3.0 {name}")).expect(0);
    let mut here = service.run("inspect service:1.3.0 --format json").expect(0).json();
    let other = corten();
    let mut there = json_of(&other, &registry, "inspect P/team/service:1");
    assert_eq!(registry.count(Kind::Blob), 1, "the config alone");
    assert_eq!((&here["found"], &there["found"]), (&json!("store"), &json!("registry")));
    let layers = here["image"]["layers"].as_array().unwrap().clone();
    assert!(layers[0]["packages"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().starts_with("pkg:deb/")));
    assert!(layers[1]["unpacked"].as_u64().unwrap() > 1_000_000);
    // What lies in a layer is known where it was made.
    for one in [&mut here, &mut there] {
        one.as_object_mut().unwrap().retain(|field, _| !["found", "name", "names"].contains(&field.as_str()));
        let image = one["image"].as_object_mut().unwrap();
        image.remove("unpacked");
        for list in ["layers", "history"] {
            for layer in image[list].as_array_mut().unwrap() {
                let known = ["unpacked", "files", "packages"];
                layer.as_object_mut().unwrap().retain(|field, _| !known.contains(&field.as_str()));
            }
        }
    }
    assert_eq!(here, there);
    let kinds: Vec<&str> =
        here["referrers"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"sbom") && kinds.contains(&"release"), "{kinds:?}");

    let text = service.run(&format!("inspect --remote {name}")).expect(0).stdout;
    for said in [
        "(at its registry)",
        "platforms    linux/amd64  1.2 MB  sha256:",
        "user         10001:10001",
        "base         debian:bookworm",
    ] {
        assert!(text.contains(said), "no '{said}' in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
}

/// An index of two platforms with what BuildKit writes beside them; its bytes.
fn index(registry: &FakeRegistry) -> (Vec<u8>, [Digest; 2]) {
    let images = ["amd64", "arm64"].map(|architecture| Image { architecture, ..Image::python() });
    let [one, other] = images
        .map(|image| (put(registry, "a", image.architecture, &image), image.make().manifest.len(), image.architecture));
    let entry = |(digest, size, architecture): (Digest, usize, &str)| json!({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": architecture}});
    let attestation = json!({"mediaType": MANIFEST, "digest": Digest::of("absent"), "size": 6, "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": one.0}});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(one), entry(other), attestation]});
    let bytes = serde_json::to_vec_pretty(&index).unwrap();
    registry.add_manifest("a", "all", INDEX, &bytes);
    (bytes, [one.0, other.0])
}

#[test]
fn of_an_index_all_platforms_are_told_and_one_is_shown() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let (bytes, [amd64, arm64]) = index(&registry);
    let told = json_of(&corten, &registry, "inspect P/a:all --platform arm64");
    assert_eq!(told["digest"], Digest::of(&bytes).to_string());
    let size = Image::python().make().blobs.iter().map(Vec::len).sum::<usize>();
    let platform = |name: &str, digest: Digest| json!({"platform": name, "digest": digest, "size": size, "layers": 2});
    assert_eq!(told["platforms"], json!([platform("linux/amd64", amd64), platform("linux/arm64", arm64)]));
    assert_eq!((&told["image"]["platform"], &told["image"]["digest"]), (&json!("linux/arm64"), &json!(arm64)));
    assert_eq!(told["image"]["config"]["env"][2], "OF_BASE=1");
    assert_eq!(told["image"]["config"]["onbuild"], json!(["COPY . ."]));
    assert_eq!(told["referrers"][0]["kind"], "attestation");
    assert_eq!(told["referrers"][0]["subject"], amd64.to_string());
    let raw = |line: &str| run(&corten, &line.replace("P/", &format!("{}/", registry.place()))).expect(0).stdout;
    assert_eq!(raw("inspect P/a:all --raw").as_bytes(), bytes);
    let one = Image { architecture: "arm64", ..Image::python() }.make().manifest;
    assert_eq!(raw("inspect P/a:all --raw --platform linux/arm64").as_bytes(), one);
    let text = raw("history P/a:all --platform linux/amd64");
    let said: Vec<&str> = text.lines().filter_map(|line| line.get(44..)).collect();
    assert_eq!(said, ["CREATED BY", "RUN make", "ENV OF_BASE=1", "ADD rootfs"]);
    let expected = "error: REGISTRY/a:all is not for linux/s390x\nhint: it is for linux/amd64, linux/arm64";
    refuses(&corten, &registry, "inspect REGISTRY/a:all --platform linux/s390x", 1, expected);
    let expected = "error: REGISTRY/a:amd64 is not for linux/arm64\nhint: it is for linux/amd64";
    refuses(&corten, &registry, "history REGISTRY/a:amd64 --platform linux/arm64", 1, expected);
}

#[test]
fn what_is_no_image_is_told_as_what_it_is() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let empty = registry.add_blob("a", b"{}");
    let config = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2});
    let artifact = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-model", "config": config, "layers": [config],
        "annotations": {"made-by": "hand\u{1b}[31m"}});
    registry.add_manifest("a", "model", MANIFEST, artifact.to_string().as_bytes());
    let told = json_of(&corten, &registry, "inspect P/a:model");
    assert_eq!((&told["artifact_type"], &told["image"]["config"]), (&json!("application/x-model"), &Value::Null));
    assert_eq!(told["image"]["layers"][0]["digest"], empty.to_string());
    let text = run(&corten, &format!("inspect {}/a:model", registry.place())).expect(0).stdout;
    assert!(text.contains("artifact     application/x-model") && text.contains("made-by=hand\u{fffd}[31m"), "{text}");
    let expected = "error: REGISTRY/a:model is no image: it has no history";
    refuses(&corten, &registry, "history REGISTRY/a:model", 1, expected);
    let expected = "error: REGISTRY/a:model is no image: it is an artifact";
    refuses(&corten, &registry, "diff REGISTRY/a:model REGISTRY/a:model", 1, expected);
}

#[test]
fn names_are_given_in_the_store_and_at_a_registry_and_what_moved_is_said() {
    let registry = FakeRegistry::start(habits());
    let service = Service::filled();
    let first = service.digest("build");
    service.edit("app.py", "FastAPI", "FastAPI ");
    let second = service.digest("build -t service:2");
    let tagged = service.run("tag service:2 service:1.3.0 other host.example/x:y --format json").expect(0).json();
    let was: Vec<&Value> = tagged["tags"].as_array().unwrap().iter().map(|it| &it["was"]).collect();
    assert_eq!((&tagged["digest"], was), (&json!(second), vec![&json!(first), &Value::Null, &Value::Null]));
    let images = service.run("images --format json").expect(0).json();
    let names: Vec<&str> = images.as_array().unwrap().iter().map(|it| it["reference"].as_str().unwrap()).collect();
    assert_eq!(names, ["other:latest", "service:1.3.0", "service:2", "service:sha-local", "host.example/x:y"]);
    assert!(images.as_array().unwrap().iter().all(|it| {
        let stands_for = if it["reference"] == "service:sha-local" { &first } else { &second };
        it["digest"] == stands_for.as_str() && it["platforms"] == json!(["linux/amd64"])
    }));

    let one = put(&registry, "a", "1", &Image::python());
    let other = put(&registry, "a", "2", &Image::python().with("etc/new", b"x"));
    let corten = corten();
    let tagged = json_of(&corten, &registry, "tag --remote P/a:2 1 P/a:new latest");
    let was: Vec<&Value> = tagged["tags"].as_array().unwrap().iter().map(|it| &it["was"]).collect();
    assert_eq!(was, [&json!(one), &Value::Null, &Value::Null]);
    assert_eq!(["1", "new", "latest"].map(|tag| registry.tag("a", tag)), [Some(other); 3]);
    assert_eq!(registry.count(Kind::Blob), 0);
    assert_eq!((registry.torn(), registry.breaches()), (vec![], vec![]));
    let text = run(&corten, &format!("tag --remote {}/a@{one} 2", registry.place())).expect(0).stdout;
    assert_eq!(text.lines().last().unwrap().replace(&registry.place(), "P"), format!("P/a:2  (moved: it was {other})"));

    let refuses = |line: &str, status: i32, expected: &str| refuses(&corten, &registry, line, status, expected);
    refuses(
        "tag REGISTRY/a:1 x",
        1,
        "error: there is no image 'REGISTRY/a:1' in the store\nhint: --remote does it at its registry",
    );
    refuses(
        "tag --remote REGISTRY/a:1 REGISTRY/b:1",
        2,
        "error: REGISTRY/b:1 is in another repository than REGISTRY/a:1
hint: `corten pull REGISTRY/a:1`, then `corten push REGISTRY/a:1 REGISTRY/b:1`",
    );
    refuses(
        "tag --remote REGISTRY/a:none x",
        3,
        "error: pulling REGISTRY/a:none: there is no such image at 127.0.0.1 (MANIFEST_UNKNOWN: manifest_unknown it is)
hint: check the name; some registries say this also of what one may not see: `corten login`",
    );
    let name = format!("x@{one}");
    refuses(
        &format!("tag {one} {name}"),
        2,
        &format!("error: {name} has a digest: an image has its own\nhint: say NAME:TAG"),
    );
    refuses(
        &format!("tag {one} x"),
        1,
        &format!("error: there is no image '{one}' in the store\nhint: `corten images` lists what is there"),
    );
}

#[test]
fn two_images_of_a_registry_are_compared_and_each_layer_is_fetched_once() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let old = Image::python().with("etc/changed", b"1").with("etc/removed", b"12345");
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-10\n";
    let mut new = Image::python()
        .with("etc/changed", b"2")
        .with("var/lib/dpkg/status", status.as_bytes())
        .without("usr/local/lib/python3.11/site-packages/pip-24.0.dist-info/METADATA")
        .with("usr/local/lib/python3.11/site-packages/pip-25.1.dist-info/METADATA", b"Name: pip\n")
        .with("usr/local/lib/python3.11/site-packages/six-1.0.dist-info/METADATA", b"Name: six\n");
    new.config["Env"] = json!(["PATH=/usr/local/bin:/usr/bin", "LANG=", "NEW=1"]);
    new.config["User"] = json!("1000");
    put(&registry, "a", "1", &old);
    put(&registry, "a", "2", &new);
    let told = json_of(&corten, &registry, "diff P/a:1 P/a:2");
    let field = |name: &str, from: Value, to: Value| json!({"name": name, "from": from, "to": to});
    assert_eq!(
        told["config"],
        json!([
            field("env.LANG", json!("C"), json!("")),
            field("env.NEW", Value::Null, json!("1")),
            field("env.OF_BASE", json!("1"), Value::Null),
            field("user", json!("root"), json!("1000")),
        ])
    );
    let package =
        |kind: &str, name: &str, from: Value, to: Value| json!({"kind": kind, "name": name, "from": from, "to": to});
    assert_eq!(
        told["packages"],
        json!([
            package("deb", "libc6", json!("2.36-9"), json!("2.36-10")),
            package("pypi", "pip", json!("24.0"), json!("25.1")),
            package("pypi", "six", Value::Null, json!("1.0")),
        ])
    );
    let files: Vec<(&str, &str)> = told["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["change"].as_str().unwrap()))
        .collect();
    for expected in [("/etc/changed", "changed"), ("/etc/removed", "removed"), ("/var/lib/dpkg/status", "changed")] {
        assert!(files.contains(&expected), "{files:?}");
    }
    assert!(!files.iter().any(|(path, _)| *path == "/etc/group"), "{files:?}");
    let changed = told["files"].as_array().unwrap().iter().find(|it| it["path"] == "/etc/changed").unwrap();
    assert_eq!(
        (&changed["what"], &changed["from"]["size"], &changed["to"]["mode"]),
        (&json!(["content"]), &json!(1), &json!("0755"))
    );
    let count = |list: &str| told["layers"][list].as_array().unwrap().len();
    assert_eq!((count("shared"), count("removed"), count("added")), (1, 1, 1));

    let fetched = registry.count(Kind::Blob);
    assert_eq!(fetched, 2 + 3, "configs and layers, the lowest once");
    assert_eq!(json_of(&corten, &registry, "diff P/a:1 P/a:2"), told);
    assert_eq!(registry.count(Kind::Blob) - fetched, 2, "configs");
    let status = |line: &str| run(&corten, &line.replace("P/", &format!("{}/", registry.place()))).status;
    assert_eq!((status("diff --exit-code P/a:1 P/a:2"), status("diff --exit-code P/a:1 P/a:1")), (1, 0));
    run(&corten, "store verify").expect(0);
}

#[test]
fn images_that_cannot_be_looked_at_are_told() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let refuses = |line: &str, status: i32, expected: &str| refuses(&corten, &registry, line, status, expected);
    refuses(
        "inspect nothing",
        1,
        "error: there is no image 'nothing' in the store
hint: `corten images` lists what is there
hint: --remote asks docker.io",
    );
    refuses(
        "inspect REGISTRY/none:1",
        3,
        "error: pulling REGISTRY/none:1: there is no such image at 127.0.0.1 (MANIFEST_UNKNOWN: manifest_unknown it is)
hint: check the name; some registries say this also of what one may not see: `corten login`",
    );
    refuses(
        "inspect REGISTRY/none:1 --offline",
        1,
        "error: there is no image 'REGISTRY/none:1' in the store\nhint: without --offline, its registry is asked",
    );
    refuses(
        "history UPPER",
        2,
        "error: 'UPPER' names no image: repository 'UPPER' is not valid: components are lower-case letters and digits, joined by '.', '_', '__' or '-'",
    );
    put(&registry, "one", "1", &Image::python());
    let said = "error: REGISTRY/one:1 is not for linux/s390x\nhint: it is for linux/amd64";
    for verb in ["inspect", "history", "diff REGISTRY/one:1", "inspect --raw"] {
        refuses(&format!("{verb} REGISTRY/one:1 --platform linux/s390x"), 1, said);
    }
    let digest = Digest::of("x");
    refuses(
        &format!("inspect --remote {digest}"),
        2,
        &format!("error: {digest} names no repository\nhint: say HOST/REPOSITORY@DIGEST"),
    );
    refuses(
        &format!("diff {digest} {digest}"),
        1,
        &format!(
            "error: there is no image '{digest}' in the store\nhint: at a registry it is HOST/REPOSITORY@sha256:{}…",
            digest.short()
        ),
    );
    // A layer that is not what its digest says.
    let made = Image::python().make();
    put(&registry, "a", "1", &Image::python());
    let layer = Digest::of(&made.blobs[0]);
    registry.fault(Kind::Blob, 8, Fault::Flip);
    let ran = run(&corten, &format!("diff {0}/a:1 {0}/a:1", registry.place()));
    assert_eq!((ran.status, ran.stdout.as_str()), (3, ""));
    assert!(ran.stderr.contains("is not what its digest says"), "{}", ran.stderr);
    registry.heal();
    // One whose tar is not the config's.
    let mut config: Value = serde_json::from_slice(&made.config).unwrap();
    config["rootfs"]["diff_ids"][0] = json!(Digest::of("another"));
    let config = serde_json::to_vec(&config).unwrap();
    let mut manifest: Value = serde_json::from_slice(&made.manifest).unwrap();
    manifest["config"]["digest"] = json!(registry.add_blob("a", &config));
    manifest["config"]["size"] = json!(config.len());
    registry.add_manifest("a", "2", MANIFEST, manifest.to_string().as_bytes());
    let tar = Digest::of(&made.tars[0]);
    let ran = run(&corten, &format!("diff {0}/a:2 {0}/a:2", registry.place()));
    let expected = format!(
        "error: P/a:2: {layer} cannot be used: its config says that it is {}, its tar is {tar}",
        Digest::of("another")
    );
    assert_eq!((ran.status, ran.stderr.lines().last().unwrap().replace(&registry.place(), "P")), (3, expected));
}

#[test]
fn b6_layers_that_manifest_and_config_count_apart_are_an_error() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let made = Image::python().make();
    put(&registry, "a", "1", &Image::python());
    let with = |tag: &str, edit: &dyn Fn(&mut Value)| {
        let mut config: Value = serde_json::from_slice(&made.config).unwrap();
        edit(&mut config);
        let config = serde_json::to_vec(&config).unwrap();
        let mut manifest: Value = serde_json::from_slice(&made.manifest).unwrap();
        manifest["config"]["digest"] = json!(registry.add_blob("a", &config));
        manifest["config"]["size"] = json!(config.len());
        registry.add_manifest("a", tag, MANIFEST, manifest.to_string().as_bytes())
    };
    let digest = with("fewer", &|config| config["rootfs"]["diff_ids"] = json!([]));
    let expected = format!("error: REGISTRY/a:fewer: {digest} cannot be used: its manifest has 2 layers, its config 0");
    for verb in ["inspect", "history", "diff REGISTRY/a:1"] {
        refuses(&corten, &registry, &format!("{verb} REGISTRY/a:fewer"), 3, &expected);
    }
    with("none", &|config| drop(config.as_object_mut().unwrap().remove("rootfs")));
    let ran = run(&corten, &format!("inspect {}/a:none", registry.place()));
    assert_eq!(ran.status, 3);
    assert!(ran.stderr.contains("image config is not valid: missing field `rootfs`"), "{}", ran.stderr);
    // A history of another length is a pity, not an attack: many tools write none.
    with("history", &|config| {
        config["history"] = json!([{"created_by": "ADD x"}, {"created_by": "a"}, {"created_by": "b"}])
    });
    let told = json_of(&corten, &registry, "history P/a:history");
    let layers: Vec<bool> = told["history"].as_array().unwrap().iter().map(|step| step["layer"].is_string()).collect();
    assert_eq!(layers, [false, false, false, true, true]);
}

#[test]
fn b7_a_digest_that_the_store_has_under_another_name_is_asked_for_anew() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let digest = put(&registry, "mine", "1", &Image::python());
    run(&corten, &format!("pull {}/mine:1", registry.place())).expect(0);
    let told = json_of(&corten, &registry, &format!("inspect P/mine:1@{digest}"));
    assert_eq!(told["found"], "store");
    let name = format!("REGISTRY/other:1@{digest}");
    let expected = format!("error: pulling REGISTRY/other@{digest}: there is no such image at 127.0.0.1 (MANIFEST_UNKNOWN: manifest_unknown it is)
hint: check the name; some registries say this also of what one may not see: `corten login`");
    refuses(&corten, &registry, &format!("inspect {name}"), 3, &expected);
    let expected = format!("error: there is no image '{name}' in the store\nhint: `corten images` lists what is there");
    refuses(&corten, &registry, &format!("push {name} REGISTRY/x:1"), 1, &expected);
    put(&registry, "other", "1", &Image::python());
    assert_eq!(json_of(&corten, &registry, &format!("inspect P/other:1@{digest}"))["found"], "registry");
}

#[test]
fn b4_a_manifest_that_is_too_long_is_not_read() {
    let registry = FakeRegistry::start(habits());
    registry.fault(Kind::Manifest, 1, Fault::Answer(Answer::ok(vec![b' '; 5 << 20])));
    let expected = "error: pulling REGISTRY/a:1: the answer is longer than 4194304 bytes
hint: something on the way changes what is sent, or the registry is broken; nothing wrong was kept";
    refuses(&corten(), &registry, "inspect REGISTRY/a:1", 3, expected);
}

#[test]
fn b5_an_index_of_many_platforms_asks_for_few_of_them() {
    let registry = FakeRegistry::start(habits());
    let digest = put(&registry, "a", "1", &Image::python());
    let size = Image::python().make().manifest.len();
    let entry = |number: usize| json!({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": format!("a{number}")}});
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": (0..10_000).map(entry).collect::<Vec<_>>()});
    registry.add_manifest("a", "all", INDEX, index.to_string().as_bytes());
    let told = json_of(&corten(), &registry, "inspect P/a:all");
    assert_eq!(told["platforms"].as_array().unwrap().len(), 10_000);
    assert!(registry.count(Kind::Manifest) < 80, "{}", registry.count(Kind::Manifest));
    // An index in an index is no image.
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let child = registry.add_manifest("a", "inner", INDEX, inner.as_bytes());
    let entry = json!({"mediaType": INDEX, "digest": child, "size": inner.len(), "platform": {"os": "linux", "architecture": "amd64"}});
    let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
    registry.add_manifest("a", "outer", INDEX, outer.as_bytes());
    let expected = format!("error: REGISTRY/a:outer: {child} cannot be used: an index in an index is no image");
    refuses(&corten(), &registry, "inspect REGISTRY/a:outer", 3, &expected);
}

#[test]
fn b8_addresses_of_foreign_layers_are_never_asked() {
    let registry = FakeRegistry::start(habits());
    let elsewhere = Server::start(|_| Answer::ok("bytes"));
    let made = Image::python().make();
    registry.add_blob("a", &made.config);
    let mut manifest: Value = serde_json::from_slice(&made.manifest).unwrap();
    for layer in manifest["layers"].as_array_mut().unwrap() {
        layer["urls"] = json!([elsewhere.url("/layer"), "http://169.254.169.254/latest/meta-data"]);
        layer["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    }
    registry.add_manifest("a", "1", MANIFEST, manifest.to_string().as_bytes());
    let corten = corten();
    json_of(&corten, &registry, "inspect P/a:1");
    for line in ["pull P/a:1", "diff P/a:1 P/a:1"] {
        let ran = run(&corten, &line.replace("P/", &format!("{}/", registry.place())));
        assert_eq!(ran.status, 3, "{}", ran.stderr);
    }
    assert_eq!(elsewhere.asked().len(), 0);
}

#[test]
fn b9_hostile_configs_are_shown_as_what_they_are() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let mut image = Image::python();
    image.config = json!({
        "User": "0:0\n",
        "WorkingDir": "/proc/self/fd/8",
        "Volumes": {"/../..": {}},
        "Entrypoint": ["", "a b"],
        "Env": ["LD_PRELOAD=/x\nuser         nobody"],
        "Labels": {"io.containerd.x": "1\u{1b}]0;x\u{7}", "b": "\u{202e}c"},
    });
    put(&registry, "a", "1", &image);
    let config = &json_of(&corten, &registry, "inspect P/a:1")["image"]["config"];
    assert_eq!((&config["user"], &config["workdir"]), (&image.config["User"], &image.config["WorkingDir"]));
    assert_eq!((&config["volumes"], &config["env"]), (&json!(["/../.."]), &image.config["Env"]));
    assert_eq!((&config["entrypoint"], &config["labels"]), (&image.config["Entrypoint"], &image.config["Labels"]));
    let text = run(&corten, &format!("inspect {}/a:1", registry.place())).expect(0).stdout;
    let line = |name: &str| text.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(line("user"), ["user         0:0\\n"]);
    assert_eq!(line("env"), ["env          LD_PRELOAD=/x\\nuser         nobody"]);
    assert_eq!(line("entrypoint"), ["entrypoint   '' 'a b'"]);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']));
    image.config = json!({"Env": ["A"]});
    put(&registry, "a", "2", &image);
    let digest = Digest::of(image.make().config);
    let expected = format!(
        "error: REGISTRY/a:2: {digest} cannot be used: image config is not valid: 'A' in Env is not NAME=value"
    );
    refuses(&corten, &registry, "inspect REGISTRY/a:2", 3, &expected);
}

#[test]
fn b11_of_many_and_lying_referrers_the_right_ones_are_kept() {
    let registry = FakeRegistry::start(habits());
    let corten = corten();
    let image = put(&registry, "a", "1", &Image::python());
    let size = Image::python().make().manifest.len();
    let empty = registry.add_blob("a", b"{}");
    let blob = json!({"mediaType": "application/spdx+json", "digest": empty, "size": 2, "annotations": {"org.opencontainers.image.title": "../../../etc/cron.d/x"}});
    let artifact = |subject: &Digest, size: usize| {
        let subject = json!({"mediaType": MANIFEST, "digest": subject, "size": size});
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json", "config": blob, "layers": [blob], "subject": subject}).to_string()
    };
    let right = artifact(&image, size);
    let wrong = artifact(&Digest::of("another"), 7);
    let entry = |text: &str| json!({"mediaType": MANIFEST, "digest": Digest::of(text), "size": text.len(), "artifactType": "application/spdx+json"});
    let itself = json!({"mediaType": MANIFEST, "digest": image, "size": size});
    for text in [&right, &wrong] {
        registry.add_manifest("a", &format!("x{}", text.len()), MANIFEST, text.as_bytes());
    }
    let list = |entries: Vec<Value>| {
        Answer::ok(json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string())
            .header("Content-Type", INDEX)
    };
    registry.fault(Kind::Referrers, 1, Fault::Answer(list(vec![itself.clone(), entry(&wrong), entry(&right)])));
    run(&corten, &format!("pull {}/a:1", registry.place())).expect(0);
    let told = json_of(&corten, &registry, "inspect P/a:1");
    let kept: Vec<&Value> = told["referrers"].as_array().unwrap().iter().map(|it| &it["digest"]).collect();
    assert_eq!(kept, [&json!(Digest::of(&right))]);
    run(&corten, "store verify").expect(0);
    assert!(!corten.home().join("etc").exists());

    // As many as fit into the largest list.
    let many = (0..12_000).map(|number: i32| entry(&number.to_string())).chain([itself]).collect();
    registry.fault(Kind::Referrers, 1, Fault::Answer(list(many)));
    let told = json_of(&corten, &registry, "inspect --remote P/a:1");
    assert_eq!((told["referrers"].as_array().unwrap().len(), &told["more_referrers"]), (256, &json!(11_744)));
    let before = registry.count(Kind::Manifest);
    let many = (0..12_000).map(|number: i32| entry(&number.to_string())).collect();
    registry.fault(Kind::Referrers, 1, Fault::Answer(list(many)));
    let ran = run(&corten, &format!("pull {}/a:1", registry.place()));
    assert!(registry.count(Kind::Manifest) - before < 40, "{} {}", ran.status, ran.stderr);
}
