//! Space is freed: what goes, what stays, what is said, and who is told no.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use corten_oci::Digest;
use corten_testkit::bar::Bar;

use crate::ground::{Ground, SmallDisk, corten_at, not_run, paths};
use crate::service::{Service, digest};
use crate::told::refuses;

/// Everything that a store has beside folders.
fn files(service: &Service, folders: &[&str]) -> usize {
    let below = |folder: &&str| {
        let folder = service.corten.store().join(folder);
        fs::create_dir_all(&folder).unwrap();
        paths(&folder).into_iter().filter(|path| folder.join(path).is_file()).count()
    };
    folders.iter().map(below).sum()
}

#[test]
fn what_no_image_needs_is_freed_and_the_image_stays() {
    let service = Service::filled();
    let built = service.digest("build");
    service.run("store verify").expect(0);
    let before = service.run("store size --format json").expect(0).json();
    let dry = service.run("prune --dry-run --format json").expect(0).json();
    let unchanged = before["total"] == service.run("store size --format json").expect(0).json()["total"];
    assert_eq!((dry["dry_run"].as_bool(), unchanged), (Some(true), true));
    let pruned = service.run("prune --yes --format json").expect(0).json();
    assert_eq!((&pruned["freed"], &pruned["left"]), (&dry["freed"], &dry["left"]));
    assert!(pruned["freed"].as_u64().unwrap() > 1_000_000, "the wheels: {pruned}");
    service.run("store verify").expect(0);
    assert_eq!(service.run("prune -f").expect(0).stdout.lines().count(), 1);
    let after = service.run("store size --format json").expect(0).json();
    assert_eq!(after["total"], pruned["left"]);
    assert_eq!(after["images"][0]["digest"], built);
    // Layers of the image are not even made again.
    assert_eq!(service.digest("build --offline"), built);
    // What was freed comes back when something else is built.
    service.edit("app.py", "FastAPI", "FastAPI ");
    assert_ne!(service.digest("build"), built);
}

/// R10: after `prune --all` nothing is left, whatever was done before.
#[test]
fn r10_prune_all_leaves_nothing() {
    let bar = Bar::begin("R10");
    let registry = corten_testkit::registry::FakeRegistry::start(Default::default());
    for lines in [
        &["build"][..],
        &["ship", "build --no-cache", "images"],
        &[
            "ship",
            "sbom service",
            "push service PLACE/a/service:1",
            "pull PLACE/a/service:1",
            "base build --name stones",
        ],
        &["build --platform linux/amd64", "images rm service:1.3.0 service:sha-local", "check --build", "lock"],
    ] {
        let service = Service::filled();
        for line in lines {
            service.run(&line.replace("PLACE", &registry.place())).expect(0);
        }
        service.run("prune --all --yes").expect(0);
        let left = ["blobs", "layers", "images", "referrers", "cache", "downloads", "tmp", "trash", "layouts"];
        assert_eq!(files(&service, &left), 0, "{lines:?}");
        for folder in &left[1..] {
            assert_eq!(
                paths(&service.corten.store().join(folder)),
                [] as [std::path::PathBuf; 0],
                "{folder}: {lines:?}"
            );
        }
        assert_eq!(files(&service, &["leases"]), 1, "the gate alone: {lines:?}");
        service.run("store verify").expect(0);
        service.run("build").expect(0);
    }
    bar.finish("0 after four mixes of commands", true);
}

#[test]
fn names_are_taken_away_and_what_only_they_had_is_freed() {
    let service = Service::filled();
    service.run("build -t a:1 -t b:1").expect(0);
    let first = service.digest("build");
    service.edit("app.py", "FastAPI", "FastAPI ");
    let second = service.digest("build");
    let names = |service: &Service| -> Vec<String> {
        let listed = service.run("images --format json").expect(0).json();
        listed.as_array().unwrap().iter().map(|one| one["reference"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&service).contains(&"a:1".to_owned()));
    let ran = service.run("images rm a:1").expect(0);
    assert!(ran.stdout.starts_with("untagged a:1; its image is also b:1"), "{}", ran.stdout);
    let others: Vec<String> = names(&service);
    let of_first: Vec<&String> = others
        .iter()
        .filter(|name| {
            service
                .run("images --format json")
                .json()
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["reference"] == name.as_str() && one["digest"] == first.as_str())
        })
        .collect();
    let line = of_first.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ");
    let ran = service.run(&format!("images rm {line}")).expect(0);
    assert!(ran.stdout.contains("`corten prune` frees what nothing else needs of it"), "{}", ran.stdout);
    service.run("prune --yes").expect(0);
    let blob = |digest: &str| service.corten.store().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    assert!(!blob(&first).exists() && blob(&second).exists());
    service.run("store verify").expect(0);
    assert_eq!(service.digest("build --offline"), second);
}

#[test]
fn a_cap_is_kept_quietly_after_a_build() {
    let service = Service::filled();
    let total = |service: &Service| service.run("store size --format json").expect(0).json()["total"].as_u64().unwrap();
    service.run("build").expect(0);
    let month_ago = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
    for folder in ["blobs/sha256", "cache"] {
        for path in paths(&service.corten.store().join(folder)) {
            let path = service.corten.store().join(folder).join(path);
            fs::File::open(path).unwrap().set_modified(month_ago).unwrap();
        }
    }
    let (before, built) = (total(&service), service.digest("build"));
    assert_eq!(total(&service), before, "without a cap nothing goes");
    let quiet = service.run("build --store-keep 1GB").expect(0);
    assert_eq!(total(&service), before, "below the cap nothing goes");
    let capped = service.run("build --store-keep 1kB").expect(0);
    assert_eq!(capped.stderr, quiet.stderr);
    assert!(total(&service) < before - 1_000_000, "{} of {before}", total(&service));
    service.run("store verify").expect(0);
    assert_eq!(service.digest("build --offline"), built);
    let ran = service.run("build --store-keep lots").expect(2);
    assert!(ran.stderr.contains("invalid value 'lots' for '--store-keep <SIZE>'"), "{}", ran.stderr);
}

/// A full disk: freeing works, and then there is room.
#[test]
fn a_disk_without_a_byte_can_be_freed() {
    let Some(disk) = SmallDisk::new("size=8m") else { return not_run("mounting a small tmpfs needs root") };
    let ground = Ground::new();
    let ground = Ground { corten: corten_at(disk.path()), ..ground };
    let shipped = digest(&ground.run("ship --format json"));
    let mut ballast = fs::File::create(disk.path().join("ballast")).unwrap();
    std::io::copy(&mut std::io::repeat(1), &mut ballast).unwrap_err();
    ground.service.write("app.py", "x = 1\n");
    ground.run("ship").expect(3);
    let freed = ground.run("prune --yes --format json").expect(0).json()["freed"].as_u64().unwrap();
    assert!(freed > 1_000_000, "{freed}");
    ground.run("store verify").expect(0);
    assert!(ground.run("images").expect(0).stdout.contains(&shipped));
    drop(ballast);
    fs::remove_file(disk.path().join("ballast")).unwrap();
    ground.run("ship").expect(0);
}

#[test]
fn who_cannot_be_asked_is_told_so() {
    let service = Service::filled();
    refuses(
        &service,
        "prune",
        2,
        "error: removing …: nobody can be asked whether that is meant
hint: --yes removes without asking, --dry-run says what would go",
    );
    refuses(
        &service,
        "prune --filter label=x",
        2,
        "error: --filter: 'label' is no filter
hint: there are until=720h and type=exec.cachemount",
    );
    refuses(
        &service,
        "prune --filter until",
        2,
        "error: --filter: 'until' is not KEY=VALUE
hint: there are until=720h and type=exec.cachemount",
    );
    refuses(
        &service,
        "prune --filter type=frontend",
        2,
        "error: --filter type: 'frontend' is no kind that can be chosen
hint: there is one: type=exec.cachemount, the caches of RUN --mount=type=cache",
    );
    refuses(
        &service,
        "prune --filter until=soon",
        2,
        "error: --filter until: 'soon' is no length of time
hint: such as 720h, 24h30m or 30d",
    );
    refuses(
        &service,
        "prune --keep-storage 20XB",
        2,
        "error: invalid value '20XB' for '--keep-storage <SIZE>': expected a size such as 20GB, 500MB or 1.5GiB

For more information, try '--help'.",
    );
    refuses(
        &service,
        "images rm nobody:1",
        1,
        "error: the store has no image nobody:1
hint: `corten images` lists what it has",
    );
    // None is taken away where one is not there.
    let digest = service.digest("build -t kept:1");
    refuses(
        &service,
        "images rm kept:1 nobody:1",
        1,
        "error: the store has no image nobody:1
hint: `corten images` lists what it has",
    );
    assert_eq!(service.run("inspect kept:1 --format json").expect(0).json()["digest"], digest);
    let digest = Digest::of("x");
    refuses(
        &service,
        &format!("images rm service@{digest}"),
        2,
        "error: 'service@…' is a digest: names are taken away, not images
hint: `corten images` lists the names; `corten prune` removes what has none",
    );
}

#[test]
fn a_store_that_a_newer_program_wrote_is_left_alone() {
    let service = Service::filled();
    let newer = Digest::of(format!("{}\ncorten-store 7\n", Digest::of("format")));
    let newer = format!("corten-record 2 {newer}\ncorten-store 7\n");
    fs::write(service.corten.store().join("format"), newer).unwrap();
    for line in ["images", "build", "prune --all --yes", "store verify"] {
        refuses(
            &service,
            line,
            3,
            "error: the store at … is of format 7; this program knows up to 1
hint: a newer corten wrote it: take that one, or set CORTEN_HOME to another folder",
        );
    }
}

#[test]
fn an_image_that_is_damaged_is_not_pruned_on_a_guess() {
    let service = Service::filled();
    let digest = service.digest("build");
    let path = service.corten.store().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    fs::remove_file(&path).unwrap();
    refuses(
        &service,
        "prune --yes",
        3,
        "error: … is damaged: its manifest … is missing, so it is not known what it needs
hint: `corten store verify` lists everything that is damaged",
    );
    // A cap that cannot be kept fails no build.
    assert_eq!(service.digest("build"), digest);
}

/// A build is stopped in its middle while everything is pruned: it ends well, and its image is whole.
#[test]
fn a_build_that_runs_keeps_what_it_uses() {
    let service = Service::filled();
    let built = service.digest("build");
    service.edit("app.py", "FastAPI", "FastAPI ");
    let mut strace = std::process::Command::new("strace");
    let inner = service.corten.command(&service.folder());
    strace.current_dir(service.folder()).env_clear().envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
    // Each naming of a file waits for half a second: long enough for a prune.
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat2", "-e"]);
    strace.arg("inject=rename,renameat2:delay_enter=300000").arg(inner.get_program());
    strace.args(["build", "--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = strace.spawn() else { return not_run("strace is not installed") };
    let mut prunes = 0;
    while child.try_wait().unwrap().is_none() {
        service.run("prune --all --yes").expect(0);
        prunes += 1;
    }
    let ran = corten_testkit::command::Ran::from(child.wait_with_output().unwrap());
    let new = digest(&ran);
    assert!(prunes > 0 && new != built);
    service.run("store verify").expect(0);
    let listed = service.run("images --format json").json();
    if listed.as_array().unwrap().is_empty() {
        // The last prune came after the build had ended.
        return;
    }
    assert!(listed.as_array().unwrap().iter().all(|one| one["digest"] == new.as_str()), "{listed}");
}
