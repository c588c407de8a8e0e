//! The bill of materials against those who look into the image themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use corten_oci::Digest;
use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::files::walk;
use crate::image::{Distroless, Slim, Variant};
use crate::place::{command, done, folder, said};

/// The official schema, and where it is said that it is not here.
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/schemas/spdx-2.3-schema.json");

#[test]
fn syft_lists_the_packages_of_distroless() {
    same_as_syft(Distroless);
}

#[test]
fn syft_lists_the_packages_of_slim() {
    same_as_syft(Slim);
}

/// Name, version, architecture, distribution and source package of each. It finds nothing that a wheel of the example
/// carries within; where one does, that package is to be named here, with its wheel.
fn same_as_syft(variant: Variant) {
    let Some(syft) = xtask::peers::need("syft") else { return };
    let image = variant.image();
    let mut syft = command(&syft, ["scan", "--quiet", "--output", "syft-json"]);
    syft.arg(format!("docker-archive:{}", image.archive.display())).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    let found: Value = serde_json::from_str(&done(syft.env("HOME", folder()))).unwrap();
    let found: BTreeSet<_> =
        found["artifacts"].as_array().unwrap().iter().map(|package| text(&package["purl"])).collect();
    assert_same(&found, &purls(&image.bill));
}

#[test]
fn dpkg_lists_the_packages_of_slim() {
    let Some(bundle) = Bundle::of(Slim) else { return };
    let container = bundle.container("dpkg", |config| {
        config["process"]["args"] = json!(["/usr/bin/dpkg", "-l"]);
        config["process"]["env"].as_array_mut().unwrap().push(json!("COLUMNS=1000"));
    });
    let listed = container.run();
    assert!(listed.status.success(), "{}", said(&listed));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let rows = listed.lines().skip_while(|line| !line.starts_with("+++-")).skip(1);
    let listed = rows.map(|row| {
        let fields: Vec<_> = row.split_whitespace().take(4).collect();
        let [state, name, version, architecture] = fields[..] else { panic!("{row}") };
        assert_eq!(state, "ii", "{row}");
        [name.split(':').next().unwrap(), version, architecture].join(" ")
    });
    let billed = purls(&Slim.image().bill);
    let debs = billed.iter().filter_map(|purl| purl.strip_prefix("pkg:deb/debian/"));
    let billed = debs.map(|rest| {
        let (package, qualifiers) = rest.split_once('?').unwrap();
        let architecture = qualifiers.split('&').find_map(|pair| pair.strip_prefix("arch=")).unwrap();
        format!("{} {architecture}", package.replacen('@', " ", 1).replace("%2B", "+"))
    });
    assert_same(&listed.collect(), &billed.collect());
}

#[test]
fn a_bill_with_files_is_spdx() {
    let bill = folder().join("bill.json");
    fs::write(&bill, Distroless.image().bill.to_string()).unwrap();
    assert!(Distroless.image().bill["files"].as_array().unwrap().len() > 1000);
    if !Path::new(SCHEMA).exists() {
        assert!(std::env::var_os("CI").is_none(), "{SCHEMA} is absent");
        println!("not run: {SCHEMA} is absent");
        return;
    }
    let program = "import json, sys, jsonschema\n\
        schema, document = [json.load(open(path)) for path in sys.argv[1:]]\n\
        for error in jsonschema.Draft7Validator(schema).iter_errors(document): print(error.message[:200])";
    let mut python = Command::new("python3");
    python.args(["-W", "ignore", "-c", program, SCHEMA]).arg(bill).stdin(Stdio::null());
    assert_eq!(done(&mut python), "");
}

#[test]
fn a_bill_with_files_names_each_by_its_content() {
    let Some(bundle) = Bundle::of(Distroless) else { return };
    let mut billed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in Distroless.image().bill["files"].as_array().unwrap() {
        let sums = file["checksums"].as_array().unwrap().iter();
        let sum = sums.filter(|sum| sum["algorithm"] == "SHA256").map(|sum| text(&sum["checksumValue"])).next();
        billed.entry(text(&file["fileName"])).or_default().push(sum.unwrap());
    }
    let files: Vec<_> = walk(&bundle.root).into_iter().filter(|file| file.metadata.is_file()).collect();
    let names = files.iter().map(|file| format!(".{}", file.path)).collect();
    assert_same(&names, &billed.keys().cloned().collect());
    for file in files {
        let digest = Digest::of(fs::read(bundle.root.join(&file.path[1..])).unwrap());
        let sums = &billed[&format!(".{}", file.path)];
        // Where two layers have the file, both of its contents are there.
        assert!(sums.iter().any(|sum| digest.hex() == *sum), "{}: {sums:?}", file.path);
    }
}

/// All but the image's own.
fn purls(bill: &Value) -> BTreeSet<String> {
    let references = bill["packages"].as_array().unwrap().iter().flat_map(|package| {
        package["externalRefs"].as_array().unwrap().iter().filter(|one| one["referenceType"] == "purl")
    });
    let purls = references.map(|one| text(&one["referenceLocator"]));
    purls.filter(|purl| !purl.starts_with("pkg:oci/")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_same(found: &BTreeSet<String>, billed: &BTreeSet<String>) {
    assert!(!found.is_empty());
    let only_found: Vec<_> = found.difference(billed).collect();
    let only_billed: Vec<_> = billed.difference(found).collect();
    assert!(
        only_found.is_empty() && only_billed.is_empty(),
        "only found: {only_found:#?}\nonly in the bill: {only_billed:#?}"
    );
}
