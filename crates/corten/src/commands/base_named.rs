//! `corten base build python:3.11-slim`: a base by the name that Dockerfiles have for it.

use std::path::PathBuf;
use std::time::Instant;

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::named::{self, NamedOptions};
use corten_oci::Reference;
use serde::Serialize;

use super::build::{LayerShape, layer_shape, layers_of, name, summary_of};
use super::{plan_options, result};
use crate::args::{BaseBuild, Format};
use crate::render::text::seconds;

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    digest: String,
    reference: String,
    python: Option<&'a str>,
    suite: &'a str,
    packages: usize,
    layers: Vec<LayerShape<'a>>,
    seconds: f64,
}

/// The base that is meant, where the argument is a name and no folder.
///
/// # Errors
/// Usage where it can only be a name and is none; where flags are given that mean nothing to one or the other.
pub fn wanted(arguments: &BaseBuild) -> Result<Option<Reference>, Failure> {
    let folder = &arguments.project.folder;
    let text = folder.to_string_lossy();
    // A folder with a colon in its name is written ./a:b.
    let reference = text.parse::<Reference>().ok().filter(|_| !text.starts_with(['.', '/']));
    let reference = reference.filter(|name| name.tag.is_some() || name.digest.is_some() || !folder.exists());
    let Some(reference) = reference.filter(|name| name.tag.is_some() || is_official(name)) else {
        return match &arguments.lock {
            Some(_) => Err(Failure::usage("--lock is for bases by name; a project's is pinned in its corten.lock")),
            None => Ok(None),
        };
    };
    named::find(&reference)?;
    match of_projects(arguments) {
        Some(flag) => Err(Failure::usage(format!("{flag} is for projects, and {reference} is a base by name"))),
        None => Ok(Some(reference)),
    }
}

/// Is a bare word more likely one of these than a folder that is not there?
fn is_official(name: &Reference) -> bool {
    let known = ["python", "debian", "ubuntu", "alpine"];
    known.iter().any(|known| name.repository.to_string() == *known)
}

/// A flag that is given and means nothing here.
fn of_projects(arguments: &BaseBuild) -> Option<&'static str> {
    let project = &arguments.project;
    let given = [
        (!arguments.only.is_empty(), "--only"),
        (arguments.bare, "--bare"),
        (!project.groups.is_empty(), "--group"),
        (!project.extras.is_empty(), "--extra"),
        (project.frontend.is_some(), "--frontend"),
        (project.locked, "--locked"),
        (project.frozen, "--frozen"),
        (project.explain_settings, "--explain-settings"),
        (!project.registry.plain.is_empty(), "--plain-http"),
    ];
    given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
}

/// Makes it.
pub fn run(base: Reference, arguments: &BaseBuild, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let start = Instant::now();
    let plan = plan_options(&arguments.project)?;
    if plan.architectures.len() > 1 {
        return Err(Failure::usage("--platform: a base by name is made for one platform at a time").into());
    }
    let options = NamedOptions {
        base,
        name: arguments.name.as_ref().map(|text| name("--name", text)).transpose()?,
        architecture: plan.architecture,
        lock: arguments.lock.clone(),
        layout: arguments.layout.clone(),
        no_cache: arguments.no_cache,
        folder: PathBuf::from("."),
    };
    let made = named::build(&options, world)?;
    let digest = made.built.image.manifest.digest.to_string();
    let shape = Shape {
        digest: digest.clone(),
        reference: made.name.to_string(),
        python: Some(made.locked.python.as_str()).filter(|version| !version.is_empty()),
        suite: &made.locked.archive.suite,
        packages: made.locked.debs.len(),
        layers: made.built.layers.iter().map(layer_shape).collect(),
        seconds: start.elapsed().as_secs_f64(),
    };
    result(format, &shape, || {
        let layers: Vec<_> = made.built.layers.iter().collect();
        let summary = summary_of(&layers, &seconds(shape.seconds));
        format!("{}\n\nFROM {}\n{digest}\n{summary}", layers_of(&made.built), made.name)
    })?;
    Ok(0)
}
