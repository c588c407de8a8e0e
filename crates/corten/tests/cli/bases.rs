//! Which base a project gets, with its Python, and what it is told about that.

use corten_testkit::wheel::WheelBuilder;

use crate::service::{Service, wheels};
use crate::told::refuses;

/// Base, full version of Python, and why, of a plan.
#[track_caller]
fn chosen(service: &Service) -> (String, String, String) {
    let ran = service.run("plan --format json");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let plan = ran.json();
    let why = ran.stderr.lines().find_map(|line| line.trim_start().strip_prefix("python  "));
    let why = why.unwrap_or_else(|| panic!("{}", ran.stderr));
    (plan["base"]["reference"].as_str().unwrap().into(), plan["python"].as_str().unwrap().into(), why.into())
}

/// A service whose one compiled wheel is for this Python.
pub fn for_python(tag: &str) -> Service {
    let service = Service::new();
    let mut wheels = wheels();
    let tensor = WheelBuilder::new("tensor", "2.0").platlib().tag(tag).file("tensor/core.bin", "x");
    wheels[1].file = tensor.file_name();
    wheels[1].bytes = tensor.build();
    service.index.add("tensor", &wheels[1].file, &wheels[1].bytes);
    service.write("uv.lock", service.lock_of(&wheels));
    service
}

/// Leaves the packages that have wheels for every Python.
pub fn without_tensor(service: &Service) {
    let pure: Vec<_> = wheels().into_iter().filter(|wheel| wheel.name != "tensor").collect();
    let lock = service.lock_of(&pure).replace(", { name = \"tensor\", specifier = \">=2\" }", "");
    service.write("uv.lock", lock);
    service.edit("pyproject.toml", "    \"tensor>=2\",\n", "");
}

const TRIXIE: &str = "cp313-cp313-manylinux_2_17_x86_64";

#[test]
fn the_wheels_of_the_lock_decide_and_corten_lock_keeps_it() {
    let service = for_python(TRIXIE);
    let (base, python, why) = chosen(&service);
    assert_eq!((&*base, &*python), ("debian:trixie", "3.13.5"));
    assert!(why.contains("each of the 3 packages has a wheel for it"), "{why}");
    service.run("build").expect(0);
    let lock = service.read("corten.lock");
    assert!(lock.contains("reference = \"debian:trixie\"") && lock.contains("python3.13-minimal"), "{lock}");
    assert!(chosen(&service).2.contains("pinned in corten.lock"));
    service.run("build --locked").expect(0);
    // What both have wheels for is no reason to leave what is pinned; `corten lock` looks again.
    without_tensor(&service);
    assert_eq!(chosen(&service).0, "debian:trixie");
    service.run("lock").expect(0);
    let (base, python, why) = chosen(&service);
    assert_eq!((&*base, &*python), ("debian:bookworm", "3.11.2"), "{why}");
}

#[test]
fn what_people_wrote_comes_before_wheels() {
    let service = Service::new();
    service.write(".python-version", "# ours\n3.13\n");
    without_tensor(&service);
    let (base, _, why) = chosen(&service);
    assert_eq!(base, "debian:trixie");
    assert!(why.contains(".python-version says 3.13"), "{why}");

    service.write("corten.toml", service.settings("python = \"3.11\""));
    let (base, _, why) = chosen(&service);
    assert_eq!(base, "debian:bookworm");
    assert!(why.contains("set at ./corten.toml:1:10"), "{why}");

    service.write("corten.toml", service.settings("base = \"debian:bookworm\""));
    let ran = service.run("plan");
    assert!(ran.stderr.contains(".python-version says 3.13, which debian:bookworm does not have"), "{}", ran.stderr);
    assert!(ran.stderr.contains("which is named at ./corten.toml:1:8"), "{}", ran.stderr);

    service.write("corten.toml", service.settings(""));
    service.write(".python-version", "3.12\n");
    let ran = service.run("plan");
    assert!(ran.stderr.contains(".python-version says 3.12, which no base has"), "{}", ran.stderr);
    assert_eq!(chosen(&service).0, "debian:bookworm");

    service.edit("pyproject.toml", ">=3.11", ">=3.12");
    service.edit("uv.lock", ">=3.11", ">=3.12");
    let (base, python, _) = chosen(&service);
    assert_eq!((&*base, &*python), ("debian:trixie", "3.13.5"), "bookworm's is too old");
}

#[test]
fn settings_that_contradict_each_other() {
    let service = Service::new();
    service.write("corten.toml", service.settings("base = \"debian:bookworm\"\npython = \"3.13\""));
    refuses(
        &service,
        "build",
        2,
        r#"
error: the settings ask for Python 3.13, which debian:bookworm does not have
 --> ./corten.toml:2:10
  |
2 | python = "3.13"
  |          ^^^^^^
hint: debian:bookworm has Python 3.11, debian:trixie has Python 3.13
"#,
    );
    service.write("corten.toml", service.settings("base = \"debian:bookworm\""));
    service.edit("pyproject.toml", ">=3.11", ">=3.12");
    service.edit("uv.lock", ">=3.11", ">=3.12");
    refuses(
        &service,
        "build",
        1,
        r#"
error: the project requires Python >=3.12, debian:bookworm has 3.11.2
 --> ./pyproject.toml:4:19
  |
4 | requires-python = ">=3.12"
  |                   ^^^^^^^^
hint: debian:bookworm has Python 3.11, debian:trixie has Python 3.13
"#,
    );
}
