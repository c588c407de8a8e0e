//! Commands and flags that are wrong: status 2, before anything is fetched or built.

use std::process::Output;

use corten_testkit::command::Ran;
use corten_testkit::registry::{FakeRegistry, Habits, Lock};

use crate::service::Service;
use crate::told::{refuses, told};

#[test]
fn flags_and_verbs_that_do_not_exist() {
    let service = Service::new();
    refuses(
        &service,
        "build --outptu x",
        2,
        "
error: unexpected argument '--outptu' found

  tip: a similar argument exists: '--output'

Usage: corten build --output <type=TYPE,dest=FILE> [FOLDER]

For more information, try '--help'.
",
    );
    refuses(
        &service,
        "biuld",
        2,
        "
error: unrecognized subcommand 'biuld'

  tip: a similar subcommand exists: 'build'

Usage: corten [OPTIONS] <COMMAND>

For more information, try '--help'.
",
    );
    refuses(
        &service,
        "build --format yaml",
        2,
        "
error: invalid value 'yaml' for '--format <FORMAT>'
  [possible values: text, json]

For more information, try '--help'.
",
    );
    refuses(
        &service,
        "build -j 0",
        2,
        "
error: invalid value '0' for '--jobs <N>': expected a number from 1 on

For more information, try '--help'.
",
    );
    refuses(
        &service,
        "build a b",
        2,
        "
error: unexpected argument 'b' found

Usage: corten build [OPTIONS] [FOLDER]

For more information, try '--help'.
",
    );
    refuses(
        &service,
        "sbom",
        2,
        "
error: the following required arguments were not provided:
  <IMAGE>

Usage: corten sbom --home <FOLDER> <IMAGE>

For more information, try '--help'.
",
    );
    assert!(!service.folder().join("corten.lock").exists());
}

#[test]
fn outputs_that_are_impossible() {
    let service = Service::new();
    refuses(
        &service,
        "build -o type=zip,dest=x",
        2,
        "
error: --output 'type=zip,dest=x': type 'zip' is not known
hint: type=oci,dest=FILE writes an OCI layout, type=docker,dest=FILE what `docker load` reads
",
    );
    refuses(
        &service,
        "build -o image.tar",
        2,
        "
error: --output 'image.tar': 'image.tar' is neither type=… nor dest=…
hint: type=oci,dest=FILE writes an OCI layout, type=docker,dest=FILE what `docker load` reads
",
    );
    refuses(
        &service,
        "build -o type=oci",
        2,
        "
error: --output 'type=oci': it names no file
hint: type=oci,dest=FILE writes an OCI layout, type=docker,dest=FILE what `docker load` reads
",
    );
    refuses(
        &service,
        "build -o dest=image.tar",
        2,
        "
error: --output 'dest=image.tar': it has no type
hint: type=oci,dest=FILE writes an OCI layout, type=docker,dest=FILE what `docker load` reads
",
    );
    refuses(
        &service,
        "build -o type=oci,dest=/nowhere/image.tar",
        2,
        "
error: --output: /nowhere/image.tar cannot be written: there is no folder /nowhere
hint: make it first: mkdir -p /nowhere
",
    );
    refuses(
        &service,
        "build -o type=docker,dest=weights",
        2,
        "
error: --output: weights is a folder
hint: name a file in it
",
    );
    refuses(
        &service,
        "ship --release-file nowhere/release.json",
        2,
        "
error: --release-file: nowhere/release.json cannot be written: there is no folder nowhere
hint: make it first: mkdir -p nowhere
",
    );
    assert!(!service.folder().join("corten.lock").exists(), "nothing was built");
}

#[test]
fn names_and_platforms_that_are_impossible() {
    let service = Service::new();
    refuses(&service, "build -t UPPER:1", 2, "
error: --tag 'UPPER:1': repository 'UPPER' is not valid: components are lower-case letters and digits, joined by '.', '_', '__' or '-'
");
    refuses(
        &service,
        "build -t name:!",
        2,
        "
error: --tag 'name:!': tag '!' is not valid: up to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'
",
    );
    let digest = corten_oci::Digest::of("");
    refuses(
        &service,
        &format!("build -t name@{digest}"),
        2,
        "
error: --tag 'name@sha256:…': the digest of an image is known once it is built
hint: give a name and a tag only
",
    );
    refuses(
        &service,
        "build --platform linux/amd65",
        2,
        "
error: --platform: 'linux/amd65' is not a platform that can be built: linux/amd64 and linux/arm64 can
",
    );
    refuses(
        &service,
        "build --platform windows/amd64",
        2,
        "
error: --platform: 'windows/amd64' is not a platform that can be built: linux/amd64 and linux/arm64 can
",
    );
    refuses(
        &service,
        "build --platform linux/arm64",
        3,
        "
error: reading the archive's state of bookworm: the Release file lists no 'main/binary-arm64/Packages.xz'
hint: the archive does not have this architecture
",
    );
    refuses(&service, "sbom UPPER", 2, "
error: 'UPPER' names no image: repository 'UPPER' is not valid: components are lower-case letters and digits, joined by '.', '_', '__' or '-'
");
    refuses(
        &service,
        "sbom nothing:1",
        1,
        "
error: there is no image 'nothing:1' in the store
hint: `corten images` lists what is there
",
    );
}

#[test]
fn folders_that_are_none() {
    let service = Service::new();
    refuses(
        &service,
        "build nowhere",
        2,
        "
error: there is no folder nowhere
hint: give the folder of a project: corten build path/to/project
",
    );
    refuses(
        &service,
        "plan app.py",
        2,
        "
error: there is no folder app.py
hint: give the folder of a project: corten build path/to/project
",
    );
}

#[test]
fn groups_and_extras_that_the_lock_lacks() {
    let service = Service::new();
    refuses(
        &service,
        "build --group serve",
        2,
        "
error: ./uv.lock: it has no dependency group 'serve'
hint: there are none
",
    );
    refuses(
        &service,
        "build --extra gpu",
        2,
        "
error: ./uv.lock: it has no extra 'gpu'
hint: there are none
",
    );
}

#[test]
fn a_lock_that_would_have_to_change() {
    let service = Service::new();
    refuses(
        &service,
        "build --locked",
        1,
        "
error: corten.lock would change: new, with 13 packages of debian:bookworm
hint: run `corten lock`, or build without --locked, and commit corten.lock
",
    );
    assert!(!service.folder().join("corten.lock").exists());

    let service = Service::filled();
    service.write("uv.lock", format!("{}\n", service.read("uv.lock")));
    let before = service.read("corten.lock");
    refuses(
        &service,
        "ship --locked --format json",
        1,
        "
error: corten.lock would change: uv.lock has changed since it was written
hint: run `corten lock`, or build without --locked, and commit corten.lock
",
    );
    assert_eq!(service.read("corten.lock"), before);
}

#[test]
fn variables_that_are_wrong() {
    let service = Service::new();
    let run = |name: &str, value: &str| -> Output {
        service.corten.command(&service.folder()).arg("build").env(name, value).output().unwrap()
    };
    told(
        &service,
        &run("SOURCE_DATE_EPOCH", "tomorrow").into(),
        2,
        "
error: SOURCE_DATE_EPOCH is 'tomorrow', expected seconds since 1970
hint: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
",
    );
    told(
        &service,
        &run("CORTEN_JOBS", "many").into(),
        2,
        "
error: invalid value 'many' for '--jobs <N>': expected a number from 1 on

For more information, try '--help'.
",
    );
    told(
        &service,
        &run("CORTEN_HOME", "/proc/corten").into(),
        3,
        "
error: making the folder /proc/corten: No such file or directory (os error 2)
",
    );
}

#[test]
fn quiet_says_nothing_and_prints_its_data() {
    let service = Service::filled();
    let digest = service.digest("build");
    let loud = service.run("build");
    let quiet = service.run("build --quiet").expect(0);
    assert_eq!(quiet.stderr, "");
    assert!(!loud.stderr.is_empty());
    assert!(quiet.stdout.contains(&digest), "{}", quiet.stdout);
    let ran = service.run("push nothing 127.0.0.1:1/x -q");
    assert!(ran.status == 1 && ran.stderr.starts_with("error: there is no image 'nothing'"), "{}", ran.stderr);
    let ran = service.run("images -q -v");
    assert!(ran.status == 2 && ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
}

#[test]
fn verbose_tells_requests_and_the_cache_and_no_secret() {
    const CANARY: &str = "c4n4ry";
    let service = Service::new();
    let lock = service.read("uv.lock").replace("http://127.0.0.1", &format!("http://me:{CANARY}@127.0.0.1"));
    service.write("uv.lock", lock);
    let first = service.run("build -v").expect(0);
    let lines = |ran: &Ran, begin: &str| ran.stderr.lines().filter(|line| line.starts_with(begin)).count();
    assert!(lines(&first, "   request  GET http://127.0.0.1:") > 5, "{}", first.stderr);
    assert!(first.stderr.contains(" → 200, "), "{}", first.stderr);
    assert!(lines(&first, "     cache  ") > 4, "{}", first.stderr);
    assert!(first.stderr.contains("made, the store has not made it of these inputs before"));
    let again = service.run("build -v").expect(0);
    assert!(again.stderr.contains("     cache  weights: in the store, sha256:"), "{}", again.stderr);
    assert!(!again.stderr.contains("made, "), "{}", again.stderr);
    for ran in [&first, &again] {
        assert!(!ran.stderr.contains(CANARY) && !ran.stdout.contains(CANARY), "{}", ran.stderr);
    }
    // At a registry, with a token in exchange for a password.
    let lock = Lock::Bearer { realm: String::new(), user: ("me", CANARY), identity: "", lasts: 99 };
    let registry = FakeRegistry::start(Habits { lock, referrers: true, ..Habits::default() });
    let auth = format!(r#"{{"auths":{{"{}":{{"username":"me","password":"{CANARY}"}}}}}}"#, registry.place());
    std::fs::create_dir_all(service.corten.home().join(".docker")).unwrap();
    std::fs::write(service.corten.home().join(".docker/config.json"), auth).unwrap();
    let ran =
        service.run(&format!("push {} {}/a:1 -v --progress json", service.digest("build"), registry.place())).expect(0);
    assert!(
        ran.stderr.contains(r#""event":"detail","about":"request","text":"PUT http://127.0.0.1:"#),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("/token?…"), "{}", ran.stderr);
    for secret in [CANARY, "bearer", "Bearer"] {
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
    let plain = service.run("build").expect(0);
    assert_eq!(lines(&plain, "   request") + lines(&plain, "     cache"), 0);
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let corten = crate::service::corten();
    let run = |line: &str| corten.run(corten.home(), line.split(' '));
    for (shell, syntax) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let text = run(&format!("completions {shell}")).expect(0).stdout;
        for word in ["inspect", "platform", "verify"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        // The shell itself, where it is here, takes it.
        if let Ok(mut child) = std::process::Command::new(syntax).arg("-n").stdin(std::process::Stdio::piped()).spawn()
        {
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{shell}");
        }
    }
    let ran = run("completions tcsh");
    assert!(ran.status == 2 && ran.stderr.contains("[possible values: bash, zsh, fish]"), "{}", ran.stderr);
    run("man pages").expect(0);
    let page = |name: &str| std::fs::read_to_string(corten.home().join("pages").join(name)).unwrap();
    assert!(page("corten.1").contains("corten\\-inspect(1)"), "{}", page("corten.1"));
    assert!(page("corten-store-verify.1").contains("Read every byte of the store"));
    assert!(page("corten-push.1").contains("\\-\\-plain\\-http"));
    let first = page("corten-build.1");
    run("man pages").expect(0);
    assert_eq!(page("corten-build.1"), first);
}
