//! `corten base`: the list, and bases that are made for other projects.

use serde_json::Value;

use crate::service::Service;
use crate::told::refuses;

fn layers(built: &Value) -> Vec<String> {
    let what = |layer: &Value| layer["what"].as_str().unwrap().to_owned();
    built["layers"].as_array().unwrap().iter().map(what).collect()
}

#[test]
fn the_bases_that_there_are() {
    let service = Service::new();
    let listed = service.run("base list").expect(0).stdout;
    for said in
        ["debian:bookworm  distroless  3.11.2  23.1 MB", "debian:trixie    slim        3.13.5", "slim: programs that"]
    {
        assert!(listed.contains(said), "no {said} in\n{listed}");
    }
    let listed = service.run("base list --format json").expect(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[3]["glibc"], "2.41");
}

#[test]
fn a_base_has_packages_and_nothing_of_the_project() {
    let service = Service::filled();
    let first = service.run("base build --format json").expect(0).json();
    assert_eq!(first["reference"], "service-base:latest");
    let what = layers(&first);
    assert!(what.iter().any(|what| what == "tensor 2.0") && what[0].starts_with("base debian:bookworm"), "{what:?}");
    assert!(what.iter().all(|what| what != "app" && what != "weights"), "{what:?}");
    let lock = service.read("corten.lock");
    // Neither version nor commit nor source is in it.
    service.edit("pyproject.toml", "1.3.0", "1.4.0");
    service.edit("uv.lock", "\"1.3.0\"", "\"1.4.0\"");
    service.edit("app.py", "well", "fine");
    service.git("init --quiet");
    service.git("add app.py");
    service.git("commit --quiet --message one");
    let second = service.run("base build --name other:2 --format json").expect(0).json();
    assert_eq!(second["reference"], "other:2");
    assert_eq!(first["digest"], second["digest"]);
    assert!(service.run("images").stdout.contains("service-base"));
    assert_eq!(lock.lines().count(), service.read("corten.lock").lines().count());

    let some = service.run("base build --only tensor --format json").expect(0).json();
    assert!(layers(&some).iter().all(|what| !what.contains("fastapi")), "{some}");
    assert!(layers(&some).iter().any(|what| what == "tensor 2.0"), "{some}");
    let bare = service.run("base build --bare --format json").expect(0).json();
    assert_eq!(layers(&bare).len(), 2, "{bare}");
    refuses(
        &service,
        "base build --only numpy",
        2,
        r#"
error: --only numpy: uv.lock does not install it here
hint: it installs: fastapi, tensor, uvicorn
"#,
    );
    let ran = service.run("base build --only numpy --bare");
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    refuses(
        &service,
        "base build --name UP",
        2,
        "error: --name 'UP': repository 'UP' is not valid: components are lower-case letters and digits, joined by '.', '_', '__' or '-'",
    );
}
