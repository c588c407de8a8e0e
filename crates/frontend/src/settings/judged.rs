//! The schema before a validator that is not ours (Python's `jsonschema`): it takes what the reader takes, and refuses what
//! the reader refuses for an unknown key or a wrong type.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::keys::{Key, SETTINGS};
use super::*;

const VALIDATOR: &str = "import json, sys, jsonschema
schema, documents = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
print(json.dumps([validator.is_valid(document) for document in documents]))";

/// Settings → does the validator take them? None where it is not installed.
fn validated(documents: &[String]) -> Option<Vec<bool>> {
    let json =
        |text: &String| toml::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let documents: Vec<_> = documents.iter().map(json).collect();
    let mut python = Command::new("python3");
    python.args(["-W", "ignore", "-c", VALIDATOR]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().ok()?;
    let input = serde_json::to_vec(&(schema(), documents)).unwrap();
    python.stdin.take().unwrap().write_all(&input).unwrap();
    let output = python.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if told.contains("No module named 'jsonschema'") {
        assert!(std::env::var_os("CI").is_none(), "python3-jsonschema is absent");
        println!("not run: python3-jsonschema is absent");
        return None;
    }
    assert!(output.status.success(), "{told}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn accepted(settings: &str) -> Result<Settings, Failure> {
    Settings::read(&Texts { corten: Some(Text::new("corten.toml", settings)), folder: "x".into(), ..Texts::default() })
}

/// Does the failure come from what a schema sees?
fn is_for_schemas(failure: &Failure) -> bool {
    let text = failure.to_string();
    let kinds = ["is a string", "is an integer", "is a float", "is a boolean", "is an array", "is a table"];
    text.contains("unknown setting") || text.contains("has no '") || kinds.iter().any(|kind| text.contains(kind))
}

/// Each place where a value may stand, as TOML with `VALUE` in it.
fn places(keys: &[Key], around: &str) -> Vec<String> {
    let mut places = Vec::new();
    for key in keys {
        let inside = |what: &str| around.replace("VALUE", &format!("{} = {what}", key.name));
        places.push(inside("VALUE"));
        places.push(inside("[VALUE]"));
        places.push(inside("{ \"https://h\" = VALUE, NAME = VALUE }"));
        places.extend(places_in(key.kind.keys(), &inside("{ VALUE }")));
        let required = "url = \"https://h/m\", to = \"/m\", from = \"m\", ";
        places.extend(places_in(key.kind.inner().keys(), &inside(&format!("[{{ {required}VALUE }}]"))));
    }
    places
}

fn places_in(keys: &[Key], around: &str) -> Vec<String> {
    let place = |key: &Key| {
        let mut around = around.to_owned();
        for name in ["url", "to", "from"] {
            let start = format!("{name} = ");
            let others = keys.iter().any(|other| other.name == name);
            if (name == key.name || !others)
                && let Some(at) = around.find(&start)
                && let Some(end) = around[at..].find(", ")
            {
                around.replace_range(at..at + end + 2, "");
            }
        }
        around.replace("VALUE", &format!("{} = VALUE", key.name))
    };
    keys.iter().map(place).collect()
}

const VALUES: [&str; 34] = [
    "\"\"",
    "\"x\"",
    "\"X y\"",
    "\"/x\"",
    "\"/health\"",
    "\"x/\"",
    "\"../x\"",
    "\"debian:trixie\"",
    "\"slim\"",
    "\"zstd\"",
    "\"all\"",
    "\"30s\"",
    "\" 1m30s \"",
    "\"500MB\"",
    "\"1.5 GiB\"",
    "\"7.\"",
    "\"0644\"",
    "\"3.11\"",
    "\"error\"",
    "\"ML151\"",
    "\"https://h/p?q=1\"",
    "\"http://h\"",
    "\"https://u:p@h\"",
    "\"h.example/x/y:1\"",
    "0",
    "80",
    "70000",
    "-1",
    "1.5",
    "true",
    "false",
    "[]",
    "[\"x\", 1]",
    "{ zzz = 1 }",
];

#[test]
fn the_schema_takes_what_the_reader_takes_and_no_unknown_key_or_type() {
    let mut documents: Vec<String> = Vec::new();
    for place in places(&SETTINGS, "VALUE") {
        documents.extend(VALUES.iter().map(|value| place.replace("VALUE", value)));
        documents.push(place.replace("VALUE", "\"x\"").replace(" = ", "x = "));
    }
    documents.retain(|text| toml::from_str::<toml::Table>(text).is_ok());
    assert!(documents.len() > 4000, "{}", documents.len());
    let Some(valid) = validated(&documents) else { return };
    let mut seen = [0, 0];
    for (text, valid) in documents.iter().zip(valid) {
        match accepted(text) {
            Ok(_) => assert!(valid, "the schema refuses {text}"),
            Err(failure) if is_for_schemas(&failure) => assert!(!valid, "the schema takes {text}\n{failure}"),
            Err(_) => continue,
        }
        seen[usize::from(valid)] += 1;
    }
    assert!(seen[0] > 1000 && seen[1] > 150, "{seen:?}");
}

/// The settings in the blocks of TOML of a page.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for block in page.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let table: toml::Table = toml::from_str(block).unwrap_or_else(|error| panic!("{block}: {error}"));
        let own = table.get("tool").and_then(|tool| tool.get("corten"));
        match own {
            Some(own) => blocks.push(toml::to_string(own).unwrap()),
            None if table.contains_key("project") || table.contains_key("tool") => {}
            None => blocks.push(block.to_owned()),
        }
    }
    blocks
}

#[test]
fn what_readme_docs_and_examples_show_is_taken_by_reader_and_schema() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let mut texts = vec![std::fs::read_to_string(format!("{root}README.md")).unwrap()];
    let folder = |name: &str| std::fs::read_dir(format!("{root}{name}")).unwrap().map(|entry| entry.unwrap().path());
    let pages = folder("docs").filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    texts.extend(pages.map(|path| std::fs::read_to_string(path).unwrap()));
    let mut settings: Vec<String> = texts.iter().flat_map(|text| blocks(text)).collect();
    assert!(settings.len() > 3, "{settings:?}");
    for example in folder("examples") {
        if let Ok(text) = std::fs::read_to_string(example.join("pyproject.toml")) {
            let found = blocks(&format!("```toml\n{text}```"));
            assert_eq!(found.len(), 1, "{}", example.display());
            settings.extend(found);
        }
    }
    let documented =
        include_str!("mod.rs").lines().map_while(|line| line.strip_prefix("//! ").or_else(|| line.strip_prefix("//!")));
    settings.extend(blocks(&documented.collect::<Vec<_>>().join("\n")));
    // Those of the user are for all projects, and of another schema.
    settings.retain(|text| UserSettings::read(Path::new("config.toml"), text).is_err());
    for text in &settings {
        accepted(text).unwrap_or_else(|failure| panic!("{text}\n{failure}"));
    }
    let Some(valid) = validated(&settings) else { return };
    for (text, valid) in settings.iter().zip(valid) {
        assert!(valid, "the schema refuses\n{text}");
    }
}
