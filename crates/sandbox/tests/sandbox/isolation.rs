//! What a process does not get: the host's files, descriptors, network, kernel, privileges.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use corten_sandbox::{Capabilities, End, Mount, Network};

use crate::world::{World, is_root, run};

#[test]
fn the_hosts_files_are_not_there() {
    let world = World::new();
    fs::write(world.path("secret"), "of the host").unwrap();
    fs::set_permissions(world.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let secret = world.path("secret");
    let script = format!(
        "ls /; cat {} /../..{} /proc/1/root{} /proc/self/root/../..{}; ls -a ~ {}",
        secret.display(),
        secret.display(),
        secret.display(),
        secret.display(),
        std::env::var("HOME").ok().filter(|home| home != "/").unwrap_or("/root".into()),
    );
    let ran = run(&world.shell(&script));
    assert_eq!(ran.stdout, "bin\ndev\netc\nproc\n", "{}", ran.stderr);
    assert_eq!(
        ran.stderr.matches("No such file").count() + ran.stderr.matches("Permission denied").count(),
        6,
        "{}",
        ran.stderr
    );
}

#[test]
fn pid_1_gives_nothing_away() {
    let world = World::new();
    for capabilities in [Capabilities::NONE, Capabilities::CONTAINER, Capabilities::ALL] {
        let mut sandbox = world.shell(
            "for f in root exe cwd environ maps mem fd/3; do cat /proc/1/$f >/dev/null 2>&1 && echo $f; done; ls /proc/1/fd; \
             kill -9 1; kill -TERM 1; echo alive",
        );
        sandbox.process.capabilities = capabilities;
        let ran = run(&sandbox);
        assert_eq!(ran.stdout, "alive\n", "{}", ran.stderr);
    }
}

#[test]
fn no_descriptor_of_the_host_comes_along() {
    let world = World::new();
    let file = fs::File::open("/").unwrap();
    let leak = rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 200).unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let ran = run(&world.sandbox(&["ls", "/proc/self/fd"]));
    assert_eq!(ran.stdout, "0\n1\n2\n3\n", "3 is the folder that ls reads");
    let ran = run(&world.shell("for fd in 0 1 2; do stat -L -c %F /proc/self/fd/$fd; done"));
    assert_eq!(ran.stdout, "character special file\nfifo\nfifo\n");
}

#[test]
fn there_is_no_network() {
    let world = World::new();
    let ran = run(&world.shell("ifconfig -a | grep -E '^[a-z]|UP'"));
    assert_eq!(ran.stdout.matches("Link encap").count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("lo ") && ran.stdout.contains("UP LOOPBACK RUNNING"), "{}", ran.stdout);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = |address: &str| {
        let script = format!("import socket; socket.create_connection(('{address}', {port}), 5); print('connected')");
        world.with_host_programs(&["/usr/bin/python3", "-c", &script])
    };
    for (address, why) in [("127.0.0.1", "Connection refused"), ("192.0.2.1", "Network is unreachable")] {
        let ran = run(&connect(address));
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    let mut sandbox = connect("127.0.0.1");
    sandbox.network = Network::Host;
    assert_eq!(run(&sandbox).stdout, "connected\n", "the control: the host's network");
}

/// Where containerd's shims once listened (CVE-2020-15257).
#[test]
fn e16_abstract_sockets_of_the_host_are_out_of_reach_in_its_network() {
    let world = World::new();
    let name = format!("corten-e16-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let script = format!(
        "import socket\nown = socket.socket(socket.AF_UNIX); own.bind('\\0own{name}'); own.listen()\n\
         for name in ['own{name}', '{name}']: socket.socket(socket.AF_UNIX).connect('\\0' + name); print('connected')"
    );
    let mut sandbox = world.with_host_programs(&["/usr/bin/python3", "-c", &script]);
    sandbox.network = Network::Host;
    assert_eq!(run(&sandbox).stdout, "connected\nconnected\n", "the control: the host's network");
    sandbox.process.no_abstract_sockets = true;
    let ran = run(&sandbox);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    if (numbers.next().unwrap(), numbers.next().unwrap()) < (6, 12) {
        return;
    }
    assert_eq!(ran.stdout, "connected\n", "to its own");
    assert!(ran.stderr.contains("PermissionError"), "{}", ran.stderr);
}

#[test]
fn the_kernels_settings_can_be_read_at_most() {
    let world = World::new();
    let writes = [
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/sys/vm/overcommit_memory",
        "/sys/kernel/uevent_helper",
    ];
    let script = format!(
        "for f in {}; do (echo x > $f) 2>/dev/null && echo $f is written; done; \
         cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null | grep -v :; \
         head -c 1 /proc/cpuinfo",
        writes.join(" ")
    );
    for capabilities in [Capabilities::NONE, Capabilities::CONTAINER, Capabilities::ALL] {
        let mut sandbox = world.shell(&script);
        sandbox.process.capabilities = capabilities;
        sandbox.mounts.push(Mount::Sys);
        let ran = run(&sandbox);
        assert_eq!(ran.stdout.trim(), "p", "{}", ran.stderr);
    }
}

#[test]
fn devices_are_the_harmless_ones() {
    let world = World::new();
    let ran = run(&world.shell(
        "ls /dev; echo x > /dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo y > /dev/shm/f && cat /dev/shm/f",
    ).with_applet(&world, "wc"));
    let names = "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert_eq!(ran.stdout, format!("{names}2\n3\ny\n"), "{}", ran.stderr);
}

trait WithApplet {
    fn with_applet(self, world: &World, name: &str) -> Self;
}

impl WithApplet for corten_sandbox::Sandbox {
    fn with_applet(self, world: &World, name: &str) -> Self {
        std::os::unix::fs::symlink("busybox", world.root().join("bin").join(name)).unwrap();
        self
    }
}

#[test]
fn there_are_no_capabilities() {
    let world = World::new();
    let script = "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status";
    let ran = run(&world.shell(script));
    let none = "0000000000000000";
    let expected = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|set| format!("{set}:\t{none}\n")).concat();
    assert_eq!(ran.stdout, format!("{expected}NoNewPrivs:\t1\nSeccomp:\t2\n"));
    for user in [0, 1000] {
        let mut sandbox = world.shell(script);
        (sandbox.process.capabilities, sandbox.process.user) = (Capabilities::CONTAINER, user);
        let ran = run(&sandbox);
        // As docker's: another user than root has them only by way of a program that gives them.
        let effective = if user == 0 { "00000000a80425fb" } else { none };
        assert!(ran.stdout.contains(&format!("CapEff:\t{effective}")), "{}", ran.stdout);
        assert!(ran.stdout.contains("CapBnd:\t00000000a80425fb"), "{}", ran.stdout);
    }
}

/// A program that shows what a file's owner gives: as it needs another user, only where there are many ids.
#[test]
fn setuid_programs_give_nothing() {
    let world = World::new();
    let program = world.root().join("bin/whose");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut sandbox = world.with_host_programs(&["/bin/whose", "-u"]);
    sandbox.process.user = 1000;
    assert_eq!(run(&sandbox).stdout, "1000\n");
    if is_root() {
        sandbox.process.no_new_privileges = false;
        assert_eq!(run(&sandbox).stdout, "0\n", "the control: it is a setuid program");
        sandbox.mounts.push(Mount::Bind { source: world.root().join("bin"), target: "/mnt".into(), read_only: false });
        sandbox.process.arguments[0] = "/mnt/whose".into();
        assert_eq!(run(&sandbox).stdout, "1000\n", "nosuid on what is bound in");
    }
}

/// Makes a system call and tells its error.
const CALLS: &str = "
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for line in sys.argv[1:]:
    number, *arguments = map(int, line.split())
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if number == 56 and result == 0: os._exit(0)
    print(errno.errorcode.get(ctypes.get_errno(), 'done'))
";

#[cfg(target_arch = "x86_64")]
#[test]
fn system_calls_beyond_a_programs_needs_are_refused() {
    const REFUSED: [(&str, &str, &str); 31] = [
        ("mount", "165 0 0 0 0 0", "EPERM"),
        ("umount2", "166 0 0", "EPERM"),
        ("pivot_root", "155 0 0", "EPERM"),
        ("unshare user", "272 268435456", "EPERM"),
        ("unshare mount", "272 131072", "EPERM"),
        ("setns", "308 0 0", "EPERM"),
        ("clone user", "56 268435473 0 0 0 0", "EPERM"),
        ("clone net", "56 1073741841 0 0 0 0", "EPERM"),
        ("clone3", "435 0 0", "ENOSYS"),
        ("ptrace traceme", "101 0 0 0 0", "EPERM"),
        ("process_vm_readv", "310 1 0 0 0 0 0", "EPERM"),
        ("keyctl", "250 0 -3 0", "EPERM"),
        ("add_key", "248 0 0 0 0 0", "EPERM"),
        ("request_key", "249 0 0 0 0", "EPERM"),
        ("bpf", "321 0 0 0", "EPERM"),
        ("perf_event_open", "298 0 0 -1 -1 0", "EPERM"),
        ("userfaultfd", "323 0", "EPERM"),
        ("open_by_handle_at", "304 0 0 0", "EPERM"),
        ("kexec_load", "246 0 0 0 0", "EPERM"),
        ("init_module", "175 0 0 0", "EPERM"),
        ("reboot", "169 0 0 0 0", "EPERM"),
        ("swapon", "167 0 0", "EPERM"),
        ("settimeofday", "164 0 0", "EPERM"),
        ("fsopen", "430 0 0", "EPERM"),
        ("open_tree", "428 0 0 0", "EPERM"),
        ("io_uring_setup", "425 1 0", "ENOSYS"),
        ("TIOCSTI", "16 0 21522 0", "EPERM"),
        ("TIOCSTI with a high half", "16 0 4294988818 0", "EPERM"),
        ("socket of vsock", "41 40 1 0", "EPERM"),
        ("socket of alg", "41 38 5 0", "EPERM"),
        ("personality", "135 262144", "EPERM"),
    ];
    const UNKNOWN: [(&str, &str, &str); 4] = [
        ("one that is not there yet", "600 0", "ENOSYS"),
        ("getpid of x32", "1073741863", "ENOSYS"),
        ("mount of x32", "1073741989 0 0 0 0 0", "ENOSYS"),
        ("getpid, the control", "39", "done"),
    ];
    let world = World::new();
    let calls: Vec<_> = REFUSED.iter().chain(&UNKNOWN).collect();
    for capabilities in [Capabilities::NONE, Capabilities::CONTAINER] {
        let mut arguments = vec!["/usr/bin/python3", "-c", CALLS];
        arguments.extend(calls.iter().map(|(_, call, _)| *call));
        let mut sandbox = world.with_host_programs(&arguments);
        sandbox.process.capabilities = capabilities;
        let ran = run(&sandbox);
        let answers: Vec<_> = ran.stdout.lines().collect();
        assert_eq!(answers.len(), calls.len(), "{} {}", ran.stdout, ran.stderr);
        for ((name, _, expected), answer) in calls.iter().zip(answers) {
            assert_eq!(answer, *expected, "{name}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_another_machine_kill() {
    // mov $20, %eax; int $0x80; ret: getpid of i386.
    let script = "
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))
print('up', flush=True)
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print('alive')";
    let world = World::new();
    let ran = run(&world.with_host_programs(&["/usr/bin/python3", "-c", script]));
    assert_eq!((ran.stdout.as_str(), ran.exit.end), ("up\n", End::Signal(31)), "{}", ran.stderr);
}

#[test]
fn the_hosts_processes_and_mounts_are_not_seen() {
    let world = World::new();
    let ran = run(&world.shell("ls /proc | grep -E '^[0-9]+$' | head -c 100; echo; cat /proc/self/mountinfo"));
    let (pids, mounts) = ran.stdout.split_once("\n\n").unwrap_or_default();
    let pids: Vec<u32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids[0] == 1 && pids.len() <= 6 && pids.iter().all(|pid| *pid < 20), "{pids:?}");
    let points: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    assert!(
        points.iter().all(|point| ["/", "/proc", "/dev"].iter().any(|own| Path::new(point).starts_with(own))),
        "{mounts}"
    );
    assert_eq!(points.iter().filter(|point| **point == "/").count(), 1, "the host's root is let go: {mounts}");
    let ours = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!ours.contains(world.folder.path().to_str().unwrap()), "{ours}");
}
