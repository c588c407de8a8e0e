//! R13: a registry that is killed, or loses its disk's power, while eight others write to it and a ninth prunes. Each name
//! that it lists afterwards is whole, each that was acknowledged is there, and nothing is left of what was under way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use corten_oci::Digest;
use corten_testkit::bar::{Bar, Random};
use corten_testkit::client::{Got, try_ask};
use serde_json::{Value, json};

use super::cuts::LoopDisk;
use crate::ground::{corten_at, folder, not_run};
use crate::serve::Server;

const WRITERS: usize = 8;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn r13_a_registry_is_killed_under_its_writers() {
    let bar = Bar::begin("R13");
    let mut random = bar.random();
    let (kills, cuts) = (bar.length(10, 200), bar.length(2, 100));
    let home = folder();
    let killed = Course::default().run(home.path(), kills, &mut random, |server| server.kill());
    let Some(disk) = LoopDisk::new(1024, &[]) else { return not_run("a disk in a file needs root and mkfs.ext4") };
    let cut = Course::default().run(&disk.path().join("store"), cuts, &mut random, |server| {
        disk.cut();
        server.kill();
        disk.come_back();
    });
    let wrong = [&killed.wrong[..], &cut.wrong].concat();
    wrong.iter().for_each(|wrong| println!("{wrong}"));
    let value = format!(
        "{} wrong of {} names seen after {kills} kills, {} of {} after {cuts} power cuts",
        killed.wrong.len(),
        killed.seen,
        cut.wrong.len(),
        cut.seen
    );
    bar.finish(value, wrong.is_empty());
}

/// What became of the names of a registry that ended many times.
#[derive(Default)]
struct Course {
    seen: usize,
    wrong: Vec<String>,
}

/// What a tag may point at: what was acknowledged last, or what was tried since.
#[derive(Default)]
struct Pushed {
    acknowledged: Option<String>,
    tried: Vec<String>,
}

/// By repository and tag.
type Tags = Mutex<BTreeMap<(String, String), Pushed>>;

impl Course {
    fn run(mut self, home: &Path, times: usize, random: &mut Random, end: impl Fn(Server)) -> Self {
        let (corten, pushed) = (corten_at(home), Tags::default());
        for time in 0..times {
            let server = Server::start(&corten, &[]);
            // What the last end has left, before others write again.
            self.audit(&server.place, &pushed);
            assert_eq!(left(home), 0, "uploads are left after end {time}");
            let (requests, over) = (AtomicUsize::new(0), AtomicBool::new(false));
            let enough = 5 + random.below(60);
            std::thread::scope(|scope| {
                for writer in 0..WRITERS {
                    let (place, requests, over, pushed) = (server.place.clone(), &requests, &over, &pushed);
                    let mut random = Random::new(random.number());
                    scope.spawn(move || write(&place, writer, &mut random, requests, over, pushed));
                }
                let prunes = random.below(3) == 0;
                let corten = &corten;
                let pruned = prunes.then(|| scope.spawn(move || corten.run(corten.home(), ["prune", "--yes"]).status));
                while requests.load(Ordering::Relaxed) < enough {
                    std::hint::spin_loop();
                }
                // Half of the prunes end before the registry does.
                if let Some(pruned) = pruned.filter(|_| random.below(2) == 0) {
                    assert_eq!(pruned.join().unwrap(), 0, "prune");
                }
                over.store(true, Ordering::Relaxed);
                end(server);
            });
        }
        let ran = corten.run(corten.home(), ["store", "verify"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(self.seen > times, "too little was written: {} names", self.seen);
        self
    }

    fn audit(&mut self, place: &str, pushed: &Tags) {
        let (found, torn) = audit(place);
        self.wrong.extend(torn);
        self.seen += found.len();
        for (name, pushed) in pushed.lock().unwrap().iter_mut() {
            let now = found.get(name).cloned();
            let was_tried = now.as_ref().is_some_and(|now| pushed.tried.contains(now));
            if now != pushed.acknowledged && !was_tried {
                self.wrong.push(format!("{name:?} is {now:?}, acknowledged was {:?}", pushed.acknowledged));
            }
            *pushed = Pushed { acknowledged: now, tried: Vec::new() };
        }
    }
}

/// Pushes images one after another, each in three pieces and a manifest, until the server is gone.
fn write(place: &str, writer: usize, random: &mut Random, requests: &AtomicUsize, over: &AtomicBool, pushed: &Tags) {
    let ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| -> Option<Got> {
        let got = try_ask(place, method, target, headers, body).ok().filter(|got| got.status != 0)?;
        requests.fetch_add(1, Ordering::Relaxed);
        if got.status < 300 {
            return Some(got);
        }
        // A disk without power is an error of the registry's.
        assert!(over.load(Ordering::Relaxed), "{method} {target}: {got:?}");
        None
    };
    let blob = |bytes: &[u8]| -> Option<Value> {
        let location = ask("POST", &format!("/v2/w{writer}/blobs/uploads/"), &[], b"")?.header("location")?.to_owned();
        let (first, last) = bytes.split_at(bytes.len() / 2);
        ask("PATCH", &location, &[], first)?;
        let digest = Digest::of(bytes);
        ask("PUT", &format!("{location}?digest={digest}"), &[], last)?;
        Some(json!({"digest": digest, "size": bytes.len(), "mediaType": "application/octet-stream"}))
    };
    while !over.load(Ordering::Relaxed) {
        let mut push = || -> Option<()> {
            let number = random.number();
            let layer: Vec<u8> = number.to_le_bytes().repeat(1 + random.below(20_000));
            let (config, layer) = (blob(format!("{{\"n\":{number}}}").as_bytes())?, blob(&layer)?);
            let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
            let (manifest, tag) = (manifest.to_string(), format!("t{}", random.below(30)));
            let digest = Digest::of(manifest.as_bytes()).to_string();
            let name = (format!("w{writer}"), tag.clone());
            pushed.lock().unwrap().entry(name.clone()).or_default().tried.push(digest.clone());
            let target = format!("/v2/w{writer}/manifests/{tag}");
            ask("PUT", &target, &[("content-type", MANIFEST)], manifest.as_bytes())?;
            let now = Pushed { acknowledged: Some(digest), tried: Vec::new() };
            pushed.lock().unwrap().insert(name, now);
            Some(())
        };
        if push().is_none() {
            return;
        }
    }
}

/// The names that the registry lists with their digests, and which of them are not whole.
fn audit(place: &str) -> (BTreeMap<(String, String), String>, Vec<String>) {
    let get = |target: &str| try_ask(place, "GET", target, &[], b"").unwrap();
    let list = |target: &str, key: &str| -> Vec<String> {
        let body: Value = serde_json::from_slice(&get(target).body).unwrap();
        serde_json::from_value(body[key].clone()).unwrap_or_default()
    };
    let (mut names, mut torn) = (BTreeMap::new(), Vec::new());
    for repository in list("/v2/_catalog", "repositories") {
        for tag in list(&format!("/v2/{repository}/tags/list?n=1000"), "tags") {
            let manifest = get(&format!("/v2/{repository}/manifests/{tag}"));
            let said = manifest.header("docker-content-digest").unwrap_or_default().to_owned();
            let body: Value = serde_json::from_slice(&manifest.body).unwrap_or_default();
            let children = body["layers"].as_array().into_iter().flatten().chain([&body["config"]]);
            let mut wrong = Vec::new();
            if manifest.status != 200 || said != Digest::of(&manifest.body).to_string() {
                wrong.push(format!("the manifest is {manifest:?}"));
            }
            for child in children {
                let digest = child["digest"].as_str().unwrap_or_default();
                let got = get(&format!("/v2/{repository}/blobs/{digest}"));
                if Digest::of(&got.body).to_string() != digest {
                    wrong.push(format!("{digest} is {} bytes, {} {:?}", got.body.len(), got.status, got.headers));
                }
            }
            if !wrong.is_empty() {
                torn.push(format!("{repository}:{tag} is torn: {}", wrong.join(", ")));
            }
            names.insert((repository.clone(), tag), said);
        }
    }
    (names, torn)
}

/// Files of uploads that nobody goes on with.
fn left(home: &std::path::Path) -> usize {
    let folders = fs::read_dir(home.join("tmp")).unwrap().map(|entry| entry.unwrap().path());
    folders.filter_map(|folder| fs::read_dir(folder).ok()).map(Iterator::count).sum()
}
