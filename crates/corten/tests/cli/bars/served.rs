//! R13: a registry that is killed while others write to it. Each name that it lists afterwards is whole, and nothing is left
//! of what was under way.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use corten_oci::Digest;
use corten_testkit::bar::{Bar, Random};
use corten_testkit::client::{Got, try_ask};
use serde_json::{Value, json};

use crate::ground::{corten_at, folder};
use crate::serve::Server;

const WRITERS: usize = 4;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn r13_a_registry_is_killed_under_its_writers() {
    let bar = Bar::begin("R13");
    let home = folder();
    let corten = corten_at(home.path());
    let (mut random, mut torn, mut listed) = (bar.random(), Vec::new(), 0);
    let kills = bar.length(20, 200);
    for kill in 0..kills {
        let server = Server::start(&corten, &[]);
        // The listing before others write is what the last kill has left.
        let (found, wrong) = audit(&server.place);
        listed += found;
        torn.extend(wrong);
        assert_eq!(left(home.path()), 0, "uploads are left after kill {kill}");
        let (requests, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let enough = 5 + random.below(60);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (place, requests, over) = (server.place.clone(), &requests, &over);
                let mut random = Random::new(random.number());
                scope.spawn(move || write(&place, writer, &mut random, requests, over));
            }
            while requests.load(Ordering::Relaxed) < enough {
                std::hint::spin_loop();
            }
            server.kill();
            over.store(true, Ordering::Relaxed);
        });
    }
    let ran = corten.run(corten.home(), ["store", "verify"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(listed > kills, "too little was written: {listed} names");
    bar.finish(format!("{} torn of {listed} names seen after {kills} kills", torn.len()), torn.is_empty());
}

/// Pushes images one after another, each in three pieces and a manifest, until the server is gone.
fn write(place: &str, writer: usize, random: &mut Random, requests: &AtomicUsize, over: &AtomicBool) {
    let ask = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| -> Option<Got> {
        let got = try_ask(place, method, target, headers, body).ok().filter(|got| got.status != 0)?;
        requests.fetch_add(1, Ordering::Relaxed);
        assert!(got.status < 300 || over.load(Ordering::Relaxed), "{method} {target}: {got:?}");
        Some(got)
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
            let tag = random.below(30);
            let target = format!("/v2/w{writer}/manifests/t{tag}");
            ask("PUT", &target, &[("content-type", MANIFEST)], manifest.to_string().as_bytes()).map(drop)
        };
        if push().is_none() {
            return;
        }
    }
}

/// How many names the registry lists, and which of them are not whole.
fn audit(place: &str) -> (usize, Vec<String>) {
    let get = |target: &str| try_ask(place, "GET", target, &[], b"").unwrap();
    let list = |target: &str, key: &str| -> Vec<String> {
        let body: Value = serde_json::from_slice(&get(target).body).unwrap();
        serde_json::from_value(body[key].clone()).unwrap_or_default()
    };
    let (mut names, mut torn) = (0, Vec::new());
    for repository in list("/v2/_catalog", "repositories") {
        for tag in list(&format!("/v2/{repository}/tags/list?n=1000"), "tags") {
            names += 1;
            let manifest = get(&format!("/v2/{repository}/manifests/{tag}"));
            let said = manifest.header("docker-content-digest").unwrap_or_default().to_owned();
            let body: Value = serde_json::from_slice(&manifest.body).unwrap_or_default();
            let children = body["layers"].as_array().into_iter().flatten().chain([&body["config"]]);
            let whole = manifest.status == 200
                && said == Digest::of(&manifest.body).to_string()
                && children.into_iter().all(|child| {
                    let digest = child["digest"].as_str().unwrap_or_default();
                    Digest::of(get(&format!("/v2/{repository}/blobs/{digest}")).body).to_string() == digest
                });
            if !whole {
                torn.push(format!("{repository}:{tag}"));
            }
        }
    }
    (names, torn)
}

/// Files of uploads that nobody goes on with.
fn left(home: &std::path::Path) -> usize {
    let folders = fs::read_dir(home.join("tmp")).unwrap().map(|entry| entry.unwrap().path());
    folders.filter_map(|folder| fs::read_dir(folder).ok()).map(Iterator::count).sum()
}
