//! R16: somebody exchanges a folder for a link while the program works on it. What lies outside is neither changed nor read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use corten_testkit::bar::Bar;
use serde_json::json;

use super::boxes::{CANARY, Outside, Player, Racer, busybox, file, files, folder, tar};

/// A folder with `real` (files of its own, of the same names as outside) and `swap`, a link to what lies outside.
fn pair(place: PathBuf, outside: &Outside) -> (PathBuf, PathBuf) {
    // Whoever repairs it is in the middle of a race: nothing is written behind a name that may be the link.
    let (real, swap) = (place.join("real"), place.join("swap"));
    let new = tempfile::tempdir_in(outside.path().parent().unwrap()).unwrap().keep();
    fs::create_dir(new.join("dir")).unwrap();
    for name in ["victim", "dir/victim"] {
        fs::write(new.join(name), "own").unwrap();
    }
    let _ = fs::create_dir_all(&place);
    let is_moved = !real.is_symlink() && !swap.is_symlink() || !real.exists() || !swap.exists();
    if is_moved {
        for path in [&real, &swap] {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
        }
        let _ = fs::rename(&new, &real).and_then(|()| symlink(outside.path(), &swap));
    }
    let _ = fs::remove_dir_all(&new);
    (real, swap)
}

struct Races<'a> {
    player: &'a Player,
    outside: &'a Outside,
    wanted: u64,
    /// Exchanges of each race.
    swaps: Vec<u64>,
    wrong: Vec<String>,
}

impl Races<'_> {
    /// Works on a place whose two names are exchanged all the time.
    fn race(&mut self, name: &str, place: PathBuf, mut work: impl FnMut()) {
        let (one, other) = pair(place.clone(), self.outside);
        let repair = || drop(pair(place.clone(), self.outside));
        let work = || {
            work();
            true
        };
        self.swaps.push(Racer::race((&one, &other), self.wanted, repair, work));
        let changes = self.outside.changes();
        self.wrong.extend(changes.into_iter().map(|change| format!("{} {name}: {change}", self.player.name)));
    }

    fn told(&mut self, name: &str, said: &str) {
        if said.contains(CANARY) {
            self.wrong.push(format!("{} {name}: what lies outside was read", self.player.name));
        }
    }

    /// A result is written into a folder: layers are unpacked there.
    fn unpack(&mut self) {
        let (player, place) = (self.player, self.player.open_folder("races/out"));
        let many: Vec<_> = (0..200).map(|number| file(&format!("real/dir/{number}"), "x", 0o644)).collect();
        let parts = [vec![folder("real/", 0o777), folder("real/dir/", 0o777)], many].concat();
        player.load("many:1", &[tar(&parts)], &json!({})).expect(0);
        player.write("races/unpack/Dockerfile", "FROM many:1\n");
        self.race("unpack", place, || drop(player.run(&["build", "races/unpack", "-o", "type=local,dest=races/out"])));
    }

    /// What is removed is exchanged for a link meanwhile: a cache of the store, whose files a command made.
    fn collect(&mut self) {
        let player = self.player;
        let trash = player.store().join("cache-mounts");
        player.write(
            "races/cache/Dockerfile",
            "FROM box:1\nRUN --mount=type=cache,id=gone,target=/c mkdir -p /c/dir; touch /c/dir/victim /c/victim\n",
        );
        player.run(&["build", "--no-cache", "races/cache"]).expect(0);
        let data = fs::read_dir(&trash).unwrap().flatten().map(|entry| entry.path().join("0")).next().unwrap();
        self.race("prune", data, || assert_ne!(player.run(&["prune", "--all", "--yes"]).status, 2));
        player.reload();
    }

    /// Containers whose changed files are removed while somebody exchanges them.
    fn remove(&mut self) {
        let player = self.player;
        let start = || {
            let ran = player.run(&[
                "run",
                "--network",
                "none",
                "--name",
                "gone",
                "box:1",
                "sh",
                "-c",
                "mkdir -p /r/dir; touch /r/victim /r/dir/victim",
            ]);
            ran.expect(0);
            let containers = fs::read_dir(player.store().join("containers")).unwrap();
            containers.flatten().next().map(|entry| entry.path().join("disk/upper")).unwrap()
        };
        let wanted = self.wanted;
        let mut swaps = 0;
        for _ in 0..if wanted > 10_000 { 50 } else { 3 } {
            let upper = start();
            let (one, other) = pair(upper, self.outside);
            // One that fails is no container any more: what is left of it goes when the next one starts.
            swaps += Racer::race(
                (&one, &other),
                u64::MAX,
                || {},
                || {
                    player.run(&["rm", "gone"]);
                    false
                },
            );
            self.wrong.extend(self.outside.changes().into_iter().map(|change| format!("{} rm: {change}", player.name)));
        }
        self.swaps.push(swaps);
    }

    fn copy(&mut self) {
        let (player, place) = (self.player, self.player.open_folder("races/context"));
        player.write(
            "races/context/Dockerfile",
            "FROM scratch\nCOPY real /real\nCOPY real/victim /v\nCOPY real/dir/ /d/\n",
        );
        player.open_folder("races/copied");
        let mut read = String::new();
        self.race("COPY", place, || {
            let ran = player.run(&["build", "races/context", "--no-cache", "-o", "type=local,dest=races/copied"]);
            read.push_str(&ran.stderr);
            for path in files(&player.path("races/copied")) {
                read.push_str(&fs::read_to_string(&path).unwrap_or_default());
                let _ = fs::remove_file(path);
            }
        });
        self.told("COPY", &read);
    }

    /// D3: two builds share a cache, one of them exchanges the folder that the other mounts.
    fn cache(&mut self) {
        let player = self.player;
        player.write(
            "races/begin/Dockerfile",
            "FROM box:1\nRUN --mount=type=cache,id=shared,target=/c mkdir -p /c/real; touch /c/here\n",
        );
        player.run(&["build", "--no-cache", "races/begin"]).expect(0);
        let all = fs::read_dir(player.store().join("cache-mounts")).unwrap().flatten();
        let data = all.map(|entry| entry.path().join("0")).find(|path| path.join("here").exists()).unwrap();
        let text = "FROM box:1\nRUN --mount=type=cache,id=shared,source=real,target=/d cat /d/victim /d/dir/victim; touch /d/new; rm -f /d/dir/*; true\n";
        player.write("races/mounted/Dockerfile", text);
        let mut read = String::new();
        self.race("D3 a cache's source", data, || {
            let ran = player.run(&["build", "--no-cache", "--progress", "plain", "races/mounted"]);
            read.push_str(&ran.stderr);
        });
        self.told("D3 a cache's source", &read);
    }

    /// E7: a volume holds the folder that another volume is mounted on.
    fn volume(&mut self) {
        let player = self.player;
        let run = |script: &str| {
            player.run(&[
                "run",
                "--rm",
                "--network",
                "none",
                "-v",
                "outer:/outer",
                "-v",
                "inner:/outer/real/deep/er",
                "box:1",
                "sh",
                "-c",
                script,
            ])
        };
        player
            .run(&["run", "--rm", "--network", "none", "-v", "outer:/outer", "box:1", "touch", "/outer/here"])
            .expect(0);
        let place = player.store().join("volumes/outer");
        let mut read = String::new();
        self.race("E7 a volume's target", place, || {
            let ran =
                run("cat /outer/real/victim /outer/swap/victim; touch /outer/real/deep/er/x; rm -f /outer/swap/victim");
            read.push_str(&(ran.stdout + &ran.stderr));
        });
        self.told("E7 a volume's target", &read);
    }

    /// A bind's source is exchanged: what is mounted is one of both, as the caller's name said, and is read-only.
    fn bind(&mut self) {
        let player = self.player;
        let place = player.open_folder("races/bind");
        let image = tar(&[folder("real/", 0o755), folder("real/dir/", 0o755), file("real/victim", "own", 0o644)]);
        player.load("filled:1", &[busybox(), image], &json!({"Volumes": {"/real": {}}})).expect(0);
        let source = format!("{}:/x:ro", place.join("real").display());
        self.race("a bind's source", place, || {
            drop(player.run(&[
                "run",
                "--rm",
                "--network",
                "none",
                "-v",
                &source,
                "filled:1",
                "sh",
                "-c",
                "echo x > /x/victim; rm -f /x/dir/victim; touch /x/new",
            ]));
        });
    }
}

#[test]
fn r16_who_exchanges_folders_for_links_reaches_nothing() {
    let bar = Bar::begin("R16");
    let outside = Outside::new();
    let wanted = bar.length(2_000, 100_000) as u64;
    let (mut swaps, mut wrong) = (Vec::new(), Vec::new());
    for player in Player::all() {
        let mut races = Races { player: &player, outside: &outside, wanted, swaps: Vec::new(), wrong: Vec::new() };
        races.unpack();
        races.copy();
        races.cache();
        races.volume();
        races.bind();
        races.remove();
        races.collect();
        swaps.append(&mut races.swaps);
        wrong.append(&mut races.wrong);
    }
    wrong.iter().for_each(|what| println!("{what}"));
    let (least, total) = (swaps.iter().min().unwrap(), swaps.iter().sum::<u64>());
    let figure = format!("{} wrong in {} races, {total} exchanges, at least {least} each", wrong.len(), swaps.len());
    bar.finish(figure, wrong.is_empty());
}
