//! Where the loader finds libraries in an image, and which it does not find.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use corten_oci::{Architecture, LayerIndex, LayerPath};

use super::image::ImageFiles;
use super::{LayerPrograms, Program};

/// `e_machine` of what images are for (System V ABI, processor supplements).
const AMD64: u16 = 62;
const ARM64: u16 = 183;

/// Libraries that are sought for one image. Torch with CUDA has some 100,000; who makes more wants to keep us busy.
const MOST_SOUGHT: usize = 20_000_000;

/// What the driver of a GPU brings from the host, by how the names begin.
const OF_THE_HOST: [&str; 9] = [
    "libEGL_nvidia.so",
    "libGLX_nvidia.so",
    "libcuda.so",
    "libcudadebugger.so",
    "libnvcuvid.so",
    "libnvidia-",
    "libnvoptix.so",
    "libhsa-runtime64.so.1.driver",
    "libnvsandboxutils.so",
];

/// A layer, lowest first.
#[derive(Debug, Clone)]
pub struct ImageLayer {
    /// What lies in it.
    pub index: LayerIndex,
    /// What the loader must know of it.
    pub programs: LayerPrograms,
}

/// A library that is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Its name.
    pub library: String,
    /// The first file that needs it: one that matters most, then in the order of paths.
    pub file: LayerPath,
    /// The package URL of that file's package.
    pub package: Option<String>,
    /// How many files need it.
    pub files: usize,
    /// Does an import of a wheel's own modules fail without?
    pub breaks_import: bool,
}

/// What is missing in an image, by name. `library_path`: folders of `LD_LIBRARY_PATH`.
///
/// Every file is loaded as `ld.so --list` would. A library of a wheel may find its own only with the `DT_RPATH` of what
/// loads it: it lacks what it finds in no process.
pub fn missing(layers: &[ImageLayer], architecture: Architecture, library_path: &[String]) -> Vec<Missing> {
    let image = Image::new(layers, architecture, library_path);
    let modules: HashSet<&LayerPath> = image.modules().into_iter().collect();
    let (mut found, mut lacking) = (HashSet::new(), BTreeSet::new());
    let mut reached: HashSet<&LayerPath> = HashSet::new();
    let mut sought = 0;
    for path in image.programs.keys() {
        let process = image.load(path);
        sought += process.found.len() + process.lacking.len();
        if modules.contains(path) {
            reached.extend(process.objects.iter().map(|object| object.path));
        }
        found.extend(process.found);
        lacking.extend(process.lacking);
        if sought > MOST_SOUGHT {
            break;
        }
    }
    let lacking = lacking.into_iter().filter(|pair| !found.contains(pair) && !image.is_brought(pair.0, pair.1));
    summed(&image, lacking, &reached)
}

/// One line for each library.
fn summed<'a>(
    image: &Image<'a>,
    lacking: impl Iterator<Item = (&'a LayerPath, &'a str)>,
    reached: &HashSet<&'a LayerPath>,
) -> Vec<Missing> {
    let mut all: BTreeMap<&str, Missing> = BTreeMap::new();
    for (path, library) in lacking {
        let breaks_import = reached.contains(path);
        let package = || image.files.package(path).map(str::to_owned);
        let new =
            || Missing { library: library.into(), file: path.clone(), package: package(), files: 0, breaks_import };
        let known = all.entry(library).or_insert_with(new);
        if breaks_import && !known.breaks_import {
            (known.file, known.package, known.breaks_import) = (path.clone(), package(), true);
        }
        known.files += 1;
    }
    all.into_values().collect()
}

struct Image<'a> {
    files: ImageFiles<'a>,
    /// Of this architecture, in the order of paths.
    programs: BTreeMap<&'a LayerPath, &'a Program>,
    /// Names of the libraries in `site-packages`.
    loaded: HashSet<&'a str>,
    /// Names of libraries by the package that has them: a program of Java's loads libjvm by its own path, first.
    of_package: HashSet<(&'a str, &'a str)>,
    library_path: &'a [String],
    /// Where everything is sought last.
    folders: Vec<String>,
    architecture: Architecture,
}

/// What is loaded with a file, breadth first.
struct Process<'a> {
    objects: Vec<Object<'a>>,
    /// Which files found which libraries.
    found: Vec<(&'a LayerPath, &'a str)>,
    lacking: Vec<(&'a LayerPath, &'a str)>,
}

/// A file in a process, once however many names lead to it.
struct Object<'a> {
    path: &'a LayerPath,
    program: &'a Program,
    /// What loaded it first.
    by: Option<usize>,
    /// `DT_RPATH`, for itself and for what it loads; none where there is a `DT_RUNPATH`.
    rpath: Vec<String>,
    /// `DT_RUNPATH`, for itself alone.
    runpath: Vec<String>,
}

impl<'a> Image<'a> {
    fn new(layers: &'a [ImageLayer], architecture: Architecture, library_path: &'a [String]) -> Self {
        let files = ImageFiles::new(layers);
        let all =
            layers.iter().enumerate().flat_map(|(layer, of)| of.programs.programs.iter().map(move |one| (layer, one)));
        let seen = all
            .filter(|(layer, program)| program.machine == machine(architecture) && files.is_of(&program.path, *layer));
        let programs: BTreeMap<_, _> = seen.map(|(_, program)| (&program.path, program)).collect();
        let mut of_package = HashSet::new();
        for (path, program) in &programs {
            let names = [program.soname.as_deref(), std::str::from_utf8(path.name()).ok()];
            let package = files.package(path);
            of_package.extend(names.into_iter().flatten().filter_map(|name| Some((package?, name))));
        }
        let mut loaded = HashSet::new();
        for program in programs.values().filter(|program| in_site_packages(&program.path).is_some()) {
            loaded.extend(program.soname.as_deref());
            loaded.extend(std::str::from_utf8(program.path.name()).ok());
        }
        // One that could not be read is there all the same.
        let unread = layers.iter().flat_map(|layer| &layer.programs.unread);
        let unread = unread.filter(|path| in_site_packages(path).is_some());
        loaded.extend(unread.filter_map(|path| std::str::from_utf8(path.name()).ok()));
        let triplet = architecture.triplet();
        let mut folders: Vec<String> = Vec::new();
        folders.extend(layers.iter().flat_map(|layer| layer.programs.folders.iter().cloned()));
        folders.extend(["/lib/", "/usr/lib/"].map(|folder| format!("{folder}{triplet}")));
        folders.extend(["/lib", "/usr/lib", "/lib64", "/usr/lib64"].map(str::to_owned));
        Self { files, programs, loaded, of_package, library_path, folders, architecture }
    }

    /// Comes a library from the host, or is it loaded by then?
    fn is_brought(&self, file: &LayerPath, library: &str) -> bool {
        OF_THE_HOST.iter().any(|start| library.starts_with(start))
            || self.loaded.contains(library)
            || self.files.package(file).is_some_and(|package| self.of_package.contains(&(package, library)))
    }

    /// What the loader does with a file (glibc, `_dl_map_object_deps`).
    fn load(&self, root: &'a LayerPath) -> Process<'a> {
        let mut process = Process { objects: Vec::new(), found: Vec::new(), lacking: Vec::new() };
        let (mut names, mut paths) = (HashSet::new(), HashSet::new());
        process.objects.extend(self.object(root, &format!("/{root}"), None));
        names.extend(process.objects.iter().filter_map(|object| object.program.soname.as_deref()));
        paths.insert(root);
        let mut at = 0;
        while let Some(object) = process.objects.get(at) {
            let (path, program) = (object.path, object.program);
            for library in program.needed.iter().map(String::as_str) {
                if names.contains(library) {
                    process.found.push((path, library));
                    continue;
                }
                let Some((spelled, found)) = self.find(&process.objects, at, library) else {
                    process.lacking.push((path, library));
                    continue;
                };
                process.found.push((path, library));
                names.insert(library);
                if paths.insert(found) {
                    process.objects.extend(self.object(found, &spelled, Some(at)));
                    names.extend(process.objects.last().and_then(|object| object.program.soname.as_deref()));
                }
            }
            at += 1;
        }
        process
    }

    /// `spelled`: the path that it was found by, which `$ORIGIN` stands for.
    fn object(&self, path: &'a LayerPath, spelled: &str, by: Option<usize>) -> Option<Object<'a>> {
        let program = *self.programs.get(path)?;
        let origin = spelled.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folders = |list: Option<&String>| -> Vec<String> {
            let folders = list.map(String::as_str).unwrap_or_default().split(':').filter(|folder| !folder.is_empty());
            folders.take(super::MOST_FOLDERS).map(|folder| expand(folder, origin, self.architecture)).collect()
        };
        let runpath = folders(program.runpath.as_ref());
        let rpath = folders(program.rpath.as_ref().filter(|_| program.runpath.is_none()));
        Some(Object { path, program, by, rpath, runpath })
    }

    /// Where the loader finds a library for one of its objects, and by which path (glibc, `_dl_map_object`).
    fn find(&self, objects: &[Object<'a>], at: usize, library: &str) -> Option<(String, &'a LayerPath)> {
        if library.contains('/') {
            return self.library(library.to_owned());
        }
        let object = objects.get(at)?;
        let mut chain = Some(object).filter(|object| object.program.runpath.is_none());
        while let Some(next) = chain {
            let found = next.rpath.iter().find_map(|folder| self.library(format!("{folder}/{library}")));
            if found.is_some() {
                return found;
            }
            chain = next.by.and_then(|by| objects.get(by));
        }
        let folders = self.library_path.iter().chain(&object.runpath).chain(&self.folders);
        folders.map(|folder| format!("{folder}/{library}")).find_map(|path| self.library(path))
    }

    fn library(&self, path: String) -> Option<(String, &'a LayerPath)> {
        let found = self.files.resolve(&path)?;
        self.programs.get_key_value(&found).map(|(found, _)| (path, *found))
    }

    /// Extension modules that an import of a wheel's package loads: directly in `site-packages`, or in a package there.
    fn modules(&self) -> Vec<&'a LayerPath> {
        let is_module = |path: &&&LayerPath| {
            let Some(below) = in_site_packages(path) else { return false };
            let name = below.rsplit('/').next().unwrap_or_default();
            below.matches('/').count() <= 1
                && name.ends_with(".so")
                && (name.contains(".cpython-") || name.ends_with(".abi3.so") || !name.starts_with("lib"))
        };
        self.programs.keys().filter(is_module).copied().collect()
    }
}

/// The path below `site-packages`, if it is below one.
fn in_site_packages(path: &LayerPath) -> Option<&str> {
    path.as_str()?.split_once("/site-packages/").map(|(_, below)| below)
}

/// Of which kind the files of an architecture are.
const fn machine(architecture: Architecture) -> u16 {
    match architecture {
        Architecture::Amd64 => AMD64,
        Architecture::Arm64 => ARM64,
    }
}

fn expand(path: &str, origin: &str, architecture: Architecture) -> String {
    let triplet = format!("lib/{}", architecture.triplet());
    let mut path = path.to_owned();
    for (token, value) in [("ORIGIN", origin), ("LIB", &triplet), ("PLATFORM", architecture.machine())] {
        path = path.replace(&format!("${{{token}}}"), value).replace(&format!("${token}"), value);
    }
    path
}

#[cfg(test)]
mod tests;
