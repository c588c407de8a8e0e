//! Small .debs and ELF files, made for tests.

use std::fs;
use std::path::Path;

use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Entry, Kind, LayerPath};

use super::deb::DebFile;

/// A .deb to be.
#[derive(Default, Clone)]
pub(super) struct FakeDeb {
    control: String,
    members: Vec<(String, Vec<u8>)>,
    files: Vec<(Entry, Vec<u8>)>,
    name: String,
    version: String,
}

impl FakeDeb {
    /// A package of version 1-1 for amd64.
    pub(super) fn new(name: &str) -> Self {
        let control = format!("Package: {name}\nVersion: 1-1\nArchitecture: amd64\nDescription: a test\n");
        Self { control, name: name.to_owned(), version: "1-1".to_owned(), ..Self::default() }
    }

    /// Of another version.
    pub(super) fn version(mut self, version: &str) -> Self {
        self.control = self.control.replace("Version: 1-1", &format!("Version: {version}"));
        self.version = version.to_owned();
        self
    }

    pub(super) fn field(mut self, line: &str) -> Self {
        self.control = format!("{}{line}\n", self.control);
        self
    }

    pub(super) fn member(mut self, name: &str, content: &str) -> Self {
        self.members.push((name.to_owned(), content.as_bytes().to_vec()));
        self
    }

    pub(super) fn entry(mut self, path: &str, kind: Kind, mode: u32, content: &[u8]) -> Self {
        self.files.push((entry(path, kind, mode, content), content.to_vec()));
        self
    }

    pub(super) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, Kind::File, 0o644, content.as_ref())
    }

    pub(super) fn folder(self, path: &str) -> Self {
        self.entry(path, Kind::Directory, 0o755, b"")
    }

    pub(super) fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, Kind::Symlink(target.to_owned()), 0o777, b"")
    }

    pub(super) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(path, Kind::HardLink(LayerPath::new(target).unwrap()), 0o644, b"")
    }

    /// The ar members, uncompressed.
    pub(super) fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let mut control =
            vec![(entry("control", Kind::File, 0o644, self.control.as_bytes()), self.control.clone().into_bytes())];
        let members =
            self.members.iter().map(|(name, content)| (entry(name, Kind::File, 0o755, content), content.clone()));
        control.extend(members);
        vec![
            ("debian-binary".into(), b"2.0\n".to_vec()),
            ("control.tar".into(), tar(&control)),
            ("data.tar".into(), tar(&self.files)),
        ]
    }

    /// Writes the .deb below a folder.
    pub(super) fn write(&self, folder: &Path) -> DebFile {
        DebFile { version: self.version.clone(), ..write_parts(folder, &self.name, &self.parts()) }
    }
}

/// Writes an ar archive as a package's .deb.
pub(super) fn write_parts(folder: &Path, name: &str, parts: &[(String, Vec<u8>)]) -> DebFile {
    let path = folder.join(format!("{name}.deb"));
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in parts {
        bytes.extend(format!("{name:<16}0           0     0     100644  {:<10}`\n", content.len()).bytes());
        bytes.extend(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    fs::write(&path, bytes).unwrap();
    DebFile { name: name.to_owned(), version: "1-1".into(), architecture: "amd64".into(), path }
}

fn entry(path: &str, kind: Kind, mode: u32, content: &[u8]) -> Entry {
    let (path, size) = (LayerPath::new(path).unwrap(), content.len() as u64);
    Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
}

fn tar(files: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Stored, 0);
    for (entry, content) in files {
        writer.file(entry.clone(), &mut content.as_slice()).unwrap();
    }
    writer.finish().unwrap().0
}

/// A library for amd64 (or a program, with an interpreter).
pub(super) fn elf(needed: &[&str], soname: Option<&str>, runpath: Option<&str>, interpreter: Option<&str>) -> Vec<u8> {
    let mut strings = vec![0];
    let mut entries: Vec<(u64, u64)> = Vec::new();
    let texts =
        needed.iter().map(|text| (1, *text)).chain(soname.map(|text| (14, text))).chain(runpath.map(|text| (29, text)));
    for (tag, text) in texts {
        entries.push((tag, strings.len() as u64));
        strings.extend(text.bytes().chain([0]));
    }
    let interpreter: Vec<u8> = interpreter.map(|text| text.bytes().chain([0]).collect()).unwrap_or_default();
    let interpreter_at = 64 + 3 * 56;
    let strings_at = interpreter_at + interpreter.len();
    let dynamic_at = strings_at + strings.len();
    entries.extend([(5, strings_at as u64), (10, strings.len() as u64), (0, 0)]);
    let mut bytes = b"\x7fELF\x02\x01\x01\0".to_vec();
    bytes.resize(64, 0);
    (bytes[16], bytes[18], bytes[32], bytes[54], bytes[56]) = (3, 62, 64, 56, 3);
    let size = dynamic_at + entries.len() * 16;
    let kind = if interpreter.is_empty() { 4_u32 } else { 3 };
    for (kind, at, length) in
        [(1, 0, size), (kind, interpreter_at, interpreter.len()), (2, dynamic_at, entries.len() * 16)]
    {
        bytes.extend(kind.to_le_bytes());
        bytes.extend([4, 0, 0, 0]);
        for value in [at, at, at, length, length, 1] {
            bytes.extend((value as u64).to_le_bytes());
        }
    }
    bytes.extend(interpreter);
    bytes.extend(strings);
    for (tag, value) in entries {
        bytes.extend(tag.to_le_bytes().iter().chain(&value.to_le_bytes()));
    }
    bytes
}
