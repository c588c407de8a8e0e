//! Recipes of attacks on what runs containers, each by its id in the catalogue of the project's research. What other modules show
//! already (devices, masked paths, links in place of mount points, limits) is not shown again.

use std::fs;
use std::os::unix::fs::symlink;

use corten_sandbox::{Capabilities, End, Mount, Root, Upper};

use crate::world::{World, helper, run};

/// CVE-2024-21626: a working folder by way of a descriptor of the host.
#[test]
fn e1_no_descriptor_leads_to_the_host() {
    let world = World::new();
    for number in 3..=20 {
        let mut sandbox = world.shell("pwd; ls /");
        sandbox.process.folder = format!("/proc/self/fd/{number}").into();
        let failure = sandbox.run(corten_sandbox::Streams::default()).unwrap_err().to_string();
        let beginning = format!("cannot start in /proc/self/fd/{number} of the root file system: ");
        assert!(failure.starts_with(&beginning), "{failure}");
    }
    let ran = run(&world.shell("ls /proc/self/fd; pwd"));
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "1", "2", "3", "/"], "3 is ls' own");
}

/// CVE-2019-5736: our own program, by way of /proc.
#[test]
fn e2_pid_1s_program_is_not_written_to() {
    let world = World::new();
    let before = fs::read(helper()).unwrap();
    let script = "for way in exe root/bin/busybox cwd/bin/busybox fd/0; do \
                  echo x > /proc/1/$way && echo written; done; cat /proc/1/exe > /copy && echo read; true";
    let mut sandbox = world.shell(script);
    sandbox.process.capabilities = Capabilities::ALL;
    assert_eq!(run(&sandbox).stdout, "");
    assert_eq!(fs::read(helper()).unwrap(), before);
}

/// CVE-2025-31133: what masks is the host's null device, whatever the image calls so.
#[test]
fn e3_an_images_null_device_masks_nothing() {
    let world = World::new();
    fs::create_dir(world.root().join("dev")).unwrap();
    symlink("/proc/sys/kernel/core_pattern", world.root().join("dev/null")).unwrap();
    let ran = run(&world.shell("stat -c %t:%T /dev/null /proc/keys; cat /proc/keys | head -c 1"));
    assert_eq!(ran.stdout, "1:3\n1:3\n", "{}", ran.stderr);
}

/// CVE-2025-52565: terminals are made in a devpts of our own, by descriptor.
#[test]
fn e4_links_in_place_of_terminals_lead_nowhere() {
    for (name, to) in [("console", "/proc/1/mem"), ("ptmx", "/etc/passwd"), ("pts", "/etc"), ("tty", "/etc/passwd")] {
        let world = World::new();
        fs::create_dir(world.root().join("dev")).unwrap();
        fs::write(world.root().join("etc/passwd"), "kept").unwrap();
        symlink(to, world.root().join("dev").join(name)).unwrap();
        let ran = run(&world.shell("echo x > /dev/ptmx; ls -l /dev | grep -c /etc; stat -c %F /dev/pts /dev/tty"));
        assert_eq!(ran.stdout, "0\ndirectory\ncharacter special file\n", "{name}");
        assert_eq!(fs::read_to_string(world.root().join("etc/passwd")).unwrap(), "kept", "{name}");
    }
}

/// CVE-2019-19921, CVE-2025-52881, CVE-2026-41579: the kernel's folders are folders of the root, not what links say.
#[test]
fn e5_e6_proc_sys_and_dev_are_no_links() {
    for (name, to) in [("proc", "/x"), ("sys", "/x"), ("dev", "/x"), ("dev", "/proc"), ("proc", "/proc/self/root")] {
        let world = World::new();
        fs::create_dir(world.root().join("x")).unwrap();
        symlink(to, world.root().join(name)).unwrap();
        let mut sandbox = world.shell("true");
        sandbox.mounts.push(Mount::Sys);
        let failure = sandbox.run(corten_sandbox::Streams::default()).unwrap_err().to_string();
        let told = format!("a symbolic link stands where /{name} is to be mounted");
        assert_eq!(failure, format!("cannot mount in the root file system: {told}"));
        assert_eq!(fs::read_dir(world.root().join("x")).unwrap().count(), 0);
    }
    let world = World::new();
    let ran = run(&world.shell("stat -f -c %T /proc; for path in /proc/sys/kernel/hostname /proc/sysrq-trigger; do (echo x > $path) || echo refused; done"));
    assert_eq!(ran.stdout, "proc\nrefused\nrefused\n");
}

/// CVE-2018-15664, CVE-2019-14271, CVE-2025-23266: nothing of an image is loaded or run outside of it, whatever it names.
#[test]
fn e9_e14_loaders_and_hooks_of_an_image_are_not_the_hosts() {
    let world = World::new();
    for (path, text) in [("etc/ld.so.preload", "/p.so\n"), ("etc/nsswitch.conf", "passwd: evil\n"), ("p.so", "none")] {
        fs::write(world.root().join(path), text).unwrap();
    }
    let mut sandbox = world.shell("echo ran; ls -d /dev/nvidia* 2>/dev/null; true");
    for (name, value) in
        [("LD_PRELOAD", "/proc/self/cwd/p.so"), ("LD_LIBRARY_PATH", "/"), ("NVIDIA_VISIBLE_DEVICES", "all")]
    {
        sandbox.process.environment.insert(name.into(), value.into());
    }
    assert_eq!(run(&sandbox).stdout, "ran\n");
}

/// CVE-2021-30465, CVE-2024-45310: a volume's target is exchanged for a link to the host's.
#[test]
fn e7_targets_are_resolved_within_the_root() {
    let world = World::new();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, world.root().join("data")).unwrap();
    let volume = world.path("volume");
    fs::create_dir(&volume).unwrap();
    let mut sandbox = world.shell("echo inside > /data/file");
    sandbox.mounts.push(Mount::Volume { source: volume.clone(), target: "/data/deep".into(), read_only: false });
    let _ = sandbox.run(corten_sandbox::Streams::default());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing is made on the host");
}

/// A volume's target that is a link to what the kernel shows: filling it would copy that, mounting would hide it.
#[test]
fn e7_targets_behind_links_lead_into_no_kernel_folder() {
    for to in ["/proc", "/proc/sys", "proc/self", "/dev", "/dev/shm", "../sys", "/sys/kernel", "/dev/pts"] {
        let world = World::new();
        symlink(to, world.root().join("vol")).unwrap();
        let volume = world.path("volume");
        fs::create_dir(&volume).unwrap();
        let mounts = [
            Mount::Volume { source: volume.clone(), target: "/vol".into(), read_only: false },
            Mount::Tmpfs { target: "/vol".into(), size: 4096, mode: 0o755 },
            Mount::Bind { source: volume.clone(), target: "/vol".into(), read_only: false },
        ];
        for mount in mounts {
            let mut sandbox = world.shell("true");
            sandbox.mounts.extend([Mount::Sys, mount]);
            let failure = sandbox.run(corten_sandbox::Streams::default()).unwrap_err().to_string();
            let told = "cannot mount in the root file system: /vol leads into /proc, /dev or /sys";
            assert!(failure == told || failure.contains("symbolic link"), "{to}: {failure}");
            assert_eq!(fs::read_dir(&volume).unwrap().count(), 0, "{to}: the volume is filled");
        }
    }
}

/// What is mounted below a volume's target is not the image's.
#[test]
fn e7_a_volume_is_filled_with_nothing_that_is_mounted() {
    let world = World::new();
    fs::create_dir_all(world.root().join("data/deep/er")).unwrap();
    fs::write(world.root().join("data/own"), "own").unwrap();
    symlink("/", world.root().join("data/root")).unwrap();
    let (volume, other) = (world.path("volume"), world.path("other"));
    for folder in [&volume, &other] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(other.join("secret"), "another's").unwrap();
    let bind = |target: &str| Mount::Bind { source: other.clone(), target: target.into(), read_only: true };
    let file = Mount::Bind { source: other.join("secret"), target: "/data/file".into(), read_only: true };
    let mut sandbox = world.shell("find /data -xdev");
    sandbox.mounts.extend([bind("/data/deep/er"), file]);
    sandbox.mounts.push(Mount::Volume { source: volume.clone(), target: "/data".into(), read_only: false });
    let ran = run(&sandbox);
    let mut found: Vec<&str> = ran.stdout.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["/data", "/data/deep", "/data/deep/er", "/data/own", "/data/root"], "{}", ran.stderr);
    assert_eq!(fs::read_dir(volume.join("deep/er")).unwrap().count(), 0);
}

/// Whoever filled it was killed: in the middle of copying, and in the middle of moving what was copied to its place.
#[test]
fn a_volume_is_filled_whole_or_again() {
    for (left, expected) in [(".corten-filling", "new"), (".corten-filled", "old")] {
        let world = World::new();
        fs::create_dir_all(world.root().join("data/deep")).unwrap();
        for name in ["data/deep/file", "data/file"] {
            fs::write(world.root().join(name), "new").unwrap();
        }
        let volume = world.path("volume");
        fs::create_dir_all(volume.join(left).join("deep")).unwrap();
        fs::write(volume.join(left).join("deep/file"), "old").unwrap();
        if left == ".corten-filled" {
            fs::write(volume.join("file"), "new").unwrap();
        }
        let mut sandbox = world.shell("cat /data/deep/file; echo; cat /data/file; ls -A /data");
        sandbox.mounts.push(Mount::Volume { source: volume.clone(), target: "/data".into(), read_only: false });
        for _ in 0..2 {
            assert_eq!(run(&sandbox).stdout, format!("{expected}\nnewdeep\nfile\n"), "{left}");
        }
    }
}

/// CVE-2021-43784: lengths of sources.
#[test]
fn e8_a_source_of_64_kib_is_an_error() {
    let world = World::new();
    let mut sandbox = world.shell("true");
    let source = format!("/{}", "a".repeat(64 << 10)).into();
    sandbox.mounts.push(Mount::Bind { source, target: "/x".into(), read_only: false });
    let failure = sandbox.run(corten_sandbox::Streams::default()).unwrap_err().to_string();
    assert!(failure.starts_with("cannot set up the sandbox: take the tree /aaa"), "{}", &failure[..80]);
    assert!(failure.ends_with("File name too long (os error 36)"));
}

/// CVE-2022-29162: capabilities that programs inherit.
#[test]
fn e12_none_is_inheritable_or_ambient() {
    let world = World::new();
    let mut sandbox = world.shell("grep -E '^Cap(Inh|Amb)' /proc/self/status");
    sandbox.process.capabilities = Capabilities::CONTAINER;
    assert_eq!(run(&sandbox).stdout, "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

#[test]
fn e13_the_filter_is_on_and_new_privileges_are_as_asked() {
    let world = World::new();
    let mut sandbox = world.shell("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status");
    assert_eq!(run(&sandbox).stdout, "NoNewPrivs:\t1\nSeccomp:\t2\n");
    sandbox.process.no_new_privileges = false;
    assert_eq!(run(&sandbox).stdout, "NoNewPrivs:\t0\nSeccomp:\t2\n");
}

/// CVE-2023-25809: there are no cgroups to write to.
#[test]
fn e15_cgroups_are_not_there() {
    let world = World::new();
    let mut sandbox = world.shell("ls /sys/fs/cgroup; grep cgroup /proc/mounts; echo x > /sys/kernel/x");
    sandbox.mounts.push(Mount::Sys);
    let ran = run(&sandbox);
    assert_eq!((ran.stdout.as_str(), ran.exit.end), ("", End::Status(1)), "{}", ran.stderr);
}

/// A lower layer is nobody's to change, however it is reached.
#[test]
fn e17_lower_layers_stay() {
    let world = World::new();
    fs::write(world.root().join("file"), "lower").unwrap();
    let mut sandbox = world.shell("echo changed > /file; rm -r /etc; chmod 777 /bin; cat /file");
    sandbox.root = Root::Overlay { lower: vec![world.root()], upper: Upper::Discard(1 << 20) };
    sandbox.process.capabilities = Capabilities::ALL;
    assert_eq!(run(&sandbox).stdout, "changed\n");
    assert_eq!(fs::read_to_string(world.root().join("file")).unwrap(), "lower");
    assert!(world.root().join("etc").exists());
}
