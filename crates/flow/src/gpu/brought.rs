//! What a planned or built project brings of CUDA.

use corten_check::cuda::{Contents, CudaVersion, Package, Runtime, of_packages};
use corten_diagnostic::Report;
use corten_oci::ImageConfig;

use super::cuda_files::{CudaFiles, code_of};
use super::wheels;
use crate::images::BaseImage;
use crate::plan::Planned;
use crate::world::World;

/// Which libraries are read that nobody has read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// None: what is remembered will do.
    Nothing,
    /// Those of wheels that the store has.
    Wheels,
}

/// By names, versions, and what is known of the wheels that the store has.
///
/// # Errors
/// World: the store.
pub fn of_planned(planned: &Planned, read: Read, world: &World<'_>) -> Result<Contents, Report> {
    let wheels = &planned.packages.wheels;
    let packages: Vec<Package> = wheels
        .iter()
        .map(|wheel| Package { name: wheel.name.clone(), version: wheel.version.clone(), size: wheel.size })
        .collect();
    let base = planned.base_image.as_ref();
    let runtime = base.and_then(|image| base_runtime(&image.config, &planned.base.reference));
    let mut contents = of_packages(&packages, planned.base.architecture.go_name(), runtime);
    contents.reinstalled = base.map(|image| reinstalled(image, &packages)).unwrap_or_default();
    contents.require = base.and_then(|image| variable(&image.config, "NVIDIA_REQUIRE_CUDA"));
    for wheel in wheels {
        let Some(libraries) = wheels::libraries(wheel, read, world)? else { continue };
        let package = format!("{} {}", wheel.name, wheel.version);
        contents.code.retain(|code| code.package != package);
        contents.code.extend(libraries.iter().map(|library| code_of(&package, &library.path, &library.code)));
    }
    Ok(contents)
}

/// By the libraries that lie in the image.
///
/// # Errors
/// World: the store.
pub fn of_built(planned: &Planned, found: &CudaFiles, world: &World<'_>) -> Result<Contents, Report> {
    let mut contents = of_planned(planned, Read::Nothing, world)?;
    found.tell(&mut contents);
    Ok(contents)
}

/// The CUDA of an image, by the variable that NVIDIA's images set.
pub(super) fn base_runtime(config: &ImageConfig, name: &str) -> Option<Runtime> {
    let cuda = CudaVersion::parse(&variable(config, "CUDA_VERSION")?)?;
    Some(Runtime { cuda, by: format!("the base {name}"), of_base: true, is_there: true })
}

pub(super) fn variable(config: &ImageConfig, name: &str) -> Option<String> {
    let variables = config.config.env.iter().flatten();
    variables.filter_map(|variable| variable.strip_prefix(name)?.strip_prefix('=')).next_back().map(str::to_owned)
}

/// Frameworks that the base has and the project installs in another version.
fn reinstalled(image: &BaseImage, packages: &[Package]) -> Vec<String> {
    const FRAMEWORKS: [&str; 5] = ["torch", "tensorflow", "jax", "onnxruntime-gpu", "vllm"];
    let installed =
        image.layers.iter().flat_map(|layer| &layer.installed).map(|one| (one.name.as_str(), one.version.as_str()));
    let all: Vec<(&str, &str)> =
        installed.chain(image.in_venv.iter().map(|(name, version)| (name.as_str(), version.as_str()))).collect();
    let twice = packages.iter().filter(|package| FRAMEWORKS.contains(&package.name.as_str())).filter_map(|package| {
        let (_, version) = all.iter().find(|(name, _)| *name == package.name)?;
        (*version != package.version)
            .then(|| format!("{} {}, and {version} in the base", package.name, package.version))
    });
    twice.collect()
}
