//! `corten run` and what belongs to it, on an image of one static program.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use corten_oci::Digest;
use corten_testkit::bar::Bar;
use corten_testkit::command::{Corten, Ran};
use serde_json::{Value, json};

const APPLETS: [&str; 22] = [
    "cat", "dd", "echo", "env", "find", "grep", "hostname", "httpd", "id", "ls", "mkdir", "nc", "pwd", "rm", "sh",
    "sleep", "stat", "tail", "touch", "true", "tty", "yes",
];

/// A store with the image `box:1`.
struct Boxed {
    corten: Corten,
    folder: tempfile::TempDir,
}

impl Boxed {
    fn new() -> Self {
        Self::with(&json!({}))
    }

    /// Its config has these fields besides.
    fn with(more: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let corten = Corten::new(env!("CARGO_BIN_EXE_corten"));
        let archive = archive(folder.path(), more);
        let boxed = Self { corten, folder };
        boxed.corten(&["load", "-i", archive.to_str().unwrap()]).expect(0);
        boxed
    }

    fn corten(&self, arguments: &[&str]) -> Ran {
        self.corten.run(self.folder.path(), arguments)
    }

    /// `corten run --rm --network none`.
    fn run(&self, arguments: &[&str]) -> Ran {
        self.corten(&[&["run", "--rm", "--network", "none"], arguments].concat())
    }

    /// Containers and volumes that are there.
    fn left(&self) -> Vec<String> {
        let names = |folder: &str| {
            let entries = fs::read_dir(self.corten.store().join(folder)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        [names("containers"), names("volumes")].concat()
    }
}

/// What `docker save` writes.
fn archive(folder: &Path, more: &Value) -> PathBuf {
    let root = folder.join("root");
    for name in ["bin", "etc", "data", "tmp"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.expect("busybox, of the Debian package busybox-static"), root.join("bin/busybox")).unwrap();
    APPLETS.iter().for_each(|applet| symlink("busybox", root.join("bin").join(applet)).unwrap());
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1001:\naudio:x:29:app\n").unwrap();
    fs::write(root.join("data/seed"), "seed\n").unwrap();
    let image = folder.join("image");
    fs::create_dir(&image).unwrap();
    let tar = |from: &Path, to: &Path| {
        let mut command = Command::new("tar");
        command.args(["--owner=0", "--group=0", "--numeric-owner", "-cf"]).arg(to).arg("-C").arg(from).arg(".");
        assert!(command.status().unwrap().success());
    };
    tar(&root, &image.join("layer.tar"));
    let mut config = json!({"Env": ["PATH=/bin", "A=image"], "Cmd": ["echo", "usual"]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let diff_id = Digest::of(fs::read(image.join("layer.tar")).unwrap());
    let document = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    fs::write(image.join("config.json"), document.to_string()).unwrap();
    let manifest = json!([{"Config": "config.json", "RepoTags": ["box:1"], "Layers": ["layer.tar"]}]);
    fs::write(image.join("manifest.json"), manifest.to_string()).unwrap();
    tar(&image, &folder.join("image.tar"));
    folder.join("image.tar")
}

#[test]
fn output_and_status_are_the_processs() {
    let boxed = Boxed::new();
    assert_eq!(boxed.run(&["box:1"]).expect(0).stdout, "usual\n");
    let ran = boxed.run(&["box:1", "sh", "-c", "echo out; echo err >&2; exit 7"]).expect(7);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    boxed.run(&["box:1", "sh", "-c", "kill -9 $$"]).expect(137);
    let missing = boxed.run(&["box:1", "nothing"]).expect(127);
    assert_eq!(
        missing.stderr,
        "error: cannot start nothing in the root file system: no such program, or the interpreter that it names is missing\n"
    );
    let refused = boxed.run(&["box:1", "/etc/passwd"]).expect(126);
    assert_eq!(
        refused.stderr,
        "error: cannot start /etc/passwd in the root file system: Permission denied (os error 13)\n"
    );
    assert_eq!(boxed.left(), [""; 0], "--rm leaves nothing");
}

#[test]
fn what_cannot_be_started_is_125() {
    let boxed = Boxed::with(&json!({"Cmd": null}));
    for (arguments, said) in [
        (
            &["--pull", "never", "other"][..],
            "error: there is no image 'other' in the store\nhint: `corten images` lists what is there\nhint: without --pull never it is pulled\n",
        ),
        (&["box:1"], "error: the image has no command of its own\nhint: name one: corten run IMAGE COMMAND\n"),
        (
            &["-u", "who", "box:1", "true"],
            "error: the image has no user 'who'\nhint: /etc/passwd of the image lists them; a number from 0 to 4294967294 is always possible\n",
        ),
        (
            &["--platform", "linux/s390x", "box:1", "true"],
            "error: --platform linux/s390x: this machine is linux/amd64\nhint: corten emulates no other processor: run it on such a machine, or build it for this one\n",
        ),
        (
            &["--name", "a/b", "box:1", "true"],
            "error: --name 'a/b': a name has letters, digits, '_', '.' and '-', two at least, and begins with a letter or digit\n",
        ),
        (
            &["-v", "a:b", "box:1", "true"],
            "error: -v 'a:b': the target is an absolute path without .., and not /\nhint: SOURCE:TARGET[:ro], where SOURCE is a path or a volume's name\n",
        ),
        (&["--mount", "type=bind,src=nowhere,dst=/x", "box:1", "true"], "nowhere is not there\n"),
        (
            &["--memory", "1k", "box:1", "true"],
            "error: --memory '1k': a size such as 512m or 4g is expected, memory of 6m at least\n",
        ),
        (
            &["--cap-add", "FLY", "box:1", "true"],
            "error: --cap-add 'FLY': there is no such capability\nhint: for instance NET_ADMIN, SYS_PTRACE, ALL: see capabilities(7)\n",
        ),
        (
            &["--security-opt", "seccomp=unconfined", "box:1", "true"],
            "error: --security-opt 'seccomp=unconfined' is not possible\nhint: no-new-privileges=true|false is; the filter of system calls stays\n",
        ),
        (
            &["--network", "host", "-p", "8000:80", "box:1", "true"],
            "error: -p 8000:80: the container is in the host's network, where a port has one number only\nhint: -p 80:80, or let the program listen on 8000\n",
        ),
        (
            &["-it", "box:1", "true"],
            "error: -t with -i: stdin is no terminal\nhint: leave out -t to pipe something in\n",
        ),
    ] {
        let said =
            if cfg!(target_arch = "aarch64") { said.replace("linux/amd64", "linux/arm64") } else { said.to_owned() };
        let ran = boxed.corten(&[&["run", "--rm"], arguments].concat()).expect(125);
        assert!(
            ran.stderr == said || (said.starts_with("nowhere") && ran.stderr.ends_with(&said)),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    if !Path::new("/dev/nvidiactl").exists() {
        let ran = boxed.run(&["--gpus", "all", "box:1", "true"]).expect(125);
        assert!(ran.stderr.starts_with("error: --gpus: this machine has no NVIDIA driver"), "{}", ran.stderr);
    }
    assert_eq!(boxed.left(), [""; 0]);
}

#[test]
fn the_images_config_counts_and_flags_more() {
    let boxed = Boxed::with(&json!({
        "Entrypoint": ["sh", "-c"], "Cmd": ["pwd; id; echo $A $B $HOME"], "User": "app", "WorkingDir": "/srv/deep"
    }));
    let usual = boxed.run(&["box:1"]).expect(0).stdout;
    assert_eq!(usual, "/srv/deep\nuid=1000(app) gid=1001(app) groups=29(audio)\nimage /home/app\n");
    fs::write(boxed.folder.path().join("env"), "# comment\nA=file\nB=file\n").unwrap();
    let flags =
        ["-e", "B=flag", "--env-file", "env", "-w", "/tmp", "-u", "0:29", "box:1", "pwd; id -u; id -g; echo $A $B"];
    assert_eq!(boxed.run(&flags).expect(0).stdout, "/tmp\n0\n29\nfile flag\n");
    assert_eq!(boxed.run(&["--entrypoint", "echo", "box:1", "a", "b"]).expect(0).stdout, "a b\n");
    let hostname = boxed.run(&["--hostname", "name", "--entrypoint", "hostname", "box:1"]).expect(0);
    assert_eq!(hostname.stdout, "name\n");
}

#[test]
fn stdin_is_open_only_when_it_is_asked_for() {
    let boxed = Boxed::new();
    for (flags, expected) in [(&["-i"][..], "typed"), (&[], "")] {
        let mut child = boxed.corten.command(boxed.folder.path());
        child.args(["run", "--rm", "--network", "none"]).args(flags).args(["box:1", "cat"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"typed");
        assert_eq!(Ran::from(child.wait_with_output().unwrap()).expect(0).stdout, expected);
    }
    let ran = boxed.run(&["-t", "box:1", "sh", "-c", "tty; exit 3"]).expect(3);
    assert_eq!(ran.stdout, "/dev/pts/0\r\n");
}

#[test]
fn volumes_stay_binds_are_the_hosts_and_the_image_is_unchanged() {
    let boxed = Boxed::with(&json!({"Volumes": {"/data": {}}}));
    let read = ["box:1", "cat", "/data/seed"];
    boxed.run(&["-v", "mine:/data", "box:1", "sh", "-c", "cat /data/seed; echo mine > /data/seed"]).expect(0);
    assert_eq!(boxed.run(&[&["-v", "mine:/data"][..], &read].concat()).stdout, "mine\n");
    assert_eq!(boxed.run(&read).stdout, "seed\n", "a volume of its own, filled from the image, gone afterwards");
    assert_eq!(boxed.left(), ["mine"]);
    let source = boxed.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("app.py"), "one").unwrap();
    let bind = ["-v", "./source:/app:ro", "box:1", "sh", "-c", "cat /app/app.py; touch /app/new || echo refused"];
    assert_eq!(boxed.run(&bind).stdout, "onerefused\n");
    fs::write(source.join("app.py"), "two").unwrap();
    assert!(boxed.run(&bind).stdout.starts_with("two"), "edited without building again");
    boxed.run(&["--mount", "type=bind,src=source,dst=/app", "box:1", "touch", "/app/made"]).expect(0);
    let owner = fs::metadata(source.join("made")).unwrap().uid();
    assert_eq!(owner, rustix::process::geteuid().as_raw(), "root's files are the caller's");
    let memory = ["--read-only", "--tmpfs", "/run:size=1m", "box:1", "sh", "-c", "touch /run/x && touch /x"];
    assert!(boxed.run(&memory).expect(1).stderr.contains("Read-only file system"));
}

#[test]
fn containers_go_on_by_themselves() {
    let boxed = Boxed::new();
    let script = "echo out; echo err >&2; sleep 1000";
    let id =
        boxed.corten(&["run", "-d", "--name", "one", "--network", "none", "-l", "a=b", "box:1", "sh", "-c", script]);
    let id = id.expect(0).stdout.trim().to_owned();
    assert_eq!(id.len(), 64);
    let listed = &boxed.corten(&["ps", "--format", "json"]).expect(0).json()[0];
    assert_eq!((&listed["id"], &listed["state"], &listed["labels"]["a"]), (&json!(id), &json!("running"), &json!("b")));
    let again = boxed.corten(&["run", "--name", "one", "box:1"]).expect(125);
    assert!(again.stderr.starts_with("error: --name one: the container"), "{}", again.stderr);
    let inside = ["exec", "-e", "B=2", "-u", "app", "-w", "/tmp", "one", "sh", "-c", "pwd; id -u; echo $B; exit 9"];
    assert_eq!(boxed.corten(&inside).expect(9).stdout, "/tmp\n1000\n2\n");
    boxed.corten(&["exec", id.get(..8).unwrap(), "nothing"]).expect(127);
    assert_eq!(
        boxed.corten(&["rm", "one"]).expect(1).stderr,
        "error: the container one runs\nhint: corten stop one, or corten rm --force one\n"
    );
    assert_eq!(boxed.corten(&["stop", "one"]).expect(0).stdout, "one\n");
    let logs = boxed.corten(&["logs", "-f", "one"]).expect(0);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(boxed.corten(&["ps", "--format", "json"]).json(), json!([]));
    let ended = &boxed.corten(&["ps", "-a", "--format", "json"]).json()[0];
    assert_eq!((&ended["state"], &ended["exit_status"]), (&json!("exited"), &json!(143)));
    assert_eq!(
        boxed.corten(&["exec", "one", "true"]).expect(125).stderr,
        "error: the container one does not run\nhint: `corten ps` lists those that do\n"
    );
    boxed.corten(&["rm", "one"]).expect(0);
    assert_eq!(boxed.left(), [""; 0]);
    let failed = boxed.corten(&["run", "-d", "--rm", "--network", "none", "box:1", "nothing"]).expect(127);
    assert!(failed.stderr.contains("cannot start nothing"), "{}", failed.stderr);
    assert_eq!(boxed.left(), [""; 0]);
}

/// A program that takes no notice of its stop signal is killed.
#[test]
fn stop_kills_what_does_not_end() {
    let boxed = Boxed::new();
    boxed
        .corten(&[
            "run",
            "-d",
            "--rm",
            "--network",
            "none",
            "--name",
            "deaf",
            "box:1",
            "sh",
            "-c",
            "trap '' TERM; echo up; while :; do sleep 0.1; done",
        ])
        .expect(0);
    while boxed.corten(&["logs", "deaf"]).expect(0).stdout != "up\n" {}
    boxed.corten(&["stop", "-t", "0", "deaf"]).expect(0);
    assert_eq!(boxed.left(), [""; 0]);
}

#[test]
fn published_ports_are_reached_where_there_is_a_network() {
    if corten_sandbox::pasta().is_none() {
        return;
    }
    let boxed = Boxed::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let publish = format!("{port}:80");
    let script = "echo hello > /tmp/index.html; httpd -f -p 80 -h /tmp";
    boxed.corten(&["run", "-d", "--rm", "--name", "web", "-p", &publish, "box:1", "sh", "-c", script]).expect(0);
    let mut text = String::new();
    while !text.ends_with("hello\n") {
        text.clear();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let _ = stream.read_to_string(&mut text);
        }
    }
    let listed = &boxed.corten(&["ps", "--format", "json"]).json()[0];
    assert_eq!(listed["ports"], json!([format!("127.0.0.1:{port}->80")]));
    boxed.corten(&["rm", "--force", "web"]).expect(0);
    assert_eq!(boxed.left(), [""; 0]);
}

/// What is on the host of a process that has this on its command line.
fn processes_with(mark: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").contains(mark))
        .count()
}

#[test]
fn r9_signals_end_it_with_their_status_and_leave_nothing() {
    let bar = Bar::begin("R9");
    let (boxed, mut random) = (Boxed::new(), bar.random());
    let (mut slowest, mut wrong) = (Duration::ZERO, 0);
    let times = bar.length(6, 300);
    for turn in 0..times {
        let mark = format!("9{turn:03}{:07}", std::process::id());
        let script = format!("sleep {mark} & echo up; sleep {mark}");
        let mut command = boxed.corten.command(boxed.folder.path());
        command.args(["run", "--rm", "--network", "none", "box:1", "sh", "-c", &script]);
        let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let signal = [1, 2, 15][random.below(3)];
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let named = rustix::process::Signal::from_named_raw(signal).unwrap();
        let start = Instant::now();
        // To one process, and to its group, as a terminal does.
        match random.below(2) {
            0 => rustix::process::kill_process(pid, named).unwrap(),
            _ => rustix::process::kill_process_group(pid, named).unwrap(),
        }
        let is_right = child.wait().unwrap().code() == Some(128 + signal) && processes_with(&mark) == 0;
        wrong += usize::from(!is_right);
        slowest = slowest.max(start.elapsed());
    }
    let left = boxed.left().len();
    let figure = format!("{times} signals: {wrong} wrong ends, {left} left, the slowest {} ms", slowest.as_millis());
    let is_in_time = !bar.is_whole() || slowest <= Duration::from_secs(2);
    bar.finish(figure, wrong == 0 && left == 0 && is_in_time);
}

#[test]
fn r9_killing_corten_kills_the_container() {
    let boxed = Boxed::with(&json!({"Volumes": {"/data": {}}}));
    for is_removed in [true, false] {
        let mut command = boxed.corten.command(boxed.folder.path());
        command.args(["run", "--network", "none"]).args(is_removed.then_some("--rm"));
        command.args(["box:1", "sh", "-c", "sleep 1000 & echo up; sleep 1000"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // The pipe's end is the end of all who held it.
        assert_eq!(output.read_to_string(&mut line).unwrap(), 0);
        let listed = boxed.corten(&["ps", "-a", "--format", "json"]).json();
        if is_removed {
            assert_eq!(listed, json!([]), "what goes when it ends goes when it is seen next");
            assert_eq!(boxed.left(), [""; 0]);
        } else {
            assert_eq!(listed[0]["state"], "killed");
            boxed.corten(&["rm", "--volumes", listed[0]["name"].as_str().unwrap()]).expect(0);
        }
    }
}

/// Many who look at the same time take nobody for somebody who runs, and hinder nobody who removes.
#[test]
fn who_looks_is_not_taken_for_a_container() {
    let boxed = Boxed::new();
    let done = &std::sync::atomic::AtomicBool::new(false);
    boxed.corten(&["run", "--network", "none", "--name", "kept", "box:1", "true"]).expect(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let listed = boxed.corten(&["ps", "--format", "json"]).expect(0).json();
                    assert!(listed.as_array().unwrap().iter().all(|one| one["name"] != "kept"), "{listed}");
                }
            });
        }
        let removed: Vec<_> = (0..5)
            .map(|number| {
                let name = format!("n{number}");
                boxed.corten(&["run", "--network", "none", "--name", &name, "box:1", "true"]);
                boxed.corten(&["rm", &name])
            })
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        removed.into_iter().for_each(|ran| assert_eq!(ran.expect(0).stderr, ""));
    });
    boxed.corten(&["rm", "kept"]).expect(0);
    assert_eq!(boxed.left(), [""; 0]);
}

/// What runs without a terminal of its own gets nothing of the user's: it could change its settings.
#[test]
fn e4_the_users_terminal_stays_outside() {
    let boxed = Boxed::new();
    let inner = boxed.corten.command(boxed.folder.path());
    let line = |flags: &str| {
        let script = "for n in 0 1 2; do [ -t $n ] && echo terminal $n; done; cat; echo ended";
        format!("{} run --rm --network none {flags} box:1 sh -c '{script}'", inner.get_program().to_str().unwrap())
    };
    // script(1) gives its child a terminal.
    for (flags, expected) in [("", "ended\r\n"), ("-i", "typed\r\ntyped\r\nended\r\n")] {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line(flags), "/dev/null"]);
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if !flags.is_empty() {
            stdin.write_all(b"typed\n\x04").unwrap();
        }
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
        // The terminal's echo of what was typed, and of Ctrl-D.
        assert_eq!(said.replace("^D\u{8}\u{8}", ""), expected);
    }
}

#[test]
fn a_memory_limit_and_a_full_shared_memory_are_told() {
    let boxed = Boxed::new();
    let ran = boxed.run(&["-m", "32m", "box:1", "tail", "/dev/zero"]).expect(137);
    assert!(
        ran.stderr.contains(
            "error: the container took more than its 32 MiB of memory and was ended\nhint: --memory gives it more\n"
        ),
        "{}",
        ran.stderr
    );
    let ran = boxed.run(&["--shm-size", "8m", "box:1", "sh", "-c", "kill -7 $$"]).expect(135);
    assert_eq!(
        ran.stderr,
        "error: the process ended by a bus error (SIGBUS): its /dev/shm, of 8 MiB, may have been full\nhint: data loaders share batches there: --shm-size 8g gives it more, fewer workers take less\n"
    );
}

/// The same without root: nobody has a store of his own.
#[test]
fn nobody_runs_containers_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let boxed = Boxed::new();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(boxed.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("corten");
    fs::copy(env!("CARGO_BIN_EXE_corten"), &program).unwrap();
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(&program);
        command.args(arguments).env("CORTEN_HOME", folder.path().join("store")).current_dir("/");
        Ran::from(command.output().unwrap())
    };
    let archive = boxed.folder.path().join("image.tar");
    nobody(&["load", "-i", archive.to_str().unwrap()]).expect(0);
    let script =
        "id -u; touch /made && cat /proc/self/uid_map; grep -E '^(Cap(Inh|Amb)|NoNewPrivs|Seccomp):' /proc/self/status";
    let ran = nobody(&["run", "--rm", "--network", "none", "box:1", "sh", "-c", script]).expect(0);
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert_eq!(words.first(), Some(&"0"), "{ran:?}");
    assert!(
        ran.stdout.ends_with("CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"),
        "{}",
        ran.stdout
    );
    nobody(&["run", "-d", "--network", "none", "--name", "one", "box:1", "sleep", "1000"]).expect(0);
    assert_eq!(nobody(&["exec", "one", "echo", "in"]).expect(0).stdout, "in\n");
    nobody(&["rm", "--force", "--volumes", "one"]).expect(0);
    assert_eq!(fs::read_dir(folder.path().join("store/containers")).unwrap().count(), 0);
}
