//! `corten build`.

use std::time::Instant;

use corten_diagnostic::{Failure, Finding, Report};
use corten_flow::build::{BuildOptions, Outcome, build};
use corten_flow::outputs::{self, Output};
use corten_flow::plan::Planned;
use corten_flow::{World, check};
use corten_oci::{Reference, Tag};
use corten_plan::{Built, BuiltLayer};
use serde::Serialize;

use super::{docker, docker_build, plan_options, result};
use crate::args::{self, Format, Global};
use crate::render::text::{seconds, size, table};
use crate::render::{error, say};

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    digest: String,
    references: Vec<String>,
    layers: Vec<LayerShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<PlatformShape<'a>>,
    findings: &'a [Finding],
    seconds: f64,
}

/// One platform of the image.
#[derive(Serialize)]
pub struct PlatformShape<'a> {
    platform: String,
    digest: String,
    layers: Vec<LayerShape<'a>>,
}

/// One layer, lowest first.
#[derive(Serialize)]
pub struct LayerShape<'a> {
    digest: String,
    media_type: &'a str,
    diff_id: String,
    size: u64,
    tar_size: u64,
    what: &'a str,
    reused: bool,
}

/// Builds, checks, names and writes out.
pub fn run(arguments: &args::Build, global: &Global, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let start = Instant::now();
    if let Some(request) = docker::request(&arguments.project, &arguments.docker, world)? {
        return docker_build::run(&request, arguments, global, format, world);
    }
    if let Some(flag) = arguments.docker_build.given() {
        return Err(docker::of_dockerfiles(flag).into());
    }
    let outputs = arguments.outputs.iter().map(|text| text.parse()).collect::<Result<Vec<Output>, _>>()?;
    outputs::refuse_impossible(&outputs)?;
    let names = arguments.tags.iter().map(|text| name("--tag", text)).collect::<Result<Vec<Reference>, _>>()?;
    let options = BuildOptions { plan: plan_options(&arguments.project)?, no_cache: arguments.no_cache };
    let outcome = build(&arguments.project.folder, &options, world)?;
    let verdict = check::verdict(&outcome, world)?;
    verdict.findings().iter().for_each(|finding| say(&error::finding(finding)));
    verdict.require()?;
    let names = if names.is_empty() { outcome.references(&outcome.repository()?) } else { names };
    outcome.name(&names, world)?;
    let digest = outcome.root().digest;
    let (loadable, platform) = outcome.loadable();
    let alone =
        if outcome.index.is_some() { format!(": {platform} alone, as it has one platform") } else { String::new() };
    for output in &outputs {
        let image = if let Output::Docker(path) = output {
            if outcome.index.is_some() {
                world.events.note(&format!("{}{alone}", path.display()));
            }
            loadable
        } else {
            digest
        };
        outputs::write(output, &image, &names, &options.plan.registry, world)?;
    }
    if arguments.load {
        let program = outputs::load(&loadable, &names, &options.plan.registry, world)?;
        world.events.note(&format!("loaded into {program}{alone}"));
    }
    let shape = Shape {
        digest: digest.to_string(),
        references: names.iter().map(ToString::to_string).collect(),
        layers: outcome.built.layers.iter().map(layer_shape).collect(),
        platforms: platform_shapes(&outcome),
        findings: verdict.findings(),
        seconds: start.elapsed().as_secs_f64(),
    };
    result(format, &shape, || {
        let took = seconds(shape.seconds);
        format!("{}\n\n{}\n{digest}\n{}", layers(&outcome), shape.references.join("\n"), summary(&outcome, &took))
    })?;
    Ok(0)
}

/// A name without a tag means `latest`, as docker has it.
pub fn name(flag: &str, text: &str) -> Result<Reference, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{flag} '{text}': {error}"));
    let mut name: Reference = text.parse().map_err(|error| wrong(&error))?;
    if name.digest.is_some() {
        return Err(wrong(&"the digest of an image is known once it is built").hint("give a name and a tag only"));
    }
    if name.tag.is_none() {
        name.tag = Some(Tag::new("latest").map_err(|error| wrong(&error))?);
    }
    Ok(name)
}

/// The platforms for programs, where there are several.
pub fn platform_shapes(outcome: &Outcome) -> Vec<PlatformShape<'_>> {
    let parts = outcome.parts().filter(|_| outcome.index.is_some());
    let parts = parts.map(|(planned, built)| PlatformShape {
        platform: format!("linux/{}", planned.base.architecture),
        digest: built.image.manifest.digest.to_string(),
        layers: built.layers.iter().map(layer_shape).collect(),
    });
    parts.collect()
}

/// A layer for programs.
pub fn layer_shape(built: &BuiltLayer) -> LayerShape<'_> {
    LayerShape {
        digest: built.layer.blob.digest.to_string(),
        media_type: &built.layer.blob.media_type.0,
        diff_id: built.layer.diff_id.to_string(),
        size: built.layer.blob.size,
        tar_size: built.tar_size,
        what: &built.what,
        reused: built.reused,
    }
}

/// The layers for people, lowest first.
pub fn layers(outcome: &Outcome) -> String {
    let several = outcome.index.is_some();
    let one = |(planned, built): (&Planned, &Built)| match several {
        true => format!("linux/{}\n{}", planned.base.architecture, layers_of(built)),
        false => layers_of(built),
    };
    outcome.parts().map(one).collect::<Vec<_>>().join("\n\n")
}

/// The layers of one image.
pub fn layers_of(built: &Built) -> String {
    let head = ["SIZE", "UNPACKED", "", "LAYER, LOWEST FIRST"].map(str::to_owned).to_vec();
    let row = |built: &BuiltLayer| {
        let how = if built.reused { "reused" } else { "new" };
        vec![size(built.layer.blob.size), size(built.tar_size), how.to_owned(), built.what.clone()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(built.layers.iter().map(row)).collect();
    table(&rows, &[0, 1])
}

/// One line: how much, how long.
pub fn summary(outcome: &Outcome, took: &str) -> String {
    let layers: Vec<&BuiltLayer> = outcome.parts().flat_map(|(_, built)| &built.layers).collect();
    summary_of(&layers, took)
}

/// The same of layers.
pub fn summary_of(layers: &[&BuiltLayer], took: &str) -> String {
    let total: u64 = layers.iter().map(|built| built.layer.blob.size).sum();
    let unpacked: u64 = layers.iter().map(|built| built.tar_size).sum();
    let reused = layers.iter().filter(|built| built.reused).count();
    format!("{} ({} unpacked), {} layers, {reused} reused, {took}", size(total), size(unpacked), layers.len())
}
