//! The table of docs/locks.md: what becomes of the locks of real projects. To write it anew:
//! `CORTEN_WRITE_DOCS=1 cargo test -p corten-frontend table`.

use std::collections::BTreeMap;

use super::fixtures::{Fixture, TARGETS, asked, fixtures, members};
use super::*;

const BEGIN: &str = "<!-- projects -->\n";
const END: &str = "<!-- end of projects -->";

/// Names at most so many packages in one cell.
const NAMED: usize = 5;

#[test]
fn the_table_of_the_docs_is_what_happens() {
    let fixtures = fixtures();
    if fixtures.is_empty() {
        return;
    }
    assert_eq!(fixtures.len(), 32, "none is left out");
    let mut table = String::from("| project | in step | linux/amd64 | linux/arm64 |\n|---|---|---|---|\n");
    for fixture in &fixtures {
        for answer in fixture.expected["answers"].as_array().unwrap() {
            if answer["targets"].as_object().is_some_and(|targets| !targets.is_empty()) {
                table.push_str(&row(fixture, &answer["args"]));
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/locks.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let wanted = format!("{head}{BEGIN}{table}{END}{tail}");
    if std::env::var_os("CORTEN_WRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/locks.md is stale: CORTEN_WRITE_DOCS=1 cargo test -p corten-frontend table");
    }
}

fn row(fixture: &Fixture, args: &serde_json::Value) -> String {
    let words: Vec<&str> = args.as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
    let what = if words.is_empty() { String::new() } else { format!(" `{}`", words.join(" ")) };
    let cells = TARGETS.map(|(_, architecture)| cell(fixture, &asked(args), architecture));
    let [amd64, arm64] = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {}{what} | {} | {amd64} | {arm64} |\n", fixture.name, step(fixture).replace('|', "\\|"))
}

fn step(fixture: &Fixture) -> String {
    match in_step(&fixture.lock, fixture.manifest.as_ref(), &members(fixture)).unwrap() {
        InStep::Yes => "yes".to_owned(),
        InStep::Unknown(_) => "cannot be told".to_owned(),
        InStep::No(lines) if lines.len() == 1 => format!("no: {}", lines[0]),
        InStep::No(lines) => format!("no: {}, and {} more", lines[0], lines.len() - 1),
    }
}

fn cell(fixture: &Fixture, asked: &Asked, architecture: corten_oci::Architecture) -> String {
    let environment = fixture.environment(architecture);
    let without_name = |text: String| text.split_once(": ").map(|(_, rest)| rest.to_owned()).unwrap_or(text);
    let resolved = match read(&fixture.lock, fixture.manifest.as_ref(), asked, &environment) {
        Ok(resolved) => resolved,
        Err(failure) => return format!("refused: {}", without_name(failure.to_string())),
    };
    if let Some(failure) = refuse_conda(&fixture.lock, &resolved.conda) {
        return format!("refused: {}", without_name(failure.to_string()));
    }
    let (index, tags) = (fixture.index_files(), fixture.tags(architecture));
    let mut wheels = 0;
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for wanted in &resolved.wanted {
        let version = wanted.version.as_ref().map(ToString::to_string).unwrap_or_default();
        let asked = || index.get(&format!("{}=={version}", wanted.name)).cloned().unwrap_or_default();
        match choose(wanted, &wanted.listed().unwrap_or_else(asked), &tags) {
            Ok(_) => wheels += 1,
            Err(refused) => {
                let what = match (refused.reason, &wanted.index) {
                    (Reason::NoWheel | Reason::UrlWheel, _) => "not for this platform".to_owned(),
                    (Reason::NotOnIndex, Some(index)) => format!("to be asked of {index}"),
                    (Reason::NotOnIndex, None) => "not on the public index".to_owned(),
                    _ => "from source".to_owned(),
                };
                missing.entry(what).or_default().push(refused.package);
            }
        }
    }
    let mut parts: Vec<String> = (wheels > 0).then(|| format!("{wheels} wheels")).into_iter().collect();
    let others = resolved.local.iter().filter(|local| local.package && local.path != ".").count();
    match others {
        0 => {}
        1 => parts.push("1 project beside it".to_owned()),
        _ => parts.push(format!("{others} projects beside it")),
    }
    for (what, packages) in &missing {
        let more = if packages.len() > NAMED { format!(" and {} more", packages.len() - NAMED) } else { String::new() };
        parts.push(format!("{what}: {}{more}", packages.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ")));
    }
    let works = if missing.is_empty() { "works: " } else { "" };
    format!("{works}{}", parts.join("; "))
}
