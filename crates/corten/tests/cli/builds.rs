//! Builds in the sandbox: with the interpreter of this machine, a backend of the test's own, and this program as the
//! sandbox's first process.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use corten_diagnostic::{Diagnose, Event, Events, Failure};
use corten_engine::{Build, run_build};
use corten_sandbox::{Helper, Limits, Mount};

struct Nobody;

impl Events for Nobody {
    fn emit(&self, _event: Event<'_>) {}
}

/// What a backend gives whose `build_wheel` has this body.
fn build(body: &str) -> Result<(String, Vec<u8>), Failure> {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    build_with(&format!("def build_wheel(folder, settings, metadata):\n{body}"))
}

/// What a backend gives.
fn build_with(backend: &str) -> Result<(String, Vec<u8>), Failure> {
    let world = tempfile::tempdir().unwrap();
    let root = world.path().join("root");
    let source = root.join("build/source");
    for folder in [&source, &root.join("build/home"), &root.join("tmp")] {
        fs::create_dir_all(folder).unwrap();
    }
    let imports = "import os, socket, subprocess, sys, time\n";
    fs::write(source.join("backend.py"), format!("{imports}{backend}")).unwrap();
    let is_there = |folder: &&str| Path::new(folder).exists();
    let bind = |folder: &str| Mount::Bind { source: folder.into(), target: folder.into(), read_only: true };
    let mounts = ["/usr", "/lib", "/lib64"].into_iter().filter(is_there).map(bind).collect();
    let build = Build {
        what: "demo 1.0 from demo-1.0.tar.gz".to_owned(),
        root: vec![root.clone()],
        mounts,
        interpreter: "/usr/bin/python3".to_owned(),
        source: "/build/source".to_owned(),
        backend: "backend".to_owned(),
        backend_path: vec![".".to_owned()],
        version: None,
        limits: Limits {
            memory: Some(256 << 20),
            processes: Some(64),
            time: Some(Duration::from_secs(40)),
            open_files: Some(256),
            output: Some(8 << 20),
            ..Limits::default()
        },
        disk: 64 << 20,
        package_of: &|_| None,
        helper: Helper { program: env!("CARGO_BIN_EXE_corten").into(), ..Helper::default() },
    };
    let output = tempfile::tempfile().unwrap();
    let result = run_build(&build, output, &Nobody);
    let left: Vec<_> = fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["backend.py"], "the source was changed");
    let (name, mut file) = result?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    Ok((name, bytes))
}

#[track_caller]
fn fails(body: &str, expected: &str) {
    let error = build(body).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\n\nexpected: {expected}");
}

/// Writes what `expression` is worth as the wheel.
fn gives(expression: &str) -> String {
    let body = format!(
        "with open(folder + '/demo.whl', 'w') as wheel:\n    wheel.write(str({expression}))\nreturn 'demo.whl'"
    );
    let (name, bytes) = build(&body).unwrap();
    assert_eq!(name, "demo.whl");
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_environment_is_the_same_everywhere() {
    let text = gives(
        "sorted((name, value) for name, value in os.environ.items() if name != 'LC_CTYPE') + [os.getcwd(), os.umask(0), os.uname().nodename]",
    );
    let expected = "[('HOME', '/build/home'), ('LANG', 'C.UTF-8'), ('PATH', '/opt/build/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'), \
                    ('PYTHONDONTWRITEBYTECODE', '1'), ('PYTHONHASHSEED', '0'), ('PYTHONUNBUFFERED', '1'), \
                    ('SOURCE_DATE_EPOCH', '315619200'), ('TMPDIR', '/tmp'), '/build/source', 18, 'build']";
    assert_eq!(text, expected);
    assert_eq!(gives("hash('the seed')"), gives("hash('the seed')"));
}

#[test]
fn a_build_sees_neither_the_home_folder_nor_the_network() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("token"), "secret").unwrap();
    let path = home.path().join("token").display().to_string();
    assert_eq!(gives(&format!("os.path.exists('{path}')")), "False");
    assert_eq!(gives("os.path.exists('/etc/passwd')"), "False");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fails(&format!("socket.create_connection(('127.0.0.1', {port}), 5)"), "Connection refused");
    fails("socket.create_connection(('192.0.2.1', 80), 5)", "Network is unreachable");
}

#[test]
fn a_build_ends_where_its_limits_are() {
    fails("time.sleep(0.1)\nx = bytearray(1 << 30)\nreturn 'x'", "building demo 1.0 from demo-1.0.tar.gz: it ");
    fails(
        "while True:\n    if os.fork() == 0:\n        time.sleep(1000)",
        "building demo 1.0 from demo-1.0.tar.gz: it ",
    );
    fails("while True:\n    sys.stderr.write('x' * 65536)", "wrote more than");
    fails(
        "with open('/tmp/full', 'wb') as file:\n    while True:\n        file.write(b'x' * (1 << 20))",
        "building demo",
    );
}

#[test]
fn processes_that_a_build_leaves_are_ended() {
    let word = format!("left-by-a-build-{}", std::process::id());
    let body = format!(
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)', '{word}'], start_new_session=True)\n\
         open(folder + '/demo.whl', 'w').close()\nreturn 'demo.whl'"
    );
    assert_eq!(build(&body).unwrap().1, b"");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(&word), "{:?} is left", process.path());
    }
}

#[test]
fn a_failed_build_shows_the_end_of_its_output() {
    fails(
        "for number in range(100):\n    print('line', number)\nsys.exit('\\x1b[31mno compiler')",
        "it ended with status 1\n  | line 81\n",
    );
    fails("sys.exit('\\x1b[31mno compiler')", "\n  | [31mno compiler");
    fails("os._exit(0)", "it ended well, but gave no wheel");
    fails("os.kill(os.getpid(), 9)", "signal 9 ended it");
    let error = build("raise SystemExit(\"error: command 'gcc' failed: No such file or directory\")").unwrap_err();
    let hints = error.hints().join("\n");
    assert!(hints.contains("build-packages = [\"build-essential\"]"), "{hints}");
}

#[test]
fn what_a_backend_asks_for_when_it_runs_is_named() {
    let error =
        build_with("def get_requires_for_build_wheel(settings):\n    return ['absent-package>=1']\n").unwrap_err();
    let expected =
        "building demo 1.0 from demo-1.0.tar.gz: it asks for absent-package>=1 besides its build requirements";
    assert_eq!(error.to_string(), expected);
}
