//! `shared/data/dockerfile/conformance`: contexts, and what BuildKit made of them: config, history, layers, files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use corten_engine::stages::{Finished, LocalLayer};
use corten_layer::tree::Tree;
use corten_oci::{Digest, Digester, Entry, Kind, LayerPath};
use serde_json::{Map, Value, json};

use crate::build::{Build, World, data};

/// Cases that differ, with the reason.
const EXCEPTIONS: [(&str, &str); 3] = [
    (
        "108-dockerignore-exclude-deep-subdir-star",
        "the golden was made with another .dockerignore than the context has",
    ),
    ("140-add-populated-dir-not-dir", "the golden was made with another archive than the context has"),
    (
        "150-dockerignore-allowlist-alternating",
        "a file copied over itself, its time too: BuildKit's layer is empty, ours has it again",
    ),
];

#[test]
fn contexts_become_what_buildkit_makes_of_them() {
    let Some(data) = data() else { return };
    let world = World::new(&data);
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(data.join("conformance/cases.json")).unwrap()).unwrap();
    let only = std::env::var("CONFORMANCE").unwrap_or_default();
    let (mut count, mut wrong) = (0, Vec::new());
    for case in &cases {
        let name = case["dir"].as_str().unwrap().trim_start_matches("cases/").to_owned();
        let golden = data.join("conformance/golden").join(format!("{name}.json"));
        if !golden.is_file() || !name.contains(&only) {
            continue;
        }
        count += 1;
        let golden: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
        let difference = compare(&world, &data, &name, case, &golden);
        match (difference, EXCEPTIONS.iter().find(|(known, _)| *known == name)) {
            (Some(_), Some(_)) | (None, None) => {}
            (Some(difference), None) => wrong.push(format!("{name}: {difference}")),
            (None, Some((_, reason))) => wrong.push(format!("{name} is right, though listed: {reason}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count == 83 || !only.is_empty(), "{count} contexts");
}

fn compare(world: &World, data: &Path, name: &str, case: &Value, golden: &Value) -> Option<String> {
    let context = world.project(name);
    let from = data.join("conformance/cases").join(name);
    let unpacked = Command::new("tar")
        .arg("-xpf")
        .arg(from.join("context.tar"))
        .args(["--xattrs", "--xattrs-include=*", "-C"])
        .arg(&context)
        .status();
    assert!(unpacked.unwrap().success(), "{name}");
    let file = Path::new(case["dockerfile"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
    let dockerfile = if context.join(case["dockerfile"].as_str().unwrap()).is_file() {
        case["dockerfile"].as_str().unwrap()
    } else {
        &file
    };
    let mut build = Build::new(&context, dockerfile);
    if let Some(arguments) = case.get("build_args").and_then(Value::as_object) {
        build.build_args =
            arguments.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    }
    let built = build.run(world);
    // BuildKit's own regression (buildkit#6229): it should succeed.
    let should_succeed = name.starts_with("088");
    match (built, golden.get("error")) {
        (Err(_), Some(_)) if !should_succeed => None,
        (Ok(_), Some(_)) if should_succeed => None,
        (Err(error), _) => Some(format!("failed: {error}")),
        (Ok(_), Some(error)) => Some(format!("succeeded; BuildKit says {error}")),
        (Ok(finished), None) => differences(world, &finished, golden),
    }
}

fn differences(world: &World, finished: &Finished, golden: &Value) -> Option<String> {
    let mut config: Value = serde_json::to_value(&finished.config).unwrap();
    let mut history = config.as_object_mut().unwrap().remove("history").unwrap_or_else(|| json!([]));
    for entry in history.as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("created");
    }
    let config = config.as_object_mut().unwrap();
    config.remove("rootfs");
    config.remove("created");
    // Deprecated and of Windows alone (image-spec, config.md): BuildKit still sets it for a CMD of the shell form.
    let mut theirs = golden["config"].clone();
    if let Some(container) = theirs["config"].as_object_mut() {
        container.remove("ArgsEscaped");
    }
    differ("config", &Value::Object(config.clone()), &theirs)
        .or_else(|| differ("history", &history, golden.get("history").unwrap_or(&json!([]))))
        .or_else(|| differ("number of layers", &json!(finished.layers.len()), &golden["n_layers"]))
        .or_else(|| {
            let skipped = usize::from(golden.get("base_layer_omitted") == Some(&json!(true)));
            layers(world, finished, skipped, &golden["layers"])
        })
        .or_else(|| files(world, finished, golden))
}

/// Entries of layers, but for folders that are told again as they are below: BuildKit tells them in every layer, a RUN's layer
/// here does not.
fn layers(world: &World, finished: &Finished, skipped: usize, golden: &Value) -> Option<String> {
    let mut below: BTreeMap<String, Value> = BTreeMap::new();
    let mut theirs = golden.as_array()?.iter();
    for (at, layer) in finished.layers.iter().enumerate() {
        let ours = entries(world, layer);
        if at >= skipped {
            let is_new =
                |entry: &&Value| entry["type"] != "dir" || below.get(entry["path"].as_str().unwrap()) != Some(*entry);
            let one: Vec<&Value> = ours.iter().filter(is_new).collect();
            let golden = theirs.next()?.as_array()?;
            let other: Vec<&Value> = golden.iter().filter(is_new).collect();
            if let Some(difference) = differ(&format!("layers[{at}]"), &json!(one), &json!(other)) {
                return Some(difference);
            }
        }
        below.extend(ours.into_iter().map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry)));
    }
    None
}

fn differ(what: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            names.into_iter().find_map(|name| {
                differ(
                    &format!("{what} {name}"),
                    one.get(name).unwrap_or(&Value::Null),
                    two.get(name).unwrap_or(&Value::Null),
                )
            })
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            one.iter().zip(two).enumerate().find_map(|(at, (one, two))| differ(&format!("{what}[{at}]"), one, two))
        }
        _ => (ours != theirs).then(|| format!("{what}: {ours}, BuildKit's {theirs}")),
    }
}

fn entries(world: &World, layer: &LocalLayer) -> Vec<Value> {
    let index = world.store.layer_index(&layer.diff_id).unwrap().unwrap();
    let mut all: Vec<(String, Value)> = index
        .entries
        .iter()
        .map(|entry| {
            let mut value = told(world, layer, entry);
            let path = match entry.kind {
                Kind::Whiteout => match entry.path.parent() {
                    Some(parent) if !parent.is_root() => {
                        format!("{parent}/.wh.{}", String::from_utf8_lossy(entry.path.name()))
                    }
                    _ => format!(".wh.{}", String::from_utf8_lossy(entry.path.name())),
                },
                Kind::Opaque => format!("{}/.wh..wh..opq", entry.path),
                _ => entry.path.to_string(),
            };
            value.insert("path".into(), json!(path));
            (path, Value::Object(value))
        })
        .collect();
    all.sort_by(|one, two| one.0.cmp(&two.0));
    all.into_iter().map(|(_, value)| value).collect()
}

fn told(world: &World, layer: &LocalLayer, entry: &Entry) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("mode".into(), json!(format!("0o{:o}", entry.mode)));
    value.insert("uid".into(), json!(entry.uid));
    value.insert("gid".into(), json!(entry.gid));
    let kind = match &entry.kind {
        Kind::File | Kind::Whiteout | Kind::Opaque => "file",
        Kind::Directory => "dir",
        Kind::Symlink(target) => {
            value.insert("linkname".into(), json!(target));
            "symlink"
        }
        Kind::HardLink(target) => {
            value.insert("linkname".into(), json!(target.to_string()));
            "hardlink"
        }
        _ => "other",
    };
    value.insert("type".into(), json!(kind));
    if kind == "file" {
        value.insert("size".into(), json!(entry.size));
        value.insert("sha256".into(), json!(content(world, layer, entry).hex()));
    }
    value
}

/// Of a file's content, from the tar or from the tree.
fn content(world: &World, layer: &LocalLayer, entry: &Entry) -> Digest {
    if entry.size == 0 {
        return Digest::of([]);
    }
    let mut digester = Digester::new();
    let mut copy = |from: &mut dyn Read| std::io::copy(from, &mut digester).unwrap();
    if let Some(blob) = &layer.blob {
        let bytes = world.store.read(&blob.digest).unwrap();
        let mut tar = corten_layer::gzip::reader(&blob.media_type, bytes).unwrap();
        std::io::copy(&mut tar.by_ref().take(entry.offset), &mut std::io::sink()).unwrap();
        copy(&mut tar.take(entry.size));
    } else if world.store.size(&layer.diff_id.0).unwrap().is_some() {
        let mut tar = world.store.read(&layer.diff_id.0).unwrap();
        std::io::copy(&mut tar.by_ref().take(entry.offset), &mut std::io::sink()).unwrap();
        copy(&mut tar.take(entry.size));
    } else {
        let folder = world.store.root().join("layers").join(layer.diff_id.0.hex());
        let tree = fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path().join("root"))
            .find(|path| path.is_dir())
            .unwrap();
        copy(&mut fs::File::open(tree.join(entry.path.to_string())).unwrap());
    }
    digester.finish()
}

/// Files that differ from the base's, and those of it that are gone.
fn files(world: &World, finished: &Finished, golden: &Value) -> Option<String> {
    let indexes: Vec<_> = finished
        .layers
        .iter()
        .map(|layer| (layer.diff_id, world.store.layer_index(&layer.diff_id).unwrap().unwrap()))
        .collect();
    let tree = Tree::new(indexes.iter().map(|(layer, index)| (*layer, index))).unwrap();
    let theirs = golden["fs"].as_object().unwrap();
    let known: BTreeMap<_, _> = finished.layers.iter().map(|layer| (layer.diff_id, layer)).collect();
    for (path, expected) in theirs {
        let Some(node) = tree.get(&LayerPath::new(path).unwrap()) else { return Some(format!("/{path} is missing")) };
        let mut ours = told(world, known[&node.layer], &node.entry);
        let mut expected = expected.as_object().unwrap().clone();
        expected.remove("mtime");
        expected.remove("hardlink_of");
        // Which of two names is the link is the layer's business.
        for value in [&mut ours, &mut expected] {
            if value["type"] == "hardlink" {
                value.clear();
            }
        }
        if expected.is_empty() {
            continue;
        }
        if let Some(difference) = differ(&format!("/{path}"), &Value::Object(ours), &Value::Object(expected)) {
            return Some(difference);
        }
    }
    let base = finished
        .layers
        .first()
        .map(|layer| layer.diff_id)
        .filter(|first| world.base.layers.iter().any(|layer| layer.diff_id == *first));
    let base =
        Tree::new(indexes.iter().filter(|(layer, _)| Some(*layer) == base).map(|(layer, index)| (*layer, index)))
            .unwrap();
    let same = |path: &LayerPath, entry: &Entry| {
        base.get(path).is_some_and(|node| {
            node.entry.kind == entry.kind
                && node.entry.mode == entry.mode
                && node.entry.uid == entry.uid
                && node.entry.size == entry.size
        })
    };
    tree.iter()
        .find(|(path, node)| !theirs.contains_key(&path.to_string()) && !same(path, &node.entry))
        .map(|(path, _)| format!("/{path} is not BuildKit's"))
}
