//! What the files of an image's layers say of CUDA: GPU code, a driver for forward compatibility, libraries that are there twice.

use std::collections::BTreeMap;

use corten_check::cuda::{Code, Compat, Contents, Copies, CudaVersion, Runtime};
use corten_install::libraries::{GpuLibrary, ImageFiles, ImageLayer, Program};
use corten_oci::{Entry, Kind, LayerIndex, LayerPath};
use corten_package::Purl;
use serde::{Deserialize, Serialize};

/// Libraries that CUDA's own packages and wheels both bring.
const LIBRARIES: [&str; 13] = [
    "libcublas.so",
    "libcublasLt.so",
    "libcudart.so",
    "libcudnn",
    "libcufft.so",
    "libcurand.so",
    "libcusolver.so",
    "libcusparse.so",
    "libnccl.so",
    "libnvJitLink.so",
    "libnvrtc.so",
    "libcupti.so",
    "libcusparseLt.so",
];
/// How many are named.
const SHOWN: usize = 3;
/// Libraries with GPU code; the most that was seen in an image is 300.
const MOST: usize = 4096;

/// What was found. Remembered with an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CudaFiles {
    code: Vec<LibraryCode>,
    /// Version of a driver and its folder.
    compat: Option<(String, String)>,
    /// Version of CUDA and the file that says it, of what no wheel brings.
    system: Option<(String, String)>,
    /// Bytes of the libraries of the system that wheels bring, too; examples.
    copies: Option<(u64, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LibraryCode {
    /// `torch 2.9.1`.
    package: String,
    /// Absolute.
    path: String,
    code: GpuLibrary,
}

impl CudaFiles {
    /// Of layers that say which package a file is of.
    pub(crate) fn of_built(layers: &[ImageLayer]) -> Self {
        Self::of(layers, &|index, path| {
            let entry = index.entries.iter().find(|entry| entry.path == *path)?;
            let purl: Purl = entry.package.as_deref()?.parse().ok()?;
            Some(format!("{} {}", purl.name(), purl.version().unwrap_or_default()))
        })
    }

    /// Of any layers, the lowest first; `owner` names the package of a path. What later layers delete or replace is not there.
    pub(super) fn of(layers: &[ImageLayer], owner: &dyn Fn(&LayerIndex, &LayerPath) -> Option<String>) -> Self {
        let mut found = Self::default();
        let files = ImageFiles::new(layers);
        for (at, layer) in layers.iter().enumerate() {
            let with_code = layer.programs.programs.iter().filter_map(|program| Some((program, program.gpu.as_ref()?)));
            let is_there =
                |program: &&Program| files.is_of(&program.path, at) && !is_of_cuda(&program.path.to_string());
            for (program, code) in with_code.filter(|(program, _)| is_there(program)) {
                let path = format!("/{}", program.path);
                let package = owner(&layer.index, &program.path).unwrap_or_else(|| path.clone());
                if found.code.len() < MOST {
                    found.code.push(LibraryCode { package, path, code: code.clone() });
                }
            }
        }
        let entries =
            layers.iter().enumerate().flat_map(|(at, layer)| layer.index.entries.iter().map(move |one| (at, one)));
        found.places(entries.filter(|(at, one)| files.is_of(&one.path, *at)).map(|(_, one)| one));
        found
    }

    fn places<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        let mut places: BTreeMap<String, Vec<(bool, String, u64)>> = BTreeMap::new();
        let mut system: Option<(CudaVersion, String)> = None;
        for entry in entries.filter(|entry| entry.kind == Kind::File) {
            let Some((folder, name)) = entry.path.as_str().and_then(|path| path.rsplit_once('/')) else { continue };
            if let Some(version) = name.strip_prefix("libcuda.so.").filter(|_| folder.ends_with("/compat"))
                && version.contains('.')
            {
                self.compat = Some((version.to_owned(), format!("/{folder}")));
            }
            if entry.size == 0 || !LIBRARIES.iter().any(|library| name.starts_with(library)) {
                continue;
            }
            let is_wheel = folder.contains("/site-packages/") || folder.contains("/dist-packages/");
            let runtime = name.strip_prefix("libcudart.so.").filter(|_| !is_wheel).and_then(CudaVersion::parse);
            system = system.max(runtime.map(|cuda| (cuda, format!("/{folder}/{name}"))));
            // libcublas.so.12.8.4.1 and libcublas.so.12 are the same library.
            let Some((stem, version)) = name.split_once(".so.") else { continue };
            let key = format!("{stem}.so.{}", version.split('.').next().unwrap_or_default());
            places.entry(key).or_default().push((is_wheel, format!("/{folder}"), entry.size));
        }
        self.system = system.map(|(cuda, file)| (cuda.to_string(), file));
        self.copies = twice(&places);
    }

    /// Adds what was found to what names and versions say. What was read counts before what a table says.
    pub(super) fn tell(&self, contents: &mut Contents) {
        contents
            .code
            .retain(|known| known.file.is_some() || !self.code.iter().any(|code| code.package == known.package));
        contents.code.extend(self.code.iter().map(|one| code_of(&one.package, &one.path, &one.code)));
        if let Some((version, path)) = &self.compat
            && let Ok(driver) = version.parse()
        {
            contents.compat = Some(Compat { driver, path: path.clone() });
        }
        let of_base = contents.runtimes.iter().any(|runtime| runtime.of_base);
        if let Some((version, file)) = self.system.as_ref().filter(|_| !of_base)
            && let Some(cuda) = CudaVersion::parse(version)
        {
            contents.runtimes.push(Runtime { cuda, by: file.clone(), of_base: true, is_there: true });
            contents.settle();
        }
        contents.copies = self.copies.clone().map(|(bytes, examples)| Copies { bytes, examples });
    }
}

/// GPU code of one library, as the judgement takes it.
pub(super) fn code_of(package: &str, path: &str, code: &GpuLibrary) -> Code {
    let list = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect();
    Code {
        package: package.to_owned(),
        file: Some(path.to_owned()),
        cubins: list(&code.cubins),
        ptx: list(&code.ptx),
        source: "read of the library".to_owned(),
    }
}

fn twice(places: &BTreeMap<String, Vec<(bool, String, u64)>>) -> Option<(u64, Vec<String>)> {
    let (mut bytes, mut examples) = (0_u64, Vec::new());
    let both = |places: &&Vec<(bool, String, u64)>| places.iter().any(|one| one.0) && places.iter().any(|one| !one.0);
    for (library, places) in places.iter().filter(|(_, places)| both(places)) {
        bytes = places.iter().filter(|one| !one.0).fold(bytes, |sum, one| sum.saturating_add(one.2));
        let mut folders: Vec<&str> = places.iter().map(|(_, folder, _)| folder.as_str()).collect();
        folders.sort_unstable();
        folders.dedup();
        if examples.len() < SHOWN {
            examples.push(format!("{library}: in {}", folders.join(" and in ")));
        }
    }
    (!examples.is_empty()).then_some((bytes, examples))
}

/// Is a file CUDA's own, or a part of the driver? Each CUDA's run on what that CUDA is made for.
pub(super) fn is_of_cuda(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    LIBRARIES.iter().any(|library| name.starts_with(library))
        || name.starts_with("libnpp")
        || name.starts_with("libcuda.so")
}

#[cfg(test)]
mod tests {
    use corten_install::libraries::{LayerPrograms, Program};

    use super::*;

    /// Files have a byte; those of `code` have GPU code.
    fn layer(entries: &[(&str, Kind)], code: &[&str]) -> ImageLayer {
        let path = |text: &str| LayerPath::new(text).unwrap();
        let entry = |(name, kind): &(&str, Kind)| {
            let size = u64::from(*kind == Kind::File);
            let kind = kind.clone();
            Entry { path: path(name), kind, mode: 0, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None }
        };
        let gpu = Some(GpuLibrary { cubins: vec!["90".to_owned()], ptx: Vec::new() });
        let program = |name: &&str| Program {
            path: path(name),
            machine: 62,
            soname: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
            gpu: gpu.clone(),
        };
        let programs = LayerPrograms { programs: code.iter().map(program).collect(), ..LayerPrograms::default() };
        ImageLayer { index: LayerIndex { entries: entries.iter().map(entry).collect() }, programs }
    }

    #[test]
    fn what_later_layers_delete_or_replace_is_not_there() {
        let lower = layer(
            &[
                ("usr/local/cuda", Kind::Directory),
                ("usr/local/cuda/compat/libcuda.so.570.86.15", Kind::File),
                ("usr/local/cuda/lib64/libcudart.so.12.8.90", Kind::File),
                ("opt/a", Kind::Directory),
                ("opt/a/a.so", Kind::File),
                ("opt/b", Kind::Directory),
                ("opt/b/b.so", Kind::File),
                ("opt/c.so", Kind::File),
            ],
            &["opt/a/a.so", "opt/b/b.so", "opt/c.so"],
        );
        let of = |upper: &[(&str, Kind)], code: &[&str]| {
            let found = CudaFiles::of(&[lower.clone(), layer(upper, code)], &|_, _| None);
            let paths: Vec<String> = found.code.iter().map(|code| code.path.clone()).collect();
            (paths, found.compat.is_some(), found.system.is_some())
        };
        let all = ["/opt/a/a.so", "/opt/b/b.so", "/opt/c.so"].map(str::to_owned);
        assert_eq!(of(&[], &[]), (all.to_vec(), true, true));
        assert_eq!(of(&[("usr/local/cuda", Kind::Whiteout)], &[]), (all.to_vec(), false, false));
        assert_eq!(of(&[("usr/local/cuda/compat", Kind::Opaque)], &[]), (all.to_vec(), false, true));
        let upper = [
            ("opt/a", Kind::Opaque),
            ("opt/b", Kind::Symlink("a".into())),
            ("opt/c.so", Kind::File),
            ("opt/a/d.so", Kind::File),
        ];
        assert_eq!(of(&upper, &["opt/a/d.so"]), (vec!["/opt/a/d.so".to_owned()], true, true));
    }
}
