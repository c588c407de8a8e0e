//! Images that travel by file: others read what `save` writes, `load` reads what others write.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::docker::Daemon;
use crate::image::{DISTROLESS, Distroless, corten};
use crate::place::{command, debian, done, new_folder};
use crate::podman::Podman;
use crate::serve::{Served, whole};

/// The judged image in a file.
fn saved(folder: &Path) -> PathBuf {
    Distroless.image();
    let file = folder.join("saved.tar");
    done(corten(["save", DISTROLESS, "--output"]).arg(&file));
    file
}

/// What `load` says of a file, in a store of its own.
fn loaded(home: &Path, file: &Path) -> Value {
    let said = done(corten(["load", "--format", "json", "--input"]).arg(file).env("CORTEN_HOME", home));
    serde_json::from_str(&said).unwrap()
}

/// From one laptop to another that no network joins; there, a registry for everybody else.
#[test]
fn an_image_travels_by_file_and_is_served_where_it_arrives() {
    let (Some(podman), Some(regctl)) = (Podman::new("carried-podman"), xtask::peers::need("regctl")) else { return };
    let folder = new_folder("carried");
    let file = saved(&folder);
    let again = folder.join("again.tar");
    fs::write(&again, corten(["save", DISTROLESS]).output().unwrap().stdout).unwrap();
    assert!(fs::read(&file).unwrap() == fs::read(&again).unwrap(), "the same bytes, to a file and to a pipe");

    let home = folder.join("elsewhere");
    let image = Distroless.image();
    let said = loaded(&home, &file);
    assert_eq!(
        (said[0]["digest"].as_str(), said[0]["references"][0].as_str()),
        (Some(image.digest.as_str()), Some(DISTROLESS))
    );
    assert!(said[0]["artifacts"].as_u64().unwrap() >= 2);
    let mine = |arguments: &[&str]| {
        let mut command = corten(arguments);
        command.env("CORTEN_HOME", &home);
        command
    };
    done(&mut mine(&["store", "verify"]));
    assert_eq!(serde_json::from_str::<Value>(&done(&mut mine(&["sbom", DISTROLESS]))).unwrap(), image.bill);
    let served = Served::of("carried", &mut mine(&["registry", "serve", "--listen", "127.0.0.1:0", "--read-only"]));
    let name = served.at(DISTROLESS);
    done(&mut podman.podman(["pull", "--quiet", "--tls-verify=false", &name]));
    assert_eq!(podman.inspect(&name)["User"], "10001:10001");
    assert_eq!(whole(&name).as_ref(), Some(&image.digest));
    let regctl = |arguments: &[&str]| done(command(&regctl, arguments).env("HOME", &folder));
    regctl(&["registry", "set", "--tls", "disabled", &served.host]);
    assert!(regctl(&["artifact", "list", &name]).contains("application/spdx+json"));
}

#[test]
fn others_read_what_is_saved() {
    let (Some(skopeo), Some(podman)) = (debian("skopeo"), Podman::new("saved-podman")) else { return };
    let Some(daemon) = Daemon::start("saved-docker") else { return };
    let folder = new_folder("saved");
    let file = saved(&folder);
    let layout = folder.join("layout");
    let from = format!("oci-archive:{}:{DISTROLESS}", file.display());
    let copy = ["--insecure-policy", "copy", "--quiet", "--preserve-digests"];
    done(command(&skopeo, copy).args([&from, &format!("oci:{}:1", layout.display())]));
    let manifest = Distroless.image().digest.strip_prefix("sha256:").unwrap();
    assert!(layout.join("blobs/sha256").join(manifest).is_file(), "the same manifest");

    done(daemon.docker(["load", "--quiet", "--input"]).arg(&file));
    done(podman.podman(["load", "--quiet", "--input"]).arg(&file));
    let (docker, podman) = (daemon.inspect(DISTROLESS), podman.inspect(DISTROLESS));
    assert_eq!(docker["Config"]["User"], "10001:10001");
    assert_eq!(docker["Id"].as_str().unwrap(), format!("sha256:{}", podman["Id"].as_str().unwrap()));
    assert_eq!(docker["RootFS"]["Layers"], podman["RootFS"]["Layers"]);
}

#[test]
fn what_others_save_is_loaded() {
    let (Some(skopeo), Some(podman)) = (debian("skopeo"), Podman::new("loaded-podman")) else { return };
    let Some(daemon) = Daemon::start("loaded-docker") else { return };
    let folder = new_folder("loaded");
    let file = saved(&folder);
    done(daemon.docker(["load", "--quiet", "--input"]).arg(&file));
    done(podman.podman(["load", "--quiet", "--input"]).arg(&file));
    let at = |name: &str| folder.join(name);
    done(daemon.docker(["save", DISTROLESS, "--output"]).arg(at("docker")));
    done(podman.podman(["save", "--quiet", DISTROLESS, "--output"]).arg(at("podman")));
    done(podman.podman(["save", "--quiet", "--format", "oci-archive", DISTROLESS, "--output"]).arg(at("podman-oci")));
    let copy = ["--insecure-policy", "copy", "--quiet", "--preserve-digests"];
    let from = format!("oci-archive:{}:{DISTROLESS}", file.display());
    done(command(&skopeo, copy).args([&from, &format!("oci-archive:{}:of/skopeo:1", at("skopeo").display())]));
    fs::write(at("gzip"), done_bytes(command(Path::new("/bin/gzip"), ["--fast", "--stdout"]).arg(at("docker"))))
        .unwrap();
    let diff_ids = daemon.inspect(DISTROLESS)["RootFS"]["Layers"].clone();
    for (name, expected) in [
        ("docker", DISTROLESS),
        ("gzip", DISTROLESS),
        ("podman", "localhost/judged-distroless:1"),
        ("podman-oci", "localhost/judged-distroless:1"),
        ("skopeo", "of/skopeo:1"),
    ] {
        let home = at(&format!("{name}-home"));
        let said = loaded(&home, &at(name));
        let reference = said[0]["references"][0].as_str().unwrap();
        assert!(reference == expected || reference == format!("docker.io/library/{expected}"), "{name}: {said}");
        let mine = |arguments: &[&str]| done(corten(arguments).env("CORTEN_HOME", &home));
        mine(&["store", "verify"]);
        // The same tars, however they are compressed now.
        let layout = at(&format!("{name}-again"));
        mine(&["save", reference, "--output", layout.to_str().unwrap()]);
        done(daemon.docker(["load", "--quiet", "--input"]).arg(&layout));
        assert_eq!(daemon.inspect(reference)["RootFS"]["Layers"], diff_ids, "{name}");
    }
}

fn done_bytes(command: &mut std::process::Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success());
    output.stdout
}
