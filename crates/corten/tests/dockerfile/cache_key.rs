//! `shared/data/dockerfile/cache-key`: an edit between two builds, and which steps BuildKit made again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::build::{Build, World, data};

const MAKE: &str = "import sys,json,os\nsys.path.insert(0,sys.argv[1])\nfrom mutations import *\nw=sys.argv[2]\nf=json.load(sys.stdin)\nif f['files'] is not None: mk(w,{k:(('l',v['symlink']) if isinstance(v,dict) else v) for k,v in f['files'].items()})\nif f['mutation']: eval(f['mutation'])(w)\n";

/// What is otherwise here, as docs/dockerfile.md says: BuildKit has the epoch in no key, so a cached step keeps its times.
const OTHERWISE: [&str; 1] = ["run-arg-source-date-epoch"];

#[test]
fn steps_are_made_again_when_buildkit_makes_them_again() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let text = fs::read_to_string(data.join("cache-key/cases.jsonl")).unwrap();
    let only = std::env::var("CACHE_KEY").unwrap_or_default();
    let mut wrong = Vec::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        if !name.contains(&only) {
            continue;
        }
        match (check(&world, &data, name, &case), OTHERWISE.contains(&name)) {
            (Err(_), true) | (Ok(_), false) => {}
            (Err(error), false) => wrong.push(format!("{name}: {error}")),
            (Ok(_), true) => wrong.push(format!("{name}: is as BuildKit has it")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), text.lines().count(), wrong.join("\n"));
}

fn change(data: &Path, folder: &Path, files: &Value, mutation: &Value) {
    let input = serde_json::json!({"files": files, "mutation": mutation}).to_string();
    let mut child = Command::new("python3")
        .args(["-c", MAKE])
        .arg(data.join("cache-key"))
        .arg(folder)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn check(world: &World, data: &Path, name: &str, case: &Value) -> Result<(), String> {
    let folder = world.project(&format!("{name}/context"));
    let nonce = |text: &str| text.replace("@N@", name);
    let replaced: Value = serde_json::from_str(&nonce(&case["files"].to_string())).unwrap();
    change(data, &folder, &replaced, &Value::Null);
    let secrets = |field: &str| -> BTreeMap<String, String> {
        let all = case[field].as_object().cloned().unwrap_or_default();
        all.into_iter().map(|(id, value)| (id, value.as_str().unwrap().to_owned())).collect()
    };
    let file = world.project(name).join("Dockerfile");
    let first = nonce(case["dockerfile"].as_str().unwrap());
    fs::write(&file, &first).unwrap();
    let mut build = Build::new(&folder, "../Dockerfile");
    build.secrets = secrets("secrets_first");
    build.run(world)?;
    change(data, &folder, &Value::Null, &case["mutation"]);
    let second = case["dockerfile_second"].as_str().map_or(first, nonce);
    fs::write(&file, &second).unwrap();
    build.secrets = secrets("secrets_second");
    for (option, value) in case["build_opts_second"].as_object().cloned().unwrap_or_default() {
        match option.as_str() {
            "no-cache" => build.no_cache = true,
            "shm-size" => build.shm = Some(value.as_str().unwrap().parse().unwrap()),
            other => {
                let name = other.strip_prefix("build-arg:").unwrap();
                build.build_args.insert(name.to_owned(), value.as_str().unwrap().to_owned());
            }
        }
    }
    let finished = build.run(world)?;
    let expected =
        if case.get("note").is_some() { &case["cached_second_fresh_transfer"] } else { &case["cached_second"] };
    for (step, cached) in expected.as_object().unwrap() {
        // BuildKit's own merge of a linked layer is no step of the file.
        if step.starts_with("LINK ") {
            continue;
        }
        let told = finished.steps.iter().find(|found| {
            let (_, said) = found.name.split_once("] ").unwrap();
            squeezed(said) == squeezed(&nonce(step)) || step.contains("<<")
        });
        let told = told.ok_or_else(|| {
            format!("no step '{step}' among {:?}", finished.steps.iter().map(|step| &step.name).collect::<Vec<_>>())
        })?;
        if told.cached != cached.as_bool().unwrap() {
            return Err(format!(
                "'{}' was {} ({:?})",
                told.name,
                if told.cached { "reused" } else { "made again" },
                told.miss
            ));
        }
    }
    Ok(())
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
