//! The project's files at their places in the image, and what is learned from reading them: how the service starts,
//! and whether they are those of the commit.

use std::collections::BTreeSet;
use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_frontend::entry::{self, Entry, Facts};
use corten_frontend::ignore::{Fate, Ignore};
use corten_plan::SourceFile;

use crate::context::{Context, Found, Hashes, Outside, walk};
use crate::git::Commit;
use crate::packages::Packages;
use crate::project::Project;
use crate::world::World;

/// A source of this size or more is not searched for an entry point.
const LARGEST_SOURCE: u64 = 1 << 20;

/// The project's files.
pub struct Files {
    /// The app layer, sorted by path in the image.
    pub app: Vec<SourceFile>,
    /// The layer of weights, sorted by path in the image.
    pub weights: Vec<SourceFile>,
    /// What stays out.
    pub outside: Outside,
    rules: Ignore,
    sources: Vec<(String, String)>,
}

/// Walks the project, hashes what enters the image, reads the Python sources.
pub fn files(project: &Project, world: &World<'_>) -> Result<Files, Report> {
    let rules = Ignore::new(&project.settings, project.ignore.as_ref())?;
    let context = walk(&project.folder, &rules)?;
    let mut hashes = Hashes::load(world.store, &project.folder)?;
    let mut app = place(project, &context.app, &mut hashes, world.now)?;
    app.extend(extra_files(project, &mut hashes, world.now)?);
    app.sort_by(|left, right| left.path.cmp(&right.path));
    refuse_twice(&app, project)?;
    let weights = place(project, &context.weights, &mut hashes, world.now)?;
    hashes.save(world.store, &project.folder)?;
    let sources = sources(&project.folder, &context)?;
    Ok(Files { app, weights, outside: context.outside, rules, sources })
}

fn place(project: &Project, found: &[Found], hashes: &mut Hashes, now: i64) -> Result<Vec<SourceFile>, Failure> {
    let below = project.settings.workdir.value.trim_matches('/');
    let target = |path: &str| if below.is_empty() { path.to_owned() } else { format!("{below}/{path}") };
    found.iter().map(|found| hashes.source_file(&project.folder, found, target(&found.path), now)).collect()
}

fn extra_files(project: &Project, hashes: &mut Hashes, now: i64) -> Result<Vec<SourceFile>, Failure> {
    let one = |extra: &corten_frontend::settings::Setting<corten_frontend::settings::ExtraFile>| {
        let source = project.folder.join(&extra.value.from);
        let metadata = source.metadata().map_err(|error| {
            let failure = Failure::usage(format!("reading the extra file {}: {error}", source.display()))
                .hint("'from' is a path in the project's folder");
            match &extra.at {
                Some(at) => failure.at(at.clone()),
                None => failure,
            }
        })?;
        let found = Found { path: extra.value.from.clone(), metadata };
        let file =
            hashes.source_file(&project.folder, &found, extra.value.to.trim_start_matches('/').to_owned(), now)?;
        Ok(SourceFile { mode: extra.value.mode.unwrap_or(file.mode), ..file })
    };
    project.settings.extra_files.iter().map(one).collect()
}

fn refuse_twice(files: &[SourceFile], project: &Project) -> Result<(), Failure> {
    let Some([file, _]) = files.array_windows().find(|[one, next]| one.path == next.path) else { return Ok(()) };
    let failure = Failure::usage(format!("two files of the project would become /{} in the image", file.path))
        .hint("give the extra file another place");
    let mut extras = project.settings.extra_files.iter();
    let extra = extras.rfind(|extra| extra.value.to.trim_start_matches('/') == file.path);
    Err(match extra.and_then(|extra| extra.at.clone()) {
        Some(at) => failure.at(at),
        None => failure,
    })
}

/// Paths and texts of the files that may say how the project is started.
pub fn sources(folder: &Path, context: &Context) -> Result<Vec<(String, String)>, Failure> {
    let wanted = |found: &&Found| {
        entry::is_source(&found.path) && found.metadata.is_file() && found.metadata.len() < LARGEST_SOURCE
    };
    let read = |found: &Found| {
        let path = folder.join(&found.path);
        let bytes =
            std::fs::read(&path).map_err(|error| Failure::world(format!("reading {}: {error}", path.display())))?;
        Ok((found.path.clone(), String::from_utf8_lossy(&bytes).into_owned()))
    };
    context.app.iter().filter(wanted).map(read).collect()
}

impl Files {
    /// The project's own files in the image, by their paths in the project: neither extra files nor generated ones.
    pub fn of_project(&self, project: &Project) -> impl Iterator<Item = (String, &SourceFile)> {
        let below = format!("{}/", project.settings.workdir.value.trim_matches('/'));
        let below = below.trim_start_matches('/').to_owned();
        let folder = project.folder.clone();
        self.app.iter().chain(&self.weights).filter_map(move |file| {
            let path = file.path.strip_prefix(&below)?;
            (file.source == folder.join(path)).then(|| (path.to_owned(), file))
        })
    }

    /// The app layer without what the project's own packages hold; what the command names stays where it is.
    pub fn without(&self, project: &Project, packaged: &BTreeSet<String>, start: &Entry) -> Vec<SourceFile> {
        let named: BTreeSet<&str> = start.command.iter().map(String::as_str).collect();
        let gone: BTreeSet<String> = self
            .of_project(project)
            .filter(|(path, _)| packaged.contains(path) && !named.contains(path.as_str()))
            .map(|(_, file)| file.path.clone())
            .collect();
        self.app.iter().filter(|file| !gone.contains(&file.path)).cloned().collect()
    }

    /// How the service starts: as the settings say, else as the sources show.
    pub fn start(&self, project: &Project, packages: &Packages) -> Result<Entry, Failure> {
        let wheels = packages.wheels.iter().map(|wheel| wheel.name.clone());
        let wheels = wheels.chain(packages.builds.iter().map(|build| build.sdist.name.clone()));
        let installed: Vec<String> = wheels.chain(packages.local.iter().map(|local| local.name.clone())).collect();
        entry::find(&Facts { sources: &self.sources, settings: &project.settings, installed: &installed })
    }

    /// Files of the image that differ from the commit, or would be in it had they not been deleted. What decides the
    /// image without entering it (lock, settings) counts too; weights never do.
    pub fn dirty(&self, project: &Project, commit: &Commit) -> Vec<String> {
        let lock = project.lock_name();
        let decides = |path: &str| path == lock || matches!(path, "pyproject.toml" | "corten.toml" | ".dockerignore");
        let extra = |path: &str| project.settings.extra_files.iter().any(|extra| extra.value.from == path);
        let enters = |path: &&str| decides(path) || extra(path) || self.rules.fate(path) == Fate::App;
        let changed = commit.changed.iter().filter_map(|path| path.to_str());
        changed.filter(enters).map(str::to_owned).collect()
    }
}
