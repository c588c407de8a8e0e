//! An image as `read.py` reads it, and the files that its layers make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use crate::place::{command, done};

#[derive(Debug)]
pub struct Read {
    pub config: Value,
    pub layers: Vec<Arc<Vec<Entry>>>,
}

/// As `read.py` prints it.
#[derive(Deserialize)]
struct Printed {
    config: Value,
    /// Blobs, and their entries where they were not known.
    layers: Vec<(String, Option<Vec<Entry>>)>,
}

/// Blobs that were read. Most images here stand on one base, which is the largest part of them.
static KNOWN: Mutex<BTreeMap<String, Arc<Vec<Entry>>>> = Mutex::new(BTreeMap::new());

/// An entry of a layer's tar, or a file of the image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    pub path: String,
    pub kind: String,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub link: String,
    pub size: u64,
    pub sha256: String,
    pub device: String,
    /// Seconds.
    pub time: i64,
    /// Values in hexadecimal digits.
    pub xattrs: BTreeMap<String, String>,
    /// The files that are one have one number.
    #[serde(skip)]
    pub file: usize,
}

/// By path.
pub type Files = BTreeMap<String, Entry>;

/// What one layer does to the files below.
#[derive(Debug, Default)]
pub struct Change {
    /// Entries, but for folders that are told again as they are below.
    pub put: Files,
    /// What goes, without what lies below it.
    pub removed: BTreeSet<String>,
    /// Whiteouts of what is not there.
    pub idle: BTreeSet<String>,
}

/// Of an OCI layout.
pub fn read(layout: &Path) -> Read {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/buildkit/read.py");
    let known: Vec<String> = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
    let mut python = command(Path::new("python3"), [script.as_path(), layout]);
    let Printed { config, layers } = serde_json::from_str(&done(python.args(known))).unwrap();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let layers = layers.into_iter().map(|(digest, read)| match read {
        Some(read) => known.entry(digest).or_insert(Arc::new(read)).clone(),
        None => known[&digest].clone(),
    });
    Read { config, layers: layers.collect() }
}

/// Stacks the layers.
pub fn stack(layers: &[Arc<Vec<Entry>>]) -> (Vec<Change>, Files) {
    let mut files = Files::new();
    let mut count = 0;
    let changes = layers.iter().map(|layer| put(&mut files, layer, &mut count)).collect();
    (changes, files)
}

fn put(files: &mut Files, layer: &[Entry], count: &mut usize) -> Change {
    let mut change = Change::default();
    let below = files.clone();
    for entry in layer {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let within = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") => remove_below(files, folder),
            Some(name) if below.contains_key(&within(name)) => remove(files, &within(name)),
            Some(name) => drop(change.idle.insert(within(name))),
            None => {}
        }
    }
    for entry in layer.iter().filter(|entry| !entry.path.rsplit('/').next().unwrap().starts_with(".wh.")) {
        *count += 1;
        let mut entry = Entry { file: *count, ..entry.clone() };
        if entry.kind == "hardlink" {
            let target = files.get(&entry.link).unwrap_or_else(|| panic!("{} leads nowhere", entry.path));
            entry = Entry { path: entry.path, ..target.clone() };
        }
        if entry.kind != "directory" {
            remove_below(files, &entry.path);
        }
        if entry.kind != "directory" || !below.get(&entry.path).is_some_and(|other| same(other, &entry)) {
            change.put.insert(entry.path.clone(), entry.clone());
        }
        files.insert(entry.path.clone(), entry);
    }
    let gone: BTreeSet<String> = below.keys().filter(|path| !files.contains_key(*path)).cloned().collect();
    let is_top = |path: &&String| !path.rsplit_once('/').is_some_and(|(parent, _)| gone.contains(parent));
    change.removed = gone.iter().filter(is_top).cloned().collect();
    change
}

/// Two folders.
fn same(one: &Entry, two: &Entry) -> bool {
    let told = |entry: &Entry| (entry.kind.clone(), entry.mode, entry.uid, entry.gid, entry.xattrs.clone());
    told(one) == told(two)
}

fn remove(files: &mut Files, path: &str) {
    files.remove(path);
    remove_below(files, path);
}

fn remove_below(files: &mut Files, folder: &str) {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let is_below = |path: &&String| path.starts_with(&prefix);
    let gone: Vec<String> = files.range(prefix.clone()..).map(|(path, _)| path).take_while(is_below).cloned().collect();
    gone.iter().for_each(|path| drop(files.remove(path)));
}

/// Paths that are one file, where there are several.
pub fn groups(files: &Files) -> BTreeSet<Vec<&str>> {
    let mut groups: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (path, entry) in files.iter().filter(|(_, entry)| entry.kind == "file") {
        groups.entry(entry.file).or_default().push(path);
    }
    groups.into_values().filter(|paths| paths.len() > 1).collect()
}
