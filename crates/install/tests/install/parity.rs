//! File by file against `uv pip install`: a venv made by uv, and the layer made from the same wheels.
//!
//! Differences that are meant (the list is ours to keep short):
//!
//! | file | uv | here |
//! |---|---|---|
//! | `INSTALLER` | `uv` | `corten` |
//! | `REQUESTED`, `uv_cache.json`, `direct_url.json` | written | not for wheels of an index |
//! | `RECORD` | sorted anew | lines added; compared as a set of paths |
//! | `bin/activate*` and the like, `.lock`, `.gitignore`, `CACHEDIR.TAG` | written | not needed in an image |
//! | `pyvenv.cfg`, `bin/python*`, `lib64` | written | in the generated layer |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use corten_diagnostic::Nobody;
use corten_install::fetch::{Download, fetch_all};
use corten_install::python::index::{IndexFile, files as files_of};
use corten_install::python::{InstallTarget, WheelSource, convert, requirements_met};
use corten_net::{Client, Settings};
use corten_oci::Architecture;
use corten_package::PackageName;
use corten_package::marker::Environment;
use corten_package::pep440::Version;
use corten_package::wheel::{Tags, WheelName};
use corten_store::Store;

use crate::wheel::{Unpacked, files, source_of};

const UV: &str = "uv==0.13.9";
/// What people install, with all that it needs (some 140 wheels), and small ones that have what is odd: scripts, data
/// files, headers, CRLF in RECORD.
const POPULAR: &[&str] = &[
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "transformers",
    "onnxruntime",
    "pillow",
    "grpcio",
    "jupyterlab",
    "fastapi",
    "uvicorn[standard]",
    "argcomplete",
    "greenlet",
    "pytz",
];
/// Fewer would not be the comparison that is promised.
const LEAST: usize = 40;

fn run(command: &mut Command) -> Result<String, String> {
    let ran = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&ran.stderr)))
}

/// A venv with uv in it, kept between runs.
fn uv() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(UV);
    let program = folder.join("bin/uv");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "-q", UV]))?;
    }
    Ok(program)
}

/// What uv has installed, and the same wheels, found in the index and downloaded by ourselves.
struct Judge {
    folder: tempfile::TempDir,
    venv: PathBuf,
    wheels: Vec<Wheel>,
    python: (u32, u32),
    environment: Environment,
}

struct Wheel {
    name: WheelName,
    file: IndexFile,
}

impl Judge {
    fn new(packages: &[&str]) -> Result<Self, String> {
        let uv = uv()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let venv = folder.path().join("venv");
        run(Command::new(&uv).args(["venv", "-q", "--python", "python3"]).arg(&venv))?;
        let python = venv.join("bin/python");
        run(Command::new(&uv)
            .args(["pip", "install", "-q", "--only-binary", ":all:", "--python"])
            .arg(&python)
            .args(packages))?;
        let frozen = run(Command::new(&uv).args(["pip", "freeze", "--python"]).arg(&python))?;
        let code = "import sys, platform; print(platform.python_version(), platform.libc_ver()[1])";
        let versions = run(Command::new(&python).args(["-c", code]))?;
        let versions: Vec<&str> = versions.split_whitespace().collect();
        let [full_version, glibc] = versions[..] else { return Err(format!("Python says {versions:?}")) };
        let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse().ok());
        let (Some(python), Some(glibc)) = (minor(full_version), minor(glibc)) else {
            return Err(format!("Python says {versions:?}"));
        };
        let architecture = if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::Amd64 };
        let tags = Tags::new((3, python), (2, glibc), architecture);
        let client = Client::new(Settings::default());
        let wheels = find_all(&client, &frozen, &tags)?;
        Ok(Self {
            folder,
            venv,
            wheels,
            python: (3, python),
            environment: Environment::new(full_version, architecture),
        })
    }

    /// Downloads into a store, 6 at a time.
    fn sources(&self) -> Result<Vec<WheelSource>, String> {
        let store = Store::open(self.folder.path().join("store")).map_err(|error| error.to_string())?;
        let client = Client::new(Settings::default());
        let downloads: Result<Vec<Download>, String> = self.wheels.iter().map(Wheel::download).collect();
        fetch_all(&client, &store, &downloads?, 6, &Nobody).map_err(|error| error.to_string())?;
        let source = |wheel: &Wheel| {
            let digest = wheel.file.digest.ok_or("no digest")?;
            let file = store.file(&digest).map_err(|error| error.to_string())?;
            Ok(source_of(wheel.name.name.as_str(), &wheel.name.version.to_string(), file))
        };
        self.wheels.iter().map(source).collect()
    }
}

impl Wheel {
    fn download(&self) -> Result<Download, String> {
        let IndexFile { file, url, digest, size, .. } = self.file.clone();
        let digest = digest.ok_or_else(|| format!("the index gives no SHA-256 of {file}"))?;
        Ok(Download { urls: vec![url], digest, size, what: file })
    }
}

/// The best wheel of each frozen line, several asked for at a time.
fn find_all(client: &Client, frozen: &str, tags: &Tags) -> Result<Vec<Wheel>, String> {
    let lines: Vec<&str> = frozen.lines().collect();
    let parts: Vec<Result<Vec<Wheel>, String>> = thread::scope(|scope| {
        let threads: Vec<_> = lines
            .chunks(lines.len().div_ceil(8).max(1))
            .map(|lines| scope.spawn(move || lines.iter().map(|line| find(client, line, tags)).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    Ok(parts.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The best wheel of a `name==version`.
fn find(client: &Client, line: &str, tags: &Tags) -> Result<Wheel, String> {
    let (name, version) = line.split_once("==").ok_or_else(|| format!("frozen line '{line}'"))?;
    let name = PackageName::new(name).map_err(|error| error.to_string())?;
    let version: Version = version.parse().map_err(|_| format!("version '{version}'"))?;
    let files =
        files_of(client, "https://pypi.org/simple", name.as_str(), &Nobody).map_err(|error| error.to_string())?;
    files
        .into_iter()
        .filter_map(|file| Some(Wheel { name: WheelName::parse(&file.file).ok()?, file }))
        .filter(|wheel| wheel.name.version == version && tags.priority(&wheel.name).is_some())
        .max_by_key(|wheel| tags.priority(&wheel.name))
        .ok_or_else(|| format!("no wheel of {line} fits"))
}

/// What was found to differ, a line each.
fn differences(judge: &Judge) -> Vec<String> {
    let target = InstallTarget { prefix: "opt/venv".to_owned(), python: judge.python };
    let sources = judge.sources().unwrap();
    let (blob, _, reports) = convert(&sources, &target, Vec::new()).unwrap();
    let metadata: Vec<_> = reports.into_iter().map(|report| report.metadata).collect();
    assert_eq!(requirements_met(&metadata, &judge.environment), [], "what uv has resolved fits together");
    let ours = Unpacked::new(&blob);
    compare(&files(&judge.venv), &files(&ours.root().join("opt/venv")), &judge.venv)
}

fn compare(theirs: &BTreeMap<String, PathBuf>, ours: &BTreeMap<String, PathBuf>, venv: &Path) -> Vec<String> {
    let mut differing = Vec::new();
    let theirs: BTreeMap<_, _> = theirs.iter().filter(|(name, _)| !is_environments(name)).collect();
    for (name, path) in &theirs {
        match ours.get(*name) {
            None => differing.push(format!("{name}: only uv has it")),
            Some(own) => differing.extend(compare_file(name, path, own, venv)),
        }
    }
    differing.extend(ours.keys().filter(|name| !theirs.contains_key(name)).map(|name| format!("{name}: only here")));
    differing
}

/// Files of the environment itself, and those that only uv writes.
fn is_environments(name: &str) -> bool {
    let dist_info = is_in_dist_info(name, &["REQUESTED", "uv_cache.json", "direct_url.json"]);
    let program = name.strip_prefix("bin/").is_some_and(|file| {
        let activate = file == "activate" || file.starts_with("activate.") || file == "activate_this.py";
        let interpreter = matches!(file, "python" | "python3") || file.starts_with("python3.");
        activate || interpreter || matches!(file, "deactivate.bat" | "pydoc.bat")
    });
    dist_info || program || matches!(name, ".lock" | ".gitignore" | "CACHEDIR.TAG" | "pyvenv.cfg" | "lib64")
}

/// Directly in the dist-info folder of an installed distribution, not in one that is vendored.
fn is_in_dist_info(name: &str, files: &[&str]) -> bool {
    let inside = name.split_once("/site-packages/").and_then(|(_, inside)| inside.split_once(".dist-info/"));
    inside.is_some_and(|(folder, file)| !folder.contains('/') && files.contains(&file))
}

fn compare_file(name: &str, theirs: &Path, ours: &Path, venv: &Path) -> Option<String> {
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    let (their_mode, our_mode) = (mode(theirs), mode(ours));
    if their_mode != our_mode {
        return Some(format!("{name}: mode {their_mode:o} by uv, {our_mode:o} here"));
    }
    let (their_bytes, our_bytes) = (fs::read(theirs).unwrap(), fs::read(ours).unwrap());
    if is_in_dist_info(name, &["RECORD"]) {
        let (theirs, ours) = (recorded(&their_bytes), recorded(&our_bytes));
        let odd: Vec<_> = theirs.symmetric_difference(&ours).collect();
        return (!odd.is_empty()).then(|| format!("{name}: {odd:?}"));
    }
    if is_in_dist_info(name, &["INSTALLER"]) {
        return (our_bytes != b"corten\n").then(|| format!("{name}: is not ours"));
    }
    let shebang = format!("#!{}/bin/python", venv.display());
    let expected = match their_bytes.strip_prefix(shebang.as_bytes()) {
        Some(rest) => [b"#!/opt/venv/bin/python", rest].concat(),
        None => their_bytes,
    };
    (expected != our_bytes).then(|| format!("{name}: other bytes"))
}

/// Paths that RECORD names; with hash and size, but for what is written by the installer.
fn recorded(record: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(record).replace('\r', "");
    let lines = text
        .lines()
        .filter(|line| !["/REQUESTED,", "/uv_cache.json,", "/direct_url.json,"].iter().any(|own| line.contains(own)));
    let own = |line: &str| {
        line.starts_with("../../../bin/")
            || line.contains(".dist-info/INSTALLER,")
            || line.contains(".dist-info/RECORD")
    };
    lines
        .map(|line| if own(line) { line.split(',').next().unwrap_or_default().to_owned() } else { line.to_owned() })
        .collect()
}

/// `CORTEN_PARITY`: other packages than these, separated by blanks, for the long run by hand.
#[test]
fn a_layer_has_the_files_that_uv_installs() {
    let asked = std::env::var("CORTEN_PARITY").unwrap_or_default();
    let packages: Vec<&str> = if asked.is_empty() { POPULAR.to_vec() } else { asked.split_whitespace().collect() };
    let judge = match Judge::new(&packages) {
        Ok(judge) => judge,
        Err(why) if std::env::var_os("CI").is_some() => panic!("{why}"),
        Err(why) => return println!("not compared with uv: {why}"),
    };
    let differing = differences(&judge);
    assert!(!asked.is_empty() || judge.wheels.len() >= LEAST, "{} wheels", judge.wheels.len());
    assert!(
        differing.is_empty(),
        "{} wheels, {} differences:\n{}",
        judge.wheels.len(),
        differing.len(),
        differing.join("\n")
    );
    println!("{} wheels, no difference", judge.wheels.len());
}
