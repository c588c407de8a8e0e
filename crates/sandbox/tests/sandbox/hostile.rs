//! Roots that an attacker made.

use std::fs;
use std::os::unix::fs::symlink;

use corten_diagnostic::{Diagnose, Fault};
use corten_sandbox::{Content, Mount, Sandbox, Streams};

use crate::world::{World, run};

fn refused(sandbox: &Sandbox) -> String {
    let failure = sandbox.run(Streams::default()).unwrap_err();
    assert_eq!(failure.fault(), Fault::Input, "{failure}");
    failure.to_string()
}

#[test]
fn links_in_place_of_proc_dev_and_sys_are_refused() {
    for (name, target) in [
        ("proc", "/etc"),
        ("dev", "bin"),
        ("proc", "/proc/self/root/proc"),
        ("dev", "../../../../dev"),
        ("sys", "/nowhere"),
    ] {
        let world = World::new();
        symlink(target, world.root().join(name)).unwrap();
        let mut sandbox = world.sandbox(&["true"]);
        sandbox.mounts.push(Mount::Sys);
        let said = refused(&sandbox);
        assert!(said.contains(&format!("a symbolic link stands where /{name} is to be mounted")), "{said}");
    }
    let world = World::new();
    fs::create_dir(world.root().join("dev")).unwrap();
    symlink("/etc/passwd", world.root().join("dev/null")).unwrap();
    assert_eq!(run(&world.shell("echo x > /dev/null; stat -c %F /dev/null")).stdout, "character special file\n");
    assert!(!world.root().join("etc/passwd").exists());
}

#[test]
fn links_lead_mounts_nowhere_outside() {
    let world = World::new();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(world.path("file"), "bound").unwrap();
    let links = [
        ("absolute", outside.display().to_string()),
        ("relative", "../outside".into()),
        ("up", "/../../../../../../tmp".into()),
        ("magic", "/proc/1/root".into()),
        ("circle", "circle".into()),
    ];
    for (name, target) in links {
        symlink(&target, world.root().join(name)).unwrap();
        let mut sandbox = world.sandbox(&["true"]);
        let bind = |target: &str| Mount::Bind { source: world.path("file"), target: target.into(), read_only: true };
        sandbox.mounts.push(bind(&format!("/{name}/file")));
        let said = refused(&sandbox);
        assert!(said.contains("symbolic link") || said.contains("cannot be opened"), "{name}: {said}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    for target in ["file", "/../file", "/a/../../file", "/"] {
        let mut sandbox = world.sandbox(&["true"]);
        sandbox.mounts.push(Mount::Bind { source: world.path("file"), target: target.into(), read_only: true });
        let said = refused(&sandbox);
        assert!(said.contains("an absolute path without .."), "{target}: {said}");
    }
}

#[test]
fn links_within_the_root_are_followed() {
    let world = World::new();
    fs::create_dir(world.root().join("run")).unwrap();
    fs::create_dir(world.root().join("var")).unwrap();
    symlink("/run", world.root().join("var/run")).unwrap();
    let mut sandbox = world.shell("cat /run/key");
    let target = "/var/run/key".into();
    sandbox.mounts.push(Mount::Secret { target, mode: 0o400, user: 0, group: 0, content: Content(b"inside".to_vec()) });
    assert_eq!(run(&sandbox).stdout, "inside");
    assert!(!world.root().join("run/key").exists());
}

#[test]
fn a_file_does_not_stand_for_a_folder() {
    let world = World::new();
    fs::write(world.root().join("proc"), "").unwrap();
    let said = refused(&world.sandbox(&["true"]));
    assert!(said.contains("/proc of the root file system: it is a file"), "{said}");
    let mut sandbox = world.sandbox(&["true"]);
    sandbox.mounts = vec![Mount::Tmpfs { target: "/bin/busybox/x".into(), size: 4096, mode: 0o755 }];
    assert!(refused(&sandbox).contains("needs a folder"));
    sandbox.mounts =
        vec![Mount::Bind { source: world.root().join("bin/busybox"), target: "/etc".into(), read_only: true }];
    assert!(refused(&sandbox).contains("it is a folder, and a file is mounted"));
}

#[test]
fn links_lead_the_start_nowhere_outside() {
    let world = World::new();
    fs::create_dir(world.path("outside")).unwrap();
    symlink(world.path("outside"), world.root().join("away")).unwrap();
    symlink("/proc/1/cwd", world.root().join("magic")).unwrap();
    symlink("../../../..", world.root().join("up")).unwrap();
    symlink(crate::world::helper(), world.root().join("bin/program")).unwrap();
    for folder in ["/away", "/magic"] {
        let mut sandbox = world.sandbox(&["pwd"]);
        sandbox.process.folder = folder.into();
        assert!(refused(&sandbox).contains(&format!("cannot start in {folder}")));
    }
    let mut sandbox = world.sandbox(&["ls"]);
    sandbox.process.folder = "/up".into();
    assert!(run(&sandbox).stdout.starts_with("away\nbin\n"), "up ends at the root");
    assert!(refused(&world.sandbox(&["program"])).contains("no such program"));
}

#[test]
fn users_and_configuration_of_the_root_have_no_say() {
    let world = World::new();
    fs::write(world.root().join("etc/passwd"), "root:x:4242:4242::/evil:/bin/evil\n1000:x:0:0::/:/bin/sh\n").unwrap();
    fs::write(world.root().join("etc/group"), "1000:x:0:\n").unwrap();
    fs::write(world.root().join("etc/environment"), "EVIL=1\n").unwrap();
    fs::write(world.root().join("etc/ld.so.preload"), "/evil.so\n").unwrap();
    for (user, group) in [(0, 0), (1000, 1000)] {
        let mut sandbox = world.shell("id -u; id -g; echo ${HOME-none} ${EVIL-none}");
        (sandbox.process.user, sandbox.process.group) = (user, group);
        assert_eq!(run(&sandbox).stdout, format!("{user}\n{group}\nnone none\n"));
    }
}
