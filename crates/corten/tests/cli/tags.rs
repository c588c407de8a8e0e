//! Names of images: where git knows the commit, where files differ from it, where there is no git, and names that move.

use std::fs;

use corten_testkit::command::Ran;
use serde_json::{Value, json};

use crate::service::{self, Service};

/// The service in a repository, with everything committed but the weights, which git ignores.
fn committed() -> Service {
    let service = Service::filled();
    service.write(".gitignore", "*.onnx\n");
    service.git("init -q");
    service.git("add .");
    service.git("commit -qm one");
    service
}

#[track_caller]
fn references(service: &Service) -> Vec<String> {
    let built = service.run("build --format json").expect(0).json();
    built["references"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// First seven digits of the commit.
fn commit(service: &Service) -> String {
    let head = std::process::Command::new("git").arg("-C").arg(service.folder()).args(["rev-parse", "HEAD"]).output();
    String::from_utf8(head.unwrap().stdout).unwrap().get(..7).unwrap().to_owned()
}

#[test]
fn a_commit_gives_three_tags() {
    let service = committed();
    let commit = commit(&service);
    let expected =
        ["service:1.3.0".to_owned(), format!("service:1.3.0-20261121-{commit}"), format!("service:sha-{commit}")];
    assert_eq!(references(&service), expected);
    let shipped = service.run("ship --format json").expect(0).json();
    let release = std::fs::read_to_string(shipped["release"].as_str().unwrap()).unwrap();
    let release: serde_json::Value = serde_json::from_str(&release).unwrap();
    assert!(release["commit"].as_str().unwrap().starts_with(&commit));
    assert_eq!(release["dirty"], false);
}

#[test]
fn what_enters_the_image_and_differs_makes_it_dirty() {
    let service = committed();
    let dirty = |service: &Service| {
        let built = service.run("build --format json").expect(0).json();
        let digits = built["digest"].as_str().unwrap()["sha256:".len()..][..7].to_owned();
        built["references"] == serde_json::json!([format!("service:1.3.0-dev-{digits}")])
    };
    assert!(!dirty(&service));
    service.write("weights/model.onnx", "other weights\n");
    assert!(!dirty(&service), "weights are recorded by hash");
    service.write(".env", "KEY=1\n");
    assert!(!dirty(&service), "it is ignored by the image");
    service.write("new.py", "x = 1\n");
    assert!(dirty(&service), "a new file that git does not ignore");
    service.remove("new.py");
    assert!(!dirty(&service));
    service.edit("app.py", "well", "very well");
    assert!(dirty(&service));
    service.git("commit -qam two");
    assert!(!dirty(&service));
    service.edit("corten.toml", "[ignore]", "[env]\nDEBUG = \"1\"\n\n[ignore]");
    assert!(dirty(&service), "settings decide the image");
}

#[test]
fn without_git_there_is_no_commit() {
    let service = Service::filled();
    assert_eq!(references(&service), ["service:1.3.0", "service:sha-local"]);
}

#[test]
fn a_name_that_moves_is_told() {
    let service = Service::filled();
    let first = service.digest("build");
    service.edit("app.py", "well", "very well");
    let ran = service.run("build --format json").expect(0);
    let second = ran.json()["digest"].as_str().unwrap().to_owned();
    let short = |digest: &str| digest["sha256:".len()..][..12].to_owned();
    let notice = format!("service:1.3.0 moves from {} to {}", short(&first), short(&second));
    assert!(ran.stderr.contains(&notice), "{notice}: {}", ran.stderr);
    let images = service.run("images --format json").expect(0).json();
    assert_eq!(
        (images[0]["reference"].as_str(), images[0]["digest"].as_str()),
        (Some("service:1.3.0"), Some(&*second))
    );
    assert_eq!(images[0]["platforms"], serde_json::json!(["linux/amd64"]));
    assert!(!service.run("build").expect(0).stderr.contains("moves"));
}

#[test]
fn names_of_ones_own() {
    let service = Service::filled();
    let built = service.run("build -t team/service:test -t other --format json").expect(0).json();
    assert_eq!(built["references"], serde_json::json!(["team/service:test", "other:latest"]));
    for name in ["team/service:test", "other", "other:latest"] {
        assert_eq!(service.run(&format!("sbom {name}")).expect(0).json()["spdxVersion"], "SPDX-2.3");
    }
}

/// The labels of the image that a run has shipped.
#[track_caller]
fn labels(service: &Service, ran: Ran) -> Value {
    let digest = service::digest(&ran);
    let read = |digest: &str| -> Value {
        let path = service.corten.store().join("blobs").join(digest.replace(':', "/"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let config = read(read(&digest)["config"]["digest"].as_str().unwrap());
    assert_eq!(config.get("created"), config["config"]["Labels"].get("org.opencontainers.image.created"));
    config["config"]["Labels"].clone()
}

#[test]
fn labels_say_where_an_image_comes_from() {
    let service = Service::filled();
    let at = |name: &str| format!("org.opencontainers.image.{name}");
    let labelled = labels(&service, service.run("build --format json"));
    assert_eq!((labelled.get(at("revision")), labelled.get(at("created"))), (None, None), "no git, no time");
    assert_eq!((&labelled[at("version")], &labelled[at("title")]), (&json!("1.3.0"), &json!("service")));

    let epoch = |value: &str| {
        let mut command = service.corten.command(&service.folder());
        Ran::from(command.args(["build", "--format", "json"]).env("SOURCE_DATE_EPOCH", value).output().unwrap())
    };
    assert_eq!(labels(&service, epoch("86400"))[at("created")], "1970-01-02T00:00:00Z");

    let service = committed();
    let labelled = labels(&service, service.run("build --format json"));
    assert_eq!(labelled[at("created")], "2026-11-21T10:00:00Z", "the time of the commit");
    assert!(labelled[at("revision")].as_str().unwrap().starts_with(&commit(&service)));
}
