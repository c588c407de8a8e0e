//! The 32 locks of real projects: what `init` writes is read as settings, and gives the base that would have been taken.

use std::fs;
use std::path::{Path, PathBuf};

use corten_diagnostic::Nobody;
use corten_frontend::python::Asked;
use corten_frontend::settings::{Settings, Texts};
use corten_net::{Client, Settings as Network};
use corten_oci::Architecture;
use corten_store::Store;

use super::*;
use crate::AuthFiles;
use crate::bases::{self, Wanted};
use crate::indexes::Indexes;
use crate::project::{Project, ProjectOptions};

fn locks() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/locks"));
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => fs::write(target, fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

#[test]
fn real_projects_get_settings_that_are_taken() {
    let Some(locks) = locks() else { return };
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("store")).unwrap();
    let client = Client::new(Network { offline: true, ..Network::default() });
    let indexes = Indexes::of([]);
    let world = World {
        store: &store,
        client: &client,
        indexes: &indexes,
        auth: &AuthFiles::default(),
        registries: &crate::registry::RegistryOptions::default(),
        passage: corten_sandbox::Passage::none(),
        git_ssh: &crate::dockerfile::GitSsh::default(),
        events: &Nobody,
        jobs: 1,
        now: 0,
        source_date_epoch: None,
        store_cap: None,
        tool: "test",
    };
    let mut seen = (0, 0, 0);
    for entry in fs::read_dir(locks).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let folder = home.path().join(entry.file_name());
        copy(&entry.path(), &folder);
        let expected: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let root = folder.join(expected["root"].as_str().unwrap());
        if !project::has_lock(&root).unwrap() {
            let init = init(&root, &InitOptions::default(), &world).unwrap();
            assert!(init.problems.iter().any(|problem| problem.contains("no lock")), "{}", root.display());
            continue;
        }
        seen.0 += 1;
        let texts = project::texts(&root).unwrap();
        let before = base(&root, &texts, &world);
        let init = init(&root, &InitOptions::default(), &world)
            .unwrap_or_else(|report| panic!("{}: {report}", root.display()));
        init.write(&root).unwrap();
        let texts = project::texts(&root).unwrap();
        let settings = Settings::read(&texts).unwrap_or_else(|failure| panic!("{}: {failure}", root.display()));
        assert_eq!(settings.base.at.is_some(), init.found.iter().any(|found| found.what == "base"));
        match (before, base(&root, &texts, &world)) {
            (Ok(before), Ok(after)) => {
                assert_eq!(before, after, "{}", root.display());
                seen.1 += 1;
            }
            (Err(before), _) => {
                // The reason is told, in the words of the plan.
                let told =
                    init.problems.iter().any(|problem| problem.starts_with(&before) || problem.contains("no lock"));
                assert!(told, "{}: {before}\n{:?}", root.display(), init.problems);
                seen.2 += 1;
            }
            (Ok(_), Err(after)) => panic!("{}: {after}", root.display()),
        }
        // Long locks take a debug build seconds.
        if fs::metadata(root.join(expected["lock"].as_str().unwrap())).is_ok_and(|lock| lock.len() < 200_000) {
            let again = super::init(&root, &InitOptions::default(), &world).unwrap();
            assert_eq!((again.changes.len(), again.replaces.is_some()), (0, true), "{}", root.display());
        }
    }
    assert!(seen.0 >= 28 && seen.1 >= 20, "{seen:?}");
}

/// The base's name, or why there is none.
fn base(folder: &Path, texts: &Texts, world: &World<'_>) -> Result<String, String> {
    let options = ProjectOptions::default();
    let project = Project::with_texts(folder, texts, &options, &Nobody).map_err(|failure| failure.to_string())?;
    let asked = Asked::default();
    let wanted = Wanted { asked: &asked, architectures: &[Architecture::Amd64], renew: false };
    let choice = bases::choose(&project, &wanted, world).map_err(|report| report.to_string())?;
    Ok(choice.base.value.to_string())
}
