//! Projects of PyPI: the wheel that is computed from their sdist against the one that was published.
//!
//! The fixtures name 45 of them with their hashes and every path of the wheel. The sdists come from PyPI and are kept
//! between runs, and so do the wheels, whose bytes are compared, too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod disk;
#[path = "../../../frontend/tests/frontend/project/metadata.rs"]
mod metadata;
mod uv;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_diagnostic::Nobody;
use corten_frontend::python::project::{Content, Folder, OwnWheel, Project, RefusalKind, WheelFile, own_wheel};
use corten_install::python::index::{IndexFile, files};
use corten_layer::zip::Archive;
use corten_net::{Client, Request, Settings};
use corten_oci::Digest;
use serde_json::Value;

use disk::Disk;

const INDEX: &str = "https://pypi.org/simple";
/// The largest file has 8 MB.
const LONGEST: u64 = 64 << 20;

/// setuptools-scm wrote them anew for the wheel, without the commit that the sdist knows.
const GENERATED: [&str; 2] = ["iniconfig/_version.py", "sacrebleu/version.py"];

/// Names a plugin that the closed list does not have; the fixtures' prototype went on where the reference says to refuse.
const REFUSED_BY_RULE: [&str; 1] = ["jaraco.functools"];

fn cases() -> Option<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/project-install/cases.json");
    match std::fs::read(path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("the fixtures are JSON")),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{path}: {error}");
            eprintln!("left out: {path}: {error}");
            None
        }
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A project of the fixtures.
struct Case<'c> {
    name: &'c str,
    value: &'c Value,
    client: &'c Client,
}

/// What came of a project.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Same,
    Refused,
}

impl Case<'_> {
    fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }

    fn file(&self, listed: &[IndexFile], key: &str) -> Result<IndexFile, String> {
        let wanted: Digest = format!("sha256:{}", self.text(key)).parse().map_err(|_| format!("{key} is no digest"))?;
        let file = listed.iter().find(|file| file.digest == Some(wanted));
        file.cloned().ok_or_else(|| format!("the index has no file with the {key}"))
    }

    /// A file of the index, kept between runs.
    fn fetch(&self, file: &IndexFile) -> Result<PathBuf, String> {
        let digest = file.digest.ok_or("the index gives no hash")?;
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("projects");
        let path = kept.join(digest.hex());
        if !path.exists() {
            std::fs::create_dir_all(&kept).map_err(|error| error.to_string())?;
            let bytes = self.client.bytes(&Request::get(&file.url), LONGEST).map_err(|error| error.to_string())?;
            if Digest::of(&bytes) != digest {
                return Err(format!("{} has another hash", file.file));
            }
            let aside = path.with_extension("part");
            std::fs::write(&aside, &bytes).map_err(|error| error.to_string())?;
            std::fs::rename(&aside, &path).map_err(|error| error.to_string())?;
        }
        Ok(path)
    }

    /// Unpacks the sdist.
    fn unpack(&self, folder: &Path, sdist: &IndexFile) -> Result<PathBuf, String> {
        let root = folder.join(self.name);
        std::fs::create_dir_all(&root).map_err(|error| error.to_string())?;
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(self.fetch(sdist)?).arg("-C").arg(&root).args(["--strip-components=1", "--no-same-owner"]);
        let ran = tar.status().map_err(|error| error.to_string())?;
        if ran.success() { Ok(root) } else { Err("tar fails".to_owned()) }
    }

    fn check(&self, folder: &Path) -> Result<Outcome, String> {
        let project = corten_package::PackageName::new(self.name).map_err(|error| error.to_string())?;
        let listed = files(self.client, INDEX, project.as_str(), &Nobody).map_err(|error| error.to_string())?;
        let root = self.unpack(folder, &self.file(&listed, "sdist_sha256")?)?;
        let disk = Disk::new(&root);
        let shown = Path::new(self.name);
        let project = Project { folder: &disk, shown, version: None, git: None, ignored_above: &[], locked: None };
        let computed = own_wheel(&project);
        let refuse = self.text("prototype") == "refused" || REFUSED_BY_RULE.contains(&self.name);
        match computed {
            Err(refusal) if refuse && refusal.kind() == RefusalKind::NeedsBuild => Ok(Outcome::Refused),
            Err(refusal) => Err(refusal.to_string()),
            Ok(_) if refuse => Err("is not refused".to_owned()),
            Ok(wheel) => self.compare(&wheel, &disk, &self.file(&listed, "wheel_sha256")?),
        }
    }

    fn compare(&self, wheel: &OwnWheel, disk: &Disk, published: &IndexFile) -> Result<Outcome, String> {
        let current = texts(&self.value["current_backend_paths"]);
        let theirs = if current.is_empty() { texts(&self.value["paths"]) } else { current };
        let mut ours: BTreeSet<String> = wheel.files.iter().map(|file| file.path.clone()).collect();
        ours.insert(format!("{}/RECORD", wheel.dist_info));
        if theirs != ours {
            let missing: Vec<_> = theirs.difference(&ours).take(9).collect();
            let more: Vec<_> = ours.difference(&theirs).take(9).collect();
            return Err(format!("missing {missing:?}, too many {more:?}"));
        }
        let file = std::fs::File::open(self.fetch(published)?).map_err(|error| error.to_string())?;
        let mut archive = Archive::new(file).map_err(|error| error.to_string())?;
        for member in archive.members().to_vec() {
            let bytes = archive.content(&member, LONGEST).map_err(|error| error.to_string())?;
            // What lies elsewhere in an older backend's wheel was listed above.
            let Some(ours) = wheel.files.iter().find(|file| file.path == member.name) else { continue };
            if let Some(difference) = self.difference(ours, disk, &bytes)? {
                return Err(format!("{}: {difference}", member.name));
            }
        }
        Ok(Outcome::Same)
    }

    fn difference(&self, ours: &WheelFile, disk: &Disk, theirs: &[u8]) -> Result<Option<String>, String> {
        let text = match &ours.content {
            Content::Text(text) => text.clone(),
            Content::File(source) => {
                let bytes = disk.read(source, LONGEST).map_err(|error| error.to_string())?;
                let known = GENERATED.contains(&ours.path.as_str());
                return Ok((bytes != theirs && !known).then(|| "other bytes".to_owned()));
            }
        };
        let theirs = String::from_utf8_lossy(theirs);
        Ok(match ours.path.rsplit('/').next().unwrap_or_default() {
            "METADATA" => {
                let ours: String = headers(&text).map(|line| format!("{line}\n")).collect();
                metadata::difference(headers(&theirs), &ours)
            }
            "WHEEL" if tags(&text) != tags(&theirs) => Some(format!("{:?}, ours {:?}", tags(&theirs), tags(&text))),
            "WHEEL" => None,
            "entry_points.txt" if metadata::entry_points(&text) == metadata::entry_points(&theirs) => None,
            _ => (text != theirs).then(|| format!("{theirs:?}, ours {text:?}")),
        })
    }
}

/// The lines of WHEEL that say where it runs; `py2.py3` is two.
fn tags(text: &str) -> BTreeSet<String> {
    let tags = text.lines().filter_map(|line| line.strip_prefix("Tag: ")).filter_map(|tag| tag.split_once('-'));
    tags.flat_map(|(pythons, rest)| pythons.split('.').map(move |python| format!("{python}-{rest}"))).collect()
}

/// What a program can notice; licences moved with the versions of backends.
fn headers(text: &str) -> impl Iterator<Item = &str> {
    const KEPT: [&str; 6] = ["Name:", "Version:", "Summary:", "Requires-Python:", "Provides-Extra:", "Requires-Dist:"];
    let head = text.lines().take_while(|line| !line.is_empty());
    head.filter(|line| KEPT.iter().any(|key| line.starts_with(key)))
}

#[test]
fn sdists_of_pypi_give_the_published_wheels() {
    let Some(cases) = cases() else { return };
    let projects = cases["projects"].as_array().expect("projects");
    assert_eq!(projects.len(), 45);
    let folder = tempfile::tempdir().unwrap();
    let client = Client::new(Settings::default());
    let (next, wrong, refused) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(value) = projects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let case = Case { name: value["name"].as_str().expect("name"), value, client: &client };
                    match case.check(folder.path()) {
                        Ok(Outcome::Same) => {}
                        Ok(Outcome::Refused) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        Err(why) => wrong.lock().unwrap().push(format!("{}: {why}", case.name)),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), projects.len(), wrong.join("\n"));
    assert_eq!(refused.into_inner(), 7);
}
