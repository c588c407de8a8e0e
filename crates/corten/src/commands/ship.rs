//! `corten ship`.

use std::path::Path;
use std::time::Instant;

use corten_diagnostic::{Finding, Report};
use corten_flow::World;
use corten_flow::build::BuildOptions;
use corten_flow::ship::{ShipOptions, Shipped, ship};
use corten_oci::Reference;
use serde::Serialize;

use super::build::{LayerShape, PlatformShape, layer_shape, layers, platform_shapes, summary};
use super::push::WentShape;
use super::{plan_options, registry_options, result};
use crate::args::{self, Format};
use crate::render::text::{seconds, table};
use crate::render::{error, say};

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    digest: String,
    references: Vec<String>,
    published: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<WentShape>,
    layers: Vec<LayerShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<PlatformShape<'a>>,
    sbom: &'a Path,
    release: &'a Path,
    layout: Option<&'a Path>,
    findings: &'a [Finding],
    seconds: f64,
}

/// Builds, checks, names, records, publishes.
pub fn run(arguments: &args::Ship, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let start = Instant::now();
    let options = ShipOptions {
        build: BuildOptions { plan: plan_options(&arguments.project)?, no_cache: arguments.no_cache },
        release_file: arguments.release_file.clone(),
        sbom_files: arguments.sbom_files,
        push: arguments.push.then(|| registry_options(&arguments.project.registry)).transpose()?,
    };
    let shipped = ship(&arguments.project.folder, &options, world, &|| start.elapsed().as_secs_f64())?;
    shipped.verdict.findings().iter().for_each(|finding| say(&error::finding(finding)));
    shipped.verdict.require()?;
    let shape = shape(&shipped, start.elapsed().as_secs_f64());
    result(format, &shape, || text(&shipped, &arguments.project.folder, &shape))?;
    Ok(0)
}

fn shape(shipped: &Shipped, seconds: f64) -> Shape<'_> {
    let built = &shipped.outcome.built;
    Shape {
        digest: shipped.outcome.root().digest.to_string(),
        references: shipped.references.iter().map(ToString::to_string).collect(),
        published: published(shipped),
        pushed: shipped.pushed.as_ref().map(WentShape::of),
        layers: built.layers.iter().map(layer_shape).collect(),
        platforms: platform_shapes(&shipped.outcome),
        sbom: &shipped.sbom,
        release: &shipped.release,
        layout: shipped.layout.as_deref(),
        findings: shipped.verdict.findings(),
        seconds,
    }
}

/// As one deploys it: the digest decides.
fn published(shipped: &Shipped) -> Vec<String> {
    let digest = shipped.outcome.root().digest;
    shipped.published.iter().map(|name| Reference { digest: Some(digest), ..name.clone() }.to_string()).collect()
}

fn text(shipped: &Shipped, folder: &Path, shape: &Shape<'_>) -> String {
    let name = shape.references.first().cloned().unwrap_or_default();
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (at, reference) in shape.references.iter().enumerate() {
        rows.push(row(if at == 0 { "shipped" } else { "" }, reference.clone()));
    }
    rows.push(row("digest", shape.digest.clone()));
    for (at, reference) in shape.published.iter().enumerate() {
        rows.push(row(if at == 0 { "published" } else { "" }, reference.clone()));
    }
    rows.extend(shape.pushed.as_ref().map(|went| row("", went.text())));
    rows.push(row("size", summary(&shipped.outcome, &seconds(shape.seconds))));
    rows.extend(shape.layout.map(|layout| row("layout", layout.display().to_string())));
    rows.push(row("sbom", shape.sbom.display().to_string()));
    rows.push(row("release", shape.release.display().to_string()));
    for (at, line) in run_lines(shipped, folder, &name).into_iter().enumerate() {
        rows.push(row(if at == 0 { "run" } else { "" }, line));
    }
    format!("{}\n\n{}", layers(&shipped.outcome), table(&rows, &[]))
}

/// What to type to try it on this machine: without a daemon where it has this machine's processor, then with one.
fn run_lines(shipped: &Shipped, folder: &Path, name: &str) -> Vec<String> {
    let ports = shipped.outcome.built.image.config.config.exposed_ports.clone().unwrap_or_default();
    let port = ports.first().and_then(|port| port.split('/').next()).map(|port| format!(" -p {port}:{port}"));
    let run = format!("run --rm --read-only --tmpfs /tmp{} {name}", port.unwrap_or_default());
    let load = match folder.to_str() {
        Some(".") => "corten build --load".to_owned(),
        _ => format!("corten build --load {}", folder.display()),
    };
    let own = shipped.outcome.runs_here().then(|| format!("corten {run}"));
    own.into_iter().chain([format!("{load} && docker {run}")]).collect()
}
