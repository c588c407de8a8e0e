//! What an image or a lock brings of CUDA, as far as names and versions tell it; libraries that were read say more.

use corten_elf::GpuArchitecture;

use super::data::{tables, wheel_of};
use super::version::{CudaVersion, DriverVersion};

/// A Python package of a lock or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Normalised.
    pub name: String,
    /// With its local part: `2.9.1+cu126`.
    pub version: String,
    /// Bytes of its wheel, where that is known.
    pub size: u64,
}

/// What one platform of an image brings of CUDA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// Its Python packages that have to do with CUDA.
    pub packages: Vec<Package>,
    /// CUDA runtimes.
    pub runtimes: Vec<Runtime>,
    /// GPU code by package.
    pub code: Vec<Code>,
    /// A newer user-mode driver in the image.
    pub compat: Option<Compat>,
    /// Libraries of CUDA that are there twice.
    pub copies: Option<Copies>,
    /// Packages that elsewhere compute on GPUs, and whose wheels for this platform do not: `torch 2.10.0`.
    pub cpu_only: Vec<String>,
    /// Frameworks that the base has already, and the packages' version: `torch 2.9.1, 2.8.0 of the base`.
    pub reinstalled: Vec<String>,
    /// `NVIDIA_REQUIRE_CUDA` of the image.
    pub require: Option<String>,
}

/// A CUDA runtime and who brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Which.
    pub cuda: CudaVersion,
    /// `nvidia-cuda-runtime-cu12 12.8.90`, `the base nvidia/cuda:12.4.1-runtime`.
    pub by: String,
    /// Does it lie in the base?
    pub of_base: bool,
    /// Are its libraries there? A wheel may count on others to bring them.
    pub is_there: bool,
}

/// GPU code of one library, or of one package as the table knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// `torch 2.9.1`.
    pub package: String,
    /// The library, where it was read.
    pub file: Option<String>,
    /// Architectures of machine code.
    pub cubins: Vec<GpuArchitecture>,
    /// Architectures of PTX.
    pub ptx: Vec<GpuArchitecture>,
    /// Where that is known from.
    pub source: String,
}

/// The package cuda-compat: a newer user-mode driver that the image brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compat {
    /// Its version.
    pub driver: DriverVersion,
    /// Where it lies.
    pub path: String,
}

/// Libraries of CUDA that lie in two places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copies {
    /// The one that wheels do not load, usually the base's: bytes.
    pub bytes: u64,
    /// A few, as `libcublas.so.12: /usr/local/cuda/lib64 and …`.
    pub examples: Vec<String>,
}

/// CUDA from which on any minor version runs on the drivers of its major version.
const MINOR_COMPATIBLE: u16 = 11;

/// The oldest driver on which a CUDA runs, and where that is said: before CUDA 11, the driver of that very toolkit.
pub fn minimum_driver(cuda: CudaVersion) -> Option<(&'static DriverVersion, &'static str)> {
    let (least, source) = tables().majors.get(&cuda.major)?;
    let own = toolkit_driver(cuda).filter(|_| !is_minor_compatible(cuda));
    Some((own.unwrap_or(least), source.as_str()))
}

/// Does a CUDA run on what the first of its major version runs on?
pub(super) fn is_minor_compatible(cuda: CudaVersion) -> bool {
    cuda.major >= MINOR_COMPATIBLE
}

/// The driver that belongs to a toolkit.
pub fn toolkit_driver(cuda: CudaVersion) -> Option<&'static DriverVersion> {
    tables().toolkits.get(&cuda)
}

/// Is a package one of NVIDIA's own libraries? Each CUDA's run on what that CUDA compiles for.
pub fn is_of_nvidia(name: &str) -> bool {
    name.starts_with("nvidia-") || name == "cuda-toolkit"
}

/// What a lock's packages bring, by names and versions alone. `base` is a CUDA that lies below them.
pub fn of_packages(packages: &[Package], architecture: &str, base: Option<Runtime>) -> Contents {
    let mut contents = Contents { architecture: architecture.to_owned(), ..Contents::default() };
    for package in packages {
        let (found, is_gpu) = of_package(package, architecture);
        if is_gpu {
            contents.packages.push(package.clone());
        }
        contents.runtimes.extend(found.runtimes);
        contents.code.extend(found.code);
        contents.cpu_only.extend(found.cpu_only);
    }
    contents.runtimes.extend(base);
    contents.settle();
    contents
}

impl Contents {
    /// Does it bring nothing of CUDA?
    pub fn is_empty(&self) -> bool {
        self.runtimes.is_empty() && self.code.is_empty()
    }

    /// The newest CUDA that is there, or is asked for.
    pub fn newest(&self) -> Option<CudaVersion> {
        self.runtimes.iter().map(|runtime| runtime.cuda).max()
    }

    /// The version of CUDA with the minor version that is there, for a major version.
    pub fn of_major(&self, major: u16) -> CudaVersion {
        let of = self.runtimes.iter().map(|runtime| runtime.cuda).filter(|cuda| cuda.major == major);
        of.max().unwrap_or(CudaVersion { major, minor: None })
    }

    /// What a wheel asks for is there where another, or the base, brings it.
    pub fn settle(&mut self) {
        let there: Vec<u16> =
            self.runtimes.iter().filter(|runtime| runtime.is_there).map(|runtime| runtime.cuda.major).collect();
        for runtime in &mut self.runtimes {
            runtime.is_there |= there.contains(&runtime.cuda.major);
        }
    }

    /// Bytes of the wheels that are there for CUDA alone.
    pub fn cuda_bytes(&self) -> u64 {
        let only = self.packages.iter().filter(|package| is_of_nvidia(&package.name) || package.name == "triton");
        only.map(|package| package.size).fold(0, u64::saturating_add)
    }
}

/// What one package brings; does it have to do with CUDA?
fn of_package(package: &Package, architecture: &str) -> (Contents, bool) {
    let mut found = Contents::default();
    let label = format!("{} {}", package.name, package.version);
    let runtime = |cuda, is_there| Runtime { cuda, by: label.clone(), of_base: false, is_there };
    if let Some(row) = wheel_of(&package.name, &package.version, architecture) {
        match row.cuda {
            Some(cuda) => {
                // Wheels of torch's own index that are not split bring their libraries themselves; the others need nvidia-*.
                let bundles = row.local.is_some();
                found.runtimes.push(runtime(cuda, bundles));
                found.code.push(Code {
                    package: label.clone(),
                    file: None,
                    cubins: row.cubins.clone(),
                    ptx: row.ptx.clone(),
                    source: row.source.clone(),
                });
            }
            None => found.cpu_only.push(label.clone()),
        }
        return (found, true);
    }
    let local = package.version.split_once('+').map(|(_, local)| local);
    if local == Some("cpu") {
        found.cpu_only.push(label.clone());
        return (found, true);
    }
    if let Some(cuda) = local.and_then(CudaVersion::of_tag) {
        found.runtimes.push(runtime(cuda, true));
        return (found, true);
    }
    if package.name == "nvidia-cuda-runtime" || package.name.starts_with("nvidia-cuda-runtime-cu") {
        found.runtimes.extend(CudaVersion::parse(&package.version).map(|cuda| runtime(cuda, true)));
        return (found, true);
    }
    match named_major(&package.name) {
        // One of NVIDIA's libraries alone is no runtime. What others bring is not known: they are taken to bring it;
        // jax has its plugins beside nvidia-*.
        Some(major) => {
            if !is_of_nvidia(&package.name) {
                let is_there = !package.name.starts_with("jax-cuda");
                found.runtimes.push(runtime(CudaVersion { major, minor: None }, is_there));
            }
            (found, true)
        }
        None => (found, is_of_nvidia(&package.name) || package.name == "triton"),
    }
}

/// The major version of CUDA that a package's name speaks of: `jax-cuda12-plugin`, `cupy-cuda12x`, `faiss-gpu-cu12`.
fn named_major(name: &str) -> Option<u16> {
    let majors = name.split('-').filter_map(|part| {
        let rest = part.strip_prefix("cuda").or_else(|| part.strip_prefix("cu"))?;
        let rest = rest.strip_suffix('x').unwrap_or(rest);
        let digits = rest.bytes().all(|byte| byte.is_ascii_digit());
        // cupy-cuda118, spconv-cu120: with the minor version.
        rest.get(..2).filter(|_| digits && rest.len() <= 3)?.parse().ok()
    });
    majors.into_iter().find(|major| (9..=99).contains(major))
}
