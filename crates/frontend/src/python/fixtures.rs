//! The locks of real projects with the answers that other tools gave (see the README beside them).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_oci::{Architecture, Digest};
use corten_package::marker::Environment;
use corten_package::wheel::Tags;
use serde_json::Value;

use super::*;

/// `None` where the fixtures are absent; on a build machine that is a failure.
fn locks() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/locks"));
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

pub(super) struct Fixture {
    pub name: String,
    /// The project's.
    folder: PathBuf,
    pub expected: Value,
    pub lock: LockText,
    pub manifest: Option<Manifest>,
}

impl Fixture {
    fn load(folder: &Path) -> Self {
        let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let kind = match expected["kind"].as_str().unwrap() {
            "uv" => LockKind::Uv,
            "poetry" => LockKind::Poetry,
            "pdm" => LockKind::Pdm,
            "pipenv" => LockKind::Pipenv,
            "pylock" => LockKind::Pylock,
            "reqhash" | "req" => LockKind::Requirements,
            "pixi" => LockKind::Pixi,
            "conda" => LockKind::Conda,
            other => panic!("{other}"),
        };
        let root = folder.join(expected["root"].as_str().unwrap());
        let path = folder.join(expected["lock"].as_str().unwrap());
        let file = path.file_name().unwrap();
        let mut lock = LockText::new(kind, file, std::fs::read_to_string(&path).unwrap());
        if let Some(name) = kind.companion() {
            lock.included.push((name.to_owned(), std::fs::read_to_string(root.join(name)).unwrap().into()));
        }
        let manifest = read_manifest(&root.join("pyproject.toml"));
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Self { name, folder: root, expected, lock, manifest }
    }

    /// Conda's have none of their own: Python is one of their packages.
    fn python(&self) -> &str {
        self.expected["python_full"].as_str().unwrap_or("3.14.3")
    }

    pub(super) fn environment(&self, architecture: Architecture) -> Environment {
        Environment::new(self.python(), architecture)
    }

    pub(super) fn tags(&self, architecture: Architecture) -> Tags {
        let pair = |text: &str| {
            let mut numbers = text.split('.').map(|number| number.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        };
        Tags::new(pair(self.python()), pair(self.expected["glibc"].as_str().unwrap()), architecture)
    }

    /// What the index answers for a package, for locks that hold hashes only.
    pub(super) fn index_files(&self) -> BTreeMap<String, Vec<LockFile>> {
        let Ok(text) = std::fs::read(self.folder.join("index-files.json")) else { return BTreeMap::new() };
        let index: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_slice(&text).unwrap();
        let file = |(file, hex): (String, String)| LockFile {
            url: format!("https://files.example.org/{file}"),
            file,
            digest: format!("sha256:{hex}").parse::<Digest>().ok(),
            size: None,
            yanked: None,
        };
        let mut index: BTreeMap<_, Vec<LockFile>> =
            index.into_iter().map(|(package, files)| (package, files.into_iter().map(file).collect())).collect();
        // The listing of one package (protobuf of 30) lacks wheels that its answers have.
        if self.expected["kind"] == "req" {
            for (package, wheel) in self.expected_wheels() {
                let files = index.entry(package).or_default();
                if !files.iter().any(|file| file.file == wheel) {
                    files.push(file((wheel, "0".repeat(64))));
                }
            }
        }
        index
    }

    fn expected_wheels(&self) -> Vec<(String, String)> {
        let targets = self.expected["answers"].as_array().into_iter().flatten().map(|answer| &answer["targets"]);
        let packages =
            targets.filter_map(Value::as_object).flat_map(|targets| targets.values()).filter_map(Value::as_array);
        let wheel = |package: &Value| {
            let name = format!("{}=={}", package["name"].as_str()?, package["version"].as_str()?);
            Some((name, package["wheel"].as_str()?.to_owned()))
        };
        packages.flatten().filter_map(wheel).collect()
    }
}

fn read_manifest(path: &Path) -> Option<Manifest> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(Manifest::parse(path, text).unwrap())
}

pub(super) fn fixtures() -> Vec<Fixture> {
    let Some(folder) = locks() else { return Vec::new() };
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.iter().filter(|folder| folder.is_dir()).map(|folder| Fixture::load(folder)).collect()
}

pub(super) fn asked(args: &Value) -> Asked {
    let mut asked = Asked::default();
    let words: Vec<_> = args.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    match words.as_slice() {
        [] => {}
        ["environment default"] => {}
        ["--extra", extra] => asked.extras.push((*extra).to_owned()),
        ["--extras", "@all"] => asked.extras.extend(["ui", "tesserocr", "rapidocr"].map(str::to_owned)),
        // 07 has no group but dev, which `--no-dev` drops.
        ["--all-groups"] => {}
        other => panic!("{other:?}"),
    }
    asked
}

pub(super) const TARGETS: [(&str, Architecture); 2] = [("amd64", Architecture::Amd64), ("arm64", Architecture::Arm64)];

/// Nothing of these can be installed: loose requirements, and an environment that locks nothing.
fn is_refused(fixture: &Fixture) -> bool {
    let loose = fixture.expected["loose"].as_array().is_some_and(|loose| !loose.is_empty());
    loose || fixture.lock.kind == LockKind::Conda
}

/// The words of the answers are those of their own index and lock formats; ours name the same.
fn same_reason(expected: &str, reason: Reason) -> bool {
    let ours = reason.to_string();
    expected == ours || (expected == "not on the public index" && reason == Reason::NotOnIndex)
}

#[test]
fn every_answer_for_every_target() {
    let mut answers = 0;
    for fixture in fixtures().iter().filter(|fixture| !is_refused(fixture)) {
        for answer in fixture.expected["answers"].as_array().unwrap() {
            for (name, architecture) in TARGETS {
                answers += check_answer(fixture, answer, name, architecture);
            }
        }
    }
    assert!(answers == 0 && locks().is_none() || answers > 3000, "{answers}");
}

fn check_answer(fixture: &Fixture, answer: &Value, target: &str, architecture: Architecture) -> usize {
    let what = format!("{} {} {target}", fixture.name, answer["args"]);
    let environment = fixture.environment(architecture);
    let resolved = read(&fixture.lock, fixture.manifest.as_ref(), &asked(&answer["args"]), &environment);
    let Some(expected) = answer["targets"][target].as_array() else {
        let failure = resolved.unwrap_err().to_string();
        assert!(failure.contains("not made for linux-aarch64"), "{what}: {failure}");
        return 1;
    };
    let resolved = resolved.unwrap_or_else(|failure| panic!("{what}: {failure}"));
    let (index, tags) = (fixture.index_files(), fixture.tags(architecture));
    let mut wanted: BTreeMap<&str, &Wanted> =
        resolved.wanted.iter().map(|wanted| (wanted.name.as_str(), wanted)).collect();
    let conda: Vec<_> = resolved.conda.iter().map(|one| (one.name.as_str(), one.version.as_str())).collect();
    for package in expected {
        let name = package["name"].as_str().unwrap();
        if package["conda"].is_string() {
            assert!(conda.contains(&(name, package["version"].as_str().unwrap())), "{what}: {package}");
            continue;
        }
        if package["reason"] == "directory" {
            assert!(resolved.local.iter().any(|local| local.name.as_str() == name), "{what}: {name} is not local");
            continue;
        }
        let one = wanted.remove(name).unwrap_or_else(|| panic!("{what}: {name} is missing"));
        if let Some(version) = package["version"].as_str() {
            assert_eq!(one.version, Some(version.parse().unwrap()), "{what}: {name}");
        }
        let listed = one.version.as_ref().and_then(|version| index.get(&format!("{name}=={version}")));
        let files = one.listed().unwrap_or_else(|| listed.cloned().unwrap_or_default());
        match (choose(one, &files, &tags), package["wheel"].as_str(), package["reason"].as_str()) {
            (Ok(file), Some(wheel), _) => assert_eq!(file.file, wheel, "{what}"),
            (Err(refused), None, Some(reason)) => {
                assert!(same_reason(reason, refused.reason), "{what}: {name}: {reason}, not {}", refused.reason);
                check_reference(&one.from, package);
            }
            (got, ..) => panic!("{what}: {name}: {got:?}, not {package}"),
        }
    }
    assert!(wanted.is_empty(), "{what}: too many: {:?}", wanted.keys());
    assert_eq!(conda.len(), expected.iter().filter(|package| package["conda"].is_string()).count(), "{what}");
    check_local(&resolved, answer, &what);
    expected.len()
}

fn check_reference(from: &LockedFrom, package: &Value) {
    let (LockedFrom::Git(ours), Some(reference)) = (from, package["ref"].as_str()) else { return };
    let (address, commit) = reference.trim_start_matches("git+").rsplit_once('@').unwrap();
    assert_eq!(ours.url.trim_end_matches(".git"), address.trim_end_matches(".git"));
    // The answers of one have no commit; the lock has.
    assert!(ours.commit == commit || commit.is_empty(), "{ours}");
    assert!(ours.is_pinned(), "{ours}");
}

fn check_local(resolved: &Resolved, answer: &Value, what: &str) {
    let Some(lines) = answer["local"].as_array() else { return };
    let folder =
        |line: &str| line.trim_start_matches("-e ").split(" ;").next().unwrap().trim_start_matches("./").to_owned();
    let mut expected: Vec<String> = lines.iter().map(|line| folder(line.as_str().unwrap())).collect();
    let mut ours: Vec<_> =
        resolved.local.iter().filter(|local| local.package).map(|local| local.path.clone()).collect();
    expected.sort();
    ours.sort();
    assert_eq!(ours, expected, "{what}");
}

#[test]
fn locks_are_in_step_where_their_own_tool_says_so() {
    for fixture in fixtures() {
        let members = members(&fixture);
        let answer = in_step(&fixture.lock, fixture.manifest.as_ref(), &members).unwrap();
        println!("{}: {answer:?}", fixture.name);
        // Its own tool of today hashes other things than the one that made it did.
        let by_its_own_formula = fixture.name.starts_with("16-");
        match fixture.expected["in_step_with_manifest"].as_bool() {
            Some(false) if by_its_own_formula => assert_eq!(answer, InStep::Yes),
            Some(true) => assert_eq!(answer, InStep::Yes, "{}", fixture.name),
            Some(false) => assert!(matches!(answer, InStep::No(_)), "{}", fixture.name),
            // No tool compares a pylock; these plainly contradict their manifests (gitpython 3.1.45, wanted >=3.1.50; gradio
            // 5.30.0, wanted >=5.38.0).
            None if fixture.lock.kind == LockKind::Pylock => assert!(matches!(answer, InStep::No(_)), "{answer:?}"),
            // What their tool could not tell here (an index out of reach): none of these is stale as far as is known.
            None => assert!(!matches!(answer, InStep::No(_)), "{}: {answer:?}", fixture.name),
        }
    }
}

pub(super) fn members(fixture: &Fixture) -> Vec<(String, Manifest)> {
    let mut members = Vec::new();
    let mut folders = vec![fixture.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                members.extend(read_manifest(&entry.join("pyproject.toml")).map(|manifest| {
                    let relative = entry.strip_prefix(&fixture.folder).unwrap();
                    (relative.to_string_lossy().into_owned(), manifest)
                }));
                folders.push(entry);
            }
        }
    }
    members
}

#[test]
fn what_locks_nothing_is_refused_with_the_reason() {
    for fixture in fixtures().iter().filter(|fixture| is_refused(fixture)) {
        for (target, architecture) in TARGETS {
            let environment = fixture.environment(architecture);
            let failure = read(&fixture.lock, None, &Asked::default(), &environment).unwrap_err();
            let text = failure.to_string();
            let span = corten_diagnostic::Diagnose::span(&failure).unwrap();
            assert!(span.position().0 >= 1 && !span.range().is_empty(), "{}", fixture.name);
            let Some(packages) = fixture.expected["answers"][0]["targets"][target].as_array() else { continue };
            let count = |reason: &str| packages.iter().filter(|package| package["reason"] == reason).count();
            let (conda, loose) = (count("conda package"), count("not pinned"));
            println!("{}: {text}", fixture.name);
            if conda > 0 {
                assert!(text.contains(&format!("{conda} packages of conda and {}", packages.len() - conda)), "{text}");
            } else {
                let named = text.rsplit_once(": ").unwrap().1;
                let (names, more) = named.rsplit_once(" and ").unwrap_or((named, "0 more"));
                let more: usize = more.strip_suffix(" more").unwrap().parse().unwrap();
                let missing = count("git");
                assert_eq!(names.split(", ").count() + more, loose + missing, "{}: {text}", fixture.name);
            }
        }
    }
}
