//! Source distributions whose backend runs, as the whole program builds them: in a base that runs, from a lock to an image.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use corten_testkit::wheel::WheelBuilder;

use crate::archive::Extra;
use crate::real;
use crate::sdists::{FILE, sdist};
use crate::service::{Service, Wheel, digest, wheels};
use crate::told::refuses;

/// A backend in the project's own tree; `value` is what the module holds that it builds.
const BACKEND: &str = r#"
import base64, hashlib, os, socket, subprocess, sys, time, zipfile


def wheel(folder, value):
    name = "tensor-2.0-py3-none-any.whl"
    info = "tensor-2.0.dist-info/"
    files = {
        "tensor.py": f"made = {value!r}\n",
        info + "METADATA": "Metadata-Version: 2.1\nName: tensor\nVersion: 2.0\n",
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        lines.append(f"{path},sha256={digest},{len(text)}\n")
    files[info + "RECORD"] = "".join(lines) + f"{info}RECORD,,\n"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return name


def build_wheel(folder, settings, metadata):
"#;

const PYPROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \"tensor\"\nversion = \"2.0\"\n";

/// A source distribution whose `build_wheel` has this body.
fn source(body: &str) -> Vec<u8> {
    let files = project(body).map(|(path, text)| (format!("tensor-2.0/{path}"), text));
    sdist(&files.each_ref().map(|(path, text)| (path.as_str(), text.as_str())), &[])
}

/// The files of a project whose `build_wheel` has this body.
pub fn project(body: &str) -> [(String, String); 2] {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    [("pyproject.toml".to_owned(), PYPROJECT.to_owned()), ("backend.py".to_owned(), format!("{BACKEND}{body}"))]
}

/// A package for builds: its program says something, and nobody knows its script.
fn tool() -> Extra {
    let text = "#!/bin/sh\necho made by a tool\n";
    Extra {
        name: "tool",
        postinst: "#!/bin/sh\ncurl http://x\n",
        files: vec![("usr/bin/tool", text.into())],
        ..Extra::default()
    }
}

/// A service whose tensor has to be built, with all that it is built in; none where nothing can be built.
pub fn building(body: &str) -> Option<Service> {
    static TEMPLATE: OnceLock<Option<Service>> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let service = Service::new();
        service.archive.add(&real::packages()?.into_iter().chain([tool()]).collect::<Vec<_>>());
        service.write("corten.toml", settings(&service));
        lock(&service, &source("return wheel(folder, 'first')"));
        service.run("build").expect(0);
        Some(service)
    });
    let service = template.as_ref()?.again();
    service.write("corten.toml", settings(&service));
    lock(&service, &source(body));
    Some(service)
}

fn settings(service: &Service) -> String {
    service.settings("build-packages = [\"tool\"]")
}

/// Locks a source distribution for tensor.
fn lock(service: &Service, bytes: &[u8]) {
    let mut wheels = wheels();
    service.index.add("tensor", FILE, bytes);
    wheels[1] = Wheel { file: FILE.to_owned(), bytes: bytes.to_vec(), ..wheels[1].clone() };
    service.write("uv.lock", service.lock_of(&wheels));
}

/// What the built tensor says.
#[track_caller]
pub fn made(service: &Service) -> String {
    let built = service.run("build --format json").expect(0).json();
    let mut layers = built["layers"].as_array().unwrap().iter();
    let layer = layers.find(|layer| layer["what"] == "tensor 2.0, built from source").unwrap();
    let blob = layer["digest"].as_str().unwrap().replace(':', "/");
    let blob = std::fs::File::open(service.corten.store().join("blobs").join(blob)).unwrap();
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().find_map(|line| line.split_once("made = ")).unwrap().1.to_owned()
}

#[test]
fn a_build_runs_in_a_base_with_the_packages_for_builds() {
    let body = "return wheel(folder, subprocess.check_output(['tool'], text=True))";
    let Some(service) = building(body) else { return };
    let first = digest(&service.run("build --format json"));
    assert_eq!(
        digest(&service.run("build --format json --no-cache --offline --locked")),
        first,
        "the same bytes again"
    );
    // What builds stand on is unpacked once: base, packages, and nothing of the image.
    let layers = service.corten.store().join("layers");
    let trees = |layers: &std::path::Path| {
        let folders = std::fs::read_dir(layers).unwrap().map(|entry| entry.unwrap().path().join("tree"));
        let mut found: Vec<_> = folders.filter_map(|tree| Some(tree.metadata().ok()?.ino())).collect();
        found.sort_unstable();
        found
    };
    let unpacked = trees(&layers);
    assert_eq!(unpacked.len(), 2);
    let lock = service.read("corten.lock");
    let (base, build) = lock.split_once("\n[build.base]").unwrap();
    assert!(build.contains("name = \"tool\"") && !base.contains("tool"), "{lock}");
    assert_eq!(made(&service), r"'made by a tool\n'");
    self::lock(&service, &source("return wheel(folder, 'another')"));
    assert_eq!((made(&service).as_str(), trees(&layers)), ("'another'", unpacked));
}

/// What is said of a build whose `build_wheel` has this body, besides its output, which begins with `output`.
#[track_caller]
fn fails(body: &str, said: &str, hint: &str) {
    let Some(service) = building(body) else { return };
    service.archive.add(&headers());
    let output: String = said.lines().skip(1).map(|line| format!("         | {line}\n")).collect();
    let why = said.lines().next().unwrap();
    refuses(
        &service,
        "build",
        1,
        &format!(
            "\nerror: building tensor 2.0 from tensor-2.0.tar.gz: {why}\n{output}  --> ./uv.lock:12:1\n   |\n12 | name = \"tensor\"\n   | ^^^^^^^^^^^^^^^\nhint: {hint}\n"
        ),
    );
}

/// Packages that the archive's list of files names.
fn headers() -> Vec<Extra> {
    let package = |name, path| Extra { name, files: vec![(path, b"x".to_vec())], ..Extra::default() };
    vec![
        package("libicu-dev", "usr/include/unicode/utypes.h"),
        package("libpq-dev", "usr/lib/x86_64-linux-gnu/pkgconfig/libpq.pc"),
        package("swig", "usr/bin/swig"),
    ]
}

/// Ends a build with this text.
fn says(text: &str) -> String {
    format!("os.write(2, {text:?}.encode())\nos._exit(1)")
}

#[test]
fn what_a_build_lacks_is_named_with_its_package() {
    const HEADER: &str = "x.cpp:1:10: fatal error: unicode/utypes.h: No such file or directory";
    const MODULE: &str = "No package 'libpq' found";
    let ended = |line: &str| format!("it ended with status 1\n{line}");
    let lacks = |what: &str, deb: &str| {
        format!("it lacks {what}, which Debian's package {deb} has: build-packages = [\"{deb}\"]")
    };
    fails(&says(HEADER), &ended(HEADER), &lacks("the header unicode/utypes.h", "libicu-dev"));
    fails(&says(MODULE), &ended(MODULE), &lacks("libpq.pc, which pkg-config reads", "libpq-dev"));
    fails(
        "raise SystemExit(f'sh: 1: swig: not found')",
        "it ended with status 1\nsh: 1: swig: not found",
        &lacks("the program swig", "swig"),
    );
    fails(
        "try:\n    subprocess.run(['gcc'])\nexcept OSError as error:\n    raise SystemExit(str(error))",
        "it ended with status 1\n[Errno 2] No such file or directory: 'gcc'",
        &lacks("the program gcc", "build-essential"),
    );
    fails(&says("absent.h"), &ended("absent.h"), OTHERWISE);
}

const OTHERWISE: &str = "take a version of the package that has a wheel; a build has no network, and of programs those of \
                         `build-packages`: C needs build-packages = [\"build-essential\", \"python3-dev\"]";

#[test]
fn without_the_archive_a_failed_build_is_told_all_the_same() {
    let Some(service) = building(&says("x.c:1:1: fatal error: absent.h: No such file or directory")) else { return };
    let ran = service.run("build");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(OTHERWISE), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning  which Debian package has the header absent.h is not known: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn build_requirements_that_exclude_each_other_are_named() {
    let Some(service) = building("pass") else { return };
    let requires = PYPROJECT.replace("requires = []", "requires = [\"alpha\", \"beta>=2\"]");
    lock(&service, &sdist(&[("tensor-2.0/pyproject.toml", &requires), ("tensor-2.0/backend.py", BACKEND)], &[]));
    for (name, version, more) in
        [("alpha", "1.0", ""), ("alpha", "2.0", "Requires-Dist: beta<2"), ("beta", "1.0", ""), ("beta", "2.0", "")]
    {
        let wheel = WheelBuilder::new(name, version).file(&format!("{name}.py"), "").metadata(more);
        service.index.add(name, &wheel.file_name(), &wheel.build());
    }
    let index = format!("index.url = \"{}\"", service.index.url());
    service.write("corten.toml", service.settings(&format!("{index}\nbuild-packages = [\"tool\"]")));
    refuses(
        &service,
        "build",
        1,
        r#"
error: finding what building tensor 2.0 needs: no version of beta (>=2, <2) has a wheel for Python 3.11 on linux/amd64 with glibc 2.36
  --> ./uv.lock:12:1
   |
12 | name = "tensor"
   | ^^^^^^^^^^^^^^^
hint: build requirements are taken from wheels only
hint: the newest version of each requirement is taken and none before it is tried: lock a version of the package with a wheel, or one that bounds its build requirements
"#,
    );
}
