//! Where the loader finds libraries in an image, and which it does not find.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use corten_oci::{Architecture, Kind, LayerIndex, LayerPath};

use super::{LayerPrograms, Program};

/// `e_machine` of what images are for (System V ABI, processor supplements).
const AMD64: u16 = 62;
const ARM64: u16 = 183;

/// Links that may be followed on the way to one path: the kernel's own limit.
const LINK_LIMIT: usize = 40;

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
pub fn missing(layers: &[ImageLayer], architecture: Architecture, library_path: &[String]) -> Vec<Missing> {
    let image = Image::new(layers, architecture, library_path);
    let first = image.modules();
    let reached = image.reached(first);
    let mut found: BTreeMap<String, Missing> = BTreeMap::new();
    for (path, program) in &image.programs {
        for library in program.needed.iter().filter(|library| image.lacks(path, program, library)) {
            let breaks_import = reached.contains(path);
            let package = || image.files.get(*path).and_then(|file| file.package.map(str::to_owned));
            let new = || Missing {
                library: library.clone(),
                file: (*path).clone(),
                package: package(),
                files: 0,
                breaks_import,
            };
            let known = found.entry(library.clone()).or_insert_with(new);
            if breaks_import && !known.breaks_import {
                (known.file, known.package, known.breaks_import) = ((*path).clone(), package(), true);
            }
            known.files += 1;
        }
    }
    found.into_values().collect()
}

struct File<'a> {
    kind: &'a Kind,
    layer: usize,
    package: Option<&'a str>,
}

struct Image<'a> {
    files: HashMap<&'a LayerPath, File<'a>>,
    /// Of this architecture, in the order of paths.
    programs: BTreeMap<&'a LayerPath, &'a Program>,
    /// Names of the libraries in `site-packages`.
    loaded: HashSet<&'a str>,
    folders: Vec<String>,
    architecture: Architecture,
}

impl<'a> Image<'a> {
    fn new(layers: &'a [ImageLayer], architecture: Architecture, library_path: &[String]) -> Self {
        let mut files: HashMap<&LayerPath, File<'_>> = HashMap::new();
        for (layer, of) in layers.iter().enumerate() {
            for entry in &of.index.entries {
                match &entry.kind {
                    Kind::Whiteout => files.retain(|path, file| file.layer == layer || !path.starts_with(&entry.path)),
                    Kind::Opaque => files.retain(|path, file| {
                        file.layer == layer || *path == &entry.path || !path.starts_with(&entry.path)
                    }),
                    kind => {
                        files.insert(&entry.path, File { kind, layer, package: entry.package.as_deref() });
                    }
                }
            }
        }
        let all =
            layers.iter().enumerate().flat_map(|(layer, of)| of.programs.programs.iter().map(move |one| (layer, one)));
        let seen = all.filter(|(layer, program)| {
            program.machine == machine(architecture)
                && files.get(&program.path).is_some_and(|file| file.layer == *layer)
        });
        let programs: BTreeMap<_, _> = seen.map(|(_, program)| (&program.path, program)).collect();
        let mut loaded = HashSet::new();
        for program in programs.values().filter(|program| in_site_packages(&program.path).is_some()) {
            loaded.extend(program.soname.as_deref());
            loaded.extend(std::str::from_utf8(program.path.name()).ok());
        }
        let triplet = architecture.triplet();
        let mut folders = library_path.to_vec();
        folders.extend(layers.iter().flat_map(|layer| layer.programs.folders.iter().cloned()));
        folders.extend(["/lib/", "/usr/lib/"].map(|folder| format!("{folder}{triplet}")));
        folders.extend(["/lib", "/usr/lib", "/lib64", "/usr/lib64"].map(str::to_owned));
        Self { files, programs, loaded, folders, architecture }
    }

    /// Is the library of one of its files neither where the loader looks, nor brought by the host, nor loaded by then?
    fn lacks(&self, file: &LayerPath, program: &Program, library: &str) -> bool {
        let of_host = OF_THE_HOST.iter().any(|start| library.starts_with(start));
        !of_host && self.find(file, program, library).is_none() && !self.loaded.contains(library)
    }

    fn find(&self, file: &LayerPath, program: &Program, library: &str) -> Option<&'a LayerPath> {
        if library.contains('/') {
            return self.library(library);
        }
        let own = program.run_path.as_deref().unwrap_or_default().split(':').filter(|path| !path.is_empty());
        let own = own.map(|path| expand(path, file, self.architecture));
        let mut folders = own.chain(self.folders.iter().cloned());
        folders.find_map(|folder| self.library(&format!("{folder}/{library}")))
    }

    fn library(&self, path: &str) -> Option<&'a LayerPath> {
        let found = self.resolve(path)?;
        self.programs.get_key_value(&found).map(|(path, _)| *path)
    }

    /// Where a path leads when all links are followed, inside the image.
    fn resolve(&self, path: &str) -> Option<LayerPath> {
        let mut rest: Vec<Vec<u8>> = components(path.as_bytes()).rev().collect();
        let mut found: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                found.truncate(found.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                continue;
            }
            let before = found.len();
            if !found.is_empty() {
                found.push(b'/');
            }
            found.extend_from_slice(&name);
            let here = LayerPath::new(&found).ok()?;
            match self.files.get(&here).map(|file| file.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return None;
                    }
                    found.truncate(if target.starts_with('/') { 0 } else { before });
                    rest.extend(components(target.as_bytes()).rev());
                }
                Some(Kind::HardLink(target)) => found = target.as_bytes().to_vec(),
                _ => {}
            }
        }
        LayerPath::new(found).ok()
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

    /// They, and all libraries that are loaded with them.
    fn reached(&self, first: Vec<&'a LayerPath>) -> BTreeSet<&'a LayerPath> {
        let mut reached: BTreeSet<&LayerPath> = first.iter().copied().collect();
        let mut waiting = first;
        while let Some(path) = waiting.pop() {
            let Some(program) = self.programs.get(path) else { continue };
            let found = program.needed.iter().filter_map(|library| self.find(path, program, library));
            waiting.extend(found.filter(|path| reached.insert(path)));
        }
        reached
    }
}

/// The path below `site-packages`, if it is below one.
fn in_site_packages(path: &LayerPath) -> Option<&str> {
    path.as_str()?.split_once("/site-packages/").map(|(_, below)| below)
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

/// Of which kind the files of an architecture are.
const fn machine(architecture: Architecture) -> u16 {
    match architecture {
        Architecture::Amd64 => AMD64,
        Architecture::Arm64 => ARM64,
    }
}

fn expand(path: &str, file: &LayerPath, architecture: Architecture) -> String {
    let origin = file.parent().unwrap_or_default();
    let triplet = format!("lib/{}", architecture.triplet());
    let mut path = path.to_owned();
    for (token, value) in
        [("ORIGIN", format!("/{origin}")), ("LIB", triplet), ("PLATFORM", architecture.machine().to_owned())]
    {
        path = path.replace(&format!("${{{token}}}"), &value).replace(&format!("${token}"), &value);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_oci::Entry;

    const SITE: &str = "opt/venv/lib/python3.11/site-packages";

    fn path(text: &str) -> LayerPath {
        LayerPath::new(text).unwrap()
    }

    /// A layer: path, needed libraries, run path; or a link.
    fn layer(programs: &[(&str, &[&str], &str)], links: &[(&str, &str)]) -> ImageLayer {
        let mut found = ImageLayer { index: LayerIndex::default(), programs: LayerPrograms::default() };
        let entry = |at: &str, kind| Entry {
            path: path(at),
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 0,
            crc32: None,
            offset: 0,
            package: Some("pkg:pypi/a@1".into()),
        };
        for (at, needed, run_path) in programs {
            found.index.entries.push(entry(at, Kind::File));
            found.programs.programs.push(Program {
                path: path(at),
                machine: AMD64,
                soname: None,
                needed: needed.iter().map(|name| (*name).to_owned()).collect(),
                run_path: (!run_path.is_empty()).then(|| (*run_path).to_owned()),
            });
        }
        found.index.entries.extend(links.iter().map(|(at, to)| entry(at, Kind::Symlink((*to).to_owned()))));
        found
    }

    fn names(layers: &[ImageLayer]) -> Vec<(String, String, bool)> {
        let found = missing(layers, Architecture::Amd64, &["/opt/own".to_owned()]);
        found.into_iter().map(|one| (one.library, one.file.to_string(), one.breaks_import)).collect()
    }

    fn libc() -> ImageLayer {
        layer(
            &[("usr/lib/x86_64-linux-gnu/libc.so.6", &[], ""), ("opt/own/libown.so", &[], "")],
            &[
                ("lib", "usr/lib"),
                ("usr/lib/x86_64-linux-gnu/libm.so.6", "/etc/alternatives/m"),
                ("etc/alternatives/m", "../../lib/x86_64-linux-gnu/libc.so.6"),
            ],
        )
    }

    #[test]
    fn a_library_of_no_layer_is_told_and_what_the_loader_finds_is_not() {
        let module = format!("{SITE}/cv2/cv2.abi3.so");
        let own = format!("{SITE}/cv2.libs/libq.so.5");
        let wheel = layer(
            &[
                (&module, &["libq.so.5", "libc.so.6", "libm.so.6", "libown.so", "libcuda.so.1"], "$ORIGIN/../cv2.libs"),
                (&own, &["libGL.so.1", "libc.so.6"], "${ORIGIN}"),
            ],
            &[],
        );
        assert_eq!(names(&[libc(), wheel.clone()]), [("libGL.so.1".to_owned(), own, true)]);
        let gl = layer(&[("usr/lib/x86_64-linux-gnu/libGL.so.1", &[], "")], &[]);
        assert_eq!(names(&[libc(), gl, wheel]), []);
    }

    #[test]
    fn without_its_run_path_a_library_of_the_wheel_counts_as_loaded() {
        let (module, library) = (format!("{SITE}/x/_C.so"), format!("{SITE}/torch/lib/libtorch.so"));
        assert_eq!(names(&[layer(&[(&module, &["libtorch.so"], ""), (&library, &[], "")], &[])]), []);
    }

    #[test]
    fn what_no_import_loads_breaks_none() {
        let plugin = format!("{SITE}/a/b/plugin.so");
        let missing = names(&[layer(&[(&plugin, &["libx.so.1"], "")], &[])]);
        assert_eq!(missing, [("libx.so.1".to_owned(), plugin, false)]);
    }

    #[test]
    fn files_of_another_processor_and_hidden_ones_do_not_count() {
        let module = format!("{SITE}/a/a.so");
        let mut other = layer(&[(&module, &["libx.so.1"], "")], &[]);
        other.programs.programs[0].machine = ARM64;
        assert_eq!(names(&[other]), []);
        let low = layer(&[(&module, &["libx.so.1"], "")], &[]);
        let high = layer(&[(&module, &[], "")], &[]);
        assert_eq!(names(&[low, high]), []);
    }

    #[test]
    fn circles_of_links_end() {
        let module = format!("{SITE}/a/a.so");
        let wheel = layer(&[(&module, &["libx.so.1"], "/a:/b/../../..")], &[("a", "b"), ("b", "/a")]);
        assert_eq!(names(&[wheel]).len(), 1);
    }
}
