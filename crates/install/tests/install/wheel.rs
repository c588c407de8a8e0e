//! Wheels, converted and read back by GNU tar.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_install::python::{InstallTarget, WheelError, WheelReport, WheelSource, conflicts, convert};
use corten_layer::write::Written;
use corten_oci::Digest;
use corten_testkit::wheel::{WheelBuilder, WheelFile, zip};

const SITE: &str = "opt/venv/lib/python3.11/site-packages";

pub fn target() -> InstallTarget {
    InstallTarget { prefix: "opt/venv".to_owned(), python: (3, 11) }
}

pub fn source(name: &str, version: &str, bytes: &[u8]) -> WheelSource {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    source_of(name, version, file)
}

pub fn source_of(name: &str, version: &str, file: File) -> WheelSource {
    let purl = format!("pkg:pypi/{name}@{version}");
    WheelSource { name: name.to_owned(), version: version.to_owned(), purl, file, direct_url: None }
}

type Converted = (Vec<u8>, Written, Vec<WheelReport>);

fn install(wheels: &[WheelSource]) -> Result<Converted, WheelError> {
    convert(wheels, &target(), Vec::new())
}

fn install_one(builder: &WheelBuilder) -> Result<Converted, WheelError> {
    install(&[source("pkg", "1.0", &builder.build())])
}

/// An unpacked layer.
pub struct Unpacked {
    folder: tempfile::TempDir,
}

impl Unpacked {
    /// By GNU tar, which is not ours.
    pub fn new(blob: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer.tar.gz");
        fs::write(&path, blob).unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let ran =
            Command::new("tar").arg("-xpzf").arg(&path).arg("-C").arg(&root).arg("--no-same-owner").output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        Self { folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.root().join(path)).unwrap().permissions().mode() & 0o7777
    }
}

/// Every file below a folder, by its path.
pub fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path);
            }
        }
    }
    found
}

fn sample() -> WheelBuilder {
    WheelBuilder::new("pkg", "1.0")
        .file("pkg/__init__.py", "def main(): print('hello')\n")
        .file("pkg/empty.py", "")
        .file_with("pkg/tool.sh", "#!/bin/sh\n", 0o100_755)
        .stored("pkg/stored.bin", vec![7; 70_000])
        .file("pkg/large.txt", "a line that is repeated\n".repeat(50_000))
        .entry_points("[console_scripts]\npkg = pkg:main\n")
        .metadata("Requires-Dist: numpy>=2")
}

#[test]
fn a_wheel_becomes_the_files_that_installing_gives() {
    let (blob, written, reports) = install_one(&sample()).unwrap();
    let unpacked = Unpacked::new(&blob);
    assert_eq!(unpacked.text(&format!("{SITE}/pkg/__init__.py")), "def main(): print('hello')\n");
    assert_eq!(unpacked.text(&format!("{SITE}/pkg/empty.py")), "");
    assert_eq!(unpacked.text(&format!("{SITE}/pkg/large.txt")).len(), 50_000 * 24);
    assert_eq!(fs::read(unpacked.root().join(SITE).join("pkg/stored.bin")).unwrap(), [7; 70_000]);
    assert_eq!(unpacked.text(&format!("{SITE}/pkg-1.0.dist-info/INSTALLER")), "corten\n");
    assert!(unpacked.text("opt/venv/bin/pkg").starts_with("#!/opt/venv/bin/python\n"));
    assert_eq!(unpacked.mode("opt/venv/bin/pkg"), 0o755);
    assert_eq!(unpacked.mode(&format!("{SITE}/pkg/tool.sh")), 0o755);
    assert_eq!(unpacked.mode(&format!("{SITE}/pkg/__init__.py")), 0o644);
    assert_eq!(unpacked.mode("opt/venv/lib"), 0o755);
    assert!(!unpacked.root().join(SITE).join("pkg-1.0.dist-info/direct_url.json").exists());
    assert_eq!(reports[0].metadata.requires_dist, ["numpy>=2"]);
    assert!(written.index.entries.iter().all(|entry| (entry.uid, entry.gid) == (0, 0)));
    let owned = written.index.entries.iter().filter(|entry| entry.package.as_deref() == Some("pkg:pypi/pkg@1.0"));
    assert_eq!(owned.count(), written.index.files());
    record_is_true(&unpacked);
}

/// Every installed file is in RECORD, every line's hash and size are those of the file.
fn record_is_true(unpacked: &Unpacked) {
    let site = unpacked.root().join(SITE);
    let record = unpacked.text(&format!("{SITE}/pkg-1.0.dist-info/RECORD"));
    let mut listed = Vec::new();
    for line in record.lines() {
        let [path, hash, size] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        listed.push(fs::canonicalize(site.join(path)).unwrap_or_else(|error| panic!("{line}: {error}")));
        if !hash.is_empty() {
            let content = fs::read(site.join(path)).unwrap();
            assert_eq!(size, content.len().to_string(), "{line}");
            let expected = Command::new("python3").args(["-c", "import sys,base64,hashlib;print(base64.urlsafe_b64encode(hashlib.sha256(open(sys.argv[1],'rb').read()).digest()).rstrip(b'=').decode())"]).arg(site.join(path)).output().unwrap();
            assert_eq!(hash, format!("sha256={}", String::from_utf8(expected.stdout).unwrap().trim()), "{line}");
        }
    }
    listed.sort();
    let mut there: Vec<PathBuf> =
        files(&unpacked.root()).into_values().map(|path| fs::canonicalize(path).unwrap()).collect();
    there.sort();
    assert_eq!(listed, there);
}

#[test]
fn data_of_a_wheel_goes_to_its_folders_and_record_follows() {
    let wheel = sample()
        .file("pkg-1.0.data/purelib/other/a.py", "1")
        .file("pkg-1.0.data/scripts/run", "#!python -E\nprint(1)\n")
        .file("pkg-1.0.data/scripts/native", "#!/bin/sh\n")
        .file("pkg-1.0.data/headers/pkg.h", "int x;")
        .file("pkg-1.0.data/data/share/doc.txt", "text");
    let (blob, ..) = install_one(&wheel).unwrap();
    let unpacked = Unpacked::new(&blob);
    assert_eq!(unpacked.text(&format!("{SITE}/other/a.py")), "1");
    assert_eq!(unpacked.text("opt/venv/bin/run"), "#!/opt/venv/bin/python -E\nprint(1)\n");
    assert_eq!(unpacked.mode("opt/venv/bin/run"), 0o755);
    assert_eq!(unpacked.mode("opt/venv/bin/native"), 0o755);
    assert_eq!(unpacked.text("opt/venv/include/site/python3.11/pkg/pkg.h"), "int x;");
    assert_eq!(unpacked.text("opt/venv/share/doc.txt"), "text");
    record_is_true(&unpacked);
}

#[test]
fn what_an_installer_writes_is_not_taken_from_the_wheel() {
    let wheel = sample()
        .file("pkg-1.0.dist-info/INSTALLER", "evil")
        .file("pkg-1.0.dist-info/REQUESTED", "")
        .file("pkg-1.0.dist-info/direct_url.json", "{}");
    let mut given = source("pkg", "1.0", &wheel.build());
    let (blob, ..) = install(&[source("pkg", "1.0", &wheel.build())]).unwrap();
    let unpacked = Unpacked::new(&blob);
    assert_eq!(unpacked.text(&format!("{SITE}/pkg-1.0.dist-info/INSTALLER")), "corten\n");
    assert!(!unpacked.root().join(SITE).join("pkg-1.0.dist-info/direct_url.json").exists());
    record_is_true(&unpacked);
    given.direct_url = Some("{\"url\": \"https://example.org/pkg.whl\"}".to_owned());
    let unpacked = Unpacked::new(&install(&[given]).unwrap().0);
    assert!(unpacked.text(&format!("{SITE}/pkg-1.0.dist-info/direct_url.json")).contains("example.org"));
    record_is_true(&unpacked);
}

#[test]
fn record_keeps_its_line_endings() {
    let (blob, ..) = install_one(&sample().record_ending("\r\n")).unwrap();
    let record = fs::read_to_string(Unpacked::new(&blob).root().join(SITE).join("pkg-1.0.dist-info/RECORD")).unwrap();
    assert!(
        record.contains("INSTALLER") && record.split_inclusive('\n').all(|line| line.ends_with("\r\n")),
        "{record:?}"
    );
}

#[test]
fn python_finds_the_distribution_and_starts_its_script() {
    let unpacked = Unpacked::new(&install_one(&sample()).unwrap().0);
    let site = unpacked.root().join(SITE);
    let code = "import importlib.metadata as m; d = m.distribution('pkg'); print(d.version, d.read_text('INSTALLER').strip(), all(f.locate().exists() for f in d.files))";
    let ran = Command::new("python3").env("PYTHONPATH", &site).args(["-c", code]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "1.0 corten True\n", "{}", String::from_utf8_lossy(&ran.stderr));
    let ran = Command::new("python3")
        .env("PYTHONPATH", &site)
        .arg(unpacked.root().join("opt/venv/bin/pkg"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "hello\n");
}

#[test]
fn the_same_wheels_give_the_same_bytes() {
    let other = WheelBuilder::new("other", "2").file("other/x.py", "x");
    let both = || install(&[source("other", "2", &other.build()), source("pkg", "1.0", &sample().build())]).unwrap();
    let (one, two) = (both(), both());
    assert_eq!(Digest::of(&one.0), Digest::of(&two.0));
    assert_eq!(one.1, two.1);
    let folders = one.1.index.entries.iter().filter(|entry| entry.path.to_string() == SITE).count();
    assert_eq!(folders, 1, "a folder of two wheels comes once");
    assert!(Unpacked::new(&one.0).root().join(SITE).join("other/x.py").exists());
}

#[test]
fn two_wheels_with_one_path_are_reported_unless_they_agree() {
    let wheel = |name: &str, text: &str| {
        WheelBuilder::new(name, "1").file("shared/__init__.py", "").file("shared/a.py", text).build()
    };
    let (blob, written, reports) =
        install(&[source("aa", "1", &wheel("aa", "one")), source("bb", "1", &wheel("bb", "two"))]).unwrap();
    assert_eq!(reports[0].conflicts.len(), 1);
    assert_eq!(reports[0].conflicts[0].winner, "pkg:pypi/bb@1");
    assert_eq!(Unpacked::new(&blob).text(&format!("{SITE}/shared/a.py")), "two");
    let names: Vec<_> = written.index.entries.iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("shared/a.py")).count(), 1);
    let one = install(&[source("aa", "1", &wheel("aa", "one"))]).unwrap().1.index;
    let two = install(&[source("bb", "1", &wheel("bb", "two"))]).unwrap().1.index;
    let found = conflicts(&[&one, &two]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].path.as_str(), found[0].loser.as_str()),
        (format!("{SITE}/shared/a.py").as_str(), "pkg:pypi/aa@1")
    );
    assert!(conflicts(&[&one, &one]).is_empty());
}

#[test]
fn a_file_where_another_wheel_has_a_folder_is_refused() {
    let file = WheelBuilder::new("aa", "1").file("x", "file").build();
    let folder = WheelBuilder::new("bb", "1").file("x/y.py", "").build();
    let error = install(&[source("aa", "1", &file), source("bb", "1", &folder)]).unwrap_err();
    assert!(error.to_string().contains("needs a folder where aa has a file"), "{error}");
}

/// Attacks F1 to F6 and F9, each refused with its reason.
#[test]
fn hostile_wheels_are_refused() {
    let wheel = || WheelBuilder::new("pkg", "1.0").file("pkg/__init__.py", "");
    for (what, wheel, reason) in [
        ("climbs", wheel().file("../evil.py", ""), ""),
        ("absolute", wheel().file("/etc/evil", ""), ""),
        ("backslash", wheel().file("..\\evil.py", ""), ""),
        ("prefix trick", wheel().file("pkg/../../site-packages-evil/x", ""), ""),
        ("data climbs", wheel().file("pkg-1.0.data/data/../../../etc/evil", ""), ""),
        ("data replaces python", wheel().file("pkg-1.0.data/data/bin/python", ""), "environment itself"),
        ("script replaces python", wheel().file("pkg-1.0.data/scripts/python3", ""), "environment itself"),
        ("unknown scheme", wheel().file("pkg-1.0.data/nowhere/x", ""), "unknown scheme"),
        ("entry point climbs", wheel().entry_points("[console_scripts]\n../../bin/x = a:b\n"), "no name of a script"),
        ("entry point python", wheel().entry_points("[console_scripts]\npython = a:b\n"), "replace the interpreter"),
        ("entry point code", wheel().entry_points("[console_scripts]\nx = a:b();evil\n"), "callable"),
        ("extra file", wheel().record("pkg-1.0.dist-info/RECORD,,\n"), "not in RECORD"),
        ("other name", wheel().dist_info("Name: pkg", "Name: other"), "METADATA is about other"),
        ("other version", wheel().dist_info("Version: 1.0", "Version: 6.6"), "METADATA is about pkg 6.6"),
        ("other dist-info", wheel().dist_info("pkg-1.0.dist-info", "evil-1.0.dist-info"), "is about evil"),
        ("two dist-infos", wheel().file("evil-1.dist-info/METADATA", ""), "exactly one dist-info"),
        ("wheel version 2", wheel().wheel_version("2.0"), "wheel version '2.0'"),
        ("link", wheel().file_with("pkg/link", "/etc/passwd", 0o120_777), ""),
        ("one path twice", wheel().file("a.py", "1").file("pkg-1.0.data/purelib/a.py", "2"), "would both be"),
        ("two members of a name", wheel().file("a.py", "1").file("a.py", "2").record(""), ""),
    ] {
        match install_one(&wheel) {
            Err(WheelError::Refused { wheel, why }) => {
                assert_eq!(wheel, "pkg 1.0");
                assert!(why.contains(reason), "{what}: {why}");
            }
            Err(error) => panic!("{what}: {error}"),
            Ok(_) => panic!("{what} was installed"),
        }
    }
    let another = install(&[source("other", "1.0", &wheel().build())]).unwrap_err();
    assert!(another.to_string().contains("is about pkg 1.0"), "{another}");
    assert!(matches!(install(&[source("pkg", "1.0", b"no zip")]), Err(WheelError::Refused { .. })));
}

/// Set-user-id and the like never come out: only whether somebody may execute it.
#[test]
fn only_the_executable_bit_of_a_mode_counts() {
    let wheel = WheelBuilder::new("pkg", "1.0")
        .file_with("a", "x", 0o104_711)
        .file_with("b", "x", 0o100_000)
        .file_with("c", "x", 0o100_666);
    let unpacked = Unpacked::new(&install_one(&wheel).unwrap().0);
    let mode = |name: &str| unpacked.mode(&format!("{SITE}/{name}"));
    assert_eq!((mode("a"), mode("b"), mode("c")), (0o755, 0o644, 0o644));
}

/// Bytes that are wrong are found although nothing is unpacked: every single-byte change of a member's data is refused.
#[test]
fn a_flipped_byte_is_found() {
    let content: Vec<u8> = (0..2000u32).flat_map(|number| (number * number).to_le_bytes()).collect();
    for deflated in [true, false] {
        let members: Vec<WheelFile> = WheelBuilder::new("pkg", "1.0").file("pkg.bin", content.clone()).members();
        let members: Vec<WheelFile> = members.into_iter().map(|file| WheelFile { deflated, ..file }).collect();
        let good = zip(&members);
        assert!(install(&[source("pkg", "1.0", &good)]).is_ok());
        for at in (60..5000).step_by(487) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(matches!(install(&[source("pkg", "1.0", &bad)]), Err(WheelError::Refused { .. })), "byte {at}");
        }
    }
}
