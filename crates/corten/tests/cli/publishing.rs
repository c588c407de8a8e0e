//! Publishing while building: what goes up when, what does not, and what is not even made.

use std::fs;

use corten_oci::{Digest, Manifest};
use corten_testkit::gate::Gate;
use corten_testkit::http::Answer;
use corten_testkit::registry::{FakeRegistry, Fault, Kind};
use serde_json::Value;

use crate::ground::corten_at;
use crate::oci::Image;
use crate::registry_bases::{based, habits, put, received};
use crate::service::{Service, wheels};
use crate::told::told;

/// A service that is published to `team/service`.
fn published_at(service: Service, registry: &FakeRegistry) -> Service {
    let settings = format!("{}\n[publish]\nrepository = \"{}/team/service\"\n", service.settings(""), registry.place());
    service.write("corten.toml", settings);
    service
}

fn tensor() -> String {
    format!("/files/{}", wheels()[1].file)
}

/// Removes the layers of the published image from the store, and the wheels.
fn prune(service: &Service, registry: &FakeRegistry, digest: &str) -> Vec<Digest> {
    let (_, manifest) = registry.manifest("team/service", &digest.parse().unwrap()).unwrap();
    let layers: Vec<Digest> = Manifest::parse(&manifest).unwrap().layers.iter().map(|layer| layer.digest).collect();
    for blob in layers.iter().copied().chain(wheels().iter().map(|wheel| Digest::of(&wheel.bytes))) {
        fs::remove_file(service.corten.store().join("blobs/sha256").join(blob.hex())).unwrap();
    }
    // What it still has there are links to them.
    fs::remove_dir_all(service.corten.store().join("layouts")).unwrap();
    layers
}

fn reused(shipped: &Value) -> Vec<(&str, bool)> {
    let layers = shipped["layers"].as_array().unwrap();
    layers.iter().map(|layer| (layer["what"].as_str().unwrap(), layer["reused"].as_bool().unwrap())).collect()
}

/// The index gives the last wheel only once the registry has a layer that needs it not.
#[test]
fn a_layer_goes_up_while_a_later_one_is_not_even_downloaded() {
    let registry = FakeRegistry::start(habits());
    let service = published_at(Service::new(), &registry);
    let gate = Gate::default();
    service.index.server().hold(&tensor(), &gate);
    registry.opens(Kind::Finish, &gate);
    let shipped = service.run("ship --push --format json").expect(0).json();
    assert_eq!((gate.waited(), gate.was_forced()), (1, false), "nothing went up before all was there");
    let (digest, layers) = (shipped["digest"].as_str().unwrap(), shipped["layers"].as_array().unwrap().len());
    assert_eq!(registry.tag("team/service", "1.3.0"), digest.parse().ok());
    let asked: Vec<String> =
        registry.server().asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    let first_manifest =
        asked.iter().position(|asked| asked.starts_with("PUT") && asked.contains("/manifests/")).unwrap();
    let before = asked[..first_manifest].iter().filter(|asked| asked.starts_with("PUT")).count();
    assert!(before > layers, "every layer and the config come before a manifest: {before}");
    assert_eq!(shipped["pushed"]["there"]["blobs"], 1, "the empty config of two artifacts, which goes up once");
    assert!(shipped["pushed"]["sent"]["blobs"].as_u64().unwrap() as usize > layers, "{}", shipped["pushed"]);
    assert_eq!((registry.torn(), registry.breaches()), (vec![], vec![]));
    // The same image as without a registry, and nothing to do the second time.
    assert_eq!(service.digest("build --no-cache"), digest);
    let sent = received(&registry);
    let again = service.run("ship --push --format json").expect(0).json();
    assert_eq!((again["pushed"]["sent"]["bytes"].as_u64(), received(&registry)), (Some(0), sent));
    let text = service.run("ship --push").expect(0).stdout;
    assert!(text.contains("sent 0 B (0 blobs), mounted 0 B (0 blobs), there already "), "{text}");
}

#[test]
fn a_verdict_that_says_no_leaves_no_manifest() {
    let registry = FakeRegistry::start(habits());
    let service = published_at(Service::new(), &registry);
    service.edit("corten.toml", "[archive]", "[check]\nsize = \"1kB\"\n\n[archive]");
    let gate = Gate::default();
    service.index.server().hold(&tensor(), &gate);
    registry.opens(Kind::Finish, &gate);
    let ran = service.run("ship --push");
    assert_eq!((ran.status, registry.count(Kind::PutManifest)), (1, 0), "{}", ran.stderr);
    assert!(registry.count(Kind::Finish) > 0 && !gate.was_forced(), "a layer has gone up by then");
    assert_eq!(registry.tag("team/service", "1.3.0"), None);
}

#[test]
fn what_the_registry_has_is_neither_made_nor_sent_again() {
    let registry = FakeRegistry::start(habits());
    let service = published_at(Service::filled(), &registry);
    let first = service.digest("ship --push");
    let layers = prune(&service, &registry, &first);
    service.edit("app.py", "well", "fine");
    let (asked, sent) = (service.index.server().server().asked().len(), received(&registry));
    let shipped = service.run("ship --push --format json").expect(0).json();
    let made: Vec<&str> = reused(&shipped).into_iter().filter(|(_, reused)| !reused).map(|(what, _)| what).collect();
    assert_eq!(made, ["app"]);
    assert_eq!(service.index.server().server().asked().len(), asked, "a wheel was fetched");
    let new = received(&registry) - sent;
    assert!(new > 0 && new < 40_000, "{new}");
    let kept = |digest: &&Digest| service.corten.store().join("blobs/sha256").join(digest.hex()).exists();
    assert_eq!(layers.iter().filter(kept).count(), 0);
    service.run("store verify").expect(0);
    // Elsewhere they are not, and nobody else's word counts: they are made again.
    let other = FakeRegistry::start(habits());
    let settings = service.read("corten.toml").replace(&registry.place(), &other.place());
    service.write("corten.toml", settings);
    let shipped = service.run("ship --push --format json").expect(0).json();
    let made = reused(&shipped).into_iter().filter(|(_, reused)| !reused).count();
    assert_eq!(made, layers.len() - 1, "all but the one that is still here");
    assert_eq!((other.torn(), other.breaches()), (vec![], vec![]));
    assert_eq!(other.tag("team/service", "1.3.0"), registry.tag("team/service", "1.3.0"));
}

#[test]
fn a_registry_that_refuses_ends_the_build() {
    let registry = FakeRegistry::start(habits());
    let service = published_at(Service::filled(), &registry);
    registry.fault(Kind::Begin, 99, Fault::Answer(Answer::status(403)));
    let ran = service.run("ship --push");
    let text = ran.stderr.replace(&registry.place(), "REGISTRY");
    let ran = corten_testkit::command::Ran { stderr: text, ..ran };
    told(
        &service,
        &ran,
        3,
        "error: pushing a blob to REGISTRY/team/service: 127.0.0.1 refuses: it wants to know who asks
hint: log in with `corten login REGISTRY`, as somebody who may do this",
    );
    assert_eq!(registry.count(Kind::PutManifest), 0);
    registry.heal();
    service.run("ship --push").expect(0);
}

#[test]
fn a_base_is_pushed_once_and_other_machines_stand_on_it() {
    let registry = FakeRegistry::start(habits());
    let python = Image::python().make();
    put(&registry, "ml/python", "1", &python);
    let maker = based(&registry, &format!("{}/ml/python:1", registry.place()));
    maker.run("base build --only tensor --name ml-base:1 --layout ../layout").expect(0);
    let name = format!("{}/team/ml-base:1", registry.place());
    let pushed = maker.run(&format!("base push ml-base:1 {name} --format json")).expect(0).json();
    let pinned = format!("{name}@{}", pushed["digest"].as_str().unwrap());
    assert_eq!(pushed["base"], pinned.as_str());
    assert_eq!(pushed["mounted"]["blobs"], 2, "the layers that it stands on: {pushed}");
    let text = maker.run(&format!("base push ../layout {name}")).expect(0).stdout;
    assert!(text.starts_with(&format!("base = \"{pinned}\"\nsent 0 B (0 blobs)")), "{text}");

    let app = based(&registry, &pinned);
    let before = received(&registry);
    let first = app.run("ship --push --format json").expect(0).json();
    let whats: Vec<&str> = reused(&first).into_iter().map(|(what, _)| what).collect();
    assert!(whats.iter().all(|what| !what.contains("tensor")), "{whats:?}");
    let new = received(&registry) - before;
    assert!(new < 60_000, "of 1.2 MB only what the base has not: {new}");
    let home = tempfile::tempdir().unwrap();
    let other = corten_at(home.path());
    app.remove("corten.lock");
    let second = other.run(&app.folder(), ["build", "--format", "json"]).expect(0).json();
    assert_eq!(first["digest"], second["digest"]);

    let refuses = |line: &str, status: i32, expected: &str| {
        told(&maker, &maker.run(&line.replace("REGISTRY", &registry.place())), status, expected);
    };
    refuses(
        "base push debian:bookworm REGISTRY/a:1",
        2,
        "error: debian:bookworm is made from Debian's archive, and is no image yet
hint: `corten base build --bare --name NAME` makes one in a project that stands on it",
    );
    refuses(
        "base push docker-archive:x.tar REGISTRY/a:1",
        2,
        "error: docker-archive:x.tar: what lies in docker-archive: files is not pushed
hint: `skopeo copy` makes an OCI layout of it, which is",
    );
    refuses(
        "base push ml-base:1 a:1",
        2,
        "error: a:1 names no registry
hint: say where to: `corten base push ml-base:1 HOST/a:1`",
    );
    let none = "error: there is no image 'nothing' in the store\nhint: `corten images` lists what is there";
    refuses("base push nothing REGISTRY/a:1", 1, none);
}
