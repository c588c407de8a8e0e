//! Images as others make them, small: a Python that is none, in an OCI layout or a docker archive.

use std::fs;
use std::path::{Path, PathBuf};

use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Descriptor, Digest, Entry, Kind, LayerPath};
use corten_testkit::elf::library;
use serde_json::{Value, json};

/// A file of an image: path, content; a path that ends with `@` is a link to the content.
pub type File<'a> = (&'a str, Vec<u8>);

/// An image, as it is described.
pub struct Image {
    /// Files of each layer, lowest first.
    pub layers: Vec<Vec<File<'static>>>,
    /// `config` of the config.
    pub config: Value,
    pub architecture: &'static str,
    pub compression: Compression,
}

/// The same, as bytes.
pub struct Made {
    /// Compressed layers.
    pub blobs: Vec<Vec<u8>>,
    /// The tars.
    pub tars: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

/// dpkg's database with one package.
const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDescription: a\n b\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n";

impl Image {
    /// Python 3.11.9 in /usr/local on a bookworm of two packages, in two layers.
    pub fn python() -> Self {
        let python = [library(&["libc.so.6"], None), b"\x003.11.9\x00".to_vec()].concat();
        let lowest = vec![
            ("etc/group", b"root:x:0:\n".to_vec()),
            ("etc/os-release", b"ID=debian\nVERSION_CODENAME=bookworm\n".to_vec()),
            ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh".to_vec()),
            (
                "lib/x86_64-linux-gnu/libc.so.6",
                b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n".to_vec(),
            ),
            ("var/lib/dpkg/status", STATUS.into()),
        ];
        let upper = vec![
            ("usr/local/bin/python3.11", python),
            ("usr/local/bin/python3@", b"python3.11".to_vec()),
            ("usr/local/lib/python3.11/os.py", b"".to_vec()),
            ("usr/local/lib/python3.11/site-packages/pip-24.0.dist-info/METADATA", b"Name: pip\n".to_vec()),
        ];
        let config = json!({
            "Env": ["PATH=/usr/local/bin:/usr/bin", "LANG=C", "OF_BASE=1"],
            "Entrypoint": ["/start"],
            "Cmd": ["python3"],
            "Labels": {"of": "base"},
            "ExposedPorts": {"9/tcp": {}},
            "User": "root",
            "OnBuild": ["COPY . ."],
        });
        Self { layers: vec![lowest, upper], config, architecture: "amd64", compression: Compression::Gzip }
    }

    /// The same for another processor.
    pub fn python_for_arm64() -> Self {
        let mut image = Self { architecture: "arm64", ..Self::python() };
        for (path, content) in image.layers.iter_mut().flatten() {
            if *path == "lib/x86_64-linux-gnu/libc.so.6" {
                *path = "lib/aarch64-linux-gnu/libc.so.6";
            }
            if path.ends_with("/python3.11") {
                content[18] = 183; // EM_AARCH64
            }
        }
        image
    }

    /// With another file in its last layer.
    pub fn with(mut self, path: &'static str, content: &[u8]) -> Self {
        let last = self.layers.last_mut().unwrap();
        last.retain(|(other, _)| *other != path);
        last.push((path, content.to_vec()));
        self
    }

    pub fn without(mut self, path: &str) -> Self {
        self.layers.iter_mut().for_each(|layer| layer.retain(|(other, _)| *other != path));
        self
    }

    pub fn make(&self) -> Made {
        let tars: Vec<_> = self.layers.iter().map(|files| layer(files, Compression::Stored)).collect();
        let blobs: Vec<_> = self.layers.iter().map(|files| layer(files, self.compression)).collect();
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let config = json!({
            "created": "2026-01-02T03:04:05Z",
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [
                {"created_by": "ADD rootfs"}, {"created_by": "ENV OF_BASE=1", "empty_layer": true}, {"created_by": "RUN make"}
            ],
        });
        let config = serde_json::to_vec(&config).unwrap();
        let media_type = self.compression.media_type();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": Descriptor::of("application/vnd.oci.image.config.v1+json", &config),
            "layers": blobs.iter().map(|blob| Descriptor::of(&media_type.0, blob)).collect::<Vec<_>>(),
        });
        Made { blobs, tars, config, manifest: serde_json::to_vec(&manifest).unwrap() }
    }

    /// Writes it as the only image of a new layout.
    pub fn layout(&self, folder: &Path) -> Digest {
        let made = self.make();
        let layout = Layout::new(folder);
        let entry = layout.add(&made);
        layout.index(&json!([entry]));
        Digest::of(&made.manifest)
    }
}

fn layer(files: &[File<'_>], compression: Compression) -> Vec<u8> {
    let mut layer = LayerWriter::new(Vec::new(), compression, 0);
    for (path, content) in files {
        let (path, kind) = match path.strip_suffix('@') {
            Some(path) => (path, Kind::Symlink(String::from_utf8(content.clone()).unwrap())),
            None => (*path, Kind::File),
        };
        let is_file = kind == Kind::File;
        let size = if is_file { content.len() as u64 } else { 0 };
        let path = LayerPath::new(path).unwrap();
        let entry = Entry { path, kind, mode: 0o755, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None };
        match is_file {
            true => layer.file(entry, &mut content.as_slice()).unwrap(),
            false => layer.bare(entry).unwrap(),
        }
    }
    layer.finish().unwrap().0
}

/// A layout that is being made.
pub struct Layout(PathBuf);

impl Layout {
    pub fn new(folder: &Path) -> Self {
        drop(fs::remove_dir_all(folder));
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(folder.to_owned())
    }

    pub fn blob(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.join("blobs/sha256").join(Digest::of(bytes).hex());
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes all blobs of an image; its descriptor.
    pub fn add(&self, made: &Made) -> Value {
        made.blobs.iter().chain([&made.config, &made.manifest]).for_each(|blob| drop(self.blob(blob)));
        json!(Descriptor::of("application/vnd.oci.image.manifest.v1+json", &made.manifest))
    }

    pub fn index(&self, manifests: &Value) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }
}

/// A tar of files; a path that ends with `@` is a link.
pub fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    layer(files, Compression::Stored)
}
