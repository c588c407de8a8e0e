//! Texts that cannot be read: the user sees his own line, a caret and what to do.

use crate::service::Service;
use crate::told::refuses;

#[test]
fn toml_that_is_broken() {
    let service = Service::new();
    service.edit("pyproject.toml", "name = \"service\"", "name = service");
    refuses(
        &service,
        "build",
        1,
        "
error: cannot read ./pyproject.toml: string values must be quoted, expected literal string
 --> ./pyproject.toml:2:8
  |
2 | name = service
  |        ^^^^^^^
",
    );
    let service = Service::new();
    service.write("corten.toml", "user = \"app\"\nport =\n");
    refuses(
        &service,
        "build",
        2,
        "
error: cannot read ./corten.toml: string values must be quoted, expected literal string
 --> ./corten.toml:2:7
  |
2 | port =
  |       ^
",
    );
}

#[test]
fn python_locks_that_are_broken() {
    let service = Service::new();
    service.edit("uv.lock", "revision = 3", "error: reading ./corten.lock: unknown field `basis`, expected one of `version`, `lock`, `base`, `weights`, `build`
 --> ./corten.lock:2:1
  |
2 | basis = 2
  | ^^^^^
hint: `corten lock` writes it anew
",
    );
    let service = Service::filled();
    service.edit("corten.lock", "version = 1\n", "version = 9\n");
    refuses(
        &service,
        "build",
        1,
        "
error: reading ./corten.lock: version 9 of corten.lock is not known, 1 is
 --> ./corten.lock:4:11
  |
4 | version = 9
  |           ^
hint: `corten lock` writes it anew
",
    );
    let service = Service::filled();
    service.edit("corten.lock", "sha256:", "sha256:x");
    refuses(
        &service,
        "build",
        1,
        r#"
error: reading ./corten.lock: digest 'sha256:xcbaa3a6a333fc39ed8f43587cfcebba218577e1fbfbc476fcf2800ab41e55949' does not have 64 lower-case hexadecimal digits
  --> ./corten.lock:29:10
   |
29 | digest = "sha256:xcbaa3a6a333fc39ed8f43587cfcebba218577e1fbfbc476fcf2800ab41e55949"
   |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: `corten lock` writes it anew
"#,
    );
}

/// A service whose pyproject.toml has `to` instead of `from`.
fn with(from: &str, to: &str) -> Service {
    let service = Service::new();
    service.edit("pyproject.toml", from, to);
    service
}

#[test]
fn manifests_with_wrong_values() {
    refuses(
        &with("name = \"service\"\n", ""),
        "build",
        1,
        r#"
error: [project] has no name
 --> ./pyproject.toml:1:1
  |
1 | [project]
  | ^^^^^^^^^
hint: add name = "…"
"#,
    );
    refuses(
        &with("dependencies = [", "dependencies = \"fastapi\"\nmore = ["),
        "build",
        1,
        r#"
error: cannot read ./pyproject.toml: invalid type: string "fastapi", expected a sequence
 --> ./pyproject.toml:5:16
  |
5 | dependencies = "fastapi"
  |                ^^^^^^^^^
"#,
    );
    refuses(
        &with("tensor>=2", "tensor >== 2"),
        "build",
        1,
        r#"
error: ./pyproject.toml: 'tensor >== 2' is not a requirement: '= 2' is not a version as PEP 440 writes them
 --> ./pyproject.toml:7:5
  |
7 |     "tensor >== 2",
  |     ^^^^^^^^^^^^^^
"#,
    );
    refuses(
        &with("version = \"1.3.0\"", "version = 1.3"),
        "build",
        1,
        "
error: 'version' of [project] is not a string
 --> ./pyproject.toml:3:11
  |
3 | version = 1.3
  |           ^^^
",
    );
    refuses(
        &with(">=3.11", "3.11 or so"),
        "build",
        1,
        r#"
error: requires-python '3.11 or so' cannot be read: '3.11 or so' does not begin with a comparison such as '>=' or '=='
 --> ./pyproject.toml:4:19
  |
4 | requires-python = "3.11 or so"
  |                   ^^^^^^^^^^^^
"#,
    );
    refuses(
        &with("[project]", "[dependency-groups]\nserve = \"uvicorn\"\n\n[project]"),
        "build",
        1,
        r#"
error: cannot read ./pyproject.toml: invalid type: string "uvicorn", expected a sequence
 --> ./pyproject.toml:2:9
  |
2 | serve = "uvicorn"
  |         ^^^^^^^^^
"#,
    );
    refuses(
        &with("[project]", "[tool.uv.sources]\ntensor = 3\n\n[project]"),
        "build",
        1,
        r#"
error: cannot read ./pyproject.toml: expected a table such as { index = "…" }, or a list of them
 --> ./pyproject.toml:2:10
  |
2 | tensor = 3
  |          ^
"#,
    );
}

#[test]
fn bytes_that_are_no_text() {
    let service = Service::new();
    service.write("pyproject.toml", b"[project]\nname = \"caf\xe9\"\n");
    refuses(
        &service,
        "build",
        1,
        r#"
error: reading ./pyproject.toml: it is not UTF-8 text
 --> ./pyproject.toml:2:12
  |
2 | name = "caf�"
  |            ^
hint: save it as UTF-8
"#,
    );
}
