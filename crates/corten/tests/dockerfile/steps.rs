//! What steps do, beyond what BuildKit's goldens show: commands, mounts, secrets, reasons, attacks.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

use corten_engine::stages::{Finished, Miss};

use crate::build::{Build, Heard, World, data};

/// A build in a folder of its own.
fn build(world: &World, name: &str, files: &[(&str, &str)]) -> Result<Finished, String> {
    let folder = world.project(name);
    for (path, content) in files {
        fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        fs::write(folder.join(path), content).unwrap();
    }
    Build::new(&folder, "Dockerfile").run(world)
}

fn output(world: &World, name: &str, dockerfile: &str) -> String {
    let folder = world.project(name);
    fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    let heard = Heard::default();
    Build::new(&folder, "Dockerfile").solve(world, &heard).unwrap();
    String::from_utf8(heard.0.into_inner().unwrap()).unwrap()
}

fn paths(world: &World, finished: &Finished, layer: usize) -> Vec<String> {
    let index = world.store.layer_index(&finished.layers[layer].diff_id).unwrap().unwrap();
    index.entries.iter().map(|entry| entry.path.to_string()).collect()
}

#[test]
fn a_command_that_fails_says_which_what_it_wrote_and_how_it_ended() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let error =
        build(&world, "fails", &[("Dockerfile", "FROM busybox\nRUN echo one; echo two >&2; exit 7\n")]).unwrap_err();
    let (first, rest) = error.split_once('\n').unwrap();
    assert_eq!(first, "[2/2] RUN echo one; echo two >&2; exit 7: the command ended with status 7");
    assert!(rest.contains("  | one") && rest.contains("  | two"), "{rest}");
    let folder = world.project("fails");
    let report = Build::new(&folder, "Dockerfile").solve(&world, &Heard::default()).unwrap_err();
    let span = report.error().span().unwrap();
    assert_eq!(span.position().0, 2, "the line of the Dockerfile");
    assert_eq!(report.error().fault(), corten_diagnostic::Fault::Input);
}

#[test]
fn users_folders_and_files_of_the_system_are_as_commands_expect_them() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let text = "FROM busybox\nUSER www-data\nWORKDIR /srv/app\nENV A=1\nRUN id -u; id -G; pwd; umask; echo $A $HOME; stat -c %U .; grep -c localhost /etc/hosts; test -w /dev/shm && echo shm; ls /proc/self/fd | wc -l\n";
    let told = output(&world, "system", text);
    assert_eq!(told, "33\n33\n/srv/app\n0022\n1 /var/www\nwww-data\n2\nshm\n4\n");
}

#[test]
fn d15_what_is_mounted_is_in_no_layer() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let text = "FROM busybox\nRUN --mount=type=tmpfs,target=/new/tmpfs --mount=type=secret,id=s,target=/also/new/secret echo x >> /etc/hosts 2>/dev/null; touch /new/tmpfs/f /made\n";
    let finished = build(&world, "mounted", &[("Dockerfile", text)]).unwrap();
    assert_eq!(paths(&world, &finished, 1), ["made"]);
}

#[test]
fn writes_into_a_bind_are_thrown_away_and_a_cache_stays() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let text = "FROM busybox\nRUN --mount=target=/c,rw --mount=type=cache,target=/cache cat /c/a; echo new > /c/a; rm -f /c/b; ls /cache; touch /cache/kept; echo\nRUN --mount=target=/c --mount=type=cache,target=/cache cat /c/a; ls /c /cache; touch /c/x 2>/dev/null || echo read-only\n";
    let folder = world.project("binds");
    fs::write(folder.join("a"), "first\n").unwrap();
    fs::write(folder.join("b"), "").unwrap();
    let told = output(&world, "binds", text);
    assert!(told.contains("first\n\nfirst\n") && told.ends_with("kept\nread-only\n"), "{told}");
    assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "first\n");
    assert!(folder.join("b").exists());
}

#[test]
fn d1_d2_a_cache_mount_stays_in_its_cache() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let canary = world.folder.path().join("canary");
    fs::create_dir(&canary).unwrap();
    let up = "FROM busybox\nRUN --mount=type=cache,id=../../../../canary,target=/c touch /c/out\nRUN --mount=type=cache,id=x,source=../../..,target=/c touch /c/up\n";
    build(&world, "up", &[("Dockerfile", up)]).unwrap();
    let link = format!(
        "FROM busybox\nRUN --mount=type=cache,id=l,target=/c ln -s {} /c/sel; mkdir /c/real\nRUN --mount=type=cache,id=l,source=real,target=/d touch /d/fine\nRUN --mount=type=cache,id=l,source=sel,target=/d touch /d/out\n",
        canary.display()
    );
    let error = build(&world, "link", &[("Dockerfile", &link)]).unwrap_err();
    assert!(error.starts_with("source=sel of the cache 'l' cannot be mounted: "), "{error}");
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    let beside: Vec<_> = fs::read_dir(world.store.root()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!beside.iter().any(|name| name == "out" || name == "up"), "{beside:?}");
}

#[test]
fn d4_d7_links_of_stages_and_contexts_lead_nowhere_outside() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let outside = world.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "canary").unwrap();
    let bind = format!(
        "FROM busybox AS b\nRUN ln -s / /rootdir; ln -s {} /away\nFROM busybox\nRUN --mount=from=b,source=/rootdir,target=/x,rw touch /x/BREAKOUT; ls /x/bin/sh\n",
        outside.display()
    );
    build(&world, "bind", &[("Dockerfile", &bind)]).unwrap();
    assert!(!Path::new("/BREAKOUT").exists());
    let away = bind.replace("source=/rootdir", "source=/away");
    let error = build(&world, "bind", &[("Dockerfile", &away)]).unwrap_err();
    assert!(error.starts_with("there is no '/away' where the mount on /x takes its files"), "{error}");

    let folder = world.project("context");
    symlink(outside.join("secret"), folder.join("absolute")).unwrap();
    symlink("../outside/secret", folder.join("climbing")).unwrap();
    symlink("../outside", folder.join("folder")).unwrap();
    for source in ["absolute", "climbing", "folder/secret", "../outside/secret"] {
        let text = format!("FROM scratch\nCOPY {source} /x\n");
        let error = build(&world, "context", &[("Dockerfile", &text)]).unwrap_err();
        assert!(
            error.starts_with("there is no '") && error.contains("in the folder that is built"),
            "{source}: {error}"
        );
    }
    // A link within a folder is copied as a link; a pipe is never opened.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let finished = build(&world, "context", &[("Dockerfile", "FROM scratch\nCOPY . /\n")]).unwrap();
    assert_eq!(paths(&world, &finished, 0), ["Dockerfile", "absolute", "climbing", "folder", "pipe"]);
}

#[test]
fn d5_stubs_of_mounts_are_cleaned_up_inside_the_root_only() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let out = world.folder.path().join("out");
    fs::create_dir_all(out.join("b")).unwrap();
    let text = format!(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/a/b umount /a/b 2>/dev/null; mv /a /c && ln -s {} /a; true\n",
        out.display()
    );
    build(&world, "stubs", &[("Dockerfile", &text)]).unwrap();
    assert!(out.join("b").is_dir());
}

#[test]
fn d17_r22_a_secret_is_in_no_file_of_the_store() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let folder = world.project("secret");
    let canary = "corten-canary-7f3a9b51";
    let text = "FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S cat /run/secrets/s; echo $S; test $S = corten-canary-7f3a9b51\nRUN --mount=type=secret,id=s,required=true false\n";
    // The file that is built names the canary only to compare: what it says is in the key. So it is taken apart.
    let text = text.replace("test $S = corten-canary-7f3a9b51", "test ${#S} = 22");
    fs::write(folder.join("Dockerfile"), text).unwrap();
    let mut build = Build::new(&folder, "Dockerfile");
    build.secrets.insert("s".into(), canary.into());
    let heard = Heard::default();
    let report = build.solve(&world, &heard).unwrap_err();
    let told = String::from_utf8(heard.0.into_inner().unwrap()).unwrap();
    assert_eq!(told, "******\n", "it ran, and its output says nothing");
    assert!(!format!("{report:?}").contains(canary));
    let reversed: String = canary.chars().rev().collect();
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    for needle in [canary, &canary[..16], &reversed, &hex, "Y29ydGVuLWNhbmFyeS03ZjNhOWI1MQ"] {
        assert_eq!(holding(world.store.root(), needle.as_bytes()), None);
    }
    build.secrets.clear();
    let error = build.run(&world).unwrap_err();
    assert!(error.starts_with("the secret 's' is required and was not given"), "{error}");
}

fn holding(folder: &Path, needle: &[u8]) -> Option<String> {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if let Some(found) = holding(&path, needle) {
                return Some(found);
            }
        } else if kind.is_file() {
            let mut bytes = Vec::new();
            fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
            if memchr::memmem::find(&bytes, needle).is_some() {
                return Some(path.display().to_string());
            }
        }
    }
    None
}

#[test]
fn what_changed_is_the_reason_why_a_step_is_made_again() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let text = "FROM busybox\nCOPY src /src\nRUN ls /src\n";
    let miss = |finished: &Finished| finished.steps.iter().map(|step| step.miss.clone()).collect::<Vec<_>>();
    let first = build(&world, "why", &[("Dockerfile", text), ("src/a", "1"), ("src/b", "2")]).unwrap();
    assert_eq!(miss(&first), [Some(Miss::First), Some(Miss::First)]);
    assert_eq!(miss(&build(&world, "why", &[]).unwrap()), [None, None]);
    let changed = build(&world, "why", &[("src/b", "3"), ("src/c", "")]).unwrap();
    let copy = Some(Miss::FilesChanged { first: Some("src/b".into()), count: 2 });
    assert_eq!(miss(&changed), [copy, Some(Miss::InputRan { step: "[2/3] COPY src /src".into() })]);
    let other = build(&world, "why", &[("Dockerfile", "FROM busybox\nCOPY src /src\nRUN ls -l /src\n")]).unwrap();
    let why = other.steps[1].miss.as_ref().unwrap().to_string();
    assert_eq!((other.steps[0].cached, why.as_str()), (true, "RUN changed from 'ls /src' to 'ls -l /src'"));
}

#[test]
fn the_same_inputs_and_epoch_give_the_same_image() {
    let Some(data) = data() else { return };
    let text = "FROM busybox\nWORKDIR /w\nCOPY a /new/a\nRUN echo x > /w/f; mkdir /w/d; ln /w/f /w/g\n";
    let image = || {
        let world = World::new(&data);
        let folder = world.project("same");
        fs::write(folder.join("Dockerfile"), text).unwrap();
        fs::write(folder.join("a"), "1").unwrap();
        let mut build = Build::new(&folder, "Dockerfile");
        build.epoch = Some(1_600_000_000);
        build.run(&world).unwrap()
    };
    let (one, other) = (image(), image());
    assert_eq!(one.config, other.config);
    assert_eq!(one.config.created.as_deref(), Some("2020-09-13T12:26:40Z"));
}

#[test]
fn unknown_owners_and_modes_of_copies_are_told() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let error =
        build(&world, "owner", &[("a", ""), ("Dockerfile", "FROM busybox\nCOPY --chown=app a /x\n")]).unwrap_err();
    assert!(error.starts_with("there is no user 'app' in /etc/passwd of the stage"), "{error}");
    let error =
        build(&world, "insecure", &[("Dockerfile", "FROM busybox\nRUN --security=insecure true\n")]).unwrap_err();
    assert_eq!(error, "--security=insecure is not allowed [\"--allow security.insecure allows it\"]");
}
