//! Archives that others made, with what Python's `tarfile` lists for them or why we refuse; and archives made here.

use std::path::PathBuf;

use super::*;

/// A folder of the test data that no one here wrote, unless it is absent.
pub(crate) fn data(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {}", path.display());
    eprintln!("skipped: {} is absent", path.display());
    None
}

/// A header of ustar whose checksum fits.
pub(crate) fn header(name: &[u8], kind: u8, size: u64, link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    sum(&mut block);
    block
}

fn sum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A whole entry.
pub(crate) fn entry(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, content.len() as u64, b"").to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut payload = String::new();
    for (key, value) in records {
        let body = key.len() + value.len() + 3;
        let length = (body..).find(|&length| length == body + length.to_string().len()).unwrap();
        payload += &format!("{length} {key}={value}\n");
    }
    entry(b"pax", b'x', payload.as_bytes())
}

pub(crate) fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 2 * BLOCK]].concat()
}

/// One line an entry: `f NAME SIZE`, `d NAME`, `l NAME -> TARGET`, `h NAME -> TARGET` …
fn list(bytes: &[u8]) -> Result<Vec<String>, TarError> {
    let entries = index(bytes)?.index.entries;
    Ok(entries.iter().map(line).collect())
}

fn line(entry: &Entry) -> String {
    let path = &entry.path;
    match &entry.kind {
        Kind::File => format!("f {path} {}", entry.size),
        Kind::Directory => format!("d {path}"),
        Kind::Symlink(target) => format!("l {path} -> {target}"),
        Kind::HardLink(target) => format!("h {path} -> {target}"),
        Kind::CharacterDevice(major, minor) => format!("c {path} {major}:{minor}"),
        Kind::BlockDevice(major, minor) => format!("b {path} {major}:{minor}"),
        Kind::Fifo => format!("p {path}"),
        Kind::Whiteout => format!("w {path}"),
        Kind::Opaque => format!("o {path}"),
    }
}

fn refusal(bytes: &[u8]) -> String {
    match list(bytes) {
        Ok(lines) => panic!("read as {lines:?}"),
        Err(error) => error.to_string(),
    }
}

enum Expected {
    /// What Python's `tarfile` 3.11 lists.
    Python(&'static [&'static str]),
    /// Refused, and the message holds this.
    Refused(&'static str),
}
use Expected::{Python, Refused};

const LONG_PAX: &str = "f a/123456789101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899100 7";
const LONG_PAX_LINK: &str = "l a/b -> 123456789101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899100";

const GO: [(&str, Expected); 39] = [
    ("file-and-dir", Python(&["f small.txt 5", "d dir"])),
    ("gnu-incremental", Refused("is not ustar")),
    ("gnu-long-nul", Refused("goes on behind its NUL")),
    ("gnu-multi-hdrs", Refused("follows another")),
    ("gnu-nil-sparse-data", Refused("sparse")),
    ("gnu-nil-sparse-hole", Refused("sparse")),
    ("gnu-not-utf8", Python(&["f hi\u{fffd}\u{fffd}\u{fffd}\u{fffd}bye 0"])),
    ("gnu-sparse-big", Refused("sparse")),
    ("gnu", Python(&["f small.txt 5", "f small2.txt 11"])),
    ("hardlink", Python(&["f file.txt 15", "h hard.txt -> file.txt"])),
    // Python skips no content of a directory whose size is 5; libarchive does.
    ("hdr-only", Refused("with 5 bytes of content")),
    ("invalid-go17", Refused("is not ustar")),
    ("issue10968", Refused("")),
    ("issue11169", Refused("")),
    ("issue12435", Refused("")),
    ("neg-size", Refused("")),
    ("nil-uid", Refused("is not ustar")),
    ("pax-bad-hdr-file", Refused("PAX record is malformed")),
    ("pax-bad-mtime-file", Refused("is no number")),
    ("pax-global-records", Refused("global PAX header sets 'mtime'")),
    ("pax-multi-hdrs", Refused("follows another extension")),
    ("pax-nil-sparse-data", Refused("sparse")),
    ("pax-nil-sparse-hole", Refused("sparse")),
    ("pax-nul-path", Refused("NUL")),
    ("pax-nul-xattrs", Refused("NUL")),
    ("pax-path-hdr", Refused("")),
    ("pax-pos-size-file", Refused("without an end-of-archive block")),
    ("pax-records", Python(&["f file 0"])),
    ("pax-sparse-big", Refused("sparse")),
    ("pax", Python(&[LONG_PAX, LONG_PAX_LINK])),
    ("sparse-formats", Refused("sparse")),
    ("star", Python(&["f small.txt 5", "f small2.txt 11"])),
    ("ustar-file-devs", Python(&["f file 0"])),
    ("ustar-file-reg", Refused("without an end-of-archive block")),
    ("v7", Python(&["f small.txt 5", "f small2.txt 11"])),
    ("writer-big", Refused("cut off")),
    ("writer-big-long", Refused("cut off")),
    ("writer", Python(&["f small.txt 5", "f small2.txt 11", "l link.txt -> small.txt"])),
    ("xattrs", Python(&["f small.txt 5", "f small2.txt 11"])),
];

const TOKIO: [(&str, Expected); 21] = [
    ("diff-014-unterminated-pax", Refused("malformed")),
    ("diff-024-pending-pax-boundary", Refused("")),
    ("diff-039-truncated-entry-body", Refused("cut off")),
    ("directory", Python(&["d a", "d a/b", "f a/c 2"])),
    ("duplicate_dirs", Python(&["d some_dir", "d some_dir"])),
    ("empty_filename", Refused("without an end-of-archive block")),
    ("file_times", Python(&["f a 0"])),
    ("link", Python(&["l lnk -> file", "f file 14"])),
    ("pax-header-precedence", Python(&["f normal.txt 6", "f blob.bin 1024", "f marker.txt 7"])),
    ("pax-hidden-entry", Python(&["f file_a 1536", "f file_b 0", "f hidden 73"])),
    // A PAX size between GNU long name and entry: GNU tar applies it to the long name.
    ("pax-overrides-extension-header", Refused("")),
    ("pax-phantom-entry", Python(&["f file_a 512", "f file_b 1536"])),
    ("pax", Python(&["f Cargo.toml 760", "f src/lib.rs 2390"])),
    ("reading_files", Python(&["f a 22", "f b 22"])),
    ("simple", Python(&["f a 0", "f b 0", "f c 0"])),
    ("simple_missing_last_header", Python(&["f a 0", "f b 0", "f c 0"])),
    ("spaces", Python(&["f a 2"])),
    ("sparse-1", Refused("sparse")),
    ("sparse-large", Refused("sparse")),
    ("sparse", Refused("sparse")),
    ("xattrs", Python(&["d a", "f a/b 0"])),
];

fn check(folder: &str, table: &[(&str, Expected)]) {
    let Some(folder) = data(folder) else { return };
    let mut wrong = Vec::new();
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let tars = files.filter(|path| path.extension().is_some_and(|ending| ending == "tar"));
    let mut unknown: Vec<_> = tars.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    unknown.retain(|name| table.iter().all(|(known, _)| known != name) && !LONG.contains(&name.as_str()));
    assert_eq!(unknown, [""; 0], "not in a table");
    for (name, expected) in table {
        let bytes = std::fs::read(folder.join(format!("{name}.tar"))).unwrap();
        let got = list(&bytes);
        match (expected, &got) {
            (Python(lines), Ok(got)) if got == lines => {}
            (Refused(why), Err(error)) if error.to_string().contains(why) => {}
            _ => wrong.push(format!("{name}: {got:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a11_a12_a13_gos_archives_are_read_as_python_does_or_refused() {
    check("go-archive-testdata/tar", &GO);
}

#[test]
fn a11_a12_a13_tokio_tars_archives_are_read_as_python_does_or_refused() {
    check("tokio-tar-archives", &TOKIO);
}

/// Archives with names that are too long for a table.
const LONG: [&str; 6] = ["gnu-utf8", "ustar", "trailing-slash", "paxlongname", "7z_long_path", "pax2"];

#[test]
fn long_names_are_joined() {
    let Some(go) = data("go-archive-testdata/tar") else { return };
    let lines = |path: PathBuf| list(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(lines(go.join("gnu-utf8.tar")), [format!("f {} 0", "☺☻☹".repeat(18))]);
    let longname = "longname/".repeat(15);
    assert_eq!(lines(go.join("ustar.tar")), [format!("f {longname}file.txt 6")]);
    assert_eq!(lines(go.join("trailing-slash.tar")), [format!("d {}", vec!["123456789"; 30].join("/"))]);
    let tokio = data("tokio-tar-archives").unwrap();
    let long = "this_file_name_will_be_one_hundred_and_one_characters_long_once_i_add_some_more_characters_at_the_end";
    assert_eq!(lines(tokio.join("paxlongname.tar")), [format!("f {long} 0")]);
    let seven_zip = lines(tokio.join("7z_long_path.tar"));
    assert_eq!(
        seven_zip.iter().map(|line| &line[..18]).collect::<Vec<_>>(),
        ["d this_is_a_folder", "f this_is_a_folder"]
    );
    assert!(lines(tokio.join("pax2.tar"))[0].starts_with("d aaaaaaaaaaaaaaa/aaaaaaaaaaaaaaa/"));
}

#[test]
fn traversal_archives_stay_inside_or_are_refused() {
    let Some(folder) = data("attacks/traversal") else { return };
    let expected: [(&str, Option<&[&str]>); 8] = [
        ("absolute1", Some(&["f tmp/moo 4"])),
        ("absolute2", Some(&["f tmp/moo 4"])),
        ("dirsymlink", Some(&["l tmp -> /tmp", "f tmp/moo 4"])),
        ("dirsymlink2a", Some(&["l cur -> .", "l par -> cur/..", "f par/moo 4"])),
        ("dirsymlink2b", Some(&["l cur -> .", "l cur/par -> ..", "f par/moo 4"])),
        ("relative0", None),
        ("relative2", None),
        ("symlink", Some(&["l moo -> /tmp/moo", "f moo 4"])),
    ];
    for (name, lines) in expected {
        let got = list(&std::fs::read(folder.join(format!("{name}.tar"))).unwrap());
        match lines {
            Some(lines) => assert_eq!(got.unwrap(), lines, "{name}"),
            None => assert!(got.unwrap_err().to_string().contains("climbs out"), "{name}"),
        }
    }
}

#[test]
fn an_index_knows_where_and_what_the_bytes_are() {
    let content = b"hello world".repeat(100);
    let bytes = archive(&[entry(b"d/", b'5', b""), entry(b"d/f", b'0', &content), entry(b"e", b'0', b"")]);
    let indexed = index(bytes.as_slice()).unwrap();
    let file = &indexed.index.entries[1];
    let start = file.offset as usize;
    assert_eq!(&bytes[start..start + file.size as usize], content);
    assert_eq!(file.crc32, Some(crc32fast::hash(&content)));
    assert_eq!(indexed.tar_size, bytes.len() as u64);
    assert_eq!(indexed.diff_id.0, corten_oci::Digest::of(&bytes));
    assert_eq!(indexed.index.entries[2].crc32, Some(0));
}

#[test]
fn content_may_be_taken_whole_in_part_or_not() {
    let bytes = archive(&[entry(b"a", b'0', &[1; 700]), entry(b"b", b'0', &[2; 700]), entry(b"c", b'0', &[3; 700])]);
    let mut reader = TarReader::new(bytes.as_slice());
    let mut content = Vec::new();
    reader.next_entry().unwrap();
    reader.content().read_to_end(&mut content).unwrap();
    assert_eq!(content, [1; 700]);
    reader.next_entry().unwrap();
    reader.content().read_exact(&mut [0; 3]).unwrap();
    assert_eq!(line(&reader.next_entry().unwrap().unwrap()), "f c 700");
    assert!(reader.next_entry().unwrap().is_none());
    assert!(reader.next_entry().unwrap().is_none());
}

#[test]
fn every_cut_is_noticed() {
    let bytes = archive(&[pax(&[("path", "long")]), entry(b"a", b'0', b"abc"), entry(b"b", b'0', b"abc")]);
    let end = bytes.len() - 2 * BLOCK;
    for cut in 0..bytes.len() {
        // One zero block is enough; a part of the second is only zeros.
        assert_eq!(index(&bytes[..cut]).is_ok(), cut >= end + BLOCK, "cut at {cut}");
    }
}

#[test]
fn no_changed_byte_makes_the_reader_panic() {
    let bytes = archive(&[
        pax(&[("path", "long"), ("mtime", "-1.5")]),
        entry(b"a/.wh.b", b'0', b""),
        entry(b"b", b'0', b"abc"),
    ]);
    for at in 0..bytes.len() {
        for value in [0, b'\n', b' ', b'/', b'7', 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if at < BLOCK || (1024..1536).contains(&at) {
                let start = at / BLOCK * BLOCK;
                let mut block: [u8; BLOCK] = changed[start..start + BLOCK].try_into().unwrap();
                sum(&mut block);
                changed[start..start + BLOCK].copy_from_slice(&block);
            }
            let _ = index(changed.as_slice());
        }
    }
}

#[test]
fn what_follows_the_end_is_refused_unless_zero() {
    let good = archive(&[entry(b"a", b'0', b"")]);
    assert!(list(&[good.clone(), vec![0; 9999]].concat()).is_ok());
    assert!(refusal(&[good.clone(), vec![0; 9999], vec![1]].concat()).contains("follows the end"));
    assert!(refusal(&[good.clone(), good].concat()).contains("follows the end"));
    let one_zero_block = [entry(b"a", b'0', b""), vec![0; BLOCK], archive(&[entry(b"b", b'0', b"")])].concat();
    assert!(refusal(&one_zero_block).contains("follows the end"));
}

#[test]
fn extensions_are_never_ambiguous() {
    let file = || entry(b"short", b'0', b"");
    let long = || entry(b"long", b'L', b"longer\0");
    assert_eq!(list(&archive(&[long(), file()])).unwrap(), ["f longer 0"]);
    assert_eq!(list(&archive(&[pax(&[("path", "longer")]), file()])).unwrap(), ["f longer 0"]);
    let link = header(b"l", b'2', 0, b"t").to_vec();
    assert_eq!(list(&archive(&[entry(b"k", b'K', b"target\0"), long(), link])).unwrap(), ["l longer -> target"]);
    for (parts, why) in [
        (vec![pax(&[("path", "a")]), long(), file()], "mixed"),
        (vec![long(), pax(&[("path", "a")]), file()], "follows another"),
        (vec![pax(&[("path", "a")]), pax(&[("path", "b")]), file()], "follows another"),
        (vec![long(), long(), file()], "follows another"),
        (vec![long()], "belongs to no entry"),
        (vec![pax(&[("path", "a"), ("path", "b")]), file()], "twice"),
        (vec![pax(&[("size", "-1")]), file()], "no number"),
        (vec![pax(&[("size", "18446744073709551615")]), file()], "longer than an archive"),
        (vec![pax(&[("GNU.sparse.major", "1")]), file()], "sparse"),
        (vec![header(b"pax", b'x', 1 << 32, b"").to_vec()], "limit"),
    ] {
        let error = refusal(&archive(&parts));
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn kinds_that_readers_disagree_about_are_refused() {
    for (block, why) in [
        (header(b"f/", b'0', 0, b""), "ends in '/'"),
        (header(b"f", b'5', 9, b""), "9 bytes of content"),
        (header(b"f", b'1', 9, b"t"), "9 bytes of content"),
        (header(b"f", b'7', 0, b""), "not read"),
        (header(b"f", b'M', 0, b""), "not read"),
        (header(b"f", b'3', 0, b""), "overlayfs"),
        (header(b"f", b'2', 0, b""), "without a target"),
        (header(b"f", b'2', 0, b"\xff"), "not UTF-8"),
        (header(b"f", b'1', 0, b"../.."), "link to the root"),
    ] {
        let error = refusal(&archive(&[block.to_vec()]));
        assert!(error.contains(why), "{why}: {error}");
    }
    let mut wrong_sum = header(b"f", b'0', 0, b"");
    wrong_sum[0] = b'g';
    assert!(refusal(&archive(&[wrong_sum.to_vec()])).contains("checksum"));
}

#[test]
fn whiteouts_are_taken_apart_or_refused() {
    let names = |name: &[u8]| list(&archive(&[entry(name, b'0', b"")]));
    assert_eq!(names(b"a/.wh.b").unwrap(), ["w a/b"]);
    assert_eq!(names(b".wh.b").unwrap(), ["w b"]);
    assert_eq!(names(b"a/.wh..wh..opq").unwrap(), ["o a"]);
    assert_eq!(names(b".wh..wh..opq").unwrap(), ["o "]);
    assert_eq!(names(b".wh...b").unwrap(), ["w ..b"]);
    assert_eq!(names(b".wh.a/b").unwrap(), ["f .wh.a/b 0"]);
    for name in [b".wh.".as_slice(), b".wh..", b".wh...", b"a/.wh..", b".wh..wh.plnk", b".wh..wh.b"] {
        assert!(names(name).is_err(), "{}", name.escape_ascii());
    }
    assert!(list(&archive(&[entry(b".wh.a", b'5', b"")])).is_err());
}

#[test]
fn names_are_cleaned_once_and_for_all() {
    let names = |name: &[u8]| list(&archive(&[entry(name, b'0', b"")]));
    assert_eq!(names(b"./a//b/../c").unwrap(), ["f a/c 0"]);
    for root in [b"/.".as_slice(), b".", b"", b"..", b"a/.."] {
        assert_eq!(names(root).unwrap(), [""; 0], "{}", root.escape_ascii());
        let link = archive(&[header(root, b'2', 0, b"/etc").to_vec()]);
        assert_eq!(list(&link).unwrap(), [""; 0]);
    }
    assert_eq!(list(&archive(&[entry(b"./", b'5', b"")])).unwrap(), ["d "]);
    for (name, why) in [("x".repeat(256), "255"), ("a/".repeat(600) + "f", "512"), ("abcd/".repeat(820), "4095")] {
        assert!(refusal(&archive(&[pax(&[("path", &name)]), entry(b"f", b'0', b"")])).contains(why));
    }
}

/// What GNU tar writes in its formats is read, and says what the disk says.
#[test]
fn gnu_tars_own_formats_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let long = "long/".repeat(40);
    std::fs::create_dir_all(root.join(&long)).unwrap();
    std::fs::write(root.join(&long).join("file"), b"content").unwrap();
    std::fs::hard_link(root.join(&long).join("file"), root.join("zlink")).unwrap();
    std::os::unix::fs::symlink("x".repeat(150), root.join("symlink")).unwrap();
    for (format, blocking) in [("gnu", "1"), ("posix", "20"), ("pax", "2048")] {
        let output = std::process::Command::new("tar")
            .args(["--create", "--sort=name", "--format", format, "--blocking-factor", blocking, "-C"])
            .args([root.as_os_str(), ".".as_ref()])
            .output()
            .unwrap();
        assert!(output.status.success());
        let lines = list(&output.stdout).unwrap();
        assert_eq!(lines[0], "d ", "the root");
        assert_eq!(lines[41], format!("f {long}file 7"));
        assert_eq!(lines[42], format!("l symlink -> {}", "x".repeat(150)));
        assert_eq!(lines[43], format!("h zlink -> {long}file"));
        assert_eq!(lines.len(), 44);
    }
}
