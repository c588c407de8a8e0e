//! Projects that cannot be built as they are: status 1, the place, and what to do.

use corten_testkit::wheel::WheelBuilder;

use crate::service::{Service, Wheel, wheels};
use crate::told::refuses;

#[test]
fn a_folder_with_nothing_to_build() {
    let service = Service::new();
    service.remove("uv.lock");
    refuses(
        &service,
        "build",
        1,
        "
error: there is nothing to build in .: no lock
hint: `corten lock` makes pylock.toml from pyproject.toml; or `uv lock` uv.lock, or your own tool its lock
",
    );
    for file in ["pyproject.toml", "corten.toml"] {
        service.remove(file);
    }
    refuses(
        &service,
        "build",
        1,
        "
error: there is nothing to build in .: no lock
hint: a project has pyproject.toml and a lock: uv.lock, …
",
    );
    service.write("Dockerfile", "FROM python\n");
    refuses(
        &service,
        "ship",
        2,
        "
error: . is built from its Dockerfile, and this command needs its lock
hint: `corten build` and `corten plan` take the Dockerfile
hint: --frontend native takes the lock
",
    );
}

#[test]
fn a_lock_out_of_step_with_the_manifest() {
    let service = Service::new();
    service.edit("pyproject.toml", "tensor>=2", "tensor>=3");
    refuses(
        &service,
        "build --format json",
        1,
        r#"
error: uv.lock is out of step with pyproject.toml: 'service' no longer needs tensor>=2; 'service' now needs tensor>=3
 --> ./pyproject.toml:7:5
  |
7 |     "tensor>=3",
  |     ^^^^^^^^^^^
hint: lock again with `uv lock`, and commit the lock
hint: --frozen takes the lock as it is
"#,
    );
    service.edit("pyproject.toml", "    \"tensor>=3\",\n", "    \"tensor>=2\",\n    \"httpx\",\n");
    refuses(
        &service,
        "ship --format json",
        1,
        r#"
error: uv.lock is out of step with pyproject.toml: 'service' now needs httpx
 --> ./pyproject.toml:8:5
  |
8 |     "httpx",
  |     ^^^^^^^
hint: lock again with `uv lock`, and commit the lock
hint: --frozen takes the lock as it is
"#,
    );
    service.edit("pyproject.toml", "    \"httpx\",\n", "");
    service.edit("pyproject.toml", "version = \"1.3.0\"", "version = \"1.4.0\"");
    refuses(
        &service,
        "ship",
        1,
        r#"
error: uv.lock is out of step with pyproject.toml: the version of 'service' was 1.3.0, is 1.4.0
 --> ./pyproject.toml:3:11
  |
3 | version = "1.4.0"
  |           ^^^^^^^
hint: lock again with `uv lock`, and commit the lock
hint: --frozen takes the lock as it is
"#,
    );
    for verb in ["plan", "check", "lock"] {
        let told = service.run(verb).expect(1).stderr;
        assert!(told.contains("uv.lock is out of step with pyproject.toml: the version of 'service'"), "{told}");
    }
    assert!(service.archive.server.server().asked().is_empty(), "it is told before anything is fetched");
    assert_eq!(service.run("images --format json").expect(0).json(), serde_json::json!([]));
}

#[test]
fn a_stale_lock_is_taken_as_it_is_when_frozen() {
    let service = Service::filled();
    service.edit("pyproject.toml", "tensor>=2", "tensor>=3");
    let report = service.run("check --frozen --format json").expect(0).json();
    let rules: Vec<_> = report["findings"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert!(rules.iter().any(|rule| *rule == "ML185"), "{report}");
    let told = service.run("build --frozen").expect(0).stderr;
    assert!(told.contains("warning: ML185 uv.lock is out of step with pyproject.toml"), "{told}");
    for verb in ["plan", "ship", "lock"] {
        service.run(&format!("{verb} --frozen")).expect(0);
    }
    service.edit("corten.toml", "[archive]", "[check]\ndeny = [\"ML185\"]\n\n[archive]");
    service.run("check --frozen").expect(1);
}

/// They keep nothing to compare with: what contradicts the manifest is found, and the build goes on.
#[test]
fn an_exported_lock_that_contradicts_the_manifest_is_a_finding() {
    let service = Service::filled();
    let pins: String = crate::service::wheels()
        .iter()
        .map(|wheel| format!("{}=={} --hash={}\n", wheel.name, wheel.version, corten_oci::Digest::of(&wheel.bytes)))
        .collect();
    service.write("requirements.txt", format!("--index-url {}\n{pins}", service.index.url()));
    service.remove("uv.lock");
    service.edit("pyproject.toml", "tensor>=2", "tensor>=3");
    let told = service.run("build").expect(0).stderr;
    assert!(told.contains("warning: ML185 requirements.txt is out of step"), "{told}");
}

#[test]
fn pythons_that_the_base_does_not_have() {
    let service = Service::new();
    service.edit("pyproject.toml", ">=3.11", ">=3.14");
    service.edit("uv.lock", ">=3.11", ">=3.14");
    refuses(
        &service,
        "build",
        1,
        r#"
error: the project requires Python >=3.14, which no base has
 --> ./pyproject.toml:4:19
  |
4 | requires-python = ">=3.14"
  |                   ^^^^^^^^
hint: debian:bookworm has Python 3.11, debian:trixie has Python 3.13
"#,
    );
    let service = Service::new();
    service.edit("uv.lock", "requires-python = \">=3.11\"", "requires-python = \">=3.14\"");
    refuses(
        &service,
        "build --frozen",
        1,
        r#"
error: ./uv.lock: Python version conflict: it is for Python >=3.14, the base has Python 3.11.2
 --> ./uv.lock:3:19
  |
3 | requires-python = ">=3.14"
  |                   ^^^^^^^^
hint: take a base whose Python is >=3.14, or lock again for Python 3.11.2
"#,
    );
}

/// A service that locks `file` instead of tensor's wheel.
fn with_file(file: &str) -> Service {
    let service = Service::new();
    let mut wheels = wheels();
    wheels[1] = Wheel { file: file.to_owned(), ..wheels[1].clone() };
    service.write("uv.lock", service.lock_of(&wheels));
    service
}

#[test]
fn packages_without_a_wheel_for_the_image() {
    refuses(
        &with_file("tensor-2.0-cp311-cp311-win_amd64.whl"),
        "build --format json",
        1,
        r#"
error: tensor 2.0 cannot be installed: it has no wheel for Python 3.11 on linux/amd64 with glibc 2.36
  --> ./uv.lock:12:8
   |
12 | name = "tensor"
   |        ^^^^^^^^
hint: the lock has tensor-2.0-cp311-cp311-win_amd64.whl: take a Python or base that one of them is for, or another version
"#,
    );
    let service = with_file("tensor-2.0-cp313-cp313-manylinux_2_28_x86_64.whl");
    service.write("corten.toml", service.settings("base = \"debian:bookworm\""));
    refuses(
        &service,
        "build",
        1,
        r#"
error: tensor 2.0 cannot be installed: it has no wheel for Python 3.11 on linux/amd64 with glibc 2.36
  --> ./uv.lock:12:8
   |
12 | name = "tensor"
   |        ^^^^^^^^
hint: the lock has tensor-2.0-cp313-cp313-manylinux_2_28_x86_64.whl: take a Python or base that one of them is for, or another version
"#,
    );
    let service = with_file("tensor-2.0-cp311-cp311-win_amd64.whl");
    service.edit("uv.lock", "uvicorn-0.34.0-py3-none-any.whl", "uvicorn-0.34.0-py2-none-any.whl");
    refuses(
        &service,
        "plan",
        1,
        r#"
error: 2 packages cannot be installed: tensor 2.0 (no wheel for platform, no sdist), uvicorn 0.34.0 (no wheel for platform, no sdist)
  --> ./uv.lock:12:8
   |
12 | name = "tensor"
   |        ^^^^^^^^
hint: the lock has tensor-2.0-cp311-cp311-win_amd64.whl: take a Python or base that one of them is for, or another version
"#,
    );
}

#[test]
fn packages_from_elsewhere() {
    let at = |source: &str| {
        let service = with_file("tensor-2.0.tar.gz");
        let from = format!("name = \"tensor\"\nversion = \"2.0\"\nsource = {{ registry = \"{}\" }}", index(&service));
        service.edit("uv.lock", &from, &format!("name = \"tensor\"\nversion = \"2.0\"\nsource = {{ {source} }}"));
        service
    };
    refuses(
        &at("editable = \"packages/tensor\""),
        "build",
        1,
        r#"
error: the lock installs tensor from packages/tensor, where no file is
  --> ./uv.lock:12:1
   |
12 | name = "tensor"
   | ^^^^^^^^^^^^^^^
hint: bring the folder along; if it is there, see whether .dockerignore keeps it out
"#,
    );
    refuses(
        &at("directory = \"../tensor\""),
        "build",
        1,
        r#"
error: the lock installs tensor from ../tensor, where no file is
  --> ./uv.lock:12:1
   |
12 | name = "tensor"
   | ^^^^^^^^^^^^^^^
hint: bring the folder along; if it is there, see whether .dockerignore keeps it out
"#,
    );
}

fn index(service: &Service) -> String {
    service.index.url().trim_end_matches('/').to_owned()
}

#[test]
fn sources_that_start_in_no_way_or_in_several() {
    let service = Service::new();
    service.remove("app.py");
    service.write("tool.py", "x = 1\n");
    refuses(
        &service,
        "build",
        1,
        r#"
error: cannot find how the project is started: 2 Python files were read; no web application, no console script, no main.py
hint: write it down: run = ["python", "serve.py"] in corten.toml or [tool.corten]
"#,
    );
    service.write("one.py", "from fastapi import FastAPI\napp = FastAPI()\n");
    service.write("serve.py", "from fastapi import FastAPI\napi = FastAPI()\n");
    refuses(
        &service,
        "plan",
        1,
        "
error: the project can be started in several ways: FastAPI 'app' in one.py:2, FastAPI 'api' in serve.py:2
hint: write the command of this service as 'run' in corten.toml or [tool.corten]
",
    );
}

#[test]
fn a_file_that_is_no_wheel() {
    let service = Service::new();
    let mut wheels = wheels();
    wheels[0].bytes = b"<html>Please log in</html>".to_vec();
    service.index.add("fastapi", &wheels[0].file, &wheels[0].bytes);
    service.write("uv.lock", service.lock_of(&wheels));
    refuses(
        &service,
        "build --format json",
        1,
        "
error: installing fastapi 0.115.0: it is no zip: there is no end record
hint: lock another version of the package, or tell its maintainers
",
    );

    let hostile = WheelBuilder::new("fastapi", "0.115.0").file("../../escape.py", "x");
    wheels[0].bytes = hostile.build();
    service.index.add("fastapi", &wheels[0].file, &wheels[0].bytes);
    service.write("uv.lock", service.lock_of(&wheels));
    refuses(
        &service,
        "build",
        1,
        "
error: installing fastapi 0.115.0: zip member '../../escape.py': its name climbs out of the archive ('..')
hint: lock another version of the package, or tell its maintainers
",
    );
    assert_eq!(service.run("images --format json").expect(0).json(), serde_json::json!([]));
}

#[test]
fn packages_of_the_project_are_installed_or_refused_by_name() {
    let service = with_file("tensor-2.0.tar.gz");
    let from = format!("name = \"tensor\"\nversion = \"2.0\"\nsource = {{ registry = \"{}\" }}", index(&service));
    service.edit("uv.lock", &from, "name = \"tensor\"\nversion = \"2.0\"\nsource = { editable = \"libs/tensor\" }");
    std::fs::create_dir_all(service.folder().join("libs/tensor/tensor")).unwrap();
    let manifest = "[project]\nname = \"tensor\"\nversion = \"2.0\"\n[build-system]\nrequires = [\"flit_core\"]\n\
                    build-backend = \"flit_core.buildapi\"\n";
    service.write("libs/tensor/pyproject.toml", manifest);
    service.write("libs/tensor/tensor/__init__.py", "");

    let planned = service.run("plan --format json");
    let plan: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
    let layers: Vec<&str> =
        plan["layers"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert!(layers.contains(&"the project: tensor 2.0"), "{layers:?}");

    service.edit("libs/tensor/pyproject.toml", "flit_core.buildapi", "maturin");
    refuses(
        &service,
        "plan",
        1,
        r#"
error: cannot install tensor without running code: build backend "maturin" is not one that corten computes
 --> ./libs/tensor/pyproject.toml:6:17
  |
6 | build-backend = "maturin"
  |                 ^^^^^^^^^
hint: …
"#,
    );
}
