//! One image for several processors: one index, both from their wheels, nothing of the other processor is run.

use std::fs;

use corten_oci::{Index, Manifest};
use serde_json::Value;

use corten_testkit::wheel::WheelBuilder;

use crate::bases::without_tensor;
use crate::service::{Service, Wheel, wheels};
use crate::told::refuses;

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
fn only_what_has_this_machines_processor_is_told_to_be_run_here() {
    let service = both();
    let (own, other) = if cfg!(target_arch = "aarch64") { ("arm64", "amd64") } else { ("amd64", "arm64") };
    for (flags, runs) in [
        (format!("--platform linux/{other}"), false),
        (format!("--platform linux/{other},linux/{own}"), true),
        (format!("--platform linux/{own}"), true),
    ] {
        let told = service.run(&format!("ship {flags}")).expect(0).stdout;
        assert_eq!(told.contains("\nrun      corten run --rm "), runs, "{flags}: {told}");
        assert_eq!(told.contains("\nrun      corten build --load && docker run "), !runs, "{flags}: {told}");
        assert!(told.trim_end().ends_with(" service:1.3.0"), "{told}");
    }
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

/// A lock whose packages have wheels for these platforms each.
fn locked(service: &Service, platforms: &[(&'static str, &[&str])]) {
    let mut all = wheels();
    all.retain(|wheel| wheel.name != "tensor");
    for (name, machines) in platforms {
        for machine in *machines {
            let tag = format!("cp311-cp311-manylinux_2_17_{machine}");
            let wheel = WheelBuilder::new(name, "2.0").platlib().tag(&tag).file(&format!("{name}.so"), "x");
            let wheel = Wheel { name, version: "2.0", file: wheel.file_name(), bytes: wheel.build() };
            service.index.add(name, &wheel.file, &wheel.bytes);
            all.push(wheel);
        }
    }
    let names: Vec<&str> = platforms.iter().map(|(name, _)| *name).collect();
    let asked = |end: &str| names.iter().map(|name| format!("{{ name = \"{name}\"{end} }}, ")).collect::<String>();
    let lock =
        service.lock_of(&all).replace("{ name = \"tensor\", specifier = \">=2\" }, ", &asked(", specifier = \">=2\""));
    service.write("uv.lock", lock);
    let asked: String = names.iter().map(|name| format!("    \"{name}>=2\",\n")).collect();
    service.edit("pyproject.toml", "    \"tensor>=2\",\n", &asked);
}

#[test]
fn a_package_without_a_wheel_for_one_of_them_is_named_before_anything_is_built() {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    refuses(
        &service,
        &format!("build {BOTH}"),
        1,
        r#"
error: tensor 2.0 cannot be installed: it has no wheel for Python 3.11 on linux/arm64 with glibc 2.36
  --> ./uv.lock:…
   |
… | name = "tensor"
   |        ^^^^^^^^
hint: the lock has tensor-2.0-cp311-cp311-manylinux_2_17_x86_64.whl: take a Python or base that one of them is for, or another version
hint: --platform linux/amd64 builds for what all packages have wheels for
"#,
    );
    assert!(!service.folder().join("corten.lock").exists());
    assert_eq!(fs::read_dir(service.corten.store().join("layers")).unwrap().count(), 0);
}

#[test]
fn what_the_platforms_lack_is_told_at_once() {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    locked(&service, &[("apple", &["aarch64"]), ("intel", &["x86_64"]), ("power", &["ppc64le"])]);
    let platforms = [("", "linux/amd64"), (",linux/arm64", "linux/amd64"), (",linux/amd64", "linux/arm64")];
    let expected = [
        "2 packages cannot be installed: apple 2.0 (no wheel for platform, no sdist), power 2.0 (no wheel for platform, no sdist)",
        "3 packages cannot be installed: apple 2.0 on linux/amd64 (no wheel for platform, no sdist), power 2.0 on \
         linux/amd64 and linux/arm64 (no wheel for platform, no sdist), intel 2.0 on linux/arm64 (no wheel for platform, \
         no sdist)",
        "3 packages cannot be installed: intel 2.0 on linux/arm64 (no wheel for platform, no sdist), power 2.0 on \
         linux/arm64 and linux/amd64 (no wheel for platform, no sdist), apple 2.0 on linux/amd64 (no wheel for platform, \
         no sdist)",
    ];
    for ((more, first), expected) in platforms.into_iter().zip(expected) {
        let expected = format!(
            "error: {expected}\n  --> ./uv.lock:…\n   |\n… | name = \"…\"\n   |        ^…\nhint: the lock has …"
        );
        refuses(&service, &format!("build --platform {first}{more}"), 1, &expected);
    }
    assert_eq!(fs::read_dir(service.corten.store().join("layers")).unwrap().count(), 0);
}

/// Each platform records its own files; what the others recorded is no reason to ask the index again.
#[test]
fn a_lock_without_hashes_is_built_again_without_the_index() {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    locked(&service, &[("apple", &["aarch64", "x86_64"])]);
    service.remove("uv.lock");
    let index = service.index.url();
    let lines = format!("--index-url {index}\napple==2.0\nfastapi==0.115.0\nuvicorn==0.34.0\n");
    service.write("requirements.txt", lines);
    let first = service.digest(&format!("build {BOTH}"));
    let lock = service.read("corten.lock");
    assert!(lock.contains("_x86_64.whl") && lock.contains("_aarch64.whl"), "{lock}");
    assert_eq!(service.digest(&format!("build --locked --offline {BOTH}")), first);
    service.run("build --locked --offline --platform linux/arm64").expect(0);
}

#[test]
fn platforms_that_are_given_twice_are_built_once() {
    let service = both();
    let one = service.digest("build --platform linux/amd64 --platform amd64,linux/amd64");
    assert_eq!(one, service.digest("build"));
    let two = service.digest("build --platform linux/amd64 --platform arm64,linux/amd64,aarch64");
    assert_eq!(two, service.digest(&format!("build {BOTH}")));
}

#[test]
fn who_takes_one_platform_is_given_this_machines_and_told_so() {
    let service = both();
    let other = service.digest("build --platform linux/arm64");
    let ran =
        service.run("build --platform linux/arm64,linux/amd64 --format json -o type=docker,dest=image.tar").expect(0);
    assert!(ran.stderr.contains("image.tar: linux/amd64 alone, as it has one platform\n"), "{}", ran.stderr);
    let platforms = ran.json()["platforms"].clone();
    assert_eq!((&platforms[0]["platform"], &platforms[0]["digest"]), (&"linux/arm64".into(), &other.as_str().into()));
    let read = |member: &str| {
        let tar =
            std::process::Command::new("tar").arg("-xOf").arg(service.folder().join("image.tar")).arg(member).output();
        serde_json::from_slice::<Value>(&tar.unwrap().stdout).unwrap()
    };
    let config = read(read("manifest.json")[0]["Config"].as_str().unwrap());
    assert_eq!(config["architecture"], "amd64");
    let alone = service.run("build --platform linux/arm64 -o type=docker,dest=image.tar").expect(0);
    assert!(!alone.stderr.contains("alone"), "{}", alone.stderr);
}

#[test]
fn a_bill_of_an_index_is_of_one_platform_and_says_of_which() {
    let service = both();
    let shipped = service.run(&format!("ship --format json {BOTH}")).expect(0).json();
    let of = |at: usize| shipped["platforms"][at]["digest"].as_str().unwrap().to_owned();
    let index = shipped["digest"].as_str().unwrap();
    let (amd, arm) =
        (service.run(&format!("sbom {}", of(0))).expect(0), service.run(&format!("sbom {}", of(1))).expect(0));
    assert!(amd.stdout.contains("arch=amd64") && arm.stdout.contains("arch=arm64"));
    assert_eq!((amd.stderr.as_str(), arm.stderr.as_str()), ("", ""), "an image of its own has one");
    let told = |ran: &corten_testkit::command::Ran| ran.stderr.trim().to_owned();
    let default = service.run(&format!("sbom {index}")).expect(0);
    assert_eq!(default.stdout, amd.stdout);
    assert_eq!(told(&default), "of linux/amd64, linux/arm64, this is linux/amd64: --platform takes another");
    let named = service.run("sbom service:1.3.0 --platform arm64").expect(0);
    assert_eq!((named.stdout.as_str(), told(&named).as_str()), (arm.stdout.as_str(), ""));
    service.run(&format!("sbom {} --platform linux/arm64", of(1))).expect(0);
    refuses(
        &service,
        &format!("sbom {} --platform linux/arm64", of(0)),
        1,
        &format!("error: image {} is not for linux/arm64\nhint: it is for linux/amd64", of(0)),
    );
    refuses(
        &service,
        &format!("sbom {index} --platform linux/riscv64"),
        2,
        "error: --platform: 'linux/riscv64' is not a platform that can be built: linux/amd64 and linux/arm64 can",
    );
}

#[test]
fn of_two_bills_the_one_that_says_the_most_is_printed_whichever_came_first() {
    let (mut first, mut second) = (Service::filled(), Service::filled());
    for (service, order) in [(&mut first, ["ship --sbom-files", "ship"]), (&mut second, ["ship", "ship --sbom-files"])]
    {
        for line in order {
            service.run(line).expect(0);
        }
        let bill: Value = serde_json::from_str(&service.run("sbom service").expect(0).stdout).unwrap();
        assert!(bill["files"].as_array().is_some_and(|files| !files.is_empty()), "{bill}");
    }
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

#[test]
fn a_finding_of_one_platform_names_it() {
    let service = both();
    service.write("service/fast.so", elf(62));
    let ran = service.run(&format!("check --build {BOTH}"));
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("ML194")).collect();
    let expected =
        "error: ML194 /app/service/fast.so: /app/service/fast.so is for amd64, the image for arm64 (linux/arm64)";
    assert_eq!(told, [expected], "{}", ran.stderr);
    let story = |text: &str| ran.stderr.matches(text).count();
    assert_eq!((story("distroless linux/amd64  ("), story("distroless linux/arm64  (")), (1, 1), "{}", ran.stderr);
    assert_eq!((story("python  3.11.2"), story("start  ")), (1, 1), "{}", ran.stderr);
}
