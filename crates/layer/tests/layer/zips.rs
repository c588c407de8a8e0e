use std::io::{Cursor, Write};

use corten_layer::zip::{Archive, ZipError};
use flate2::write::DeflateEncoder;

use crate::support::fixtures;

/// A member of a zip that is being built, with everything that can be wrong.
#[derive(Clone)]
struct Part {
    name: Vec<u8>,
    local_name: Vec<u8>,
    data: Vec<u8>,
    size: u32,
    crc32: u32,
    local_crc32: u32,
    method: u16,
    local_method: u16,
    flags: u16,
    local_flags: u16,
    made_by: u16,
    external: u32,
    extra: Vec<u8>,
    local_extra: Vec<u8>,
    behind: Vec<u8>,
    offset: Option<u32>,
    compressed_size: Option<u32>,
}

fn part(name: &str, content: &[u8]) -> Part {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    let crc32 = crc32fast::hash(content);
    Part {
        name: name.into(),
        local_name: name.into(),
        data: encoder.finish().unwrap(),
        size: content.len() as u32,
        crc32,
        local_crc32: crc32,
        method: 8,
        local_method: 8,
        flags: 0x800,
        local_flags: 0x800,
        made_by: 3 << 8,
        external: if name.ends_with('/') { 0o040_755 << 16 | 0x10 } else { 0o100_644 << 16 },
        extra: Vec::new(),
        local_extra: Vec::new(),
        behind: Vec::new(),
        offset: None,
        compressed_size: None,
    }
}

/// A whole zip, with everything that can be wrong.
#[derive(Clone)]
struct Zip {
    prefix: Vec<u8>,
    parts: Vec<Part>,
    comment: Vec<u8>,
    behind: Vec<u8>,
    count: Option<u16>,
    shift: u32,
    disk: u16,
}

fn zip(parts: &[Part]) -> Zip {
    let (prefix, comment, behind) = Default::default();
    Zip { prefix, parts: parts.to_vec(), comment, behind, count: None, shift: 0, disk: 0 }
}

impl Zip {
    fn build(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut directory = Vec::new();
        for part in &self.parts {
            let offset = (out.len() - self.prefix.len()) as u32;
            let compressed = part.compressed_size.unwrap_or(part.data.len() as u32);
            let described = part.local_flags & 8 != 0;
            let said = if described { [0; 3] } else { [part.local_crc32, compressed, part.size] };
            out.extend(b"PK\x03\x04\x14\0");
            out.extend([part.local_flags, part.local_method, 0, 0].map(u16::to_le_bytes).concat());
            out.extend(said.map(u32::to_le_bytes).concat());
            out.extend([part.local_name.len() as u16, part.local_extra.len() as u16].map(u16::to_le_bytes).concat());
            out.extend([&part.local_name, &part.local_extra, &part.data, &part.behind].map(Vec::as_slice).concat());
            directory.extend(b"PK\x01\x02\x14");
            directory.push(0);
            directory.splice(directory.len() - 2.., part.made_by.to_le_bytes());
            directory.extend(b"\x14\0");
            directory.extend([part.flags, part.method, 0, 0].map(u16::to_le_bytes).concat());
            directory.extend([part.crc32, compressed, part.size].map(u32::to_le_bytes).concat());
            directory.extend([part.name.len() as u16, part.extra.len() as u16, 0, 0, 0].map(u16::to_le_bytes).concat());
            directory.extend([part.external, part.offset.unwrap_or(offset)].map(u32::to_le_bytes).concat());
            directory.extend([part.name.as_slice(), &part.extra].concat());
        }
        let start = (out.len() - self.prefix.len()) as u32;
        out.extend(&directory);
        let count = self.count.unwrap_or(self.parts.len() as u16);
        out.extend(b"PK\x05\x06");
        out.extend([self.disk, self.disk, count, count].map(u16::to_le_bytes).concat());
        out.extend([directory.len() as u32, start + self.shift].map(u32::to_le_bytes).concat());
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend([self.comment.as_slice(), &self.behind].concat());
        out
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Part {
    fn named(mut self, name: &str) -> Self {
        (self.name, self.local_name) = (name.into(), name.into());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn open(bytes: Vec<u8>) -> Result<Archive<Cursor<Vec<u8>>>, ZipError> {
    Archive::new(Cursor::new(bytes))
}

fn names(bytes: Vec<u8>) -> Result<Vec<String>, ZipError> {
    let mut archive = open(bytes)?;
    let members = archive.members().to_vec();
    members.iter().try_for_each(|member| archive.content(member, 1 << 20).map(|_| ()))?;
    Ok(members.into_iter().map(|member| member.name).collect())
}

fn descriptor(part: &mut Part, signature: bool, wide: bool) {
    part.flags |= 8;
    part.local_flags |= 8;
    part.behind = if signature { b"PK\x07\x08".to_vec() } else { Vec::new() };
    part.behind.extend(part.crc32.to_le_bytes());
    for size in [part.data.len() as u64, u64::from(part.size)] {
        part.behind.extend(&size.to_le_bytes()[..if wide { 8 } else { 4 }]);
    }
}

#[test]
fn honest_zips_are_read() {
    let a = part("a/b.py", b"print('hello')\n");
    let stored = part("s", b"stored").with(|part| {
        (part.method, part.local_method) = (0, 0);
        part.data = b"stored".to_vec();
    });
    let base = zip(&[part("a/", b""), a, stored]);
    let mut honest = vec![
        base.clone(),
        base.clone().with(|zip| zip.prefix = b"#!/bin/sh\n".to_vec()),
        base.clone().with(|zip| zip.comment = b"a comment".to_vec()),
        base.clone().with(|zip| zip.parts[1].made_by = 0),
        base.clone().with(|zip| zip.parts[1].behind = vec![0; 7]),
        base.clone().with(|zip| zip.parts.reverse()),
    ];
    for (signature, wide) in [(true, false), (true, true), (false, false), (false, true)] {
        honest.push(base.clone().with(|zip| descriptor(&mut zip.parts[1], signature, wide)));
        honest.push(base.clone().with(|zip| descriptor(&mut zip.parts[2], signature, wide)));
    }
    for (number, zip) in honest.iter().enumerate() {
        let mut found = names(zip.build()).unwrap_or_else(|error| panic!("zip {number}: {error}"));
        found.sort();
        assert_eq!(found, ["a/b.py", "s"], "zip {number}");
    }
    let mut archive = open(honest[0].build()).unwrap();
    let members = archive.members().to_vec();
    assert_eq!(archive.content(&members[0], 100).unwrap(), b"print('hello')\n");
    assert_eq!((members[0].mode, members[0].deflated, members[1].deflated), (Some(0o644), true, false));
    assert!(archive.content(&members[0], 5).is_err(), "larger than the limit");
    assert!(names(zip(&[]).build()).unwrap().is_empty());
}

#[test]
fn hostile_zips_are_refused_with_the_reason() {
    let a = || part("a", b"content of a, which is longer than a few bytes");
    let one = |change: fn(&mut Part)| zip(&[a().with(change)]);
    let whole = |change: fn(&mut Zip)| zip(&[a(), part("b", b"b")]).with(change);
    let named = |name: &str| zip(&[part(name, b"x")]);
    let unicode =
        |name: &[u8]| [b"\x75\x70".as_slice(), &(name.len() as u16 + 5).to_le_bytes(), &[1, 0, 0, 0, 0], name].concat();
    let cases: Vec<(&str, Zip)> = vec![
        ("absolute", named("/etc/passwd")),
        ("climbs", named("a/../../b")),
        ("climbs", named("../b")),
        ("climbs", named("../")),
        ("backslash", named("..\\b")),
        ("NUL", named("a\0b")),
        ("control", named("a\nb")),
        ("control", named("a\u{1b}[2Jb")),
        ("drive", named("C:/b")),
        ("empty", named("")),
        ("empty or '.'", named("a//b")),
        ("empty or '.'", named("./a")),
        ("empty or '.'", named("a/.")),
        ("too long", named(&"n".repeat(256))),
        ("too long", named(&"n/".repeat(2500))),
        ("UTF-8", one(|part| (part.name, part.local_name) = (b"\xff".to_vec(), b"\xff".to_vec()))),
        ("not marked", zip(&[part("ä", b"").with(|part| (part.flags, part.local_flags) = (0, 0))])),
        ("twice", zip(&[a(), a()])),
        ("twice", zip(&[part("f/", b""), part("f", b"x")])),
        ("is a file", zip(&[part("f", b"x"), part("f/g", b"x")])),
        ("is a file", zip(&[part("f/g/h", b"x"), part("f/g/i", b"x"), part("f", b"x")])),
        ("encrypted", one(|part| (part.flags, part.local_flags) = (1, 1))),
        ("encrypted", one(|part| (part.flags, part.local_flags) = (1 << 6, 1 << 6))),
        ("other flags", one(|part| part.local_flags |= 1)),
        ("method 12", one(|part| (part.method, part.local_method) = (12, 12))),
        ("method 93", one(|part| (part.method, part.local_method) = (93, 93))),
        ("another method", one(|part| part.local_method = 0)),
        ("symbolic link", one(|part| part.external = 0o120_777 << 16)),
        ("symbolic link", one(|part| (part.made_by, part.external) = (0, 0o120_777 << 16))),
        ("neither", one(|part| part.external = 0o020_666 << 16)),
        ("whether it is a folder", one(|part| part.external = 0o040_755 << 16)),
        ("has content", zip(&[part("f/", b"x")])),
        ("another name", one(|part| part.local_name = b"b".to_vec())),
        ("another name", one(|part| part.local_name = b"aa".to_vec())),
        ("other sizes or another CRC", one(|part| part.local_crc32 ^= 1)),
        ("CRC-32", one(|part| (part.crc32, part.local_crc32) = (7, 7))),
        ("sizes lie", one(|part| part.size = 1 << 30)),
        ("not the 47", one(|part| part.size += 1)),
        ("more than the 45", one(|part| part.size -= 1)),
        ("follow the end", one(|part| part.data.push(0))),
        ("sizes lie", one(|part| (part.method, part.local_method, part.size) = (0, 0, 9))),
        (
            "descriptor",
            one(|part| {
                descriptor(part, true, false);
                part.behind[5] ^= 1;
            }),
        ),
        ("descriptor", one(|part| part.local_flags |= 8)),
        ("overlaps", one(|part| part.compressed_size = Some(part.data.len() as u32 + 1))),
        ("overlaps", whole(|zip| zip.parts[1].offset = Some(0))),
        ("no local header", one(|part| part.offset = Some(1))),
        ("not before the directory", whole(|zip| zip.parts[1].offset = Some(1 << 30))),
        ("hides", zip(&[a().with(|part| part.behind = zip(&[part_named("hidden")]).build()[..40].to_vec())])),
        ("hides", whole(|zip| zip.prefix = zip_of_hidden())),
        ("another name", one(|_| ()).with(|zip| zip.parts[0].extra = unicode(b"b"))),
        ("another name", one(|_| ()).with(|zip| zip.parts[0].local_extra = unicode(b"b"))),
        ("cut off", one(|part| part.extra = vec![9, 9, 50, 0])),
        ("zip64 field is missing", one(|part| part.offset = Some(u32::MAX))),
        ("two zip64", one(|part| part.extra = [1, 0, 0, 0].repeat(2))),
        ("follow the zip's end", whole(|zip| zip.behind = b"x".to_vec())),
        ("no zip", zip(&[]).with(|zip| zip.behind = vec![0; 70_000])),
        ("two end records", whole(|zip| zip.comment = [b"PK\x05\x06".as_slice(), &[0; 18]].concat())),
        ("end record", whole(|zip| zip.comment = [b"PK\x05\x06".as_slice(), &[9; 18]].concat())),
        ("has 2 records", whole(|zip| zip.count = Some(1))),
        ("has 2 records", whole(|zip| zip.count = Some(3))),
        ("zip64 record that is not there", whole(|zip| zip.count = Some(0xffff))),
        ("not where", whole(|zip| zip.shift = 1)),
        ("disks", whole(|zip| zip.disk = 1)),
    ];
    for (number, (reason, zip)) in cases.iter().enumerate() {
        let error = names(zip.build()).expect_err(&format!("case {number}, {reason}")).to_string();
        assert!(error.contains(reason), "case {number}: '{error}' does not say '{reason}'");
        assert!(!error.contains(char::is_control), "case {number}: a control character in {error:?}");
    }
}

fn part_named(name: &str) -> Part {
    part(name, b"hidden")
}

fn zip_of_hidden() -> Vec<u8> {
    zip(&[part_named("hidden")]).build()
}

#[test]
fn a_cut_or_bent_zip_never_panics() {
    let whole = zip(&[part("a/b", b"first"), part("c", &[7; 5000]).with(|part| descriptor(part, true, false))]).build();
    for end in 0..whole.len() {
        assert!(names(whole[..end].to_vec()).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            let _ = names(bent);
        }
    }
}

/// Members that quote the next ones' headers, and members that share one stream: each small zip would become gigabytes.
#[test]
fn a22_members_that_overlap_are_refused() {
    let stream = part("a", &[b'x'; 20_000]);
    let shared = zip(&[stream.clone(), part("b", b"").with(|part| part.offset = Some(0))]);
    assert!(names(shared.build()).unwrap_err().to_string().contains("overlaps"));
    // Of N members each is a stored block that holds the header of the next and, in the end, one stream for all of them.
    for count in [2_usize, 8] {
        let mut parts: Vec<Part> = (0..count).map(|number| stream.clone().named(&format!("{number}"))).collect();
        let header = 30 + 1;
        for (number, part) in parts.iter_mut().enumerate() {
            let behind = (count - number - 1) * header;
            part.compressed_size = Some((stream.data.len() + behind) as u32);
            if number + 1 < count {
                part.data = Vec::new();
            }
        }
        let error = names(zip(&parts).build()).unwrap_err().to_string();
        assert!(error.contains("overlaps"), "{count}: {error}");
    }
}

#[test]
fn a20_a21_every_hostile_fixture_is_refused() {
    let Some(folder) = fixtures("attacks/traversal") else { return };
    let zips: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    let zips = zips.iter().filter(|path| path.extension().is_some_and(|extension| extension == "zip"));
    let mut refused = 0;
    for path in zips {
        let error = names(std::fs::read(path).unwrap()).expect_err(&path.display().to_string());
        assert!(matches!(error, ZipError::Refused(_)), "{}: {error}", path.display());
        refused += 1;
    }
    assert_eq!(refused, 8);
}

/// Archives of Go's archive/zip: the names that it finds, or why we are stricter.
#[test]
fn archives_of_go_are_read_or_refused() {
    let Some(folder) = fixtures("go-archive-testdata/zip") else { return };
    let table: [(&str, Result<&[&str], &str>); 28] = [
        ("crc32-not-streamed", Ok(&["foo.txt", "bar.txt"])),
        ("dd", Ok(&["filename"])),
        ("dupdir", Err("twice")),
        ("go-with-datadesc-sig", Ok(&["foo.txt", "bar.txt"])),
        ("readme", Err("follow")),
        ("subdir", Ok(&["a/b/c"])),
        ("symlink", Err("symbolic link")),
        ("test", Ok(&["test.txt", "gophercolor16x16.png"])),
        ("test-baddirsz", Err("zip directory")),
        ("test-prefix", Err("follow")),
        ("test-trailing-junk", Err("follow")),
        ("time-22738", Ok(&["file"])),
        ("time-7zip", Ok(&["test.txt"])),
        ("time-go", Ok(&["test.txt"])),
        ("time-infozip", Ok(&["test.txt"])),
        ("time-osx", Ok(&["test.txt"])),
        ("time-win7", Ok(&["test.txt"])),
        ("time-winrar", Ok(&["test.txt"])),
        ("time-winzip", Ok(&["test.txt"])),
        ("unix", Ok(&["hello", "dir/bar", "readonly"])),
        ("utf8-7zip", Ok(&["世界"])),
        ("utf8-infozip", Ok(&["世界"])),
        ("utf8-osx", Err("not marked")),
        ("utf8-winrar", Ok(&["世界"])),
        ("utf8-winzip", Ok(&["世界"])),
        ("winxp", Ok(&["hello", "dir/bar", "readonly"])),
        ("zip64", Ok(&["README"])),
        ("zip64-2", Ok(&["README"])),
    ];
    for (name, expected) in table {
        let found = names(std::fs::read(folder.join(format!("{name}.zip"))).unwrap());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
            (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{name}: {error}"),
            (found, expected) => panic!("{name}: {found:?}, not {expected:?}"),
        }
    }
}
