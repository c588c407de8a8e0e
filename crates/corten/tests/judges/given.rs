//! An image that somebody else made as base: podman makes it, Corten builds on it, podman starts the result.

use std::fs::{self, File};
use std::io;

use serde_json::Value;

use crate::image::{Distroless, corten, example};
use crate::place::done;
use crate::podman::Podman;

#[test]
fn the_service_starts_on_what_podman_made() {
    let Some(podman) = Podman::new("podman-base") else { return };
    let at = |name: &str| podman.folder.join(name);
    fs::write(at("rootfs.tar"), lowest_layer()).unwrap();
    let changes = ["--change", "ENV OF_BASE=1", "--change", "ENTRYPOINT [\"/nothing\"]"];
    done(podman.podman(["import", "--quiet"]).args(changes).arg(at("rootfs.tar")).arg("base:1"));
    fs::create_dir(at("context")).unwrap();
    fs::write(at("context/Dockerfile"), "FROM localhost/base:1\nCOPY Dockerfile /etc/hello\nUSER nobody\nENV MORE=2\n")
        .unwrap();
    done(podman.podman(["build", "--quiet", "--tag", "base:2"]).arg(at("context")));
    let forms = [("oci-dir", "oci-layout"), ("oci-archive", "oci-archive"), ("docker-archive", "docker-archive")];
    for (number, (form, kind)) in forms.into_iter().enumerate() {
        done(podman.podman(["save", "--quiet", "--format", form, "--output"]).arg(at(form)).arg("base:2"));
        let name = format!("on-{form}");
        let project = example(&name, "");
        let settings = fs::read_to_string(project.join("pyproject.toml")).unwrap();
        let base = format!("base = \"{kind}:{}\"", at(form).display());
        fs::write(project.join("pyproject.toml"), settings.replace("base = \"debian:bookworm\"", &base)).unwrap();
        let tag = format!("{name}:1");
        let output = format!("type=docker,dest={}", at("built.tar").display());
        done(corten(["build", "--tag", &tag, "--output", &output]).arg(&project));
        done(podman.podman(["load", "--quiet", "--input"]).arg(at("built.tar")));
        let inspected = podman.inspect(&tag);
        let variables = inspected["Config"]["Env"].as_array().unwrap();
        assert!(variables.iter().any(|one| one == "OF_BASE=1") && variables.iter().any(|one| one == "MORE=2"));
        assert_eq!(inspected["User"], "10001:10001");
        assert_eq!(inspected["Config"]["Entrypoint"], Value::Null);
        let made = podman.inspect("base:2");
        let of = |image: &Value| image["RootFS"]["Layers"].as_array().unwrap().clone();
        assert_eq!(of(&inspected)[..2], of(&made)[..], "{form}");
        if number != 1 {
            podman.serves(&tag);
        }
    }
}

/// The base of the judged image, as a plain tar.
fn lowest_layer() -> Vec<u8> {
    let image = Distroless.image();
    let blobs = image.layout.join("blobs/sha256");
    let blob = |digest: &str| blobs.join(digest.trim_start_matches("sha256:"));
    let manifest: Value = serde_json::from_reader(File::open(blob(&image.digest)).unwrap()).unwrap();
    let layer = File::open(blob(manifest["layers"][0]["digest"].as_str().unwrap())).unwrap();
    let mut tar = Vec::new();
    io::copy(&mut flate2::read::GzDecoder::new(layer), &mut tar).unwrap();
    tar
}
