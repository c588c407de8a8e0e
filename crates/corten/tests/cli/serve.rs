//! `corten registry serve`: what it says, how it ends, and pull and push of the program itself against it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};

use corten_oci::Digest;
use corten_testkit::client;
use corten_testkit::command::{Corten, Ran};
use corten_testkit::registry::FakeRegistry;
use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::dockerfile::Place;
use crate::ground::{SmallDisk, corten_at, not_run};
use crate::oci::Image;
use crate::registry_bases;
use crate::service::{Service, corten};
use crate::told::told;

/// A server of a store.
pub struct Server {
    process: Child,
    /// `127.0.0.1:port`.
    pub place: String,
}

impl Server {
    pub fn start(corten: &Corten, flags: &[&str]) -> Self {
        let mut command = corten.command(corten.home());
        command.args(["registry", "serve", "--listen", "127.0.0.1:0"]).args(flags);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            process.stderr.take().unwrap().read_to_string(&mut line).unwrap();
            panic!("it does not serve: {line}");
        }
        let place = line.trim().rsplit("//").next().unwrap().to_owned();
        Self { process, place }
    }

    /// As `kill -9` would.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn ends(&mut self, signal: Signal) -> (i32, String) {
        rustix::process::kill_process(Pid::from_child(&self.process), signal).unwrap();
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code().unwrap(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn what_is_built_is_pulled_at_once_and_a_push_is_an_image_of_the_store() {
    let service = Service::filled();
    let digest = service.digest("ship");
    let mut server = Server::start(&service.corten, &["--log-requests"]);
    let other = corten();
    let run = |line: &str| other.run(other.home(), line.split(' '));
    let name = format!("{}/service:1.3.0", server.place);
    let pulled = run(&format!("pull {name} --format json")).expect(0).json();
    assert_eq!(pulled["digest"], digest.to_string());
    run("store verify").expect(0);
    assert_eq!(run(&format!("sbom {name}")).expect(0).stdout, service.run(&format!("sbom {digest}")).stdout);
    let pushed = run(&format!("push {name} {}/team/copy:2 --format json", server.place)).expect(0).json();
    assert_eq!(pushed["pushed"][0]["sent"]["blobs"], 0, "all of it is mounted: {pushed}");
    let images = service.run("images --format json").expect(0).json();
    let copy = images.as_array().unwrap().iter().find(|image| image["reference"] == "team/copy:2").unwrap().clone();
    assert_eq!(copy["digest"], digest.to_string());
    assert_eq!(client::ask(&server.place, "GET", "/v2/%1b[31m/x", &[], b"").status, 404);
    let (status, said) = server.ends(Signal::TERM);
    assert_eq!(status, 0, "{said}");
    let line = format!("- GET /v2/service/manifests/{digest} 200 ");
    assert!(
        said.contains(" - HEAD /v2/service/")
            || said.contains(&line)
            || said.contains("- GET /v2/service/manifests/1.3.0 200 "),
        "{said}"
    );
    assert!(said.lines().any(|line| line.contains("everybody who reaches it can pull, push and delete")), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}

#[test]
fn an_image_of_a_dockerfile_is_looked_at_saved_pushed_and_served_as_any_other() {
    let place = Place::with("FROM scratch\nCOPY x /x\nCMD [\"/x\"]\n");
    place.write("x", "one");
    let id = place.run("build -t demo:1 --format json").expect(0).json()["id"].as_str().unwrap().to_owned();

    let looked = place.run("inspect demo:1 --format json").expect(0).json();
    assert_eq!(looked["digest"], id.as_str());
    assert_eq!(looked["image"]["layers"][0]["unpacked"], 3);
    assert_eq!(Digest::of(place.run("inspect demo:1 --raw").expect(0).stdout.as_bytes()).to_string(), id);
    assert!(place.run("history demo:1").expect(0).stdout.contains("COPY x /x"));
    assert!(place.run("diff demo:1 demo:1").expect(0).stdout.contains("nothing is different"));
    let listed = place.run("images --format json").expect(0).json();
    assert_eq!((&listed[0]["digest"], &listed[0]["size"]), (&json!(id), &json!(3)));

    let server = Server::start(&place.corten, &[]);
    let other = corten();
    let take = |name: &str| {
        other.run(other.home(), ["pull", name]).expect(0);
        let found = other.run(other.home(), ["inspect", name, "--format", "json"]).expect(0).json();
        assert_eq!(found["image"]["config_digest"], id.as_str(), "{found}");
        found["digest"].clone()
    };
    let first = take(&format!("{}/demo:1", server.place));
    // Another server knows it by its digest, too, though no name of the store says it.
    server.kill();
    place.run("build -t unasked:1 --label a=b").expect(0);
    let (_, said) = Server::start(&place.corten, &[]).ends(Signal::TERM);
    assert!(!said.contains("warning"), "{said}");
    let server = Server::start(&place.corten, &[]);
    take(&format!("{}/demo@{}", server.place, first.as_str().unwrap()));
    place.run(&format!("push demo:1 {}/far/copy:2", server.place)).expect(0);
    assert_eq!(take(&format!("{}/far/copy:2", server.place)), first);
    place.run("save demo:1 -o saved.tar").expect(0);
    let third = corten();
    third.run(place.path(), ["load", "-i", "saved.tar"]).expect(0);
    assert_eq!(third.run(third.home(), ["inspect", "demo:1", "--format", "json"]).expect(0).json()["digest"], first);
}

#[test]
fn an_interrupt_ends_it_well() {
    let corten = corten();
    let mut server = Server::start(&corten, &["--format", "json", "--read-only"]);
    assert!(server.place.starts_with('{'), "{}", server.place);
    let (status, said) = server.ends(Signal::INT);
    assert_eq!((status, said.contains("everybody who reaches it can pull;")), (0, true), "{said}");
}

#[test]
fn what_cannot_be_served_is_told() {
    let service = Service::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refuses = |flags: &str, status: i32, expected: &str| {
        let flags = flags.replace("TAKEN", &taken.local_addr().unwrap().to_string());
        let ran = service.run(&format!("registry serve {flags}"));
        let stderr = ran.stderr.replace(&taken.local_addr().unwrap().to_string(), "TAKEN");
        told(&service, &Ran { stderr, ..ran }, status, expected);
    };
    let write = |name: &str, text: &str| service.write(name, text);
    write("users", "me:secret\n");
    write("good", "me:$2y$05$53xYf9qR9mXrMuQBRNaxOOqQnv4MAmhH5dJK7x848q7qEc1wCU7Km\n");
    write("empty", "");
    refuses(
        "--listen TAKEN",
        3,
        "error: listening on TAKEN: address already in use
hint: another program has the port: --listen 127.0.0.1:0 takes a free one",
    );
    refuses(
        "--listen 0.0.0.0:0",
        2,
        "error: listening on 0.0.0.0:0: others could reach this registry without TLS and without users
hint: give --htpasswd, --tls-cert and --tls-key, or listen on 127.0.0.1
hint: --insecure-listen does it all the same, for a network where everybody is trusted",
    );
    refuses(
        "--listen 0.0.0.0:0 --htpasswd good",
        2,
        "error: listening on 0.0.0.0:0: others could reach this registry without TLS, so that passwords could be read on the way
hint: give --htpasswd, --tls-cert and --tls-key, or listen on 127.0.0.1
hint: --insecure-listen does it all the same, for a network where everybody is trusted",
    );
    refuses(
        "--htpasswd users",
        2,
        "error: reading the users in users: line 1: the password of 'me' is not hashed with bcrypt
hint: `htpasswd -cB FILE NAME` makes such a file",
    );
    refuses(
        "--htpasswd good --reader them",
        2,
        "error: reading the users in good: it has no user 'them'
hint: `htpasswd -cB FILE NAME` makes such a file",
    );
    refuses(
        "--htpasswd absent",
        2,
        "error: reading the users in absent: no such file or directory
hint: `htpasswd -cB FILE NAME` makes such a file",
    );
    refuses(
        "--tls-cert empty --tls-key empty",
        2,
        "error: reading the certificate in empty: there is none
hint: both are PEM files: BEGIN CERTIFICATE, the server's own first; BEGIN PRIVATE KEY",
    );
    assert!(Path::new(&service.corten.store()).join("blobs").exists());
}

#[test]
fn k5_a_full_disk_is_told_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::new("size=6m") else { return not_run("mounting is not allowed") };
    let corten = corten_at(disk.path());
    let server = Server::start(&corten, &[]);
    let ask = |method: &str, target: &str, body: &[u8]| {
        client::ask(
            &server.place,
            method,
            target,
            &[("content-type", "application/vnd.oci.image.manifest.v1+json")],
            body,
        )
    };
    let push = |bytes: &[u8]| {
        let location = ask("POST", "/v2/a/blobs/uploads/", b"").header("location").unwrap().to_owned();
        (ask("PUT", &format!("{location}?digest={}", Digest::of(bytes)), bytes), location)
    };
    let layer = vec![b'x'; 1 << 20];
    assert_eq!((push(&layer).0.status, push(b"{}").0.status), (201, 201));
    let described =
        |bytes: &[u8]| json!({"mediaType": "application/x", "digest": Digest::of(bytes), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "config": described(b"{}"), "layers": [described(&layer)]}).to_string();
    assert_eq!(ask("PUT", "/v2/a/manifests/1", manifest.as_bytes()).status, 201);

    let (full, location) = push(&vec![b'y'; 8 << 20]);
    assert_eq!((full.status, full.code().as_str()), (507, "UNKNOWN"));
    assert!(String::from_utf8_lossy(&full.body).contains("the disk of this registry is full"));
    assert_eq!(ask("GET", &location, b"").status, 404, "what is torn cannot be gone on with");
    assert_eq!(ask("GET", "/v2/a/manifests/1", b"").body, manifest.as_bytes());
    assert_eq!(ask("GET", &format!("/v2/a/blobs/{}", Digest::of(&layer)), b"").body, layer);
    assert_eq!(push(&vec![b'z'; 1 << 20]).0.status, 201, "what was torn is gone");
    corten.run(corten.home(), ["store", "verify"]).expect(0);
}

/// As with `FROM` of a registry, whose layers nobody has needed here.
#[test]
fn layers_that_lie_at_another_registry_are_told_and_brought() {
    let registry = FakeRegistry::start(registry_bases::habits());
    let made = Image::python().make();
    registry_bases::put(&registry, "ml/python", "1", &made);
    let service = registry_bases::based(&registry, &format!("{}/ml/python:1", registry.place()));
    service.run("build --tag service:1").expect(0);
    registry_bases::forget(&service, &made.blobs);
    let layer = format!("/v2/service/blobs/{}", Digest::of(&made.blobs[0]));
    let mut server = Server::start(&service.corten, &[]);
    assert_eq!(client::ask(&server.place, "GET", &layer, &[], b"").status, 404);
    let (_, said) = server.ends(Signal::TERM);
    assert!(
        said.contains("the store lacks layers of service:1, which cannot be pulled whole: --bring fetches"),
        "{said}"
    );
    let mut server = Server::start(&service.corten, &["--bring"]);
    assert_eq!(client::ask(&server.place, "GET", &layer, &[], b"").body, made.blobs[0]);
    assert!(!server.ends(Signal::TERM).1.contains("lacks"));

    registry_bases::forget(&service, &made.blobs);
    service.run("save service:1 -o saved.tar").expect(0);
    let other = corten();
    other.run(other.home(), ["load", "-i", service.folder().join("saved.tar").to_str().unwrap()]).expect(0);
    other.run(other.home(), ["store", "verify"]).expect(0);
    registry_bases::forget(&service, &made.blobs);
    let offline = service.run("save service:1 --offline -o again.tar");
    assert_eq!(offline.status, 3, "{}", offline.stderr);
    assert!(
        offline.stderr.contains("error: saving the image: ") && offline.stderr.contains("not asked while offline"),
        "{}",
        offline.stderr
    );
}

/// An image that cannot be looked at is told as such, and the others are served.
#[test]
fn an_image_that_is_damaged_is_not_told_as_one_that_lacks_layers() {
    let service = Service::filled();
    let digest = service.digest("build");
    service.run("build --tag other:1").expect(0);
    let manifest = service.corten.store().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    std::fs::remove_file(&manifest).unwrap();
    std::fs::write(&manifest, "{").unwrap();
    let (status, said) = Server::start(&service.corten, &[]).ends(Signal::TERM);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("service:1.3.0 cannot be served whole: "), "{said}");
    assert!(!said.contains("the store lacks layers of"), "{said}");
}
