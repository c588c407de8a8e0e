//! What the rules find, as the program tells it, and what `[check]` makes of it.

use corten_testkit::command::Ran;
use corten_testkit::wheel::WheelBuilder;
use serde_json::{Value, json};

use crate::service::{Service, Wheel, wheels};
use crate::told::told;

/// A service whose corten.toml ends with `lines`.
fn with(lines: &str) -> Service {
    let service = Service::filled();
    service.write("corten.toml", format!("{}\n{lines}\n", service.settings("")));
    service
}

/// The rules that a build names.
#[track_caller]
fn rules(ran: &Ran) -> Vec<String> {
    let found = ran.json()["findings"].clone();
    found.as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn refuses(service: &Service, line: &str, expected: &str) {
    let images = || service.run("images --format json").expect(0).json();
    let before = images();
    told(service, &service.run(line), 1, expected);
    assert_eq!(images(), before, "no name has moved");
    assert!(!service.corten.store().join("layouts/service").exists(), "nothing is published");
}

#[test]
fn a_secret_in_the_image_is_denied() {
    let service = with("");
    service.edit("corten.toml", "[ignore]", "[ignore]\ndefaults = false");
    service.write(".env", "KEY=1\n");
    refuses(
        &service,
        "build --format json",
        r#"
error: ML142 .env: '.env' is called like a file that holds secrets
hint: put '.env' into .dockerignore and give the secret to the container when it starts
error: the image does not pass its checks: ML142
hint: 'check.allow' of the settings silences a rule: allow = ["ML142"]
"#,
    );
    refuses(
        &service,
        "ship --format json",
        r#"
error: ML142 .env: '.env' is called like a file that holds secrets
hint: put '.env' into .dockerignore and give the secret to the container when it starts
error: the image does not pass its checks: ML142
hint: 'check.allow' of the settings silences a rule: allow = ["ML142"]
"#,
    );
    let checked = service.run("check --format json").expect(1).json();
    assert_eq!((&checked["passed"], &checked["findings"][0]["rule"]), (&json!(false), &json!("ML142")));
    service.write(".dockerignore", ".env\n");
    assert_eq!(rules(&service.run("ship --format json").expect(0)), [""; 0]);
}

#[test]
fn a_budget_that_is_too_small() {
    let service = with("[check]\nsize = \"1MB\"");
    refuses(
        &service,
        "ship",
        r#"
error: ML184 the image has 1.2 MB, 1.0 MB are allowed
  --> ./corten.toml:13:8
   |
13 | size = "1MB"
   |        ^^^^^
hint: the largest layers are tensor 2.0 1.2 MB, base debian:bookworm distroless … kB, weights … kB
error: the image does not pass its checks: ML184
hint: 'check.allow' of the settings silences a rule: allow = ["ML184"]
"#,
    );
    service.edit("corten.toml", "1MB", "2MB");
    service.run("ship").expect(0);
}

#[test]
fn deny_and_allow_decide() {
    let service = Service::filled();
    service.write("corten.toml", service.settings("healthcheck = false"));
    let ran = service.run("build --format json").expect(0);
    assert_eq!(rules(&ran), ["ML154"]);
    assert_eq!(keys(&ran.json()["findings"][0]), ["at", "help", "message", "rule", "severity"]);
    let settings = service.read("corten.toml");
    service.write("corten.toml", format!("{settings}\n[check]\ndeny = [\"ML154\"]\n"));
    refuses(
        &service,
        "ship --format json",
        r#"
info: ML154 the service has no health check
 --> ./corten.toml:1:1
  |
1 | healthcheck = false
  | ^^^^^^^^^^^
hint: set healthcheck = { path = "/health" }
error: the image does not pass its checks: ML154
hint: 'check.allow' of the settings silences a rule: allow = ["ML154"]
"#,
    );
    service.write("corten.toml", format!("{settings}\n[check]\ndeny = [\"info\"]\n"));
    refuses(
        &service,
        "ship",
        r#"
info: ML154 the service has no health check
 --> ./corten.toml:1:1
  |
1 | healthcheck = false
  | ^^^^^^^^^^^
hint: set healthcheck = { path = "/health" }
error: the image does not pass its checks: ML154
hint: 'check.allow' of the settings silences a rule: allow = ["ML154"]
"#,
    );
    service.write("corten.toml", format!("{settings}\n[check]\ndeny = [\"info\"]\nallow = [\"ML154\"]\n"));
    assert_eq!(rules(&service.run("ship --format json").expect(0)), [""; 0]);
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn weights_among_the_sources_are_told() {
    let service = Service::filled();
    service.write("service/big.safetensors", vec![7; 11_000_000]);
    let ran = service.run("build --format json").expect(0);
    assert_eq!(rules(&ran), ["ML161"]);
    assert!(ran.stderr.contains("warning: ML161 "), "{}", ran.stderr);
}

#[test]
fn requirements_that_nothing_meets_are_told() {
    let service = Service::filled();
    let mut wheels = wheels();
    let builder = WheelBuilder::new("fastapi", "0.115.0").metadata("Requires-Dist: starlette>=0.40");
    wheels[0] = Wheel { bytes: builder.build(), ..wheels[0].clone() };
    service.index.add("fastapi", &wheels[0].file, &wheels[0].bytes);
    service.write("uv.lock", service.lock_of(&wheels));
    let ran = service.run("build --format json").expect(0);
    assert_eq!(rules(&ran), ["ML190"]);
}

#[test]
fn withdrawn_versions_are_told() {
    let service = Service::filled();
    let wheel = &wheels()[0];
    service.index.add_with("fastapi", &wheel.file, &wheel.bytes, Some("broken on Sundays"), None);
    let lines: String = wheels()
        .iter()
        .map(|wheel| format!("{}=={} --hash={}\n", wheel.name, wheel.version, corten_oci::Digest::of(&wheel.bytes)))
        .collect();
    service.remove("uv.lock");
    service.write("requirements.txt", format!("--index-url {}\n{lines}", service.index.url()));
    let ran = service.run("build --format json").expect(0);
    assert_eq!(rules(&ran), ["ML187"]);
}

#[test]
fn locks_without_hashes_are_told_and_recorded() {
    let service = Service::filled();
    let hash = corten_oci::Digest::of(&wheels()[0].bytes);
    service.edit("uv.lock", &format!(", hash = \"{hash}\""), "");
    let ran = service.run("build --format json").expect(0);
    assert_eq!(rules(&ran), ["ML186"]);
    assert!(service.read("corten.lock").contains(&hash.to_string()));
    let again = service.run("build --locked --format json").expect(0);
    assert_eq!(rules(&again), ["ML186"], "it is no less true the second time");
}
