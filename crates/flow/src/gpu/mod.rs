//! What a host has of GPUs ([`host`]), and whether the CUDA of an image, a project or a lock fits a driver and GPUs ([`check`]).
//!
//! ```text
//! project, lock ─► plan: names, versions ─► tables ─────────┐
//!                     └► wheels that the store has ─► libraries ├─► Contents ─► corten_check::cuda::fit ─► answer, reasons
//! image ─► layers ─► libraries, packages, environment ───────┤
//! Dockerfile, built ─► layers as they are ─► the same ────────┘
//! ```

mod brought;
mod cuda_files;
mod host;
mod image;
mod layers;
mod target;
mod wheels;

use std::path::Path;

use corten_check::check_gpu;
use corten_check::cuda::{Contents, Fit, Target, fit};
use corten_diagnostic::{Failure, Finding, Report};

pub use brought::{Read, of_built, of_planned};
pub use cuda_files::CudaFiles;
pub use host::{Host, HostGpu, host};
pub use layers::of_layers;
pub use target::TargetOptions;

use crate::build::plan_each;
use crate::look::{self, Ask, Wanted};
use crate::plan::{PlanOptions, Planned};
use crate::world::World;

/// What is looked at, and for what.
#[derive(Debug, Clone)]
pub struct CheckOptions<'a> {
    /// A folder with a project, a lock in one, or the name of an image.
    pub subject: &'a str,
    /// Of an image: which platforms; none: all that it has.
    pub platforms: Vec<String>,
    /// For what; of a project: how it is planned.
    pub plan: PlanOptions,
    /// Of an image: ask its registry, also where the store has it.
    pub remote: bool,
}

/// One platform's answer.
#[derive(Debug, Clone)]
pub struct Checked {
    /// `linux/amd64`.
    pub platform: String,
    /// What it brings.
    pub contents: Contents,
    /// Does it fit?
    pub fit: Fit,
}

/// What the rules say of what an image brings.
pub fn findings(contents: &Contents, target: &Target) -> Vec<Finding> {
    check_gpu(&fit(contents, target).reasons)
}

/// Looks at a project, a lock or an image. Says for what it was judged, too: a project's settings may name that.
///
/// # Errors
/// Whatever hinders planning the project or finding the image.
pub fn check(options: &CheckOptions<'_>, world: &World<'_>) -> Result<(Target, Vec<Checked>), Report> {
    let (target, contents) = match folder(options.subject)? {
        Some(folder) => of_project(folder, options, world)?,
        None => {
            let target = options.plan.target.alone(world)?;
            (target, of_image(options, world)?)
        }
    };
    let judged = |(platform, contents): (String, Contents)| {
        let fit = fit(&contents, &target);
        Checked { platform, contents, fit }
    };
    let checked = contents.into_iter().map(judged).collect();
    Ok((target, checked))
}

/// The project's folder; none where the subject is an image.
fn folder(subject: &str) -> Result<Option<&Path>, Failure> {
    let path = Path::new(subject);
    if path.is_dir() {
        return Ok(Some(path));
    }
    if path.is_file() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Ok(Some(parent.unwrap_or(Path::new("."))));
    }
    match subject.starts_with(['.', '/', '~']) {
        true => Err(Failure::usage(format!("there is no folder or lock {subject}"))),
        false => Ok(None),
    }
}

type OfPlatforms = Vec<(String, Contents)>;

fn of_project(folder: &Path, options: &CheckOptions<'_>, world: &World<'_>) -> Result<(Target, OfPlatforms), Report> {
    let planned = plan_each(folder, &options.plan, world)?;
    if let Some(named) = Path::new(options.subject).file_name().filter(|_| Path::new(options.subject).is_file()) {
        let lock = planned.first().map(|planned| planned.project.lock_name()).unwrap_or_default();
        let named = named.to_string_lossy();
        if lock != named {
            return Err(Failure::usage(format!("the project's lock is {lock}, not {named}"))
                .hint("`lock` of the settings says which one counts")
                .into());
        }
    }
    let one = |planned: &Planned| -> Result<(String, Contents), Report> {
        let platform = format!("linux/{}", planned.base.architecture.go_name());
        Ok((platform, of_planned(planned, Read::Wheels, world)?))
    };
    let target = planned.first().map(|planned| planned.target.clone()).unwrap_or_default();
    Ok((target, planned.iter().map(one).collect::<Result<_, _>>()?))
}

fn of_image(options: &CheckOptions<'_>, world: &World<'_>) -> Result<OfPlatforms, Report> {
    let ask = if options.remote { Ask::Registry } else { Ask::StoreFirst };
    let wanted = Wanted { name: options.subject, ask };
    let found = look::find(&wanted, &options.plan.registry, world)?;
    if found.is_local {
        let digest = look::manifest_in_store(options.subject, world)?;
        let packed = look::stored(options.subject, &digest, world)?;
        return image::platforms(&packed, &options.platforms, world);
    }
    image::platforms(&found, &options.platforms, world)
}
