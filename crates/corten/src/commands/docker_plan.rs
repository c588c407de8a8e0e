//! `corten plan` of a Dockerfile: stages, steps, images.

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::dockerfile::{Planned, Request, plan};
use corten_plan::recipe::{Action, Base, Stage};
use serde::Serialize;

use super::result;
use crate::args::Format;
use crate::render::text::{bold, one_line, size, table};

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    dockerfile: String,
    context: Option<String>,
    stages: Vec<StageShape<'a>>,
    images: Vec<ImageShape<'a>>,
    config: Option<&'a corten_oci::ContainerConfig>,
}

#[derive(Serialize)]
struct StageShape<'a> {
    name: &'a str,
    base: String,
    steps: Vec<StepShape<'a>>,
}

#[derive(Serialize)]
struct StepShape<'a> {
    kind: &'static str,
    line: usize,
    does: &'a str,
}

/// An image that the Dockerfile names.
#[derive(Serialize)]
struct ImageShape<'a> {
    name: &'a str,
    platform: String,
    digest: String,
    layers: usize,
    bytes: u64,
}

/// Plans and says what would be built.
pub fn run(request: &Request, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let planned = plan(request, &mut std::io::stdin().lock(), world)?;
    let shape = shape(&planned);
    result(format, &shape, || text(&shape))?;
    Ok(0)
}

fn shape(planned: &Planned) -> Shape<'_> {
    let recipe = &planned.pinned.recipe;
    let stage = |stage| stage_shape(stage, &recipe.stages, planned);
    let images = planned.pinned.images.iter().map(|(name, image)| ImageShape {
        name: &name.image,
        platform: name.platform.to_string(),
        digest: image.digest.to_string(),
        layers: image.layers.len(),
        bytes: image.layers.iter().map(|layer| layer.blob.size).sum(),
    });
    Shape {
        dockerfile: planned.source.file.path.display().to_string(),
        context: planned.source.shown(),
        stages: recipe.stages.iter().map(stage).collect(),
        images: images.collect(),
        config: recipe.stages.last().map(|stage| &stage.config.config),
    }
}

fn stage_shape<'a>(stage: &'a Stage, all: &[Stage], planned: &'a Planned) -> StageShape<'a> {
    let base = match &stage.base {
        Base::Scratch => "scratch".to_owned(),
        Base::Image(name) => name.image.clone(),
        Base::Stage(place) => all.get(*place).map(|stage| stage.name.clone()).unwrap_or_default(),
    };
    let steps = stage.steps.iter().map(|step| StepShape {
        kind: match &step.action {
            Action::Run(_) => "run",
            Action::Copy(_) => "copy",
            Action::Folder { .. } => "folder",
        },
        line: planned.dockerfile.span(step.range.clone()).position().0,
        does: &step.created_by,
    });
    StageShape { name: &stage.name, base, steps: steps.collect() }
}

fn text<'a>(shape: &Shape<'a>) -> String {
    let mut parts = Vec::new();
    for stage in &shape.stages {
        let mut rows = vec![vec!["LINE".to_owned(), format!("STAGE {} FROM {}", stage.name, stage.base)]];
        rows.extend(stage.steps.iter().map(|step| vec![step.line.to_string(), one_line(step.does)]));
        parts.push(table(&rows, &[0]));
    }
    if !shape.images.is_empty() {
        let head = ["BYTES", "LAYERS", "IMAGE", "PINNED"].map(str::to_owned).to_vec();
        let row = |image: &ImageShape<'_>| {
            vec![size(image.bytes), image.layers.to_string(), image.name.to_owned(), image.digest.clone()]
        };
        let rows: Vec<_> = std::iter::once(head).chain(shape.images.iter().map(row)).collect();
        parts.push(table(&rows, &[0, 1]));
    }
    let both = |config: &'a corten_oci::ContainerConfig| [config.entrypoint.as_deref(), config.cmd.as_deref()];
    let command = shape.config.map(both).into_iter().flatten().flatten().flatten();
    let command: Vec<String> = command.cloned().collect();
    if !command.is_empty() {
        parts.push(format!("{} {}", bold("STARTS"), one_line(&command.join(" "))));
    }
    parts.join("\n\n")
}
