//! Users without root: with ranges of ids in /etc/subuid and /etc/subgid images have all users, and files theirs; without, one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use corten_testkit::command::Ran;
use serde_json::Value;

use crate::bars::boxes::{Player, mounts_with};

/// Users are made, files given to them, closed to others, changed as them; some lie in lower layers.
const USERS: &str = "FROM box:1
RUN echo team:x:1234: >> /etc/group && echo ann:x:1234:1234::/home/ann:/bin/sh >> /etc/passwd && mkdir -p /home/ann && chown ann:team /home/ann && mkdir -m 700 /private && echo secret > /private/f \
 && chmod 600 /private/f && chown -R 1234:1234 /private && touch /data/of-33 && chown 33:7 /data/of-33
USER ann
WORKDIR /home/ann
RUN echo mine > own; echo more >> /private/f; test \"$(stat -c %u:%g /private)\" = 1234:1234; ! touch /data/x 2>/dev/null
USER 0
RUN test \"$(stat -c %u:%g /data/of-33 /home/ann/own | tr '\\n' ' ')\" = '33:7 1234:1234 '; echo root >> /data/of-33; rm /data/seed
";

fn build(player: &Player) -> Ran {
    player.write("users/Dockerfile", USERS);
    let mut command = player.command(&["build", "users", "-t", "users:1", "--format", "json"]);
    Ran::from(command.env("SOURCE_DATE_EPOCH", "1600000000").output().unwrap())
}

/// Owners of an image's files, as Python's reader of tars sees them in what is saved.
fn owners(player: &Player) -> BTreeMap<String, String> {
    player.run(&["save", "users:1", "-o", "users.tar"]).expect(0);
    let script = "import json, sys, tarfile\nwhole = tarfile.open(sys.argv[1])\nfor layer in json.load(whole.extractfile('manifest.json'))[0]['Layers']:\n    for entry in tarfile.open(fileobj=whole.extractfile(layer)):\n        print(entry.name.rstrip('/'), f'{entry.uid}:{entry.gid} {entry.mode:o}')\n";
    let read =
        std::process::Command::new("python3").args(["-c", script]).arg(player.path("users.tar")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8(read.stdout).unwrap();
    text.lines().filter_map(|line| line.split_once(' ')).map(|(name, of)| (name.to_owned(), of.to_owned())).collect()
}

#[test]
fn a_user_with_ranges_makes_the_image_that_root_makes() {
    let Some(user) = Player::with_ranges() else { return };
    let root = Player::all().remove(0);
    let (one, other) = (build(&root).expect(0), build(&user).expect(0));
    let id = |ran: &Ran| ran.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(id(&one), id(&other));
    assert!(!other.stderr.contains("one_id") && !other.stderr.contains("ids_not_shifted"), "{}", other.stderr);
    let owners = owners(&user);
    for (path, of) in [
        ("private", "1234:1234 700"),
        ("private/f", "1234:1234 600"),
        ("data/of-33", "33:7 644"),
        ("home/ann/own", "1234:1234 644"),
        ("etc/passwd", "0:0 644"),
    ] {
        assert_eq!(owners.get(path).map(String::as_str), Some(of), "{path}");
    }
    assert!(build(&user).json()["steps"].as_array().unwrap().iter().all(|step| step["cached"] == true));
    // On disk they are ids of the range, and files that the user could not remove by himself are removed all the same.
    let mut on_disk: Vec<u32> = Vec::new();
    let mut open = vec![user.store()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let found = entry.path().symlink_metadata().unwrap();
            on_disk.push(found.uid());
            open.extend(found.is_dir().then(|| entry.path()));
        }
    }
    assert!(on_disk.contains(&(300_000 + 1233)) && on_disk.contains(&300_032), "ids of the range");
    assert!(on_disk.iter().all(|uid| *uid == 65_534 || (300_000..365_536).contains(uid)));
    user.run(&["prune", "--all", "--yes"]).expect(0);
    assert_eq!(fs::read_dir(user.store().join("layers")).unwrap().count(), 0);
    assert_eq!(user.left(), [""; 0]);
}

#[test]
fn a_container_of_a_user_with_ranges_has_all_users() {
    let Some(user) = Player::with_ranges() else { return };
    build(&user).expect(0);
    let script = "id -u; cat /private/f; mkdir -m 700 /v/d; touch /v/d/f; chown -R 1234 /v/d; chown 77 /data/of-33; stat -c %u /data/of-33";
    let run = |flags: &[&str], script: &str| {
        user.run(&[&["run", "--rm", "--network", "none"], flags, &["users:1", "sh", "-ec", script]].concat())
    };
    let ran = run(&["-v", "kept:/v"], script).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("0\nsecret\nmore\n77\n", ""));
    let ran =
        run(&["-v", "kept:/v", "-u", "ann"], "id; ls /v/d; (exec 2>/dev/null; echo x > /data/seed2) || echo refused")
            .expect(0);
    assert_eq!(ran.stdout, "uid=1234(ann) gid=1234(team)\nf\nrefused\n");
    user.run(&["run", "-d", "--network", "none", "--name", "long", "users:1", "sleep", "1000"]).expect(0);
    assert_eq!(user.run(&["exec", "-u", "ann", "long", "id", "-u"]).expect(0).stdout, "1234\n");
    user.run(&["rm", "--force", "long"]).expect(0);
    user.run(&["prune", "--all", "--yes"]).expect(0);
    assert_eq!(mounts_with(user.path("").to_str().unwrap()), [""; 0]);
    assert_eq!(user.left().into_iter().filter(|name| !name.starts_with("volumes/")).collect::<Vec<_>>(), [""; 0]);
}

/// ssh looks for its user's home and keys by his number; podman, as docker too, for its images by whether it is root.
#[test]
fn programs_of_a_user_with_ranges_are_him() {
    let Some(user) = Player::with_ranges() else { return };
    user.write("git/Dockerfile", "FROM scratch\nADD git@example.invalid:x /\n");
    let log = user.open_folder("log").join("who");
    let ssh =
        user.write("ssh.sh", format!("id -u >{0}; id -g >>{0}; cat /proc/self/uid_map >>{0}; exit 1\n", log.display()));
    let mut command = user.command(&["build", "git", "--allow-private-add"]);
    let ran = Ran::from(command.env("GIT_SSH_COMMAND", format!("sh {}", ssh.display())).output().unwrap()).expect(3);
    let told = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr));
    assert_eq!(told.split_whitespace().collect::<Vec<_>>(), ["65534", "65534", "65534", "0", "1"]);

    let Some(podman) = xtask::peers::installed("podman") else { return };
    let docker = user.write("path/docker", format!("#!/bin/sh\nexec {} \"$@\"\n", podman.display()));
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", docker.parent().unwrap().display(), std::env::var("PATH").unwrap());
    user.write("load/Dockerfile", "FROM box:1\nENV loaded=1\n");
    let mut command = user.command(&["build", "load", "-t", "loaded:1", "--load"]);
    let runtime = user.open_folder("runtime");
    std::os::unix::fs::chown(&runtime, Some(65_534), Some(65_534)).unwrap();
    command.env("PATH", &path).env("XDG_RUNTIME_DIR", runtime);
    Ran::from(command.output().unwrap()).expect(0);
    // Where podman keeps a user's images.
    let storage = user.path(".local/share/containers/storage");
    let lists = fs::read_dir(&storage).unwrap().flatten().map(|folder| folder.path().join("images.json"));
    let listed: String = lists.filter_map(|list| fs::read_to_string(list).ok()).collect();
    assert!(listed.contains("loaded:1"), "{listed}");
}

/// What was unpacked while there was one id has no owners on disk: it is not taken for what has.
#[test]
fn ranges_that_come_later_count_from_then_on() {
    let Some(user) = Player::with_ranges() else { return };
    let text = "FROM box:1\nRUN --network=none echo first > /first\n";
    user.write("later/Dockerfile", text);
    let alone = Player::all().pop().unwrap().with_store(user.store());
    alone.write("later/Dockerfile", text);
    alone.run(&["build", "later", "-t", "later:1"]).expect(0);
    build(&user).expect(0);
    assert_eq!(owners(&user).get("private").map(String::as_str), Some("1234:1234 700"));
    user.run(&["build", "later", "-t", "later:1"]).expect(0);
    let verified: Value = user.run(&["store", "verify", "--format", "json"]).expect(0).json();
    assert_eq!(verified["problems"], serde_json::json!([]));
}

/// One id: a command is the one user that it is; giving files away is refused as the kernel refuses it, and files keep the owner
/// that the image gave them.
#[test]
fn without_ranges_there_is_one_user() {
    let Some(user) = Player::all().into_iter().find(|player| player.name != "root") else { return };
    user.write("one/Dockerfile", "FROM box:1\nRUN chown 33 /data/seed\n");
    let ran = user.run(&["build", "one"]).expect(1);
    assert!(
        ran.stderr.contains("Operation not permitted") || ran.stderr.contains("Invalid argument"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("one_id: there is only one user inside: "), "{}", ran.stderr);
    user.write(
        "one/Dockerfile",
        "FROM box:1\nUSER app\nRUN grep -q localhost /etc/hosts && echo I am $(id -u) of $(id -g)\n",
    );
    let ran = user.run(&["build", "one", "--progress", "plain"]).expect(0);
    assert!(ran.stderr.contains("I am 1000 of 1001"), "{}", ran.stderr);
    // What root alone may read is not given to others.
    user.write("one/Dockerfile", "FROM box:1\nUSER app\nRUN --mount=type=secret,id=s true\n");
    user.write("secret", "s");
    let ran = user.run(&["build", "one", "--secret", "id=s,src=secret"]).expect(3);
    assert!(ran.stderr.contains("there is no user 0 or no group 0 inside"), "{}", ran.stderr);
}
