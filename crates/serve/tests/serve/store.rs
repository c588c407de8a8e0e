//! What the store and the registry see of each other: names, uploads that were given up, damage, several processes.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use corten_oci::{Descriptor, Digest, MediaType, Reference};

use crate::{Served, manifest};

/// Puts an image into the store as `corten build` would: its digest.
fn put(served: &Served, name: &str, layer: &[u8]) -> Digest {
    let store = served.store();
    let batch = store.batch();
    batch.put(b"{}").unwrap();
    batch.put(layer).unwrap();
    let digest = batch.put(&manifest(b"{}", layer)).unwrap();
    batch.image(&name.parse().unwrap(), &digest).unwrap();
    batch.finish().unwrap();
    digest
}

fn digest(served: &Served, name: &str) -> Option<String> {
    let (repository, tag) = name.split_once(':').unwrap();
    let got = served.ask("HEAD", &format!("/v2/{repository}/manifests/{tag}"));
    got.header("docker-content-digest").map(str::to_owned)
}

#[test]
fn a_name_of_the_store_is_served_letter_for_letter() {
    let served = Served::new(|_| {});
    let own = format!("localhost:{}", served.place.rsplit(':').next().unwrap());
    let plain = put(&served, "team/a:1", b"plain");
    let other = put(&served, "docker.io/library/python:3", b"python");
    put(&served, "registry.example:5000/x:1", b"elsewhere");
    assert_eq!(digest(&served, "team/a:1"), Some(plain.to_string()));
    assert_eq!(digest(&served, "docker.io/library/python:3"), Some(other.to_string()));
    assert_eq!(digest(&served, "library/python:3"), None);
    // This registry's own address goes first, and a push goes where the name is.
    let mine = put(&served, &format!("{own}/team/a:1"), b"mine");
    let second = put(&served, &format!("{own}/team/a:2"), b"second");
    assert_eq!(digest(&served, "team/a:1"), Some(mine.to_string()));
    assert_eq!(digest(&served, "team/a:2"), Some(second.to_string()));
    let pushed = served.push("team/a:1", b"pushed");
    assert_eq!(digest(&served, "team/a:1"), Some(pushed.to_string()));
    let named = |name: &str| served.store().image(&name.parse::<Reference>().unwrap()).unwrap();
    assert_eq!((named("team/a:1"), named(&format!("{own}/team/a:1"))), (Some(plain), Some(pushed)));
    let body = |target: &str| String::from_utf8(served.ask("GET", target).body).unwrap();
    assert_eq!(body("/v2/_catalog"), r#"{"repositories":["docker.io/library/python","team/a"]}"#);
    assert_eq!(body("/v2/team/a/tags/list"), r#"{"name":"team/a","tags":["1","2"]}"#);
    assert_eq!(body("/v2/_catalog?n=1&last=docker.io/library/python"), r#"{"repositories":["team/a"]}"#);
    let first = served.ask("GET", "/v2/_catalog?n=1");
    assert_eq!(first.header("link"), Some("</v2/_catalog?n=1&last=docker.io/library/python>; rel=\"next\""));
    assert_eq!(served.ask("DELETE", "/v2/team/a/manifests/1").status, 202);
    assert_eq!((digest(&served, "team/a:1"), named("team/a:1")), (None, None));
}

#[test]
fn what_hangs_on_an_image_of_the_store_is_served_with_it() {
    let served = Served::new(|_| {});
    let subject = put(&served, "a:1", b"layer");
    let store = served.store();
    let batch = store.batch();
    let bill = batch.put(&manifest(b"{}", b"a bill of materials")).unwrap();
    batch.put(b"a bill of materials").unwrap();
    let mut described = Descriptor::new(MediaType::MANIFEST, bill, store.size(&bill).unwrap().unwrap_or(0));
    described.artifact_type = Some("application/spdx+json".into());
    batch.referrer(&subject, &described).unwrap();
    batch.finish().unwrap();
    let listed = served.ask("GET", &format!("/v2/a/referrers/{subject}"));
    assert!(String::from_utf8_lossy(&listed.body).contains(&bill.to_string()));
    let blob = Digest::of("a bill of materials");
    for target in [format!("manifests/{bill}"), format!("blobs/{blob}")] {
        assert_eq!(served.ask("GET", &format!("/v2/a/{target}")).status, 200, "{target}");
        assert_eq!(served.ask("GET", &format!("/v2/b/{target}")).status, 404, "{target}");
    }
    // What is a part of something else goes with it, and what is about it goes alone.
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{bill}")).status, 202);
    let listed = served.ask("GET", &format!("/v2/a/referrers/{subject}"));
    assert!(!String::from_utf8_lossy(&listed.body).contains(&bill.to_string()));
}

#[test]
fn a_manifest_of_an_index_is_not_deleted_under_it() {
    let served = Served::new(|_| {});
    let child = served.push("a:child", b"layer");
    let size = served.store().size(&child).unwrap().unwrap();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::INDEX,
        "manifests": [{"mediaType": MediaType::MANIFEST, "digest": child, "size": size}],
    });
    let put =
        served.send("PUT", "/v2/a/manifests/all", &[("content-type", MediaType::INDEX)], index.to_string().as_bytes());
    assert_eq!(put.status, 201);
    let got = served.ask("DELETE", &format!("/v2/a/manifests/{child}"));
    assert_eq!((got.status, got.code().as_str()), (403, "DENIED"));
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{}", Digest::of(index.to_string()))).status, 202);
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{child}")).status, 202);
}

#[test]
fn a_damaged_blob_is_never_served_whole() {
    let served = Served::new(|_| {});
    let layer = vec![b'x'; 1 << 20];
    served.push("a:1", &layer);
    let store = served.store();
    let path = store.blob_path(&Digest::of(&layer));
    let mut damaged = layer.clone();
    damaged[1000] = b'y';
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &damaged).unwrap();
    let target = format!("/v2/a/blobs/{}", Digest::of(&layer));
    let got = served.ask("GET", &target);
    assert!(got.body.len() < layer.len(), "the last bytes come when they are right");
    assert_eq!(served.ask("GET", &target).status, 404, "set aside, it has to be pushed again");
    served.push("a:1", &layer);
    assert_eq!(served.ask("GET", &target).body, layer);
}

#[test]
fn uploads_that_break_off_are_gone_on_with_or_go() {
    let served = Served::new(|_| {});
    let bytes: Vec<u8> = (0..3_u32 << 20).map(|byte| (byte % 253) as u8).collect();
    let location = served.begin("a");
    let mut stream = TcpStream::connect(&served.place).unwrap();
    stream
        .write_all(
            format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", bytes.len()).as_bytes(),
        )
        .unwrap();
    stream.write_all(&bytes[..2 << 20]).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    let so_far = loop {
        let range = served.ask("GET", &location).header("range").unwrap().to_owned();
        let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
        // Whoever goes on while the rest is written is sent back, and asks again.
        let piece = format!("{}-{}", last + 1, bytes.len() - 1);
        if last > 0 && served.send("PATCH", &location, &[("content-range", &piece)], &bytes[last + 1..]).status == 202 {
            break last + 1;
        }
    };
    assert!(so_far <= 2 << 20);
    let got = served.send("PUT", &format!("{location}?digest={}", Digest::of(&bytes)), &[], b"");
    assert_eq!(got.status, 201);
    served.begin("a");
    let folder = Arc::clone(&served.folder);
    assert_eq!(crate::scratch_files(folder.path()).len(), 1);
    served.stop();
    assert_eq!(crate::scratch_files(folder.path()), Vec::<String>::new());
}

#[test]
fn requests_that_are_under_way_end_well_when_the_server_is_stopped() {
    let served = Served::new(|_| {});
    let location = served.begin("a");
    let mut stream = TcpStream::connect(&served.place).unwrap();
    let target = format!("{location}?digest={}", Digest::of("0123456789"));
    stream
        .write_all(format!("PUT {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234").as_bytes())
        .unwrap();
    // The server has begun with it, once another one may not write.
    let other = || served.send("PATCH", &location, &[("content-range", "9-9")], b"9");
    while !String::from_utf8_lossy(&other().body).contains("another connection") {}
    served.ask_to_stop();
    while TcpStream::connect(&served.place).is_ok() {}
    stream.write_all(b"56789").unwrap();
    let got = corten_testkit::client::read(&mut stream);
    assert_eq!((got.status, got.header("connection")), (201, Some("close")));
    assert!(served.store().size(&Digest::of("0123456789")).unwrap().is_some());
}

#[test]
fn a_manifest_without_a_tag_is_verified_too() {
    let served = Served::new(|_| {});
    let digest = served.push("a:1", b"layer");
    assert_eq!(served.ask("DELETE", "/v2/a/manifests/1").status, 202);
    let store = served.store();
    let problems = || store.verify(&corten_diagnostic::Nobody).unwrap();
    assert_eq!(problems(), []);
    std::fs::remove_file(store.blob_path(&Digest::of("layer"))).unwrap();
    let found = problems();
    assert!(found.len() == 1 && found[0].path.ends_with(format!("images/a/_manifests/{}", digest.hex())), "{found:?}");
}

/// A registry on the store of another one that ended, a day and an hour later if that is said.
fn again(served: Served, later: std::time::Duration) -> Served {
    let folder = Arc::clone(&served.folder);
    served.stop();
    Served::of_then(folder, std::time::SystemTime::now() + later, |_| {})
}

#[test]
fn what_was_pushed_is_there_when_the_registry_comes_again() {
    let served = Served::new(|_| {});
    let (layer, config) = (served.push_blob("a/b", b"layer"), served.push_blob("a/b", b"{}"));
    assert_eq!(served.ask("GET", "/v2/_catalog").body, br#"{"repositories":[]}"#, "no image is there yet");
    let served = again(served, std::time::Duration::ZERO);
    let status =
        |served: &Served, name: &str, blob: &Digest| served.ask("HEAD", &format!("/v2/{name}/blobs/{blob}")).status;
    assert_eq!((status(&served, "a/b", &layer), status(&served, "a", &layer)), (200, 404));
    // It is not pruned while the registry waits for the manifest.
    let store = served.store();
    let options = corten_store::PruneOptions {
        keep: None,
        unused_for: std::time::Duration::ZERO,
        all: true,
        now: std::time::SystemTime::now(),
    };
    store.prune(store.prunable(&options).unwrap()).unwrap();
    assert_eq!(status(&served, "a/b", &config), 200);
    assert_eq!(served.put_manifest("a/b", "1", &manifest(b"{}", b"layer")).status, 201);
    let left = |served: &Served| served.store().unnamed().unwrap().len();
    assert_eq!(left(&served), 0, "the manifest keeps them now");
    let given_up = served.push_blob("a/b", b"given up");
    let served = again(served, std::time::Duration::from_secs(25 * 3600));
    assert_eq!((status(&served, "a/b", &given_up), status(&served, "a/b", &layer)), (404, 200));
    assert_eq!(left(&served), 0);
    // When nobody serves, nothing is kept, nor remembered.
    served.push_blob("c", b"once more");
    let folder = Arc::clone(&served.folder);
    served.stop();
    let store = corten_store::Store::open(folder.path()).unwrap();
    assert_eq!(store.unnamed().unwrap().len(), 1);
    store.prune(store.prunable(&options).unwrap()).unwrap();
    assert!(!folder.path().join("images/c").exists());
}

#[test]
fn a_blob_is_deleted_when_no_manifest_names_it() {
    let served = Served::new(|_| {});
    served.push("a:1", b"layer");
    let (named, other) = (Digest::of("layer"), served.push_blob("a", b"other"));
    let delete = |name: &str, blob: &Digest| {
        let got = served.ask("DELETE", &format!("/v2/{name}/blobs/{blob}"));
        (got.status, got.code())
    };
    assert_eq!(delete("a", &named), (405, "UNSUPPORTED".into()));
    assert_eq!(delete("b", &named), (404, "BLOB_UNKNOWN".into()));
    assert_eq!(delete("a", &other), (202, String::new()));
    assert_eq!(delete("a", &other), (404, "BLOB_UNKNOWN".into()));
    // One that was pushed once more stays with its manifest.
    served.push_blob("a", b"layer");
    assert_eq!(delete("a", &named), (405, "UNSUPPORTED".into()));
    assert_eq!(served.ask("GET", &format!("/v2/a/blobs/{named}")).status, 200);
}

/// Ways to a blob are remembered; each must hold at the moment of the request.
#[test]
fn what_another_process_takes_away_is_gone_at_the_next_request() {
    let served = Served::new(|_| {});
    let (first, second) = (put(&served, "a:1", b"layer"), put(&served, "a:2", b"other"));
    let blob = format!("/v2/a/blobs/{}", Digest::of("layer"));
    let tag = |name: &str| name.parse::<Reference>().unwrap();
    assert_eq!(served.ask("HEAD", "/v2/a/manifests/1").status, 200);
    assert_eq!(served.ask("HEAD", &blob).status, 200);
    let store = served.store();
    let batch = store.batch();
    batch.image(&tag("a:3"), &first).unwrap();
    batch.finish().unwrap();
    store.forget(&tag("a:1")).unwrap();
    assert_eq!(served.ask("HEAD", &blob).status, 200, "by its other tag");
    assert_eq!(served.ask("HEAD", &format!("/v2/a/manifests/{first}")).status, 200);
    let batch = store.batch();
    batch.image(&tag("a:3"), &second).unwrap();
    batch.finish().unwrap();
    assert_eq!(served.ask("HEAD", &blob).status, 404);
    assert_eq!(served.ask("HEAD", &format!("/v2/a/manifests/{first}")).status, 404);
    assert_eq!(served.ask("HEAD", &format!("/v2/a/manifests/{second}")).status, 200);
}

/// Two repositories have the same artifact about the same image; one deletes it.
#[test]
fn an_artifact_that_one_repository_deletes_is_still_listed_in_another() {
    let served = Served::new(|_| {});
    let subject = served.push("a:1", b"layer");
    assert_eq!(served.push("b:1", b"layer"), subject);
    let artifact = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::MANIFEST, "artifactType": "application/x", "layers": [],
        "config": {"mediaType": MediaType::EMPTY, "digest": Digest::of("{}"), "size": 2},
        "subject": {"mediaType": MediaType::MANIFEST, "digest": subject, "size": 1},
    });
    let artifact = artifact.to_string().into_bytes();
    let digest = Digest::of(&artifact);
    for repository in ["a", "b"] {
        served.push_blob(repository, b"{}");
        assert_eq!(served.put_manifest(repository, &digest.to_string(), &artifact).status, 201);
    }
    let listed = |repository: &str| {
        let got = served.ask("GET", &format!("/v2/{repository}/referrers/{subject}?artifactType=application/x"));
        String::from_utf8_lossy(&got.body).matches(&digest.to_string()).count()
    };
    assert_eq!((listed("a"), listed("b")), (1, 1));
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{digest}")).status, 202);
    assert_eq!((listed("a"), listed("b")), (0, 1));
    assert_eq!(served.ask("DELETE", &format!("/v2/b/manifests/{digest}")).status, 202);
    assert_eq!((listed("a"), listed("b")), (0, 0));
}
