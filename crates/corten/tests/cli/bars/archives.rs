//! R15: archives and Dockerfiles that try to reach outside, through the whole program: loaded, run, added, written out.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use corten_layer::ar::ArReader;
use corten_layer::zip::Archive;
use corten_testkit::bar::Bar;
use serde_json::{Value, json};

use crate::ground::{SmallDisk, not_run};

use super::boxes::{Outside, Player, busybox, file, folder, hard_link, link, mounts_with, pipe, tar};

fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {}", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

/// What went wrong, and how much was tried.
struct Judge<'a> {
    player: &'a Player,
    outside: &'a Outside,
    tried: usize,
    wrong: Vec<String>,
}

impl Judge<'_> {
    fn look(&mut self, what: &str, is_right: bool, said: &str) {
        self.tried += 1;
        let mut wrong = self.outside.changes();
        for path in ["/tmp/breakout-corten", "/moo", "/BROKEN", "/tmp/ESCAPED"] {
            if fs::symlink_metadata(path).is_ok() {
                wrong.push(format!("{path} is there"));
            }
        }
        if !is_right {
            wrong.push(said.to_owned());
        }
        self.wrong.extend(wrong.into_iter().map(|one| format!("{} {what}: {one}", self.player.name)));
    }

    /// As layers of an image that is loaded and run, as an archive that ADD unpacks, as a result that is written out.
    fn layers(&mut self, what: &str, layers: &[Vec<u8>], is_refused: Option<bool>) {
        let player = self.player;
        // What the attack leaves of the folders may be anything: the program lies above it.
        let with_program = [layers, &[busybox()]].concat();
        let loaded = player.load("evil:1", &with_program, &json!({}));
        let ran = player.run(&["run", "--rm", "--network", "none", "evil:1", "true"]);
        let both = loaded.status != 0 || ran.status != 0;
        let is_right = is_refused.is_none_or(|is_refused| is_refused == both);
        self.look(&format!("{what}, run"), is_right, &format!("{} {}{}", ran.status, loaded.stderr, ran.stderr));
        player.write("evil/Dockerfile", "FROM evil:1\nRUN true\nFROM scratch\nADD evil.tar /in/\n");
        player.write("evil/evil.tar", layers.last().unwrap());
        let out = player.open_folder("evil-out");
        let added = player.run(&["build", "evil", "-o", "type=local,dest=evil-out"]);
        self.look(&format!("{what}, added"), matches!(added.status, 0 | 1 | 3), &added.stderr);
        let _ = fs::remove_dir_all(out);
        player.write("evil/Dockerfile", "FROM evil:1\n");
        player.open_folder("evil-out");
        let written = player.run(&["build", "evil", "-o", "type=local,dest=evil-out"]);
        self.look(&format!("{what}, written out"), matches!(written.status, 0 | 1 | 3), &written.stderr);
        let _ = fs::remove_dir_all(player.path("evil-out"));
    }
}

/// Part A of the catalogue, as archives.
fn own_archives(out: &str) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut all = Vec::new();
    let mut one = |id: &str, parts: &[Vec<u8>]| all.push((id.to_owned(), vec![tar(parts)]));
    let climbing = format!("../../../../../../../..{out}");
    for name in
        [format!("{climbing}/x"), format!("{out}/x"), format!("/{out}/x"), "a/../../../x".into(), "./../x".into()]
    {
        one("A1 a name", &[file(&name, "x", 0o666)]);
        one("A1 a folder's name", &[folder(&format!("{name}/"), 0o777)]);
    }
    for target in [out, &climbing, "/proc/self/root", "."] {
        one("A2 through a link", &[link("l", target), file("l/victim", "x", 0o666)]);
        one("A2 through a chain", &[link("a", "b"), link("b", "c"), link("c", target), file("a/victim", "x", 0o666)]);
        one("A3 a hard link through a link", &[link("l", target), hard_link("h", "l/victim"), file("h", "x", 0o777)]);
        one(
            "A4 a folder over a link",
            &[link("d", &format!("{target}/dir")), folder("d/", 0o700), file("d/victim", "x", 0o600)],
        );
        one("A5 parents behind a link", &[link("s", target), file("s/a/b/c", "x", 0o666)]);
    }
    one("A3 a hard link", &[hard_link("x", &format!("{out}/victim")), file("x", "y", 0o777)]);
    one("A3 a hard link upwards", &[hard_link("x", &format!("{climbing}/victim")), file("x", "y", 0o777)]);
    for name in ["/.", ".", "./", "/", "//", "./."] {
        one("A6 the root", &[link(name, out), file("victim", "x", 0o666)]);
    }
    for name in [".wh...", ".wh..", "etc/.wh..", ".wh.", "etc/.wh...", ".wh..wh..opq", "l/.wh.victim", "l/.wh..wh..opq"]
    {
        one("A7 whiteouts", &[folder("etc/", 0o755), link("l", out), file(name, "", 0o644)]);
    }
    one("A9 a pipe where files are read", &[folder("etc/", 0o755), pipe("etc/passwd"), pipe("etc/group")]);
    one("A16 a long chain", &(0..64).map(|n| link(&format!("c{n}"), &format!("c{}", n + 1))).collect::<Vec<_>>());
    one("A16 a circle", &[link("a", "b"), link("b", "a"), file("a/x", "x", 0o644)]);
    one("A15 a deep path", &[file(&["d/"; 49].concat(), "x", 0o644)]);
    one("A19 names that steer", &[file("a\u{1b}[2J\nb", "x", 0o644), file("\u{7f}", "x", 0o644)]);
    // A layer below prepares what the one above goes through.
    for target in [out, &climbing] {
        let below = tar(&[link("l", target), link("d", &format!("{target}/dir"))]);
        let above = tar(&[file("l/victim", "x", 0o666), folder("d/", 0o700), file("d/victim", "x", 0o600)]);
        all.push(("A4 over a lower layer's link".into(), vec![below.clone(), above]));
        all.push((
            "A7 whiteouts behind a lower layer's link".into(),
            vec![below, tar(&[file("l/.wh.victim", "", 0o644)])],
        ));
    }
    all
}

/// Part D, and B9 of part B, as Dockerfiles; the status that is expected, if only one is right.
fn dockerfiles(out: &str) -> Vec<(&'static str, String, Option<i32>)> {
    let from = "FROM box:1\n";
    let all: Vec<(&str, String, Option<i32>)> = vec![
        ("D1 a cache's id climbs", "RUN --mount=type=cache,id=../../../../OUT,target=/c touch /c/x".into(), Some(0)),
        ("D1 a cache's source climbs", "RUN --mount=type=cache,id=a,source=../../../../../OUT,target=/c touch /c/x".into(), None),
        ("D2 a cache's folder is a link", "RUN --mount=type=cache,id=l,target=/c ln -sfn OUT /c/sel\nRUN --mount=type=cache,id=l,source=sel,target=/d touch /d/x".into(), Some(1)),
        ("D4 a stage's folder is a link", "RUN ln -s / /r; ln -s OUT /o\nFROM box:1\nRUN --mount=from=0,source=/r,target=/x,rw touch /x/BROKEN /x/tmp/ESCAPED".into(), Some(0)),
        ("D4 a stage's link leads out", "RUN ln -s OUT /o\nFROM box:1\nRUN --mount=from=0,source=/o,target=/x,rw touch /x/x".into(), Some(1)),
        ("D5 a stub becomes a link", "RUN --mount=type=tmpfs,target=/a/dir umount /a/dir 2>/dev/null; mv /a /b && ln -s OUT /a; true".into(), Some(0)),
        ("D5 a stub of a secret becomes a link", "RUN --mount=type=secret,id=s,target=/a/victim mv /a /b; ln -s OUT /a; true".into(), Some(0)),
        ("D6 propagation", "RUN --mount=type=bind,target=/x,bind-propagation=shared true".into(), Some(1)),
        ("D7 a context's link", "COPY absolute /x".into(), Some(1)),
        ("D7 a context's climbing link", "COPY climbing /x".into(), Some(1)),
        ("D7 a folder behind a context's link", "COPY folder/victim /x".into(), Some(1)),
        ("D7 names that climb", "COPY ../../../../../../OUT/victim /x".into(), Some(1)),
        ("D7 a target behind a link", "RUN ln -s OUT /l\nCOPY own /l/victim\nCOPY own /l/new".into(), Some(0)),
        ("D7 a stage's link", "RUN ln -s OUT/victim /v\nFROM box:1\nCOPY --from=0 /v /v\nRUN cat /v && exit 1; true".into(), None),
        ("D7 a bind of the context's link", "RUN --mount=source=folder,target=/x cat /x/victim".into(), Some(1)),
        ("D12 nothing is a shell's", "ARG X=$(touch${IFS}/tmp/ESCAPED)\nENV Y=${X:-`touch /tmp/ESCAPED`}\nLABEL z=\"$(touch /tmp/ESCAPED)\"".into(), None),
        ("D12 references without end", (0..60).map(|n| format!("ENV V{}=$V{n}$V{n}$V{n}$V{n}\n", n + 1)).collect::<String>() + "RUN true", None),
        ("D14 what goes on in the background", "RUN (setsid sleep 987654 &) ; (sleep 987654 &) ; mount -t tmpfs t /tmp; true".into(), Some(0)),
        ("D15 files of the system", "RUN echo x >> /etc/hosts; echo x >> /etc/resolv.conf; echo x > /dev/x; echo x > /sys/x; echo x > /proc/sys/kernel/hostname; true".into(), Some(0)),
        ("D17 a secret's target is a link", "RUN ln -s OUT /run/secrets 2>/dev/null || (mkdir -p /run; ln -s OUT /run/secrets)\nRUN --mount=type=secret,id=s cat /run/secrets/s; true".into(), None),
        ("D17 a secret's id climbs", "RUN --mount=type=secret,id=../../../OUT/victim cat /run/secrets/*; true".into(), None),
        ("D18 a result full of links", "RUN rm -rf /etc; ln -s OUT /etc; ln -s OUT/victim /v; mkdir /w; ln -s ../../../../..OUT /w/up".into(), Some(0)),
        ("D19 a line ends nowhere", "RUN true \\".into(), None),
        ("D19 it stands on itself", "FROM me AS me".into(), None),
        ("B9 a working folder that is a link", "RUN ln -s OUT /w\nWORKDIR /w\nRUN touch new; rm -f victim; true".into(), None),
        ("B9 a working folder in /proc", "WORKDIR /proc/self/fd/8\nRUN touch x".into(), Some(1)),
        ("B9 a user that is none", "USER 4294967296\nRUN true".into(), Some(1)),
        ("B9 a user below 0", "USER -1\nRUN true".into(), Some(1)),
        ("B9 variables of the loader", "ENV LD_PRELOAD=/p.so LD_LIBRARY_PATH=/ BASH_ENV=OUT/victim\nRUN true".into(), None),
    ];
    all.into_iter().map(|(id, text, status)| (id, from.to_owned() + &text.replace("OUT", out) + "\n", status)).collect()
}

#[test]
fn r15_nothing_outside_changes_whatever_an_archive_or_a_dockerfile_says() {
    let bar = Bar::begin("R15");
    let (Some(layers), Some(traversal)) = (data("attacks/layers"), data("attacks/traversal")) else { return };
    let outside = Outside::new();
    let read = |path: &Path| fs::read(path).unwrap();
    let cases: Value = serde_json::from_slice(&read(&layers.join("cases.json"))).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 34);
    let mut random = bar.random();
    let (mut tried, mut wrong, mut archives) = (0, Vec::new(), 0);
    let mut dockerfiles_tried = 0;
    for player in Player::all() {
        let mut judge = Judge { player: &player, outside: &outside, tried: 0, wrong: Vec::new() };
        let own = own_archives(outside.text());
        // In the test suite some of them: the store's own tests unpack all.
        let mut is_chosen = || bar.is_whole() || random.below(24) == 0;
        for case in cases.iter().filter(|_| is_chosen()) {
            let names = ["base", "layer"].into_iter().filter_map(|key| case[key].as_str());
            let tars: Vec<_> = names.map(|name| read(&layers.join(name))).collect();
            judge.layers(case["name"].as_str().unwrap(), &tars, Some(case["expect"] == "refuse"));
            archives += 1;
        }
        for name in [
            "absolute1",
            "absolute2",
            "dirsymlink",
            "dirsymlink2a",
            "dirsymlink2b",
            "relative0",
            "relative2",
            "symlink",
        ]
        .into_iter()
        .filter(|_| is_chosen())
        {
            let is_refused = ["dirsymlink", "relative0", "relative2"].contains(&name);
            judge.layers(name, &[read(&traversal.join(format!("{name}.tar")))], Some(is_refused));
            archives += 1;
        }
        for (id, tars) in own.iter().filter(|_| is_chosen()) {
            judge.layers(id, tars, None);
            archives += 1;
        }
        // In the test suite each has a test of its own.
        if bar.is_whole() {
            dockerfiles_tried += hostile_dockerfiles(&mut judge, "");
        }
        judge.wrong.extend(mounts_with(player.path("").to_str().unwrap()));
        let verified = player.run(&["store", "verify"]);
        judge.look("the store afterwards", verified.status == 0, &verified.stdout);
        tried += judge.tried;
        wrong.append(&mut judge.wrong);
    }
    archives += other_formats(&traversal, &mut wrong);
    wrong.iter().for_each(|what| println!("{what}"));
    let figure =
        format!("{} wrong in {tried} tries of {archives} archives and {dockerfiles_tried} Dockerfiles", wrong.len());
    bar.finish(figure, wrong.is_empty());
}

/// Those whose id is this; all where it is empty.
fn hostile_dockerfiles(judge: &mut Judge<'_>, wanted: &str) -> usize {
    let (player, out) = (judge.player, judge.outside.text());
    let is_wanted = |id: &str| wanted.is_empty() || id.split(' ').next() == Some(wanted);
    let all: Vec<_> = dockerfiles(out).into_iter().filter(|(id, ..)| is_wanted(id)).collect();
    assert!(!all.is_empty(), "{wanted}");
    let count = all.len();
    for (id, text, status) in all {
        player.write("hostile/Dockerfile", &text);
        player.write("hostile/own", "own");
        for (name, target) in [
            ("absolute", format!("{out}/victim")),
            ("climbing", format!("../../../../../../..{out}/victim")),
            ("folder", out.to_owned()),
        ] {
            let _ = std::os::unix::fs::symlink(target, player.path("hostile").join(name));
        }
        player.write("secret", "secret");
        player.open_folder("hostile-out");
        let line = ["build", "hostile", "--secret", "id=s,src=secret", "-o", "type=local,dest=hostile-out"];
        let ran = player.run(&line);
        let is_expected = status.is_none_or(|status| status == ran.status) && matches!(ran.status, 0 | 1 | 3);
        let is_kept = !(ran.stdout.clone() + &ran.stderr).contains(super::boxes::CANARY);
        judge.look(id, is_expected && is_kept, &format!("status {}: {}", ran.status, ran.stderr));
        let holds = super::boxes::files(&player.path("hostile-out"));
        let holds = holds.iter().any(|path| fs::read(path).unwrap_or_default() == super::boxes::CANARY.as_bytes());
        judge.look(id, !holds, "the result holds what lies outside");
        let made = player.path("hostile-out");
        let _ = fs::set_permissions(&made, fs::Permissions::from_mode(0o777));
        fs::remove_dir_all(made).unwrap();
    }
    judge.look("D14 in the background", super::boxes::processes_with("987654") == 0, "a process is left");
    count
}

/// The recipes of one id, as root and nobody.
fn recipe(id: &str) {
    let outside = Outside::new();
    for player in Player::all() {
        let mut judge = Judge { player: &player, outside: &outside, tried: 0, wrong: Vec::new() };
        hostile_dockerfiles(&mut judge, id);
        assert_eq!(judge.wrong, [""; 0]);
        assert_eq!(mounts_with(player.path("").to_str().unwrap()), [""; 0]);
    }
}

#[test]
fn d1_ids_and_sources_of_caches_do_not_climb() {
    recipe("D1");
}

#[test]
fn d2_a_caches_folder_that_is_a_link_is_refused() {
    recipe("D2");
}

#[test]
fn d4_links_of_stages_are_the_stages_own() {
    recipe("D4");
}

#[test]
fn d5_stubs_that_become_links_are_left_alone() {
    recipe("D5");
}

#[test]
fn d6_propagation_is_no_option_of_a_mount() {
    recipe("D6");
}

#[test]
fn d7_links_of_contexts_and_targets_lead_nowhere() {
    recipe("D7");
}

#[test]
fn d12_nothing_of_a_variable_is_a_shells() {
    recipe("D12");
}

#[test]
fn d14_what_runs_in_the_background_ends_with_the_command() {
    recipe("D14");
}

#[test]
fn d15_files_of_the_system_are_in_no_layer() {
    recipe("D15");
}

#[test]
fn d17_secrets_have_no_targets_and_ids_outside() {
    recipe("D17");
}

#[test]
fn d18_links_of_a_result_lead_nowhere() {
    recipe("D18");
}

#[test]
fn d19_files_without_sense_are_errors() {
    recipe("D19");
}

#[test]
fn b9_configs_lead_nowhere() {
    recipe("B9");
}

/// A tar of one file of 700 MB of zeros, by zstd: 22 kB.
fn bomb() -> Vec<u8> {
    let magic = [0x28_u8, 0xb5, 0x2f, 0xfd];
    let mut entry = file("f", "", 0o644);
    entry[124..136].copy_from_slice(b"05000000000\0");
    entry[148..156].fill(b' ');
    let sum: u32 = entry[..512].iter().map(|byte| u32::from(*byte)).sum();
    entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bomb = [&magic[..], &[0x00, (27 - 10) << 3], &block(0, 512, 0), &entry].concat();
    (0..5_400).for_each(|number| bomb.extend([block(1, 128 << 10, u32::from(number == 5_399)), vec![0]].concat()));
    bomb
}

/// The header of a block of zstd (RFC 8878, 3.1.1.2): 0 as it is, 1 one byte again and again.
fn block(kind: u32, size: u32, last: u32) -> Vec<u8> {
    ((size << 3) | (kind << 1) | last).to_le_bytes()[..3].to_vec()
}

/// Bytes in the files below a player's store.
fn kept(player: &Player) -> u64 {
    super::boxes::files(&player.store()).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

/// What ADD unpacks, what comes as a context, what is loaded: each is refused by its name, and nothing of it is kept.
#[test]
fn a14_archives_that_are_bombs_are_refused_wherever_they_come_from() {
    let outside = Outside::new();
    for player in Player::all() {
        player.write("b/bomb", bomb());
        player.write("b/Dockerfile", "FROM scratch\nADD bomb /\n");
        let added = player.run(&["build", "--progress", "plain", "b"]);
        let why = "unpacking bomb: it has more than 261 MiB uncompressed, which no archive has\n";
        let hint = "hint: where so much is right, COPY the archive, and unpack it in a command: RUN tar -xf\n";
        let is_told = added.stderr.contains(why) && added.stderr.contains(hint);
        assert!(added.status == 1 && is_told, "{} {}", added.status, added.stderr);
        assert!(kept(&player) < 64 << 20);
        let loaded = player.run(&["load", "-i", "b/bomb"]);
        let why = "uncompressed, which no archive has\n";
        assert!(loaded.status == 1 && loaded.stderr.contains(why), "{} {}", loaded.status, loaded.stderr);
        let mut command = player.command(&["build", "-"]);
        let sent = command.stdin(fs::File::open(player.path("b/bomb")).unwrap()).output().unwrap();
        let (said, why) = (String::from_utf8_lossy(&sent.stderr), "uncompressed, which no context has\nhint: where so");
        assert!(sent.status.code() == Some(1) && said.contains(why), "{said}");
        assert!(kept(&player) < 64 << 20);
        assert_eq!(outside.changes(), [""; 0]);
        assert_eq!(player.left(), [""; 0]);
    }
}

/// What ADD unpacks and the disk does not hold is told with what is missing; nothing of it stays, and with more room it goes on.
#[test]
fn a_full_disk_while_add_unpacks_is_told_by_what_is_missing() {
    let Some(disk) = SmallDisk::new("size=24m,mode=0777") else { return not_run("mounting a small tmpfs needs root") };
    let player = Player::all().remove(0).with_store(disk.path().join("store"));
    player.write("b/added.tar", tar(&[file("f", vec![b'x'; 16 << 20], 0o644), file("g", vec![b'y'; 16 << 20], 0o644)]));
    player.write("b/Dockerfile", "FROM scratch\nADD added.tar /\n");
    let ran = player.run(&["build", "--progress", "plain", "b"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let why = format!("unpacking added.tar: writing below {}: the disk is full: ", player.store().display());
    assert!(ran.stderr.contains(&why) && ran.stderr.contains("hint: free some space there"), "{}", ran.stderr);
    assert!(kept(&player) < 8 << 20);
    assert_eq!(player.left(), [""; 0]);
    disk.remount("size=200m");
    let ran = player.run(&["build", "b"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

/// A layer that becomes 700 MB of zeros, one whose window is 2 GiB, one with something behind its end: refused by name, and nothing
/// of it is kept.
#[test]
fn a14_layers_that_are_bombs_are_refused() {
    let outside = Outside::new();
    let magic = [0x28_u8, 0xb5, 0x2f, 0xfd];
    let bomb = bomb();
    let window = [&magic[..], &[0x00, (31 - 10) << 3, 0x01, 0x00, 0x00]].concat();
    let mut trailed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut trailed, &busybox()).unwrap();
    let trailed = [trailed.finish().unwrap(), b"garbage".to_vec()].concat();
    for player in Player::all() {
        for (layer, told) in [(&bomb, "MiB uncompressed, which no layer has"), (&window, ""), (&trailed, "")] {
            let ran = player.load("bomb:1", std::slice::from_ref(layer), &json!({}));
            assert!(
                matches!(ran.status, 1 | 3) && ran.stderr.contains(told),
                "{}: {told}: {}",
                player.name,
                ran.stderr
            );
            let kept = kept(&player);
            assert!(kept < 64 << 20, "{}: {kept} bytes for {told}", player.name);
        }
        assert_eq!(outside.changes(), [""; 0]);
        assert_eq!(player.left(), [""; 0]);
    }
}

/// Zips are what wheels are, ar what .debs are: each is refused before anything is written.
fn other_formats(traversal: &Path, wrong: &mut Vec<String>) -> usize {
    let mut seen = 0;
    for entry in fs::read_dir(traversal).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let is_refused = match path.extension().and_then(|text| text.to_str()) {
            Some("zip") => Archive::new(Cursor::new(bytes)).is_err(),
            Some("a") => ArReader::new(&bytes[..]).and_then(|mut reader| while_some(&mut reader)).is_err(),
            _ => continue,
        };
        seen += 1;
        if !is_refused {
            wrong.push(format!("{} is read", path.display()));
        }
    }
    seen
}

fn while_some(reader: &mut ArReader<&[u8]>) -> Result<(), corten_layer::ar::ArError> {
    while reader.next_member()?.is_some() {}
    Ok(())
}

/// docs/attacks.md: each recipe has a line, each line tests that are there.
#[test]
fn every_recipe_has_a_test_of_its_id() {
    let list = include_str!("../../../../../docs/attacks.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sources: String = super::boxes::files(&root.join("crates"))
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let rows = list.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id"));
    let mut ids = Vec::new();
    for row in rows {
        let id = row.split('|').nth(1).unwrap().trim();
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() > 2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}()")), "{id}: there is no test {name}");
        }
        ids.extend(id.split(", ").map(str::to_owned));
    }
    for (part, last) in [("A", 22), ("D", 20), ("E", 20)] {
        let told: Vec<String> = (1..=last).map(|number| format!("{part}{number}")).collect();
        let missing: Vec<_> = told.iter().filter(|id| !ids.contains(id)).collect();
        assert!(missing.is_empty(), "{missing:?} have no line");
    }
}
