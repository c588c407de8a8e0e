use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::base::Node;
use super::*;

const HOST: Architecture = if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::Amd64 };

/// A root folder as a tree.
fn tree_of(root: &Path) -> Tree {
    fn add(tree: &mut Tree, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let kind = path.symlink_metadata().unwrap().file_type();
            let node = if kind.is_symlink() {
                NodeKind::Symlink(fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
            } else if kind.is_dir() {
                NodeKind::Directory
            } else {
                NodeKind::File(fs::read(&path).unwrap().into())
            };
            tree.put(&name, Node::new(node, 0o755)).unwrap();
            if kind.is_dir() {
                add(tree, root, &path);
            }
        }
    }
    let mut tree = Tree::default();
    add(&mut tree, root, root);
    tree
}

/// Debian's own layout with some libraries of the machine, a directory of the administrator's, and newer processors.
fn lay_out(root: &Path) -> Option<()> {
    let triplet = HOST.triplet();
    let libraries = PathBuf::from(format!("/usr/lib/{triplet}"));
    let own = root.join(format!("usr/lib/{triplet}"));
    for folder in ["etc/ld.so.conf.d", "usr/local/lib/glibc-hwcaps", "usr/lib64"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::create_dir_all(&own).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    fs::write(root.join("etc/ld.so.conf"), "include /etc/ld.so.conf.d/*.conf\n\n").unwrap();
    fs::write(root.join("etc/ld.so.conf.d/libc.conf"), "# libc default configuration\n/usr/local/lib\n").unwrap();
    let multiarch = format!("/usr/local/lib/{triplet}\n/lib/{triplet}\n/usr/lib/{triplet}\n");
    fs::write(root.join("etc/ld.so.conf.d/multiarch.conf"), multiarch).unwrap();
    let mut names: Vec<_> = fs::read_dir(libraries).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names.iter().filter(|path| path.to_string_lossy().contains(".so")) {
        let name = path.file_name()?;
        match fs::read_link(path) {
            Ok(target) if target.components().count() == 1 => symlink(target, own.join(name)).unwrap(),
            Ok(_) => {}
            Err(_) if fs::metadata(path).is_ok_and(|data| data.len() < 400_000) => {
                fs::copy(path, own.join(name)).ok()?;
            }
            Err(_) => {}
        }
    }
    let zlib = fs::canonicalize(format!("/usr/lib/{triplet}/libz.so.1")).ok()?;
    for level in ["x86-64-v2", "x86-64-v3"] {
        let folder = root.join("usr/local/lib/glibc-hwcaps").join(level);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(&zlib, folder.join("libz.so.1")).unwrap();
    }
    fs::copy(&zlib, root.join("usr/local/lib/libz.so.1")).unwrap();
    Some(())
}

fn host_version() -> Option<String> {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", "libc-bin"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_cache_is_ldconfig_s_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let ready = host_version().filter(|_| lay_out(folder.path()).is_some());
    let Some(version) = ready else {
        assert!(std::env::var_os("CI").is_none(), "no Debian libraries on this machine");
        println!("skipped: no Debian libraries on this machine");
        return;
    };
    let ours = write_cache(&tree_of(folder.path()), HOST, &generator(&version));
    let run = Command::new("/sbin/ldconfig").args(["-X", "-r"]).arg(folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let truth = fs::read(folder.path().join("etc/ld.so.cache")).unwrap();
    assert!(truth.len() > 2000, "only {} bytes to compare", truth.len());
    assert_eq!(ours.len(), truth.len());
    assert!(ours == truth, "the first difference is at byte {:?}", ours.iter().zip(&truth).position(|(a, b)| a != b));
}

#[test]
fn names_compare_as_versions() {
    let order = ["libc.so.6", "libc.so.10", "libm.so", "libm.so.6", "libz.so.1.2", "libz.so.1.10", "libz1.so"];
    for pair in order.windows(2) {
        assert!(compare_names(pair[0], pair[1]).is_lt(), "{pair:?}");
        assert!(compare_names(pair[1], pair[0]).is_gt(), "{pair:?}");
    }
    assert!(compare_names("lib01", "lib1").is_eq());
}

#[test]
fn configuration_that_includes_itself_ends() {
    let mut tree = Tree::default();
    let content = b"include /etc/ld.so.conf\ninclude a*b\n/opt\nhwcap 0 x\n"[..].into();
    tree.put("etc/ld.so.conf", Node::new(NodeKind::File(content), 0o644)).unwrap();
    tree.put("opt", Node::new(NodeKind::Directory, 0o755)).unwrap();
    assert_eq!(library_directories(&tree, HOST), ["/opt"]);
}

/// A hundred files that all include all of them: read as often as they are named, it would be 100 to the power of 8.
#[test]
fn configuration_that_includes_each_other_is_read_once() {
    let mut tree = Tree::default();
    let content: std::sync::Arc<[u8]> = b"include /etc/ld.so.conf.d/*.conf\n/opt\n".repeat(9).into();
    let file = |content| Node::new(NodeKind::File(content), 0o644);
    tree.put("etc/ld.so.conf", file(content.clone())).unwrap();
    for number in 0..100 {
        tree.put(format!("etc/ld.so.conf.d/{number}.conf"), file(content.clone())).unwrap();
    }
    tree.put("opt", Node::new(NodeKind::Directory, 0o755)).unwrap();
    assert_eq!(library_directories(&tree, HOST), ["/opt"]);
}
