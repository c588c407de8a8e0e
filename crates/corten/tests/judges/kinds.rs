//! Layers and manifests of every kind on their way to distribution 3.1 and back: zstd, eStargz, and Docker's own types, whose
//! bytes nobody may write anew.

use std::path::Path;

use serde_json::Value;

use crate::image::{Distroless, corten, example};
use crate::place::{command, debian, done, new_folder};
use crate::registries::Distribution;

#[test]
fn layers_of_every_kind_go_there_and_come_back() {
    let (Some(crane), Some(registry)) = (xtask::peers::need("crane"), xtask::peers::need("registry")) else { return };
    let Some(regctl) = xtask::peers::need("regctl") else { return };
    let registry = Distribution::open(&registry, "kinds");
    let settings = "weights-compression = \"zstd\"\ncompression = \"zstd\"\n";
    let kinds = [("kind-zstd", settings, "tar+zstd"), ("kind-estargz", "estargz = true\n", "tar+gzip")];
    for (name, settings, kind) in kinds {
        let reference = format!("{}/kinds/{name}:1", registry.address);
        let project = example(name, settings);
        let built: Value =
            serde_json::from_str(&done(corten(["build", "--format", "json", "--tag", &reference]).arg(&project)))
                .unwrap();
        done(&mut corten(["push", &reference]));
        let manifest = done(&mut command(&crane, ["manifest", &reference]));
        assert!(manifest.contains(kind), "{manifest}");
        let by_regctl = ["--host", &format!("reg={},tls=disabled", registry.address), "manifest", "head", &reference];
        assert_eq!(done(&mut command(&regctl, by_regctl)).trim(), built["digest"].as_str().unwrap());
        // It reads neither zstd nor weights that are stored as they are; skopeo's part is in `modes`.
        let validate = ["validate", "--fast", "--remote", &reference];
        assert!(done(&mut command(&crane, validate)).starts_with("PASS"));
        comes_back(&reference, built["digest"].as_str().unwrap(), name);
    }
}

fn comes_back(reference: &str, digest: &str, name: &str) {
    let home = new_folder(&format!("home-{name}"));
    let elsewhere = |arguments: &[&str]| done(corten(arguments).env("CORTEN_HOME", &home));
    let pulled: Value = serde_json::from_str(&elsewhere(&["pull", reference, "--format", "json"])).unwrap();
    assert_eq!(pulled["digest"], digest);
    elsewhere(&["store", "verify"]);
}

#[test]
fn dockers_manifests_stay_dockers() {
    let (Some(crane), Some(registry)) = (xtask::peers::need("crane"), xtask::peers::need("registry")) else { return };
    let Some(skopeo) = debian("skopeo") else { return };
    let registry = Distribution::open(&registry, "dockers");
    let name = |repository: &str| format!("{}/{repository}:1", registry.address);
    let (theirs, ours) = (name("by/skopeo"), name("by/corten"));
    as_dockers(&skopeo, &theirs);
    let manifest = |name: &str| done(&mut command(&crane, ["manifest", name]));
    let home = new_folder("home-dockers");
    let elsewhere = |arguments: &[&str]| done(corten(arguments).env("CORTEN_HOME", &home));
    elsewhere(&["pull", &theirs]);
    elsewhere(&["push", &theirs, &ours]);
    assert!(manifest(&theirs).contains("application/vnd.docker.distribution.manifest.v2+json"));
    assert_eq!(manifest(&ours), manifest(&theirs), "to the byte");
    assert!(done(command(&crane, ["validate", "--remote"]).arg(&ours)).starts_with("PASS"));
    elsewhere(&["store", "verify"]);
}

/// The example under Docker's types; skopeo compresses what is stored as it is.
fn as_dockers(skopeo: &Path, reference: &str) {
    let there = format!("docker://{reference}");
    let layout = format!("oci:{}:1.3.0", Distroless.image().layout.display());
    let copy = ["--insecure-policy", "copy", "--quiet", "--format", "v2s2", "--dest-tls-verify=false"];
    done(command(skopeo, copy).args([&layout, &there]));
}
