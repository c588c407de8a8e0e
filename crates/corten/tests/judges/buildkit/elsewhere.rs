//! Where images of Dockerfiles go: a registry, by `--push` and by outputs; docker, by `--load`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::base::base;
use super::{Daemon, Work};
use crate::docker;
use crate::image::corten;
use crate::place::{command, debian, done, ended, folder, new_folder};
use crate::registries::Distribution;

const TEXT: &str = "FROM busybox\nRUN echo 1 >/one && rm /old/file\nCOPY Dockerfile /\nCMD cat /one && ls /old\n";

fn context(name: &str) -> std::path::PathBuf {
    let context = new_folder(name);
    fs::write(context.join("Dockerfile"), TEXT).unwrap();
    context
}

fn build(context: &Path, more: &[&str]) -> Command {
    let mut command = corten(["build", "--progress", "plain"]);
    let base = format!("busybox=oci-layout://{}", base().unwrap().display());
    command.args(["--build-context", &base]).args(more).arg(context);
    command.env("CORTEN_HOME", folder().join("home-dockerfiles"));
    command
}

/// Outputs to a registry, and whether all their layers are gzip: crane reads no others. The base's layer is plain.
const OUTPUTS: [(&str, bool); 7] = [
    ("type=registry", false),
    ("type=image,push=true,force-compression=true", true),
    ("type=registry,force-compression=true,oci-mediatypes=false", true),
    ("type=registry,compression=zstd", false),
    ("type=registry,compression=zstd,force-compression=true", false),
    ("type=registry,compression=zstd,force-compression=true,oci-mediatypes=false", false),
    ("type=registry,compression=uncompressed,force-compression=true,oci-mediatypes=false", false),
];

#[test]
fn an_image_of_a_dockerfile_is_at_a_registry_what_buildkit_has_there() {
    let (Some(program), Some(crane)) = (xtask::peers::need("registry"), xtask::peers::need("crane")) else { return };
    let (Some(skopeo), Some(regctl)) = (debian("skopeo"), xtask::peers::need("regctl")) else { return };
    let (Some(daemon), Some(base)) = (Daemon::shared(), base()) else { return };
    let registry = Distribution::open(&program, "dockerfiles");
    let context = context("dockerfile-pushed");
    let ours = format!("{}/team/built:1", registry.address);
    let theirs = format!("{}/team/theirs:1", registry.address);
    let manifest =
        |name: &str| -> Value { serde_json::from_str(&done(&mut command(&crane, ["manifest", name]))).unwrap() };
    for (output, is_gzip) in OUTPUTS {
        let file = context.join("metadata").display().to_string();
        done(&mut build(&context, &["-t", &ours, "--metadata-file", &file, "-o", output]));
        let metadata: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(metadata["containerimage.digest"], done(&mut command(&crane, ["digest", &ours])).trim());
        let host = format!("reg={},tls=disabled", registry.address);
        let head = done(&mut command(&regctl, ["--host", &host, "manifest", "head", &ours]));
        assert_eq!(metadata["containerimage.digest"], head.trim());
        let work = Work {
            context: context.clone(),
            contexts: vec![("busybox".to_owned(), base.to_owned())],
            ..Work::default()
        };
        daemon.push(&work, &theirs, output);
        let (our, their) = (manifest(&ours), manifest(&theirs));
        assert_eq!(types(&our), types(&their), "{output}");
        if is_gzip {
            let said = done(&mut command(&crane, ["validate", "--remote", &ours]));
            assert!(said.starts_with("PASS"), "{output}: {said}");
        }
        // What BuildKit has there is a base, whatever its layers are called.
        fs::write(context.join("next"), format!("FROM {theirs}\nRUN cat /one\n")).unwrap();
        done(&mut build(&context, &["--pull", "-f", &context.join("next").display().to_string()]));
        // skopeo 1.9 knows no zstd in Docker's own manifests.
        if !types(&our).to_string().contains("tar.zstd") {
            unpacks_to_its_diff_ids(&skopeo, &ours);
        }
    }
    done(&mut build(&context, &["-t", &ours, "--push"]));
    assert_eq!(manifest(&ours)["layers"].as_array().unwrap().len(), 3);
}

/// As a matrix of platforms does it, whose index comes later: a manifest that no tag leads to.
#[test]
fn an_image_that_is_pushed_by_digest_has_no_tag() {
    let (Some(program), Some(crane)) = (xtask::peers::need("registry"), xtask::peers::need("crane")) else { return };
    let (Some(daemon), Some(base)) = (Daemon::shared(), base()) else { return };
    let registry = Distribution::open(&program, "by-digest");
    let context = context("dockerfile-by-digest");
    let metadata = |name: &str| -> Value { serde_json::from_slice(&fs::read(context.join(name)).unwrap()).unwrap() };
    let (ours, theirs) = (format!("{}/team/ours", registry.address), format!("{}/team/theirs", registry.address));
    let output = "type=image,push-by-digest=true,name-canonical=true,push=true,force-compression=true";
    let file = context.join("ours").display().to_string();
    let said = done(&mut build(&context, &["-t", &ours, "--metadata-file", &file, "-o", output]));
    let work = Work {
        context: context.clone(),
        contexts: vec![("busybox".to_owned(), base.to_owned())],
        flags: Vec::new(),
        ..Work::default()
    };
    let asked = format!("{output},name={theirs},registry.insecure=true");
    let file = context.join("theirs").display().to_string();
    done(daemon.asked(&work, &asked).args(["--metadata-file", &file]));
    for (name, metadata) in [(&ours, metadata("ours")), (&theirs, metadata("theirs"))] {
        let digest = metadata["containerimage.digest"].as_str().unwrap();
        assert_eq!(metadata["image.name"], **name, "{metadata:#}");
        assert_eq!(done(&mut command(&crane, ["digest", &format!("{name}@{digest}")])).trim(), digest);
        let validated = done(&mut command(&crane, ["validate", "--remote", &format!("{name}@{digest}")]));
        assert!(validated.starts_with("PASS"), "{validated}");
        let tags = ended(&mut command(&crane, ["ls", name]));
        assert!(tags.stdout.is_empty(), "{}", crate::place::said(&tags));
    }
    let digest = metadata("ours")["containerimage.digest"].as_str().unwrap().to_owned();
    assert_eq!(said.lines().next(), Some(&*format!("{ours}@{digest}")), "{said}");
    let tagged = ended(&mut build(&context, &["-t", &format!("{ours}:1"), "-o", output]));
    assert_eq!(tagged.status.code(), Some(2), "{}", crate::place::said(&tagged));
}

/// Media types: of the manifest, its config and layers.
fn types(manifest: &Value) -> Value {
    let layers: Vec<&Value> = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["mediaType"]).collect();
    json!([manifest["mediaType"], manifest["config"]["mediaType"], layers])
}

/// skopeo reads and uncompresses every layer.
fn unpacks_to_its_diff_ids(skopeo: &Path, name: &str) {
    let plain = new_folder("dockerfile-plain");
    let copy = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-decompress"];
    done(command(skopeo, copy).arg(format!("docker://{name}")).arg(format!("dir:{}", plain.display())));
    let manifest: Value = serde_json::from_slice(&fs::read(plain.join("manifest.json")).unwrap()).unwrap();
    let config = plain.join(manifest["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    let config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    let digests: Vec<&Value> = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(json!(digests), config["rootfs"]["diff_ids"]);
    fs::remove_dir_all(plain).unwrap();
}

#[test]
fn an_image_of_a_dockerfile_is_loaded_into_docker_and_runs_there() {
    let (Some(daemon), Some(_)) = (docker::Daemon::start("docker-dockerfile"), base()) else { return };
    let context = context("dockerfile-loaded");
    let mut command = build(&context, &["-t", "built:1", "--load"]);
    done(command.env("DOCKER_HOST", daemon.host()));
    let inspected = daemon.inspect("built:1");
    assert_eq!(inspected["Config"]["Cmd"], json!(["/bin/sh", "-c", "cat /one && ls /old"]));
    let said = done(build(&context, &["-q"]).env("DOCKER_HOST", daemon.host()));
    assert_eq!(inspected["Id"], said.trim(), "docker's id of the image is the one that is told");
    let ran = done(&mut daemon.docker(["run", "--rm", "--network", "none", "built:1"]));
    assert_eq!(ran, "1\nsub\ntwin\n");
}
