//! Part D of the catalogue where a Dockerfile alone is not the attack: two builds at once, standard input, addresses, what is
//! remembered. Each as root and nobody. What a Dockerfile alone says is in `archives.rs`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corten_testkit::bar::Random;
use corten_testkit::command::Ran;
use corten_testkit::http::{Answer, Server};

use super::boxes::{CANARY, Outside, Player, file, files, folder, link, mounts_with, tar};

/// For each user, with a folder of victims that stays as it is.
fn each(test: impl Fn(&Player, &Outside)) {
    let outside = Outside::new();
    for player in Player::all() {
        test(&player, &outside);
        assert_eq!(outside.changes(), [""; 0], "{}", player.name);
        assert_eq!(mounts_with(player.path("").to_str().unwrap()), [""; 0]);
        assert!(fs::symlink_metadata("/tmp/ESCAPED").is_err(), "{}: /tmp/ESCAPED is there", player.name);
    }
}

fn no_canary(ran: &Ran) {
    assert!(!(ran.stdout.clone() + &ran.stderr).contains(CANARY), "{}{}", ran.stdout, ran.stderr);
}

/// The program with this on its standard input.
fn fed(player: &Player, line: &[&str], input: &[u8]) -> Ran {
    let mut command = player.command(line);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // It may have seen enough before the end.
    let _ = child.stdin.take().unwrap().write_all(input);
    Ran::from(child.wait_with_output().unwrap())
}

/// CVE-2024-23651: one build exchanges the folder that another mounts from the cache that both have.
#[test]
fn d3_a_cache_that_another_build_changes_leads_nowhere() {
    each(|player, outside| {
        let swap = format!(
            "FROM box:1\nRUN --mount=type=cache,id=s,target=/c cd /c; mkdir -p real; echo own > real/victim; ln -sfn {} link; \
             touch begun; i=0; while [ $i -lt 150 ]; do mv real sel; mv sel real; mv link sel; mv sel link; i=$((i+1)); done\n",
            outside.text()
        );
        player.write("swaps/Dockerfile", swap);
        let read = "FROM box:1\nRUN --mount=type=cache,id=s,source=sel,target=/d cat /d/victim /d/dir/victim; touch /d/new; rm -f /d/dir/victim; true\n";
        player.write("reads/Dockerfile", read);
        let mut swaps = player.command(&["build", "--no-cache", "--progress", "quiet", "swaps"]).spawn().unwrap();
        let mut tried = 0;
        while swaps.try_wait().unwrap().is_none() || tried == 0 {
            no_canary(&player.run(&["build", "--no-cache", "--progress", "plain", "reads"]));
            tried += 1;
        }
        assert!(swaps.wait().unwrap().success());
    });
}

/// CVE-2026-44517: a Dockerfile in a tar on standard input is a link, and comes again as a file.
#[test]
fn d8_a_dockerfile_on_standard_input_that_is_a_link_leads_nowhere() {
    each(|player, outside| {
        let victim = format!("{}/victim", outside.text());
        let climbing = format!("../../../../../../..{victim}");
        let text = file("Dockerfile", "FROM box:1\nCOPY . /all\nRUN cat /all/* ; true\n", 0o644);
        let hostile = [
            vec![link("Dockerfile", &victim)],
            vec![link("Dockerfile", &climbing)],
            vec![link("Dockerfile", &victim), text.clone()],
            vec![link("d", outside.text()), file("d/victim", "x", 0o666), text.clone()],
            vec![link("d", outside.text()), folder("d/", 0o700), text.clone()],
            vec![text[..700].to_vec()],
            vec![file("../../Dockerfile", "FROM scratch", 0o644), text],
        ];
        for parts in hostile {
            let ran = fed(player, &["build", "--progress", "plain", "-"], &tar(&parts));
            assert!(matches!(ran.status, 0 | 1), "{}: {}", player.name, ran.stderr);
            no_canary(&ran);
        }
    });
}

/// CVE-2026-33748, CVE-2024-3817: parts of an address that git would take for options, and folders that climb.
#[test]
fn d9_addresses_of_repositories_are_neither_options_nor_paths() {
    each(|player, outside| {
        let out = outside.text();
        for address in [
            "https://127.0.0.1:1/r.git#--upload-pack=touch${IFS}/tmp/ESCAPED".to_owned(),
            "https://127.0.0.1:1/r.git#main:../../../../..".to_owned() + out,
            "https://-oProxyCommand=touch${IFS}/tmp/ESCAPED/r.git".to_owned(),
            "git@-oProxyCommand=touch${IFS}/tmp/ESCAPED:r.git".to_owned(),
            "ssh://-oProxyCommand=touch${IFS}/tmp/ESCAPED/r.git".to_owned(),
            "ext::sh -c touch% /tmp/ESCAPED".to_owned(),
            format!("file://{out}/r.git"),
        ] {
            let context = player.run(&["build", &address]);
            assert!(matches!(context.status, 1..=3), "{address}: {}", context.stderr);
            player.write("git/Dockerfile", format!("FROM scratch\nADD {address} /\n"));
            let added = player.run(&["build", "--allow-private-add", "git"]);
            assert!(matches!(added.status, 1..=3), "{address}: {}", added.stderr);
            no_canary(&context);
            no_canary(&added);
        }
    });
}

/// The folder that is asked for is a link to the root, in a repository that is there.
#[test]
fn d9_a_folder_of_a_repository_that_is_a_link_leads_nowhere() {
    each(|player, outside| {
        let made = player.open_folder("served");
        let script = format!(
            "set -e; export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org; \
             git init -q -b main r; cd r; ln -s / root; ln -s {} out; git add -A; git commit -qm 1; cd ..; \
             git clone -q --bare r r.git; git -C r.git update-server-info",
            outside.text()
        );
        let done = Command::new("sh").current_dir(&made).args(["-c", &script]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let server = Server::start(move |asked| {
            let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
            fs::read(made.join(path)).map_or_else(|_| Answer::status(404), Answer::ok)
        });
        for below in ["root", "out", "root/etc", "out/dir"] {
            let address = format!("{}#main:{below}", server.url("/r.git"));
            player.write("git/Dockerfile", format!("FROM scratch\nADD {address} /\n"));
            let ran = player.run(&["build", "--allow-private-add", "git", "-o", "type=local,dest=git-out"]);
            assert_ne!(ran.status, 0, "{below}: {}", ran.stderr);
            no_canary(&ran);
        }
        assert!(server.asked().iter().any(|asked| asked.path.contains("/r.git/")), "git asked for it");
    });
}

#[test]
fn d10_add_reaches_no_address_of_this_machine_or_its_networks() {
    let server = Server::start(|_| Answer::ok("inside"));
    each(|player, outside| {
        for address in [
            server.url("/x"),
            server.url("/x").replace("127.0.0.1", "localhost"),
            server.url("/x").replace("127.0.0.1", "[::ffff:127.0.0.1]"),
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "http://10.0.0.1/x".to_owned(),
            format!("file://{}/victim", outside.text()),
        ] {
            player.write("add/Dockerfile", format!("FROM scratch\nADD {address} /x\n"));
            let ran = player.run(&["build", "add"]);
            assert!(matches!(ran.status, 1 | 2), "{address}: {}", ran.stderr);
            no_canary(&ran);
        }
    });
    assert!(server.asked().is_empty(), "nobody was asked");
}

/// CVE-2026-33747.
#[test]
fn d11_no_frontend_of_others_is_fetched_or_run() {
    each(|player, _| {
        player.write("frontend/Dockerfile", "# syntax=attacker/frontend:1\nFROM box:1\n");
        let ran = player.run(&["build", "frontend"]);
        assert!(ran.status == 1 && ran.stderr.contains("attacker/frontend:1"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("https://"), "{}", ran.stderr);
    });
}

/// CVE-2024-24557: a step is found again only where all that it is made of is the same.
#[test]
fn d13_whatever_a_step_is_made_of_is_in_its_key() {
    each(|player, _| {
        let text = "FROM box:1\nARG A\nCOPY f /f\nRUN --mount=type=secret,id=s true; cat /f; echo $A\n";
        player.write("keys/Dockerfile", text);
        player.write("keys/f", "one");
        player.write("secret", "one");
        let build = |more: &[&str]| {
            let line = ["build", "keys", "--format", "json", "--secret", "id=s,src=secret", "--build-arg", "A=1"];
            let ran = player.run(&[&line, more].concat()).expect(0);
            let steps = ran.json()["steps"].as_array().unwrap().clone();
            steps.last().unwrap()["cached"] == true
        };
        assert!(!build(&[]) && build(&[]), "the second is found");
        assert!(!build(&["--build-arg", "A=2"]), "another argument");
        player.write("keys/f", "two");
        assert!(!build(&[]), "another file");
        player.write("keys/Dockerfile", text.replace("/f\nRUN", "/g\nRUN"));
        assert!(!build(&[]), "another place of the file");
        player.write("keys/Dockerfile", text.replace("RUN ", "RUN --network=none "));
        assert!(!build(&[]), "another network");
        player.write("keys/Dockerfile", text.replace("ARG A", "ARG A\nWORKDIR /tmp"));
        assert!(!build(&[]), "another folder");
        // The same chain of names above other bytes.
        player.write("keys/Dockerfile", text);
        assert!(build(&[]));
        let other = [super::boxes::busybox(), tar(&[file("more", "x", 0o644)])];
        player.load("box:1", &other, &serde_json::json!({})).expect(0);
        assert!(!build(&[]), "another base of the same name");
        player.reload();
        assert!(build(&[]), "the old base again");
    });
}

/// CVE-2024-23650: what is remembered of earlier builds is anything.
#[test]
fn d16_whatever_is_remembered_says_a_build_is_right_or_an_error() {
    each(|player, _| {
        player.write(
            "kept/Dockerfile",
            "FROM box:1\nCOPY f /f\nRUN cat /f > /g; mkdir /d\nFROM box:1\nCOPY --from=0 /g /h\nRUN true\n",
        );
        player.write("kept/f", "one");
        let build = || {
            let mut command = player.command(&["build", "kept", "--format", "json", "-t", "kept:1"]);
            Ran::from(command.env("SOURCE_DATE_EPOCH", "1600000000").output().unwrap())
        };
        let id = |ran: &Ran| ran.json()["id"].as_str().unwrap().to_owned();
        let right = id(&build().expect(0));
        let mut random = Random::new(16);
        let remembered = records(player);
        assert!(remembered.len() > 8, "{remembered:?}");
        for path in &remembered {
            let before = fs::read(path).unwrap();
            for damage in 0..DAMAGES {
                let _ = fs::remove_file(path);
                fs::write(path, damaged(&before, damage, &mut random)).unwrap();
                own(player, path);
                let ran = build();
                let what = format!("{}: {} ({damage})", player.name, path.display());
                match ran.status {
                    0 => assert_eq!(id(&ran), right, "{what}"),
                    1 | 3 => assert!(ran.stderr.contains("error: ") && !ran.stderr.contains("panicked"), "{what}"),
                    other => panic!("{what}: status {other}: {}", ran.stderr),
                }
                let _ = fs::remove_file(path);
                fs::write(path, &before).unwrap();
                own(player, path);
            }
        }
        assert_eq!(id(&build().expect(0)), right);
    });
}

/// What the store remembers, beside blobs and trees.
fn records(player: &Player) -> Vec<PathBuf> {
    let mut all = files(&player.store().join("cache"));
    all.extend(files(&player.store().join("layers")).into_iter().filter(|path| path.ends_with("index")));
    all
}

const DAMAGES: usize = 4;

/// Empty; cut; another number in it; something else altogether.
fn damaged(before: &[u8], damage: usize, random: &mut Random) -> Vec<u8> {
    match damage {
        0 => Vec::new(),
        1 => before[..before.len() / 2].to_vec(),
        2 => {
            let mut bytes = before.to_vec();
            let at = random.below(bytes.len().max(1));
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x11);
            bytes
        }
        _ => b"corten-record 99 \xff\0{\"steps\":[18446744073709551615,-1,1e999]}\n".to_vec(),
    }
}

/// Files that root has written for nobody are nobody's.
fn own(player: &Player, path: &Path) {
    if player.name == "nobody" {
        std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    }
}

/// Patterns that a matcher with memory of nothing would try in 2^40 ways: it ends.
#[test]
fn d20_patterns_without_end_take_no_time() {
    each(|player, _| {
        let long = "a".repeat(200);
        let many: String = (0..300).map(|number| format!("**/{}{number}b\n", "a*".repeat(20))).collect();
        player.write("globs/.dockerignore", many);
        player.write(&format!("globs/{long}"), "x");
        player.write("globs/Dockerfile", format!("FROM scratch\nCOPY {}b* /a/\nCOPY . /all\n", "a*".repeat(40)));
        // What matches nothing copies nothing, as in BuildKit.
        player.run(&["build", "globs"]).expect(0);
    });
}
