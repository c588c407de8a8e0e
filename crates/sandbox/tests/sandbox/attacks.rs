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
