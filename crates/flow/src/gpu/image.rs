//! What an image brings of CUDA, by its layers, packages and environment.

use corten_check::cuda::{Contents, Package, is_of_nvidia, of_packages};
use corten_diagnostic::{Failure, Report};
use corten_oci::LayerPath;

use super::brought::{base_runtime, variable};
use super::cuda_files::CudaFiles;
use crate::look::{self, Found, View};
use crate::world::World;

/// Folders of Python whose distribution has another name.
const NAMES: [(&str, &str); 5] = [
    ("onnxruntime", "onnxruntime-gpu"),
    ("jax_plugins/xla_cuda12", "jax-cuda12-pjrt"),
    ("jax_plugins/xla_cuda13", "jax-cuda13-pjrt"),
    ("faiss", "faiss-gpu-cu12"),
    ("sklearn", "scikit-learn"),
];

/// Each platform of an image, or those that are wished for.
pub(super) fn platforms(
    found: &Found<'_>,
    wishes: &[String],
    world: &World<'_>,
) -> Result<Vec<(String, Contents)>, Report> {
    let mut wishes: Vec<Option<String>> = wishes.iter().cloned().map(Some).collect();
    if wishes.is_empty() {
        let all = look::inspect(found, None)?.platforms;
        wishes = all.into_iter().filter_map(|one| one.platform).map(|platform| Some(platform.to_string())).collect();
    }
    if wishes.is_empty() {
        wishes.push(None);
    }
    let mut answers = Vec::new();
    for wish in wishes {
        let view = look::image(found, wish.as_deref())?;
        let platform =
            view.platform().map(|platform| platform.to_string()).or(wish).unwrap_or_else(|| "linux/unknown".into());
        answers.push((platform, contents(found, &view, world)?));
    }
    Ok(answers)
}

fn contents(found: &Found<'_>, view: &View, world: &World<'_>) -> Result<Contents, Report> {
    let Some(config) = &view.config else {
        return Err(Failure::input(format!("{} is no image: it is an artifact", found.name)).into());
    };
    world.events.note(&format!("reading the libraries of {}", found.name));
    let layers = look::programs(found, view)?;
    let named = look::package_names(found, view)?;
    let pypi = named.iter().filter(|((kind, _), _)| kind == "pypi");
    let packages: Vec<Package> = pypi
        .flat_map(|((_, name), versions)| versions.split(", ").map(move |version| (name, version)))
        .map(|(name, version)| Package { name: name.clone(), version: version.to_owned(), size: 0 })
        .collect();
    let mut contents = of_packages(&packages, &config.architecture, base_runtime(config, "image's CUDA_VERSION"));
    contents.require = variable(config, "NVIDIA_REQUIRE_CUDA");
    CudaFiles::of(&layers, &|_, path| owner(path, &packages)).tell(&mut contents);
    Ok(contents)
}

/// The Python package that a file of site-packages is of: by its folder, as most wheels name it.
pub(super) fn owner(path: &LayerPath, packages: &[Package]) -> Option<String> {
    let path = path.as_str()?;
    let below =
        ["/site-packages/", "/dist-packages/"].into_iter().find_map(|folder| Some(path.split_once(folder)?.1))?;
    let special = NAMES.iter().find(|(folder, name)| {
        below.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
            && packages.iter().any(|package| package.name == *name)
    });
    let top = below.split('/').next().unwrap_or_default();
    let name = match special {
        Some((_, name)) => (*name).to_owned(),
        None if top == "nvidia" => "nvidia-cuda".to_owned(),
        None => top.split('.').next().unwrap_or_default().to_ascii_lowercase().replace('_', "-"),
    };
    let version = packages.iter().find(|package| package.name == name).map(|package| package.version.as_str());
    match version {
        Some(version) => Some(format!("{name} {version}")),
        None if is_of_nvidia(&name) => Some(name),
        None => Some(below.to_owned()),
    }
}
