//! What a host has of GPUs ([`host`]), and whether the CUDA of an image, a project or a lock fits a driver and GPUs ([`check`]).
//!
//! ```text
//! project, lock ─► plan: names, versions ─► tables ─────────┐
//!                     └► wheels that the store has ─► libraries ├─► Contents ─► corten_check::cuda::fit ─► answer, reasons
//! image ─► layers ─► libraries, packages, environment ───────┘
//! ```

mod brought;
mod cuda_files;
mod host;
mod image;
mod wheels;

use std::path::Path;

use corten_check::check_gpu;
use corten_check::cuda::{Contents, DriverVersion, Fit, Target, fit, gpu};
use corten_diagnostic::{Failure, Finding, Report};

pub use brought::{Read, of_built, of_planned};
pub use cuda_files::CudaFiles;
pub use host::{Host, HostGpu, host};

use crate::build::plan_each;
use crate::look::{self, Ask, Wanted};
use crate::plan::{PlanOptions, Planned};
use crate::world::World;

/// What is looked at, and for what.
#[derive(Debug, Clone)]
pub struct CheckOptions<'a> {
    /// A folder with a project, a lock in one, or the name of an image.
    pub subject: &'a str,
    /// Driver and GPUs.
    pub target: Target,
    /// Of an image: which platforms; none: all that it has.
    pub platforms: Vec<String>,
    /// Of a project: how it is planned.
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

/// Driver and GPUs as they were typed.
///
/// # Errors
/// Usage: a text that is no version of a driver, a GPU that nobody knows.
pub fn target(driver: Option<&str>, gpus: &[String]) -> Result<Target, Failure> {
    let driver = driver.map(parse_driver).transpose()?;
    let none = |name: &String| name.eq_ignore_ascii_case("none");
    if gpus.iter().any(none) {
        if gpus.len() > 1 {
            return Err(Failure::usage("--gpu none goes with no other GPU"));
        }
        return Ok(Target { driver, gpus: Vec::new(), without_gpu: true });
    }
    let known = |name: &String| {
        gpu(name).map_err(|unknown| {
            let shown: String = name.chars().take(80).collect();
            let hint = match unknown.like.is_empty() {
                true => "say what `nvidia-smi -L` calls it, or its compute capability: --gpu 9.0".to_owned(),
                false => format!("there are: {}; or say its compute capability: --gpu 9.0", unknown.like.join(", ")),
            };
            Failure::usage(format!("--gpu: no GPU is called '{shown}'")).hint(hint)
        })
    };
    Ok(Target { driver, gpus: gpus.iter().map(known).collect::<Result<_, _>>()?, without_gpu: false })
}

fn parse_driver(text: &str) -> Result<DriverVersion, Failure> {
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Failure::usage(format!("--driver: '{shown}' is no version of a driver"))
            .hint("expected 580.65.06, or a branch: 580; `nvidia-smi` prints it")
    })
}

/// What the rules say of a plan, and of what it brings.
pub fn findings(planned: &Planned, contents: &Contents) -> Vec<Finding> {
    check_gpu(&fit(contents, &planned.target).reasons)
}

/// Looks at a project, a lock or an image.
///
/// # Errors
/// Whatever hinders planning the project or finding the image.
pub fn check(options: &CheckOptions<'_>, world: &World<'_>) -> Result<Vec<Checked>, Report> {
    let contents = match folder(options.subject)? {
        Some(folder) => of_project(folder, options, world)?,
        None => of_image(options, world)?,
    };
    let judged = |(platform, contents): (String, Contents)| {
        let fit = fit(&contents, &options.target);
        Checked { platform, contents, fit }
    };
    Ok(contents.into_iter().map(judged).collect())
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

fn of_project(folder: &Path, options: &CheckOptions<'_>, world: &World<'_>) -> Result<Vec<(String, Contents)>, Report> {
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
    let one = |planned: &Planned| {
        let platform = format!("linux/{}", planned.base.architecture.go_name());
        Ok((platform, of_planned(planned, Read::Wheels, world)?))
    };
    planned.iter().map(one).collect()
}

fn of_image(options: &CheckOptions<'_>, world: &World<'_>) -> Result<Vec<(String, Contents)>, Report> {
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
