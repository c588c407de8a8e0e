//! Servers that lie, break off or are not there: status 3. Nothing is half published, and the next good run succeeds.

use corten_testkit::archive::Fault;
use serde_json::json;

use crate::archive::{LIBC, Release};
use crate::service::{Service, digest, wheels};
use crate::told::refuses;

/// Ships in vain, with `expected`; then heals the servers and ships.
#[track_caller]
fn recovers(service: &Service, expected: &str) {
    fails(service, expected);
    service.archive.server.heal();
    service.index.server().heal();
    works(service);
}

#[track_caller]
fn fails(service: &Service, expected: &str) {
    refuses(service, "ship --format json", 3, expected);
    assert_eq!(service.run("store verify --format json").expect(0).json(), json!({"problems": []}));
    assert_eq!(service.run("images --format json").expect(0).json(), json!([]));
    assert!(!service.corten.store().join("layouts/service").exists(), "a layout was begun");
}

#[track_caller]
fn works(service: &Service) {
    digest(&service.run("ship --format json"));
    assert_eq!(service.run("store verify --format json").expect(0).json(), json!({"problems": []}));
}

#[test]
fn a_wheel_with_other_bytes() {
    let service = Service::new();
    service.index.fault(&wheels()[0].file, Fault::WrongBytes);
    recovers(&service, "
error: downloading fastapi 0.115.0 from INDEX/files/fastapi-0.115.0-py3-none-any.whl: expected sha256:…, got sha256:…
hint: the file has changed since it was locked, or something on the way changes it; lock again only if you trust the new file
");
}

#[test]
fn a_wheel_of_another_length() {
    let service = Service::new();
    service.index.server().put(&format!("/files/{}", wheels()[0].file), "short");
    fails(&service, "
error: downloading fastapi 0.115.0 from INDEX/files/fastapi-0.115.0-py3-none-any.whl: expected 936 bytes, got 5 bytes
hint: the file has changed since it was locked, or something on the way changes it; lock again only if you trust the new file
");
    service.index.add("fastapi", &wheels()[0].file, &wheels()[0].bytes);
    works(&service);
}

#[test]
fn a_wheel_that_is_gone() {
    let service = Service::new();
    service.index.server().remove(&format!("/files/{}", wheels()[0].file));
    fails(&service, "
error: downloading fastapi 0.115.0: fetching INDEX/files/fastapi-0.115.0-py3-none-any.whl: the server answered 404 (not found)
hint: check the address; what it named may have been removed
");
    service.index.add("fastapi", &wheels()[0].file, &wheels()[0].bytes);
    works(&service);
}

#[test]
fn an_index_that_is_overloaded() {
    let service = Service::new();
    service.index.fault(&wheels()[0].file, Fault::Refused(503, 99));
    recovers(&service, "
error: downloading fastapi 0.115.0: fetching INDEX/files/fastapi-0.115.0-py3-none-any.whl: the server answered 503 (server unavailable)
hint: the server is overloaded or broken: try again later
");
}

#[test]
fn a_download_that_breaks_off_each_time() {
    let service = Service::new();
    service.index.fault(&wheels()[1].file, Fault::Truncated(1000));
    recovers(&service, "
error: downloading tensor 2.0 from INDEX/files/tensor-2.0-cp311-cp311-manylinux_2_17_x86_64.whl: the connection to 127.0.0.1:… broke, 4000 bytes came
hint: run again: what has come is kept, and the download goes on from there
");
}

#[test]
fn a_download_that_breaks_off_once_goes_on_by_itself() {
    let service = Service::new();
    service.index.fault(&wheels()[1].file, Fault::TruncatedOnce(500_000));
    works(&service);
}

#[test]
fn an_index_that_cannot_be_reached() {
    let service = Service::new();
    let lock = service.lock();
    service.write("uv.lock", lock.replace(&service.index.file_url(""), "http://127.0.0.1:9/"));
    fails(&service, "
error: downloading tensor 2.0: fetching http://127.0.0.1:9/tensor-2.0-cp311-cp311-manylinux_2_17_x86_64.whl: 127.0.0.1:9 refuses connections
hint: check the network and the proxy settings; with everything in the store, --offline works
");
    service.write("uv.lock", lock);
    works(&service);
}

#[test]
fn an_index_that_does_not_know_the_project() {
    let service = Service::new();
    service.remove("uv.lock");
    let hash = corten_oci::Digest::of("x");
    service.write("requirements.txt", format!("--index-url {}\nabsent==1.0 --hash={hash}\n", service.index.url()));
    fails(
        &service,
        "
error: the index INDEX/simple/ has no project absent
hint: check the name, and which index the project's lock or settings name for it
",
    );
    service.write("requirements.txt", format!("--index-url {}\nfastapi==0.115.0 --hash={hash}\n", service.index.url()));
    refuses(
        &service,
        "build",
        1,
        "
error: fastapi 0.115.0 cannot be installed: its index has no file with a hash of the lock
 --> ./requirements.txt:2:1
  |
2 | fastapi==0.115.0 --hash=sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: INDEX/simple/ does not serve this file (any more): lock again
",
    );
}

#[test]
fn an_archive_that_cannot_be_reached() {
    let service = Service::new();
    let settings = service.settings("");
    service.write("corten.toml", settings.replace(&service.archive.main(), "http://127.0.0.1:9/debian"));
    fails(&service, "
error: reading the archive's state of bookworm: fetching http://127.0.0.1:9/debian/dists/bookworm/InRelease: 127.0.0.1:9 refuses connections
hint: check the network and the proxy settings; with everything in the store, --offline works
");
    service.write("corten.toml", settings);
    works(&service);
}

#[test]
fn nothing_is_fetched_while_offline() {
    let service = Service::new();
    refuses(&service, "build --offline", 3, "
error: reading the archive's state of bookworm: fetching ARCHIVE/debian/dists/bookworm/InRelease: not allowed while offline
hint: leave out --offline, or fetch what is missing once with a network
");
    assert!(service.archive.server.server().asked().is_empty());
    let service = Service::filled();
    service.run("build --offline").expect(0);
}

#[test]
fn a_release_file_that_is_absent() {
    let service = Service::new();
    service.archive.server.remove("/debian/dists/bookworm/InRelease");
    fails(&service, "
error: reading the archive's state of bookworm: fetching ARCHIVE/debian/dists/bookworm/InRelease: the server answered 404 (not found)
hint: check the address; what it named may have been removed
");
    service.archive.publish("bookworm", Release::Right);
    works(&service);
}

#[test]
fn a_release_file_that_has_expired() {
    let service = Service::new();
    service.archive.publish("bookworm-security", Release::Expired);
    fails(
        &service,
        "
error: reading the archive's state of bookworm-security: the Release file expired … days ago
hint: the mirror is no longer updated, or the clock here is wrong: use another mirror
",
    );
    service.archive.publish("bookworm-security", Release::Right);
    works(&service);
}

#[test]
fn a_release_file_that_is_wrongly_signed() {
    let service = Service::new();
    service.archive.publish("bookworm", Release::WronglySigned);
    fails(
        &service,
        "
error: checking the signature of bookworm: no signature of it counts: … is not a key that may sign this
hint: something between here and the archive may change what it sends, or the mirror is not Debian's
hint: for an archive with other keys, name its keyring in the settings
",
    );
    service.archive.publish("bookworm", Release::Right);
    works(&service);
}

#[test]
fn a_release_file_that_was_changed_after_it_was_signed() {
    let service = Service::new();
    service.archive.tamper("bookworm");
    fails(
        &service,
        "
error: checking the signature of bookworm: no signature of it counts: …: the signature does not fit the text
hint: something between here and the archive may change what it sends, or the mirror is not Debian's
hint: for an archive with other keys, name its keyring in the settings
",
    );
    service.archive.publish("bookworm", Release::Right);
    works(&service);
}

#[test]
fn a_package_index_that_differs() {
    let service = Service::new();
    service.archive.server.fault("/debian/dists/bookworm/main/binary-amd64/Packages.xz", Fault::WrongBytes);
    recovers(&service, "
error: downloading package index of bookworm from ARCHIVE/debian/dists/bookworm/main/binary-amd64/Packages.xz: expected sha256:…, got sha256:…
hint: the file has changed since it was locked, or something on the way changes it; lock again only if you trust the new file
");
}

#[test]
fn a_deb_that_differs() {
    let service = Service::new();
    service.archive.server.fault(LIBC, Fault::WrongBytes);
    recovers(&service, "
error: downloading libc6 2.36-9 from ARCHIVE/debian/pool/libc6_2.36-9.deb: expected sha256:…, got sha256:…
hint: the file has changed since it was locked, or something on the way changes it; lock again only if you trust the new file
");
}

#[test]
fn a_deb_that_breaks_off() {
    let service = Service::new();
    service.archive.server.fault(LIBC, Fault::Truncated(100));
    recovers(&service, "
error: downloading libc6 2.36-9 from ARCHIVE/debian/pool/libc6_2.36-9.deb: the connection to 127.0.0.1:… broke, 400 bytes came
hint: run again: what has come is kept, and the download goes on from there
");
}

#[test]
fn a_deb_that_has_left_the_archive() {
    let service = Service::new();
    service.archive.server.remove(LIBC);
    fails(
        &service,
        "
error: fetching libc6 2.36-9: it is neither in the store nor in the archive
  caused by: fetching ARCHIVE/debian/pool/libc6_2.36-9.deb: the server answered 404 (not found)
hint: Debian removes superseded versions: `corten lock` renews the base's pins
hint: or set a snapshot service, which keeps old versions
",
    );
}
