//! Unpacks what an image's interpreter needs to run on this machine: itself, its loader, the libraries that it is linked
//! with, its standard library. Nothing else of the image, and no link: nothing in the folder leads out of it.
//!
//! ```text
//! FOLDER/loader                      what its PT_INTERP says
//! FOLDER/libraries/libz.so.1         what it needs, and what those need
//! FOLDER/tree/usr/bin/python3.11     itself, so that it finds
//! FOLDER/tree/usr/lib/python3.11/…   its standard library
//! ```
//!
//! Layers are streams, so each is read once for every round of libraries: as a rule twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use corten_elf::Elf;
use corten_layer::tree::Tree;
use corten_oci::{DiffId, Kind, LayerPath};

/// Files and bytes that an interpreter may have: what is found in images is 3,000 files and 120 MB.
const MOST_FILES: usize = 50_000;
const MOST_BYTES: u64 = 1 << 30;
/// Bytes of a program or library that is looked into.
const LARGEST_PROGRAM: u64 = 256 << 20;
/// A library that another needs that another needs …
const MOST_ROUNDS: usize = 12;
/// Where programs look for libraries that name no place, beside the folders of the machine's triplet.
const LIBRARY_FOLDERS: [&str; 5] = ["lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib"];
/// Parts of the standard library that compiling has no use for.
const UNUSED: [&str; 9] =
    ["site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"];

/// An interpreter on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The folder, with no link in its path.
    pub root: PathBuf,
    /// The interpreter itself.
    pub program: PathBuf,
    /// Is the loader that of the GNU C library?
    pub is_glibc: bool,
}

impl Unpacked {
    pub(super) fn loader(&self) -> PathBuf {
        self.root.join("loader")
    }

    pub(super) fn libraries(&self) -> PathBuf {
        self.root.join("libraries")
    }

    /// The prefix below which the standard library is.
    pub(super) fn home(&self) -> PathBuf {
        self.program.parent().and_then(Path::parent).unwrap_or(&self.root).to_owned()
    }
}

/// Opens a layer of the image as an uncompressed tar.
pub type OpenLayer<'a> = dyn Fn(&DiffId) -> io::Result<Box<dyn Read>> + 'a;

/// Unpacks the interpreter at `program` (links are followed: `usr/bin/python3`) to `folder`: an empty one of ours.
///
/// # Errors
/// When the program, its loader, a library or its standard library is not in the image; when reading or writing fails.
pub fn unpack(tree: &Tree, program: &LayerPath, open: &OpenLayer<'_>, folder: &Path) -> io::Result<Unpacked> {
    let root = folder.canonicalize()?;
    let mut unpacking = Unpacking { tree, open, root: root.clone(), files: 0, bytes: 0 };
    let place = |path: &LayerPath| -> io::Result<PathBuf> {
        let text = path.as_str().ok_or_else(|| invalid(format!("/{path} is not a name in UTF-8")))?;
        Ok(root.join("tree").join(text))
    };
    let real = unpacking.real(program)?;
    let here = place(&real)?;
    unpacking.write([(real.clone(), here.clone())].into())?;
    let content = read_program(&here)?;
    let elf = Elf::read(&content).map_err(|error| invalid(format!("/{real} is no program: {error}")))?;
    let loader = elf.interpreter.ok_or_else(|| invalid(format!("/{real} names no loader")))?;
    let loader = LayerPath::new(loader).map_err(|error| invalid(error.to_string()))?;
    let is_glibc = loader.name().starts_with(b"ld-linux");

    let mut wanted = unpacking.standard_library(&real, &place)?;
    wanted.insert(unpacking.real(&loader)?, root.join("loader"));
    let mut libraries = Libraries { folders: library_folders(&real, &elf), known: BTreeSet::new() };
    libraries.known.insert(loader.name().to_vec());
    let mut found = libraries.needed_by(&content, &unpacking)?;
    for _ in 0..MOST_ROUNDS {
        let new: Vec<PathBuf> = found.values().cloned().collect();
        wanted.append(&mut found);
        unpacking.write(std::mem::take(&mut wanted))?;
        for library in new {
            found.append(&mut libraries.needed_by(&read_program(&library)?, &unpacking)?);
        }
        if found.is_empty() {
            return Ok(Unpacked { root, program: here, is_glibc });
        }
    }
    Err(invalid(format!("/{real} needs libraries without end")))
}

struct Unpacking<'a> {
    tree: &'a Tree,
    open: &'a OpenLayer<'a>,
    root: PathBuf,
    files: usize,
    bytes: u64,
}

/// Paths of the image, links followed, and where they are to be written.
type Wanted = BTreeMap<LayerPath, PathBuf>;

impl Unpacking<'_> {
    /// The file that a path leads to.
    fn real(&self, path: &LayerPath) -> io::Result<LayerPath> {
        let node = self.tree.resolve(path).filter(|node| node.entry.kind == Kind::File);
        let node =
            node.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("/{path} is not in the base")))?;
        Ok(node.entry.path.clone())
    }

    /// `usr/bin/python3.11` → everything below `usr/lib/python3.11` that is of use.
    fn standard_library(
        &self,
        program: &LayerPath,
        place: &dyn Fn(&LayerPath) -> io::Result<PathBuf>,
    ) -> io::Result<Wanted> {
        let prefix = program.parent().and_then(|folder| folder.parent()).unwrap_or_default();
        let name = String::from_utf8_lossy(program.name()).into_owned();
        // Fedora and its kin have it in lib64.
        let places = ["lib", "lib64"].map(|folder| prefix.join(format!("{folder}/{name}/os.py")));
        let landmark = places.into_iter().flatten().find_map(|landmark| self.real(&landmark).ok());
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("/{program} has no standard library"));
        let library = landmark.and_then(|landmark| landmark.parent()).ok_or_else(missing)?;
        let mut wanted = Wanted::new();
        for (path, node) in self.tree.iter().filter(|(path, _)| path.starts_with(&library)) {
            let below = path.as_bytes().get(library.as_bytes().len() + 1..).unwrap_or_default();
            let mut parts = below.split(|&byte| byte == b'/');
            let unused = parts.any(|part| UNUSED.iter().any(|name| name.as_bytes() == part));
            if node.entry.kind == Kind::File && !unused && path.as_str().is_some() {
                wanted.insert(path.clone(), place(path)?);
            }
        }
        Ok(wanted)
    }

    /// Reads each layer that has some of the files once, in the order of its tar.
    fn write(&mut self, wanted: Wanted) -> io::Result<()> {
        let mut layers: BTreeMap<DiffId, Vec<(u64, u64, PathBuf)>> = BTreeMap::new();
        for (path, place) in wanted {
            let node = self.tree.get(&path).ok_or_else(|| invalid(format!("/{path} is not in the base")))?;
            let (offset, size) = (node.entry.offset, node.entry.size);
            self.files += 1;
            self.bytes = self.bytes.saturating_add(size);
            if self.files > MOST_FILES || self.bytes > MOST_BYTES {
                return Err(invalid(format!("its files are more than {MOST_FILES}, or have more than 1 GiB")));
            }
            layers.entry(node.layer).or_default().push((offset, size, place));
        }
        for (layer, mut files) in layers {
            files.sort();
            let mut tar = (self.open)(&layer)?;
            let mut at = 0;
            let mut before: Option<(u64, PathBuf)> = None;
            for (offset, size, place) in files {
                match &before {
                    // Another name of the same file.
                    Some((same, file)) if *same == offset => copy_file(file, &place)?,
                    _ => {
                        let overlap = || invalid("two files of a layer lie in each other".to_owned());
                        skip(&mut tar, offset.checked_sub(at).ok_or_else(overlap)?)?;
                        write_file(&place, &mut tar, size)?;
                        at = offset.saturating_add(size);
                    }
                }
                before = Some((offset, place));
            }
        }
        Ok(())
    }
}

/// Which libraries are there already, and where others are looked for.
struct Libraries {
    folders: Vec<LayerPath>,
    known: BTreeSet<Vec<u8>>,
}

impl Libraries {
    /// What a program or library needs and nobody before it needed.
    fn needed_by(&mut self, content: &[u8], unpacking: &Unpacking<'_>) -> io::Result<Wanted> {
        let mut wanted = Wanted::new();
        let Ok(elf) = Elf::read(content) else { return Ok(wanted) };
        for name in elf.dynamic.iter().flat_map(|dynamic| dynamic.needed.iter()) {
            if !self.known.insert(name.to_vec()) {
                continue;
            }
            let text = std::str::from_utf8(name).ok().filter(|name| !name.contains('/') && !name.starts_with('.'));
            let text = text.ok_or_else(|| invalid("a library has a path for a name".to_owned()))?;
            let places = self.folders.iter().filter_map(|folder| folder.join(name).ok());
            let real = places.into_iter().find_map(|path| unpacking.real(&path).ok());
            let missing = || io::Error::new(io::ErrorKind::NotFound, format!("library {text} is not in the base"));
            wanted.insert(real.ok_or_else(missing)?, unpacking.root.join("libraries").join(text));
        }
        Ok(wanted)
    }
}

/// Where the loader would look: the run path, the triplet's folders, the usual ones, and beside the program.
fn library_folders(program: &LayerPath, elf: &Elf<'_>) -> Vec<LayerPath> {
    let origin = program.parent().unwrap_or_default();
    let beside = origin.parent().unwrap_or_default().join("lib");
    let triplets = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let usual = LIBRARY_FOLDERS.iter().map(|folder| (*folder).to_owned());
    let of_triplet = triplets.iter().flat_map(|triplet| [format!("usr/lib/{triplet}"), format!("lib/{triplet}")]);
    let run_paths = elf.dynamic.iter().flat_map(run_paths).filter_map(|path| at_origin(&path, &origin));
    run_paths.chain(beside.ok()).chain(of_triplet.chain(usual).filter_map(|path| LayerPath::new(path).ok())).collect()
}

fn run_paths(dynamic: &corten_elf::Dynamic<'_>) -> Vec<String> {
    let paths = dynamic.runpath.or(dynamic.rpath).unwrap_or_default();
    String::from_utf8_lossy(paths).split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// `$ORIGIN/../lib` → a path of the image; none for one that is relative to nothing.
fn at_origin(path: &str, origin: &LayerPath) -> Option<LayerPath> {
    let rest = path.strip_prefix("$ORIGIN").or_else(|| path.strip_prefix("${ORIGIN}"));
    let absolute = match rest {
        Some(rest) => format!("{origin}{rest}"),
        None => path.strip_prefix('/')?.to_owned(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in absolute.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    LayerPath::new(parts.join("/")).ok()
}

fn read_program(place: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(place)?.len() > LARGEST_PROGRAM {
        return Err(invalid("a program or library has more than 256 MiB".to_owned()));
    }
    fs::read(place)
}

fn copy_file(from: &Path, place: &Path) -> io::Result<()> {
    let mut file = fs::File::open(from)?;
    let size = file.metadata()?.len();
    write_file(place, &mut file, size)
}

fn skip(mut tar: &mut dyn Read, count: u64) -> io::Result<()> {
    let skipped = io::copy(&mut (&mut tar).take(count), &mut io::sink())?;
    if skipped == count { Ok(()) } else { Err(invalid("a layer ends before its index says".to_owned())) }
}

fn write_file(place: &Path, mut tar: &mut dyn Read, size: u64) -> io::Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    // The loader is started; the program is only read by it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(place)?;
    let written = io::copy(&mut (&mut tar).take(size), &mut file)?;
    file.flush()?;
    if written == size { Ok(()) } else { Err(invalid("a layer ends before its index says".to_owned())) }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_paths_stay_in_the_image() {
        let origin = LayerPath::new("opt/python/bin").unwrap();
        let at = |path| at_origin(path, &origin).map(|path| path.to_string());
        assert_eq!(at("$ORIGIN/../lib").as_deref(), Some("opt/python/lib"));
        assert_eq!(at("${ORIGIN}").as_deref(), Some("opt/python/bin"));
        assert_eq!(at("$ORIGIN/../../../../../etc").as_deref(), Some("etc"));
        assert_eq!(at("/usr/lib//x/.").as_deref(), Some("usr/lib/x"));
        assert_eq!(at("lib"), None);
    }
}
