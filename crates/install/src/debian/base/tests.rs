use std::cell::RefCell;

use super::super::fixture::{FakeDeb, elf};
use super::*;

fn options<'a>(variant: Variant, scratch: &'a Path, bytecode: Option<&'a dyn Bytecode>) -> BaseOptions<'a> {
    let python = bytecode.map(|_| (3, 11));
    let (architecture, jobs) = (Architecture::Amd64, NonZeroUsize::MIN.saturating_add(1));
    BaseOptions {
        suite: "bookworm",
        variant,
        architecture,
        epoch: 86_400 * 7,
        seeds: &[],
        python,
        bytecode,
        compiler: None,
        dockerfiles: None,
        scratch,
        jobs,
    }
}

fn build(variant: Variant, debs: &[FakeDeb]) -> Result<Base, BaseError> {
    let folder = tempfile::tempdir().unwrap();
    let debs: Vec<_> = debs.iter().map(|deb| deb.write(folder.path())).collect();
    build_base(&debs, &options(variant, folder.path(), None))
}

fn at(path: &str) -> LayerPath {
    LayerPath::new(path).unwrap()
}

fn text(base: &Base, path: &str) -> String {
    String::from_utf8(base.tree.read(path).unwrap_or_else(|| panic!("/{path} is missing")).to_vec()).unwrap()
}

#[test]
fn files_land_below_usr_and_know_their_package() {
    let deb = FakeDeb::new("a").entry("bin/su", Kind::File, 0o4755, b"x").folder("var/run").file("var/run/y", "");
    let base = build(Variant::Slim, &[deb]).unwrap();
    let node = base.tree.get(&at("usr/bin/su")).unwrap();
    assert_eq!(node.mode, 0o755, "no set-user-id file in an image");
    assert_eq!(node.package.as_deref(), Some("pkg:deb/debian/a@1-1?arch=amd64&distro=debian-12"));
    assert!(base.tree.get(&at("run/y")).is_some());
    assert_eq!(text(&base, "var/lib/dpkg/info/a.list"), "/.\n/bin/su\n/var/run\n/var/run/y\n");
}

#[test]
fn files_know_the_source_that_advisories_are_written_for() {
    let debs = [
        FakeDeb::new("libc6").field("Source: glibc").file("usr/share/a", "1"),
        FakeDeb::new("libcap2").field("Source: libcap2 (1:2.66-4)").file("usr/share/b", "2"),
    ];
    let base = build(Variant::Slim, &debs).unwrap();
    let purl = |path| base.tree.get(&at(path)).unwrap().package.clone().unwrap();
    assert!(purl("usr/share/a").ends_with("?arch=amd64&distro=debian-12&upstream=glibc"));
    assert!(purl("usr/share/b").ends_with("&upstream=libcap2%401:2.66-4"));
}

#[test]
fn hard_links_are_remapped_with_their_file() {
    let deb = FakeDeb::new("gzip").file("bin/uncompress", "x").hard_link("bin/gunzip", "bin/uncompress");
    let base = build(Variant::Slim, &[deb]).unwrap();
    assert_eq!(base.tree.get(&at("usr/bin/uncompress")).unwrap().kind, NodeKind::HardLink(at("usr/bin/gunzip")));
    assert_eq!(text(&base, "bin/uncompress"), "x");
}

#[test]
fn the_order_of_the_packages_changes_nothing() {
    let debs = [FakeDeb::new("a").file("usr/share/a", "1"), FakeDeb::new("b").file("usr/share/b", "2")];
    let bytes = |base: Base| {
        let mut writer = LayerWriter::new(Vec::new(), corten_layer::write::Compression::Stored, 7);
        base.write_layer(&mut writer).unwrap();
        writer.finish().unwrap().0
    };
    let [one, other] = debs.clone();
    assert_eq!(bytes(build(Variant::Slim, &debs).unwrap()), bytes(build(Variant::Slim, &[other, one]).unwrap()));
}

#[test]
fn what_collides_is_an_error() {
    let debs = [FakeDeb::new("a").file("usr/bin/x", "1"), FakeDeb::new("b").file("bin/x", "2")];
    let error = build(Variant::Slim, &debs).unwrap_err();
    assert!(error.to_string().contains("both want to be there"), "{error}");
    let twice = [FakeDeb::new("a"), FakeDeb::new("a")];
    assert!(matches!(build(Variant::Slim, &twice), Err(BaseError::Twice(_))));
}

#[test]
fn a_missing_library_is_named_with_who_needs_it() {
    let program = elf(&["libx.so.1"], None, None, Some("/lib64/ld-linux-x86-64.so.2"));
    let loader = elf(&[], Some("ld-linux-x86-64.so.2"), None, None);
    let deb = FakeDeb::new("a").file("usr/bin/x", &program).file("lib64/ld-linux-x86-64.so.2", &loader);
    let error = build(Variant::Distroless, std::slice::from_ref(&deb)).unwrap_err().to_string();
    assert!(error.contains("/usr/bin/x needs the library libx.so.1"), "{error}");
    let library = elf(&[], Some("libx.so.1"), None, None);
    let library = FakeDeb::new("b").file("lib/x86_64-linux-gnu/libx.so.1", &library);
    build(Variant::Distroless, &[deb, library]).unwrap();
}

#[test]
fn alternatives_are_made_before_the_checks() {
    let script = "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 --slave /m m /none\n";
    let deb = FakeDeb::new("mawk").member("postinst", script).file("usr/bin/mawk", "x");
    let base = build(Variant::Slim, std::slice::from_ref(&deb)).unwrap();
    assert_eq!(text(&base, "usr/bin/awk"), "x");
    assert!(base.tree.get(&at("m")).is_none());
    assert!(
        text(&base, "var/lib/dpkg/alternatives/awk").starts_with("auto\n/usr/bin/awk\nm\n/m\n\n/usr/bin/mawk\n5\n")
    );
    let base = build(Variant::Distroless, &[deb]).unwrap();
    assert!(!base.tree.exists("var/lib/dpkg/alternatives"));
    let script = "update-alternatives --install /usr/bin/$x $x /usr/bin/mawk 5\n";
    let error = build(Variant::Slim, &[FakeDeb::new("b").member("postinst", script)]).unwrap_err();
    assert!(error.to_string().contains("package b: cannot do what its postinst does"), "{error}");
}

#[test]
fn links_to_nothing_are_an_error() {
    let error = build(Variant::Slim, &[FakeDeb::new("a").link("usr/bin/x", "nowhere")]).unwrap_err();
    assert!(matches!(error, BaseError::Invariant { .. }), "{error}");
}

#[test]
fn each_variant_has_one_form_of_the_database() {
    let deb = FakeDeb::new("a")
        .member("md5sums", "0 x\n")
        .file("usr/share/doc/a/copyright", "c")
        .file("usr/share/man/x", "m");
    let slim = build(Variant::Slim, std::slice::from_ref(&deb)).unwrap();
    assert!(slim.tree.exists("var/lib/dpkg/status") && !slim.tree.exists("var/lib/dpkg/status.d"));
    let distroless = build(Variant::Distroless, &[deb]).unwrap();
    assert!(
        !distroless.tree.exists("var/lib/dpkg/status") && distroless.tree.exists("var/lib/dpkg/status.d/a.md5sums")
    );
    assert!(text(&distroless, "var/lib/dpkg/status.d/a").starts_with("Package: a\nVersion: 1-1\n"));
    for base in [slim, distroless] {
        assert_eq!(text(&base, "usr/share/doc/a/copyright"), "c");
        assert!(!base.tree.exists("usr/share/man/x"));
    }
}

#[test]
fn users_are_those_of_base_passwd() {
    let master = "root:*:0:0:root:/root:/bin/bash\ndaemon:*:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n";
    let passwd = FakeDeb::new("base-passwd")
        .file("usr/share/base-passwd/passwd.master", master)
        .file("usr/share/base-passwd/group.master", "root:*:0:\nutmp:*:43:a\n");
    let shadow = FakeDeb::new("passwd").member("postinst", "[ -z \"$2\" ] && shadowconfig on\n");
    let distroless = build(Variant::Distroless, &[passwd.clone(), shadow.clone()]).unwrap();
    assert!(text(&distroless, "etc/passwd").starts_with("root:*:0:0:root:/root:/usr/sbin/nologin\n"));
    assert!(!distroless.tree.exists("etc/shadow") && !distroless.tree.exists("usr/share/base-passwd"));
    let slim = build(Variant::Slim, &[passwd, shadow]).unwrap();
    assert!(text(&slim, "etc/passwd").starts_with("root:x:0:0:root:/root:/bin/bash\n"));
    assert_eq!(text(&slim, "etc/shadow"), "root:*:7:0:99999:7:::\ndaemon:*:7:0:99999:7:::\n");
    assert_eq!(text(&slim, "etc/gshadow"), "root:*::\nutmp:*::a\n");
    let node = slim.tree.get(&at("etc/shadow")).unwrap();
    assert_eq!((node.mode, node.gid), (0o640, 42));
}

/// Notes what it is asked for.
#[derive(Default)]
struct Asked(RefCell<Vec<String>>);

impl Bytecode for Asked {
    fn compile(&self, root: &Path, files: &[LayerPath]) -> io::Result<Vec<(LayerPath, Vec<u8>)>> {
        assert!(root.join("loader").is_file() && root.join("usr/bin/python3.11").is_file());
        for file in files {
            assert!(root.join(file.as_str().unwrap()).is_file(), "{file}");
            self.0.borrow_mut().push(file.to_string());
        }
        Ok(vec![(at("usr/lib/python3.11/__pycache__/abc.cpython-311.pyc"), b"code".to_vec())])
    }
}

#[test]
fn bytecode_belongs_to_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let loader = elf(&[], None, None, None);
    let deb = FakeDeb::new("libpython3.11-minimal")
        .file("lib64/ld-linux-x86-64.so.2", &loader)
        .file("usr/bin/python3.11", &loader)
        .file("etc/python3.11/sitecustomize.py", "")
        .link("usr/lib/python3.11/sitecustomize.py", "/etc/python3.11/sitecustomize.py")
        .file("usr/lib/python3.11/abc.py", "x = 1\n")
        .file("usr/lib/python3.11/data.txt", "");
    let (asked, scratch) = (Asked::default(), folder.path().join("scratch"));
    std::fs::create_dir(&scratch).unwrap();
    let base = build_base(&[deb.write(folder.path())], &options(Variant::Distroless, &scratch, Some(&asked))).unwrap();
    assert_eq!(*asked.0.borrow(), ["usr/lib/python3.11/abc.py", "usr/lib/python3.11/sitecustomize.py"]);
    let node = base.tree.get(&at("usr/lib/python3.11/__pycache__/abc.cpython-311.pyc")).unwrap();
    assert!(node.package.as_deref().unwrap().contains("libpython3.11-minimal"));
    assert_eq!(base.tree.get(&at("usr/bin/python3")).unwrap().kind, NodeKind::Symlink("python3.11".into()));
    let outside = scratch.join("usr/lib/python3.11/sitecustomize.py").symlink_metadata().unwrap();
    assert!(outside.is_file(), "no link is written to the host");
}

#[test]
fn a_base_for_dockerfiles_has_one_folder_for_pip_s_packages() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let loader = elf(&[], None, None, None);
    let deb = FakeDeb::new("python3.11-minimal")
        .file("lib64/ld-linux-x86-64.so.2", &loader)
        .file("usr/bin/python3.11", &loader)
        .file("usr/lib/python3.11/abc.py", "x = 1\n");
    let debs = [deb.write(folder.path())];
    let asked = Asked::default();
    let plain = options(Variant::Slim, &scratch, Some(&asked));
    let own = BaseOptions { dockerfiles: Some(ForDockerfiles { headers: &[] }), ..plain };
    let base = build_base(&debs, &own).unwrap();
    let link = base.tree.get(&at("usr/local/lib/python3.11/dist-packages")).unwrap();
    assert_eq!(link.kind, NodeKind::Symlink("site-packages".into()));
    assert_eq!(base.tree.get(&at("usr/local/lib/python3.11/site-packages")).unwrap().kind, NodeKind::Directory);
    // Its bytecode lies beside it: a first start writes nothing into a layer.
    assert!(asked.0.borrow().contains(&"usr/lib/python3/dist-packages/_corten_usr_local.py".to_owned()));
    assert_eq!(text(&base, "usr/lib/python3/dist-packages/_corten_usr_local.pth"), "import _corten_usr_local\n");
    let again = folder.path().join("again");
    std::fs::create_dir(&again).unwrap();
    let base = build_base(&debs, &BaseOptions { scratch: &again, ..plain }).unwrap();
    assert_eq!(base.tree.get(&at("usr/local/lib/python3.11/dist-packages")).unwrap().kind, NodeKind::Directory);
    assert!(!base.tree.exists("usr/lib/python3/dist-packages"));
}
