//! One image for several processors: one index, both from their wheels, nothing of the other processor is run.

use std::fs;

use corten_oci::{Index, Manifest};
use serde_json::Value;

use crate::bases::without_tensor;
use crate::service::Service;

const BOTH: &str = "--platform linux/amd64,linux/arm64";

fn both() -> Service {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    without_tensor(&service);
    service
}

fn blob(service: &Service, digest: &str) -> Vec<u8> {
    let name = digest.strip_prefix("sha256:").unwrap();
    fs::read(service.corten.store().join("blobs/sha256").join(name)).unwrap()
}

#[test]
fn tags_point_to_an_index_of_both_and_the_lock_has_both_bases() {
    let service = both();
    let shipped = service.run(&format!("ship --format json {BOTH}"));
    assert_eq!(shipped.status, 0, "{}", shipped.stderr);
    let shipped = shipped.json();
    let index = Index::parse(&blob(&service, shipped["digest"].as_str().unwrap())).unwrap();
    let platforms: Vec<String> = index.manifests.iter().map(|one| one.platform.as_ref().unwrap().to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for (entry, told) in index.manifests.iter().zip(shipped["platforms"].as_array().unwrap()) {
        assert_eq!(told["digest"].as_str().unwrap(), entry.digest.to_string());
        let manifest = Manifest::parse(&blob(&service, &entry.digest.to_string())).unwrap();
        let config: Value = serde_json::from_slice(&blob(&service, &manifest.config.digest.to_string())).unwrap();
        let platform = format!("linux/{}", config["architecture"].as_str().unwrap());
        assert_eq!(
            (told["platform"].as_str(), manifest.layers.len()),
            (Some(platform.as_str()), told["layers"].as_array().unwrap().len())
        );
    }
    // Wheels for every processor make one layer for both.
    let layers = |at: usize| -> Vec<String> {
        let layers = shipped["platforms"][at]["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (amd, arm) = (layers(0), layers(1));
    assert_ne!(amd[0], arm[0], "the bases differ");
    assert_eq!(amd[1..], arm[1..]);
    let lock = service.read("corten.lock");
    assert!(lock.contains("architecture = \"amd64\"") && lock.contains("architecture = \"arm64\""), "{lock}");

    let images = service.run("images --format json").expect(0).json();
    assert!(images.as_array().unwrap().iter().all(|image| image["digest"] == shipped["digest"]), "{images}");
    let release: Value = serde_json::from_slice(&fs::read(shipped["release"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(release["platforms"]["linux/arm64"].as_str().unwrap(), index.manifests[1].digest.to_string());
    let layout = fs::read(std::path::Path::new(shipped["layout"].as_str().unwrap()).join("index.json")).unwrap();
    let layout = Index::parse(&layout).unwrap();
    assert!(layout.manifests.iter().any(|entry| entry.digest.to_string() == shipped["digest"].as_str().unwrap()));
    let bill = service.run(&format!("sbom {}", shipped["digest"].as_str().unwrap()));
    assert!(bill.stdout.contains("SPDX-2.3"), "{}", bill.stderr);

    assert_eq!(service.digest(&format!("build --locked {BOTH}")), shipped["digest"].as_str().unwrap());
    // Who builds one of them leaves the other's pins alone.
    service.run("build --locked --platform linux/arm64").expect(0);
    service.run("build --locked").expect(0);
    assert_eq!(service.read("corten.lock"), lock);
    service.run("store verify").expect(0);
}

#[test]
fn arm64_alone_pins_the_base_whose_python_compiles() {
    let service = both();
    service.run("build --platform linux/arm64").expect(0);
    let lock = service.read("corten.lock");
    assert!(lock.contains("architecture = \"arm64\""), "{lock}");
    service.run("build --locked --platform linux/arm64").expect(0);
    service.run("lock").expect(0);
    assert_eq!(service.read("corten.lock"), lock, "the archive has not changed");
}

#[test]
fn a_package_without_a_wheel_for_one_of_them_is_named_before_anything_is_built() {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    let ran = service.run(&format!("build {BOTH}"));
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let wanted =
        "error: tensor 2.0 cannot be installed: it has no wheel for Python 3.11 on linux/arm64 with glibc 2.36";
    assert!(ran.stderr.contains(wanted), "{}", ran.stderr);
    assert!(!service.folder().join("corten.lock").exists());
    assert_eq!(fs::read_dir(service.corten.store().join("layers")).unwrap().count(), 0);
}

/// The first bytes of an ELF file: 64 bits, little-endian, `e_machine`.
fn elf(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0]);
    bytes.resize(64, 0);
    bytes
}

#[test]
fn programs_for_another_processor_fail_the_build() {
    let service = Service::new();
    service.write("service/fast.so", elf(62));
    service.write("service/kernel.cubin", elf(190));
    service.run("build").expect(0);
    service.write("service/fast.so", elf(183));
    for _ in 0..2 {
        let ran = service.run("build");
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("ML194 /app/service/fast.so: /app/service/fast.so is for arm64, the image for amd64"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("kernel.cubin"), "{}", ran.stderr);
    }
}
