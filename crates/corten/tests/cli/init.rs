//! `corten init`: what it writes is what a plan takes and would have taken anyway; what stands there already stays.

use std::fs;

use serde_json::{Value, json};

use crate::service::Service;
use crate::told::refuses;

/// A service that nobody has written settings for; its store and corten.lock are there, so that no archive is asked.
pub fn plain() -> Service {
    let service = Service::filled();
    service.remove("corten.toml");
    service.remove("weights/model.onnx");
    fs::remove_dir_all(service.folder().join("keys")).unwrap();
    service
}

/// What a plan says of the image, but for the files that `init` itself writes.
fn planned(service: &Service) -> Value {
    let mut plan = service.run("plan --offline --format json").expect(0).json();
    plan["base"].as_object_mut().unwrap().remove("why");
    let plan = plan.as_object_mut().unwrap();
    ["largest", "ignored"].iter().for_each(|key| drop(plan.remove(*key)));
    for layer in plan["layers"].as_array_mut().unwrap() {
        layer["bytes"] = json!(null);
    }
    json!(plan)
}

#[test]
fn what_it_writes_is_what_was_found_and_changes_no_plan() {
    let service = plain();
    let (before, pyproject) = (planned(&service), service.read("pyproject.toml"));
    let ran = service.run("init").expect(0);
    assert_eq!(ran.stdout, "wrote  pyproject.toml\nnext   corten plan\n");
    let written = service.read("pyproject.toml");
    assert_eq!(
        written,
        format!(
            r#"{pyproject}
[tool.corten]
# Written by `corten init`. Lines behind a # are comments: guesses, or what is found anew each time.
# All settings: `corten schema`; which hold, and why: `corten plan --explain-settings`.
# Python 3.11.2: pinned in corten.lock (certain).
base = "debian:bookworm"
# FastAPI object 'app' at app.py:3:1 (sure). The port stands in it, too.
run = "/opt/venv/bin/python -m uvicorn app:app --host 0.0.0.0 --port 8000"
# What it listens on.
port = 8000
# A path of the service.
healthcheck = {{ path = "/health" }}
"#
        )
    );
    assert_eq!(planned(&service), before);
    assert!(!service.folder().join(".dockerignore").exists());
    let again = service.run("init").expect(0);
    assert_eq!(again.stdout, "nothing to write: what the folder shows stands there already\n");
    assert_eq!(service.read("pyproject.toml"), written);
}

#[test]
fn settings_that_stand_there_stay() {
    let service = plain();
    service.write(
        "pyproject.toml",
        format!("{}\n[tool.corten]\nport = 80\n\n[tool.x]\ny = 1\n", service.read("pyproject.toml")),
    );
    let before = service.read("pyproject.toml");
    let ran = service.run("init").expect(1);
    assert!(ran.stdout.starts_with("--- a/pyproject.toml\n+++ b/pyproject.toml\n@@ "), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n-port = 80\n") && ran.stdout.contains("\n+port = 8000\n"), "{}", ran.stdout);
    let told = "error: settings stand already in [tool.corten] of pyproject.toml; nothing was written\n\
        hint: --yes writes what the difference shows; --dry-run only shows it\n";
    assert!(ran.stderr.ends_with(told), "{}", ran.stderr);
    assert_eq!(service.read("pyproject.toml"), before);
    assert_eq!(service.run("init --diff").expect(0).stdout, ran.stdout);
    let json = service.run("init --format json").expect(1).json();
    assert_eq!((&json["written"], &json["replaces"]), (&json!(false), &json!("[tool.corten] of pyproject.toml")));
    assert_eq!(service.read("pyproject.toml"), before);

    service.run("init --yes").expect(0);
    let after = service.read("pyproject.toml");
    assert!(
        after.contains("[tool.x]\ny = 1\n") && after.contains("port = 8000") && !after.contains("port = 80\n"),
        "{after}"
    );
    planned(&service);

    // Settings that nothing can read are settings, too.
    let service = plain();
    service.write("corten.toml", "prot = [");
    assert!(service.run("init").expect(1).stdout.contains("\n-prot = [\n"));
    assert_eq!(service.read("corten.toml"), "prot = [");
}

#[test]
fn a_dry_run_writes_nothing() {
    let service = plain();
    let before = service.read("pyproject.toml");
    let shown = service.run("init --dry-run").expect(0).stdout;
    assert_eq!(service.read("pyproject.toml"), before);
    // What git makes of it is what a real run writes.
    service.write("diff", shown);
    service.git("apply diff");
    service.remove("diff");
    let applied = service.read("pyproject.toml");
    service.write("pyproject.toml", before);
    service.run("init").expect(0);
    assert_eq!(service.read("pyproject.toml"), applied);
}

#[test]
fn models_get_a_layer_and_what_no_service_reads_stays_out() {
    let service = plain();
    service.write("weights/model.onnx", vec![0; 300_000]);
    for (path, text) in [
        ("tests/test_app.py", "import app\n"),
        ("docs/index.md", "words"),
        ("explore.ipynb", "{}"),
        ("data/rows.csv", &"1,2,3\n".repeat(300_000)),
        ("checkpoints/last.pt", "x"),
    ] {
        fs::create_dir_all(service.folder().join(path).parent().unwrap()).unwrap();
        service.write(path, text);
    }
    let json = service.run("init --format json").expect(0).json();
    let text = json["files"][0]["text"].as_str().unwrap();
    assert!(text.contains("weights = [\"weights/*.onnx\"]\n"), "{text}");
    assert!(text.contains("# checkpoints: 1 file, 1 B, stays out (checkpoints);"), "{text}");
    assert_eq!(
        service.read(".dockerignore"),
        "# Written by `corten init`: what no service reads. Version control, environments, caches and experiments stay out anyway.\n\
        # tests: 1 file, 11 B\ntests\n# documentation: 1 file, 5 B\ndocs\n# notebooks: 1 file, 2 B\n**/*.ipynb\n\
        # data: 1 file, 1.8 MB; take the # away if the service does not read them\n# data\n"
    );
    let plan = service.run("plan --offline --format json").expect(0).json();
    let out = plan["ignored"].as_array().unwrap().iter().find(|out| out["because"] == ".dockerignore").unwrap();
    assert_eq!(out["files"], 3);
    assert!(plan["layers"].as_array().unwrap().iter().any(|layer| layer["what"] == "weights"), "{plan}");

    // Beside a Dockerfile, which would see less by it, and where a folder is imported.
    let service = plain();
    service.write("Dockerfile", "FROM scratch\n");
    for folder in ["tests", "docs"] {
        fs::create_dir(service.folder().join(folder)).unwrap();
        service.write(&format!("{folder}/x.py"), "");
    }
    service.edit("app.py", "from fastapi", "from docs.x import y\nfrom fastapi");
    service.run("init").expect(0);
    assert!(!service.folder().join(".dockerignore").exists());
    let written = service.read("pyproject.toml");
    assert!(written.contains("ignore = { patterns = [\"tests\"] }\n"), "{written}");
    assert!(
        written.contains("# docs: documentation: 1 file, 0 B, but its name stands in pyproject.toml or an import."),
        "{written}"
    );
    planned(&service);
}

#[test]
fn a_folder_without_a_lock_is_told_what_comes_next() {
    let service = plain();
    service.remove("uv.lock");
    let ran = service.run("init").expect(0);
    assert_eq!(ran.stdout, "wrote  pyproject.toml\nnext   corten lock\nnext   corten plan\n");
    assert!(
        ran.stderr.contains("warning  there is no lock: `corten lock` makes pylock.toml of pyproject.toml"),
        "{}",
        ran.stderr
    );
    let written = service.read("pyproject.toml");
    assert!(
        !written.contains("\nbase = ") && written.contains("\nport = 8000\n"),
        "what a lock decides is not said: {written}"
    );

    let service = plain();
    for file in ["uv.lock", "pyproject.toml"] {
        service.remove(file);
    }
    service.write("requirements.txt", "fastapi\nuvicorn>=0.30  # any\n");
    let ran = service.run("init").expect(0);
    assert_eq!(ran.stdout, "wrote  corten.toml\nnext   corten lock\nnext   corten plan\n");
    assert!(service.read("corten.toml").contains("# version = \"0.1.0\"\n"));
}

#[test]
fn what_stands_in_a_plans_way_is_told_in_its_words() {
    let service = plain();
    service.write("poetry.lock", "");
    let ran = service.run("init").expect(0);
    assert!(
        ran.stderr.contains("warning  there are several locks: poetry.lock, uv.lock (say which with"),
        "{}",
        ran.stderr
    );
    let service = plain();
    service.write(".python-version", "3.13\n");
    service.remove("corten.lock");
    service.run("init").expect(0);
    let written = service.read("pyproject.toml");
    assert!(
        written.contains("# Python 3.13.5: .python-version says 3.13 (certain).\nbase = \"debian:trixie\"\n"),
        "{written}"
    );
    let service = plain();
    service.write("app.py", "x = 1\n");
    service.write("two.py", "x = 1\n");
    service.remove("app.py");
    let ran = service.run("init").expect(0);
    assert!(ran.stderr.contains("warning  cannot find how the project is started"), "{}", ran.stderr);
    assert!(!service.read("pyproject.toml").contains("\nrun ="));
}

/// Neither ends the comment or the string that it stands in.
#[test]
fn names_of_a_strangers_files_stay_names() {
    let service = plain();
    let folder = "a\n[tool.corten.env]\nEVIL = \"1\"\n#\u{1b}[2J\"";
    fs::create_dir(service.folder().join(folder)).unwrap();
    service.write(&format!("{folder}/m.onnx"), vec![0; 300_000]);
    fs::create_dir_all(service.folder().join("checkpoints")).unwrap();
    service.write("checkpoints/x\nport = 1", "");
    service.run("init").expect(0);
    let written = service.read("pyproject.toml");
    assert!(!written.contains('\u{1b}') && !written.contains("\nEVIL"), "{written}");
    planned(&service);
}

#[test]
fn folders_and_manifests_that_are_none() {
    let service = plain();
    refuses(
        &service,
        "init nowhere",
        2,
        "
error: there is no folder nowhere
hint: give the folder of a project: corten init path/to/project
",
    );
    fs::create_dir(service.folder().join("empty")).unwrap();
    refuses(
        &service,
        "init empty",
        1,
        "
error: there is no Python project in empty
hint: a project has pyproject.toml or requirements.txt, or at least a Python file
",
    );
    service.edit("pyproject.toml", "name = \"service\"", "name = [");
    refuses(
        &service,
        "init",
        1,
        r#"
error: cannot read ./pyproject.toml: unexpected `=` in array, expected value, `]`
 --> ./pyproject.toml:3:9
  |
3 | version = "1.3.0"
  |         ^
"#,
    );
}

/// Nothing says what is needed but the code.
#[test]
fn imports_of_notebooks_become_requirements_that_somebody_has_to_look_at() {
    let service = plain();
    ["pyproject.toml", "uv.lock", "app.py"].into_iter().for_each(|name| service.remove(name));
    service.write("main.py", "import json, yaml\nimport helper\nif __name__ == '__main__':\n    pass\n");
    service.write("helper.py", "import sklearn\n");
    service.write("a.ipynb", r##"{"cells": [{"cell_type": "code", "source": ["import cv2\n"]}]}"##);
    let ran = service.run("init").expect(0);
    assert!(
        ran.stdout.contains("wrote  requirements.in\n") && ran.stdout.contains("next   corten lock\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("imports  opencv-python-headless pyyaml scikit-learn  (a guess: imported"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        service.read("requirements.in"),
        "# Written by `corten init`: what sources and notebooks import, by the names that the packages usually have.\n\
        opencv-python-headless  # a.ipynb\npyyaml  # main.py\nscikit-learn  # helper.py\n"
    );
}
