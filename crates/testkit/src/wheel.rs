//! Small wheels, made in memory: right by default, wrong where a test asks for it.

use std::io::Write;

use base64::Engine as _;
use corten_oci::Digest;

/// One file of a wheel.
#[derive(Debug, Clone)]
pub struct WheelFile {
    /// As in the zip.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// The whole Unix mode, as zips keep it in the upper half of the external attributes.
    pub mode: u32,
    /// Deflated, or stored?
    pub deflated: bool,
}

/// Builds a wheel.
#[derive(Debug, Clone)]
pub struct WheelBuilder {
    name: String,
    version: String,
    tag: String,
    purelib: bool,
    wheel_version: String,
    metadata: Vec<String>,
    files: Vec<WheelFile>,
    record: Option<String>,
    record_ending: &'static str,
    entry_points: Option<String>,
    replaced: Vec<(String, String)>,
}

impl WheelBuilder {
    /// A pure wheel without files; `name` as in the wheel's file name (with underscores).
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            purelib: true,
            wheel_version: "1.0".to_owned(),
            metadata: Vec::new(),
            files: Vec::new(),
            record: None,
            record_ending: "\n",
            entry_points: None,
            replaced: Vec::new(),
        }
    }

    /// Adds a file with mode 0644.
    #[must_use]
    pub fn file(self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.file_with(name, content, 0o100_644)
    }

    /// Adds a file with a whole Unix mode (`0o100755`, `0o120777` for a link).
    #[must_use]
    pub fn file_with(mut self, name: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.push(WheelFile { name: name.to_owned(), content: content.into(), mode, deflated: true });
        self
    }

    /// Adds a file that is not compressed.
    #[must_use]
    pub fn stored(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push(WheelFile { name: name.to_owned(), content: content.into(), mode: 0o100_644, deflated: false });
        self
    }

    /// Another tag than `py3-none-any`.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// `Root-Is-Purelib: false`.
    #[must_use]
    pub fn platlib(mut self) -> Self {
        self.purelib = false;
        self
    }

    /// Another `Wheel-Version` than 1.0.
    #[must_use]
    pub fn wheel_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.wheel_version);
        self
    }

    /// One more line of METADATA (`Requires-Dist: x`).
    #[must_use]
    pub fn metadata(mut self, line: &str) -> Self {
        self.metadata.push(line.to_owned());
        self
    }

    /// `entry_points.txt`.
    #[must_use]
    pub fn entry_points(mut self, text: &str) -> Self {
        self.entry_points = Some(text.to_owned());
        self
    }

    /// Another RECORD than the right one.
    #[must_use]
    pub fn record(mut self, text: &str) -> Self {
        self.record = Some(text.to_owned());
        self
    }

    /// Lines of RECORD end with this.
    #[must_use]
    pub fn record_ending(mut self, ending: &'static str) -> Self {
        self.record_ending = ending;
        self
    }

    /// Replaces a text in METADATA, WHEEL and names of the dist-info folder.
    #[must_use]
    pub fn dist_info(mut self, right: &str, wrong: &str) -> Self {
        self.replaced.push((right.to_owned(), wrong.to_owned()));
        self
    }

    /// `name-version-tag.whl`.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.whl", self.name, self.version, self.tag)
    }

    /// The wheel's bytes, the same every time.
    pub fn build(&self) -> Vec<u8> {
        zip(&self.members())
    }

    /// What will be in the zip.
    pub fn members(&self) -> Vec<WheelFile> {
        let folder = self.replace(&format!("{}-{}.dist-info", self.name, self.version));
        let mut members = self.files.clone();
        let mut add = |name: &str, content: String| {
            let name = format!("{folder}/{name}");
            members.push(WheelFile { name, content: content.into_bytes(), mode: 0o100_644, deflated: true });
        };
        add("METADATA", self.replace(&self.metadata_text()));
        let wheel = format!(
            "Wheel-Version: {}\nGenerator: corten-testkit\nRoot-Is-Purelib: {}\nTag: {}\n",
            self.wheel_version, self.purelib, self.tag
        );
        add("WHEEL", wheel);
        if let Some(text) = &self.entry_points {
            add("entry_points.txt", text.clone());
        }
        let record = match &self.record {
            Some(record) => record.clone(),
            None => record(&members, &folder, self.record_ending),
        };
        let name = format!("{folder}/RECORD");
        members.push(WheelFile { name, content: record.into_bytes(), mode: 0o100_644, deflated: true });
        members
    }

    fn metadata_text(&self) -> String {
        let mut text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", self.name, self.version);
        for line in &self.metadata {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn replace(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (right, wrong)| text.replace(right, wrong))
    }
}

fn record(members: &[WheelFile], folder: &str, ending: &str) -> String {
    let mut record = String::new();
    for member in members {
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Digest::of(&member.content).as_bytes());
        record.push_str(&format!("{},sha256={hash},{}{ending}", member.name, member.content.len()));
    }
    record.push_str(&format!("{folder}/RECORD,,{ending}"));
    record
}

/// A zip of files, made as Unix would.
pub fn zip(files: &[WheelFile]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let data = if file.deflated { deflate(&file.content) } else { file.content.clone() };
        let method: u16 = if file.deflated { 8 } else { 0 };
        let offset = bytes.len() as u32;
        let mut common = Vec::new();
        common.extend_from_slice(&20u16.to_le_bytes());
        common.extend_from_slice(&0x0800u16.to_le_bytes());
        common.extend_from_slice(&method.to_le_bytes());
        common.extend_from_slice(&[0, 0, 0x21, 0]);
        common.extend_from_slice(&crc32fast::hash(&file.content).to_le_bytes());
        common.extend_from_slice(&(data.len() as u32).to_le_bytes());
        common.extend_from_slice(&(file.content.len() as u32).to_le_bytes());
        common.extend_from_slice(&(file.name.len() as u16).to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend_from_slice(&common);
        bytes.extend_from_slice(file.name.as_bytes());
        bytes.extend_from_slice(&data);
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&[20, 3]);
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(file.mode << 16).to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(file.name.as_bytes());
    }
    let start = bytes.len() as u32;
    bytes.extend_from_slice(&directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    let count = (files.len() as u16).to_le_bytes();
    bytes.extend_from_slice(&count);
    bytes.extend_from_slice(&count);
    bytes.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
