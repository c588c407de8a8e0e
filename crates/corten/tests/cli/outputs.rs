//! Images as files and in the docker of the machine, read by `tar`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::service::Service;
use crate::told::told;

/// The paths of a tar, sorted.
fn listed(tar: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("-tf").arg(tar).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut paths: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    paths.sort();
    paths
}

fn member(tar: &Path, path: &str) -> Vec<u8> {
    let output = Command::new("tar").arg("-xOf").arg(tar).arg(path).output().unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn json(tar: &Path, path: &str) -> Value {
    serde_json::from_slice(&member(tar, path)).unwrap()
}

fn blob(digest: &Value) -> String {
    format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))
}

#[test]
fn an_oci_layout_in_a_tar() {
    let service = Service::filled();
    let built = service.run("build --format json -o type=oci,dest=image.tar").expect(0).json();
    let tar = service.folder().join("image.tar");
    assert_eq!(json(&tar, "oci-layout"), serde_json::json!({"imageLayoutVersion": "1.0.0"}));
    let index = json(&tar, "index.json");
    assert!(index["manifests"].as_array().unwrap().iter().all(|one| one["digest"] == built["digest"]), "{index}");
    let manifest = json(&tar, &blob(&built["digest"]));
    let config = json(&tar, &blob(&manifest["config"]["digest"]));
    let pairs = built["layers"].as_array().unwrap().iter().zip(manifest["layers"].as_array().unwrap());
    for ((layer, descriptor), diff_id) in pairs.zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        assert_eq!((&layer["digest"], &layer["size"]), (&descriptor["digest"], &descriptor["size"]));
        assert_eq!(&layer["diff_id"], diff_id);
        assert_eq!(member(&tar, &blob(&layer["digest"])).len() as u64, layer["size"].as_u64().unwrap());
    }
    assert_eq!(config["config"]["User"], "10001:10001");
    let blobs = listed(&tar).iter().filter(|path| path.starts_with("blobs/sha256/") && !path.ends_with('/')).count();
    assert_eq!(blobs, 2 + 6, "manifest, config and layers, nothing else");
}

#[test]
fn a_docker_archive() {
    let service = Service::filled();
    let built = service.run("build --format json -o type=docker,dest=image.tar -t a:1 -t b:2").expect(0).json();
    let tar = service.folder().join("image.tar");
    let manifest = json(&tar, "manifest.json");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["a:1", "b:2"]));
    let config = json(&tar, manifest[0]["Config"].as_str().unwrap());
    assert!(config["config"]["Healthcheck"]["Test"].is_array(), "{config}");
    let layers = manifest[0]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), built["layers"].as_array().unwrap().len());
    let paths = listed(&tar);
    for layer in layers {
        assert!(paths.contains(&layer.as_str().unwrap().to_owned()), "{layer} is not in {paths:?}");
    }
}

#[test]
fn the_same_build_writes_the_same_files() {
    let service = Service::filled();
    let read = |file: &str| fs::read(service.folder().join("..").join(file)).unwrap();
    service.run("build -o type=oci,dest=../a.tar -o type=docker,dest=../b.tar").expect(0);
    let first = (read("a.tar"), read("b.tar"));
    service.run("build -o type=oci,dest=../a.tar -o type=docker,dest=../b.tar").expect(0);
    assert!((read("a.tar"), read("b.tar")) == first);
}

#[test]
fn a_file_is_replaced_by_a_whole_one_only() {
    let service = Service::filled();
    service.write("image.tar", "the old image");
    service.write("uv.lock", "broken");
    service.run("build -o type=oci,dest=image.tar").expect(1);
    assert_eq!(service.read("image.tar"), "the old image");
    service.write("uv.lock", service.lock());
    service.run("build -o type=oci,dest=image.tar").expect(0);
    assert!(listed(&service.folder().join("image.tar")).contains(&"index.json".to_owned()));
    let left: Vec<_> = fs::read_dir(service.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
}

/// Builds with `--load` where `docker` is this script, or nothing.
fn load(service: &Service, docker: Option<&str>) -> corten_testkit::command::Ran {
    let programs = tempfile::tempdir().unwrap();
    if let Some(script) = docker {
        let path = programs.path().join("docker");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = service.corten.command(&service.folder());
    command.env("PATH", programs.path()).env("GOT", service.folder().join("got.tar"));
    command.args(["build", "--load"]).output().unwrap().into()
}

#[test]
fn docker_is_given_the_image() {
    let service = Service::filled();
    let ran = load(&service, Some("test \"$1\" = load && exec /bin/cat > \"$GOT\"")).expect(0);
    assert!(ran.stderr.contains("loaded into docker"), "{}", ran.stderr);
    let manifest = json(&service.folder().join("got.tar"), "manifest.json");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["service:1.3.0", "service:sha-local"]));
}

#[test]
fn a_docker_that_fails_is_quoted() {
    let service = Service::filled();
    let ran = load(&service, Some("/bin/cat > /dev/null; echo 'Cannot connect to the Docker daemon' >&2; exit 1"));
    told(
        &service,
        &ran,
        3,
        "
error: running docker load: it ended with exit status: 1
  caused by: Cannot connect to the Docker daemon
",
    );
    let ran = load(&service, Some("echo 'no space left on device' >&2; exit 1"));
    told(
        &service,
        &ran,
        3,
        "
error: running docker load: it ended with exit status: 1
  caused by: no space left on device
",
    );
    told(
        &service,
        &load(&service, None),
        3,
        "
error: loading the image: there is neither docker nor podman on PATH
hint: -o type=docker,dest=FILE writes a file that either can load elsewhere
",
    );
}
