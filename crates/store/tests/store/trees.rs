//! Layers on disk, judged by the kernel: what overlayfs shows of them is compared with what the indexes say, which
//! containerd's cases have judged before (`corten-layer`). Each test runs as root and as nobody, where this is root.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_layer::tree::Tree;
use corten_oci::{DiffId, Digest, Kind, LayerIndex, MediaType, MemoryBlobs};
use corten_store::{Doubled, Kept, ManifestOptions, Owners, Packing, Store, StoreError, TreeLayer, Upper};

use crate::support::{assert_clean, folder};

/// Runs a test, and where we are root the same once more as nobody.
fn as_root_and_nobody(name: &str, test: impl Fn()) {
    test();
    if is_root() && std::env::var_os("CORTEN_TEST_NOBODY").is_none() {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command.args([&format!("trees::{name}"), "--exact", "--nocapture"]).env("CORTEN_TEST_NOBODY", "1");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "as nobody: {said}");
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

// What a layer is made of.

fn block(name: &str, kind: u8, mode: u32, size: usize, link: &str) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000\x000000000\0");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"14371573000");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn file(name: &str, content: &str) -> Vec<u8> {
    let mut bytes = block(name, b'0', 0o644, content.len(), "");
    bytes.extend_from_slice(content.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn dir(name: &str, mode: u32) -> Vec<u8> {
    block(name, b'5', mode, 0, "")
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    block(name, b'2', 0o777, 0, target)
}

fn hard_link(name: &str, target: &str) -> Vec<u8> {
    block(name, b'1', 0o644, 0, target)
}

fn device(name: &str, kind: u8, major: u32, minor: u32) -> Vec<u8> {
    let mut bytes = block(name, kind, 0o600, 0, "");
    bytes[329..336].copy_from_slice(format!("{major:07o}").as_bytes());
    bytes[337..344].copy_from_slice(format!("{minor:07o}").as_bytes());
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    bytes
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let body = key.len() + value.len() + 3;
        let length = (body..).find(|length| *length == body + length.to_string().len()).unwrap();
        text += &format!("{length} {key}={value}\n");
    }
    let mut bytes = file("pax", &text);
    bytes[156] = b'x';
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..512].iter().map(|&byte| u32::from(byte)).sum();
    bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    bytes
}

fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

/// Puts tars into a store; nothing else is known of them.
fn layers(store: &Store, tars: &[Vec<u8>]) -> Vec<TreeLayer> {
    let batch = store.batch();
    let put = |tar: &Vec<u8>| TreeLayer { diff_id: DiffId(batch.put(tar).unwrap()), blob: None };
    let layers = tars.iter().map(put).collect();
    batch.finish().unwrap();
    layers
}

fn trees(store: &Store, layers: &[TreeLayer]) -> Result<Vec<PathBuf>, StoreError> {
    store.trees(layers, &MemoryBlobs::default())
}

// What is seen.

const LIST: &str = r#"
import os, stat, sys, zlib
root, owners = os.fsencode(sys.argv[1]), sys.argv[2] == 'owners'
first, lines = {}, []
for top, folders, files in os.walk(root):
    for name in sorted(folders + files):
        path = os.path.join(top, name)
        s = os.lstat(path)
        short = os.path.relpath(path, root)
        kind = {stat.S_IFREG: 'f', stat.S_IFDIR: 'd', stat.S_IFLNK: 'l', stat.S_IFCHR: 'c', stat.S_IFBLK: 'b', stat.S_IFIFO: 'p', stat.S_IFSOCK: 's'}[stat.S_IFMT(s.st_mode)]
        data = ''
        if kind == 'f':
            data = '%d' % zlib.crc32(open(path, 'rb').read())
        elif kind == 'l':
            data = os.readlink(path).decode()
        elif kind in 'cb':
            data = '%d:%d' % (os.major(s.st_rdev), os.minor(s.st_rdev))
        mode = '777' if kind == 'l' else '%o' % stat.S_IMODE(s.st_mode)
        owner = ' %d:%d' % (s.st_uid, s.st_gid) if owners else ''
        lines.append((short, '%s %s%s %s' % (kind, mode, owner, data), (s.st_dev, s.st_ino) if kind != 'd' else short))
lines.sort()
for short, said, inode in lines:
    print(short.decode('utf-8', 'replace'), said, first.setdefault(inode, short).decode('utf-8', 'replace'))
"#;

/// What overlayfs shows of these folders.
fn shown(folders: &[PathBuf], with_owners: bool) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("list.py");
    std::fs::write(&script, LIST).unwrap();
    let command = format!("python3 {} \"$M\" {}", script.display(), if with_owners { "owners" } else { "-" });
    mounted(folders, None, &command)
}

/// Runs a command of the shell where `$M` is an overlay.
fn mounted(folders: &[PathBuf], upper: Option<&Path>, command: &str) -> String {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut lower: Vec<_> = folders.iter().map(|folder| folder.to_str().unwrap().to_owned()).collect();
    lower.push(empty.to_str().unwrap().to_owned());
    if upper.is_none() && lower.len() == 1 {
        lower.push(scratch.path().to_str().unwrap().to_owned());
    }
    let upper = upper.map_or(String::new(), |upper| {
        let upper = upper.display();
        format!(",upperdir={upper}/upper,workdir={upper}/work")
    });
    let script = format!(
        "set -e; mkdir {0}/m; export M={0}/m; mount -t overlay -o userxattr,lowerdir={1}{upper} none $M; {command}",
        scratch.path().display(),
        lower.join(":")
    );
    let namespaces = if is_root() { "-m" } else { "-rm" };
    let output = Command::new("unshare").args([namespaces, "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same, of the indexes.
fn told(store: &Store, layers: &[TreeLayer], with_owners: bool) -> String {
    let indexes: Vec<(DiffId, LayerIndex)> =
        layers.iter().map(|layer| (layer.diff_id, store.layer_index(&layer.diff_id).unwrap().unwrap())).collect();
    let tree = Tree::new(indexes.iter().map(|(id, index)| (*id, index))).unwrap();
    let mut first: BTreeMap<(DiffId, u64), String> = BTreeMap::new();
    let mut text = String::new();
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let (kind, data) = match &node.entry.kind {
            Kind::File => ("f", node.entry.crc32.unwrap().to_string()),
            Kind::Directory => ("d", String::new()),
            Kind::Symlink(target) => ("l", target.clone()),
            Kind::Fifo => ("p", String::new()),
            Kind::CharacterDevice(..) | Kind::BlockDevice(..) if !can_make_devices() => continue,
            Kind::CharacterDevice(major, minor) => ("c", format!("{major}:{minor}")),
            Kind::BlockDevice(major, minor) => ("b", format!("{major}:{minor}")),
            other => panic!("{path}: {other:?}"),
        };
        let mode = if kind == "l" { 0o777 } else { node.entry.mode };
        let owner = if with_owners { format!(" {}:{}", node.entry.uid, node.entry.gid) } else { String::new() };
        let name = match kind {
            "d" => path.to_string(),
            _ => first.entry((node.layer, node.entry.offset)).or_insert_with(|| path.to_string()).clone(),
        };
        text += &format!("{path} {kind} {mode:o}{owner} {data} {name}\n");
    }
    text
}

fn can_make_devices() -> bool {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    Command::new("mknod").arg(folder.path().join("d")).args(["b", "8", "0"]).output().unwrap().status.success()
}

/// The kernel shows what the indexes say.
fn agree(store: &Store, tars: &[Vec<u8>]) -> Vec<TreeLayer> {
    let layers = layers(store, tars);
    let folders = trees(store, &layers).unwrap();
    assert_eq!(shown(&folders, is_root()), told(store, &layers, is_root()));
    assert_clean(store);
    layers
}

fn refused(store: &Store, tars: &[Vec<u8>]) -> String {
    let layers = layers(store, tars);
    trees(store, &layers).unwrap_err().to_string()
}

/// Path, inode, mode, owner, size with the number of names in it, times, content.
type Seen = (PathBuf, u64, u32, u32, u64, i64, i64, Vec<u8>);

/// A place for a store, and beside it what no layer may touch.
struct Escape {
    folder: tempfile::TempDir,
    store: Store,
    before: Vec<Seen>,
}

impl Escape {
    fn new() -> Self {
        let folder = folder();
        let out = folder.path().join("out");
        std::fs::create_dir_all(out.join("dir")).unwrap();
        std::fs::write(out.join("secret"), "secret").unwrap();
        std::fs::write(out.join("victim"), "victim").unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let before = Self::look(folder.path());
        Self { folder, store, before }
    }

    fn out(&self) -> String {
        self.folder.path().join("out").to_str().unwrap().to_owned()
    }

    fn look(folder: &Path) -> Vec<Seen> {
        let out = folder.join("out");
        let paths = [out.clone(), out.join("dir"), out.join("secret"), out.join("victim")];
        let mut seen = Vec::new();
        for path in paths {
            let found = path.symlink_metadata().unwrap();
            let content = if found.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            let names = if found.is_dir() { std::fs::read_dir(&path).unwrap().count() } else { 0 };
            let mode = found.mode();
            let (mtime, ctime) = (found.mtime_nsec(), found.ctime_nsec());
            seen.push((path, found.ino(), mode, found.uid(), found.len() + names as u64, mtime, ctime, content));
        }
        seen
    }
}

impl Drop for Escape {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(Self::look(self.folder.path()), self.before, "something outside has changed");
            assert!(!Path::new("/tmp/breakout-corten").exists() && !Path::new("/moo").exists());
        }
    }
}

fn data(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {}", path.display());
    println!("skipped: {} is absent", path.display());
    None
}

#[test]
fn a1_a2_a3_a7_containerds_breakouts_stay_inside_or_are_refused() {
    as_root_and_nobody("a1_a2_a3_a7_containerds_breakouts_stay_inside_or_are_refused", || {
        let Some(folder) = data("attacks/layers") else { return };
        let cases: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
        let cases = cases.as_array().unwrap();
        assert_eq!(cases.len(), 34);
        let escape = Escape::new();
        for case in cases {
            let files = ["base", "layer"].into_iter().filter_map(|key| case[key].as_str());
            let tars: Vec<_> = files.map(|file| std::fs::read(folder.join(file)).unwrap()).collect();
            match case["expect"] == "refuse" {
                true => drop(refused(&escape.store, &tars)),
                false => drop(agree(&escape.store, &tars)),
            }
        }
    });
}

#[test]
fn a1_traversal_archives_have_nothing_outside() {
    as_root_and_nobody("a1_traversal_archives_have_nothing_outside", || {
        let Some(folder) = data("attacks/traversal") else { return };
        let escape = Escape::new();
        for name in ["absolute1", "absolute2", "dirsymlink2a", "dirsymlink2b", "symlink"] {
            agree(&escape.store, &[std::fs::read(folder.join(format!("{name}.tar"))).unwrap()]);
        }
        for name in ["dirsymlink", "relative0", "relative2"] {
            refused(&escape.store, &[std::fs::read(folder.join(format!("{name}.tar"))).unwrap()]);
        }
    });
}

#[test]
fn a2_to_a6_links_lead_nowhere_outside() {
    as_root_and_nobody("a2_to_a6_links_lead_nowhere_outside", || {
        let escape = Escape::new();
        let out = escape.out();
        let hostile = |parts: &[Vec<u8>]| drop(agree(&escape.store, &[tar(parts)]));
        // A2: through a link, and through a chain of them.
        hostile(&[symlink("l", &out), file("l/victim", "x")]);
        hostile(&[symlink("a", "b"), symlink("b", &format!("/../../..{out}")), file("a/victim", "x")]);
        // A3: a hard link to a file of the host, then the file.
        assert!(refused(&escape.store, &[tar(&[hard_link("x", &format!("{out}/victim"))])]).contains("not there"));
        hostile(&[symlink("v", &format!("{out}/victim")), hard_link("x", "v"), file("x", "y")]);
        // A4: a directory over a link.
        hostile(&[symlink("d", &format!("{out}/dir")), dir("d", 0o777), file("d/x", "y")]);
        // A5: parents that nobody told of, behind a link.
        hostile(&[symlink("s", ".."), file("s/a/b/c", "x")]);
        // A6: the root replaced.
        for name in ["/.", ".", "./", "/"] {
            hostile(&[symlink(name, &out), file("victim", "x")]);
        }
    });
}

#[test]
fn a4_a_directory_over_a_link_of_a_lower_layer() {
    as_root_and_nobody("a4_a_directory_over_a_link_of_a_lower_layer", || {
        let escape = Escape::new();
        let out = escape.out();
        let base = tar(&[symlink("l", &out), symlink("s", "real"), dir("real", 0o750), file("real/old", "1")]);
        // Behind a link of a lower layer, inside; the tree is not that of the layer alone.
        let through = tar(&[file("s/new", "2"), file("l/victim", "x")]);
        let layers = agree(&escape.store, &[base.clone(), through.clone()]);
        let alone = agree(&escape.store, &[through]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert!(folders[0].join("real/new").is_file(), "where the link leads");
        assert_ne!(folders[0], trees(&escape.store, &alone).unwrap()[0]);
        agree(&escape.store, &[base.clone(), tar(&[dir("l", 0o700), file("l/victim", "x")])]);
        agree(&escape.store, &[base, tar(&[dir("s", 0o700)]), tar(&[file("s/x", "x")])]);
    });
}

#[test]
fn a3_hard_links_to_files_of_lower_layers_are_one_file_with_them() {
    as_root_and_nobody("a3_hard_links_to_files_of_lower_layers_are_one_file_with_them", || {
        let escape = Escape::new();
        let base = tar(&[dir("d", 0o755), file("d/one", "1"), symlink("soft", "d/one")]);
        agree(&escape.store, &[base.clone(), tar(&[hard_link("two", "d/one")])]);
        agree(&escape.store, &[base, tar(&[hard_link("again", "soft"), hard_link("d/three", "d/one")])]);
    });
}

#[test]
fn a7_whiteouts_hide_lower_layers_only_wherever_they_stand() {
    as_root_and_nobody("a7_whiteouts_hide_lower_layers_only_wherever_they_stand", || {
        let escape = Escape::new();
        let base =
            || tar(&[dir("d", 0o711), file("d/old", "1"), file("d/both", "2"), file("e", "3"), symlink("s", "d")]);
        let uppers = [
            vec![file("d/.wh.both", ""), file("d/both", "new")],
            vec![file("d/both", "new"), file("d/.wh.both", "")],
            vec![file("d/new", "4"), file("d/.wh..wh..opq", "")],
            vec![file("d/.wh..wh..opq", ""), file("d/new", "4")],
            vec![file("s/.wh..wh..opq", "")],
            vec![file(".wh.d", "")],
            vec![file(".wh.d", ""), file(".wh.d", "")],
            vec![file("d/x", "5"), file(".wh.d", "")],
            vec![dir("d", 0o700), file(".wh.d", "")],
            vec![file(".wh..wh..opq", ""), file("x", "6")],
            vec![file(".wh..wh..opq", ""), file("d/x", "6")],
            vec![file(".wh.gone", ""), file("no/.wh.gone", "")],
            vec![file("s/.wh.old", "")],
        ];
        for upper in &uppers {
            agree(&escape.store, &[base(), tar(upper)]);
            // What is gone may come again.
            agree(&escape.store, &[base(), tar(upper), tar(&[file("d/old", "again"), file("e", "again")])]);
        }
        for name in [".wh..", ".wh...", ".wh.", "d/.wh..", ".wh..wh.x"] {
            refused(&escape.store, &[base(), tar(&[file(name, "")])]);
        }
    });
}

#[test]
fn a8_overlayfs_own_marks_never_come_from_a_layer() {
    as_root_and_nobody("a8_overlayfs_own_marks_never_come_from_a_layer", || {
        let escape = Escape::new();
        let error = refused(&escape.store, &[tar(&[device("gone", b'3', 0, 0)])]);
        assert!(error.contains("device 0:0 is an overlayfs whiteout"), "{error}");
        let marks = [
            ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", "y"),
            ("SCHILY.xattr.user.overlay.opaque", "y"),
            ("SCHILY.xattr.user.overlay.redirect", "/etc"),
            ("SCHILY.xattr.user.kept", "yes"),
        ];
        let upper = tar(&[pax(&marks), dir("d", 0o755), pax(&marks), file("d/f", "x")]);
        let layers = agree(&escape.store, &[tar(&[dir("d", 0o755), file("d/old", "1")]), upper]);
        let folders = trees(&escape.store, &layers).unwrap();
        for path in ["d", "d/f"] {
            let output = Command::new("python3")
                .args(["-c", "import os, sys; print(os.listxattr(sys.argv[1]))"])
                .arg(folders[0].join(path))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "['user.kept']\n", "{path}");
        }
    });
}

#[test]
fn a9_a10_devices_pipes_and_set_user_id_lie_where_nobody_else_comes() {
    as_root_and_nobody("a9_a10_devices_pipes_and_set_user_id_lie_where_nobody_else_comes", || {
        let escape = Escape::new();
        let su = [block("su", b'0', 0o4755, 0, ""), block("pipe", b'6', 0o644, 0, "")];
        let parts =
            [su.concat(), device("sda", b'4', 8, 0), device("null", b'3', 1, 3), dir("shut", 0), file("shut/x", "")];
        // A pipe is never opened: reading it would wait for ever.
        let layers = agree(&escape.store, &[tar(&parts)]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert_eq!(folders[0].join("su").metadata().unwrap().mode() & 0o7777, 0o4755);
        let wrapper = folders[0].parent().unwrap().metadata().unwrap();
        assert_eq!(wrapper.mode() & 0o7777, 0o700, "nobody else may enter");
        assert_eq!(escape.store.verify(&corten_diagnostic::Nobody).unwrap(), []);
    });
}

#[test]
fn a15_a16_deep_paths_and_loops_are_refused() {
    as_root_and_nobody("a15_a16_deep_paths_and_loops_are_refused", || {
        let escape = Escape::new();
        let deep = "d/".repeat(600);
        let error = refused(&escape.store, &[tar(&[pax(&[("path", &format!("{deep}x"))]), file("x", "")])]);
        assert!(error.contains("over the limit of 512"), "{error}");
        let error = refused(&escape.store, &[tar(&[symlink("a", "b"), symlink("b", "a"), file("a/x", "")])]);
        assert!(error.contains("perhaps a loop"), "{error}");
        let long = "l".repeat(90);
        let mut chain: Vec<_> = (0..16).map(|at| symlink(&format!("{at}"), &format!("{}/{long}", at + 1))).collect();
        chain.push(file("0/x", ""));
        agree(&escape.store, &[tar(&chain)]);
        chain.push(file("0/../../x", ""));
        let error = refused(&escape.store, &[tar(&chain)]);
        assert!(error.contains("climbs out of the root"), "{error}");
        let deepest: String = "d/".repeat(400);
        agree(&escape.store, &[tar(&[pax(&[("path", &format!("{deepest}x"))]), file("x", "y")])]);
    });
}

#[test]
fn a18_a_layer_with_another_byte_at_its_very_end_gets_no_name() {
    as_root_and_nobody("a18_a_layer_with_another_byte_at_its_very_end_gets_no_name", || {
        let escape = Escape::new();
        let right = [tar(&[file("f", "x")]), vec![0; 512]].concat();
        let mut blobs = MemoryBlobs::default();
        let digest = blobs.insert(right[..right.len() - 512].to_vec());
        let blob = corten_oci::Descriptor::new(MediaType::LAYER, digest, right.len() as u64 - 512);
        let layer = TreeLayer { diff_id: DiffId(Digest::of(&right)), blob: Some(blob) };
        let error = escape.store.trees(std::slice::from_ref(&layer), &blobs).unwrap_err().to_string();
        assert!(error.contains("its bytes have the diff id"), "{error}");
        // Also where the index is known already.
        let index = corten_layer::tar::index(right.as_slice()).unwrap().index;
        let batch = escape.store.batch();
        batch.layer_index(&layer.diff_id, &index).unwrap();
        batch.finish().unwrap();
        let error = escape.store.trees(std::slice::from_ref(&layer), &blobs).unwrap_err().to_string();
        assert!(error.ends_with("its bytes are not those that its diff id names"), "{error}");
        let path = escape.store.root().join("layers").join(layer.diff_id.0.hex()).join("tree");
        assert!(!path.exists());
        assert_clean(&escape.store);
    });
}

#[test]
fn a19_names_are_bytes() {
    as_root_and_nobody("a19_names_are_bytes", || {
        let escape = Escape::new();
        let mut odd = file("odd-x", "1");
        odd[4] = 0xff;
        odd[148..156].fill(b' ');
        let sum: u32 = odd[..512].iter().map(|&byte| u32::from(byte)).sum();
        odd[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let parts = [odd, file("Case", "1"), file("case", "2"), file("a b\tc\u{1b}[31m", "3"), file("ö", "4")];
        let layers = layers(&escape.store, &[tar(&parts)]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert_eq!(std::fs::read_dir(&folders[0]).unwrap().count(), 5);
        assert_clean(&escape.store);
    });
}

#[test]
fn folders_without_an_entry_are_as_those_below() {
    as_root_and_nobody("folders_without_an_entry_are_as_those_below", || {
        let escape = Escape::new();
        let base = tar(&[dir("./", 0o711), dir("tmp", 0o1777), dir("root", 0o700), dir("usr", 0o755)]);
        let upper = tar(&[file("tmp/x", "1"), file("root/x", "2"), file("usr/x", "3"), file("new/x", "4")]);
        let layers = agree(&escape.store, &[base.clone(), upper.clone()]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert_eq!(folders[0].metadata().unwrap().mode() & 0o7777, 0o711, "the root too");
        // Another image with the same folders has the same tree; one with others has its own.
        let other = agree(&escape.store, &[tar(&[dir("etc", 0o755)]), base, upper.clone()]);
        assert_eq!(trees(&escape.store, &other).unwrap()[0], folders[0]);
        let alone = agree(&escape.store, &[upper]);
        assert_ne!(trees(&escape.store, &alone).unwrap()[0], folders[0]);
        assert!(trees(&escape.store, &alone).unwrap()[0].ends_with("tree/root"));
    });
}

// What a command leaves.

/// Runs a command of the shell in an overlay of these layers, and keeps what it changed. The layers with the new one.
fn run(store: &Store, layers: &[TreeLayer], command: &str, epoch: Option<u64>) -> (Vec<TreeLayer>, Kept) {
    let lower = trees(store, layers).unwrap();
    let folder = store.upper_folder().unwrap();
    for name in ["upper", "work"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let list = tempfile::tempdir().unwrap();
    let script = list.path().join("list.py");
    std::fs::write(&script, LIST).unwrap();
    let owners = if is_root() { "owners" } else { "-" };
    let command = format!("(cd $M; {command}); python3 {} $M {owners}", script.display());
    let seen = mounted(&lower, Some(folder.path()), &command);
    let ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
    let owners = if is_root() { Owners::OnDisk } else { Owners::One { user: 0, group: 0 } };
    let kept = store.keep_upper(Upper { folder, layers: &ids, lower: &lower, epoch, owners }).unwrap();
    let mut all = layers.to_vec();
    all.push(TreeLayer { diff_id: kept.diff_id, blob: None });
    // What the command saw is what the next one sees, but for sockets.
    let seen: String = seen.lines().filter(|line| !line.contains(" s ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(shown(&trees(store, &all).unwrap(), is_root()), seen, "{command}");
    assert_eq!(told(store, &all, is_root()), seen, "{command}");
    // Its tar is made again as it was.
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut store.tar(&kept.diff_id).unwrap(), &mut tar).unwrap();
    assert_eq!((DiffId(Digest::of(&tar)), tar.len() as u64), (kept.diff_id, kept.tar_size));
    let again = corten_layer::tar::index(tar.as_slice()).unwrap();
    assert_eq!(Some(again.index), store.layer_index(&kept.diff_id).unwrap());
    (all, kept)
}

fn entries(store: &Store, kept: &Kept) -> Vec<String> {
    let index = store.layer_index(&kept.diff_id).unwrap().unwrap();
    let mark = |kind: &Kind| match kind {
        Kind::Whiteout => " gone",
        Kind::Opaque => " opaque",
        Kind::HardLink(_) => " link",
        _ => "",
    };
    index.entries.iter().map(|entry| format!("{}{}", entry.path, mark(&entry.kind))).collect()
}

fn base() -> Vec<u8> {
    let big = "0123456789".repeat(2000);
    tar(&[
        dir("etc", 0o755),
        file("etc/a", "1"),
        file("etc/b", "2"),
        dir("usr", 0o755),
        dir("usr/bin", 0o755),
        file("usr/bin/big", &big),
        symlink("bin", "usr/bin"),
        dir("tmp", 0o1777),
        dir("old", 0o700),
        file("old/x", "3"),
    ])
}

#[test]
fn a_command_that_changes_nothing_leaves_an_empty_layer() {
    as_root_and_nobody("a_command_that_changes_nothing_leaves_an_empty_layer", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let commands = ["true", "touch tmp/x; rm tmp/x", "chmod 700 usr; chmod 755 usr", "exec 3<>etc/a"];
        for command in commands {
            let (_, kept) = run(&escape.store, &base, command, None);
            assert_eq!(kept.diff_id.0, Digest::of([0; 1024]), "{command}: {:?}", entries(&escape.store, &kept));
        }
        assert_clean(&escape.store);
    });
}

#[test]
fn what_a_command_changes_is_the_layer() {
    as_root_and_nobody("what_a_command_changes_is_the_layer", || {
        let escape = Escape::new();
        let store = &escape.store;
        let base = layers(store, &[base()]);
        let cases: [(&str, &[&str]); 9] = [
            ("echo new > etc/c; echo more >> etc/a", &["etc/a", "etc/c"]),
            ("rm etc/a; rm -r old", &["etc/a gone", "old gone"]),
            ("rm -r old; mkdir old; echo n > old/y", &["old", "old opaque", "old/y"]),
            ("mkdir -p n/m; echo 1 > n/m/f; ln n/m/f n/l; ln -s f n/m/s", &["n", "n/l", "n/m", "n/m/f link", "n/m/s"]),
            ("chmod 750 usr; touch usr/bin/x", &["usr", "usr/bin/x"]),
            ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"tmp/s\")'; touch tmp/t", &["tmp/t"]),
            ("mkfifo tmp/p", &["tmp/p"]),
            ("rm etc/a; mkdir etc/a; touch etc/a/x; rm -r usr; touch usr", &["etc/a", "etc/a/x", "usr"]),
            ("mv etc/a etc/z; chmod 4755 etc/b", &["etc/a gone", "etc/b", "etc/z"]),
        ];
        for (command, expected) in cases {
            let (_, kept) = run(store, &base, command, None);
            assert_eq!(entries(store, &kept), expected, "{command}");
        }
        assert_clean(store);
    });
}

#[test]
fn layers_of_commands_stand_on_each_other() {
    as_root_and_nobody("layers_of_commands_stand_on_each_other", || {
        let escape = Escape::new();
        let mut all = layers(&escape.store, &[base()]);
        let commands = [
            "rm -r old; echo 1 > one",
            "mkdir old; echo 2 > old/two; echo 2 > tmp/two",
            "rm one; chmod 600 old/two; mkdir -p a/b/c; touch a/b/c/d",
            "rm -r a/b; mkdir a/b; touch a/b/e; rm tmp/two",
            "touch old/x etc/n; rm -r usr/bin; mkdir usr/bin",
        ];
        for command in commands {
            all = run(&escape.store, &all, command, None).0;
        }
        // Another process knows the same.
        let root = escape.store.root().to_owned();
        let other = Store::open(root).unwrap();
        assert_eq!(trees(&other, &all).unwrap(), trees(&escape.store, &all).unwrap());
        assert_clean(&other);
    });
}

#[test]
fn files_of_which_only_the_mode_changed_are_counted() {
    as_root_and_nobody("files_of_which_only_the_mode_changed_are_counted", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let (_, kept) = run(&escape.store, &base, "chmod 600 usr/bin/big etc/a; echo 9 > etc/b; chmod 700 old", None);
        assert_eq!(kept.doubled, Doubled { files: 2, bytes: 20_001 });
    });
}

#[test]
fn times_are_no_later_than_the_epoch_and_attributes_are_kept() {
    as_root_and_nobody("times_are_no_later_than_the_epoch_and_attributes_are_kept", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let setfattr = "python3 -c 'import os; os.setxattr(\"etc/n\", \"user.note\", b\"yes\")'";
        let command = format!("touch -d @1000.7 etc/o; touch etc/n; {setfattr}; mkdir d; ln -s x d/l");
        let (_, kept) = run(&escape.store, &base, &command, Some(1_600_000_000));
        let mut tar = escape.store.tar(&kept.diff_id).unwrap();
        let mut reader = corten_layer::tar::TarReader::new(&mut tar);
        let mut seen = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let names: Vec<_> =
                reader.attributes().xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            seen.push(format!("{} {} {}", entry.path, reader.mtime(), names.join(",")));
        }
        let expected =
            ["d 1600000000 ", "d/l 1600000000 ", "etc/n 1600000000 user.note", "etc/o 1000 "].map(str::to_owned);
        assert_eq!(seen, expected);
        // The same again is the same layer, whenever it is made.
        let (_, again) = run(&escape.store, &base, &command, Some(1_600_000_000));
        assert_eq!(again.diff_id, kept.diff_id);
    });
}

#[test]
fn a_layer_cannot_hold_every_name() {
    as_root_and_nobody("a_layer_cannot_hold_every_name", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let lower = trees(&escape.store, &base).unwrap();
        let folder = escape.store.upper_folder().unwrap();
        std::fs::create_dir_all(folder.path().join("upper")).unwrap();
        std::fs::write(folder.path().join("upper/.wh.x"), "").unwrap();
        let layers: Vec<_> = base.iter().map(|layer| layer.diff_id).collect();
        let upper = Upper { folder, layers: &layers, lower: &lower, epoch: None, owners: Owners::OnDisk };
        let error = escape.store.keep_upper(upper).unwrap_err();
        assert_eq!(
            error.to_string(),
            "making a layer of what a command changed: '.wh.x': cannot write '.wh.x' to a layer: a name that begins with '.wh.' means a deletion in a layer"
        );
    });
}

#[test]
fn a_torn_tree_is_found_and_made_again() {
    as_root_and_nobody("a_torn_tree_is_found_and_made_again", || {
        let escape = Escape::new();
        let store = &escape.store;
        let base = layers(store, &[base()]);
        let folders = trees(store, &base).unwrap();
        let state = folders[0].parent().unwrap().join("state");
        let good = std::fs::read(&state).unwrap();
        // After the machine was started anew, what a disk lost is missed.
        let text = String::from_utf8(good.clone()).unwrap();
        let boot = text.lines().find(|line| line.starts_with("boot ")).unwrap();
        let value = text.split_once('\n').unwrap().1.replace(boot, "boot another");
        let key = base[0].diff_id.0;
        let bound = Digest::of(format!("{key}\n{value}"));
        std::fs::write(folders[0].join("etc/a"), "").unwrap();
        std::fs::write(&state, format!("corten-record 2 {bound}\n{value}")).unwrap();
        assert!(!store.verify(&corten_diagnostic::Nobody).unwrap().is_empty());
        assert_eq!(trees(store, &base).unwrap(), folders);
        assert_eq!(std::fs::read_to_string(folders[0].join("etc/a")).unwrap(), "1");
        assert_clean(store);
        // A state that is torn, too.
        for torn in [&good[..good.len() / 2], b"", b"x"] {
            std::fs::write(&state, torn).unwrap();
            std::fs::remove_file(folders[0].join("etc/b")).unwrap();
            assert_eq!(trees(store, &base).unwrap(), folders);
            assert!(folders[0].join("etc/b").exists());
        }
        assert_clean(store);
    });
}

#[test]
fn trees_that_can_be_made_again_are_pruned_and_those_of_commands_stay() {
    as_root_and_nobody("trees_that_can_be_made_again_are_pruned_and_those_of_commands_stay", || {
        let escape = Escape::new();
        let root = escape.store.root().to_owned();
        let (all, kept) = {
            let store = Store::open(&root).unwrap();
            let base = layers(&store, &[base()]);
            let (all, kept) = run(&store, &base, "touch made; rm -r old", None);
            let ids: Vec<_> = all.iter().map(|layer| format!("\"{}\"", layer.diff_id)).collect();
            let config = format!(
                r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
                ids.join(",")
            );
            let batch = store.batch();
            let config = batch.put(config.as_bytes()).unwrap();
            batch.image(&"local/app:1".parse().unwrap(), &config).unwrap();
            batch.finish().unwrap();
            assert!(prune(&store).iter().all(|name| !name.contains("tree")), "what this command uses stays");
            (all, kept)
        };
        let store = Store::open(&root).unwrap();
        let gone = prune(&store);
        assert_eq!(gone.iter().filter(|name| name.contains("/tree/")).count(), 1, "{gone:?}");
        assert_clean(&store);
        assert!(store.has_layer(&kept.diff_id).unwrap() && store.has_layer(&all[0].diff_id).unwrap());
        assert_eq!(shown(&trees(&store, &all).unwrap(), is_root()), told(&store, &all, is_root()));
        // Without its name, all goes.
        store.untag(&"local/app:1".parse().unwrap()).unwrap();
        drop(store);
        let store = Store::open(&root).unwrap();
        prune(&store);
        assert_eq!(std::fs::read_dir(root.join("layers")).unwrap().count(), 0);
    });
}

fn prune(store: &Store) -> Vec<String> {
    let now = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    let unused_for = std::time::Duration::ZERO;
    let options = corten_store::PruneOptions { keep: None, unused_for, all: false, now };
    let gone = store.prune(store.prunable(&options).unwrap()).unwrap();
    gone.items.iter().map(|item| item.path.display().to_string()).collect()
}

// Blobs.

#[test]
fn blobs_are_made_when_wanted_and_pieces_are_remembered() {
    let escape = Escape::new();
    let store = &escape.store;
    let files = |changed: usize| -> Vec<u8> {
        let content = |number: usize| {
            let seed = if number == changed { number + 1000 } else { number };
            let bytes: Vec<u8> = crate::support::noise(seed as u64, 40_000 + number * 3001);
            bytes.iter().map(|byte| format!("{:02x}", byte & 0x1f)).collect::<String>()
        };
        tar(&(0..30).map(|number| file(&format!("f{number}"), &content(number))).collect::<Vec<_>>())
    };
    let (one, other) = (files(100), files(17));
    let layers = layers(store, &[one.clone(), other.clone()]);
    let mut blobs = Vec::new();
    for (layer, tar) in layers.iter().zip([&one, &other]) {
        trees(store, std::slice::from_ref(layer)).unwrap();
        for (packing, media_type) in [
            (Packing::Gzip, MediaType::LAYER_GZIP),
            (Packing::Zstd, MediaType::LAYER_ZSTD),
            (Packing::Tar, MediaType::LAYER),
        ] {
            let blob = store.pack(&layer.diff_id, packing).unwrap();
            assert_eq!(blob, store.pack(&layer.diff_id, packing).unwrap());
            assert!(blob.media_type.is(media_type) && blob.annotations.is_empty());
            let mut content = Vec::new();
            let source = store.read(&blob.digest).unwrap();
            let mut reader = corten_layer::gzip::reader(&blob.media_type, source).unwrap();
            std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
            assert!(content == *tar);
            blobs.push(blob);
        }
    }
    // A store that remembers nothing makes the same bytes.
    let fresh = Escape::new();
    let alone = self::layers(&fresh.store, &[other]);
    trees(&fresh.store, &alone).unwrap();
    assert_eq!(fresh.store.pack(&alone[0].diff_id, Packing::Gzip).unwrap(), blobs[3]);
    // What is damaged in an old blob comes into no new one.
    let path = store.blob_path(&blobs[0].digest);
    let mut bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(5000) {
        bytes[at] ^= 1;
    }
    make_writable(&path);
    std::fs::write(&path, &bytes).unwrap();
    let path = store.blob_path(&blobs[3].digest);
    std::fs::remove_file(path).unwrap();
    assert_eq!(store.pack(&layers[1].diff_id, Packing::Gzip).unwrap(), blobs[3]);
    assert!(store.is_whole(&blobs[3].digest).unwrap());
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn the_tree_of_a_command_becomes_a_blob_and_a_tree_again() {
    as_root_and_nobody("the_tree_of_a_command_becomes_a_blob_and_a_tree_again", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let (all, kept) = run(&escape.store, &base, "mkdir a; echo 1 > a/b; rm -r old; chmod 700 tmp", None);
        let blob = escape.store.pack(&kept.diff_id, Packing::Gzip).unwrap();
        // In another store, from that blob.
        let other = Escape::new();
        let mut blobs = MemoryBlobs::default();
        blobs.insert(escape.store.bytes(&blob.digest).unwrap());
        let mut moved = layers(&other.store, &[self::base()]);
        moved.push(TreeLayer { diff_id: kept.diff_id, blob: Some(blob) });
        let folders = other.store.trees(&moved, &blobs).unwrap();
        assert_eq!(shown(&folders, is_root()), told(&escape.store, &all, is_root()));
        // On another base its tree is another.
        let elsewhere = tar(&[dir("old", 0o755), file("old/x", "1"), dir("tmp", 0o755)]);
        let mut mixed = layers(&escape.store, &[elsewhere]);
        mixed.push(TreeLayer { diff_id: kept.diff_id, blob: None });
        let folders = trees(&escape.store, &mixed).unwrap();
        assert_eq!(shown(&folders, is_root()), told(&escape.store, &mixed, is_root()));
    });
}

// Out of the store.

/// Two layers, of which the second hides and changes some of the first.
fn image(store: &Store) -> (Vec<TreeLayer>, Kept) {
    let base = layers(store, &[base()]);
    let command = "echo 1 > usr/n; ln usr/n usr/bin/m; rm -r old; mkfifo tmp/p; chmod 4755 etc/a; ln -s ../etc usr/l; mkdir -m 500 shut";
    run(store, &base, command, None)
}

#[test]
fn the_files_of_an_image_as_a_tar_that_other_programs_unpack() {
    as_root_and_nobody("the_files_of_an_image_as_a_tar_that_other_programs_unpack", || {
        let escape = Escape::new();
        let (all, _) = image(&escape.store);
        let mut tar = Vec::new();
        escape.store.export_tar(&all, &MemoryBlobs::default(), Some(1_500_000_000), &mut tar).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("image.tar"), &tar).unwrap();
        let to = scratch.path().join("to");
        std::fs::create_dir(&to).unwrap();
        let mut command = Command::new("tar");
        command.args(["-x", "-p", "-f"]).arg(scratch.path().join("image.tar")).arg("-C").arg(&to);
        assert!(command.status().unwrap().success());
        let folders = trees(&escape.store, &all).unwrap();
        assert_eq!(shown(std::slice::from_ref(&to), is_root()), shown(&folders, is_root()));
        let newest = |path: &str| to.join(path).symlink_metadata().unwrap().mtime();
        assert!(["usr/l", "tmp", "etc/a"].iter().all(|path| newest(path) <= 1_500_000_000));
    });
}

#[test]
fn d18_files_are_written_into_a_folder_and_nowhere_else() {
    as_root_and_nobody("d18_files_are_written_into_a_folder_and_nowhere_else", || {
        let escape = Escape::new();
        let (all, _) = image(&escape.store);
        let to = escape.folder.path().join("to");
        let out = escape.out();
        // What another export left there: links to outside where folders and files come, and files of the user's own.
        std::fs::create_dir_all(to.join("usr/bin/big")).unwrap();
        std::fs::write(to.join("mine"), "mine").unwrap();
        for (link, target) in [("etc", format!("{out}/dir")), ("bin", out.clone()), ("tmp", "..".into())] {
            std::os::unix::fs::symlink(target, to.join(link)).unwrap();
        }
        std::os::unix::fs::symlink(format!("{out}/victim"), to.join("usr/bin/.corten-incomplete")).unwrap();
        for _ in 0..2 {
            escape.store.export_folder(&all, &MemoryBlobs::default(), None, &to).unwrap();
            assert_eq!(std::fs::read_to_string(to.join("mine")).unwrap(), "mine");
            let seen: String = shown(std::slice::from_ref(&to), false)
                .lines()
                .filter(|line| !line.starts_with("mine "))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(seen, told(&escape.store, &all, false));
        }
    });
}

#[test]
fn a_local_image_becomes_one_with_a_manifest_that_is_complete() {
    let escape = Escape::new();
    let store = &escape.store;
    let (all, _) = image(store);
    let ids: Vec<_> = all.iter().map(|layer| format!("\"{}\"", layer.diff_id)).collect();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{{"created_by":"base"}},{{"created_by":"ENV","empty_layer":true}},{{"created_by":"RUN x"}}]}}"#,
        ids.join(",")
    );
    // The first layer came with a base, as a plain tar.
    let given = corten_oci::Descriptor::new(
        MediaType::LAYER,
        all[0].diff_id.0,
        store.size(&all[0].diff_id.0).unwrap().unwrap(),
    );
    let layers = [TreeLayer { blob: Some(given.clone()), ..all[0].clone() }, all[1].clone()];
    let id = store.keep_local(config.as_bytes(), &layers).unwrap();
    assert!(store.local_config(&id).unwrap().is_some());
    assert_eq!(store.local_layers(&store.local_config(&id).unwrap().unwrap()).unwrap()[0].blob, Some(given.clone()));
    let mut options = ManifestOptions::default();
    let image = store.manifest_of(&id, &options).unwrap();
    assert_eq!((image.config_blob.digest, image.layers[0].blob.clone()), (id, given));
    let told: Vec<_> = image.layers.iter().map(|layer| layer.created_by.as_str()).collect();
    assert_eq!(told, ["base", "RUN x"]);
    assert!(image.layers[1].blob.media_type.is(MediaType::LAYER_GZIP));
    assert!(store.local_config(&image.manifest.digest).unwrap().is_none());
    (options.docker, options.repack) = (true, true);
    options.annotations.insert("a".into(), "b".into());
    let docker = store.manifest_of(&id, &options).unwrap();
    assert!(docker.manifest.media_type.is(MediaType::DOCKER_MANIFEST));
    assert!(docker.config_blob.media_type.is(MediaType::DOCKER_CONFIG));
    assert!(docker.layers.iter().all(|layer| layer.blob.media_type.is(MediaType::DOCKER_LAYER_GZIP)));
    let batch = store.batch();
    batch.image(&"local/a:1".parse().unwrap(), &image.manifest.digest).unwrap();
    batch.image(&"local/b:1".parse().unwrap(), &docker.manifest.digest).unwrap();
    batch.image(&"local/c:1".parse().unwrap(), &id).unwrap();
    batch.finish().unwrap();
    assert_clean(store);
    let sizes = store.sizes().unwrap();
    assert!(sizes.images.iter().any(|image| image.digest == id && image.bytes > 0));
}

#[test]
fn a15_folders_without_end_are_refused_and_removed() {
    as_root_and_nobody("a15_folders_without_end_are_refused_and_removed", || {
        let escape = Escape::new();
        let folder = escape.store.upper_folder().unwrap();
        std::fs::create_dir(folder.path().join("upper")).unwrap();
        let script =
            "import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(3000): os.mkdir('d', 0o500 | 0o200); os.chdir('d')";
        let made = Command::new("python3").args(["-c", script]).arg(folder.path().join("upper")).status().unwrap();
        assert!(made.success());
        let places = folder.path().parent().unwrap().to_owned();
        let upper = Upper { folder, layers: &[], lower: &[], epoch: None, owners: Owners::OnDisk };
        let error = escape.store.keep_upper(upper).unwrap_err().to_string();
        assert!(error.ends_with("its folders are nested deeper than 512"), "{}", &error[..200]);
        assert_eq!(std::fs::read_dir(places).unwrap().count(), 0, "nothing stays");
    });
}

#[test]
fn a17_who_swaps_a_folder_for_a_link_meanwhile_changes_nothing_outside() {
    as_root_and_nobody("a17_who_swaps_a_folder_for_a_link_meanwhile_changes_nothing_outside", || {
        use std::sync::atomic::{AtomicBool, Ordering};
        let escape = Escape::new();
        let files: Vec<_> = (0..300).map(|number| file(&format!("d/{number}"), "x")).collect();
        let all = layers(&escape.store, &[tar(&[vec![dir("d", 0o777)], files].concat())]);
        let to = escape.folder.path().join("to");
        std::fs::create_dir_all(to.join("d")).unwrap();
        std::os::unix::fs::symlink(format!("{}/dir", escape.out()), to.join("swap")).unwrap();
        let done = AtomicBool::new(false);
        let swaps = std::thread::scope(|scope| {
            let racer = scope.spawn(|| {
                let mut swaps = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    let (one, other) = (to.join("d"), to.join("swap"));
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    swaps += u64::from(
                        rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, flags).is_ok(),
                    );
                }
                swaps
            });
            for _ in 0..20 {
                // It may fail, it may succeed; what counts is looked at in the end.
                drop(escape.store.export_folder(&all, &MemoryBlobs::default(), None, &to));
                if to.join("swap").symlink_metadata().is_err() {
                    drop(std::os::unix::fs::symlink(format!("{}/dir", escape.out()), to.join("swap")));
                }
            }
            done.store(true, Ordering::Relaxed);
            racer.join().unwrap()
        });
        assert!(swaps > 0, "nothing was swapped");
    });
}
