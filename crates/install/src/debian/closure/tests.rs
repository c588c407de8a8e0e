use super::super::base::Node;
use super::super::fixture::elf;
use super::*;

fn tree(files: &[(&str, Vec<u8>)]) -> Tree {
    let mut tree = Tree::default();
    for (path, content) in files {
        tree.put(path, Node::new(NodeKind::File(content.as_slice().into()), 0o755)).unwrap();
    }
    tree
}

fn missing(files: &[(&str, Vec<u8>)]) -> Vec<String> {
    unresolved(&tree(files), Architecture::Amd64).iter().map(ToString::to_string).collect()
}

fn library(soname: &str) -> Vec<u8> {
    elf(&[], Some(soname), None, None)
}

#[test]
fn libraries_are_sought_where_the_loader_seeks_them() {
    let user = |runpath| elf(&["libx.so.1"], None, runpath, None);
    let folders = ["usr/lib/x86_64-linux-gnu", "lib", "usr/local/lib"];
    for folder in folders {
        let configuration = ("etc/ld.so.conf", b"/usr/local/lib\n".to_vec());
        let library = (&*format!("{folder}/libx.so.1"), library("libx.so.1"));
        assert_eq!(missing(&[("usr/bin/x", user(None)), configuration, library]), [""; 0], "{folder}");
    }
    let own = ("opt/a/lib/libx.so.1", library("libx.so.1"));
    for runpath in ["$ORIGIN/../lib", "/none:${ORIGIN}/../lib", "/opt/a/lib"] {
        assert_eq!(missing(&[("opt/a/bin/x", user(Some(runpath))), own.clone()]), [""; 0], "{runpath}");
    }
    let expected = ["/opt/a/bin/x needs the library libx.so.1, which is not in the image"];
    assert_eq!(missing(&[("opt/a/bin/x", user(None)), own]), expected);
}

#[test]
fn what_is_no_library_of_the_processor_does_not_count() {
    let user = elf(&["libx.so.1"], None, None, None);
    let mut foreign = library("libx.so.1");
    foreign[18] = 183;
    assert_eq!(
        missing(&[("usr/bin/x", user.clone()), ("usr/lib/libx.so.1", b"GROUP ( libc.so.6 )".to_vec())]).len(),
        1
    );
    assert_eq!(missing(&[("usr/bin/x", user), ("usr/lib/libx.so.1", foreign)]).len(), 2);
}

#[test]
fn loaders_and_broken_files_are_found_out() {
    let program = elf(&[], None, None, Some("/lib64/ld-linux-x86-64.so.2"));
    assert!(missing(&[("usr/bin/x", program)])[0].contains("needs the loader /lib64/ld-linux-x86-64.so.2"));
    let cut = library("libx.so.1")[..100].to_vec();
    assert!(missing(&[("usr/lib/libx.so.1", cut)])[0].contains("broken ELF file"));
    assert!(missing(&[("usr/bin/x", b"#!/bin/sh\n".to_vec())]).is_empty());
}
