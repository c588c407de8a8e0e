//! Debian packages beside the base, and the libraries that are missing without them.

use corten_testkit::elf::library;
use corten_testkit::wheel::WheelBuilder;
use serde_json::{Value, json};

use crate::archive::Extra;
use crate::service::{Service, Wheel, digest, wheels};
use crate::told::refuses;

const GL: &str = "usr/lib/x86_64-linux-gnu/libGL.so.1";
const GLVND: &str = "usr/lib/x86_64-linux-gnu/libGLdispatch.so.0";

/// A library, what it needs, a package with a user, and one whose script nobody knows.
fn extra() -> Vec<Extra> {
    let files = |path, needed: &[&str]| vec![(path, library(needed, None))];
    let own = Extra::default();
    vec![
        Extra {
            name: "libgl1",
            fields: "Depends: libglvnd0\n",
            files: files(GL, &["libGLdispatch.so.0"]),
            ..own.clone()
        },
        Extra { name: "libglvnd0", fields: "Depends: libc6\n", files: files(GLVND, &[]), ..own.clone() },
        Extra { name: "redis-tools", postinst: "adduser --system redis\n", ..own.clone() },
        Extra { name: "strange", postinst: "#!/bin/sh\ncurl http://x\n", ..own.clone() },
        Extra { name: "libaio1t64", ..own.clone() },
        Extra { name: "exim", fields: "Provides: mail-server\nConflicts: mail-server\n", ..own.clone() },
        Extra { name: "postfix", fields: "Provides: mail-server\nConflicts: mail-server\n", ..own.clone() },
        Extra { name: "locales", ..own.clone() },
        Extra { name: "wrapper", fields: "Depends: strange\n", ..own.clone() },
        Extra { name: "demanding", fields: "Depends: libc6 (>= 3)\n", ..own },
    ]
}

/// A service whose `tensor` has an extension module that needs libGL, which is not in the base.
fn with_opencv() -> Service {
    let service = Service::filled();
    service.archive.add(&extra());
    let builder = WheelBuilder::new("tensor", "2.0").platlib().tag("cp311-cp311-manylinux_2_17_x86_64").file(
        "tensor/core.cpython-311-x86_64-linux-gnu.so",
        library(&["libGL.so.1", "libcuda.so.1", "libown.so"], Some("$ORIGIN/../tensor.libs")),
    );
    let builder = builder.file("tensor.libs/libown.so", library(&[], None));
    let mut wheels = wheels();
    wheels[1] = Wheel { bytes: builder.build(), ..wheels[1].clone() };
    service.index.add("tensor", &wheels[1].file, &wheels[1].bytes);
    service.write("uv.lock", service.lock_of(&wheels));
    service
}

/// What each layer of a build is, and its digest.
fn layers(service: &Service) -> Vec<(String, String)> {
    let built = service.run("build --format json").expect(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    built["layers"].as_array().unwrap().iter().map(|one| (text(&one["what"]), text(&one["digest"]))).collect()
}

#[test]
fn a_missing_library_is_told_with_the_package_that_has_it() {
    let service = with_opencv();
    let told = r#"
error: ML192 /opt/venv/lib/python3.11/site-packages/tensor/core.cpython-311-x86_64-linux-gnu.so of tensor 2.0 needs libGL.so.1, which is not in the image
hint: libgl1 has it: packages = ["libgl1"]
error: the image does not pass its checks: ML192
hint: 'check.allow' of the settings silences a rule: allow = ["ML192"]
"#;
    refuses(&service, "ship", 1, told);
    assert!(!service.corten.store().join("layouts/service").exists(), "nothing is published");
    let asked = service.archive.server.server().asked().len();
    refuses(&service, "ship", 1, told);
    assert_eq!(service.archive.server.server().asked().len(), asked, "the answer is remembered");

    service.write("corten.toml", service.settings("packages = [\"libgl1\"]"));
    digest(&service.run("ship --format json"));
    digest(&service.run("ship --format json --locked --offline"));
}

#[test]
fn without_the_archive_the_finding_stands() {
    let service = with_opencv();
    service.archive.server.remove("/debian/dists/bookworm/main/Contents-amd64.gz");
    let ran = service.run("build");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("needs libGL.so.1, which is not in the image"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: find the Debian package that has it"), "{}", ran.stderr);
}

#[test]
fn packages_are_a_layer_of_their_own_above_the_same_base() {
    let service = Service::filled();
    service.archive.add(&extra());
    let before = layers(&service);
    service.write("corten.toml", service.settings("packages = [\"redis-tools\", \"libgl1\"]"));
    let after = layers(&service);
    assert_eq!(before[0], after[0], "the base's layer is the same");
    assert_eq!(after[1].0, "packages: libgl1 redis-tools");
    assert_eq!(added(&service), ["libgl1", "libglvnd0", "redis-tools"]);
    let made = digest(&service.run("build --format json --locked --no-cache"));
    assert_eq!(digest(&service.run("build --format json --offline")), made);
    // Taken out again, they leave the lock.
    service.write("corten.toml", service.settings(""));
    assert_eq!(layers(&service), before);
    assert!(!service.read("corten.lock").contains("redis-tools"));
}

/// Names of the packages that corten.lock adds.
fn added(service: &Service) -> Vec<String> {
    let lock = service.read("corten.lock");
    let added = lock.split_once("\n[base.packages]").unwrap().1;
    let names = added.lines().filter_map(|line| line.strip_prefix("name = "));
    names.map(|name| name.trim_matches('"').to_owned()).collect()
}

#[test]
fn packages_that_are_not_there_are_refused_where_they_are_named() {
    let service = Service::filled();
    service.archive.add(&extra());
    let with = |names: &str| service.write("corten.toml", service.settings(&format!("packages = [{names}]")));
    with("\"libgl1\", \"libgl2\"");
    refuses(
        &service,
        "build",
        2,
        "
error: choosing Debian packages: bookworm has no package 'libgl2' for amd64
 --> ./corten.toml:1:23
  |
1 | packages = [\"libgl1\", \"libgl2\"]
  |                       ^^^^^^^^
hint: did you mean 'libgl1'?
",
    );
    // Renamed in Debian 13: not of this suite.
    with("\"libaio1\"");
    refuses(
        &service,
        "plan",
        2,
        "
error: choosing Debian packages: bookworm has no package 'libaio1' for amd64
 --> ./corten.toml:1:13
  |
1 | packages = [\"libaio1\"]
  |             ^^^^^^^^^
hint: did you mean 'libaio1t64'?
",
    );
    // Of another processor.
    with("\"libgl1:i386\"");
    refuses(
        &service,
        "plan",
        2,
        "
error: setting 'packages[0]' is 'libgl1:i386', expected the name of a Debian package such as \"libgl1\"
 --> ./corten.toml:1:13
  |
1 | packages = [\"libgl1:i386\"]
  |             ^^^^^^^^^^^^^
",
    );
    with("\"libgl1\", \"mail-server\"");
    refuses(
        &service,
        "plan",
        2,
        "
error: choosing Debian packages: 'mail-server' is a virtual package of exim, postfix
 --> ./corten.toml:1:23
  |
1 | packages = [\"libgl1\", \"mail-server\"]
  |                       ^^^^^^^^^^^^^
hint: ask for one of them
",
    );
    with("\"exim\", \"postfix\"");
    refuses(
        &service,
        "plan",
        2,
        "
error: choosing Debian packages: exim conflicts with postfix
 --> ./corten.toml:1:13
  |
1 | packages = [\"exim\", \"postfix\"]
  |             ^^^^^^
hint: leave one of the packages out
",
    );
    with("\"libGL.so.1\"");
    refuses(
        &service,
        "build",
        2,
        "
error: setting 'packages[0]' is 'libGL.so.1', expected the name of a Debian package such as \"libgl1\"
 --> ./corten.toml:1:13
  |
1 | packages = [\"libGL.so.1\"]
  |             ^^^^^^^^^^^^
",
    );
    with("\"libc-bin\"");
    refuses(
        &service,
        "build",
        2,
        "
error: adding packages to the base: libc-bin is in the base already, without its programs
 --> ./corten.toml:1:13
  |
1 | packages = [\"libc-bin\"]
  |             ^^^^^^^^^^
hint: variant = \"slim\" has the whole package
",
    );
    with("\"demanding\"");
    refuses(
        &service,
        "build",
        2,
        "
error: choosing Debian packages: demanding needs libc6 (>= 3), and the archive has nothing that fits
 --> ./corten.toml:1:13
  |
1 | packages = [\"demanding\"]
  |             ^^^^^^^^^^^
hint: leave one of the packages out
",
    );
}

#[test]
fn a_script_that_is_not_known_is_refused_by_name() {
    let service = Service::filled();
    service.archive.add(&extra());
    service.write("corten.toml", service.settings("packages = [\"libgl1\", \"strange\"]"));
    refuses(
        &service,
        "build",
        1,
        "
error: package strange: cannot do what its postinst does: curl http://x
 --> ./corten.toml:1:23
  |
1 | packages = [\"libgl1\", \"strange\"]
  |                       ^^^^^^^^^
hint: leave strange out, or take it as it is unpacked: allow-unconfigured = [\"strange\"]
",
    );
    // What brings it is told, where that is but one.
    service.write("corten.toml", service.settings("packages = [\"wrapper\"]"));
    refuses(
        &service,
        "build",
        1,
        "
error: package strange: cannot do what its postinst does: curl http://x
 --> ./corten.toml:1:13
  |
1 | packages = [\"wrapper\"]
  |             ^^^^^^^^^
hint: leave strange out, or take it as it is unpacked: allow-unconfigured = [\"strange\"]
",
    );
    service.write("corten.toml", service.settings("packages = [\"strange\"]\nallow-unconfigured = [\"strange\"]"));
    assert_eq!(service.run("build --format json").expect(0).json()["findings"], json!([]));
}

#[test]
fn a_package_that_is_known_to_need_its_script_is_refused_before_anything_is_fetched() {
    let service = Service::filled();
    service.archive.add(&extra());
    service.write("corten.toml", service.settings("packages = [\"locales\"]"));
    refuses(
        &service,
        "plan",
        1,
        "
error: package locales: cannot do what its postinst does: localedef would have to run: C.UTF-8 is in every base, and \
locales-all has every other
 --> ./corten.toml:1:13
  |
1 | packages = [\"locales\"]
  |             ^^^^^^^^^
hint: leave locales out, or take it as it is unpacked: allow-unconfigured = [\"locales\"]
",
    );
    let fetched = service.archive.server.server().asked();
    assert!(fetched.iter().all(|asked| !asked.path.contains("/pool/locales")), "its .deb is not fetched");
    service.write("corten.toml", service.settings("packages = [\"locales\"]\nallow-unconfigured = [\"locales\"]"));
    service.run("plan").expect(0);
}
