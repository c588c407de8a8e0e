use super::*;

fn file(content: &str) -> Node {
    Node::new(NodeKind::File(content.as_bytes().into()), 0o644)
}

fn link(target: &str) -> Node {
    Node::new(NodeKind::Symlink(target.into()), 0o777)
}

fn folder() -> Node {
    Node::new(NodeKind::Directory, 0o755)
}

fn at(path: &str) -> LayerPath {
    LayerPath::new(path).unwrap()
}

fn merged() -> Tree {
    let mut tree = Tree::default();
    tree.put("usr/bin", folder()).unwrap();
    tree.put("bin", link("usr/bin")).unwrap();
    tree.put("run", folder()).unwrap();
    tree.put("var/run", link("/run")).unwrap();
    tree
}

#[test]
fn links_among_parents_are_followed() {
    let mut tree = merged();
    tree.unpack(&at("bin/sh"), file("x")).unwrap();
    tree.unpack(&at("var/run/a"), file("y")).unwrap();
    assert!(tree.get(&at("usr/bin/sh")).is_some() && tree.get(&at("run/a")).is_some());
    assert_eq!(tree.read("/bin/sh").map(|content| content.to_vec()), Some(b"x".to_vec()));
    assert_eq!(tree.children(&at("usr/bin")).count(), 1);
}

#[test]
fn a_directory_does_not_replace_a_link_to_one() {
    let mut tree = merged();
    tree.unpack(&at("bin"), folder()).unwrap();
    tree.unpack(&at("var/run"), folder()).unwrap();
    assert_eq!(tree.get(&at("bin")).unwrap().kind, NodeKind::Symlink("usr/bin".into()));
    tree.put("a", link("nowhere")).unwrap();
    assert!(tree.unpack(&at("a"), folder()).is_err(), "a link to nothing");
}

#[test]
fn links_never_lead_out() {
    let mut tree = merged();
    tree.put("out", link("../../../../usr/bin")).unwrap();
    tree.unpack(&at("out/x"), file("x")).unwrap();
    assert!(tree.get(&at("usr/bin/x")).is_some());
    tree.put("one", link("two")).unwrap();
    tree.put("two", link("one")).unwrap();
    assert!(tree.unpack(&at("one/x"), file("x")).is_err());
    assert_eq!(tree.resolve(&at("one")), None);
}

#[test]
fn packages_do_not_overwrite_each_other() {
    let mut tree = merged();
    let package: Arc<str> = "pkg:deb/debian/a@1".into();
    tree.unpack(&at("usr/bin/x"), file("1").of(Some(&package))).unwrap();
    let error = tree.unpack(&at("bin/x"), file("2")).unwrap_err();
    assert!(error.to_string().contains("pkg:deb/debian/a@1"), "{error}");
    assert!(tree.unpack(&at("usr/bin/x/y"), file("2")).is_err());
    assert!(tree.unpack(&at("usr/bin"), file("2")).is_err());
    tree.unpack(&at("l"), link("a")).unwrap();
    tree.unpack(&at("l"), link("a")).unwrap();
    assert!(tree.unpack(&at("l"), link("b")).is_err());
}

#[test]
fn hard_links_come_after_their_file() {
    let mut tree = merged();
    tree.unpack(&at("bin/z"), file("x")).unwrap();
    for name in ["bin/m", "bin/a", "bin/zz"] {
        tree.unpack(&at(name), Node::new(NodeKind::HardLink(at("bin/z")), 0o644)).unwrap();
    }
    tree.order_hard_links();
    assert!(matches!(tree.get(&at("usr/bin/a")).unwrap().kind, NodeKind::File(_)));
    for name in ["usr/bin/m", "usr/bin/z", "usr/bin/zz"] {
        assert_eq!(tree.get(&at(name)).unwrap().kind, NodeKind::HardLink(at("usr/bin/a")), "{name}");
        assert_eq!(tree.read(name).map(|content| content.to_vec()), Some(b"x".to_vec()));
    }
    let nowhere = Node::new(NodeKind::HardLink(at("etc/shadow")), 0o644);
    assert!(tree.unpack(&at("bin/b"), nowhere).is_err());
}

#[test]
fn set_id_bits_are_taken_off() {
    assert_eq!(Node::new(NodeKind::Directory, 0o6755).mode, 0o755);
    assert_eq!(Node::new(NodeKind::Directory, 0o1777).mode, 0o1777);
}

#[test]
fn empty_folders_go_and_full_ones_stay() {
    let mut tree = Tree::default();
    tree.put("a/b/c", folder()).unwrap();
    tree.put("a/d/e", file("")).unwrap();
    tree.remove_empty(&at("a"));
    let left: Vec<_> = tree.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(left, ["a", "a/d", "a/d/e"]);
    tree.remove(&at("a/d"));
    assert_eq!(tree.below(&LayerPath::root()).count(), 1);
}
