//! The bill of materials against the official schema, and against what the specification says beyond it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail, and says why it has not run")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use corten_attest::bom::spdx::spdx;
use corten_attest::bom::{BomFile, BomInput, BomKind, BomPackage, FileSums, Supplier};
use corten_oci::{DiffId, Digest, LayerPath};
use serde_json::Value;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/schemas/spdx-2.3-schema.json");

/// Texts that break writers: ends of strings, controls, other directions, markup.
const NAUGHTY: &str = "a\"b\\c\n\u{0}\u{7f}\u{9b}\u{202e}</script>{{7*7}}€😀";

fn package(name: &str, license: Option<&str>) -> BomPackage {
    BomPackage {
        purl: format!("pkg:pypi/{name}@1.0"),
        name: name.into(),
        version: "1.0".into(),
        license: license.map(str::to_owned),
        supplier: None,
        digest: Some(Digest::of(name)),
        download_url: Some(format!("https://user:hunter2@files.example/{name}-1.0.whl?token=hunter2#sha256=00")),
        source: None,
        layer: DiffId(Digest::of("layer")),
        kind: BomKind::Wheel,
    }
}

fn input() -> BomInput {
    let mut naughty = package("naughty", Some(NAUGHTY));
    naughty.version = NAUGHTY.into();
    naughty.supplier = Some(Supplier::Person(NAUGHTY.into()));
    let mut deb = package("libc6", Some("GPL-2.0-or-later AND LicenseRef-Public"));
    deb.kind = BomKind::Deb;
    deb.purl = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12".into();
    deb.supplier = Some(Supplier::Organization("GNU Libc <debian-glibc@lists.debian.org>".into()));
    let mut other_layer = package("numpy", Some("BSD-3-Clause"));
    other_layer.layer = DiffId(Digest::of("other"));
    let mut app = package("text-classifier", None);
    (app.kind, app.digest, app.download_url) = (BomKind::Application, None, None);
    BomInput {
        name: "team/text-classifier".into(),
        digest: Digest::of("image"),
        created: Some("2026-11-21T11:30:00.5+01:00".into()),
        tool_version: "0.1.0".into(),
        packages: vec![package("numpy", Some("BSD-3-Clause")), other_layer, naughty, deb, app],
        files: None,
    }
}

fn with_files() -> BomInput {
    let file = |path: &[u8], package: Option<&str>| BomFile {
        path: LayerPath::new(path).unwrap(),
        layer: DiffId(Digest::of("layer")),
        package: package.map(str::to_owned),
        sums: FileSums::of(path).unwrap(),
    };
    let files = vec![
        file(b"opt/venv/lib/numpy/b.py", Some("pkg:pypi/numpy@1.0")),
        file(b"opt/venv/lib/numpy/a.py", Some("pkg:pypi/numpy@1.0")),
        file(b"etc/passwd", None),
        file(b"not\xfftext", Some("pkg:pypi/unheard-of@1")),
    ];
    BomInput { files: Some(files), ..input() }
}

fn parsed(input: &BomInput) -> Value {
    serde_json::from_slice(&spdx(input).unwrap()).unwrap()
}

/// Says whether Python's `jsonschema` takes each document; none, with the reason printed, where that is not here.
fn validate(documents: &[&Value]) -> Option<Vec<bool>> {
    let program = "import json, sys, jsonschema\n\
        schema, documents = json.load(sys.stdin)\n\
        check = jsonschema.Draft7Validator(schema)\n\
        for document in documents:\n\
        \x20   for error in check.iter_errors(document): print(error.message[:200], file=sys.stderr)\n\
        print(json.dumps([check.is_valid(document) for document in documents]))";
    let has_module = Command::new("python3").args(["-c", "import jsonschema"]).stderr(Stdio::null()).status();
    if !has_module.is_ok_and(|status| status.success()) || !Path::new(SCHEMA).exists() {
        let reason = "python3-jsonschema or shared/data/schemas is absent";
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        println!("not run: {reason}");
        return None;
    }
    let schema: Value = serde_json::from_slice(&std::fs::read(SCHEMA).unwrap()).unwrap();
    let mut python = Command::new("python3");
    let mut python =
        python.args(["-W", "ignore", "-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let question = serde_json::to_vec(&(schema, documents)).unwrap();
    python.stdin.take().unwrap().write_all(&question).unwrap();
    let answer = python.wait_with_output().unwrap();
    assert!(answer.status.success());
    Some(serde_json::from_slice(&answer.stdout).unwrap())
}

#[test]
fn documents_are_valid_by_the_official_schema() {
    let empty = BomInput { packages: vec![], created: None, ..input() };
    let documents = [parsed(&input()), parsed(&with_files()), parsed(&empty)];
    let mut wrong = parsed(&input());
    wrong["packages"][1]["primaryPackagePurpose"] = "MODEL".into();
    let all: Vec<&Value> = documents.iter().chain([&wrong]).collect();
    if let Some(valid) = validate(&all) {
        assert_eq!(valid, [true, true, true, false]);
    }
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().into_iter().flatten().map(|item| item[key].as_str().unwrap()).collect()
}

/// What the specification demands and the schema does not.
#[test]
fn identifiers_are_unique_and_relationships_meet_them() {
    let document = parsed(&with_files());
    let ids: Vec<&str> =
        texts(&document["packages"], "SPDXID").into_iter().chain(texts(&document["files"], "SPDXID")).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{ids:?}");
    for id in &ids {
        let rest = id.strip_prefix("SPDXRef-").unwrap();
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')), "{id}");
    }
    let mut related = BTreeSet::new();
    for relationship in document["relationships"].as_array().unwrap() {
        let from = relationship["spdxElementId"].as_str().unwrap();
        assert!(from == "SPDXRef-DOCUMENT" || unique.contains(from), "{from}");
        related.insert(relationship["relatedSpdxElement"].as_str().unwrap());
    }
    assert_eq!(related, unique, "everything is reached from the document");
    let known: BTreeSet<&str> = texts(&document["hasExtractedLicensingInfos"], "licenseId").into_iter().collect();
    for licence in texts(&document["packages"], "licenseDeclared") {
        for word in licence.split_whitespace().filter(|word| word.starts_with("LicenseRef-")) {
            assert!(known.contains(word), "{word}");
        }
    }
}

#[test]
fn files_stand_below_their_package_and_others_below_the_image() {
    let document = parsed(&with_files());
    let packages = document["packages"].as_array().unwrap();
    let numpy = packages.iter().find(|package| package["SPDXID"] == "SPDXRef-Wheel-numpy-1.0").unwrap();
    let other = packages.iter().find(|package| package["SPDXID"] == "SPDXRef-Wheel-numpy-1.0-2").unwrap();
    let (with, without) = if numpy["filesAnalyzed"] == true { (numpy, other) } else { (other, numpy) };
    assert_eq!((&with["filesAnalyzed"], &without["filesAnalyzed"]), (&true.into(), &false.into()));
    assert!(without.get("packageVerificationCode").is_none());
    // printf '%s' SUM… | sha1sum, over the sorted SHA-1 of the two paths (each path is its file's content).
    assert_eq!(
        with["packageVerificationCode"]["packageVerificationCodeValue"],
        "7b4bbfb9a7029a27ce4a47782fd1780e15348210"
    );
    let below = |id: &str| {
        let all = document["relationships"].as_array().unwrap();
        all.iter()
            .filter(|it| it["spdxElementId"] == id && it["relatedSpdxElement"].as_str().unwrap().contains("File"))
            .count()
    };
    assert_eq!(below(with["SPDXID"].as_str().unwrap()), 2);
    assert_eq!(below("SPDXRef-Image"), 2);
    assert_eq!(texts(&document["files"], "fileName")[0], "./etc/passwd");
}

#[test]
fn the_same_image_gives_the_same_bytes_in_whatever_order_it_is_told() {
    let mut turned = with_files();
    turned.packages.reverse();
    turned.files.as_mut().unwrap().reverse();
    assert_eq!(spdx(&with_files()).unwrap(), spdx(&turned).unwrap());
}

#[test]
fn time_and_namespace_come_from_the_image() {
    let document = parsed(&input());
    assert_eq!(document["creationInfo"]["created"], "2026-11-21T10:30:00Z");
    let namespace = document["documentNamespace"].as_str().unwrap();
    assert!(namespace.ends_with(&Digest::of("image").hex()) && !namespace.contains('#'), "{namespace}");
    assert_ne!(parsed(&with_files())["documentNamespace"], namespace);
    assert_eq!(parsed(&BomInput { created: None, ..input() })["creationInfo"]["created"], "1970-01-01T00:00:00Z");
    assert!(spdx(&BomInput { created: Some("yesterday".into()), ..input() }).is_err());
}

#[test]
fn credentials_of_a_download_are_left_out() {
    let bytes = spdx(&input()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("hunter2"));
    assert!(text.contains("\"https://files.example/numpy-1.0.whl\""));
    assert!(text.contains("Organization: GNU Libc (debian-glibc@lists.debian.org)"));
}
