//! `--explain-settings`: what each setting is, and where it comes from.

use std::collections::BTreeSet;
use std::process::Output;

use corten_testkit::command::Ran;
use serde_json::Value;

use crate::service::Service;

fn row<'a>(rows: &'a Value, name: &str) -> [&'a str; 3] {
    let row =
        rows.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {rows}"));
    ["value", "origin", "place"].map(|key| row[key].as_str().unwrap_or("-"))
}

#[test]
fn each_setting_says_where_it_comes_from() {
    let service = Service::filled();
    service.write("corten.toml", service.settings("port = 8080\nenv = { API_KEY = \"sk-1\", LEVEL = \"a\" }"));
    let lock = service.read("uv.lock");
    service.write("uv.lock", format!("{lock}\n[package.optional-dependencies]\nfast = []\n"));
    let mut command = service.corten.command(&service.folder());
    command.args("check --explain-settings --format json --extra fast --offline".split(' '));
    let output: Output = command.env("CORTEN_JOBS", "3").output().unwrap();
    let rows = Ran::from(output).expect(0).json();
    for (name, expected) in [
        ("name", ["\"service\"", "file", "./pyproject.toml:2:8"]),
        ("version", ["\"1.3.0\"", "file", "./pyproject.toml:3:11"]),
        ("base", ["\"debian:bookworm\"", "found", "pinned in corten.lock"]),
        ("variant", ["\"distroless\"", "default", ""]),
        ("lock", ["\"uv.lock\"", "found", "the one lock of the project"]),
        ("extras", ["[\"fast\"]", "flag", "--extra"]),
        ("port", ["8080", "file", "./corten.toml:1:1"]),
        ("healthcheck", ["{ path = \"/health\" }", "found", "a path of the service"]),
        ("env.API_KEY", ["…", "file", "./corten.toml:2:9"]),
        ("env.LEVEL", ["\"a\"", "file", "./corten.toml:2:27"]),
        ("check.size", ["-", "default", ""]),
        ("index.url", ["\"https://pypi.org/simple\"", "default", ""]),
        ("--offline", ["true", "flag", "--offline"]),
        ("--jobs", ["3", "environment", "CORTEN_JOBS"]),
        ("--platform", ["\"linux/amd64\"", "default", ""]),
    ] {
        assert_eq!(row(&rows, name), expected, "{name}");
    }
    assert!(row(&rows, "run")[0].contains("\"8080\""));
    assert_eq!(row(&rows, "run")[2], "FastAPI object 'app' at app.py:3:1 (sure)");

    let schema: Value = serde_json::from_str(include_str!("../../../../docs/corten.schema.json")).unwrap();
    let shown: BTreeSet<&str> = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    for name in schema["properties"].as_object().unwrap().keys() {
        let below = shown.iter().any(|shown| shown.starts_with(&format!("{name}.")));
        assert!(shown.contains(name.as_str()) || below, "{name}");
    }
    assert!(rows.as_array().unwrap().iter().all(|row| !row["about"].as_str().unwrap().is_empty()));
}

#[test]
fn what_only_a_plan_finds_is_not_known_where_it_fails() {
    let service = Service::filled();
    service.edit("pyproject.toml", "\"tensor>=2\"", "\"tensor>=3\"");
    let ran = service.run("plan --explain-settings").expect(1);
    let line = |name: &str| ran.stdout.lines().find(|line| line.starts_with(name)).unwrap();
    let words: Vec<&str> = line("run ").split_whitespace().collect();
    let expected = "run - found: not known, as the plan failed; else what the sources show Command of the service: words, without a shell";
    assert_eq!(words.join(" "), expected);
    assert!(line("weights ").contains("./corten.toml:2:1"));
    assert!(ran.stderr.contains("error: uv.lock is out of step with pyproject.toml"), "{}", ran.stderr);
    service.write("corten.toml", "prot = 1");
    assert_eq!(service.run("plan --explain-settings").expect(2).stdout, "");
}
