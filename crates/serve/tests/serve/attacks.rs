//! Hostile clients: recipes K1 to K20 of the catalogue of attacks, by their ids. What can be judged without a socket is
//! beside the code (names, digests, ranges, pages, headers, users); what cannot is here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use corten_oci::{Digest, MediaType};
use corten_serve::{Access, Users};
use corten_store::PruneOptions;
use corten_testkit::client;
use serde_json::json;

use crate::{Served, basic, manifest};

/// `htpasswd -nbB me secret`, of Apache's utilities; and another user with the same password.
pub(crate) const USERS: &str = "me:$2y$05$53xYf9qR9mXrMuQBRNaxOOqQnv4MAmhH5dJK7x848q7qEc1wCU7Km\n\
                     you:$2y$05$53xYf9qR9mXrMuQBRNaxOOqQnv4MAmhH5dJK7x848q7qEc1wCU7Km\n";

fn locked() -> Served {
    Served::new(|options| options.users = Some(Users::parse(USERS, [1; 32]).unwrap()))
}

#[test]
fn k1_names_that_climb_touch_nothing() {
    let served = Served::new(|_| {});
    for name in ["..", "%2e%2e", "a/%2e%2e/%2e%2e", "a//b", "_uploads", "a%2fb", "a%00", "A", &"a".repeat(10_000)] {
        for (method, below) in [("GET", "tags/list"), ("PUT", "manifests/1"), ("POST", "blobs/uploads/")] {
            let got = served.ask(method, &format!("/v2/{name}/{below}"));
            assert!(got.status == 400 && ["NAME_INVALID", ""].contains(&got.code().as_str()), "{name} {below} {got:?}");
        }
    }
    assert!(served.store().repositories().unwrap().is_empty());
    served.assert_nothing_is_left();
}

#[test]
fn k2_a_digest_that_lies_commits_nothing() {
    let served = Served::new(|_| {});
    let right = Digest::of("bytes");
    let upper = format!("sha256:{}", right.hex().to_uppercase());
    let sha512 = format!("sha512:{}", "0".repeat(128));
    for (digest, code) in [
        (Digest::of("other").to_string(), "DIGEST_INVALID"),
        ("md5:4b3a6218bb3e3a7303e8a171a60fcf92".into(), "DIGEST_INVALID"),
        ("sha256:../../../etc/passwd".into(), "DIGEST_INVALID"),
        (upper, "DIGEST_INVALID"),
        (String::new(), "DIGEST_INVALID"),
        (sha512, "UNSUPPORTED"),
    ] {
        for target in
            [format!("{}?digest={digest}", served.begin("a")), format!("/v2/a/blobs/uploads/?digest={digest}")]
        {
            let method = if target.contains("/uploads/?") { "POST" } else { "PUT" };
            let got = served.send(method, &target, &[], b"bytes");
            assert_eq!((got.status, got.code().as_str()), (400, code), "{method} {target}");
        }
    }
    assert_eq!(served.store().size(&right).unwrap(), None);
    let got = served.ask("POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512");
    assert_eq!((got.status, got.code().as_str()), (400, "UNSUPPORTED"));
}

#[test]
fn k3_manifests_that_say_one_thing_and_are_another() {
    let served = Served::new(|_| {});
    let (config, layer) = (served.push_blob("a", b"{}"), served.push_blob("a", b"layer"));
    let good = manifest(b"{}", b"layer");
    let text = String::from_utf8(good.clone()).unwrap();
    let both = text.replacen('{', "{\"manifests\":[],", 1);
    let wrong_size = text.replace("\"size\":5", "\"size\":6");
    let elsewhere = served.push_blob("elsewhere", b"only there");
    let foreign = text.replace(&layer.to_string(), &elsewhere.to_string()).replace("\"size\":5", "\"size\":10");
    let sha512 = text.replace(&layer.to_string(), &format!("sha512:{}", "0".repeat(128)));
    let bare = text.replace(&format!("\"mediaType\":\"{}\",", MediaType::MANIFEST), "");
    let bare = bare.replace(&format!(",\"mediaType\":\"{}\"", MediaType::MANIFEST), "");
    let oci = Some(MediaType::MANIFEST);
    for (what, content_type, bytes, expected) in [
        ("an index by its header", Some(MediaType::INDEX), text.as_str(), (400, "MANIFEST_INVALID")),
        ("Docker's by its header", Some(MediaType::DOCKER_MANIFEST), &text, (400, "MANIFEST_INVALID")),
        ("Docker's, which does not say so", Some(MediaType::DOCKER_MANIFEST), &bare, (400, "MANIFEST_INVALID")),
        ("of another type", Some("application/json"), &text, (400, "MANIFEST_INVALID")),
        ("of no type", None, &text, (400, "MANIFEST_INVALID")),
        ("a manifest and an index", oci, &both, (400, "MANIFEST_INVALID")),
        ("with a wrong size", oci, &wrong_size, (400, "MANIFEST_INVALID")),
        ("with a blob by sha512", oci, &sha512, (400, "MANIFEST_INVALID")),
        ("with another repository's blob", oci, &foreign, (404, "MANIFEST_BLOB_UNKNOWN")),
        ("no JSON", oci, "no", (400, "MANIFEST_INVALID")),
        ("deep", oci, &"[".repeat(1 << 20), (400, "MANIFEST_INVALID")),
        ("too large", oci, &" ".repeat((4 << 20) + 1), (413, "SIZE_INVALID")),
    ] {
        let headers: Vec<_> = content_type.map(|it| ("content-type", it)).into_iter().collect();
        let got = served.send("PUT", "/v2/a/manifests/1", &headers, bytes.as_bytes());
        assert_eq!((got.status, got.code().as_str()), expected, "{what}: {}", String::from_utf8_lossy(&got.body));
        assert_eq!(served.ask("GET", "/v2/a/manifests/1").status, 404, "{what}");
    }
    // Without a length, it is counted as it comes.
    let head = "PUT /v2/a/manifests/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/vnd.oci.image.manifest.v1+json\r\ntransfer-encoding: chunked\r\n\r\n";
    let piece = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    assert_eq!(client::send(&served.place, format!("{head}{}0\r\n\r\n", piece.repeat(5)).as_bytes()).status, 413);
    assert_eq!(served.put_manifest("a", "1", &good).status, 201);
    assert!(served.store().size(&config).unwrap().is_some());
}

#[test]
fn b5_indexes_are_not_nested_without_end() {
    let served = Served::new(|_| {});
    let mut below = served.push("a:0", b"layer");
    let mut media_type = MediaType::MANIFEST;
    let mut taken = 0;
    let refused = loop {
        let size = served.store().size(&below).unwrap();
        let index =
            json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": below, "size": size}]});
        let index = index.to_string().into_bytes();
        let got = served.send("PUT", "/v2/a/manifests/nested", &[("content-type", MediaType::INDEX)], &index);
        if got.status != 201 {
            break got;
        }
        (below, media_type, taken) = (Digest::of(&index), MediaType::INDEX, taken + 1);
    };
    assert_eq!((taken, refused.status, refused.code().as_str()), (7, 400, "MANIFEST_INVALID"));
    assert!(String::from_utf8_lossy(&refused.body).contains("nested deeper than 8"));
}

#[test]
fn k4_sessions_are_of_one_user_one_repository_one_writer_at_a_time() {
    let served = locked();
    let me = basic("me", "secret");
    let as_me = [("authorization", me.as_str())];
    let you = basic("you", "secret");
    let begun = served.send("POST", "/v2/a/blobs/uploads/", &as_me, b"");
    let location = begun.header("location").unwrap().to_owned();
    let id = location.rsplit('/').next().unwrap();
    assert_eq!(id.len(), 32, "128 bits that nobody guesses");
    for (target, user) in [
        (location.clone(), &you),
        (format!("/v2/b/blobs/uploads/{id}"), &me),
        (format!("/v2/a/blobs/uploads/{}", "0".repeat(32)), &me),
        ("/v2/a/blobs/uploads/../x".to_owned(), &me),
    ] {
        for method in ["PATCH", "PUT", "GET", "DELETE"] {
            let target = if method == "PUT" { format!("{target}?digest={}", Digest::of("")) } else { target.clone() };
            let got = served.send(method, &target, &[("authorization", user.as_str())], b"");
            assert!([404, 400].contains(&got.status), "{method} {target} {}", got.status);
        }
    }
    // Gap, overlap, and what is no range.
    let patch = |range: &str, bytes: &[u8]| {
        served.send("PATCH", &location, &[as_me[0], ("content-range", range)], bytes).status
    };
    assert_eq!(patch("0-4", b"01234"), 202);
    for (range, expected) in [
        ("6-9", 416),
        ("4-8", 416),
        ("0-4", 416),
        ("5-9/10", 400),
        ("5-18446744073709551615", 400),
        ("9-5", 400),
        ("x", 400),
        ("-5", 400),
    ] {
        assert_eq!(patch(range, b"5678"), expected, "{range}");
    }
    assert_eq!(patch("bytes 5-8/9", b"5678"), 202);

    // While one writes, another one is told where things stand.
    let mut slow = TcpStream::connect(&served.place).unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\nauthorization: {me}\r\ncontent-length: 100\r\n\r\n9");
    slow.write_all(head.as_bytes()).unwrap();
    loop {
        let got = served.send("PATCH", &location, &[as_me[0], ("content-range", "0-0")], b"9");
        assert_eq!((got.status, got.header("range")), (416, Some("0-8")));
        if String::from_utf8_lossy(&got.body).contains("another connection is writing") {
            break;
        }
    }
    drop(slow);
    // What it wrote before it broke off is there, and somebody goes on.
    let finish = |range: &str, bytes: &[u8]| {
        let target = format!("{location}?digest={}", Digest::of("0123456789"));
        served.send("PUT", &target, &[as_me[0], ("content-range", range)], bytes)
    };
    loop {
        let got = served.send("GET", &location, &as_me, b"");
        if got.header("range") == Some("0-9") {
            break;
        }
    }
    let target = format!("{location}?digest={}", Digest::of("0123456789"));
    let mut got = served.send("PUT", &target, &as_me, b"");
    while got.status == 416 {
        got = served.send("PUT", &target, &as_me, b"");
    }
    assert_eq!(got.status, 201, "{got:?}");
    assert_eq!(finish("0-0", b"0").status, 404, "it is closed");
    served.assert_nothing_is_left();
}

#[test]
fn k4_sessions_are_not_without_end() {
    let served = Served::new(|options| options.limits.uploads = 3);
    let begun: Vec<String> = (0..3).map(|_| served.begin("a")).collect();
    let got = served.ask("POST", "/v2/a/blobs/uploads/");
    assert_eq!((got.status, got.code().as_str(), got.header("retry-after")), (429, "TOOMANYREQUESTS", Some("60")));
    assert_eq!(served.ask("DELETE", &begun[0]).status, 204);
    served.begin("a");
}

#[test]
fn k4_sessions_that_nobody_goes_on_with_are_thrown_away() {
    let served = Served::new(|options| options.limits.abandoned = Duration::ZERO);
    let location = served.begin("a");
    assert_eq!(served.send("PATCH", &location, &[], b"01234").status, 202);
    (served.tidy)();
    assert_eq!(served.ask("GET", &location).status, 404);
    served.assert_nothing_is_left();
    let served = Served::new(|_| {});
    let location = served.begin("a");
    (served.tidy)();
    assert_eq!(served.ask("GET", &location).status, 204, "an hour is not over");
}

#[test]
fn k5_a_blob_above_the_limit_leaves_nothing() {
    let served = Served::new(|options| {
        options.limits.largest_blob = 1000;
        options.limits.patience = Duration::from_millis(200);
    });
    let large = vec![b'x'; 1001];
    let location = served.begin("a");
    let got = served.send("PATCH", &location, &[], &large);
    assert_eq!((got.status, got.code().as_str()), (413, "SIZE_INVALID"));
    let got = served.send("POST", &format!("/v2/a/blobs/uploads/?digest={}", Digest::of(&large)), &[], &large);
    assert_eq!(got.status, 413);
    let endless = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{}\r\n",
        "x".repeat(2000)
    );
    assert_eq!(client::send(&served.place, endless.as_bytes()).status, 413);
    assert_eq!(served.ask("DELETE", &location).status, 204);
    served.assert_nothing_is_left();
    served.push_blob("a", &large[1..]);
}

#[test]
fn k8_many_ranges_are_the_whole() {
    let served = Served::new(|_| {});
    let digest = served.push_blob("a", b"0123456789");
    let many = format!("bytes={}", vec!["0-0"; 1000].join(","));
    let got = served.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", &many)], b"");
    assert_eq!((got.status, got.body.as_slice()), (200, b"0123456789".as_slice()));
    let got = served.send("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=99-")], b"");
    assert_eq!((got.status, got.header("content-range")), (416, Some("bytes */10")));
}

#[test]
fn k9_nobody_comes_in_without_the_right_password() {
    let served = locked();
    let (right, wrong, unknown) = (basic("me", "secret"), basic("me", "wrong"), basic("them", "secret"));
    let nul = basic("me\0", "secret");
    for (header, expected) in [
        (None, 401),
        (Some(right.as_str()), 200),
        (Some(wrong.as_str()), 401),
        (Some(unknown.as_str()), 401),
        (Some(nul.as_str()), 401),
        (Some("Basic"), 401),
        (Some("Bearer eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOltdfQ."), 401),
        (Some(right.as_str()), 200),
    ] {
        let headers: Vec<_> = header.map(|it| ("authorization", it)).into_iter().collect();
        for target in ["/v2/", "/v2/_catalog", "/v2/../x", "/elsewhere"] {
            let got = served.send("GET", target, &headers, b"");
            let expected = if expected == 200 && !target.ends_with('/') && target != "/v2/_catalog" {
                [400, 404]
            } else {
                [expected; 2]
            };
            assert!(expected.contains(&got.status), "{header:?} {target} {}", got.status);
            if got.status == 401 {
                assert_eq!(got.header("www-authenticate"), Some("Basic realm=\"corten\", charset=\"UTF-8\""));
                assert_eq!(got.code(), "UNAUTHORIZED");
            }
        }
    }
    let users: Vec<Option<String>> =
        served.log.lock().unwrap().iter().filter(|it| it.status == 200).map(|it| it.user.clone()).collect();
    assert!(users.len() == 4 && users.iter().all(|user| user.as_deref() == Some("me")));
}

#[test]
fn k9_a_reader_pulls_alone() {
    let users = || Users::parse(USERS, [1; 32]).unwrap();
    assert_eq!(users().with_readers(&["them".into()]).err().as_deref(), Some("it has no user 'them'"));
    let served = Served::new(|options| options.users = Some(users().with_readers(&["you".into()]).unwrap()));
    let (me, you) = (basic("me", "secret"), basic("you", "secret"));
    let ask = |user: &str, method: &str, target: &str| {
        let got = served.send(method, target, &[("authorization", user)], b"");
        (got.status, got.code())
    };
    let begun = served.send("POST", "/v2/a/blobs/uploads/", &[("authorization", &me)], b"");
    let upload = begun.header("location").unwrap().to_owned();
    let digest = Digest::of("bytes");
    for (method, target) in [
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("PATCH", upload.clone()),
        ("PUT", format!("{upload}?digest={digest}")),
        ("DELETE", upload.clone()),
        ("PUT", "/v2/a/manifests/1".to_owned()),
        ("DELETE", "/v2/a/manifests/1".to_owned()),
        ("DELETE", format!("/v2/a/blobs/{digest}")),
    ] {
        assert_eq!(ask(&you, method, &target), (403, "DENIED".into()), "{method} {target}");
    }
    assert_eq!((ask(&you, "GET", "/v2/").0, ask(&you, "GET", "/v2/_catalog").0), (200, 200));
    assert_eq!(ask(&me, "GET", &upload).0, 204, "nothing has become of it");
}

#[test]
fn k10_a_mount_or_a_digest_opens_nothing_of_the_store() {
    let served = Served::new(|_| {});
    // What the store has for itself: a wheel, a package.
    let store = served.store();
    let batch = store.batch();
    let private = batch.put(b"a wheel of a private index").unwrap();
    batch.finish().unwrap();
    served.push("a:1", b"layer");
    let ask = |method: &str, target: &str| served.ask(method, &target.replace("DIGEST", &private.to_string())).status;
    assert_eq!(ask("HEAD", "/v2/a/blobs/DIGEST"), 404);
    assert_eq!(ask("GET", "/v2/a/manifests/DIGEST"), 404);
    assert_eq!(ask("POST", "/v2/b/blobs/uploads/?mount=DIGEST&from=a"), 202);
    assert_eq!(ask("POST", "/v2/b/blobs/uploads/?mount=DIGEST"), 202);
    assert_eq!(ask("POST", "/v2/b/blobs/uploads/?mount=DIGEST&from=../.."), 400);
    let stolen = manifest(b"{}", b"a wheel of a private index");
    served.push_blob("b", b"{}");
    assert_eq!(served.put_manifest("b", "1", &stolen).code(), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(ask("HEAD", "/v2/b/blobs/DIGEST"), 404);
}

#[test]
fn k11_a_registry_that_is_read_only_changes_nothing() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let digest = Served::of(Arc::clone(&folder), |_| {}).push("a:1", b"layer");
    let served = Served::of(folder, |options| options.access = Access::ReadOnly);
    let layer = Digest::of(b"layer");
    for (method, target) in [
        ("PUT", "/v2/a/manifests/1".to_owned()),
        ("PUT", format!("/v2/a/manifests/{digest}")),
        ("DELETE", "/v2/a/manifests/1".to_owned()),
        ("DELETE", format!("/v2/a/manifests/{digest}")),
        ("DELETE", format!("/v2/a/blobs/{layer}")),
        ("POST", "/v2/a/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/b/blobs/uploads/?mount={layer}&from=a")),
        ("PATCH", "/v2/a/blobs/uploads/1".to_owned()),
        ("TRACE", "/v2/".to_owned()),
    ] {
        let got = served.send(method, &target, &[], b"");
        assert_eq!((got.status, got.code().as_str()), (405, "UNSUPPORTED"), "{method} {target}");
    }
    for target in ["manifests/1".to_owned(), format!("manifests/{digest}"), format!("blobs/{layer}")] {
        assert_eq!(served.ask("GET", &format!("/v2/a/{target}")).status, 200, "{target}");
    }
}

#[test]
fn k12_what_is_deleted_is_gone_at_once() {
    let served = Served::new(|_| {});
    let digest = served.push("a:1", b"layer of a");
    served.push("a:2", b"layer of b");
    let store = served.store();
    assert_eq!(served.ask("HEAD", &format!("/v2/a/manifests/{digest}")).status, 200);
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{digest}")).status, 202);
    for target in ["manifests/1".to_owned(), format!("manifests/{digest}"), format!("referrers/{digest}")] {
        let got = served.ask("GET", &format!("/v2/a/{target}"));
        assert!(got.status == 404 || !String::from_utf8_lossy(&got.body).contains("sha256"), "{target}");
    }
    assert_eq!(store.tags(&"a".parse().unwrap()).unwrap().len(), 1);
    // A name that another process takes away, too.
    assert!(store.forget(&"a:2".parse().unwrap()).unwrap());
    assert_eq!(served.ask("GET", "/v2/a/manifests/2").status, 404);
}

#[test]
fn k16_a_pull_under_way_ends_well_when_its_blob_is_deleted() {
    let served = Served::new(|_| {});
    let layer: Vec<u8> = (0..8_u32 << 20).map(|byte| (byte % 251) as u8).collect();
    let digest = served.push("a:1", &layer);
    let blob = Digest::of(&layer);
    let mut stream = TcpStream::connect(&served.place).unwrap();
    stream
        .write_all(format!("GET /v2/a/blobs/{blob} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(served.ask("DELETE", &format!("/v2/a/manifests/{digest}")).status, 202);
    std::fs::remove_file(served.store().blob_path(&blob)).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&layer));
}

/// Frees what no image needs, as `corten prune` would: how many files.
fn prune(served: &Served) -> usize {
    let store = served.store();
    let options = PruneOptions { keep: None, unused_for: Duration::ZERO, all: false, now: SystemTime::now() };
    let chosen = store.prunable(&options).unwrap();
    store.prune(chosen).unwrap().items.len()
}

#[test]
fn k16_what_is_being_pushed_survives_a_sweep_and_what_was_deleted_does_not() {
    let served = Served::new(|_| {});
    let (config, layer) = (served.push_blob("a", b"{}"), served.push_blob("a", b"layer"));
    let location = served.begin("a");
    assert_eq!(served.send("PATCH", &location, &[], b"01234").status, 202);
    (served.tidy)();
    prune(&served);
    let size = |digest: &Digest| served.store().size(digest).unwrap();
    assert_eq!((size(&config), size(&layer)), (Some(2), Some(5)), "no manifest names them yet");
    let digest = Digest::of("0123456789");
    assert_eq!(served.send("PUT", &format!("{location}?digest={digest}"), &[], b"56789").status, 201);
    let manifest = manifest(b"{}", b"layer");
    assert_eq!(served.put_manifest("a", "1", &manifest).status, 201);
    (served.tidy)();
    prune(&served);
    assert_eq!((size(&layer), size(&digest)), (Some(5), Some(10)));
    // A tag that goes elsewhere leaves its manifest; a manifest that is deleted takes its blobs along.
    assert_eq!(served.ask("DELETE", "/v2/a/manifests/1").status, 202);
    (served.tidy)();
    prune(&served);
    let target = format!("/v2/a/manifests/{}", Digest::of(&manifest));
    assert_eq!((served.ask("GET", &target).status, size(&layer)), (200, Some(5)));
    assert_eq!(served.ask("DELETE", &target).status, 202);
    (served.tidy)();
    assert_eq!(prune(&served), 3, "manifest, config, layer");
    assert_eq!((size(&layer), size(&digest)), (None, Some(10)));
}

#[test]
fn k17_referrers_are_of_the_repository_and_few() {
    let served = Served::new(|_| {});
    let subject = served.push("a:1", b"layer");
    served.push_blob("b", b"{}");
    let artifact = |kind: &str, about: &Digest| {
        let text = json!({
            "schemaVersion": 2, "mediaType": MediaType::MANIFEST, "artifactType": kind, "layers": [],
            "config": {"mediaType": MediaType::EMPTY, "digest": Digest::of("{}"), "size": 2},
            "subject": {"mediaType": MediaType::MANIFEST, "digest": about, "size": 1},
            "annotations": {"long": "x".repeat(20_000)},
        });
        text.to_string().into_bytes()
    };
    let listed = |repository: &str, subject: &Digest| {
        let got = served.ask("GET", &format!("/v2/{repository}/referrers/{subject}"));
        let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
        assert!(got.body.len() < 4096 && got.status == 200, "annotations are not repeated without bound");
        body["manifests"].as_array().unwrap().len()
    };
    let missing = Digest::of("not there yet");
    let bytes = artifact("application/x", &missing);
    assert_eq!(served.put_manifest("b", &Digest::of(&bytes).to_string(), &bytes).status, 201);
    assert_eq!((listed("b", &missing), listed("a", &missing)), (1, 0), "another repository's are not listed");
    // A thousand about one subject, as if they had come before.
    let store = served.store();
    let folder = store.root().join("referrers").join(subject.hex());
    served.push_blob("a", b"{}");
    let known = artifact("application/x", &subject);
    assert_eq!(served.put_manifest("a", "known", &known).status, 201);
    for number in 0..999 {
        std::fs::write(folder.join(Digest::of(number.to_string()).hex()), "torn").unwrap();
    }
    let bytes = artifact("application/y", &subject);
    let got = served.put_manifest("a", "more", &bytes);
    assert_eq!((got.status, got.code().as_str()), (403, "DENIED"));
    assert_eq!(listed("a", &subject), 1, "torn entries count as absent");
    assert_eq!(served.put_manifest("a", "known", &known).status, 201, "what is there already is pushed again");
}
