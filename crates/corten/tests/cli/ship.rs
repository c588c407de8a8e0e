//! `ship`, `build` and `plan` of a good project: what they print and leave.

use crate::service::Service;

#[test]
fn a_filled_store_is_reused() {
    let service = Service::filled();
    let before = service.read("corten.lock");
    let ran = service.run("build --format json").expect(0);
    assert!(!ran.stderr.contains("download"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("layer base"), "{}", ran.stderr);
    assert_eq!(service.read("corten.lock"), before);
}
