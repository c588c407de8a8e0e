//! The tables and random sets of `moby/patternmatcher`, and what the default groups take and leave.

use std::path::PathBuf;

use corten_diagnostic::{Diagnose, Fault};
use serde_json::Value;

use super::*;
use crate::settings::Texts;

fn shared(name: &str) -> Option<String> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/dockerfile/ignore"));
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "the shared data are missing");
        println!("skipped: no {}", folder.display());
        return None;
    }
    Some(std::fs::read_to_string(folder.join(name)).unwrap())
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn random_pattern_sets_match_as_upstream_says() {
    let Some(rows) = shared("random_oracle.jsonl") else { return };
    let mut compared = 0;
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let answer =
            Matcher::new(texts(&row["patterns"])).map(|matcher| matcher.matches(row["path"].as_str().unwrap()));
        match row["match"].as_bool() {
            Some(expected) => assert_eq!(answer, Ok(expected), "{row}"),
            None => assert!(answer.is_err(), "{row}"),
        }
        compared += 1;
    }
    assert_eq!(compared, 3000);
}

#[test]
fn ignore_files_read_as_upstream_reads_them() {
    let Some(rows) = shared("ignorefile_oracle.jsonl") else { return };
    let mut compared = 0;
    // One row is one JSON object, but a form feed or the like may stand in it.
    for row in rows.split('\n').filter(|row| !row.is_empty()) {
        let row: Value = serde_json::from_str(row).unwrap();
        let read = read_ignore_file(row["input"].as_str().unwrap());
        let read: Vec<_> = read.iter().map(|(_, pattern)| pattern.as_str()).collect();
        assert_eq!(read, texts(&row["patterns"]), "{row}");
        compared += 1;
    }
    assert_eq!(compared, 300);
}

#[test]
fn upstreams_tables_hold() {
    let Some(tables) = shared("patternmatcher_tables.json") else { return };
    let tables: Value = serde_json::from_str(&tables).unwrap();
    let mut compared = 0;
    for table in tables["patternmatcher_test.go"].as_array().unwrap() {
        for row in table["rows"].as_array().unwrap() {
            let (pass, patterns) = match (&row["pass"], &row["match"]) {
                (Value::Bool(pass), _) if row["pattern"].is_string() => (*pass, vec![row["pattern"].as_str().unwrap()]),
                (Value::Bool(pass), _) => (*pass, texts(&row["patterns"])),
                (_, Value::Bool(pass)) => (*pass, vec![row["pattern"].as_str().unwrap()]),
                _ => continue,
            };
            let path = row["text"].as_str().or(row["s"].as_str()).unwrap();
            let answer = Matcher::new(patterns).map(|matcher| matcher.matches(path));
            if row["err"].is_object() {
                assert!(answer.is_err(), "{row}");
            } else {
                assert_eq!(answer, Ok(pass), "{row}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 126);
}

#[test]
fn upstreams_single_tests_hold() {
    let matches = |patterns: &[&str], path| Matcher::new(patterns.iter().copied()).unwrap().matches(path);
    assert!(matches(&["*"], "fileutils.go"));
    assert!(matches(&["!fileutils.go", "*.go"], "fileutils.go"));
    assert!(!matches(&["*.go", "!fileutils.go"], "fileutils.go"));
    assert!(!matches(&["docs", "!docs/README.md"], "docs/README.md"));
    assert!(!matches(&["docs/", "!docs/README.md"], "docs/README.md"));
    assert!(!matches(&["docs/*", "!docs/README.md"], "docs/README.md"));
    assert!(matches(&["*.go"], "pkg.go/fileutils.c"));
    for wrong in ["!", "[", "[a-]", "\\", "a\\d"] {
        assert!(Matcher::new([wrong]).is_err(), "{wrong}");
    }
}

/// A matcher that tries every way would need longer than the universe has.
#[test]
fn many_stars_do_not_take_long() {
    let pattern = "*a".repeat(200) + "b";
    assert!(!Matcher::new([pattern.as_str()]).unwrap().matches(&"a".repeat(4000)));
    assert!(Matcher::new(["**/".repeat(100_000).as_str()]).is_err());
    let pattern = "**/a".repeat(200) + "b";
    assert!(!Matcher::new([pattern.as_str()]).unwrap().matches(&"a/".repeat(2000)));
}

fn project(settings: &str, dockerignore: Option<&str>) -> Result<Ignore, Failure> {
    let texts = Texts { corten: Some(Text::new("corten.toml", settings)), ..Texts::default() };
    let file = dockerignore.map(|text| Text::new(".dockerignore", text));
    Ignore::new(&Settings::read(&texts).unwrap(), file.as_ref())
}

fn shown(ignore: &Ignore, path: &str) -> String {
    match ignore.fate(path) {
        Fate::App => "app".into(),
        Fate::Weight => "weight".into(),
        Fate::Ignored(group) => group.name.clone(),
    }
}

#[test]
fn default_groups_take_what_tools_leave_and_spare_packages() {
    let ignore = project("", None).unwrap();
    for (path, fate) in [
        (".git/HEAD", "version control"),
        ("lib/.venv/x.py", "virtual environments"),
        ("env/pyvenv.cfg", "virtual environments"),
        ("env/lib/python3.11/site-packages/x.py", "virtual environments"),
        ("env/__init__.py", "app"),
        ("gym/env/walker.py", "app"),
        ("a/__pycache__/b.pyc", "bytecode"),
        (".env", "secrets"),
        ("deploy/.env.production", "secrets"),
        (".env.example", "app"),
        (".envrc", "secrets"),
        ("environment.py", "app"),
        ("wandb/run-1/x", "experiments"),
        ("src/wandb/__init__.py", "app"),
        ("src/wandb/run-2024/x", "experiments"),
        ("mlruns/0/meta.yaml", "experiments"),
        ("runs/events.out", "experiments"),
        ("src/runs/__init__.py", "app"),
        ("checkpoints/last.pt", "checkpoints"),
        ("src/checkpoints/save.py", "app"),
        ("artifacts/x", "artifacts"),
        ("nb/.ipynb_checkpoints/x.ipynb", "notebook checkpoints"),
        ("web/node_modules/x/index.js", "node packages"),
        ("my.egg-info/PKG-INFO", "package builds"),
        ("dist/x-1.0-py3-none-any.whl", "package builds"),
        ("dist/index.html", "app"),
        ("build/static/app.js", "app"),
        (".DS_Store", "editors and build files"),
        ("corten.lock", "corten.lock"),
        (".corten.lock.incomplete", "corten.lock"),
        ("main.py", "app"),
        ("uv.lock", "app"),
    ] {
        assert_eq!(shown(&ignore, path), fate, "{path}");
    }
}

#[test]
fn what_is_written_wins_over_defaults_and_weights_over_both() {
    let settings = "weights = ['artifacts/*.onnx', '**/*.pt']\nignore.patterns = ['data', '!runs/keep.txt']";
    let ignore = project(settings, Some("# mine\n*.md\n!checkpoints\nartifacts\n")).unwrap();
    for (path, fate) in [
        ("README.md", ".dockerignore"),
        ("data/x", "[ignore] patterns"),
        ("checkpoints/notes.txt", "app"),
        ("checkpoints/last.pt", "weight"),
        ("artifacts/model.onnx", "weight"),
        ("artifacts/log.txt", "artifacts"),
        ("runs/keep.txt", "app"),
        ("runs/other.txt", "experiments"),
        (".venv/lib/torch/test.pt", "virtual environments"),
    ] {
        assert_eq!(shown(&ignore, path), fate, "{path}");
    }
    let bare = project("ignore.defaults = false\nignore.patterns = ['!corten.lock']", None).unwrap();
    assert_eq!(shown(&bare, ".git/HEAD"), "app");
    assert_eq!(shown(&bare, "corten.lock"), "corten.lock");
}

#[test]
fn a_folder_is_pruned_only_if_nothing_in_it_can_enter() {
    let ignore = project("weights = ['artifacts/*.onnx']\nignore.patterns = ['!runs/keep.txt']", None).unwrap();
    let pruned = |folder| ignore.prunes(folder).is_some();
    assert!(pruned(".git") && pruned("wandb") && pruned("mlruns") && pruned("a/node_modules"));
    assert!(!pruned("runs") && !pruned("artifacts") && !pruned("src"));
    assert!(project("weights = ['**/*.pt']", None).unwrap().prunes("wandb").is_none());
}

#[test]
fn wrong_patterns_are_shown_where_they_stand() {
    let failure = project("", Some("ok\n[a-\n")).unwrap_err();
    assert_eq!((failure.fault(), failure.span().unwrap().position()), (Fault::Input, (2, 1)));
    let failure = project("weights = ['[']", None).unwrap_err();
    assert_eq!((failure.fault(), failure.span().unwrap().position()), (Fault::Usage, (1, 12)));
}

/// What a project names for its tests is nothing that the image needs; a name with the letters of a pattern means itself.
#[test]
fn what_is_there_for_tests_alone_stays_out() {
    let texts = Texts {
        corten: Some(Text::new("corten.toml", "[test]\npaths = ['tests', 'a[1]*']\njunit = 'reports/junit.xml'\n")),
        ..Texts::default()
    };
    let ignore = Ignore::new(&Settings::read(&texts).unwrap(), None).unwrap();
    for path in ["tests/test_a.py", "a[1]*", "reports/junit.xml"] {
        assert!(matches!(ignore.fate(path), Fate::Ignored(group) if group.name == "[test]"), "{path}");
    }
    for path in ["a1b", "src/tests/x.py", "reports/other.xml", "test"] {
        assert_eq!(ignore.fate(path), Fate::App, "{path}");
    }
}
