//! Weights: fetched from an address, pinned in corten.lock; and those that run code when they are loaded.

use corten_oci::Digest;
use corten_testkit::archive::{Fault, FileServer};
use serde_json::json;

use crate::service::{Service, digest};
use crate::told::refuses;

const MODEL: &[u8] = b"tensors of a large model\n";

/// A server with a model, and a service whose settings name it.
fn with_model(table: &str) -> (FileServer, Service) {
    let (files, service) = (FileServer::start(), Service::filled());
    files.put("/models/model.onnx", MODEL);
    let weights =
        format!("weights = [\"weights/*.onnx\", {{ url = \"{}\", {table} }}]", files.url("/models/model.onnx"));
    service.write("corten.toml", service.settings("").replace("weights = [\"weights/*.onnx\"]", &weights));
    (files, service)
}

#[test]
fn weights_of_an_address_are_recorded_and_held_to_it() {
    let (files, service) = with_model("to = \"weights/big/model.onnx\"");
    let plan = service.run("plan --format json").expect(0).json();
    let fetched = json!({
        "path": "app/weights/big/model.onnx",
        "url": files.url("/models/model.onnx"),
        "digest": Digest::of(MODEL).to_string(),
        "bytes": MODEL.len(),
    });
    assert_eq!(plan["fetched"], json!([fetched]));
    let first = digest(&service.run("ship --format json"));
    let lock = service.read("corten.lock");
    assert!(lock.contains(&format!("digest = \"{}\"\nsize = {}", Digest::of(MODEL), MODEL.len())), "{lock}");
    let bill = service.run("sbom service").expect(0).json();
    let named = |package: &&serde_json::Value| package["name"] == "model.onnx";
    let listed = bill["packages"].as_array().unwrap().iter().find(named).unwrap_or_else(|| panic!("{bill}"));
    assert_eq!(listed["downloadLocation"], files.url("/models/model.onnx"));
    assert_eq!(listed["checksums"][0]["checksumValue"], Digest::of(MODEL).hex());

    // Nothing is asked again, and what the server has now does not count.
    files.put("/models/model.onnx", "other");
    let asked = files.server().asked().len();
    assert_eq!(digest(&service.run("ship --locked --offline --format json")), first);
    assert_eq!(files.server().asked().len(), asked);
    service.run("lock").expect(0);
    assert!(service.read("corten.lock").contains(&Digest::of("other").to_string()), "`corten lock` renews it");
}

#[test]
fn weights_with_a_hash_are_those_or_none() {
    let (files, service) =
        with_model(&format!("sha256 = \"{}\", to = \"/models/model.onnx\"", Digest::of(MODEL).hex()));
    refuses(
        &service,
        "build --locked",
        1,
        "
error: corten.lock would change: weights … are sha256:…
hint: run `corten lock`, or build without --locked, and commit corten.lock
",
    );
    files.fault("/models/model.onnx", Fault::WrongBytes);
    let told = service.run("build").expect(3).stderr;
    assert!(told.contains("downloading /models/model.onnx from") && told.contains("expected sha256:"), "{told}");
    files.heal();
    service.run("build").expect(0);
    let (_files, service) = with_model("to = \"weights/model.onnx\"");
    let told = service.run("build").expect(2).stderr;
    assert!(told.contains("two files of weights would become /app/weights/model.onnx"), "{told}");
}

#[test]
fn tables_that_are_wrong() {
    for (table, wrong) in [
        ("sha256 = \"00\", to = \"m\"", "setting 'weights[1].sha256' is '00', expected the 64 hexadecimal digits"),
        ("to = \"../m\"", "setting 'weights[1].to' is '../m', expected the path of a file"),
        ("to = \"m/\"", "setting 'weights[1].to' is 'm/', expected the path of a file"),
        ("too = \"m\"", "has no 'to'"),
    ] {
        let (_files, service) = with_model(table);
        let told = service.run("plan").expect(2).stderr;
        assert!(told.contains(wrong), "{table}: {told}");
    }
}

#[test]
fn pickles_are_a_finding_and_models_without_the_key_are_named() {
    let service = Service::filled();
    service.write("weights/model.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M");
    service.write("weights/plain.pt", "no pickle");
    let report = service.run("check --format json").expect(0).json();
    let found: Vec<_> = report["findings"].as_array().unwrap().iter().filter(|one| one["rule"] == "ML191").collect();
    assert_eq!(found.len(), 1, "{report}");
    assert!(found[0]["message"].as_str().unwrap().starts_with("'weights/model.pt' is a pickle"), "{report}");

    service.write("model.onnx", vec![0; 300_000]);
    let plan = service.run("plan").expect(0).stdout;
    assert!(!plan.contains("MODELS IN THE APP LAYER"), "weights are set: {plan}");
    service.write("corten.toml", service.settings("").replace("weights = [\"weights/*.onnx\"]", ""));
    let plan = service.run("plan").expect(0).stdout;
    assert!(plan.contains("MODELS IN THE APP LAYER /app/model.onnx (300.0 kB)"), "{plan}");
}
