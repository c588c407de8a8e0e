//! containerd's breakout cases, and layers made here.

use super::*;
use crate::tar::index;
use crate::tar::tests::{archive, data, entry, header};
use corten_oci::Digest;

type Layers = Vec<(DiffId, LayerIndex)>;

fn apply(layers: &Layers) -> Result<Tree, TreeError> {
    Tree::new(layers.iter().map(|(id, index)| (*id, index)))
}

/// A layer of `tar` bytes.
fn layer(bytes: &[u8]) -> (DiffId, LayerIndex) {
    let indexed = index(bytes).unwrap();
    (indexed.diff_id, indexed.index)
}

fn path(text: &str) -> LayerPath {
    LayerPath::new(text).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    entry(name.as_bytes(), b'0', name.as_bytes())
}

fn directory(name: &str) -> Vec<u8> {
    entry(name.as_bytes(), b'5', b"")
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    header(name.as_bytes(), b'2', 0, target.as_bytes()).to_vec()
}

fn hard_link(name: &str, target: &str) -> Vec<u8> {
    header(name.as_bytes(), b'1', 0, target.as_bytes()).to_vec()
}

fn tree(layers: &[&[Vec<u8>]]) -> Tree {
    apply(&layers.iter().map(|parts| layer(&archive(parts))).collect()).unwrap()
}

fn refusal(parts: &[Vec<u8>]) -> String {
    apply(&vec![layer(&archive(parts))]).unwrap_err().to_string()
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn containerds_breakouts_stay_inside_or_are_refused() {
    let Some(folder) = data("attacks/layers") else { return };
    let cases = std::fs::read(folder.join("cases.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 34);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let files = ["base", "layer"].into_iter().filter_map(|key| case[key].as_str());
        let tars: Vec<_> = files.map(|file| std::fs::read(folder.join(file)).unwrap()).collect();
        if case["expect"] == "refuse" {
            assert!(index(tars[tars.len() - 1].as_slice()).is_err(), "{name} is not refused");
            continue;
        }
        let layers: Layers = tars.iter().map(|tar| layer(tar)).collect();
        let tree = apply(&layers).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tars: BTreeMap<_, _> = layers.iter().map(|(id, _)| *id).zip(&tars).collect();
        for expected in case["expect"].as_array().unwrap() {
            let words: Vec<_> = expected.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            assert!(holds(&tree, &tars, &words), "{name}: {words:?} in {:?}", paths(&tree));
        }
    }
}

fn holds(tree: &Tree, tars: &BTreeMap<DiffId, &Vec<u8>>, words: &[&str]) -> bool {
    let resolve = |at: usize| tree.resolve(&path(words[at]));
    match words[0] {
        "content" => resolve(1).is_some_and(|node| {
            let start = node.entry.offset as usize;
            let bytes = &tars[&node.layer][start..start + node.entry.size as usize];
            node.entry.kind == Kind::File && bytes == words[2].as_bytes()
        }),
        "same_file" => resolve(1).unwrap().same_file(resolve(2).unwrap()),
        "not_same_file" => !resolve(1).unwrap().same_file(resolve(2).unwrap()),
        "same_link" => tree.get(&path(words[1])).unwrap().same_file(tree.get(&path(words[2])).unwrap()),
        "absent" => tree.get(&path(words[1])).is_none(),
        // Nothing outside can be touched: a tree writes nothing.
        "outside_unchanged" => true,
        other => panic!("what is '{other}'?"),
    }
}

#[test]
fn traversal_archives_have_nothing_outside() {
    let Some(folder) = data("attacks/traversal") else { return };
    let paths_of = |name: &str| {
        let bytes = std::fs::read(folder.join(format!("{name}.tar"))).unwrap();
        paths(&apply(&vec![layer(&bytes)]).unwrap())
    };
    assert_eq!(paths_of("absolute1"), ["tmp", "tmp/moo"]);
    assert_eq!(paths_of("absolute2"), ["tmp", "tmp/moo"]);
    assert_eq!(paths_of("dirsymlink2a"), ["cur", "moo", "par"]);
    assert_eq!(paths_of("dirsymlink2b"), ["cur", "moo", "par"]);
    assert_eq!(paths_of("symlink"), ["moo"]);
    // `tmp` leads to itself, seen from inside the root.
    let bytes = std::fs::read(folder.join("dirsymlink.tar")).unwrap();
    assert!(apply(&vec![layer(&bytes)]).unwrap_err().why.contains("loop"));
}

#[test]
fn whiteouts_hide_lower_layers_only_wherever_they_stand() {
    let lower = [directory("d"), file("d/old"), file("d/both"), file("e")];
    let whiteout = || file("d/.wh.both");
    for upper in [[whiteout(), file("d/both")], [file("d/both"), whiteout()]] {
        let tree = tree(&[&lower, &upper]);
        assert_eq!(paths(&tree), ["d", "d/both", "d/old", "e"]);
        assert_eq!(tree.get(&path("d/both")).unwrap().layer, layer(&archive(&upper)).0);
    }
    for upper in [[file("d/new"), file("d/.wh..wh..opq")], [file("d/.wh..wh..opq"), file("d/new")]] {
        assert_eq!(paths(&tree(&[&lower, &upper])), ["d", "d/new", "e"]);
    }
    assert_eq!(paths(&tree(&[&lower, &[file(".wh.d")]])), ["e"]);
    assert_eq!(paths(&tree(&[&lower, &[file(".wh.d"), file(".wh.d")]])), ["e"], "twice");
    assert_eq!(paths(&tree(&[&lower, &[file("d/x"), file(".wh.d")]])), ["d", "d/x", "e"]);
    assert_eq!(paths(&tree(&[&lower, &[file(".wh..wh..opq"), file("x")]])), ["x"]);
    assert_eq!(paths(&tree(&[&lower, &[file(".wh.gone"), file("no/.wh.gone")]])), ["d", "d/both", "d/old", "e"]);
}

#[test]
fn siblings_with_a_longer_name_are_not_below() {
    let lower = [directory("a"), file("a/x"), file("a-b"), file("a0"), file("ab"), file("a.b")];
    assert_eq!(paths(&tree(&[&lower, &[file(".wh.a")]])), ["a-b", "a.b", "a0", "ab"]);
}

#[test]
fn types_change() {
    let lower = [directory("d"), file("d/x"), symlink("l", "d"), file("f")];
    assert_eq!(paths(&tree(&[&lower, &[symlink("d", "f")]])), ["d", "f", "l"]);
    assert_eq!(paths(&tree(&[&lower, &[file("d")]])), ["d", "f", "l"]);
    assert_eq!(paths(&tree(&[&lower, &[directory("d")]])), ["d", "d/x", "f", "l"], "a directory again");
    let changed = tree(&[&lower, &[directory("l"), file("l/y")]]);
    assert_eq!(paths(&changed), ["d", "d/x", "f", "l", "l/y"], "a directory replaces a link");
    assert_eq!(paths(&tree(&[&lower, &[directory("f")]])), ["d", "d/x", "f", "l"]);
    assert_eq!(paths(&tree(&[&lower, &[file("l/y")]])), ["d", "d/x", "d/y", "f", "l"], "through the link");
}

#[test]
fn a_directory_written_over_a_link_does_not_touch_what_the_link_leads_to() {
    let mut open = header(b"s", b'5', 0, b"");
    open[100..108].copy_from_slice(b"0000777\0");
    let sum: u32 =
        open.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { byte.into() }).sum();
    open[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let tree = tree(&[&[directory("d"), symlink("s", "d")], &[open.to_vec()]]);
    assert_eq!(tree.get(&path("d")).unwrap().entry.mode, 0o644);
    assert_eq!(tree.get(&path("s")).unwrap().entry.mode, 0o777);
}

#[test]
fn links_are_followed_inside_the_root_and_not_for_ever() {
    let tree = tree(&[&[
        file("etc/passwd"),
        symlink("abs", "/etc"),
        symlink("up", "../../../etc/passwd"),
        symlink("chain", "abs/passwd"),
        symlink("loop", "loop"),
        symlink("a", "b"),
        symlink("b", "a"),
        symlink("dangling", "/nowhere/at/all"),
    ]]);
    let passwd = tree.get(&path("etc/passwd")).unwrap();
    for name in ["abs/passwd", "up", "chain", "etc/passwd"] {
        assert_eq!(tree.resolve(&path(name)), Some(passwd), "{name}");
    }
    for name in ["loop", "a", "dangling", "a/x", "etc/passwd/x", "nothing"] {
        assert_eq!(tree.resolve(&path(name)), None, "{name}");
    }
    assert_eq!(tree.get(&path("abs/passwd")), Some(passwd), "parents are followed");
    assert!(matches!(tree.get(&path("up")).unwrap().entry.kind, Kind::Symlink(_)));
}

#[test]
fn at_most_forty_links() {
    let chain = |length: usize| {
        let mut parts: Vec<_> = (0..length).map(|at| symlink(&format!("l{at}"), &format!("l{}", at + 1))).collect();
        parts.push(file(&format!("l{length}")));
        tree(&[&parts]).resolve(&path("l0")).is_some()
    };
    assert!(chain(40));
    assert!(!chain(41));
}

#[test]
fn hard_links_are_one_file() {
    let tree = tree(&[&[file("f"), file("g")], &[hard_link("h", "f"), hard_link("sub/h", "h")]]);
    let f = tree.get(&path("f")).unwrap();
    for name in ["h", "sub/h"] {
        let link = tree.get(&path(name)).unwrap();
        assert!(link.same_file(f));
        assert_eq!((link.entry.path.clone(), link.entry.size), (path(name), 1));
    }
    assert!(!f.same_file(tree.get(&path("g")).unwrap()));
}

/// docker and containerd apply a hard link's mode to the file: a set-user-id bit must not hide there.
#[test]
fn a_hard_links_mode_holds_for_all_names() {
    let (id, mut index) = layer(&archive(&[file("f"), hard_link("h", "f")]));
    index.entries[1].mode = 0o4755;
    let tree = apply(&vec![(id, index)]).unwrap();
    assert_eq!(tree.get(&path("f")).unwrap().entry.mode, 0o4755);
    assert_eq!(tree.get(&path("h")).unwrap().entry.mode, 0o4755);
}

#[test]
fn what_cannot_be_put_anywhere_is_refused() {
    assert!(refusal(&[file("f"), file("f/x")]).contains("no directory"));
    assert!(refusal(&[symlink("l", "l"), file("l/x")]).contains("loop"));
    assert!(refusal(&[hard_link("h", "nothing")]).contains("not there"));
    assert!(refusal(&[directory("d"), hard_link("h", "d")]).contains("directory"));
    assert!(refusal(&[file("f"), hard_link("f", "./f")]).contains("itself"));
}

/// Nested links whose real path passes `PATH_MAX` (CVE-2025-4517 of Python's tarfile).
#[test]
fn links_that_make_a_path_too_long_are_refused() {
    let deep = LayerPath::new("d/".repeat(500)).unwrap();
    let link = Entry { path: path("s"), kind: Kind::Symlink("e/".repeat(2000)), ..entry_at(&deep) };
    let through = entry_at(&path(&format!("s/{}", "e/".repeat(50))));
    let index = LayerIndex { entries: vec![entry_at(&deep), link, through] };
    let error = Tree::new([(DiffId(Digest::of(b"")), &index)]).unwrap_err();
    assert!(error.why.contains("4095"), "{error}");
}

fn entry_at(path: &LayerPath) -> Entry {
    Entry {
        path: path.clone(),
        kind: Kind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 0,
        crc32: None,
        offset: 0,
        package: None,
    }
}
