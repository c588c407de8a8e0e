//! What a process gets, and what is told of its end.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use corten_diagnostic::{Diagnose, Fault};
use corten_sandbox::{Capabilities, Content, End, Mount, Note, Output, Remote, Root, Stdin, Streams, Upper};

use crate::world::{World, is_root, run, run_with};

#[test]
fn output_and_status_are_reported() {
    let world = World::new();
    let ran = run(&world.shell("echo out; echo err >&2; exit 7"));
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(ran.exit.end, End::Status(7));
    assert!(ran.exit.peak_memory > 0);
    let names = fs::read_dir(world.root()).unwrap().count();
    assert_eq!(names, 2, "bin and etc: mount points are removed again");
}

#[test]
fn signals_are_reported() {
    let world = World::new();
    for signal in [9, 11, 15] {
        assert_eq!(run(&world.shell(&format!("kill -{signal} $$"))).exit.end, End::Signal(signal));
    }
}

#[test]
fn the_environment_is_exactly_what_is_given() {
    let world = World::new();
    let mut sandbox = world.sandbox(&["/bin/env"]);
    sandbox.process.environment =
        [("B", "two words"), ("A", "1"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into())).into();
    assert_eq!(run(&sandbox).stdout, "A=1\nB=two words\nEMPTY=\n");
    sandbox.process.environment.clear();
    assert_eq!(run(&sandbox).stdout, "");
}

#[test]
fn stdin_is_empty_or_what_is_given() {
    let world = World::new();
    let sandbox = world.sandbox(&["cat"]);
    assert_eq!(run(&sandbox).stdout, "");
    let long = "x".repeat(300_000);
    assert_eq!(run_with(&sandbox, Stdin::Bytes(long.as_bytes())).stdout, long);
    let ran = run_with(&world.sandbox(&["true"]), Stdin::Bytes(long.as_bytes()));
    assert_eq!(ran.exit.end, End::Status(0), "what is not read is no error");
}

#[test]
fn folder_mask_name_and_ids_are_those_asked_for() {
    let world = World::new();
    fs::create_dir(world.root().join("work")).unwrap();
    let mut sandbox = world.shell("pwd; umask; hostname; id -u; id -g; ulimit -n; ulimit -c");
    (sandbox.process.folder, sandbox.process.umask, sandbox.hostname) = ("/work".into(), 0o077, "builder".into());
    (sandbox.process.user, sandbox.process.group, sandbox.limits.open_files) = (1000, 100, Some(77));
    assert_eq!(run(&sandbox).stdout, "/work\n0077\nbuilder\n1000\n100\n77\n0\n");
}

#[test]
fn root_inside_owns_the_callers_files() {
    let world = World::new();
    let ran = run(&world.shell("touch /made; stat -c %u:%g /made /bin/busybox"));
    assert_eq!(ran.stdout, "0:0\n0:0\n", "{}", ran.stderr);
    let (made, ours) = (fs::metadata(world.root().join("made")).unwrap(), fs::metadata(world.folder.path()).unwrap());
    assert_eq!((made.uid(), made.gid()), (ours.uid(), ours.gid()));
}

#[test]
fn with_many_ids_files_can_be_given_away() {
    let world = World::new();
    let mut sandbox = world.shell("touch /made; chown 33:7 /made; stat -c %u:%g /made; id -G");
    (sandbox.process.capabilities, sandbox.process.groups) = (Capabilities::CONTAINER, vec![5, 6]);
    let ran = run(&sandbox);
    if is_root() {
        assert_eq!(ran.stdout, "33:7\n0 5 6\n", "{}", ran.stderr);
        let made = fs::metadata(world.root().join("made")).unwrap();
        assert_eq!((made.uid(), made.gid()), (33, 7), "on disk they are the image's");
        assert_eq!(ran.exit.notes, []);
    } else if ran.exit.notes.iter().any(|note| matches!(note, Note::OneId(_))) {
        assert!(ran.exit.notes.contains(&Note::GroupsNotSet));
        assert!(ran.stdout.starts_with("0:0\n"), "{}", ran.stdout);
    }
}

#[test]
fn ids_of_the_host_can_be_asked_for() {
    let world = World::new();
    let mut sandbox = world.shell("cat /proc/self/uid_map");
    sandbox.ids = corten_sandbox::Ids::Same;
    let map = run(&sandbox).stdout;
    let map: Vec<_> = map.split_whitespace().collect();
    let own = rustix::process::geteuid().as_raw().to_string();
    assert_eq!(map[..2], ["0", own.as_str()]);
}

/// The kernel's own file systems have no idmapped mounts.
#[test]
fn what_cannot_be_shifted_is_mounted_with_the_same_ids_and_told() {
    let world = World::new();
    let mut sandbox = world.shell("grep -c Linux /version; touch /made");
    sandbox.mounts.push(Mount::Bind { source: "/proc/version".into(), target: "/version".into(), read_only: true });
    let ran = run(&sandbox);
    assert_eq!((ran.stdout.as_str(), ran.exit.end), ("1\n", End::Status(0)), "{}", ran.stderr);
    assert_eq!(
        ran.exit.notes.iter().any(|note| matches!(note, Note::IdsNotShifted(_))),
        is_root(),
        "{:?}",
        ran.exit.notes
    );
    assert!(!world.root().join("version").exists());
}

#[test]
fn layers_stand_on_each_other_and_changes_go_to_the_upper() {
    let world = World::new();
    let upper = world.path("upper");
    for (layer, text) in [("a", "below"), ("b", "above")] {
        fs::create_dir(world.path(layer)).unwrap();
        fs::write(world.path(layer).join("file"), text).unwrap();
        fs::write(world.path(layer).join(layer), layer).unwrap();
    }
    fs::create_dir(&upper).unwrap();
    let mut sandbox = world.shell("cat /file; echo new > /a; rm /b; mkdir -p /x/y; rm -r /etc; mkdir /etc");
    let lower = vec![world.path("b"), world.path("a"), world.root()];
    sandbox.root = Root::Overlay { lower: lower.clone(), upper: Upper::Keep(upper.clone()) };
    let ran = run(&sandbox);
    assert_eq!((ran.stdout.as_str(), ran.exit.end), ("above", End::Status(0)), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(world.path("a/a")).unwrap(), "a");
    assert_eq!(fs::read_to_string(upper.join("upper/a")).unwrap(), "new\n");
    assert_eq!(fs::metadata(upper.join("upper/b")).unwrap().rdev(), 0, "a whiteout");
    let mut names: Vec<_> =
        fs::read_dir(upper.join("upper")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "etc", "x"], "no /proc, no /dev");
    assert!(!upper.join("work").exists());
    sandbox.root = Root::Overlay { lower, upper: Upper::Discard(1 << 20) };
    sandbox.process.arguments[2] = "echo new > /a && rm /b && mkdir -p /x/y && rm -r /etc".into();
    assert_eq!(run(&sandbox).exit.end, End::Status(0));
    assert_eq!(fs::read_to_string(world.path("b/b")).unwrap(), "b");
}

#[test]
fn a_discarded_upper_has_its_size() {
    let world = World::new();
    let mut sandbox = world.shell("dd if=/dev/zero of=/big bs=1M count=8");
    sandbox.root = Root::Overlay { lower: vec![world.root()], upper: Upper::Discard(4 << 20) };
    let ran = run(&sandbox);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
}

#[test]
fn binds_memory_folders_and_secrets_are_there() {
    let world = World::new();
    fs::create_dir_all(world.path("data")).unwrap();
    fs::write(world.path("data/file"), "data").unwrap();
    fs::write(world.path("one"), "one").unwrap();
    let mut sandbox = world.shell(
        "cat /ro/file /some/where/one /run/secrets/key; stat -c %a /run/secrets/key; echo x > /ro/new; echo y > /rw/new; \
         echo z > /run/secrets/key; dd if=/dev/zero of=/cache/big bs=1k count=200; stat -c %a /cache",
    );
    let bind = |source: &str, target: &str, read_only| Mount::Bind {
        source: world.path(source),
        target: target.into(),
        read_only,
    };
    sandbox.mounts.extend([
        bind("data", "/ro", true),
        bind("data", "/rw", false),
        bind("one", "/some/where/one", true),
        Mount::Tmpfs { target: "/cache".into(), size: 100 << 10, mode: 0o1777 },
        Mount::Secret {
            target: "/run/secrets/key".into(),
            mode: 0o400,
            user: 0,
            group: 0,
            content: Content(b"s3cret".to_vec()),
        },
    ]);
    assert!(format!("{sandbox:?}").contains("6 secret bytes"));
    let ran = run(&sandbox);
    assert_eq!(ran.stdout, "dataones3cret400\n1777\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("/ro/new: Read-only file system"), "{}", ran.stderr);
    assert!(ran.stderr.contains("/run/secrets/key: Read-only file system"), "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(world.path("data/new")).unwrap(), "y\n");
    assert_eq!(fs::read_dir(world.root()).unwrap().count(), 2, "bin and etc: mount points are removed again");
}

#[test]
fn a_read_only_root_cannot_be_changed() {
    let world = World::new();
    for name in ["proc", "dev"] {
        fs::create_dir(world.root().join(name)).unwrap();
    }
    let mut sandbox = world.shell("echo x > /new");
    sandbox.root = Root::Folder { path: world.root(), read_only: true };
    assert!(run(&sandbox).stderr.contains("Read-only file system"));
    sandbox.mounts.push(Mount::Tmpfs { target: "/cache".into(), size: 4096, mode: 0o755 });
    let failure = sandbox.run(Streams::default()).unwrap_err();
    assert_eq!(failure.fault(), Fault::Input);
    assert!(failure.to_string().contains("/cache is missing and the root is read-only"), "{failure}");
}

#[test]
fn pythons_of_a_root_run() {
    let world = World::new();
    let script = "import os, sys, json, tempfile, subprocess, threading, multiprocessing as m\n\
                  print(json.dumps([sys.version_info[0], os.getpid() > 1, subprocess.check_output(['/bin/echo', 'hi']).decode()]))\n\
                  t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n\
                  with m.Pool(2) as pool: print(pool.map(abs, [-1, -2]))";
    let mut sandbox = world.with_host_programs(&["/usr/bin/python3", "-c", script]);
    sandbox.mounts.push(Mount::Tmpfs { target: "/tmp".into(), size: 1 << 20, mode: 0o1777 });
    let ran = run(&sandbox);
    assert_eq!(ran.stdout, "[3, true, \"hi\\n\"]\nthread\n[1, 2]\n", "{}", ran.stderr);
}

#[test]
fn a_remote_sends_signals_and_ends_everything() {
    /// Calls when the process has written something: then it runs.
    struct Call<F>(F);
    impl<F: FnMut()> Write for Call<F> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = World::new();
    let sandbox = world.shell("trap 'exit 9' USR1; echo up; while :; do :; done");
    let run = |act: fn(&Remote)| {
        let remote = Remote::default();
        let mut sink = Call(|| act(&remote));
        let streams = Streams { stdout: Output::Sink(&mut sink), remote: Some(&remote), ..Streams::default() };
        sandbox.run(streams).unwrap().end
    };
    assert_eq!(run(|remote| remote.signal(10)), End::Status(9));
    assert_eq!(run(Remote::kill), End::Killed);
}

#[test]
fn a_sink_that_fails_ends_everything() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = World::new();
    let failure =
        world.sandbox(&["yes"]).run(Streams { stdout: Output::Sink(&mut Full), ..Streams::default() }).unwrap_err();
    assert_eq!(failure.fault(), Fault::World);
    assert!(failure.to_string().contains("cannot write the output"), "{failure}");
}

#[test]
fn what_cannot_be_started_is_told() {
    let world = World::new();
    fs::write(world.root().join("bin/text"), "no program").unwrap();
    fs::write(world.root().join("bin/script"), "#!/no/such/interpreter\n").unwrap();
    for name in ["text", "script"] {
        fs::set_permissions(world.root().join("bin").join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    fs::write(world.root().join("etc/plain"), "").unwrap();
    for (program, why) in [
        ("missing", "no such program"),
        ("text", "no program of this machine"),
        ("script", "the interpreter that it names is missing"),
        ("/etc/plain", "Permission denied"),
        ("", "it has no name"),
    ] {
        let failure = world.sandbox(&[program]).run(Streams::default()).unwrap_err();
        assert_eq!(failure.fault(), Fault::Input);
        assert!(failure.to_string().contains(why), "{program}: {failure}");
    }
    let mut sandbox = world.sandbox(&["true"]);
    sandbox.process.folder = "/nowhere".into();
    assert!(sandbox.run(Streams::default()).unwrap_err().to_string().contains("cannot start in /nowhere"));
    let mut sandbox = world.sandbox(&["true"]);
    sandbox.root = Root::Folder { path: world.path("missing"), read_only: false };
    let failure = sandbox.run(Streams::default()).unwrap_err();
    assert_eq!(failure.fault(), Fault::Input, "{failure}");
    sandbox.root = Root::Overlay { lower: Vec::new(), upper: Upper::Discard(0) };
    assert!(sandbox.run(Streams::default()).unwrap_err().to_string().contains("0 lower folders"));
}
