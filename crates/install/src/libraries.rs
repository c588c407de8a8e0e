//! Proves of a whole image that its programs start: every library that an ELF file needs is sought as the loader would.
//!
//! ```text
//! each layer, once:  files ─► the few bytes of an ELF file that matter ([`Collector`]) ─► needed libraries, run paths, GPU code
//! each image:        layers' indexes, one upon the other ─► where a library is found ─► what is missing ([`missing`])
//! ```
//!
//! A library is sought in `DT_RPATH` of the file that needs it, of the file that loaded that, and so on, unless it has a
//! `DT_RUNPATH`; in `LD_LIBRARY_PATH` of the image's config; in its `DT_RUNPATH`; in the folders of `ld.so.conf`, then in the
//! trusted ones (ld.so(8)). Two rules beside the loader's: what the GPU's driver brings comes from the host; and a library
//! that lies elsewhere in `site-packages`, or in the same package, is taken for loaded by then, as extensions of torch and
//! parts of Java count on.

mod find;
mod image;
mod sketch;

use std::sync::{Arc, Mutex};

use corten_elf::{CodeKind, Dynamic, Elf, ElfError, FatbinScan, GpuCode};
use corten_layer::write::Watch;
use corten_oci::{DiffId, Digest, Entry, Kind, LayerPath};
use corten_store::Key;
use serde::{Deserialize, Serialize};

pub use find::{ImageLayer, Missing, missing};
pub use image::ImageFiles;
use sketch::Sketch;

/// Raised when [`LayerPrograms`] of the same layer change.
pub const FORMAT: u32 = 4;

/// Bytes of a file of `ld.so.conf.d` that are read.
const LONGEST_CONFIGURATION: usize = 64 * 1024;
/// Names that one file may need; the most that was seen is 60.
const MOST_NEEDED: usize = 512;
/// Bytes of a library's name: the kernel's limit for paths.
const LONGEST_NAME: usize = 4096;
/// Bytes of a `DT_RPATH`; those of CUDA's wheels have 1 KiB.
const LONGEST_LIST: usize = 16 << 10;
/// Bytes of names and paths of all files of a layer; torch with CUDA has 1 MB.
const MOST_KEPT: usize = 64 << 20;
/// Folders of one.
const MOST_FOLDERS: usize = 256;

/// What the loader must know of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPrograms {
    /// In the order of the layer.
    pub programs: Vec<Program>,
    /// Folders that its `ld.so.conf` files name.
    pub folders: Vec<String>,
    /// ELF files that could not be read.
    pub unread: Vec<LayerPath>,
}

/// A program or library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where.
    pub path: LayerPath,
    /// For which processor (`e_machine`).
    pub machine: u16,
    /// Its own name, for libraries that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// Libraries that are loaded with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// Where they, and what they load, are sought first, `:`-separated (`DT_RPATH`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpath: Option<String>,
    /// Where they are sought, after `LD_LIBRARY_PATH` (`DT_RUNPATH`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runpath: Option<String>,
    /// The GPU code inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuLibrary>,
}

/// For which GPUs a library has code. Architectures as `90`, `90a`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuLibrary {
    /// Machine code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cubins: Vec<String>,
    /// PTX, which the driver compiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ptx: Vec<String>,
}

impl GpuLibrary {
    /// None where there is no code.
    pub fn of(code: &GpuCode) -> Option<Self> {
        let list = |kind| code.architectures(kind).iter().map(ToString::to_string).collect();
        (!code.is_empty()).then(|| Self { cubins: list(CodeKind::Cubin), ptx: list(CodeKind::Ptx) })
    }
}

/// Under which key a store remembers the [`LayerPrograms`] of a layer, as JSON.
pub fn key(diff_id: &DiffId) -> Key {
    Key(Digest::of(format!("programs {FORMAT} {diff_id}")))
}

/// A collector that a writer of layers holds while somebody waits for what it finds.
#[derive(Clone, Default)]
pub struct Watcher(Arc<Mutex<Collector>>);

impl Watcher {
    /// What was found until now.
    pub fn finish(&self) -> LayerPrograms {
        self.0.lock().map(|mut collector| std::mem::take(&mut *collector).finish()).unwrap_or_default()
    }

    fn with(&self, work: impl FnOnce(&mut Collector)) {
        if let Ok(mut collector) = self.0.lock() {
            work(&mut collector);
        }
    }
}

impl Watch for Watcher {
    fn begin(&mut self, entry: &Entry) {
        self.with(|collector| collector.begin(entry));
    }

    fn content(&mut self, bytes: &[u8]) {
        self.with(|collector| collector.content(bytes));
    }

    fn end(&mut self) {
        self.with(Collector::end);
    }
}

/// Looks at the files of a layer as they pass by.
#[derive(Default)]
pub struct Collector {
    found: LayerPrograms,
    /// Bytes of what was found.
    kept: usize,
    file: Option<(LayerPath, Watched)>,
}

enum Watched {
    Program(Box<(Sketch, FatbinScan)>),
    Configuration(Vec<u8>),
}

impl Collector {
    /// A file of the layer begins.
    pub fn begin(&mut self, entry: &Entry) {
        let watched = match entry.kind {
            Kind::File if is_configuration(&entry.path) => Watched::Configuration(Vec::new()),
            Kind::File => Watched::Program(Box::default()),
            _ => return,
        };
        self.file = Some((entry.path.clone(), watched));
    }

    /// More of its bytes.
    pub fn content(&mut self, bytes: &[u8]) {
        match &mut self.file {
            Some((_, Watched::Program(seen))) => {
                seen.0.push(bytes);
                seen.1.push(bytes);
            }
            Some((_, Watched::Configuration(text))) => {
                let room = LONGEST_CONFIGURATION.saturating_sub(text.len());
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            None => {}
        }
    }

    /// It is complete.
    pub fn end(&mut self) {
        match self.file.take() {
            Some((path, Watched::Program(seen))) => {
                let (sketch, code) = *seen;
                self.program(path, sketch, &code.finish());
            }
            Some((_, Watched::Configuration(text))) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                let folders = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
                self.found.folders.extend(folders.filter(|line| line.starts_with('/')).map(str::to_owned));
            }
            None => {}
        }
    }

    /// What was found.
    pub fn finish(mut self) -> LayerPrograms {
        self.end();
        self.found
    }

    fn program(&mut self, path: LayerPath, sketch: Sketch, code: &GpuCode) {
        let Some(bytes) = sketch.finish() else { return };
        let Some(machine) = corten_elf::machine(&bytes) else { return };
        let dynamic = match Elf::read(&bytes) {
            Ok(elf) => elf.dynamic.unwrap_or_default(),
            // Of another processor: 32 bits, or the other byte order.
            Err(ElfError::NotElf | ElfError::Unsupported) => Dynamic::default(),
            Err(_) => return self.found.unread.push(path),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // A table may name one string of megabytes a thousand times, in a thousand files.
        let needed = dynamic.needed.iter().filter(|name| name.len() <= LONGEST_NAME).take(MOST_NEEDED);
        let lists = dynamic.rpath.into_iter().chain(dynamic.runpath).map(<[u8]>::len);
        self.kept += needed.clone().map(|name| name.len()).chain(lists).fold(0, usize::saturating_add);
        if self.kept > MOST_KEPT {
            return self.found.unread.push(path);
        }
        self.found.programs.push(Program {
            path,
            machine,
            soname: dynamic.soname.filter(|name| name.len() <= LONGEST_NAME).map(text),
            needed: needed.map(|name| text(name)).collect(),
            rpath: dynamic
                .rpath
                .filter(|_| dynamic.runpath.is_none())
                .filter(|list| list.len() <= LONGEST_LIST)
                .map(text),
            runpath: dynamic.runpath.filter(|list| list.len() <= LONGEST_LIST).map(text),
            gpu: GpuLibrary::of(code),
        });
    }
}

fn is_configuration(path: &LayerPath) -> bool {
    let text = path.as_str().unwrap_or_default();
    text == "etc/ld.so.conf" || (text.starts_with("etc/ld.so.conf.d/") && text.ends_with(".conf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of megabytes are left out; of files that have 2 MB of names each, the first alone are kept.
    #[test]
    fn names_without_end_are_not_kept() {
        let library = |length: usize| corten_testkit::elf::Library {
            needed: vec!["x".repeat(length); MOST_NEEDED + 1],
            ..Default::default()
        };
        let (long, longer) = (library(LONGEST_NAME).build(), library(LONGEST_NAME + 1).build());
        let mut collector = Collector::default();
        let mut add = |number: usize, bytes: &[u8]| {
            let path = LayerPath::new(format!("{number:03}.so")).unwrap();
            let (kind, size) = (Kind::File, bytes.len() as u64);
            let entry = Entry { path, kind, mode: 0, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None };
            collector.begin(&entry);
            collector.content(bytes);
            collector.end();
        };
        add(0, &longer);
        (1..=40).for_each(|number| add(number, &long));
        let found = collector.finish();
        assert_eq!(found.programs[0].needed, [""; 0]);
        assert_eq!(found.programs[1].needed.len(), MOST_NEEDED);
        assert_eq!((found.programs.len(), found.unread.len()), (33, 8));
    }
}
