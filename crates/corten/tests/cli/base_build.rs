//! `corten base`: the list, and bases that are made for other projects.

use std::fs;

use serde_json::Value;

use crate::archive::Extra;
use crate::dockerfile::Place;
use crate::service::Service;
use crate::told::{refuses, told};

fn layers(built: &Value) -> Vec<String> {
    let what = |layer: &Value| layer["what"].as_str().unwrap().to_owned();
    built["layers"].as_array().unwrap().iter().map(what).collect()
}

#[test]
fn the_bases_that_there_are() {
    let service = Service::new();
    let listed = service.run("base list").expect(0).stdout;
    for said in
        ["debian:bookworm  distroless  3.11.2  23.1 MB", "debian:trixie    slim        3.13.5", "slim: programs that"]
    {
        assert!(listed.contains(said), "no {said} in\n{listed}");
    }
    let listed = service.run("base list --format json").expect(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[3]["glibc"], "2.41");
}

#[test]
fn a_base_has_packages_and_nothing_of_the_project() {
    let service = Service::filled();
    let first = service.run("base build --format json").expect(0).json();
    assert_eq!(first["reference"], "service-base:latest");
    let what = layers(&first);
    assert!(what.iter().any(|what| what == "tensor 2.0") && what[0].starts_with("base debian:bookworm"), "{what:?}");
    assert!(what.iter().all(|what| what != "app" && what != "weights"), "{what:?}");
    let lock = service.read("corten.lock");
    // Neither version nor commit nor source is in it.
    service.edit("pyproject.toml", "1.3.0", "1.4.0");
    service.edit("uv.lock", "\"1.3.0\"", "\"1.4.0\"");
    service.edit("app.py", "well", "fine");
    service.git("init --quiet");
    service.git("add app.py");
    service.git("commit --quiet --message one");
    let second = service.run("base build --name other:2 --format json").expect(0).json();
    assert_eq!(second["reference"], "other:2");
    assert_eq!(first["digest"], second["digest"]);
    assert!(service.run("images").stdout.contains("service-base"));
    assert_eq!(lock.lines().count(), service.read("corten.lock").lines().count());

    let some = service.run("base build --only tensor --format json").expect(0).json();
    assert!(layers(&some).iter().all(|what| !what.contains("fastapi")), "{some}");
    assert!(layers(&some).iter().any(|what| what == "tensor 2.0"), "{some}");
    let bare = service.run("base build --bare --format json").expect(0).json();
    assert_eq!(layers(&bare).len(), 2, "{bare}");
    refuses(
        &service,
        "base build --only numpy",
        2,
        r#"
error: --only numpy: uv.lock does not install it here
hint: it installs: fastapi, tensor, uvicorn
"#,
    );
    let ran = service.run("base build --only numpy --bare");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    refuses(
        &service,
        "base build --name UP",
        2,
        "error: --name 'UP': repository 'UP' is not valid: components are lower-case letters and digits, joined by '.', '_', '__' or '-'",
    );
}

/// A service whose archive has what a slim base begins with.
fn slim() -> Service {
    let service = Service::new();
    service.archive.add(&seeds());
    service
}

fn seeds() -> Vec<Extra> {
    let fields = "Depends: base-files, libc6\n";
    ["apt", "usr-is-merged"].map(|name| Extra { name, fields, ..Extra::default() }).to_vec()
}

/// What Dockerfiles find in it, and what they are told of where it is from.
#[test]
fn a_base_by_name_is_what_from_finds() {
    let service = slim();
    let built = service.run("base build debian:bookworm-slim --format json").expect(0).json();
    assert_eq!((&built["reference"], &built["suite"]), (&"debian:bookworm-slim".into(), &"bookworm".into()));
    assert_eq!(built["python"], Value::Null);
    let what = built["layers"][0]["what"].as_str().unwrap();
    assert!(
        what.starts_with("base debian:bookworm-slim: ") && what.ends_with(" packages of Debian bookworm"),
        "{what}"
    );

    let build = "build --offline --progress plain -f own.Dockerfile -o out";
    service.write("own.Dockerfile", "FROM docker.io/library/debian:bookworm-slim AS base\nFROM base\nCOPY app.py /\n");
    let ran = service.run(build).expect(0);
    let line = "  (of the store, made of Debian's packages by `corten base build debian:bookworm-slim`: ";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    let read = |path: &str| fs::read_to_string(service.folder().join("out").join(path)).unwrap();
    assert!(read("etc/apt/apt.conf.d/docker-clean").contains("rm -f /var/cache/apt/archives/*.deb"));
    assert!(read("etc/apt/sources.list").contains("deb http://deb.debian.org/debian bookworm main"));
    assert!(read("var/lib/dpkg/status").contains("Package: apt\n"));
    assert!(!read("var/lib/dpkg/status").contains("python3"));
    assert_eq!(read("usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n");
    // What stands on it is no base by name.
    service.run("build --offline -f own.Dockerfile -t debian:bookworm-slim").expect(0);
    let ran = service.run(build).expect(0);
    assert!(!ran.stderr.contains("base build") && ran.stderr.contains("  (of the store: "), "{}", ran.stderr);
}

#[test]
fn a_lock_gives_the_same_base_when_the_archive_has_moved() {
    let service = slim();
    let build = |flags: &str| service.run(&format!("base build debian:bookworm-slim --format json {flags}")).expect(0);
    let first = build("--lock base.lock --layout layout").json();
    assert!(service.folder().join("layout/index.json").is_file());
    let lock = service.read("base.lock");
    assert!(lock.contains("reference = \"debian:bookworm-slim\"") && !service.folder().join("corten.lock").exists());
    let netbase = Extra { name: "netbase", version: "6.5", ..Extra::default() };
    service.archive.add(&[seeds(), vec![netbase]].concat());
    let ran = build("--lock base.lock --no-cache");
    assert_eq!(ran.json()["digest"], first["digest"]);
    assert!(ran.stderr.contains("pinned in base.lock"), "{}", ran.stderr);
    assert_eq!(service.read("base.lock"), lock);
    let moved = build("--name mine:1");
    assert_ne!(moved.json()["digest"], first["digest"]);
    assert_eq!(moved.json()["reference"], "mine:1");
    refuses(
        &service,
        "base build debian:trixie-slim --lock base.lock",
        2,
        "error: --lock: the file pins debian:bookworm-slim, not debian:trixie-slim\nhint: give each base a file of its own",
    );
}

/// Another processor's standard library is compiled by a Python that the lock pins, too, or by none.
#[test]
fn a_lock_whose_pythons_differ_is_refused() {
    let (here, there) = if cfg!(target_arch = "aarch64") { ("arm64", "amd64") } else { ("amd64", "arm64") };
    let base = |machine: &str, version: &str| {
        format!(
            "[[base]]\nreference = \"python:3.11-slim\"\nvariant = \"slim\"\narchitecture = \"{machine}\"\npython = \"3.11.2\"\n\
             glibc = \"2.36\"\nseeds = []\narchive = {{ suite = \"bookworm\", epoch = 1 }}\n[[base.deb]]\n\
             name = \"python3.11-minimal\"\nversion = \"{version}\"\narchitecture = \"{machine}\"\nmirror = \"main\"\n\
             path = \"pool/p.deb\"\nsize = 1\ndigest = \"sha256:{:064}\"\n",
            0
        )
    };
    let service = Service::new();
    service.write("base.lock", format!("version = 1\n{}{}", base(here, "3.11.2-6+deb12u6"), base(there, "3.11.2-6")));
    let expected = format!(
        "error: python3.11-minimal is 3.11.2-6 for linux/{there} and 3.11.2-6+deb12u6 for linux/{here}, whose Python compiles \
         the standard library of both\nhint: take base.lock away, and both are pinned anew"
    );
    let command = format!("base build python:3.11-slim --offline --lock base.lock --platform linux/{there}");
    refuses(&service, &command, 1, &expected);
}

#[test]
fn what_no_base_is_made_of_is_refused_with_what_there_is() {
    let service = Service::new();
    for (name, why) in [
        ("ubuntu", "Ubuntu's packages are not Debian's, and others sign them"),
        ("ubuntu:24.04", "Ubuntu's packages are not Debian's, and others sign them"),
        ("debian:bookworm", "documentation and translations are left out, so only slim ones are made"),
        ("debian:bullseye-slim", "bases are made of Debian's bookworm and trixie"),
        ("python:3.11", "only slim ones are made; `apt-get install build-essential` adds compilers"),
        ("python:3.12-slim", "Debian's stable releases have Python 3.11 (bookworm) and 3.13 (trixie) alone"),
        ("python:3.11-alpine", "Alpine's packages are not Debian's"),
        ("nvidia/cuda:12.2.0-base-ubuntu22.04", "it is not one of Debian's packages alone"),
    ] {
        let hint = "these can be made: python:3.11-slim, python:3.13-slim, debian:bookworm-slim, debian:trixie-slim";
        let expected = format!("error: no base {name} can be made: {why}\nhint: {hint}");
        refuses(&service, &format!("base build {name}"), 2, &expected);
    }
    for (line, expected) in [
        (
            "base build debian:trixie-slim --bare",
            "error: --bare is for projects, and debian:trixie-slim is a base by name",
        ),
        (
            "base build debian:trixie-slim --plain-http near.example",
            "error: --plain-http is for projects, and debian:trixie-slim is a base by name",
        ),
        (
            "base build debian:trixie-slim --lock not/there",
            "error: --lock: not/there cannot be written: there is no folder not\nhint: make it first: mkdir -p not",
        ),
        ("base build . --lock x", "error: --lock is for bases by name; a project's is pinned in its corten.lock"),
        (
            "base build python:3.11-slim --platform linux/amd64,linux/arm64",
            "error: --platform: a base by name is made for one platform at a time",
        ),
    ] {
        refuses(&service, line, 2, expected);
    }
}

/// Nothing is taken in its place, and nothing is made unasked.
#[test]
fn from_without_a_registry_names_the_command_that_makes_a_base() {
    let service = Service::new();
    let place = Place::with("FROM python:3.11-slim AS base\nRUN true\n");
    // The same where the wish for another is written down.
    let other = Place::with("FROM python:3.12-slim\n");
    other.write("corten.toml", "[base.aliases]\n\"python:3.12-slim\" = \"debian:trixie-slim\"\n");
    let ran = other.run("build --offline").expect(3);
    let hint = "hint: `corten base build debian:trixie-slim` makes one from Debian's signed archive\n";
    assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    let ran = Place::with("FROM python:3.12-slim\n").run("build --offline").expect(3);
    assert!(!ran.stderr.contains("base build"), "{}", ran.stderr);
    told(
        &service,
        &place.run("build --offline"),
        3,
        "\
error: the base python:3.11-slim: pulling python:3.11-slim: fetching https://registry-1.docker.io/v2/library/python/manifests/3.11-slim: not allowed while offline
 --> Dockerfile:1:1
  |
1 | FROM python:3.11-slim AS base
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: `corten base build python:3.11-slim` makes one from Debian's signed archive
hint: leave out --offline, or fetch what is missing once with a network
hint: --build-context python:3.11-slim=oci-layout://FOLDER takes one from a folder
",
    );
}
