//! Bases that are images already: found, pinned, taken as they are, and refused where they are wrong.

use std::fs;

use corten_layer::write::Compression;
use corten_oci::{Digest, ImageConfig, Manifest};
use serde_json::{Value, json};

use crate::oci::{Image, Layout, tar};
use crate::service::Service;
use crate::told::refuses;

/// A service on `oci-layout:base`, which lies beside its folder's files.
fn on(image: &Image) -> (Service, Digest) {
    let service = Service::new();
    let digest = image.layout(&service.folder().join("base"));
    based(&service, "oci-layout:base");
    (service, digest)
}

fn based(service: &Service, reference: &str) {
    let settings = service.settings(&format!("base = \"{reference}\"")).replace("[\"keys\"]", "[\"keys\", \"base*\"]");
    service.write("corten.toml", settings);
}

/// Manifest and config of what was built.
fn built(service: &Service) -> (Manifest, ImageConfig) {
    let digest = service.digest("build");
    let blob = |digest: &str| fs::read(service.corten.store().join("blobs/sha256").join(&digest[7..])).unwrap();
    let manifest = Manifest::parse(&blob(&digest)).unwrap();
    let config = ImageConfig::parse(&blob(&manifest.config.digest.to_string())).unwrap();
    (manifest, config)
}

#[test]
fn a_layout_is_pinned_and_its_layers_are_taken_as_they_are() {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Stored] {
        let image = Image { compression, ..Image::python() };
        let made = image.make();
        let (service, digest) = on(&image);
        let (manifest, config) = built(&service);
        let lowest: Vec<Digest> = manifest.layers.iter().take(2).map(|layer| layer.digest).collect();
        assert_eq!(lowest, [Digest::of(&made.blobs[0]), Digest::of(&made.blobs[1])], "{compression:?}");
        assert_eq!(manifest.layers[0].media_type, compression.media_type());
        let lock = service.read("corten.lock");
        for line in [
            "reference = \"oci-layout:base\"",
            "python = \"3.11.9\"",
            "glibc = \"2.36\"",
            &format!("digest = \"{digest}\""),
            "interpreter = \"/usr/local/bin/python3.11\"",
            "suite = \"bookworm\"",
            "epoch = 1767323045",
        ] {
            assert!(lock.contains(line), "no {line} in\n{lock}");
        }
        assert_eq!(config.rootfs.diff_ids.len(), manifest.layers.len());
        service.run("build --locked").expect(0);
    }
}

#[test]
fn its_config_is_inherited_by_docker_s_rules() {
    let (service, digest) = on(&Image::python());
    let (_, config) = built(&service);
    let inner = &config.config;
    let env = inner.env.as_ref().unwrap();
    assert_eq!(env[..3], ["PATH=/opt/venv/bin:/usr/local/bin:/usr/bin", "LANG=C.UTF-8", "OF_BASE=1"]);
    assert_eq!(env.iter().filter(|one| one.starts_with("PATH=")).count(), 1);
    assert_eq!(inner.user, "10001:10001");
    assert_eq!(inner.entrypoint, None, "it goes with a command that is not the base's");
    assert_ne!(inner.cmd.as_ref().unwrap()[0], "python3");
    assert_eq!(inner.exposed_ports.as_ref().unwrap(), &["8000/tcp", "9/tcp"]);
    let labels = inner.labels.as_ref().unwrap();
    assert_eq!(labels["of"], "base");
    assert_eq!(labels["org.opencontainers.image.base.name"], "oci-layout:base");
    assert_eq!(labels["org.opencontainers.image.base.digest"], digest.to_string());
    assert_eq!(inner.on_build, None);
    let history: Vec<&str> = config.history.iter().filter_map(|one| one.created_by.as_deref()).take(4).collect();
    assert_eq!(history[..3], ["ADD rootfs", "ENV OF_BASE=1", "RUN make"]);
    assert!(history[3].starts_with("corten: "), "{history:?}");
    let layers = config.history.iter().filter(|one| !one.empty_layer).count();
    assert_eq!(layers, config.rootfs.diff_ids.len());
    let ran = service.run("build");
    for said in [
        "the base's entry point /start is not used: `entrypoint = [\"/start\"]` in the settings keeps it",
        "the base's ONBUILD instructions are not run",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn its_packages_are_in_the_bill_of_materials() {
    let (service, _) = on(&Image::python());
    service.run("ship").expect(0);
    let bill: Value = serde_json::from_str(&service.run("sbom service:1.3.0").stdout).unwrap();
    let purls = bill.to_string();
    for purl in
        ["pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=bookworm", "pkg:pypi/pip@24.0", "pkg:pypi/fastapi@0.115.0"]
    {
        assert!(purls.contains(purl), "no {purl}");
    }
    assert!(!purls.contains("gone"), "a package that was removed is none");
    let plan = service.run("plan --format json").json();
    assert_eq!(plan["base"]["debs"], json!(["libc6 2.36-9"]));
    assert!(plan["base"].get("variant").is_none());
}

#[test]
fn another_digest_is_an_error_until_the_lock_is_renewed() {
    let (service, old) = on(&Image::python());
    service.run("build").expect(0);
    let new = Image::python().with("etc/new", b"x").layout(&service.folder().join("base"));
    let expected = format!(
        r#"
error: the base oci-layout:base is {new}, corten.lock pins {old}
 --> ./corten.toml:1:8
  |
1 | base = "oci-layout:base"
  |        ^^^^^^^^^^^^^^^^^
hint: `corten lock --upgrade-base` takes the one that is there
"#
    );
    refuses(&service, "build", 1, &expected);
    let renewed = service.run("lock").expect(0);
    assert!(renewed.stdout.contains(&format!("{old} → {new}")), "{}", renewed.stdout);
    service.run("build --locked").expect(0);
    // By digest, the one that is asked for counts, whatever the index says.
    based(&service, &format!("oci-layout:base@{old}"));
    refuses(
        &service,
        "build",
        2,
        &format!("error: the base oci-layout:base@{old}: …/base has no image '{old}'\n --> ./corten.toml:1:8\n…\n…\n…"),
    );
}

#[test]
fn a_base_that_is_gone_is_still_in_the_store() {
    let (service, _) = on(&Image::python());
    let (first, _) = built(&service);
    fs::remove_dir_all(service.folder().join("base")).unwrap();
    let (second, _) = built(&service);
    assert_eq!(first, second);
    let other = Service::new();
    based(&other, "oci-layout:base");
    refuses(
        &other,
        "build",
        2,
        r#"
error: the base oci-layout:base: …/base is not there
 --> ./corten.toml:1:8
  |
1 | base = "oci-layout:base"
  |        ^^^^^^^^^^^^^^^^^
hint: an OCI layout is a folder with oci-layout, index.json and blobs: `skopeo copy … oci:FOLDER`, `podman save --format oci-dir` and `corten ship` write one
"#,
    );
}

/// A docker archive: layers of the names, `manifest.json`, and what else is in the tar.
fn docker(image: &Image, layers: &[&str], more: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let made = image.make();
    let config = format!("{}.json", Digest::of(&made.config).hex());
    let manifest = json!([{ "Config": config, "RepoTags": ["docker.io/library/ml:1"], "Layers": layers }]);
    let mut files = vec![(config.as_str(), made.config), ("manifest.json", manifest.to_string().into_bytes())];
    files.extend(more.iter().cloned());
    tar(&files)
}

/// As older versions of Docker write it: a layer is a link to another's folder.
fn linked() -> (Image, Vec<u8>) {
    let image = Image::python();
    let made = image.make();
    let files = [
        ("a/layer.tar", made.tars[0].clone()),
        ("b/layer.tar", made.blobs[1].clone()),
        ("c/layer.tar@", b"../a/layer.tar".to_vec()),
    ];
    let archive = docker(&image, &["c/layer.tar", "b/layer.tar"], &files);
    (image, archive)
}

#[test]
fn a_docker_archive_s_plain_tars_are_compressed_and_the_rest_is_taken() {
    let (image, archive) = linked();
    let made = image.make();
    let mut digests = Vec::new();
    for (settings, reference) in
        [("", "docker-archive:base.tar"), ("compression = \"zstd\"", "docker-archive:base.tar:ml:1")]
    {
        let service = Service::new();
        service.write("base.tar", &archive);
        based(&service, reference);
        service.edit("corten.toml", "weights = ", &format!("{settings}\nweights = "));
        let (manifest, config) = built(&service);
        assert_eq!(config.rootfs.diff_ids[0].0, Digest::of(&made.tars[0]));
        assert_eq!(manifest.layers[1].digest, Digest::of(&made.blobs[1]));
        assert!(manifest.layers[0].media_type.is("application/vnd.oci.image.layer.v1.tar+gzip"));
        assert!(service.read("corten.lock").contains(&format!("digest = \"{}\"", Digest::of(&made.config))));
        digests.push(manifest.layers[0].digest);
    }
    assert_eq!(digests[0], digests[1], "a base is the same for every project");
    let service = Service::new();
    service.write("base.tar", &archive);
    based(&service, "docker-archive:base.tar:other:2");
    refuses(
        &service,
        "build",
        2,
        r#"
error: the base docker-archive:base.tar:other:2: …/base.tar has no image 'other:2'
 --> ./corten.toml:1:8
  |
1 | base = "docker-archive:base.tar:other:2"
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: there are: docker.io/library/ml:1
"#,
    );
}

/// Says `why` of the base, at the setting, with the hints.
#[track_caller]
fn says(service: &Service, reference: &str, status: i32, why: &str, hints: &[&str]) {
    based(service, reference);
    let caret = "^".repeat(reference.len() + 2);
    let hints: String = hints.iter().map(|hint| format!("hint: {hint}\n")).collect();
    let expected = format!(
        "error: the base {reference}: {why}\n --> ./corten.toml:1:8\n  |\n1 | base = \"{reference}\"\n  |        {caret}\n{hints}"
    );
    refuses(service, "build", status, &expected);
}

#[test]
fn docker_archives_that_are_wrong() {
    let service = Service::new();
    let (image, good) = linked();
    let tars = image.make().tars;
    let both = ["a", "b"];
    let check = |bytes: Vec<u8>, why: &str| {
        service.write("base.tar", bytes);
        says(&service, "docker-archive:base.tar", 1, &format!("…/base.tar cannot be a base: {why}"), &[]);
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &good).unwrap();
    check(gzip.finish().unwrap(), "the tar is compressed with gzip: uncompress it first");
    check(b"no tar".to_vec(), "…");
    check(tar(&[("a", Vec::new())]), "it has no manifest.json, so it is no docker archive");
    check(tar(&[("manifest.json", b"[{}]".to_vec())]), "manifest.json is not valid: …");
    check(docker(&image, &both, &[("a", tars[0].clone())]), "the layer b is missing");
    check(docker(&image, &["a"], &[("a", tars[0].clone())]), "its manifest has 1 layers, its config 2");
    check(
        docker(&image, &both, &[("a", tars[1].clone()), ("b", tars[0].clone())]),
        "its config says that a layer is sha256:…, its tar is sha256:…",
    );
    check(
        docker(&image, &both, &[("a@", b"../../etc/passwd".to_vec())]),
        "a is a link to ../../etc/passwd, outside the tar",
    );
    check(docker(&image, &both, &[("a@", b"/etc/passwd".to_vec())]), "a is a link to /etc/passwd, outside the tar");
    check(docker(&image, &both, &[("a@", b"b".to_vec()), ("b@", b"a".to_vec())]), "a: its links go round in a circle");
    check(docker(&image, &["../a", "b"], &[]), "../a: path '../a' has a '..' component");
    let other = format!("{}.json", Digest::of(b"other").hex());
    let manifest = json!([{ "Config": other, "Layers": ["a"] }]).to_string().into_bytes();
    let forged = tar(&[(&other, image.make().config), ("manifest.json", manifest)]);
    check(forged, &format!("the config {other} has the digest sha256:…"));
}

#[test]
fn of_several_platforms_and_names_one_is_chosen() {
    let service = Service::new();
    let layout = Layout::new(&service.folder().join("base"));
    let amd64 = Image::python().make();
    let arm64 = Image { architecture: "arm64", ..Image::python() }.make();
    let with = |entry: &Value, key: &str, value: Value| {
        let mut entry = entry.clone();
        entry[key] = value;
        entry
    };
    let platform = |name: &str| json!({"os": "linux", "architecture": name});
    let (first, second) = (layout.add(&amd64), layout.add(&arm64));
    let unknown = with(&second, "platform", json!({"os": "unknown", "architecture": "unknown"}));
    let children = [with(&second, "platform", platform("arm64")), with(&first, "platform", platform("amd64")), unknown];
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children});
    let index = index.to_string().into_bytes();
    layout.blob(&index);
    let root = json!(corten_oci::Descriptor::of("application/vnd.oci.image.index.v1+json", &index));
    let named =
        |entry: &Value, name: &str| with(entry, "annotations", json!({"org.opencontainers.image.ref.name": name}));
    layout.index(&json!([named(&root, "both"), named(&second, "arm")]));

    based(&service, "oci-layout:base:both");
    service.run("build").expect(0);
    let pinned = Digest::of(&amd64.manifest).to_string();
    assert!(service.read("corten.lock").contains(&pinned), "the platform's manifest, not the index");
    service.remove("corten.lock");
    let whole = "…/base has no image for linux/amd64";
    says(&service, "oci-layout:base:arm", 1, whole, &["there are: linux/arm64"]);
    says(&service, "oci-layout:base:none", 2, "…/base has no image 'none'", &["there are: arm, both"]);
    let other = Image::python().with("etc/other", b"x").make();
    let third = layout.add(&other);
    layout.index(&json!([named(&first, "one"), named(&third, "two")]));
    let several = "…/base has 2 images, and the base names none of them";
    says(&service, "oci-layout:base", 2, several, &["there are: one, two"]);
    let digest = Digest::of(&other.manifest);
    based(&service, &format!("oci-layout:base@{digest}"));
    service.run("build").expect(0);
    assert!(service.read("corten.lock").contains(&format!("digest = \"{digest}\"")));
}

#[test]
fn layouts_that_are_wrong() {
    let service = Service::new();
    let folder = service.folder().join("base");
    let made = Image::python().make();
    let fresh = || {
        let layout = Layout::new(&folder);
        let entry = layout.add(&made);
        layout.index(&json!([entry]));
        (layout, entry)
    };
    let again: &[&str] = &["make or copy the image again"];
    let blob = |digest: Digest| folder.join("blobs/sha256").join(digest.hex());

    let (_, _) = fresh();
    fs::remove_file(folder.join("oci-layout")).unwrap();
    says(
        &service,
        "oci-layout:base",
        1,
        "…/base/oci-layout is damaged: it is absent, so the folder is no OCI layout",
        again,
    );

    let (_, _) = fresh();
    fs::remove_file(folder.join("index.json")).unwrap();
    says(&service, "oci-layout:base", 1, "…/base cannot be a base: its index.json is absent", &[]);

    // A link in place of a blob is not followed.
    let (_, _) = fresh();
    let layer = blob(Digest::of(&made.blobs[0]));
    fs::remove_file(&layer).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &layer).unwrap();
    based(&service, "oci-layout:base");
    assert_eq!(service.run("build").status, 3);
    fs::remove_file(&layer).unwrap();
    says(&service, "oci-layout:base", 1, "… is damaged: blob sha256:…, which is named, is missing", again);

    let (_, _) = fresh();
    fs::write(blob(Digest::of(&made.blobs[0])), &made.blobs[1]).unwrap();
    says(&service, "oci-layout:base", 1, "… is damaged: …", again);

    let (_, _) = fresh();
    let config = blob(Digest::of(&made.config));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("amd64", "arm64")).unwrap();
    says(&service, "oci-layout:base", 1, "… is damaged: its bytes have the digest sha256:…", again);

    // Indexes that go deeper than any image does.
    let (layout, mut entry) = fresh();
    for _ in 0..9 {
        let index =
            json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
        let index = index.to_string().into_bytes();
        layout.blob(&index);
        entry = json!(corten_oci::Descriptor::of("application/vnd.oci.image.index.v1+json", &index));
    }
    layout.index(&json!([entry]));
    says(&service, "oci-layout:base", 1, "…/base cannot be a base: indexes are nested deeper than 8", &[]);

    let (layout, _) = fresh();
    let mut huge = json!(corten_oci::Descriptor::of("application/vnd.oci.image.index.v1+json", b"x"));
    huge["size"] = json!(1_u64 << 40);
    layout.blob(b"x");
    layout.index(&json!([huge]));
    says(
        &service,
        "oci-layout:base",
        1,
        "…/base cannot be a base: a document of 1099511627776 bytes is too large",
        &[],
    );

    let (layout, entry) = fresh();
    layout.index(&json!([entry["digest"]]));
    says(&service, "oci-layout:base", 1, "…/base/index.json is damaged: …", again);

    assert!(!service.folder().join("corten.lock").exists(), "nothing of them was pinned");
}

#[test]
fn images_that_no_python_service_can_stand_on() {
    let place = "take an image with Python 3, or \"debian:bookworm\" or \"debian:trixie\"";
    let libc = "take an image with the GNU C library, of the platform that is built for";
    let bad = |image: Image, why: &str, hint: &str| {
        let (service, _) = on(&image);
        refuses(
            &service,
            "build",
            1,
            &format!(
                "error: oci-layout:base cannot be a base: {why}\n --> ./corten.toml:1:8\n  |\n1 | base = \"oci-layout:base\"\n  |        ^^^^^^^^^^^^^^^^^\nhint: {hint}"
            ),
        );
    };
    let path = "/usr/local/bin/python3.11";
    bad(
        Image::python().without("usr/local/bin/python3.11").without("usr/local/bin/python3@"),
        "no Python was found in it: none of the folders of its PATH (/usr/local/bin:/usr/bin) has a python3",
        place,
    );
    bad(
        Image::python().without("usr/local/lib/python3.11/os.py"),
        &format!("no Python was found in it: {path} has no standard library in /usr/local/lib"),
        place,
    );
    bad(
        Image::python().with("usr/local/bin/python3.11", b"#!/bin/sh\n"),
        &format!("no Python was found in it: {path} is not an ELF file"),
        place,
    );
    let nameless = corten_testkit::elf::library(&[], None);
    bad(
        Image::python().with("usr/local/bin/python3.11", &nameless),
        &format!("no Python was found in it: {path} does not say which Python 3.11 it is"),
        place,
    );
    let libc_so = "lib/x86_64-linux-gnu/libc.so.6";
    bad(
        Image::python().without(libc_so).with("lib/ld-musl-x86_64.so.1", b"x"),
        "it is made with musl, whose Python takes other wheels than those of manylinux",
        libc,
    );
    bad(Image::python().without(libc_so), "it has no GNU C library for linux/amd64", libc);
    bad(
        Image::python()
            .with("usr/local/bin/python3@", b"python3")
            .with("usr/local/bin/python@", b"python3")
            .without("usr/local/bin/python3.11"),
        "no Python was found in it: none of the folders of its PATH (/usr/local/bin:/usr/bin) has a python3",
        place,
    );
}

#[test]
fn settings_that_do_not_go_with_an_image() {
    let (service, _) = on(&Image::python());
    service.edit("corten.toml", "weights = ", "python = \"3.12\"\nweights = ");
    refuses(
        &service,
        "build",
        2,
        r#"
error: the settings ask for Python 3.12, the base oci-layout:base has 3.11.9
 --> ./corten.toml:2:10
  |
2 | python = "3.12"
  |          ^^^^^^
"#,
    );
    service.edit("corten.toml", "python = \"3.12\"", "packages = [\"libgl1\"]");
    refuses(
        &service,
        "build",
        2,
        r#"
error: package libgl1 cannot be added to a base that is an image
 --> ./corten.toml:2:13
  |
2 | packages = ["libgl1"]
  |             ^^^^^^^^
hint: `corten base build` of a project with `packages` makes a base that has them
"#,
    );
    for (reference, why) in [
        ("oci-layout:", "expected oci-layout:PATH or oci-layout:PATH:NAME"),
        ("oci-layout:a@sha256:12", "whose digest is not sha256: and 64 hexadecimal digits"),
        ("store:UP", "repository 'UP' is not valid: …"),
    ] {
        based(&service, reference);
        let caret = "^".repeat(reference.len() + 2);
        let expected = format!(
            "error: setting 'base' is '{reference}', {why}\n --> ./corten.toml:1:8\n  |\n1 | base = \"{reference}\"\n  |        {caret}"
        );
        refuses(&service, "build", 2, &expected);
    }
}

#[test]
fn apps_stand_on_a_base_that_was_built_and_install_only_what_it_lacks() {
    let (service, _) = on(&Image::python());
    let made = service.run("base build --only tensor --name ml:1 --layout base-made --format json").expect(0).json();
    service.remove("corten.lock");
    for reference in ["store:ml:1", "oci-layout:base-made"] {
        based(&service, reference);
        let plan = service.run("plan --format json").expect(0).json();
        let what = |layer: &Value| layer["what"].as_str().unwrap().to_owned();
        let layers: Vec<String> = plan["layers"].as_array().unwrap().iter().map(what).collect();
        assert!(layers.iter().all(|what| !what.contains("tensor")), "{layers:?}");
        assert!(layers.iter().any(|what| what.contains("fastapi")), "{layers:?}");
        let (manifest, config) = built(&service);
        let lowest: Vec<String> = manifest.layers.iter().map(|layer| layer.digest.to_string()).collect();
        let below: Vec<&str> =
            made["layers"].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap()).collect();
        assert_eq!(lowest[..below.len()], below[..]);
        assert!(service.read("corten.lock").contains(made["digest"].as_str().unwrap()));
        assert!(config.config.cmd.unwrap().contains(&"uvicorn".to_owned()));
        service.run("check").expect(0);
        service.remove("corten.lock");
    }
    says(
        &service,
        "store:ml:2",
        2,
        "'ml:2' of the store is not there",
        &["`corten images` lists what is there, `corten base build --name NAME` makes a base"],
    );
}

#[test]
fn an_image_of_corten_is_a_base_that_has_its_packages() {
    let (service, _) = on(&Image::python());
    service.run("build --output type=oci,dest=base.tar").expect(0);
    let first = built(&service).0;
    let app = Service::new();
    fs::copy(service.folder().join("base.tar"), app.folder().join("base.tar")).unwrap();
    based(&app, "oci-archive:base.tar");
    let (manifest, _) = built(&app);
    assert_eq!(manifest.layers[..first.layers.len()], first.layers[..]);
    let plan = app.run("plan --format json").json();
    let layers: Vec<&str> =
        plan["layers"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert!(layers.iter().all(|what| !what.contains("tensor") && !what.contains("fastapi")), "{layers:?}");

    app.edit("uv.lock", "version = \"2.0\"", "version = \"2.1\"");
    app.edit("uv.lock", "tensor-2.0", "tensor-2.1");
    refuses(
        &app,
        "build --frozen",
        1,
        r#"
error: the base oci-archive:base.tar has tensor 2.0, the lock has 2.1
 --> ./corten.toml:1:8
  |
1 | base = "oci-archive:base.tar"
  |        ^^^^^^^^^^^^^^^^^^^^^^
hint: build the base anew from this lock, or lock the base's version
"#,
    );
}
