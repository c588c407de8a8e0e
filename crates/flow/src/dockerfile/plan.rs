//! All that can be known before anything is built: the stages that the target needs, their steps, their images.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use corten_diagnostic::{Failure, Report, Span};
use corten_frontend::dockerfile::{DirectiveName, Dockerfile, Keyword, Lowered, Named, Options};
use corten_frontend::ignore::{Matcher, read_ignore_file};
use corten_frontend::settings::{Settings, Text};
use corten_oci::Platform;
use corten_plan::recipe::{Action, Base, BaseName, Files, Pinned, PinnedImage, Recipe};
use corten_store::ScratchFolder;

use super::images::Images;
use super::request::{ContextPlace, Request};
use super::source::{self, Source};
use crate::base::HOST;
use crate::project;
use crate::world::World;

/// What would be built.
pub struct Planned {
    /// Where it comes from.
    pub source: Source,
    /// The file.
    pub dockerfile: Dockerfile,
    /// What is done.
    pub pinned: Pinned,
    /// What stays out of the context.
    pub ignore: Matcher,
    /// The folders beside it, by their names.
    pub folders: BTreeMap<String, Beside>,
}

/// A folder of `--build-context`.
pub struct Beside {
    /// Where it is.
    pub path: PathBuf,
    /// Keeps what came from elsewhere.
    _kept: Option<ScratchFolder>,
}

/// An image that a recipe names.
pub type PlannedImage<'p> = (&'p BaseName, &'p PinnedImage);

/// Several mistakes, of which the first is the error; the rest is told with it.
pub struct Mistakes(pub Vec<Failure>);

impl From<Mistakes> for Report {
    fn from(mistakes: Mistakes) -> Self {
        let mut all = mistakes.0.into_iter();
        match all.next() {
            Some(first) => all.fold(first, Failure::and).into(),
            None => Failure::bug("a Dockerfile is refused without a mistake").into(),
        }
    }
}

/// Reads, finds images, pins.
///
/// # Errors
/// Usage for what was asked wrong; input for all mistakes of the Dockerfile at once; world where an image cannot be reached.
pub fn plan(request: &Request, standard: &mut dyn Read, world: &World<'_>) -> Result<Planned, Report> {
    let source = source::open(request, standard, world)?;
    let dockerfile = Dockerfile::read(&source.file.path, &source.file.text).map_err(Mistakes)?;
    frontends(&dockerfile, request, world)?;
    let ignore = source.ignore.as_ref().map(matcher).transpose()?.unwrap_or_default();
    let aliases = aliases(&source)?;
    let images = Images {
        contexts: &request.contexts,
        aliases: &aliases,
        pull: request.pull,
        registry: &request.registry,
        world,
        said: Mutex::default(),
    };
    let pinned = pin(&dockerfile, &options(request), &images)?;
    let folders = beside(&pinned.recipe, request, world)?;
    Ok(Planned { source, dockerfile, pinned, ignore, folders })
}

/// The folders of `--build-context` that are used.
fn beside(recipe: &Recipe, request: &Request, world: &World<'_>) -> Result<BTreeMap<String, Beside>, Report> {
    let mut folders = BTreeMap::new();
    for files in sources(recipe) {
        let Files::Folder(name) = files else { continue };
        let beside = match request.contexts.get(name) {
            Some(ContextPlace::Remote(address)) => {
                let (path, kept) = source::remote_folder(address, world)?;
                Beside { path, _kept: Some(kept) }
            }
            Some(ContextPlace::Folder(path)) if path.is_dir() => Beside { path: path.clone(), _kept: None },
            Some(ContextPlace::Folder(path)) => {
                let message = format!("--build-context {name}: there is no folder {}", path.display());
                return Err(Failure::usage(message).into());
            }
            _ => return Err(Failure::bug(format!("no folder has the name {name}")).into()),
        };
        folders.insert(name.clone(), beside);
    }
    Ok(folders)
}

/// Where the steps of a recipe take files from.
fn sources(recipe: &Recipe) -> Vec<&Files> {
    let mut all = Vec::new();
    for step in recipe.stages.iter().flat_map(|stage| &stage.steps) {
        match &step.action {
            Action::Copy(copy) => all.push(&copy.from),
            Action::Run(run) => all.extend(run.mounts.iter().map(|(_, files)| files)),
            Action::Folder { .. } => {}
        }
    }
    all
}

/// As the frontend takes it.
pub fn options(request: &Request) -> Options {
    let contexts = request.contexts.iter().map(|(name, place)| {
        let named = match place {
            ContextPlace::Folder(_) | ContextPlace::Remote(_) => Named::Folder,
            ContextPlace::Image(_) | ContextPlace::Named(_) => Named::Image,
        };
        (name.clone(), named)
    });
    let mut options = Options::new(Platform::linux(request.architecture), Platform::linux(HOST));
    options.target.clone_from(&request.target);
    options.build_args.clone_from(&request.build_args);
    options.labels.clone_from(&request.labels);
    options.contexts = contexts.collect();
    options
}

fn pin(dockerfile: &Dockerfile, options: &Options, images: &Images<'_>) -> Result<Pinned, Report> {
    let mut found: BTreeMap<BaseName, PinnedImage> = BTreeMap::new();
    loop {
        let lowered = dockerfile.lower(options, &|name| found.get(name).map(|image| image.config.clone()));
        match lowered.map_err(Mistakes)? {
            Lowered::Done(recipe) => {
                for name in named(&recipe) {
                    if let Entry::Vacant(place) = found.entry(name) {
                        let image = images.find(place.key());
                        let image = image.map_err(|report| at_line(dockerfile, place.key(), report))?;
                        place.insert(image);
                    }
                }
                return Ok(Pinned { recipe, images: found });
            }
            Lowered::Asks(names) => {
                for name in names {
                    let image = images.find(&name).map_err(|report| at_line(dockerfile, &name, report))?;
                    found.insert(name, image);
                }
            }
        }
    }
}

/// Every image that a recipe names.
fn named(recipe: &Recipe) -> Vec<BaseName> {
    let of_stage = recipe.stages.iter().filter_map(|stage| match &stage.base {
        Base::Image(name) => Some(name.clone()),
        _ => None,
    });
    let of_step = sources(recipe).into_iter().filter_map(|files| match files {
        Files::Image(name) => Some(name.clone()),
        _ => None,
    });
    let mut names: Vec<BaseName> = of_stage.chain(of_step).collect();
    names.sort();
    names.dedup();
    names
}

/// Where the Dockerfile names an image.
fn at_line(dockerfile: &Dockerfile, name: &BaseName, report: Report) -> Report {
    let error = report.error();
    if error.span().is_some() {
        return report;
    }
    let Some(at) = line_of(dockerfile, name) else { return report };
    let caused = crate::images::failure(error, error.to_string()).at(at);
    caused.into()
}

fn line_of(dockerfile: &Dockerfile, name: &BaseName) -> Option<Span> {
    let exact = dockerfile.instructions.iter().find(|line| line.line.text.contains(&name.image));
    let variable = || {
        let is_from = |line: &&corten_frontend::dockerfile::Instruction| {
            line.keyword == Keyword::From && line.line.text.contains('$')
        };
        dockerfile.instructions.iter().find(is_from)
    };
    let line = exact.or_else(variable)?;
    Some(dockerfile.place(&line.line, 0..line.line.text.len()))
}

/// Frontends are programs of others; none is ever run. Docker's own is what we are.
pub fn frontends(dockerfile: &Dockerfile, request: &Request, world: &World<'_>) -> Result<(), Failure> {
    let written = dockerfile.directives.iter().find(|directive| directive.name == DirectiveName::Syntax);
    let given = request.build_args.get("BUILDKIT_SYNTAX");
    let (name, at) = match (given, written) {
        (Some(given), _) => (given.as_str(), None),
        (None, Some(written)) => (written.value.as_str(), Some(dockerfile.span(written.range.clone()))),
        (None, None) => return Ok(()),
    };
    let bare = name.strip_prefix("docker.io/").unwrap_or(name);
    let bare = bare.strip_prefix("docker/").unwrap_or(bare);
    if ["dockerfile", "dockerfile-upstream"].contains(&bare.split([':', '@']).next().unwrap_or(bare)) {
        world.events.detail("syntax", &format!("{name}: read by corten itself"));
        return Ok(());
    }
    let failure =
        Failure::input(format!("the file is written for the frontend {name}, which would be a program of others"))
            .hint("corten reads Docker's own language (docker/dockerfile) and runs no frontend");
    Err(match at {
        Some(at) => failure.at(at),
        None => failure,
    })
}

fn matcher(text: &Text) -> Result<Matcher, Failure> {
    let lines = read_ignore_file(&text.text);
    for (line, pattern) in &lines {
        Matcher::new([pattern.as_str()]).map_err(|error| {
            Failure::input(error.to_string()).at(Span::line_of(&text.path, Arc::clone(&text.text), *line))
        })?;
    }
    let whole = Matcher::new(lines.iter().map(|(_, pattern)| pattern.as_str()));
    whole.map_err(|error| Failure::input(format!("{}: {error}", text.path.display())))
}

/// `[base.aliases]` of the folder's settings.
fn aliases(source: &Source) -> Result<BTreeMap<String, String>, Failure> {
    let Some(folder) = source.folder.as_ref().filter(|_| source.address.is_none()) else { return Ok(BTreeMap::new()) };
    let settings = Settings::read(&project::texts(folder)?)?;
    Ok(settings.aliases.into_iter().map(|(name, alias)| (name, alias.value)).collect())
}
