//! What is said about an image of a Dockerfile, read by others: crane validates the index, buildx prints bill and provenance,
//! syft looks into the image itself.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::image::{Slim, corten};
use crate::place::{command, done, folder, new_folder};
use crate::registries::Distribution;

const DOCKERFILE: &str = "FROM base
COPY demo-1.0.dist-info /usr/local/lib/python3.11/site-packages/vendored/demo-1.0.dist-info
COPY old.egg-info /usr/lib/python3/dist-packages/old.egg-info
";

#[test]
fn buildx_crane_and_syft_read_what_is_said_about_an_image() {
    let (Some(crane), Some(registry)) = (xtask::peers::need("crane"), xtask::peers::need("registry")) else { return };
    let (Some(buildx), Some(syft)) = (xtask::peers::need("buildx"), xtask::peers::need("syft")) else { return };
    let registry = Distribution::open(&registry, "attested");
    let name = format!("{}/attested/demo:1", registry.address);
    let context = new_folder("attested");
    fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    fs::create_dir(context.join("demo-1.0.dist-info")).unwrap();
    let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nAuthor: A. Person\n";
    fs::write(context.join("demo-1.0.dist-info/METADATA"), metadata).unwrap();
    fs::write(context.join("old.egg-info"), "Metadata-Version: 1.1\nName: old\nVersion: 2.0\n").unwrap();
    let base = format!("base=docker-archive:{}", Slim.image().archive.display());
    let flags =
        ["build", "--sbom", "true", "--provenance", "mode=max", "--push", "-t", &name, "--build-context", &base];
    done(corten(flags).arg(&context));

    assert!(done(&mut command(&crane, ["validate", "--remote", &name])).starts_with("PASS"));
    let told = |what: &str| -> Value {
        let mut buildx = command(&buildx, ["imagetools", "inspect", "--format", what, &name]);
        serde_json::from_str(&done(buildx.env("HOME", folder()))).unwrap()
    };
    let provenance = &told("{{json .Provenance}}")["SLSA"];
    let base = &provenance["buildDefinition"]["resolvedDependencies"][0];
    assert_eq!(base["uri"], "pkg:docker/base@latest?platform=linux%2Famd64");
    assert_eq!(base["digest"]["sha256"].as_str().unwrap().len(), 64);
    let bill = &told("{{json .SBOM}}")["SPDX"];
    let packages = bill["packages"].as_array().unwrap().iter().filter(|package| package["SPDXID"] != "SPDXRef-Image");
    let billed = packages.map(|package| {
        let purl = package["externalRefs"][0]["referenceLocator"].as_str().unwrap();
        identity(purl.split(['/', ':']).nth(1).unwrap(), &package["name"], &package["versionInfo"])
    });
    let billed: BTreeSet<String> = billed.collect();

    let mut syft = command(&syft, ["scan", "--quiet", "--output", "syft-json"]);
    syft.arg(format!("registry:{name}")).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    syft.env("SYFT_REGISTRY_INSECURE_USE_HTTP", "true").env("HOME", folder());
    let found: Value = serde_json::from_str(&done(&mut syft)).unwrap();
    let found = found["artifacts"].as_array().unwrap().iter().filter_map(|package| {
        let kind = match package["type"].as_str()? {
            "deb" => "deb",
            "python" => "pypi",
            _ => return None,
        };
        Some(identity(kind, &package["name"], &package["version"]))
    });
    let found: BTreeSet<String> = found.collect();
    assert!(found.contains("pypi demo 1.0") && found.contains("pypi old 2.0") && found.len() > 80, "{found:?}");
    assert_eq!(found.symmetric_difference(&billed).collect::<Vec<_>>(), [] as [&String; 0]);
}

fn identity(kind: &str, name: &Value, version: &Value) -> String {
    let (name, version) = (name.as_str().unwrap(), version.as_str().unwrap());
    match kind {
        "pypi" => format!("pypi {} {version}", name.to_lowercase().replace(['_', '.'], "-")),
        _ => format!("{kind} {name} {version}"),
    }
}
