//! R7: any file of the store damaged in any way is found by `verify`, never served, and mended by `repair`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use corten_testkit::bar::{Bar, Random};

use super::Published;
use crate::ground::contents;
use crate::service::digest;

const DAMAGES: [&str; 6] = ["flip", "empty", "half", "swap", "folder", "link"];

#[test]
fn r7_any_file_is_damaged() {
    let bar = Bar::begin("R7");
    let published = Published::new();
    let ground = &published.ground;
    let shipped = digest(&ground.run("ship --push --format json"));
    let whole: BTreeMap<PathBuf, Vec<u8>> =
        contents(ground.home.path()).into_iter().filter(|(path, _)| !path.starts_with("leases")).collect();
    let firsts = names_of_files(ground.home.path(), &whole);
    // Each kind of file as often as the others.
    let kind = |path: &Path| path.iter().next().unwrap().to_owned();
    let kinds: BTreeSet<_> = whole.keys().map(|path| kind(path)).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    let mut random = bar.random();
    let rounds = bar.length(12, 1000);
    let (mut unseen, mut served, mut unmended) = (Vec::new(), 0, Vec::new());
    for round in 0..rounds {
        let kind = &kinds[round % kinds.len()];
        let of_kind: Vec<&PathBuf> = whole.keys().filter(|path| path.starts_with(kind)).collect();
        let path = *random.pick(&of_kind);
        let damage = *random.pick(&DAMAGES);
        let Some(said) = harm(ground.home.path(), path, damage, &of_kind, &whole, &mut random) else { continue };
        let verified = ground.run("store verify");
        // What rotted under several names may be told by any of them.
        let mut of_it =
            firsts.iter().filter(|(_, first)| **first == firsts[path]).map(|(name, _)| ground.home.path().join(name));
        if verified.status != 1 || !of_it.any(|at| verified.stdout.contains(&*at.to_string_lossy())) {
            println!("not found: {} {said}: {}", path.display(), verified.stdout);
            unseen.push(path);
        }
        if round % 4 == 0 {
            let to = format!("push {shipped} {}/served/{round}:1", published.registry.place());
            let ran = ground.run(&to);
            assert!([0, 1, 3].contains(&ran.status), "{} {said}: {}", path.display(), ran.stderr);
            served += published.registry.torn().len() + published.registry.breaches().len();
        }
        let repaired = ground.run("store repair");
        let clean = ground.run("store verify");
        let names = ground.run("images").stdout.matches(&shipped).count();
        // What nobody can know again, is said.
        if clean.status != 0 || repaired.status != 0 && repaired.status != 1 || names < 2 {
            let told = format!("{}{}{}", repaired.stdout, repaired.stderr, clean.stdout);
            println!("not mended: {} {said}: {told}", path.display());
            unmended.push(path);
        }
        restore(ground.home.path(), &whole, &firsts);
    }
    let value = format!("{rounds}: {} not found, {served} served, {} not mended", unseen.len(), unmended.len());
    bar.finish(value, unseen.is_empty() && served == 0 && unmended.is_empty());
}

/// Of each file that has several names (blobs that layouts have, too): the first one.
fn names_of_files(home: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, PathBuf> {
    let mut first: BTreeMap<u64, &PathBuf> = BTreeMap::new();
    let inode = |path: &PathBuf| fs::symlink_metadata(home.join(path)).unwrap().ino();
    whole.keys().map(|path| (path.clone(), (*first.entry(inode(path)).or_insert(path)).clone())).collect()
}

/// None where the file has nothing to be damaged.
fn harm(
    home: &Path,
    path: &Path,
    damage: &str,
    of_kind: &[&PathBuf],
    whole: &BTreeMap<PathBuf, Vec<u8>>,
    random: &mut Random,
) -> Option<String> {
    let (at, bytes) = (home.join(path), &whole[path]);
    let mut new = bytes.clone();
    // Nobody keeps the digest of a layout's own documents: those are cut.
    let is_document = path.starts_with("layouts") && !path.to_string_lossy().contains("/blobs/");
    let damage = if is_document && matches!(damage, "flip" | "swap") { "half" } else { damage };
    match damage {
        "flip" => {
            let place = random.below(new.len());
            *new.get_mut(place)? ^= 1 << random.below(8);
        }
        "empty" => new.clear(),
        "half" => new.truncate(new.len() / 2),
        "swap" => new = whole[*random.pick(of_kind)].clone(),
        _ => {}
    }
    let aside = matches!(damage, "folder" | "link");
    if !aside && new == *bytes {
        return None;
    }
    // A disk rots where the bytes lie, under all names of the file.
    if aside || fs::symlink_metadata(&at).unwrap().nlink() < 2 {
        fs::remove_file(&at).unwrap();
    } else {
        fs::set_permissions(&at, fs::Permissions::from_mode(0o644)).unwrap();
    }
    match damage {
        "folder" => fs::create_dir(&at).unwrap(),
        "link" => std::os::unix::fs::symlink("/etc/passwd", &at).unwrap(),
        _ => fs::write(&at, new).unwrap(),
    }
    Some(damage.to_owned())
}

/// The store as it was.
fn restore(home: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>, names: &BTreeMap<PathBuf, PathBuf>) {
    for entry in fs::read_dir(home).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => fs::remove_dir_all(entry.path()).unwrap(),
            false => fs::remove_file(entry.path()).unwrap(),
        }
    }
    for (path, bytes) in whole {
        fs::create_dir_all(home.join(path).parent().unwrap()).unwrap();
        match names.get(path).filter(|first| *first != path) {
            Some(first) => fs::hard_link(home.join(first), home.join(path)).unwrap(),
            None => fs::write(home.join(path), bytes).unwrap(),
        }
    }
}
