//! Settings that are wrong: status 2, the line, a suggestion.

use crate::service::Service;
use crate::told::refuses;

/// A service whose corten.toml begins with `line`.
fn with(line: &str) -> Service {
    let service = Service::new();
    service.write("corten.toml", service.settings(line));
    service
}

/// A service whose corten.toml ends with `lines`.
fn with_section(lines: &str) -> Service {
    let service = Service::new();
    service.write("corten.toml", format!("{}\n{lines}\n", service.settings("")));
    service
}

#[test]
fn editors_get_a_schema() {
    let service = Service::new();
    let committed = include_str!("../../../../docs/corten.schema.json");
    assert_eq!(service.run("schema").expect(0).stdout, committed);
    assert!(!service.corten.store().exists(), "nothing is made for it");
}

#[test]
fn unknown_keys_come_with_a_suggestion() {
    refuses(
        &with("prot = 80"),
        "build",
        2,
        "
error: unknown setting 'prot'
 --> ./corten.toml:1:1
  |
1 | prot = 80
  | ^^^^
hint: did you mean 'port'?
",
    );
    refuses(
        &with("cmd = \"python app.py\""),
        "build",
        2,
        r#"
error: unknown setting 'cmd'
 --> ./corten.toml:1:1
  |
1 | cmd = "python app.py"
  | ^^^
hint: did you mean 'run'?
"#,
    );
    refuses(
        &with("flavour = \"mild\""),
        "build",
        2,
        r#"
error: unknown setting 'flavour'
 --> ./corten.toml:1:1
  |
1 | flavour = "mild"
  | ^^^^^^^
hint: known here: name, version, base, variant, frontend, python, interpreter, lock, package, groups, extras, packages, allow-unconfigured, build-packages, run, entrypoint, workdir, user, port, healthcheck, env, labels, compression, estargz, weights-compression, bytecode, weights, extra-files, ignore, check, gpu, lint, archive, index, publish, test
"#,
    );
    refuses(
        &with_section("[check]\nsizes = \"5MB\""),
        "build",
        2,
        r#"
error: unknown setting 'check.sizes'
  --> ./corten.toml:13:1
   |
13 | sizes = "5MB"
   | ^^^^^
hint: did you mean 'check.size'?
"#,
    );
    refuses(
        &with_section("[chekc]\nsize = \"5MB\""),
        "build",
        2,
        "
error: unknown setting 'chekc'
  --> ./corten.toml:12:2
   |
12 | [chekc]
   |  ^^^^^
hint: did you mean 'check'?
",
    );
}

#[test]
fn settings_of_pyproject_are_checked_too() {
    let service = Service::new();
    service.write("pyproject.toml", format!("{}\n[tool.corten]\nport = 1\n", service.read("pyproject.toml")));
    refuses(
        &service,
        "build",
        2,
        "
error: settings stand both in corten.toml and in [tool.corten]
  --> ./pyproject.toml:11:1
   |
11 | [tool.corten]
   | ^^^^^^^^^^^^^
hint: keep one of the two
",
    );
    service.remove("corten.toml");
    service.edit("pyproject.toml", "port = 1", "wieghts = []");
    refuses(
        &service,
        "build",
        2,
        "
error: unknown setting 'wieghts'
  --> ./pyproject.toml:12:1
   |
12 | wieghts = []
   | ^^^^^^^
hint: did you mean 'weights'?
",
    );
    service.edit("pyproject.toml", "[tool.corten]\nwieghts = []", "[tool]\ncorten = 3");
    refuses(
        &service,
        "build",
        2,
        "
error: [tool.corten] is not a table
  --> ./pyproject.toml:12:10
   |
12 | corten = 3
   |          ^
",
    );
}

#[test]
fn values_that_are_wrong() {
    refuses(
        &with("port = 70000"),
        "build",
        2,
        "
error: setting 'port' is out of range, expected a port from 1 to 65535
 --> ./corten.toml:1:8
  |
1 | port = 70000
  |        ^^^^^
",
    );
    refuses(
        &with("port = \"x\""),
        "build",
        2,
        r#"
error: setting 'port' is a string, expected a port from 1 to 65535
 --> ./corten.toml:1:8
  |
1 | port = "x"
  |        ^^^
"#,
    );
    refuses(
        &with("base = \"alpine\""),
        "build",
        2,
        r#"
error: setting 'base' is 'alpine', expected an archive's suite such as "debian:bookworm", an image of a registry such as "python:3.12-slim", or one that is here such as "oci-layout:FOLDER"; an image of that name is "alpine:latest"
 --> ./corten.toml:1:8
  |
1 | base = "alpine"
  |        ^^^^^^^^
"#,
    );
    refuses(
        &with("base = \"debian:bookwurm\""),
        "build",
        2,
        r#"
error: locking the base: Debian 'bookwurm' is not one that bases are made of
 --> ./corten.toml:1:8
  |
1 | base = "debian:bookwurm"
  |        ^^^^^^^^^^^^^^^^^
hint: there are debian:bookworm and debian:trixie
"#,
    );
    refuses(
        &with("variant = \"fat\""),
        "build",
        2,
        r#"
error: setting 'variant' is 'fat', expected "distroless" or "slim"
 --> ./corten.toml:1:11
  |
1 | variant = "fat"
  |           ^^^^^
"#,
    );
    refuses(
        &with("python = \"3.12\""),
        "build",
        2,
        r#"
error: the settings ask for Python 3.12, which no base has
 --> ./corten.toml:1:10
  |
1 | python = "3.12"
  |          ^^^^^^
hint: debian:bookworm has Python 3.11, debian:trixie has Python 3.13
"#,
    );
    refuses(
        &with("user = \"root\""),
        "build",
        2,
        r#"
error: setting 'user' is root, expected another name: the service never needs to be root
 --> ./corten.toml:1:8
  |
1 | user = "root"
  |        ^^^^^^
"#,
    );
    refuses(
        &with("version = \"a b\""),
        "build",
        2,
        r#"
error: setting 'version' cannot be a tag: tag 'a b' is not valid: up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'
 --> ./corten.toml:1:11
  |
1 | version = "a b"
  |           ^^^^^
"#,
    );
    refuses(
        &with("name = \"My Service\""),
        "build",
        2,
        r#"
error: setting 'name' is 'My Service', expected lower-case letters, digits and single dashes
 --> ./corten.toml:1:8
  |
1 | name = "My Service"
  |        ^^^^^^^^^^^^
"#,
    );
    refuses(
        &with("run = \"python 'app.py\""),
        "build",
        2,
        r#"
error: setting 'run' has an opening ' without a closing one
 --> ./corten.toml:1:7
  |
1 | run = "python 'app.py"
  |       ^^^^^^^^^^^^^^^^
"#,
    );
    refuses(
        &with_section("[check]\nsize = \"much\""),
        "build",
        2,
        r#"
error: setting 'check.size' is 'much', expected a size such as "500MB" or "1.5GiB"
  --> ./corten.toml:13:8
   |
13 | size = "much"
   |        ^^^^^^
"#,
    );
    refuses(
        &with_section("[check]\ndeny = [\"ML999\"]"),
        "build",
        2,
        r#"
error: there is no rule 'ML999'
  --> ./corten.toml:13:9
   |
13 | deny = ["ML999"]
   |         ^^^^^^^
hint: there are ML102, ML105, ML106, ML107, ML108, ML113, ML125, ML127, ML128, ML129, ML142, ML151, ML152, ML154, ML161, ML184, ML185, ML186, ML187, ML188, ML189, ML190, ML191, ML192, ML193, ML194, ML195, ML201, ML202, ML203, ML204, and the severities error, warning and info
"#,
    );
}

#[test]
fn settings_that_name_files() {
    let service = Service::new();
    service.remove("keys/archive.asc");
    refuses(
        &service,
        "build",
        2,
        r#"
error: reading the archive's keyring ./keys/archive.asc: No such file or directory (os error 2)
  --> ./corten.toml:10:11
   |
10 | keyring = "keys/archive.asc"
   |           ^^^^^^^^^^^^^^^^^^
hint: `gpg --export --armor KEY` writes one; without this setting Debian's own is taken
"#,
    );
    service.write("keys/archive.asc", "my key");
    refuses(
        &service,
        "build",
        2,
        r#"
error: reading the archive's keyring ./keys/archive.asc: it is no OpenPGP public key
  --> ./corten.toml:10:11
   |
10 | keyring = "keys/archive.asc"
   |           ^^^^^^^^^^^^^^^^^^
hint: `gpg --export --armor KEY` writes one; without this setting Debian's own is taken
"#,
    );
    refuses(
        &with("lock = \"poetry.json\""),
        "build",
        2,
        r#"
error: 'poetry.json' is no lock that can be read
 --> ./corten.toml:1:8
  |
1 | lock = "poetry.json"
  |        ^^^^^^^^^^^^^
hint: these can: uv.lock, …
"#,
    );
    refuses(
        &with("lock = \"pylock.toml\""),
        "build",
        2,
        r#"
error: there is no lock ./pylock.toml
 --> ./corten.toml:1:8
  |
1 | lock = "pylock.toml"
  |        ^^^^^^^^^^^^^
hint: make it, or leave the setting out: then the lock that is there is taken
"#,
    );
    refuses(
        &with("lock = \"../uv.lock\""),
        "build",
        2,
        r#"
error: setting 'lock' is '../uv.lock', expected a path inside the project
 --> ./corten.toml:1:8
  |
1 | lock = "../uv.lock"
  |        ^^^^^^^^^^^^
"#,
    );
    refuses(
        &with("extra-files = [{ from = \"start.sh\", to = \"/start.sh\" }]"),
        "build",
        2,
        r#"
error: reading the extra file ./start.sh: No such file or directory (os error 2)
 --> ./corten.toml:1:16
  |
1 | extra-files = [{ from = "start.sh", to = "/start.sh" }]
  |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: 'from' is a path in the project's folder
"#,
    );
    refuses(
        &with("extra-files = [{ from = \"app.py\", to = \"/app/app.py\" }]"),
        "build",
        2,
        r#"
error: two files of the project would become /app/app.py in the image
 --> ./corten.toml:1:16
  |
1 | extra-files = [{ from = "app.py", to = "/app/app.py" }]
  |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: give the extra file another place
"#,
    );
    refuses(
        &with("groups = [\"serve\"]"),
        "build",
        2,
        "
error: ./uv.lock: it has no dependency group 'serve'
hint: there are none
",
    );

    let service = Service::new();
    service.remove("uv.lock");
    service.write("pylock.a.toml", "");
    service.write("pylock.b.toml", "");
    refuses(
        &service,
        "build",
        2,
        r#"
error: there are several locks: pylock.a.toml, pylock.b.toml
hint: say which with `lock = "pylock.a.toml"` in the settings, or delete those that are no longer kept
"#,
    );
}

/// The blocks of the README for those who come from elsewhere; the fake archive has none of the packages that they name.
#[test]
fn what_the_readme_shows_to_newcomers_is_planned() {
    let readme = include_str!("../../../../README.md");
    let newcomers = readme.split_once("## Coming from a Dockerfile").unwrap().1.split_once("## Not yet").unwrap().0;
    let blocks: Vec<&str> =
        newcomers.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let service = Service::filled();
        let own = service.settings("");
        let archive = &own[own.find("[archive]").unwrap()..];
        let plain: String =
            block.lines().filter(|line| !line.starts_with("packages = ")).map(|line| format!("{line}\n")).collect();
        service.write("corten.toml", format!("{plain}\n{archive}"));
        let plan = service.run("plan --format json").expect(0).json();
        assert_eq!(plan["python"], "3.11.2");
        if block.contains("gunicorn") {
            assert_eq!(plan["command"], serde_json::json!(["gunicorn", "-b", "0.0.0.0:8080", "app:app"]));
        }
        if plain != block {
            service.write("corten.toml", format!("{block}\n{archive}"));
            let told = service.run("plan").expect(2).stderr;
            assert!(told.contains("libgl1") || told.contains("ffmpeg"), "{told}");
        }
    }
}
