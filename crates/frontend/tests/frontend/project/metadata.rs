//! Do two METADATA files mean the same?

use std::collections::{BTreeMap, BTreeSet};

use corten_package::pep440::{Specifiers, Version};
use corten_package::{PackageName, Requirement};

/// The headers that something reads when a program runs, and those that a bill of materials is made of.
const COMPARED: [&str; 9] = [
    "Name",
    "Version",
    "Summary",
    "Requires-Python",
    "License-Expression",
    "License-File",
    "Provides-Extra",
    "Requires-Dist",
    "Metadata-Version",
];

/// The first difference of meaning between what a backend wrote (some headers) and what we write.
pub fn difference<'t>(theirs: impl Iterator<Item = &'t str>, ours: &str) -> Option<String> {
    let theirs = headers(theirs)?;
    let ours = headers(ours.lines().take_while(|line| !line.is_empty()))?;
    let odd = theirs.keys().find(|key| !COMPARED.contains(&key.as_str()));
    if let Some(odd) = odd {
        return Some(format!("nobody compares {odd}"));
    }
    COMPARED.into_iter().filter(|key| *key != "Metadata-Version").find_map(|key| {
        let (theirs, ours) = (values(&theirs, key), values(&ours, key));
        (!same(key, &theirs, &ours)).then(|| format!("{key}: theirs {theirs:?}, ours {ours:?}"))
    })
}

fn headers<'t>(lines: impl Iterator<Item = &'t str>) -> Option<BTreeMap<String, Vec<String>>> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.filter(|line| !line.starts_with(' ')) {
        let (key, value) = line.split_once(':')?;
        headers.entry(key.to_owned()).or_default().push(value.trim().to_owned());
    }
    Some(headers)
}

fn values(headers: &BTreeMap<String, Vec<String>>, key: &str) -> Vec<String> {
    let all = headers.get(key).into_iter().flatten();
    all.filter(|value| !value.is_empty() && *value != "UNKNOWN").cloned().collect()
}

fn same(key: &str, theirs: &[String], ours: &[String]) -> bool {
    match key {
        "Requires-Dist" => same_requirements(theirs, ours),
        // Ours is in its normal form.
        "Version" => {
            let read = |list: &[String]| list.first().map(|text| text.parse::<Version>().unwrap());
            read(theirs) == read(ours)
        }
        "Requires-Python" => {
            let range = |list: &[String]| list.first().map(|text| text.parse::<Specifiers>().unwrap().canonical());
            range(theirs) == range(ours)
        }
        "Provides-Extra" => {
            let names =
                |list: &[String]| list.iter().map(|name| PackageName::new(name).unwrap()).collect::<BTreeSet<_>>();
            names(theirs) == names(ours)
        }
        // pdm names none that it found by itself, backends of old none at all; ours are those that are shipped.
        "License-File" if theirs.is_empty() => true,
        "License-File" => theirs.iter().collect::<BTreeSet<_>>() == ours.iter().collect(),
        _ => theirs == ours,
    }
}

fn same_requirements(theirs: &[String], ours: &[String]) -> bool {
    let read = |list: &[String]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<Requirement>>();
    let (theirs, mut ours) = (read(theirs), read(ours));
    let mut taken = |one: &Requirement| match ours.iter().position(|other| other.is_equivalent(one)) {
        Some(at) => {
            ours.remove(at);
            true
        }
        None => false,
    };
    theirs.iter().all(&mut taken) && ours.is_empty()
}

/// entry_points.txt as group → name → object.
pub fn entry_points(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut group = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            group = name.to_owned();
        } else if let Some((name, object)) = line.split_once('=') {
            let object = object.replace(' ', "");
            groups.entry(group.clone()).or_default().insert(name.trim().to_owned(), object);
        }
    }
    groups
}
