//! What images that run need besides: terminals, further processes, volumes, networks with ports, many layers.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use corten_sandbox::{
    EachLimit, End, Excess, Mount, Network, Note, Output, Port, Process, Remote, Root, Sandbox, Streams, Upper, Window,
    pasta, receive_terminal,
};

use crate::world::{World, is_root, run};

/// Everything that comes out of a terminal until its last holder is gone (EIO).
fn read_all(terminal: &mut File) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn shell(script: &str, terminal: Option<Window>) -> Process {
    let mut process = Process::new(["sh", "-c", script]);
    process.environment.insert("PATH".into(), "/bin".into());
    process.terminal = terminal;
    process
}

#[test]
fn a_terminal_is_its_own_and_controls() {
    let world = World::new();
    let mut sandbox = world.shell("test -t 0 && test -t 1 && test -t 2 && : > /dev/tty; echo all$?; ls -l /dev/tty /proc/self/fd/0; read line; echo got $line; sleep 100");
    sandbox.process.terminal = Some(Window { rows: 33, columns: 77 });
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (exit, text) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut terminal = File::from(receive_terminal(&ours).unwrap());
            let size = rustix::termios::tcgetwinsize(&terminal).unwrap();
            assert_eq!((size.ws_row, size.ws_col), (33, 77));
            terminal.write_all(b"word\n").unwrap();
            let mut text = String::new();
            while !text.contains("got word") {
                let mut byte = [0];
                terminal.read_exact(&mut byte).unwrap();
                text.push(char::from(byte[0]));
            }
            terminal.write_all(&[3]).unwrap();
            text + &read_all(&mut terminal)
        });
        let exit = sandbox.run(Streams { terminal: Some(theirs), ..Streams::default() }).unwrap();
        (exit, reader.join().unwrap())
    });
    assert_eq!(exit.end, End::Signal(2), "its Ctrl-C: {text}");
    assert!(text.contains("all0") && text.contains("/dev/pts/0"), "{text}");
}

/// Runs a sandbox whose process sleeps, and meanwhile what is given.
fn beside<T: Send>(sandbox: &Sandbox, act: impl FnOnce(&Remote) -> T + Send) -> T {
    let remote = Remote::default();
    let (sender, receiver) = mpsc::channel();
    let up = move || sender.send(()).unwrap();
    std::thread::scope(|scope| {
        let line = &remote;
        let acting = scope.spawn(move || {
            let result = receiver.recv_timeout(Duration::from_secs(30)).map(|()| act(line));
            line.kill();
            result.unwrap()
        });
        let streams = Streams { stderr: Output::Inherit, remote: Some(&remote), up: Some(&up), ..Streams::default() };
        sandbox.run(streams).unwrap();
        acting.join().unwrap()
    })
}

#[test]
fn further_processes_are_in_the_same_sandbox() {
    let world = World::new();
    let sandbox = world.shell("echo here > /tmp-file; sleep 100");
    let null = File::open("/dev/null").unwrap();
    let start = |remote: &Remote, process: Process| {
        let (mut read, write) = std::io::pipe().unwrap();
        let another = remote.start(process, [null.as_fd(), write.as_fd(), write.as_fd()]).unwrap();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        (another.wait(), text)
    };
    beside(&sandbox, |remote| {
        let (end, text) = start(remote, shell("while ! test -s /tmp-file; do :; done; cat /tmp-file; exit 9", None));
        assert_eq!((end.unwrap(), text.as_str()), (End::Status(9), "here\n"));
        let (end, _) = start(remote, Process::new(["/bin/nothing"]));
        let failure = end.unwrap_err().to_string();
        assert_eq!(
            failure,
            "cannot start /bin/nothing in the root file system: no such program, or the interpreter that it names is missing"
        );
        let another = remote.start(shell("sleep 100", None), [null.as_fd(); 3]).unwrap();
        another.signal(15);
        assert_eq!(another.wait().unwrap(), End::Signal(15), "others are signalled one by one");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let window = Window { rows: 5, columns: 6 };
        let another = remote.start(shell("stty size; test -t 1", Some(window)), [theirs.as_fd(); 3]).unwrap();
        drop(theirs);
        let mut terminal = File::from(receive_terminal(&ours).unwrap());
        read_all(&mut terminal);
        assert!(matches!(another.wait().unwrap(), End::Status(0)), "a terminal for another");
    });
}

#[test]
fn further_processes_end_with_the_first() {
    let world = World::new();
    let null = File::open("/dev/null").unwrap();
    let another =
        beside(&world.shell("sleep 100"), |remote| remote.start(shell("sleep 100", None), [null.as_fd(); 3]).unwrap());
    assert_eq!(another.wait().unwrap(), End::Killed);
}

#[test]
fn signals_before_the_start_are_not_lost() {
    let remote = Remote::default();
    remote.signal(15);
    let world = World::new();
    let exit = world.sandbox(&["sleep", "100"]).run(Streams { remote: Some(&remote), ..Streams::default() }).unwrap();
    assert_eq!(exit.end, End::Signal(15));
}

#[test]
fn an_empty_volume_is_filled_once() {
    let world = World::new();
    let data = world.root().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    fs::write(data.join("sub/file"), "from the image").unwrap();
    fs::set_permissions(data.join("sub/file"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("/etc/passwd", data.join("link")).unwrap();
    if is_root() {
        std::os::unix::fs::chown(data.join("sub/file"), Some(33), Some(7)).unwrap();
    }
    let volume = world.path("volume");
    fs::create_dir(&volume).unwrap();
    let mut sandbox = world.shell("cat /data/sub/file; echo changed > /data/sub/file; rm /data/link");
    sandbox.mounts.push(Mount::Volume { source: volume.clone(), target: "/data".into(), read_only: false });
    sandbox.process.capabilities = corten_sandbox::Capabilities::CONTAINER;
    assert_eq!(run(&sandbox).stdout, "from the image");
    let stat = fs::metadata(volume.join("sub/file")).unwrap();
    assert_eq!(stat.mode() & 0o7777, 0o640);
    if is_root() {
        assert_eq!((stat.uid(), stat.gid()), (33, 7));
    }
    assert_eq!(fs::read_to_string(data.join("sub/file")).unwrap(), "from the image", "the image stays");
    assert_eq!(run(&sandbox).stdout, "changed\n", "it is not filled again");
    assert!(!volume.join("link").exists());
    let mut sandbox = world.shell("cat /data/sub/file; echo no > /data/new");
    sandbox.mounts.push(Mount::Volume { source: volume.clone(), target: "/data".into(), read_only: true });
    sandbox.process.capabilities = corten_sandbox::Capabilities::CONTAINER;
    let ran = run(&sandbox);
    assert_eq!((ran.stdout.as_str(), ran.exit.end), ("changed\n", End::Status(1)), "read-only");
}

#[test]
fn folders_that_are_asked_for_stay() {
    let world = World::new();
    let mut sandbox = world.shell("pwd");
    sandbox.mounts.push(Mount::Folder("/srv/deep".into()));
    sandbox.process.folder = "/srv/deep".into();
    assert_eq!(run(&sandbox).stdout, "/srv/deep\n");
    assert!(world.root().join("srv/deep").is_dir());
}

#[test]
fn a_read_only_overlay_takes_mounts_and_nothing_else() {
    let world = World::new();
    let mut sandbox = world.shell("echo no > /etc/file || echo refused; echo yes > /new/file && cat /new/file");
    sandbox.root = Root::Overlay { lower: vec![world.root()], upper: Upper::ReadOnly };
    sandbox.mounts.push(Mount::Tmpfs { target: "/new".into(), size: 4096, mode: 0o755 });
    let ran = run(&sandbox);
    assert_eq!(ran.stdout, "refused\nyes\n", "{}", ran.stderr);
    assert!(!world.root().join("new").exists());
}

#[test]
fn a_hundred_and_twenty_eight_layers_stand_on_each_other() {
    let world = World::new();
    let mut lower: Vec<_> =
        (0..127).rev().map(|number| world.path(&format!("layer-with-a-long-name-{number}"))).collect();
    for (folder, number) in lower.iter().zip((0..127).rev()) {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join(format!("file{number}")), "x").unwrap();
        fs::write(folder.join("top"), number.to_string()).unwrap();
    }
    lower.push(world.root());
    let mut sandbox = world.shell("ls / | grep -c file; cat /top");
    sandbox.root = Root::Overlay { lower, upper: Upper::Discard(1 << 20) };
    assert_eq!(run(&sandbox).stdout, "127\n126");
}

#[test]
fn each_process_has_the_limits_that_docker_names() {
    let world = World::new();
    let mut sandbox = world.shell("ulimit -n; ulimit -Hn; ulimit -c");
    sandbox.limits.each = vec![EachLimit::named("nofile", 100, 200).unwrap(), EachLimit::named("core", 0, 0).unwrap()];
    assert_eq!(run(&sandbox).stdout, "100\n200\n0\n");
    assert_eq!(EachLimit::named("nonsense", 1, 1), None);
}

/// As root here the kernel enforces them, by cgroups of whichever version; without, processors are counted out.
#[test]
fn processor_time_is_limited_or_it_is_told() {
    let world = World::new();
    let mut sandbox = world.shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
    let free = run(&sandbox).exit;
    sandbox.limits.cpu = Some(100);
    let bound = run(&sandbox).exit;
    let told = bound.notes.iter().any(|note| matches!(note, Note::CpuNotEnforced(_)));
    // A tenth of a processor: at least some times as long, whatever else runs here.
    assert!(told || bound.wall > free.cpu * 4, "{free:?} {bound:?}");
}

#[test]
fn processes_can_be_refused_instead() {
    let world = World::new();
    let mut sandbox = world.shell("i=0; while [ $i -lt 30 ]; do sleep 0.2 & i=$((i+1)); done; wait; echo alive");
    sandbox.limits.processes = Some(10);
    sandbox.limits.excess = Excess::Refuse;
    let ran = run(&sandbox);
    let is_watched = ran.exit.notes.iter().any(|note| matches!(note, Note::LimitsNotEnforced(_)));
    assert!(is_watched || matches!(ran.exit.end, End::Status(_)), "{ran:?}");
}

fn own(ports: Vec<Port>) -> Option<Network> {
    Some(Network::Own { helper: pasta()?, ports, resolver: None })
}

#[test]
fn ports_come_in_and_the_hosts_loopback_is_out_of_reach() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let published = Port { address: IpAddr::V4(Ipv4Addr::LOCALHOST), host: port, inside: 4321, is_udp: false };
    let Some(network) = own(vec![published]) else { return };
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new();
    let reach = host.local_addr().unwrap().port();
    let script = format!("nc -w 1 127.0.0.1 {reach} </dev/null && echo reached >&2; echo hello | nc -l -p 4321");
    let mut sandbox = world.sandbox(&["busybox", "sh", "-c", &script]);
    symlink("busybox", world.root().join("bin/nc")).unwrap();
    sandbox.network = network;
    let (mut stderr, mut text) = (Vec::new(), String::new());
    let exit = std::thread::scope(|scope| {
        let text = &mut text;
        scope.spawn(move || {
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while text.is_empty() && std::time::Instant::now() < deadline {
                if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                    let _ = stream.read_to_string(text);
                }
            }
        });
        sandbox.run(Streams { stderr: Output::Sink(&mut stderr), ..Streams::default() })
    });
    assert_eq!((exit.unwrap().end, text.as_str()), (End::Status(0), "hello\n"));
    assert!(!String::from_utf8_lossy(&stderr).contains("reached"));
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let published = Port { address: IpAddr::V4(Ipv4Addr::LOCALHOST), host: port, inside: 80, is_udp: false };
    let Some(network) = own(vec![published]) else { return };
    let world = World::new();
    let mut sandbox = world.sandbox(&["true"]);
    sandbox.network = network;
    let failure = sandbox.run(Streams::default()).unwrap_err().to_string();
    assert!(failure.starts_with("cannot set up the sandbox: make a network (pasta): "), "{failure}");
}
