//! Tables that no one here wrote: orders of versions (osv-scalibr) and package URLs (the specification's own tests).

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::cmp::Ordering;
use std::path::PathBuf;
use std::str::FromStr;

use corten_package::{Purl, PurlParts, deb, pep440};
use serde_json::Value;

/// `None` where the tables are absent; on a build machine that is a failure.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

struct Counted {
    compared: usize,
    unreadable: Vec<String>,
}

fn compare_all<V: FromStr + Ord>(file: &str) -> Option<Counted> {
    let text = std::fs::read_to_string(shared("version-order")?.join(file)).unwrap();
    let mut counted = Counted { compared: 0, unreadable: Vec::new() };
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        let words: Vec<_> = line.split(' ').collect();
        let [left, sign, right] = words.as_slice() else { panic!("{file}: {line}") };
        let wanted = match *sign {
            "<" => Ordering::Less,
            ">" => Ordering::Greater,
            "=" => Ordering::Equal,
            _ => panic!("{file}: {line}"),
        };
        match (left.parse::<V>(), right.parse::<V>()) {
            (Ok(left), Ok(right)) => {
                assert_eq!(left.cmp(&right), wanted, "{file}: {line}");
                assert_eq!(right.cmp(&left), wanted.reverse(), "{file}: {line}");
                counted.compared += 1;
            }
            _ => counted.unreadable.push(line.to_owned()),
        }
    }
    Some(counted)
}

#[test]
fn python_versions_are_ordered_as_packaging_orders_them() {
    // What PEP 440 does not let in (`0.1-bulbasaur`, `0.7.10p1`, `trunk`) is refused instead of ordered: the counts are those
    // of the lines that packaging 26 refuses.
    for (file, compared, refused) in [("pypi-versions-generated.txt", 12_306, 69), ("pypi-versions.txt", 26, 11)] {
        let Some(counted) = compare_all::<pep440::Version>(file) else { return };
        assert_eq!((counted.compared, counted.unreadable.len()), (compared, refused), "{:?}", counted.unreadable);
    }
}

#[test]
fn debian_versions_are_ordered_as_dpkg_orders_them() {
    for (file, least) in [("debian-versions.txt", 25), ("debian-versions-generated.txt", 14_000)] {
        let Some(counted) = compare_all::<deb::Version>(file) else { return };
        assert!(counted.unreadable.is_empty(), "{:?}", counted.unreadable);
        assert!(counted.compared >= least, "{file}: {}", counted.compared);
    }
}

#[test]
fn package_urls_are_those_of_the_specification() {
    let Some(folder) = shared("purl-tests") else { return };
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let table: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        for case in table["tests"].as_array().unwrap() {
            check_case(case);
            count += 1;
        }
    }
    assert_eq!(count, 189);
}

fn check_case(case: &Value) {
    let (input, expected) = (&case["input"], &case["expected_output"]);
    let what = format!("{} {input}", case["test_type"]);
    let answer = match case["test_type"].as_str().unwrap() {
        "build" => build(input),
        _ => input.as_str().unwrap().parse::<Purl>().map_err(|error| error.to_string()),
    };
    // The tables want `?Arch=` refused when parsed and turned to `?arch=` when printed; both cannot be.
    let contradicts_itself = input.as_str().is_some_and(|text| text.contains("?Arch=i386&Distro="));
    if case["expected_failure"].as_bool().unwrap() {
        assert!(answer.is_err() || contradicts_itself, "{what}: {answer:?}");
        return;
    }
    let purl = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
    if case["test_type"] == "parse" {
        compare(&purl, expected, &what);
    } else {
        assert_eq!(purl.to_string(), expected.as_str().unwrap(), "{what}");
    }
}

fn build(input: &Value) -> Result<Purl, String> {
    let empty = serde_json::Map::new();
    let pairs: Vec<_> = input["qualifiers"].as_object().unwrap_or(&empty).iter().collect();
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect();
    Purl::from_parts(&PurlParts {
        kind: input["type"].as_str().unwrap_or_default(),
        namespace: input["namespace"].as_str(),
        name: input["name"].as_str().unwrap_or_default(),
        version: input["version"].as_str(),
        qualifiers: &pairs,
        subpath: input["subpath"].as_str(),
    })
    .map_err(|error| error.to_string())
}

fn compare(purl: &Purl, expected: &Value, what: &str) {
    assert_eq!(Some(purl.kind()), expected["type"].as_str(), "{what}");
    assert_eq!(purl.namespace(), expected["namespace"].as_str(), "{what}");
    assert_eq!(Some(purl.name()), expected["name"].as_str(), "{what}");
    assert_eq!(purl.version(), expected["version"].as_str(), "{what}");
    assert_eq!(purl.subpath(), expected["subpath"].as_str(), "{what}");
    let pairs = expected["qualifiers"].as_object().cloned().unwrap_or_default();
    assert_eq!(serde_json::to_value(purl.qualifiers()).unwrap(), Value::Object(pairs), "{what}");
}
