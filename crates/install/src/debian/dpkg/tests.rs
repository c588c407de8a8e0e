use super::super::base::{Node, NodeKind};
use super::super::deb::ControlMember;
use super::*;

fn package(control: &str, members: &[(&str, &str)]) -> Package {
    let member = |(name, content): &(&str, &str)| ControlMember {
        name: (*name).to_owned(),
        mode: 0o755,
        content: content.as_bytes().to_vec(),
    };
    Package {
        control: Control::parse(control).unwrap(),
        members: members.iter().map(member).collect(),
        paths: vec![LayerPath::root(), LayerPath::new("lib/a").unwrap()],
        purl: "pkg:deb/debian/a@1".into(),
    }
}

fn find(files: &[DatabaseFile], path: &str) -> String {
    let file = files.iter().find(|file| file.path == format!("var/lib/dpkg/{path}"));
    String::from_utf8(file.unwrap_or_else(|| panic!("{path} is missing")).content.clone()).unwrap()
}

#[test]
fn stanzas_have_dpkg_s_order() {
    let control = "Package: a\nVersion: 1\nX-Own: x\nArchitecture: amd64\nDepends: b\nMulti-Arch: same\nHomepage: h\n\
                   Description: short\n long\n";
    let mut tree = Tree::default();
    tree.put("etc/a", Node::new(NodeKind::File(b"hello\n"[..].into()), 0o644)).unwrap();
    let packages = [package(control, &[("conffiles", "/etc/a\n"), ("postinst", "#!/bin/sh\n")])];
    let files = database(&packages, &tree, Architecture::Amd64);
    let expected = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\n\
                    Depends: b\nConffiles:\n /etc/a b1946ac92492d2347c6235b4d2611184\nDescription: short\n long\n\
                    X-Own: x\nHomepage: h\n\n";
    assert_eq!(find(&files, "status"), expected);
    assert_eq!(find(&files, "info/a:amd64.list"), "/.\n/lib/a\n");
    assert_eq!(find(&files, "info/a:amd64.postinst"), "#!/bin/sh\n");
    assert_eq!(find(&files, "info/format"), "1\n");
}

#[test]
fn triggers_are_by_path_and_by_name() {
    let control = "Package: a\nVersion: 1\nArchitecture: all\n";
    let triggers = "# comment\ninterest-noawait /usr/share/x\ninterest ldconfig\nactivate b\ninterest ../../../etc/passwd\n\
                    interest File\n";
    let files = database(&[package(control, &[("triggers", triggers)])], &Tree::default(), Architecture::Amd64);
    assert_eq!(find(&files, "triggers/File"), "/usr/share/x a/noawait\n");
    assert_eq!(find(&files, "triggers/ldconfig"), "a\n");
    assert!(files.iter().all(|file| !file.path.contains("..")));
}

#[test]
fn the_native_architecture_is_for_newer_dpkg() {
    for (version, expected) in [("1.21.22", false), ("1.22.21", true)] {
        let packages = [package(&format!("Package: dpkg\nVersion: {version}\nArchitecture: amd64\n"), &[])];
        let files = database(&packages, &Tree::default(), Architecture::Amd64);
        assert_eq!(files.iter().any(|file| file.path.ends_with("arch-native")), expected, "{version}");
    }
}

#[test]
fn apt_knows_what_nobody_asked_for() {
    let named =
        |name: &str, more: &str| package(&format!("Package: {name}\nVersion: 1\nArchitecture: all\n{more}"), &[]);
    let packages = [named("a", ""), named("b", ""), named("c", "Essential: yes\n")];
    let text = extended_states(&packages, &["a"], Architecture::Arm64);
    assert_eq!(text, "Package: b\nArchitecture: arm64\nAuto-Installed: 1\n\n");
}
