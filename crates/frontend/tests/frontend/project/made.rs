//! 119 small trees, each built by its real backend (`made` of the fixtures).

use std::path::Path;

use corten_frontend::python::project::{Git, OwnWheel, Project, Refusal, own_wheel};
use serde_json::Value;

use super::folders::{Memory, cases, texts};
use super::metadata::{difference, entry_points};

fn folder(case: &Value) -> Memory {
    let text = |value: &Value| value.as_str().map_or_else(|| texts(value).join("\n"), str::to_owned);
    let files = case["files"].as_object().expect("files");
    Memory(files.iter().map(|(path, value)| (path.clone(), text(value).into_bytes())).collect())
}

fn compute(case: &Value) -> Result<OwnWheel, Refusal> {
    let folder = folder(case);
    let git =
        case.get("git_tracked").map(|tracked| Git { tracked: texts(tracked).into_iter().collect(), ..Git::default() });
    let project = Project {
        folder: &folder,
        shown: Path::new(""),
        version: None,
        git: git.as_ref(),
        ignored_above: &[],
        locked: None,
    };
    own_wheel(&project)
}

fn paths(wheel: &OwnWheel) -> Vec<String> {
    let mut paths: Vec<String> = wheel.files.iter().map(|file| file.path.clone()).collect();
    paths.push(format!("{}/RECORD", wheel.dist_info));
    paths.sort();
    paths
}

/// What is wrong with one tree.
fn wrong(case: &Value) -> Option<String> {
    let refuse = case.get("expect").and_then(Value::as_str) == Some("refuse");
    let wheel = match compute(case) {
        Err(_) if refuse => return None,
        Err(refusal) => return Some(refusal.to_string()),
        Ok(_) if refuse => return Some(format!("is not refused: {}", case["why"])),
        Ok(wheel) => wheel,
    };
    let (mut theirs, ours) = (texts(&case["paths"]), paths(&wheel));
    theirs.sort();
    if theirs != ours {
        let missing: Vec<_> = theirs.iter().filter(|path| !ours.contains(path)).collect();
        let more: Vec<_> = ours.iter().filter(|path| !theirs.contains(path)).collect();
        return Some(format!("missing {missing:?}, too many {more:?}"));
    }
    let file_name = case["wheel"].as_str().expect("wheel");
    if wheel.file_name != file_name {
        return Some(format!("the wheel is {file_name}, ours {}", wheel.file_name));
    }
    let headers = texts(&case["metadata"]);
    difference(headers.iter().map(String::as_str), wheel.info("METADATA").expect("METADATA"))
        .or_else(|| texts_of(case, &wheel))
}

fn texts_of(case: &Value, wheel: &OwnWheel) -> Option<String> {
    let theirs = entry_points(&texts(&case["entry_points_txt"]).join("\n"));
    let ours = entry_points(wheel.info("entry_points.txt").unwrap_or_default());
    if theirs != ours {
        return Some(format!("entry points {theirs:?}, ours {ours:?}"));
    }
    let theirs = texts(case.get("top_level_txt")?).join("\n");
    let ours = wheel.info("top_level.txt").unwrap_or_default();
    (theirs.trim() != ours.trim()).then(|| format!("top_level.txt {theirs:?}, ours {ours:?}"))
}

#[test]
fn made_trees_give_what_their_backends_built() {
    let Some(cases) = cases() else { return };
    let made = cases["made"].as_array().expect("made");
    assert_eq!(made.len(), 119);
    let wrong: Vec<String> =
        made.iter().filter_map(|case| Some(format!("{}: {}", case["name"].as_str()?, wrong(case)?))).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), made.len(), wrong.join("\n"));
}
