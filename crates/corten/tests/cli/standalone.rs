//! An interpreter by address and hash, in the shape of python-build-standalone's archives, in place of Debian's Python.

use std::fs;

use corten_oci::{Digest, LayerIndex};
use corten_testkit::elf::library;
use serde_json::Value;

use crate::bases::for_python;
use crate::oci::tar;
use crate::service::Service;
use crate::told::refuses;

type Files = Vec<(&'static str, Vec<u8>)>;

/// What an `install_only` archive has of each kind.
fn files() -> Files {
    vec![
        ("python/bin/2to3-3.12@", b"python3.12".to_vec()),
        ("python/bin/pip3", b"#!/bin/sh\n".to_vec()),
        ("python/bin/python3@", b"python3.12".to_vec()),
        ("python/bin/python3.12", library(&["libc.so.6"], None)),
        ("python/include/python3.12/Python.h", b"x".to_vec()),
        ("python/include/python3.12/patchlevel.h", b"#define PY_VERSION             \"3.12.7\"\n".to_vec()),
        ("python/lib/libpython3.12.so.1.0", library(&[], None)),
        ("python/lib/python3.12/os.py", b"import abc\n".to_vec()),
        ("python/lib/python3.12/site-packages/pip/__init__.py", b"".to_vec()),
        ("python/lib/python3.12/test/test_os.py", b"".to_vec()),
        ("python/share/man/man1/python3.12.1", b"x".to_vec()),
    ]
}

fn archive(files: &Files) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &tar(files)).unwrap();
    encoder.finish().unwrap()
}

/// A project that has it; the address.
fn with(service: &Service, bytes: Vec<u8>) -> String {
    let digest = Digest::of(&bytes);
    service.archive.server.put("/python.tar.gz", bytes);
    let url = service.archive.server.url("/python.tar.gz");
    service.write(
        "corten.toml",
        service.settings(&format!("interpreter = {{ url = \"{url}\", sha256 = \"{}\" }}", digest.hex())),
    );
    url
}

fn paths(service: &Service, layer: &Value) -> Vec<String> {
    let diff_id = layer["diff_id"].as_str().unwrap();
    let store = corten_flow::Store::open(service.corten.store()).unwrap();
    let index: LayerIndex = store.layer_index(&corten_oci::DiffId(diff_id.parse().unwrap())).unwrap().unwrap();
    index.entries.iter().map(|entry| entry.path.to_string()).collect()
}

#[test]
fn it_takes_the_place_of_debian_s_python() {
    let service = for_python("cp312-cp312-manylinux_2_17_x86_64");
    let url = with(&service, archive(&files()));
    let plan = service.run("plan --format json").expect(0).json();
    assert_eq!(plan["python"], "3.12.7");
    assert!(plan["base"]["why"].as_str().unwrap().contains("of the interpreter that is named at ./corten.toml:1:15"));
    let built = service.run("build --format json").expect(0).json();
    let layer = &built["layers"][1];
    assert_eq!(layer["what"], "interpreter: Python 3.12.7");
    let paths = paths(&service, layer);
    for there in ["usr/local/bin/python3.12", "usr/local/bin/python3", "usr/local/lib/python3.12/os.py"] {
        assert!(paths.iter().any(|path| path == there), "no {there} in {paths:?}");
    }
    for gone in ["share", "site-packages", "/test", "Python.h", "pip"] {
        assert!(paths.iter().all(|path| !path.contains(gone)), "{gone} in {paths:?}");
    }
    let lock = service.read("corten.lock");
    assert!(!lock.contains("python3.11"), "Debian's is not there:\n{lock}");
    for line in [
        "python = \"3.12.7\"",
        "[base.interpreter]",
        "path = \"/usr/local/bin/python3.12\"",
        &format!("url = \"{url}\""),
    ] {
        assert!(lock.contains(line), "no {line} in\n{lock}");
    }
    // Once fetched, once made.
    let asked = service.archive.server.server().count("/python.tar.gz");
    service.run("build --locked").expect(0);
    service.run("ship").expect(0);
    assert_eq!(asked, service.archive.server.server().count("/python.tar.gz"));
    let bill = service.run("sbom service:1.3.0").expect(0).stdout;
    assert!(bill.contains("pkg:generic/cpython@3.12.7?checksum=sha256:"), "{bill}");

    let mut newer = files();
    newer[5].1 = b"#define PY_VERSION \"3.12.8\"\n".to_vec();
    with(&service, archive(&newer));
    assert_eq!(service.run("build --locked").status, 1, "corten.lock has the other");
    service.run("build").expect(0);
    assert!(service.read("corten.lock").contains("python = \"3.12.8\""));
    service.write("corten.toml", service.settings(""));
    assert_eq!(service.run("plan").status, 1, "bookworm's Python has no wheel");
}

#[test]
fn archives_that_are_no_interpreter() {
    let service = for_python("cp312-cp312-manylinux_2_17_x86_64");
    let hint = "an archive of python-build-standalone whose name ends with install_only.tar.gz is expected";
    let place = "take an image with Python 3, or \"debian:bookworm\" or \"debian:trixie\"";
    let check = |bytes: Vec<u8>, why: &str, hint: &str| {
        with(&service, bytes);
        let expected = format!(
            "error: the interpreter ARCHIVE/python.tar.gz: {why}\n --> ./corten.toml:1:15\n  |\n1 | …\n  | …\nhint: {hint}"
        );
        refuses(&service, "build", 1, &expected);
    };
    let and = |more: (&'static str, Vec<u8>)| {
        let mut all = files();
        all.push(more);
        archive(&all)
    };
    let without = |gone: &str| archive(&files().into_iter().filter(|(path, _)| !path.contains(gone)).collect());
    check(b"no gzip".to_vec(), "reading tar: …", hint);
    check(archive(&vec![("other/bin/python3", Vec::new())]), "other/bin/python3 is not in python/", hint);
    check(archive(&vec![("python/share/x", Vec::new())]), "it has nothing in python/", hint);
    check(
        and(("python/bin/evil@", b"../../../etc/passwd".to_vec())),
        "python/bin/evil is a link to ../../../etc/passwd, outside python/",
        hint,
    );
    check(
        and(("python/bin/evil@", b"/etc/passwd".to_vec())),
        "python/bin/evil is a link to /etc/passwd, outside python/",
        hint,
    );
    check(and(("python/lib/python3.12/os.py", b"other".to_vec())), "python/lib/python3.12/os.py is there twice", hint);
    check(
        without("os.py"),
        "no Python was found in it: /usr/local/bin/python3.12 has no standard library in /usr/local/lib",
        place,
    );
    check(
        without("patchlevel.h"),
        "no Python was found in it: /usr/local/bin/python3.12 does not say which Python 3.12 it is",
        place,
    );
    assert!(fs::metadata(service.folder().join("corten.lock")).is_err(), "nothing of them was pinned");
}

#[test]
fn settings_of_an_interpreter() {
    let service = for_python("cp312-cp312-manylinux_2_17_x86_64");
    with(&service, archive(&files()));
    service.edit("corten.toml", "weights = ", "python = \"3.11\"\nweights = ");
    refuses(
        &service,
        "build",
        2,
        r#"
error: the settings ask for Python 3.11, the interpreter has 3.12.7
 --> ./corten.toml:2:10
  |
2 | python = "3.11"
  |          ^^^^^^
"#,
    );
    service.edit("corten.toml", "python = \"3.11\"", "base = \"oci-layout:x\"");
    refuses(
        &service,
        "build",
        2,
        r#"
error: the base oci-layout:x has a Python, and the settings name another interpreter
 --> ./corten.toml:1:15
  |
1 | …
  | …
hint: take a base from Debian's archive, or leave one of them out
"#,
    );
    service.write("corten.toml", service.settings("interpreter = { url = \"https://example.org/a\" }"));
    refuses(
        &service,
        "build",
        2,
        r#"
error: setting 'interpreter' has no 'sha256'
 --> ./corten.toml:1:15
  |
1 | interpreter = { url = "https://example.org/a" }
  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"#,
    );
}
