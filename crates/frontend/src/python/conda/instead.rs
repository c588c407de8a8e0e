//! What stands for a package of conda where there is no conda: told by its own record (`purls`) or by its name.

use corten_package::PackageName;

use super::super::{CondaInstead, CondaPackage};
use crate::yaml::Node;

/// What a Debian image with Python has anyway: the interpreter, what it is linked with, and what conda keeps for itself.
const BASE: &[&str] = &[
    "python",
    "cpython",
    "python_abi",
    "pip",
    "setuptools",
    "wheel",
    "_libgcc_mutex",
    "_openmp_mutex",
    "bzip2",
    "ca-certificates",
    "icu",
    "ld_impl_linux-64",
    "ld_impl_linux-aarch64",
    "libexpat",
    "libffi",
    "libgcc",
    "libgcc-ng",
    "libgomp",
    "liblzma",
    "libmpdec",
    "libnsl",
    "libsqlite",
    "libstdcxx",
    "libstdcxx-ng",
    "libuuid",
    "libxcrypt",
    "libzlib",
    "ncurses",
    "nomkl",
    "openssl",
    "readline",
    "sqlite",
    "tk",
    "tzdata",
    "xz",
    "zlib",
];

/// Conda's name → Debian's, for programs and libraries that projects ask for by name.
const SYSTEM: &[(&str, &str)] = &[
    ("cmake", "cmake"),
    ("compilers", "build-essential"),
    ("cxx-compiler", "build-essential"),
    ("ffmpeg", "ffmpeg"),
    ("gcc", "gcc"),
    ("gdal", "gdal-bin"),
    ("geos", "libgeos-c1v5"),
    ("git", "git"),
    ("git-lfs", "git-lfs"),
    ("graphviz", "graphviz"),
    ("gxx", "g++"),
    ("libgl", "libgl1"),
    ("libgdal", "libgdal32"),
    ("libsndfile", "libsndfile1"),
    ("make", "make"),
    ("mesalib", "libgl1-mesa-dri"),
    ("ninja", "ninja-build"),
    ("nodejs", "nodejs"),
    ("pkg-config", "pkg-config"),
    ("poppler", "poppler-utils"),
    ("proj", "libproj25"),
    ("r-base", "r-base-core"),
    ("sox", "sox"),
    ("tesseract", "tesseract-ocr"),
    ("wget", "wget"),
];

/// Conda's name → that of the index, where no record tells.
const PYPI: &[(&str, &str)] = &[
    ("pytorch", "torch"),
    ("pytorch-cpu", "torch"),
    ("pytorch-gpu", "torch"),
    ("pytorch-cuda", "torch"),
    ("py-opencv", "opencv-python-headless"),
    ("opencv", "opencv-python-headless"),
    ("faiss-cpu", "faiss-cpu"),
    ("tensorflow-base", "tensorflow"),
];

/// Beginnings of the names of CUDA's parts.
const CUDA: &[&str] = &[
    "cuda",
    "cudnn",
    "libcublas",
    "libcudnn",
    "libcudss",
    "libcufft",
    "libcufile",
    "libcurand",
    "libcusolver",
    "libcusparse",
    "libnvjitlink",
    "libnvfatbin",
    "libmagma",
    "magma",
    "nccl",
    "libcudart",
];

/// Of a URL and, where the lock has one, its entry.
pub(super) fn package(url: &str, entry: Option<&Node>) -> CondaPackage {
    let file = url.rsplit('/').next().unwrap_or_default();
    let stem = file.strip_suffix(".conda").or_else(|| file.strip_suffix(".tar.bz2")).unwrap_or(file);
    let mut parts = stem.rsplitn(3, '-');
    let (_, version, name) = (parts.next(), parts.next(), parts.next());
    let text = |key: &str| entry.and_then(|entry| entry.text_of(key)).map(str::to_owned);
    let name = text("name").or(name.map(str::to_owned)).unwrap_or_else(|| stem.to_owned());
    let version = text("version").or(version.map(str::to_owned)).unwrap_or_default();
    let instead = instead(&name, entry);
    CondaPackage { name, version, instead }
}

fn instead(name: &str, entry: Option<&Node>) -> CondaInstead {
    if BASE.contains(&name) {
        return CondaInstead::Base;
    }
    let find = |table: &'static [(&str, &'static str)]| {
        table.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs)
    };
    if let Some(found) = find(PYPI).and_then(|found| PackageName::new(found).ok()) {
        return CondaInstead::Pypi(found);
    }
    if let Some(found) = entry.and_then(purl) {
        return CondaInstead::Pypi(found);
    }
    if let Some(found) = find(SYSTEM) {
        return CondaInstead::System(found);
    }
    if CUDA.iter().any(|beginning| name.starts_with(beginning)) { CondaInstead::Cuda } else { CondaInstead::Unknown }
}

/// `purls: [pkg:pypi/jinja2?source=…]`.
fn purl(entry: &Node) -> Option<PackageName> {
    let texts = entry.get("purls")?.items().iter().filter_map(Node::as_text);
    let mut names = texts.filter_map(|text| text.strip_prefix("pkg:pypi/")?.split(['@', '?']).next());
    names.find_map(|name| PackageName::new(name).ok())
}
