//! What the rules find, as the program tells it, and what `[check]` makes of it.

use corten_testkit::command::Ran;
use corten_testkit::wheel::WheelBuilder;
use serde_json::{Value, json};

use crate::at_terminal::write_root;
use crate::dockerfile::Place;
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

const STEPS: &str = "FROM scratch
COPY root /
COPY data /data
RUN busybox chown -R 1000 /data
RUN busybox chmod 600 /data/small && echo more >/more
RUN pip install -r requirements.txt
";

/// A folder whose Dockerfile runs commands on busybox, and a program that stands for pip.
fn commands(dockerfile: &str) -> Place {
    let place = Place::with(dockerfile);
    write_root(&place);
    place.write("data/a", vec![1; 3_000_000]);
    place.write("data/b", vec![2; 1_500_000]);
    place.write("data/small", "small");
    place.write("root/bin/pip", "#!/bin/sh\nbusybox mkdir -p /root/.cache/pip /lib/x/__pycache__\nbusybox head -c 2000000 /data/a >/root/.cache/pip/one\nbusybox head -c 500000 /data/a >/lib/x/__pycache__/x.pyc\n");
    let program = place.path().join("root/bin/pip");
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place
}

/// Each is one step's, with its place; what is cached is told again.
#[test]
fn commands_that_change_only_metadata_are_told_with_their_bytes() {
    let place = commands(STEPS);
    let first = place.run("build --network none --format json").expect(0);
    let findings = first.json()["findings"].as_array().unwrap().clone();
    assert_eq!(findings.iter().map(|finding| finding["rule"].as_str().unwrap()).collect::<Vec<_>>(), ["ML129"]);
    let told = "
warning: ML129 [4/6] RUN busybox chown -R 1000 /data: it changes mode or owner of 3 files and nothing else of them; its layer has their 4.5 MB once more
 --> Dockerfile:4:1
  |
4 | RUN busybox chown -R 1000 /data
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: give them both where they come from: COPY --chown=USER --chmod=MODE (RUN useradd goes before it), or chown in the RUN that makes them
";
    assert!(first.stderr.contains(told), "{}", first.stderr);
    let again = place.run("build --network none --format json").expect(0);
    assert!(again.stderr.contains(told), "{}", again.stderr);
    // What is changed besides is no such file.
    place.write("Dockerfile", STEPS.replace("chown -R 1000 /data", "sh -c 'echo x >>/data/a; echo y >>/data/b'"));
    assert_eq!(place.run("build --network none --format json").expect(0).json()["findings"], json!([]));
    // The settings may silence it, and fail the build because of it.
    place.write("Dockerfile", STEPS);
    place.write("corten.toml", "[check]\nallow = ['ML129']\n");
    assert_eq!(place.run("build --network none --format json").expect(0).json()["findings"], json!([]));
    place.write("corten.toml", "[check]\ndeny = ['warning']\n");
    let denied = place.run("build --network none -t x").expect(1);
    assert!(denied.stderr.contains("error: the image does not pass its checks: ML129\n"), "{}", denied.stderr);
    assert_eq!(place.run("images --format json").expect(0).json(), json!([]), "it got no name");
}

/// Of the file that is there; only what this build has measured.
#[test]
fn installing_from_a_file_of_the_project_is_told_with_what_it_left() {
    let place = commands(STEPS);
    place.write("requirements.txt", "numpy==2.0.0\n");
    let ran = place.run("build --network none --format json").expect(0);
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let finding = &findings[1];
    assert_eq!((&finding["rule"], &finding["severity"]), (&json!("ML195"), &json!("info")));
    let message = finding["message"].as_str().unwrap();
    let (before, after) = message.split_once(" s, ").unwrap();
    assert!(
        before.starts_with("[6/6] RUN pip install -r requirements.txt: it installs what requirements.txt names (took "),
        "{message}"
    );
    assert_eq!(
        after,
        "commands left 3 layers of 7.0 MB in the image, 2.0 MB of caches of package managers, 0.5 MB of compiled Python)"
    );
    assert!(ran.stderr.contains("hint: corten init --from-dockerfile writes the settings"), "{}", ran.stderr);
    // Done before, it took no time; in a stage that the image does not have, it left nothing there.
    let again = place.run("build --network none --format json").expect(0).json()["findings"][1]["message"].clone();
    assert!(again.as_str().unwrap().contains("names (commands left 3 layers"), "{again}");
    place.write("Dockerfile", format!("{STEPS}FROM scratch\nCOPY --from=0 /more /\n"));
    let other = place.run("build --network none --format json").expect(0).json()["findings"].clone();
    let message = other[1]["message"].as_str().unwrap();
    assert!(
        message.ends_with("RUN pip install -r requirements.txt: it installs what requirements.txt names"),
        "{other}"
    );
}
