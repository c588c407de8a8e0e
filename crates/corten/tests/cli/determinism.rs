//! The same corten.lock gives the same bytes: again, with other threads, without the cache, elsewhere, for somebody else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use corten_testkit::command::Ran;

use crate::ground::{Ground, assert_same, contents, corten_at, folder, paths, stamps};

#[test]
fn shipping_twice_writes_nothing_twice() {
    let ground = Ground::new();
    let shipped = ground.run("ship --format json").expect(0);
    let (store, project) = (stamps(ground.home.path()), stamps(&ground.service.folder()));
    for line in ["ship --format json", "ship --format json --jobs 1", "ship --format json --locked --offline"] {
        let again = ground.run(line).expect(0);
        assert_eq!(told(&again), told(&shipped), "{line}");
        let reused: Vec<_> = again.json()["layers"].as_array().unwrap().iter().map(|it| it["reused"].clone()).collect();
        assert!(reused.iter().all(|reused| *reused == true), "{line}: {reused:?}");
        assert_eq!(stamps(ground.home.path()), store, "{line}");
        assert_eq!(stamps(&ground.service.folder()), project, "{line}");
    }
}

/// Everything is made again, and then found to be there.
#[test]
fn without_the_cache_the_bytes_are_the_same() {
    let ground = Ground::new();
    let shipped = ground.run("ship --format json").expect(0);
    let store = contents(ground.home.path());
    for line in [
        "ship --no-cache --format json",
        "ship --no-cache --format json --jobs 1",
        "ship --no-cache --format json --jobs 7",
    ] {
        let again = ground.run(line).expect(0);
        assert_eq!(told(&again), told(&shipped), "{line}");
        assert!(again.json()["layers"].as_array().unwrap().iter().all(|layer| layer["reused"] == false), "{line}");
        assert_same(&contents(ground.home.path()), &store);
    }
}

/// What a run says, without what may differ: time taken, reuse, where the store lies.
fn told(ran: &Ran) -> serde_json::Value {
    let mut told = ran.json();
    for name in ["seconds", "sbom", "release", "layout"] {
        told[name].take();
    }
    for layer in told["layers"].as_array_mut().unwrap() {
        layer["reused"].take();
    }
    told
}

/// Another machine, as far as a process can tell.
#[test]
fn elsewhere_the_image_is_the_same() {
    let ground = Ground::new();
    ground.service.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(ground.service.folder().join("run.sh"), fs::Permissions::from_mode(0o775)).unwrap();
    std::os::unix::fs::symlink("run.sh", ground.service.folder().join("link")).unwrap();
    git(&ground.service.folder(), &["init", "-q"]);
    git(&ground.service.folder(), &["add", "."]);
    git(&ground.service.folder(), &["commit", "-qm", "one"]);
    let shipped = ground.run("ship --format json").expect(0);
    let (one, two) = (folder(), folder());
    let home = two.path().join("store with blanks and ümläute");
    let project = one.path().join("another folder").join("çheckout");
    clone(&ground.service.folder(), &project);
    let corten = strange(&home);
    let ran = Ran::from(masked(&corten, &project, "ship --format json --jobs 1"));
    assert_eq!(told(&ran.expect(0)), told(&shipped));
    assert_same(&published(&home), &published(ground.home.path()));
    assert_modes(&home);
}

/// Files that are written for others are the same, too.
#[test]
fn outputs_are_the_same_elsewhere() {
    let ground = Ground::new();
    let output = folder();
    let outputs = |name: &str| {
        let file = |kind: &str| output.path().join(format!("{name}.{kind}"));
        let line = format!(
            "build -o type=oci,dest={} -o type=docker,dest={}",
            file("oci").display(),
            file("docker").display()
        );
        (line, ["oci", "docker"].map(file))
    };
    let (line, here) = outputs("here");
    ground.run(&line).expect(0);
    let home = folder();
    let project = home.path().join("project");
    ground.service.write_to(&project);
    // Written from the archive's state, which is the same.
    let (line, there) = outputs("there");
    Ran::from(masked(&strange(&home.path().join("store")), &project, &line)).expect(0);
    assert_eq!(fs::read_to_string(project.join("corten.lock")).unwrap(), ground.service.read("corten.lock"));
    for (here, there) in here.iter().zip(&there) {
        assert!(fs::read(here).unwrap() == fs::read(there).unwrap(), "{}", there.display());
    }
}

/// The program with an environment that nobody has.
fn strange(home: &Path) -> corten_testkit::command::Corten {
    let variables = [
        ("HOME", "/nonexistent"),
        ("USER", "somebody"),
        ("LOGNAME", "somebody"),
        ("TZ", "Pacific/Kiritimati"),
        ("LANG", "tr_TR.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANGUAGE", "tr"),
        ("COLUMNS", "40"),
        ("PYTHONHASHSEED", "12345"),
        ("PYTHONOPTIMIZE", "2"),
        ("PYTHONPATH", "/nonexistent"),
        ("XDG_CACHE_HOME", "/nonexistent"),
    ];
    variables.iter().fold(corten_at(home), |corten, (name, value)| corten.env(name, value))
}

/// With umask 077.
fn masked(corten: &corten_testkit::command::Corten, folder: &Path, line: &str) -> std::process::Output {
    let inner = corten.command(folder);
    let mut shell = Command::new("/bin/sh");
    shell.current_dir(folder).env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(inner.get_program()).args(line.split(' '));
    shell.output().unwrap()
}

/// Copies a project with its repository and lock: the last files first, other times, nothing for the group.
fn clone(from: &Path, to: &Path) {
    let all = paths(from);
    fs::create_dir_all(to).unwrap();
    for path in all.iter().filter(|path| from.join(path).is_dir()) {
        fs::create_dir(to.join(path)).unwrap();
    }
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 9_000);
    for (number, path) in all.iter().filter(|path| !from.join(path).is_dir()).rev().enumerate() {
        if let Ok(target) = fs::read_link(from.join(path)) {
            std::os::unix::fs::symlink(target, to.join(path)).unwrap();
            continue;
        }
        fs::copy(from.join(path), to.join(path)).unwrap();
        let executable = fs::metadata(from.join(path)).unwrap().permissions().mode() & 0o100;
        fs::set_permissions(to.join(path), fs::Permissions::from_mode(0o600 | executable)).unwrap();
        let file = fs::File::open(to.join(path)).unwrap();
        file.set_modified(epoch + Duration::from_secs(number as u64 * 1000)).unwrap();
    }
}

/// What a store shows: images, what is about them, indexes of layers, the OCI layout with every blob.
fn published(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = contents(home);
    files.retain(|path, _| ["images", "referrers", "layers", "layouts"].iter().any(|name| path.starts_with(name)));
    files
}

/// Whatever the umask, those whom a folder lets in can read the files.
fn assert_modes(home: &Path) {
    for path in paths(home).iter().filter(|path| home.join(path).is_file()) {
        let mode = fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o777;
        if path.to_string_lossy().contains("blobs/sha256/") {
            assert_eq!(mode & 0o555, 0o444, "{}", path.display());
        } else if path.starts_with("layouts") {
            assert_eq!(mode, 0o644, "{}", path.display());
        }
    }
}

fn git(folder: &Path, line: &[&str]) {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(line);
    git.env("GIT_COMMITTER_DATE", "2026-11-21T10:00:00Z").env("GIT_AUTHOR_DATE", "2026-11-21T10:00:00Z");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {line:?}: {}", String::from_utf8_lossy(&output.stderr));
}
