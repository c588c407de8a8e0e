//! `corten test`: an image whose Python runs, and a package that stands for pytest (pytest itself: the judges).

use std::fs;
use std::os::unix::fs::symlink;

use corten_oci::Digest;
use corten_testkit::command::Ran;
use corten_testkit::wheel::WheelBuilder;

use crate::dockerfile::Place;
use crate::ground::{contents, paths};
use crate::real;
use crate::service::Service;

/// Says what it sees, and ends with what the file of tests says.
const PYTEST: &str = r#"
import os, sys

options = os.environ["PYTEST_ADDOPTS"].split()
print("arguments", *sys.argv[1:])
print("user", os.getuid(), os.getcwd())
files = sorted(os.path.join(folder, name) for folder, _, names in os.walk("tests") for name in names)
print("tests", *files)
print("read-only", os.statvfs("tests").f_flag & os.ST_RDONLY)
print("variables", *(f"{name}={os.environ.get(name)}" for name in ["LEVEL", "PYTHONDONTWRITEBYTECODE", "COVERAGE_FILE"]))
for option in options:
    if option.startswith("--junitxml="):
        with open(option.split("=", 1)[1], "w") as report:
            report.write("<testsuites/>")
import service, tensor_is_of_the_image
"#;

/// A service with a group `test` in its lock, whose image runs; none on machines where none can be made.
fn tested(settings: &str) -> Option<Service> {
    let service = Service::new();
    service.archive.add(&real::packages()?);
    let image = WheelBuilder::new("fastapi", "0.115.0").file("fastapi/__init__.py", "class FastAPI: pass\n");
    let image = image.file("tensor_is_of_the_image.py", "");
    let pytest = WheelBuilder::new("pytest", "8.0").file("pytest/__init__.py", "");
    let pytest = pytest.file("pytest/__main__.py", format!("{PYTEST}exec(open('tests/test_one.py').read())\n"));
    let of = |builder: &WheelBuilder, name: &str, version: &str| {
        let (file, bytes) = (builder.file_name(), builder.build());
        service.index.add(name, &file, &bytes);
        format!(
            "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = {{ registry = \"{}\" }}\nwheels = [{{ url = \"{}\", hash = \"{}\", size = {} }}]\n",
            service.index.url().trim_end_matches('/'),
            service.index.file_url(&file),
            Digest::of(&bytes),
            bytes.len()
        )
    };
    let packages = of(&image, "fastapi", "0.115.0") + &of(&pytest, "pytest", "8.0");
    service.write("uv.lock", format!("version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n{packages}\n[[package]]\nname = \"service\"\nversion = \"1.3.0\"\nsource = {{ virtual = \".\" }}\ndependencies = [{{ name = \"fastapi\" }}]\n\n[package.dev-dependencies]\ntest = [{{ name = \"pytest\" }}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"fastapi\", specifier = \">=0.115\" }}]\n\n[package.metadata.requires-dev]\ntest = [{{ name = \"pytest\", specifier = \">=8\" }}]\n"));
    service.write("pyproject.toml", "[project]\nname = \"service\"\nversion = \"1.3.0\"\nrequires-python = \">=3.11\"\ndependencies = [\"fastapi>=0.115\"]\n[dependency-groups]\ntest = [\"pytest>=8\"]\n");
    service.write("corten.toml", service.settings("run = \"python app.py\"\n") + settings);
    fs::create_dir(service.folder().join("tests")).unwrap();
    service.write("tests/test_one.py", "print('ran')\n");
    Some(service)
}

/// What the tests said, without what is said of mounts.
fn lines(ran: &Ran) -> Vec<&str> {
    ran.stdout.lines().collect()
}

#[test]
fn tests_run_in_the_image_and_nothing_of_them_gets_into_it() {
    let settings =
        "[test]\npaths = [\"tests\"]\njunit = \"reports/junit.xml\"\nnetwork = \"none\"\nenv = { LEVEL = \"high\" }\n";
    let Some(service) = tested(settings) else { return };
    let before = service.digest("build");
    let blobs = paths(&service.corten.store().join("blobs"));
    let ran = service.run("test").expect(0);
    assert_eq!(
        lines(&ran),
        [
            "arguments tests",
            "user 10001 /app",
            "tests tests/test_one.py",
            "read-only 1",
            "variables LEVEL=high PYTHONDONTWRITEBYTECODE=1 COVERAGE_FILE=/tmp/.coverage",
            "ran",
        ],
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("beside  1 packages for tests  (the lock's group test)\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("test  python -m pytest tests  (in {before})\n")), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("JUnit report: ./reports/junit.xml\n"), "{}", ran.stderr);
    assert_eq!(service.read("reports/junit.xml"), "<testsuites/>");

    assert_eq!(service.digest("build"), before, "tests and their report are no part of it");
    let now = paths(&service.corten.store().join("blobs"));
    let new: Vec<_> = now.iter().filter(|path| !blobs.contains(path)).collect();
    assert_eq!(new.len(), 2, "a wheel and its layer: {new:?}");
    let again = service.run("test --offline").expect(0);
    assert!(!again.stderr.contains(" layer "), "{}", again.stderr);
    for left in ["containers", "tmp", "volumes"] {
        let left = service.corten.store().join(left);
        assert!(!left.exists() || contents(&left).is_empty(), "{}", left.display());
    }
    assert_eq!(service.run("store verify --format json").expect(0).json(), serde_json::json!({"problems": []}));
}

#[test]
fn the_status_is_the_tests_own_and_ours_is_125() {
    let Some(service) = tested("[test]\nnetwork = \"none\"\n") else { return };
    for status in [1, 5, 77] {
        service.write("tests/test_one.py", format!("sys.exit({status})\n"));
        service.run("test").expect(status);
    }
    service.write("tests/test_one.py", "os.kill(os.getpid(), 9)\n");
    service.run("test").expect(137);
    // Of the command line: options and tests for the command that there is, other words instead of it.
    service.write("tests/test_one.py", "");
    let ran = service.run("test -- -k one").expect(0);
    assert_eq!(lines(&ran)[0], "arguments tests -k one");
    let ran = service.run("test . -- tests/test_one.py::f -x").expect(0);
    assert_eq!(lines(&ran)[0], "arguments tests/test_one.py::f -x");
    assert_eq!(service.run("test -- python -c print(6*7)").expect(0).stdout, "42\n");
    let missing = service.run("test -- nothing").expect(127);
    assert!(missing.stderr.ends_with("error: cannot start nothing in the root file system: no such program, or the interpreter that it names is missing\n"), "{}", missing.stderr);
    // What cannot be built is not tested.
    service.edit("pyproject.toml", "fastapi>=0.115", "fastapi>=1");
    let ran = service.run("test").expect(125);
    assert!(ran.stderr.contains("error: uv.lock is out of step"), "{}", ran.stderr);
}

#[test]
fn a_command_of_the_settings_gets_the_arguments() {
    let Some(service) =
        tested("[test]\nnetwork = \"none\"\ncommand = [\"python\", \"-c\", \"import sys; print(sys.argv[1:])\"]\n")
    else {
        return;
    };
    assert_eq!(service.run("test").expect(0).stdout, "[]\n");
    assert_eq!(service.run("test -- --fast").expect(0).stdout, "['--fast']\n");
}

#[test]
fn what_keeps_tests_from_being_run_is_told() {
    let Some(service) = tested("[test]\npaths = [\"tests\", \"gone\"]\nnetwork = \"none\"\n") else { return };
    let said = |expected: &str| {
        let ran = service.run("test").expect(125);
        assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
    };
    let settings = service.read("corten.toml");
    let line = settings.lines().position(|line| line.starts_with("paths")).unwrap() + 1;
    said(&format!(
        "error: [test] paths: there is no ./gone\n  --> ./corten.toml:{line}:19\n   |\n{line} | paths = [\"tests\", \"gone\"]\n   |                   ^^^^^^\n"
    ));
    service.write("corten.toml", settings.replace("paths = [\"tests\", \"gone\"]", "groups = []"));
    said(
        "error: pytest is neither in the image nor in a group for tests, and no other command is set\nhint: the lock has these groups: test; say which with groups = […] under [test]\nhint: or write command = \"…\" under [test] in the settings\n",
    );
    service.write("corten.toml", settings.replace("paths = [\"tests\", \"gone\"]", "lock = \"requirements-dev.txt\""));
    service.write("requirements-dev.txt", format!("--index-url {}\nfastapi==0.115.1\n", service.index.url()));
    let newer = WheelBuilder::new("fastapi", "0.115.1").file("fastapi/__init__.py", "");
    service.index.add("fastapi", &newer.file_name(), &newer.build());
    said(
        "error: the tests would have fastapi 0.115.1 where the image has 0.115.0\nhint: lock both together: what is tested is the image, with the packages that it has\n",
    );
    service.write("Dockerfile", "FROM scratch\n");
    let ran = service.run("test --frontend dockerfile").expect(125);
    assert!(ran.stderr.ends_with("error: what is to be run? pytest is not in the image, and no command is set\nhint: write command = \"…\" under [test] in the settings, or corten test . -- COMMAND\nhint: a stage `FROM … AS test` with what tests need is taken by itself\n"), "{}", ran.stderr);
    let ran = service.run("test ./gone").expect(125);
    assert!(ran.stderr.starts_with("error: there is no folder ./gone\n"), "{}", ran.stderr);
    let ran = service.run("test --offline nothing -- true").expect(125);
    assert!(ran.stderr.contains("nothing is pulled: the store does not have it"), "{}", ran.stderr);
}

/// An image is taken as it is.
#[test]
fn flags_of_builds_are_refused_of_an_image() {
    let place = Place::new();
    for (flag, name) in [
        ("--secret id=a", "--secret"),
        ("--ssh default", "--ssh"),
        ("--target x", "--target"),
        ("--build-arg a=b", "--build-arg"),
        ("-f Dockerfile", "--file"),
        ("--no-cache", "--no-cache"),
        ("--locked", "--locked"),
        ("--group dev", "--group"),
    ] {
        let ran = place.run(&format!("test it:1 {flag} -- true")).expect(125);
        let said = format!(
            "error: {name} is for what is built, and it:1 is the name of an image\nhint: give the folder of a project: corten test path/to/project\n"
        );
        assert_eq!(ran.stderr, said);
    }
}

/// The report lies where the tests' programs may put anything.
#[test]
fn a_report_that_is_no_file_is_not_read() {
    let Some(service) = tested("[test]\nnetwork = \"none\"\njunit = \"junit.xml\"\n") else { return };
    service.write("secret", "of the host");
    let secret = service.folder().join("secret").canonicalize().unwrap();
    let link =
        format!("os.remove('/run/corten/junit.xml'); os.symlink('{}', '/run/corten/junit.xml')\n", secret.display());
    for (body, said) in [
        (link.as_str(), "the JUnit report cannot be read: "),
        (
            "os.remove('/run/corten/junit.xml'); os.mkfifo('/run/corten/junit.xml')\n",
            "what the tests wrote to /run/corten/junit.xml is no report: ",
        ),
        (
            "os.truncate('/run/corten/junit.xml', 1 << 30)\n",
            "what the tests wrote to /run/corten/junit.xml is no report: ",
        ),
        (
            "os.remove('/run/corten/junit.xml')\n",
            "the tests wrote no JUnit report: pytest does by itself, others to /run/corten/junit.xml\n",
        ),
    ] {
        service.write("tests/test_one.py", body);
        let ran = service.run("test").expect(0);
        assert!(ran.stderr.contains(said), "{body}: {}", ran.stderr);
        assert!(!service.folder().join("junit.xml").exists(), "{body}");
    }
    // Nor is one written through a link that lies at its place.
    symlink("secret", service.folder().join("junit.xml")).unwrap();
    service.write("tests/test_one.py", "");
    service.run("test").expect(0);
    assert_eq!((service.read("secret").as_str(), service.read("junit.xml").as_str()), ("of the host", "<testsuites/>"));
}

#[test]
fn a_command_runs_in_an_image_with_the_tests_mounted() {
    let Some(service) = tested("[test]\nnetwork = \"none\"\n") else { return };
    service.run("build -t it:1").expect(0);
    let before = service.run("inspect it:1 --format json").expect(0).stdout;
    let ran = service.run("test it:1 --junit r.xml -- python -c import_os;print(1)").expect(1);
    assert!(ran.stderr.contains("NameError"), "{}", ran.stderr);
    service.write(
        "tests/all.py",
        "import os, sys\nprint(os.getcwd(), os.listdir('tests'), os.environ['PYTEST_ADDOPTS'])\nsys.exit(3)\n",
    );
    let ran = service.run("test it:1 --junit r.xml -- python tests/all.py").expect(3);
    assert!(
        ran.stdout.starts_with("/app [")
            && ran.stdout.ends_with("-o cache_dir=/tmp/.pytest_cache --junitxml=/run/corten/junit.xml\n"),
        "{}",
        ran.stdout
    );
    let ran = service.run("test it:1").expect(125);
    assert_eq!(
        ran.stderr,
        "error: what is to be run in it:1?\nhint: corten test it:1 -- COMMAND, for instance python -m pytest\nhint: or write command = \"…\" under [test] in the settings\n"
    );
    assert_eq!(service.run("inspect it:1 --format json").expect(0).stdout, before);
}

/// The image is the Dockerfile's; what the lock has for tests lies over it, what it has for the image does not.
#[test]
fn a_dockerfiles_image_is_tested_with_packages_of_the_lock_over_it() {
    let settings =
        "[test]\npaths = [\"tests\"]\njunit = \"reports/junit.xml\"\nnetwork = \"none\"\nenv = { LEVEL = \"high\" }\n";
    let Some(service) = tested(settings) else { return };
    service.run("build -t it:1").expect(0);
    service.write("Dockerfile", "FROM it:1\nENV ADDED=1\n");
    let ran = service.run("test --frontend dockerfile").expect(0);
    assert_eq!(lines(&ran)[..3], ["arguments tests", "user 10001 /app", "tests tests/test_one.py"], "{}", ran.stderr);
    assert!(ran.stderr.contains("beside  1 packages for tests  (the lock's group test)\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("test  python3 -m pytest tests  (in sha256:"), "{}", ran.stderr);
    assert_eq!(service.read("reports/junit.xml"), "<testsuites/>");
    service.write("tests/test_one.py", "sys.exit(os.environ.get('ADDED') == '1' and 77)\n");
    service.run("test --frontend dockerfile").expect(77);

    // A Python without a virtual environment at our place, and without the lock's own packages.
    let text = "FROM it:1 AS whole\nFROM scratch\nCOPY --from=whole --exclude=opt / /\nENV PATH=/usr/bin:/bin PYTHONPATH=/app\nWORKDIR /app\n";
    service.write("Dockerfile", text);
    let ran = service.run("test --frontend dockerfile").expect(1);
    assert_eq!(lines(&ran)[..2], ["arguments tests", "user 0 /app"], "{}", ran.stderr);
    assert!(ran.stderr.contains("No module named 'tensor_is_of_the_image'"), "{}", ran.stderr);
    // What is installed as a program names a Python that is there.
    let path = "/opt/venv/bin/python -c print(__import__('os').path.realpath('/opt/venv/bin/python'))";
    let ran = service.run(&format!("test --frontend dockerfile . -- {path}")).expect(0);
    assert!(ran.stdout.starts_with("/usr/bin/python3."), "{}", ran.stdout);
    for left in ["containers", "tmp", "volumes"] {
        let left = service.corten.store().join(left);
        assert!(!left.exists() || contents(&left).is_empty(), "{}", left.display());
    }
}

#[test]
fn a_stage_for_tests_is_run_where_no_lock_has_them() {
    let Some(service) = tested("[test]\nnetwork = \"none\"\n") else { return };
    service.run("build -t it:1").expect(0);
    fs::remove_file(service.folder().join("uv.lock")).unwrap();
    let stage = |of: &str| service.write("Dockerfile", format!("FROM it:1 AS app\nFROM app AS Test\n{of}FROM app\n"));
    stage("CMD [\"python\", \"-c\", \"import sys; print('stage', sys.argv[1:]); sys.exit(3)\"]\n");
    assert_eq!(service.run("test --frontend dockerfile").expect(3).stdout, "stage []\n");
    assert_eq!(service.run("test --frontend dockerfile . -- -k one").expect(3).stdout, "stage ['-k', 'one']\n");
    assert_eq!(service.run("test --frontend dockerfile . -- python -c print(6*7)").expect(0).stdout, "42\n");
    stage("CMD exit 4\n");
    service.run("test --frontend dockerfile").expect(127);
    let ran = service.run("test --frontend dockerfile . -- -k one").expect(125);
    assert!(ran.stderr.ends_with("error: the CMD of the stage test is a line for a shell, and takes no arguments\nhint: write it as CMD [\"pytest\"], or write command = \"…\" under [test] in the settings\n"), "{}", ran.stderr);
    // Tests that are RUN have passed where the stage is built.
    stage("RUN [\"python\", \"-c\", \"print('tested')\"]\n");
    let ran = service.run("test --frontend dockerfile").expect(0);
    assert!(
        ran.stderr.ends_with("the stage test was built, and has no CMD of its own: its RUN are the tests\n"),
        "{}",
        ran.stderr
    );
    stage("RUN [\"python\", \"-c\", \"raise SystemExit(9)\"]\n");
    let ran = service.run("test --frontend dockerfile").expect(125);
    assert!(ran.stderr.contains("the command ended with status 9"), "{}", ran.stderr);
    // What a target is asked for is taken as it is.
    let ran = service.run("test --target app").expect(125);
    assert!(ran.stderr.contains("--target is for Dockerfiles"), "{}", ran.stderr);
    let ran = service.run("test --frontend dockerfile --target app").expect(125);
    assert!(ran.stderr.contains("error: what is to be run?"), "{}", ran.stderr);
    let ran = service.run("test -f - .").expect(125);
    assert!(ran.stderr.contains("error: corten test .: the tests are mounted from a folder\n"), "{}", ran.stderr);
}

/// An Alpine's Python takes other wheels than those of manylinux, and has pytest all the same; so nothing has passed before it ran.
#[test]
fn a_stage_with_pytest_has_not_passed_because_it_is_built() {
    let place = Place::with("FROM scratch AS test\nCOPY musl /\n");
    place.write("musl/lib/ld-musl-x86_64.so.1", "");
    place.write("musl/lib/ld-musl-aarch64.so.1", "");
    let metadata = "Metadata-Version: 2.1\nName: pytest\nVersion: 8.0\n";
    place.write("musl/usr/lib/python3.12/site-packages/pytest-8.0.dist-info/METADATA", metadata);
    let ran = place.run("test");
    assert_eq!(ran.status, 127, "{}", ran.stderr);
    assert!(ran.stderr.contains("python3"), "{}", ran.stderr);
    // Nor because the store is damaged.
    for blob in fs::read_dir(place.corten.store().join("blobs/sha256")).unwrap().flatten() {
        let bytes = fs::read(blob.path()).unwrap();
        if bytes.windows(metadata.len()).any(|part| part == metadata.as_bytes()) {
            fs::remove_file(blob.path()).unwrap();
            fs::write(blob.path(), &bytes[..1024]).unwrap();
        }
    }
    let ran = place.run("test").expect(125);
    assert!(ran.stderr.contains(" is damaged: "), "{}", ran.stderr);
}
