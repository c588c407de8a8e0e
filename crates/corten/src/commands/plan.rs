//! `corten plan`.

use std::collections::BTreeMap;

use corten_check::cuda::{Contents, minimum_driver};
use corten_diagnostic::{Failure, Finding, Report};
use corten_flow::build::plan_each;
use corten_flow::plan::{Planned, estimated_bytecode};
use corten_flow::{Ignored, World, bases, gpu, upgrade};
use corten_plan::{FetchedFile, Op, OwnWheel, SourceFile};
use serde::Serialize;

use super::{docker, docker_plan, plan_options, result};
use crate::args::{self, Format};
use crate::render::text::{columns, size, table};
use crate::render::{error, say};

/// How many of the largest files are shown.
const LARGEST: usize = 10;

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    name: &'a str,
    version: &'a str,
    base: BaseShape<'a>,
    python: &'a str,
    user: &'a str,
    command: &'a [String],
    packages: Vec<PackageShape<'a>>,
    layers: Vec<LayerShape<'a>>,
    fetched: Vec<FetchedShape<'a>>,
    models_in_app: Vec<FileShape<'a>>,
    ignored: Vec<IgnoredShape<'a>>,
    largest: Vec<FileShape<'a>>,
    dirty: &'a [String],
    /// Absent where no wheel has to do with CUDA.
    #[serde(skip_serializing_if = "Option::is_none")]
    cuda: Option<CudaShape>,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_platforms: Vec<Shape<'a>>,
}

#[derive(Serialize)]
struct BaseShape<'a> {
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    /// Of an image: what pins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    architecture: &'a str,
    /// Why that base was taken.
    why: String,
    /// In days; absent where the base does not say when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u64>,
    debs: Vec<String>,
}

/// By names and versions, and by libraries where they were read before.
#[derive(Serialize)]
struct CudaShape {
    version: String,
    minimum_driver: Option<String>,
}

#[derive(Serialize)]
struct PackageShape<'a> {
    name: &'a str,
    version: &'a str,
    file: &'a str,
    size: u64,
    /// How the wheel was made, where only a source distribution is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

#[derive(Serialize)]
struct LayerShape<'a> {
    what: &'a str,
    inputs: usize,
    /// Of the inputs; of bytecode, what it is estimated to have in the image.
    bytes: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

/// Weights that are fetched.
#[derive(Serialize)]
struct FetchedShape<'a> {
    path: &'a str,
    url: &'a str,
    digest: String,
    bytes: u64,
}

#[derive(Serialize)]
struct IgnoredShape<'a> {
    because: &'a str,
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct FileShape<'a> {
    path: &'a str,
    bytes: u64,
}

/// Plans and says what would be built.
pub fn run(arguments: &args::Plan, format: Format, world: &World<'_>) -> Result<u8, Report> {
    if let Some(request) = docker::request(&arguments.project, &arguments.docker, world)? {
        return docker_plan::run(&request, format, world);
    }
    let planned = plan_each(&arguments.project.folder, &plan_options(&arguments.project)?, world)?;
    let Some(first) = planned.first() else { return Err(Failure::bug("there is no platform").into()) };
    let ignored = first.ignored()?;
    warn_of_age(first, world);
    let mut shapes = planned.iter().map(|planned| shape(planned, &ignored, world)).collect::<Result<Vec<_>, _>>()?;
    let texts = shapes.iter().map(text).collect::<Vec<_>>().join("\n\n");
    if format == Format::Text {
        shapes.iter().flat_map(|shape| &shape.findings).for_each(|finding| say(&error::finding(finding)));
    }
    let mut platforms = shapes.split_off(1);
    let Some(mut shape) = shapes.pop() else { return Err(Failure::bug("there is no platform").into()) };
    shape.other_platforms.append(&mut platforms);
    result(format, &shape, || texts)?;
    Ok(0)
}

/// By the table that `corten base list` prints.
fn why(planned: &Planned) -> String {
    let minor = planned.python.minor();
    let python = format!("Python {minor}: {}", planned.python_why);
    match bases::when(&planned.base) {
        Some(when) => format!("{python}; {} is for {when}", planned.base.variant.name()),
        None => python,
    }
}

/// An old base lacks updates.
fn warn_of_age(planned: &Planned, world: &World<'_>) {
    let Some(days) = upgrade::age(&planned.base, world).filter(|days| *days > upgrade::OLD) else { return };
    let text = format!(
        "the base {} is {days} days old: `corten lock --upgrade-base` renews it and says which updates are security updates",
        planned.base.reference
    );
    world.events.warning(&text);
}

fn shape<'a>(
    planned: &'a Planned,
    ignored: &'a BTreeMap<String, Ignored>,
    world: &World<'_>,
) -> Result<Shape<'a>, Report> {
    let settings = &planned.project.settings;
    let mut ignored: Vec<IgnoredShape<'_>> = ignored
        .iter()
        .map(|(because, ignored)| IgnoredShape { because, files: ignored.files, bytes: ignored.bytes })
        .collect();
    ignored.sort_by(|left, right| right.bytes.cmp(&left.bytes).then(left.because.cmp(right.because)));
    let own = planned.own.iter().flat_map(OwnWheel::files);
    let files = planned.app.iter().chain(&planned.weights).chain(own);
    let mut largest: Vec<FileShape<'_>> = files.map(largest_shape).collect();
    largest.sort_by(|left, right| right.bytes.cmp(&left.bytes).then(left.path.cmp(right.path)));
    largest.truncate(LARGEST);
    let sources: BTreeMap<&str, String> =
        planned.packages.sources.iter().map(|source| (source.name.as_str(), source.sentence())).collect();
    let built = planned.packages.builds.iter().map(|build| PackageShape {
        name: &build.sdist.name,
        version: &build.sdist.version,
        file: &build.sdist.file,
        size: build.sdist.size,
        source: Some(build.sentence()),
    });
    let contents = gpu::of_planned(planned, gpu::Read::Nothing, world)?;
    Ok(Shape {
        name: &settings.name.value,
        version: &planned.version,
        base: BaseShape {
            reference: &planned.base.reference,
            variant: planned.base.image.is_none().then(|| planned.base.variant.name()),
            digest: planned.base.image.as_ref().map(|image| image.digest.to_string()),
            architecture: planned.base.architecture.go_name(),
            why: why(planned),
            age: upgrade::age(&planned.base, world),
            debs: planned.debs(),
        },
        python: &planned.python.full_version,
        user: &settings.user.value,
        command: &planned.start.command,
        packages: planned
            .packages
            .wheels
            .iter()
            .map(|wheel| PackageShape {
                name: &wheel.name,
                version: &wheel.version,
                file: &wheel.file,
                size: wheel.size,
                source: sources.get(wheel.name.as_str()).cloned(),
            })
            .chain(built)
            .collect(),
        layers: layers(planned),
        fetched: planned.fetched.iter().map(fetched).collect(),
        models_in_app: planned.models_in_app().into_iter().map(largest_shape).collect(),
        ignored,
        largest,
        dirty: &planned.dirty,
        cuda: cuda(&contents),
        findings: gpu::findings(&contents, &planned.target),
        other_platforms: Vec::new(),
    })
}

fn cuda(contents: &Contents) -> Option<CudaShape> {
    contents.newest().map(|cuda| CudaShape {
        version: cuda.to_string(),
        minimum_driver: minimum_driver(cuda).map(|(driver, _)| driver.to_string()),
    })
}

/// Lowest first, as the image has them.
fn layers(planned: &Planned) -> Vec<LayerShape<'_>> {
    let steps = &planned.plan.steps;
    let image = steps.get(planned.image.0).map(|image| image.inputs.as_slice()).unwrap_or_default();
    let steps = image.iter().filter_map(|id| steps.get(id.0));
    steps.filter_map(|step| layer(&step.op, &step.name)).collect()
}

fn largest_shape(file: &SourceFile) -> FileShape<'_> {
    FileShape { path: &file.path, bytes: file.size }
}

fn fetched(file: &FetchedFile) -> FetchedShape<'_> {
    FetchedShape { path: &file.path, url: &file.url, digest: file.digest.to_string(), bytes: file.size }
}

fn layer<'a>(op: &Op, what: &'a str) -> Option<LayerShape<'a>> {
    let (inputs, bytes) = match op {
        Op::Given(given) => (given.installed.len(), given.blob.size),
        Op::Debs(debs) => (debs.packages.len(), debs.packages.iter().map(|deb| deb.size).sum()),
        Op::Packages(added) => (added.packages.len(), added.packages.iter().map(|deb| deb.size).sum()),
        Op::Wheels(wheels) => (wheels.wheels.len(), wheels.wheels.iter().map(|wheel| wheel.size).sum()),
        Op::Sdist(sdist) => (1, sdist.sdist.size),
        Op::Own(own) => {
            let files = own.wheels.iter().flat_map(OwnWheel::files);
            (files.clone().count(), files.map(|file| file.size).sum())
        }
        Op::Files { files } => (files.len(), 0),
        Op::App(app) => (app.files.len(), app.files.iter().map(|file| file.size).sum()),
        Op::Bytecode(bytecode) => estimated_bytecode(&bytecode.of),
        Op::Image(_) => return None,
    };
    Some(LayerShape { what, inputs, bytes, estimated: matches!(op, Op::Bytecode(_)) })
}

fn text(shape: &Shape<'_>) -> String {
    let rows = |head: [&str; 3], rows: Vec<[String; 3]>| {
        let all = std::iter::once(head.map(str::to_owned)).chain(rows).map(|row| row.to_vec()).collect::<Vec<_>>();
        table(&all, &[0, 1])
    };
    let bytes = |layer: &LayerShape<'_>| format!("{}{}", if layer.estimated { "~" } else { "" }, size(layer.bytes));
    let layers = shape.layers.iter().map(|layer| [bytes(layer), layer.inputs.to_string(), layer.what.to_owned()]);
    let mut text = format!("{} {} as user {}\n\n", shape.name, shape.version, shape.user);
    text.push_str(&rows(["INPUT", "FILES", "LAYER, LOWEST FIRST"], layers.collect()));
    let BaseShape { reference, variant, digest, architecture, why, age, .. } = &shape.base;
    let what = variant.or(digest.as_deref()).unwrap_or_default();
    let age = age.map(|days| format!(", {days} days old")).unwrap_or_default();
    text.push_str(&format!("\n\nBASE {reference} {what} linux/{architecture}{age}\n{why}\n"));
    text.push_str(&columns(&shape.base.debs));
    if let Some(cuda) = &shape.cuda {
        let driver =
            cuda.minimum_driver.as_ref().map(|driver| format!(": driver {driver} or later")).unwrap_or_default();
        text.push_str(&format!("\n\nCUDA {}{driver}; `corten gpu check` says more", cuda.version));
    }
    if !shape.fetched.is_empty() {
        let row = |file: &FetchedShape<'_>| vec![size(file.bytes), format!("/{}", file.path), file.url.to_owned()];
        let head = ["BYTES", "FETCHED WEIGHTS", "FROM"].map(str::to_owned).to_vec();
        let all: Vec<_> = std::iter::once(head).chain(shape.fetched.iter().map(row)).collect();
        text.push_str("\n\n");
        text.push_str(&table(&all, &[0]));
    }
    if !shape.models_in_app.is_empty() {
        let models = shape.models_in_app.iter().map(|file| format!("/{} ({})", file.path, size(file.bytes)));
        let models = models.collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\n\nMODELS IN THE APP LAYER {models}\nno 'weights' are set: they follow the ignore rules, and change with the code"));
    }
    if !shape.ignored.is_empty() {
        let ignored = shape.ignored.iter().map(|one| [size(one.bytes), one.files.to_string(), one.because.to_owned()]);
        text.push_str("\n\n");
        text.push_str(&rows(["BYTES", "FILES", "STAYS OUT BECAUSE OF"], ignored.collect()));
    }
    let sources =
        shape.packages.iter().filter_map(|one| Some(format!("{} {}: {}", one.name, one.version, one.source.as_ref()?)));
    let sources: Vec<String> = sources.collect();
    if !sources.is_empty() {
        text.push_str("\n\nPACKAGES WITHOUT A WHEEL\n");
        text.push_str(&sources.join("\n"));
    }
    let largest = shape.largest.iter().map(|file| vec![size(file.bytes), format!("/{}", file.path)]);
    let head = vec!["BYTES".to_owned(), "LARGEST FILES OF THE PROJECT".to_owned()];
    text.push_str("\n\n");
    text.push_str(&table(&std::iter::once(head).chain(largest).collect::<Vec<_>>(), &[0]));
    text
}
