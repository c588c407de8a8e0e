//! Layers on disk, judged by the kernel: what overlayfs shows of them is compared with what the indexes say, which
//! containerd's cases have judged before (`corten-layer`). Each test runs as root and as nobody, where this is root.

mod attacks;
mod kept;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::tree::Tree;
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{DiffId, Digest, Kind, LayerIndex, LayerPath, MediaType, MemoryBlobs};
use corten_store::{AddedFile, Doubled, Kept, ManifestOptions, Owners, Packing, Store, StoreError, TreeLayer, Upper};

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
    store.trees(layers, &MemoryBlobs::default()).map(|folders| folders.to_vec())
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
