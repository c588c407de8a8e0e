//! `ship`, `build` and `plan` of a good project: what programs read, and what a second run does again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use corten_oci::Digest;
use serde_json::Value;

use crate::service::{Service, wheels};
use crate::told::refuses;

/// The names of an object, sorted.
#[track_caller]
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

/// The layers of the service, lowest first.
const LAYERS: [&str; 6] = [
    "base debian:bookworm distroless",
    "tensor 2.0",
    "2 small wheels: fastapi uvicorn",
    "generated: user, virtual environment",
    "weights",
    "app",
];

#[test]
fn ship_prints_one_object() {
    let service = Service::new();
    let shipped = service.run("ship --format json").expect(0).json();
    assert_eq!(
        keys(&shipped),
        ["digest", "findings", "layers", "layout", "published", "references", "release", "sbom", "seconds"]
    );
    assert_eq!(shipped["references"], serde_json::json!(["service:1.3.0", "service:sha-local"]));
    assert_eq!(texts(&shipped["layers"], "what"), LAYERS);
    assert!(shipped["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(shipped["findings"], serde_json::json!([]));
    let layout = Path::new(shipped["layout"].as_str().unwrap());
    assert_eq!(layout, service.corten.store().join("layouts/service"));
    for layer in shipped["layers"].as_array().unwrap() {
        assert_eq!(keys(layer), ["diff_id", "digest", "media_type", "reused", "size", "tar_size", "what"]);
        assert_eq!(layer["reused"], false);
        assert_is_a_layer(layout, layer);
    }
    assert_eq!(digest_of_index(layout), shipped["digest"].as_str().unwrap());
}

/// Digest, size, diff id and size of the tar, each counted again from the layout.
#[track_caller]
fn assert_is_a_layer(layout: &Path, layer: &Value) {
    let name = layer["digest"].as_str().unwrap();
    let blob = fs::read(layout.join("blobs").join(name.replace(':', "/"))).unwrap();
    assert_eq!((Digest::of(&blob).to_string().as_str(), blob.len() as u64), (name, layer["size"].as_u64().unwrap()));
    let mut tar = Vec::new();
    if blob.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(blob.as_slice()).read_to_end(&mut tar).unwrap();
    } else {
        tar = blob;
    }
    let found = (Digest::of(&tar).to_string(), tar.len() as u64);
    assert_eq!(found, (layer["diff_id"].as_str().unwrap().to_owned(), layer["tar_size"].as_u64().unwrap()));
}

fn digest_of_index(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn the_files_that_ship_names_are_there() {
    let service = Service::filled();
    let shipped = service.run("ship --format json --release-file release.json").expect(0).json();
    let read =
        |key: &str| -> Value { serde_json::from_slice(&fs::read(shipped[key].as_str().unwrap()).unwrap()).unwrap() };
    let sbom = read("sbom");
    assert_eq!(sbom["spdxVersion"], "SPDX-2.3");
    let packages = texts(&sbom["packages"], "name");
    for name in wheels().iter().map(|wheel| wheel.name).chain(["libc6", "python3.11-minimal"]) {
        assert!(packages.contains(&name), "{name} is not in {packages:?}");
    }
    let release = read("release");
    assert_eq!(release["digest"], shipped["digest"]);
    assert_eq!(release["tags"], serde_json::json!(["1.3.0", "sha-local"]));
    assert_eq!(release["locks"]["uv.lock"], Digest::of(service.read("uv.lock")).to_string());
    assert_eq!(release["locks"]["corten.lock"], Digest::of(service.read("corten.lock")).to_string());
    assert_eq!(release["weights"][0]["digest"], Digest::of(service.read("weights/model.onnx")).to_string());
    let mut with_times: Value = serde_json::from_str(&service.read("release.json")).unwrap();
    let times = with_times.as_object_mut().unwrap();
    let more: Vec<String> = times.keys().filter(|key| release.get(key.as_str()).is_none()).cloned().collect();
    more.iter().for_each(|key| drop(times.remove(key)));
    assert_eq!((with_times, more.is_empty()), (release, false), "the file has the times beside the release");
    let sbom_of = |name: &str| service.run(&format!("sbom {name}")).expect(0).stdout;
    assert_eq!(sbom_of("service"), fs::read_to_string(shipped["sbom"].as_str().unwrap()).unwrap());
    assert_eq!(sbom_of("service:sha-local"), sbom_of(shipped["digest"].as_str().unwrap()));
}

/// Every file of a folder, without the counters that a run may leave.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(all.insert(path.to_string_lossy().into_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    all
}

#[test]
fn a_second_run_reuses_all_and_writes_nothing() {
    let service = Service::new();
    let first = service.run("ship --format json").expect(0).json();
    let (store, lock) = (contents(&service.corten.store()), service.read("corten.lock"));
    let asked = service.index.server().server().asked().len();
    let again = service.run("ship --format json").expect(0);
    let second = again.json();
    assert_eq!(second["digest"], first["digest"]);
    for layer in second["layers"].as_array().unwrap() {
        assert_eq!(layer["reused"], true, "{layer}");
    }
    for what in ["download", "layer ", "moves", "corten.lock:"] {
        assert!(!again.stderr.contains(what), "{what}: {}", again.stderr);
    }
    assert!(contents(&service.corten.store()) == store, "the store has changed");
    assert_eq!(service.read("corten.lock"), lock);
    assert_eq!(service.index.server().server().asked().len(), asked, "the index was asked again");
    assert!(service.run("ship").expect(0).stdout.contains("6 layers, 6 reused"));
}

#[test]
fn one_changed_line_is_one_new_layer() {
    let service = Service::filled();
    service.run("build").expect(0);
    service.edit("app.py", "well", "very well");
    let built = service.run("build --format json").expect(0).json();
    let new: Vec<&Value> =
        built["layers"].as_array().unwrap().iter().filter(|layer| layer["reused"] == false).collect();
    assert_eq!(new.iter().map(|layer| layer["what"].as_str().unwrap()).collect::<Vec<_>>(), ["app"]);
}

#[test]
fn no_cache_makes_every_layer_again_from_what_was_downloaded() {
    let service = Service::filled();
    let first = service.run("build --format json").expect(0).json();
    let ran = service.run("build --no-cache --format json").expect(0);
    let again = ran.json();
    assert_eq!(again["digest"], first["digest"]);
    assert!(again["layers"].as_array().unwrap().iter().all(|layer| layer["reused"] == false), "{again}");
    assert!(!ran.stderr.contains("download"), "{}", ran.stderr);
}

#[test]
fn build_prints_one_object_and_publishes_nothing() {
    let service = Service::filled();
    let built = service.run("build --format json").expect(0).json();
    assert_eq!(keys(&built), ["digest", "findings", "layers", "references", "seconds"]);
    assert_eq!(texts(&built["layers"], "what"), LAYERS);
    assert!(!service.corten.store().join("layouts").join("service").exists());
    let images = service.run("images --format json").expect(0).json();
    assert_eq!(texts(&images, "reference"), ["service:1.3.0", "service:sha-local"]);
    assert_eq!(images[0]["digest"], built["digest"]);
}

#[test]
fn plan_prints_one_object_and_makes_nothing() {
    let service = Service::new();
    service.write(".env", "KEY=1\n");
    let plan = service.run("plan --format json").expect(0).json();
    assert_eq!(
        keys(&plan),
        [
            "base",
            "command",
            "dirty",
            "fetched",
            "findings",
            "ignored",
            "largest",
            "layers",
            "models_in_app",
            "name",
            "packages",
            "python",
            "user",
            "version"
        ]
    );
    assert_eq!(
        (&plan["name"], &plan["version"], &plan["python"]),
        (&"service".into(), &"1.3.0".into(), &"3.11.2".into())
    );
    assert_eq!(texts(&plan["packages"], "name"), ["fastapi", "tensor", "uvicorn"]);
    assert_eq!(texts(&plan["layers"], "what"), LAYERS);
    assert_eq!(plan["base"]["debs"].as_array().unwrap().len(), 13);
    assert_eq!(plan["command"][2], "uvicorn");
    let ignored: Vec<(&str, u64)> = plan["ignored"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["because"].as_str().unwrap(), one["files"].as_u64().unwrap()))
        .collect();
    assert!(ignored.contains(&("[ignore] patterns", 1)) && ignored.contains(&("secrets", 1)), "{ignored:?}");
    assert_eq!(plan["largest"][0]["path"], "app/uv.lock");
    assert!(!service.folder().join("corten.lock").exists());
    assert_eq!(service.run("images --format json").expect(0).json(), serde_json::json!([]));
}

#[test]
fn people_get_the_story_and_the_result() {
    let service = Service::filled();
    let ran = service.run("ship").expect(0);
    let story: Vec<&str> = ran.stderr.lines().collect();
    assert!(
        story[0].starts_with("      path  native: layers from the lock  (settings at ./corten.toml:"),
        "{}",
        story[0]
    );
    for about in ["base", "python", "packages", "start"] {
        assert!(
            story.iter().any(|line| line.trim_start().starts_with(&format!("{about}  "))),
            "{about}: {}",
            ran.stderr
        );
    }
    for piece in [
        "shipped  service:1.3.0",
        "service:sha-local",
        "digest   sha256:",
        "layout   /",
        "sbom     /",
        "release  /",
        "run      ",
    ] {
        assert!(ran.stdout.contains(piece), "{piece}: {}", ran.stdout);
    }
    let quiet = service.run("ship --progress quiet").expect(0);
    assert_eq!(quiet.stderr, "");
    let events = service.run("ship --progress json").expect(0);
    assert!(events.stderr.lines().count() > 3);
    for line in events.stderr.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|event| event.is_object()), "{line}");
    }
}

/// What is told to be typed is understood: the image is found and started, as far as it has a program.
#[test]
fn how_to_run_it_is_told_without_a_daemon_first() {
    let service = Service::filled();
    let lines = |flags: &str| -> Vec<String> {
        let told = service.run(&format!("ship {flags}")).expect(0).stdout;
        let from = told.lines().skip_while(|line| !line.starts_with("run      "));
        from.map(|line| line.get(9..).unwrap().to_owned()).collect()
    };
    let told = lines("");
    let run = "run --rm --read-only --tmpfs /tmp -p 8000:8000 service:1.3.0";
    assert_eq!(told, [format!("corten {run}"), format!("corten build --load && docker {run}")]);
    // Whose port 8000 is, is not asked here; the Python of the tests is none, and dies once it is started.
    let line = told[0].replace("corten run", "run --pull never").replace("-p 8000:8000", "--network none");
    let ran = service.run(&line);
    assert!(ran.status > 128 && !ran.stderr.contains("error"), "{}: {}", ran.status, ran.stderr);
}

#[test]
fn a_base_is_pinned_until_lock_is_called() {
    let service = Service::filled();
    let newest = service.read("corten.lock");
    assert_eq!(service.run("lock").expect(0).stdout, "");
    assert_eq!(service.read("corten.lock"), newest);
    service.edit("corten.lock", "2.36-9", "2.36-8");
    let pinned = service.read("corten.lock");
    service.run("build --locked").expect(0);
    assert_eq!(service.run("plan --format json").expect(0).json()["base"]["debs"][4], "libc6 2.36-8");
    assert_eq!(service.read("corten.lock"), pinned, "a build takes what is pinned");
    assert_eq!(service.run("lock").expect(0).stdout, "libc-bin 2.36-8 → 2.36-9\nlibc6 2.36-8 → 2.36-9\n");
    assert_eq!(service.read("corten.lock"), newest);
}

#[test]
fn what_lock_has_changed_is_an_object_too() {
    let service = Service::filled();
    assert_eq!(service.run("lock --format json").expect(0).json(), serde_json::json!({"changes": []}));
    service.edit("corten.lock", "2023c-5", "2023a-1");
    let changes = service.run("lock --format json").expect(0).json();
    assert_eq!(changes, serde_json::json!({"changes": ["tzdata 2023a-1 → 2023c-5"]}));
}

#[test]
fn a_layout_that_cannot_be_written_leaves_no_name() {
    let service = Service::filled();
    let images = || service.run("images --format json").expect(0).json();
    let before = images();
    service.edit("app.py", "well", "very well");
    fs::create_dir_all(service.corten.store().join("layouts")).unwrap();
    let layout = service.corten.store().join("layouts/service");
    fs::write(&layout, "a file").unwrap();
    refuses(
        &service,
        "ship --format json",
        3,
        "
error: making the folder …/corten/layouts/service: File exists (os error 17)
hint: something lies where the store wants a folder: set CORTEN_HOME to another place
",
    );
    assert_eq!(images(), before);
    fs::remove_file(layout).unwrap();
    service.run("ship").expect(0);
    assert_ne!(images(), before);
}
