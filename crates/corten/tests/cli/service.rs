//! A small service in a folder of its own, with everything that it is built from: archive, index, store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use corten_oci::Digest;
use corten_testkit::command::{Corten, Ran};
use corten_testkit::index::{Form, PackageIndex};
use corten_testkit::wheel::WheelBuilder;

use crate::archive::Archive;

/// A file of the index.
#[derive(Clone)]
pub struct Wheel {
    pub name: &'static str,
    pub version: &'static str,
    pub file: String,
    pub bytes: Vec<u8>,
}

impl Wheel {
    pub fn new(name: &'static str, version: &'static str, builder: &WheelBuilder) -> Self {
        Self { name, version, file: builder.file_name(), bytes: builder.build() }
    }
}

/// The project's dependencies: two small wheels, and one that is large enough for a layer of its own.
pub fn wheels() -> Vec<Wheel> {
    static WHEELS: OnceLock<Vec<Wheel>> = OnceLock::new();
    WHEELS.get_or_init(make_wheels).clone()
}

fn make_wheels() -> Vec<Wheel> {
    let fastapi = WheelBuilder::new("fastapi", "0.115.0")
        .file("fastapi/__init__.py", "class FastAPI: pass\n")
        .metadata("License-Expression: MIT");
    let uvicorn = WheelBuilder::new("uvicorn", "0.34.0")
        .file("uvicorn/__init__.py", "")
        .entry_points("[console_scripts]\nuvicorn = uvicorn:main\n");
    let tensor = WheelBuilder::new("tensor", "2.0")
        .platlib()
        .tag("cp311-cp311-manylinux_2_17_x86_64")
        .stored("tensor/core.bin", noise(1_200_000));
    vec![
        Wheel::new("fastapi", "0.115.0", &fastapi),
        Wheel::new("tensor", "2.0", &tensor),
        Wheel::new("uvicorn", "0.34.0", &uvicorn),
    ]
}

/// Bytes that do not compress, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// The service and its surroundings.
pub struct Service {
    pub archive: Archive,
    pub index: PackageIndex,
    pub corten: Corten,
    folder: tempfile::TempDir,
}

impl Service {
    /// Ready to ship, in no repository, with nothing downloaded.
    pub fn new() -> Self {
        let index = PackageIndex::start(Form::Json);
        for wheel in wheels() {
            index.add(wheel.name, &wheel.file, &wheel.bytes);
        }
        let service = Self { archive: Archive::start(), index, corten: corten(), folder: tempfile::tempdir().unwrap() };
        service.write_to(&service.folder());
        service
    }

    /// As after a first build: corten.lock is written, and the store has all that was downloaded and made. One build
    /// serves all tests.
    pub fn filled() -> Self {
        static TEMPLATE: OnceLock<Service> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let first = Self::new();
            first.run("build").expect(0);
            first
        });
        template.again()
    }

    /// Another one, whose store and corten.lock are this one's.
    pub fn again(&self) -> Self {
        let service = Self::new();
        copy_folder(&self.corten.store(), &service.corten.store());
        service.write("corten.lock", self.lock_for(&service));
        service
    }

    /// corten.lock of this project, as another would have it: it names the digest of uv.lock, and that names a port.
    fn lock_for(&self, other: &Self) -> String {
        let digest = |service: &Self| Digest::of(service.read("uv.lock").as_bytes()).to_string();
        self.read("corten.lock")
            .replace(&digest(self), &digest(other))
            .replace(&self.archive.main(), &other.archive.main())
            .replace(&self.archive.security(), &other.archive.security())
    }

    /// Writes the project's files into a folder.
    pub fn write_to(&self, folder: &Path) {
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pyproject.toml", PYPROJECT);
        write("corten.toml", &self.settings(""));
        write("uv.lock", &self.lock());
        write("app.py", APP);
        write("service/__init__.py", "");
        write("weights/model.onnx", "weights of a model\n");
        write("keys/archive.asc", &Archive::keyring());
    }

    /// corten.toml with more at its top.
    pub fn settings(&self, more: &str) -> String {
        format!(
            "{more}\nweights = [\"weights/*.onnx\"]\n\n[ignore]\npatterns = [\"keys\"]\n\n[archive]\nmain = \"{}\"\nsecurity = \"{}\"\nkeyring = \"keys/archive.asc\"\n",
            self.archive.main(),
            self.archive.security()
        )
    }

    /// uv.lock with the wheels of the index.
    pub fn lock(&self) -> String {
        self.lock_of(&wheels())
    }

    pub fn lock_of(&self, wheels: &[Wheel]) -> String {
        let packages: String = wheels.iter().map(|wheel| self.package(wheel)).collect();
        let named = |wheel: &Wheel| format!("{{ name = \"{}\" }}", wheel.name);
        let edges: Vec<String> = wheels.iter().map(named).collect();
        let asked = [("fastapi", ">=0.115"), ("tensor", ">=2"), ("uvicorn", ">=0.34")]
            .map(|(name, versions)| format!("{{ name = \"{name}\", specifier = \"{versions}\" }}"));
        format!(
            "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n{packages}\n[[package]]\nname = \"service\"\nversion = \"1.3.0\"\nsource = {{ virtual = \".\" }}\ndependencies = [{}]\n\n[package.metadata]\nrequires-dist = [{}]\n",
            edges.join(", "),
            asked.join(", ")
        )
    }

    fn package(&self, wheel: &Wheel) -> String {
        let kind = if wheel.file.ends_with(".whl") { "wheels = [" } else { "sdist = " };
        let end = if wheel.file.ends_with(".whl") { "]" } else { "" };
        format!(
            "\n[[package]]\nname = \"{}\"\nversion = \"{}\"\nsource = {{ registry = \"{}\" }}\n{kind}{{ url = \"{}\", hash = \"{}\", size = {} }}{end}\n",
            wheel.name,
            wheel.version,
            self.index.url().trim_end_matches('/'),
            self.index.file_url(&wheel.file),
            Digest::of(&wheel.bytes),
            wheel.bytes.len()
        )
    }

    /// The project.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("service")
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder().join(path), text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder().join(path)).unwrap()
    }

    /// Replaces a text in one of the project's files.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no '{from}'");
        self.write(path, text.replace(from, to));
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.folder().join(path)).unwrap();
    }

    /// Runs Corten in the project's folder; `line` is split at blanks.
    pub fn run(&self, line: &str) -> Ran {
        self.corten.run(&self.folder(), line.split_whitespace())
    }

    /// The digest that a command's JSON names.
    #[track_caller]
    pub fn digest(&self, line: &str) -> String {
        digest(&self.run(&format!("{line} --format json")))
    }

    pub fn git(&self, line: &str) {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(self.folder()).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        git.env("GIT_COMMITTER_DATE", "2026-11-21T10:00:00Z").env("GIT_AUTHOR_DATE", "2026-11-21T10:00:00Z");
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = git.args(line.split(' ')).output().unwrap();
        assert!(output.status.success(), "git {line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Copies a store, without unpacked layers: they are made again.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "tree" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// The program with a store of its own. Git looks for no repository above the folders of tests.
pub fn corten() -> Corten {
    let above = std::env::temp_dir();
    Corten::new(env!("CARGO_BIN_EXE_corten")).env("GIT_CEILING_DIRECTORIES", above.to_str().unwrap())
}

/// The digest that a run printed as JSON.
#[track_caller]
pub fn digest(ran: &Ran) -> String {
    assert_eq!(ran.status, 0, "stderr:\n{}", ran.stderr);
    ran.json()["digest"].as_str().unwrap().to_owned()
}

pub const PYPROJECT: &str = "\
[project]
name = \"service\"
version = \"1.3.0\"
requires-python = \">=3.11\"
dependencies = [
    \"fastapi>=0.115\",
    \"tensor>=2\",
    \"uvicorn>=0.34\",
]
";

const APP: &str = "\
from fastapi import FastAPI

app = FastAPI()


@app.get(\"/health\")
def health():
    return \"well\"
";
