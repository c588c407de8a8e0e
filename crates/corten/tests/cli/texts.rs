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
    service.edit("uv.lock", "revision = 3", "<<<<<<< HEAD\nrevision = 3");
    refuses(
        &service,
        "build",
        1,
        "
error: cannot read ./uv.lock: key with no value, expected `=`
 --> ./uv.lock:2:9
  |
2 | <<<<<<< HEAD
  |         ^
hint: it was changed by hand or by a merge: `uv lock` writes it anew
",
    );
    let service = Service::new();
    service.edit("uv.lock", "version = 1\n", "");
    refuses(
        &service,
        "build",
        1,
        "
error: ./uv.lock: a line 'version = 1' is missing, so this is not a uv.lock
 --> ./uv.lock:1:1
  |
1 | revision = 3
  | ^
hint: `uv lock` writes it anew
",
    );
    let service = Service::new();
    service.edit("uv.lock", "version = 1\n", "version = 2\n");
    refuses(
        &service,
        "build",
        1,
        "
error: ./uv.lock: version 2 of uv.lock is not known, 1 is
 --> ./uv.lock:1:11
  |
1 | version = 2
  |           ^
hint: lock with a uv that writes version 1, or look for a newer Corten
",
    );
    let service = Service::new();
    service.edit("uv.lock", "name = \"tensor\"\nversion = \"2.0\"", "name = \"tensor\"\nversion = \"two\"");
    refuses(
        &service,
        "build",
        1,
        r#"
error: ./uv.lock: 'two' is not a version as PEP 440 writes them
  --> ./uv.lock:12:8
   |
12 | name = "tensor"
   |        ^^^^^^^^
"#,
    );
    let service = Service::new();
    service.edit("uv.lock", "size = ", "size = -");
    refuses(
        &service,
        "build",
        1,
        r#"
error: cannot read ./uv.lock: invalid value: integer `-936`, expected u64
 --> ./uv.lock:9:173
  |
9 | ...5df3d3272ba598f02a2911377a59dfde6adcd12f862c30e235580", size = -936 }]
  |                                                                   ^^^^
hint: it was changed by hand or by a merge: `uv lock` writes it anew
"#,
    );

    service.remove("uv.lock");
    service.write("pylock.toml", "lock-version = \"1.0\"\ncreated-by = \"uv\"\n[[packages]\n");
    refuses(
        &service,
        "build",
        1,
        "
error: cannot read ./pylock.toml: unclosed array table, expected `]`
 --> ./pylock.toml:3:12
  |
3 | [[packages]
  |            ^
hint: it was changed by hand or by a merge: export it again
",
    );
    service.write("pylock.toml", "lock-version = \"2.0\"\ncreated-by = \"uv\"\npackages = []\n");
    refuses(
        &service,
        "build",
        1,
        r#"
error: ./pylock.toml: lock-version 2.0 is not known, 1.0 is
 --> ./pylock.toml:1:16
  |
1 | lock-version = "2.0"
  |                ^^^^^
hint: export it again as version 1.0, or look for a newer Corten
"#,
    );
    service.write("pylock.toml", "created-by = \"uv\"\npackages = []\n");
    refuses(
        &service,
        "build",
        1,
        r#"
error: ./pylock.toml: a line 'lock-version = "1.0"' is missing
 --> ./pylock.toml:1:1
  |
1 | created-by = "uv"
  | ^
"#,
    );
}

#[test]
fn requirements_that_are_no_lock() {
    let service = Service::new();
    service.remove("uv.lock");
    service.write("requirements.txt", "# the service\nfastapi>=0.115\n");
    refuses(&service, "build", 1, "
error: ./requirements.txt: requirements not pinned to a version ('=='): fastapi
 --> ./requirements.txt:2:1
  |
2 | fastapi>=0.115
  | ^^^^^^^^^^^^^^
hint: lock them: `uv pip compile --generate-hashes ./requirements.txt -o requirements.lock.txt`, or move to a uv project (`uv init`, `uv add -r ./requirements.txt`)
");
    service.write("requirements.txt", "fastapi=0.115\n");
    refuses(&service, "build", 1, "
error: ./requirements.txt: 'fastapi=0.115' is not a requirement: '=0.115' does not begin with a comparison such as '>=' or '=='
 --> ./requirements.txt:1:1
  |
1 | fastapi=0.115
  | ^^^^^^^^^^^^^
");
    service.write("requirements.txt", "-r more.txt\n");
    refuses(
        &service,
        "build",
        1,
        "
error: reading ./requirements.txt: there is no file more.txt, which it includes
 --> ./requirements.txt:1:1
  |
1 | -r more.txt
  | ^^^^^^^^^^^
hint: its path is meant from the folder of the file that names it
",
    );
}

#[test]
fn a_corten_lock_that_is_broken() {
    let service = Service::new();
    service.write("corten.lock", "version = 1\n[base\n");
    refuses(
        &service,
        "build",
        1,
        "
error: reading ./corten.lock: unclosed table, expected `]`
 --> ./corten.lock:2:6
  |
2 | [base
  |      ^
hint: `corten lock` writes it anew
",
    );
    service.write("corten.lock", "version = 1\nbasis = 2\n");
    refuses(
        &service,
        "build",
        1,
        "
error: reading ./corten.lock: unknown field `basis`, expected one of `version`, `lock`, `base`, `weights`
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
