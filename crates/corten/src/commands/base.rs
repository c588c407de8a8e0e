//! `corten base list` and `corten base build`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::base_build::{BaseOptions, Contents, build_base};
use corten_flow::base_push;
use corten_flow::bases::{BASES, KnownBase, KnownVariant};
use corten_flow::build::BuildOptions;
use serde::Serialize;

use super::base_named;
use super::build::{LayerShape, PlatformShape, layer_shape, layers, name, platform_shapes, summary};
use super::push::{self, WentShape};
use super::{plan_options, registry_options, result};
use crate::args::{self, BaseCommand, Format};
use crate::render::text::{seconds, size, table};

/// A base in the object of `--format json`.
#[derive(Serialize)]
struct ListedShape {
    base: &'static str,
    variant: &'static str,
    python: &'static str,
    glibc: String,
    /// About how large it is on amd64, in bytes: compressed and unpacked.
    size: u64,
    unpacked: u64,
    holds: &'static str,
    when: String,
}

/// The object of `base build --format json`.
#[derive(Serialize)]
struct BuiltShape<'a> {
    digest: String,
    reference: String,
    layers: Vec<LayerShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<PlatformShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<&'a Path>,
    seconds: f64,
}

/// Lists bases, or makes one.
pub fn run(arguments: &args::Base, format: Format, world: &World<'_>) -> Result<u8, Report> {
    match &arguments.command {
        BaseCommand::List => list(format),
        BaseCommand::Build(build) => match base_named::wanted(build)? {
            Some(base) => base_named::run(base, build, format, world),
            None => made(build, format, world),
        },
        BaseCommand::Push(push) => pushed(push, format, world),
    }
}

/// The object of `base push --format json`.
#[derive(Serialize)]
struct PushedShape {
    base: String,
    digest: String,
    #[serde(flatten)]
    went: WentShape,
}

fn pushed(arguments: &args::BasePush, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let to = push::target(&arguments.to, &format!("corten base push {}", arguments.base))?;
    let pushed = base_push::push(&arguments.base, &to, &registry_options(&arguments.registry)?, world)?;
    let digest = pushed.reference.digest.map(|digest| digest.to_string()).unwrap_or_default();
    let went = WentShape::of(&pushed.pushed);
    let shape = PushedShape { base: pushed.reference.to_string(), digest, went };
    result(format, &shape, || format!("base = \"{}\"\n{}", shape.base, shape.went.text()))?;
    Ok(0)
}

fn list(format: Format) -> Result<u8, Report> {
    let variants = |base: &'static KnownBase| base.variants.iter().map(move |variant| listed(base, variant));
    let bases: Vec<ListedShape> = BASES.iter().flat_map(variants).collect();
    result(format, &bases, || text(&bases))?;
    Ok(0)
}

fn listed(base: &'static KnownBase, variant: &'static KnownVariant) -> ListedShape {
    ListedShape {
        base: base.reference,
        variant: variant.name,
        python: base.python,
        glibc: format!("{}.{}", base.glibc.0, base.glibc.1),
        size: variant.size.0,
        unpacked: variant.size.1,
        holds: variant.holds,
        when: format!("{}; {}", base.when, variant.when),
    }
}

fn text(bases: &[ListedShape]) -> String {
    let head = ["BASE", "VARIANT", "PYTHON", "SIZE", "UNPACKED", "HOLDS"].map(str::to_owned).to_vec();
    let row = |base: &ListedShape| {
        let words = [base.base, base.variant, base.python].map(str::to_owned);
        words.into_iter().chain([size(base.size), size(base.unpacked), base.holds.to_owned()]).collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(bases.iter().map(row)).collect();
    let when = |base: &KnownBase| format!("{}: {}", base.reference, base.when);
    let variants = BASES.iter().flat_map(|base| &base.variants).take(2);
    let how: Vec<String> = variants.map(|variant| format!("{}: {}", variant.name, variant.when)).collect();
    let when: Vec<String> = BASES.iter().map(when).chain(how).collect();
    let others = "an image of a registry: base = \"python:3.12-slim\", \"HOST/NAME:TAG\"\nan image of yours: base = \"oci-layout:FOLDER\", \"oci-archive:FILE\", \"docker-archive:FILE\" or \"store:NAME\"";
    format!("{}\n\n{}\n{others}", table(&rows, &[3, 4]), when.join("\n"))
}

fn made(arguments: &args::BaseBuild, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let start = Instant::now();
    let contents = match (arguments.bare, arguments.only.as_slice()) {
        (true, _) => Contents::None,
        (false, []) => Contents::All,
        (false, names) => Contents::Named(names.to_vec()),
    };
    let folder = &arguments.project.folder;
    let name = arguments.name.as_ref().map(|text| name("--name", text)).transpose()?;
    let mut plan = plan_options(&arguments.project)?;
    plan.base = Some(contents);
    let options = BaseOptions {
        build: BuildOptions { plan, no_cache: arguments.no_cache },
        name,
        layout: arguments.layout.clone(),
    };
    let (outcome, reference) = build_base(folder, &options, world)?;
    let digest = outcome.root().digest;
    let shape = BuiltShape {
        digest: digest.to_string(),
        reference: reference.to_string(),
        layers: outcome.built.layers.iter().map(layer_shape).collect(),
        platforms: platform_shapes(&outcome),
        layout: options.layout.as_deref(),
        seconds: start.elapsed().as_secs_f64(),
    };
    let stands = |layout: &PathBuf| format!("base = \"oci-layout:{}\"\n", layout.display());
    let layout = options.layout.as_ref().map(stands).unwrap_or_default();
    result(format, &shape, || {
        let named = format!("base = \"store:{reference}\"\n{layout}");
        format!("{}\n\n{named}{digest}\n{}", layers(&outcome), summary(&outcome, &seconds(shape.seconds)))
    })?;
    Ok(0)
}
