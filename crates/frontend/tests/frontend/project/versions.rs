//! Versions, requirements and ignored files that come from elsewhere: git, the lock, the user, an sdist.

use std::collections::BTreeSet;
use std::path::Path;

use corten_frontend::python::project::{
    Describe, Git, IgnoreFile, LockedMetadata, OwnWheel, Project, Refusal, own_wheel,
};
use corten_package::PackageName;

use super::folders::{Memory, folder, pyproject};

fn project(folder: &Memory) -> Project<'_> {
    Project { folder, shown: Path::new(""), version: None, git: None, ignored_above: &[], locked: None }
}

fn git(describe: &str, tracked: &[&str]) -> Git {
    let tracked: BTreeSet<String> = tracked.iter().map(|path| (*path).to_owned()).collect();
    Git { tracked, exclude: None, describe: Describe::parse(describe) }
}

fn dynamic(backend: &str, more: &str) -> String {
    pyproject(backend, more).replace("version = \"1\"", "dynamic = [\"version\"]")
}

fn site(wheel: &OwnWheel) -> Vec<&str> {
    wheel.files.iter().map(|file| file.path.as_str()).filter(|path| !path.contains(".dist-info/")).collect()
}

const NODE: &str = "8947c48ef0123456789012345678901234567890";

#[test]
fn setuptools_scm_lists_tracked_files_and_writes_its_file() {
    let toml = dynamic("setuptools.build_meta", "[tool.setuptools_scm]\nversion_file = \"src/demo/_version.py\"\n")
        .replace("[\"setuptools\"]", "[\"setuptools\", \"setuptools-scm>=8\"]");
    let folder = folder(&[
        ("pyproject.toml", &toml),
        ("src/demo/__init__.py", ""),
        ("src/demo/data.json", ""),
        ("src/demo/untracked.json", ""),
    ]);
    let git = git(&format!("v1.6.0-179-g{NODE}"), &["pyproject.toml", "src/demo/__init__.py", "src/demo/data.json"]);
    let wheel = own_wheel(&Project { git: Some(&git), ..project(&folder) }).unwrap();
    assert_eq!(wheel.version, "1.6.1.dev179+g8947c48ef");
    assert_eq!(site(&wheel), ["demo/__init__.py", "demo/_version.py", "demo/data.json"]);
    assert_eq!(wheel.left_out, ["src/demo/untracked.json"]);
    assert_eq!(wheel.dist_info, "demo-1.6.1.dev179+g8947c48ef.dist-info");
}

#[test]
fn hatch_vcs_writes_its_file_though_it_is_ignored() {
    let toml = dynamic(
        "hatchling.build",
        "[tool.hatch.version]\nsource = \"vcs\"\n[tool.hatch.build.hooks.vcs]\nversion-file = \"demo/_v.py\"\n",
    )
    .replace("[\"hatchling\"]", "[\"hatchling\", \"hatch-vcs\"]");
    let folder = folder(&[("pyproject.toml", &toml), ("demo/__init__.py", ""), (".gitignore", "_v.py\n")]);
    let git = git(&format!("2.0-0-g{NODE}"), &[]);
    let wheel = own_wheel(&Project { git: Some(&git), ..project(&folder) }).unwrap();
    assert_eq!((wheel.version.as_str(), site(&wheel)), ("2.0", vec!["demo/__init__.py", "demo/_v.py"]));
}

#[test]
fn what_the_user_states_beats_every_dynamic_version() {
    let toml = dynamic("hatchling.build", "[tool.hatch.version]\npath = \"demo/__init__.py\"\n");
    let folder = folder(&[("pyproject.toml", &toml), ("demo/__init__.py", "__version__ = '3'")]);
    assert_eq!(own_wheel(&project(&folder)).unwrap().version, "3");
    assert_eq!(own_wheel(&Project { version: Some("4.0.RC1"), ..project(&folder) }).unwrap().version, "4.0rc1");
    assert!(own_wheel(&Project { version: Some("four"), ..project(&folder) }).is_err());
}

#[test]
fn an_sdist_or_an_archive_of_git_knows_its_version() {
    let toml = dynamic("hatchling.build", "[tool.hatch.version]\nsource = \"vcs\"\n");
    let mut files =
        folder(&[("pyproject.toml", &toml), ("demo/__init__.py", ""), ("PKG-INFO", "Name: demo\nVersion: 5\n")]);
    assert_eq!(own_wheel(&project(&files)).unwrap().version, "5");
    // Written into a checkout by hand, it says nothing.
    let tracked = git("", &["PKG-INFO"]);
    assert!(own_wheel(&Project { git: Some(&tracked), ..project(&files) }).is_err());
    files.0.remove("PKG-INFO");
    files.0.insert(".git_archival.txt".to_owned(), b"node: x\ndescribe-name: v1.2.3\n".to_vec());
    assert_eq!(own_wheel(&project(&files)).unwrap().version, "1.2.3");
    files.0.insert(".git_archival.txt".to_owned(), b"describe-name: $Format:%(describe)$\n".to_vec());
    assert!(own_wheel(&project(&files)).is_err());
}

#[test]
fn a_setup_script_of_literals_is_settings() {
    let script = "from setuptools import find_packages, setup\n\
        import sys\nif sys.version_info < (3, 8):\n    sys.exit('too old')\n\
        setup(\n    name='old', version='1.0',\n    packages=find_packages('src', exclude=['*.tests']),\n\
        package_dir={'': 'src'}, package_data={'old': ['*.json']},\n    install_requires=['numpy>=1'],\n\
        extras_require={'gpu': ['torch']}, entry_points={'console_scripts': ['old = old:main']},\n)\n";
    let folder = folder(&[
        ("setup.py", script),
        ("src/old/__init__.py", ""),
        ("src/old/x.json", ""),
        ("src/old/plain/y.py", ""),
        ("src/old/tests/__init__.py", ""),
    ]);
    let wheel = own_wheel(&project(&folder)).unwrap();
    assert_eq!(site(&wheel), ["old/__init__.py", "old/x.json"]);
    let metadata = wheel.info("METADATA").unwrap();
    assert!(metadata.contains("Requires-Dist: numpy>=1\nRequires-Dist: torch ; extra == 'gpu'\n"), "{metadata}");
    assert_eq!(wheel.info("entry_points.txt"), Some("[console_scripts]\nold = old:main\n"));
}

#[test]
fn dynamic_requirements_come_from_the_lock() {
    let toml =
        pyproject("hatchling.build", "dynamic = [\"dependencies\"]\n[tool.hatch.metadata.hooks.requirements_txt]\n");
    let folder = folder(&[("pyproject.toml", &toml), ("demo/__init__.py", "")]);
    let locked = LockedMetadata {
        requires: vec!["numpy>=2".to_owned(), "torch ; extra == 'gpu'".to_owned()],
        extras: vec![PackageName::new("gpu").unwrap()],
    };
    let wheel = own_wheel(&Project { locked: Some(&locked), ..project(&folder) }).unwrap();
    let metadata = wheel.info("METADATA").unwrap();
    assert!(
        metadata.contains("Provides-Extra: gpu\nRequires-Dist: numpy>=2\nRequires-Dist: torch ; extra == 'gpu'\n"),
        "{metadata}"
    );
    let refusal: Refusal = own_wheel(&project(&folder)).unwrap_err();
    assert!(refusal.reason().contains("requirements_txt] computes \"dependencies\""), "{refusal}");
}

#[test]
fn ignore_files_above_the_project_count() {
    let above = [
        IgnoreFile { inside: "services/api".to_owned(), text: "*.log\n/services/api/demo/gen/\n".to_owned() },
        IgnoreFile { inside: "api".to_owned(), text: "*.tmp\n".to_owned() },
    ];
    let files = |backend: &str| {
        let toml = pyproject(backend, "");
        folder(&[
            ("pyproject.toml", &toml),
            ("demo/__init__.py", ""),
            ("demo/a.log", ""),
            ("demo/a.tmp", ""),
            ("demo/gen/x.py", ""),
            ("demo/kept.log", ""),
        ])
    };
    // git: all of them, tracked files stay.
    let poetry = files("poetry.core.masonry.api");
    let git = git("", &["demo/kept.log"]);
    let wheel = own_wheel(&Project { git: Some(&git), ignored_above: &above, ..project(&poetry) }).unwrap();
    assert_eq!(site(&wheel), ["demo/__init__.py", "demo/kept.log"]);
    // No repository: nothing is ignored.
    let wheel = own_wheel(&Project { ignored_above: &above, ..project(&poetry) }).unwrap();
    assert_eq!(site(&wheel).len(), 5);
    // hatchling: the nearest alone, tracked or not.
    let hatch = files("hatchling.build");
    let wheel = own_wheel(&Project { git: Some(&git), ignored_above: &above, ..project(&hatch) }).unwrap();
    assert_eq!(site(&wheel), ["demo/__init__.py", "demo/a.log", "demo/gen/x.py", "demo/kept.log"]);
}
