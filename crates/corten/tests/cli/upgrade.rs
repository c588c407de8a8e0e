//! `corten lock --upgrade-base`: what a newer base brings, and who says so.

use std::io::Write;

use serde_json::json;

use crate::archive::{Extra, Release};
use crate::oci::Image;
use crate::service::Service;

const SSL: &str = "\
openssl (3.0.15-1~deb12u1) bookworm-security; urgency=medium

  * CVE-2024-9143: a fix, and CVE-2024-5535.

 -- A <a@example.org>  Sun, 03 Nov 2024 22:29:51 +0100

openssl (3.0.11-1) bookworm; urgency=medium

  * CVE-2023-5363 is older than what was pinned.

 -- A <a@example.org>  Sun, 03 Nov 2023 22:29:51 +0100
";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn updates() -> [Extra; 2] {
    let changelog = ("usr/share/doc/libssl3/changelog.Debian.gz", gzip(SSL));
    [
        Extra { name: "libssl3", version: "3.0.15-1~deb12u1", files: vec![changelog], ..Extra::default() },
        Extra { name: "libgomp1", version: "12.2.0-14+deb12u1", ..Extra::default() },
    ]
}

#[test]
fn security_updates_and_the_vulnerabilities_that_their_changelogs_name() {
    let service = Service::filled();
    let before = service.read("corten.lock");
    assert_eq!(service.run("lock --upgrade-base").expect(0).stdout, "");
    service.archive.secure(&updates());
    let netbase = Extra {
        name: "netbase",
        version: "6.5",
        files: vec![("etc/protocols", b"tcp 6\n".to_vec())],
        ..Extra::default()
    };
    service.archive.add(&[netbase]);
    let copy = service.read("corten.lock");
    assert_eq!(copy, before, "nothing was newer");
    let ran = service.run("lock --upgrade-base").expect(0);
    assert_eq!(
        ran.stdout,
        "\
libssl3 3.0.11-1 → 3.0.15-1~deb12u1  security  CVE-2024-5535 CVE-2024-9143
libgomp1 12.2.0-14 → 12.2.0-14+deb12u1  security
netbase 6.4 → 6.5
3 packages change, 2 of them by updates of the security suite; the changelogs in the new packages name 2 CVEs
"
    );
    service.run("build --locked").expect(0);

    service.write("corten.lock", &before);
    let object = service.run("lock --upgrade-base --format json").expect(0).json();
    let of =
        |name: &str| object["packages"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!(of("libssl3")["vulnerabilities"], json!(["CVE-2024-5535", "CVE-2024-9143"]));
    assert_eq!(of("libssl3")["security"], true);
    assert_eq!(of("libgomp1")["vulnerabilities"], json!(null), "it has no changelog, so nothing is known");
    assert_eq!(of("netbase")["security"], false);
    assert_eq!(of("netbase")["platform"], "linux/amd64");
    assert!(object["changes"].as_array().unwrap().iter().any(|one| one == "netbase 6.4 → 6.5"));
}

#[test]
fn what_cannot_be_trusted_changes_nothing() {
    let service = Service::filled();
    let before = service.read("corten.lock");
    service.archive.secure(&updates());
    service.archive.publish("bookworm-security", Release::WronglySigned);
    let ran = service.run("lock --upgrade-base");
    assert_ne!(ran.status, 0);
    assert_eq!(service.read("corten.lock"), before);
}

#[test]
fn a_base_that_is_an_image_says_which_packages_change() {
    let service = Service::new();
    let folder = service.folder().join("base");
    Image::python().layout(&folder);
    let settings = service.settings("base = \"oci-layout:base\"").replace("[\"keys\"]", "[\"keys\", \"base\"]");
    service.write("corten.toml", settings);
    service.run("build").expect(0);
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u1\n\n\
                  Package: new\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    Image::python().with("var/lib/dpkg/status", status.as_bytes()).layout(&folder);
    assert_eq!(service.run("build").status, 1, "another digest");
    let ran = service.run("lock --upgrade-base").expect(0);
    assert_eq!(
        ran.stdout,
        "\
libc6 2.36-9 → 2.36-9+deb12u1
new 1 comes in
2 packages change, 0 of them by updates of the security suite
"
    );
    service.run("build --locked").expect(0);
}

#[test]
fn a_plan_says_how_old_the_base_is_and_why_it_was_taken() {
    let service = Service::filled();
    let ran = service.run("plan").expect(0);
    // The archive of the tests is of November 2023.
    assert!(ran.stdout.contains("BASE debian:bookworm distroless linux/amd64, "), "{}", ran.stdout);
    let warned = ran.stderr.contains("warning  the base debian:bookworm is ")
        && ran.stderr.contains(" days old: `corten lock --upgrade-base`");
    assert!(warned, "{}", ran.stderr);
    let plan = service.run("plan --format json").expect(0).json();
    assert!(plan["base"]["age"].as_u64().unwrap() > 365);
    assert_eq!(
        plan["base"]["why"],
        "Python 3.11: pinned in corten.lock; distroless is for services and jobs that start Python only"
    );
}
