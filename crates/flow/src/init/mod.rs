//! `corten init`: what a folder shows, written down as settings.
//!
//! ```text
//! texts without settings ─► Shown (lock, base, start, models, what no service reads) ─► lines ─► Change of each file
//! ```
//!
//! What is found is found by the same code as for a plan, and nothing is fetched. A setting is written only where the plan
//! with it is the plan without it; what is a guess, or cannot be known from the folder, stands there as a comment. On request
//! there are files for other tools, too ([`files`]); then a registry is asked for the digests of their bases.

mod dockerfile;
mod files;
mod imports;
mod propose;
mod shown;
mod workload;
mod write;

use std::io::Read;
use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_frontend::dockerfile::{Dockerfile, Options};
use corten_frontend::entry::Certainty;
use corten_frontend::settings::{Text, Texts, has_settings, settings_text, with_section, without_section};
use corten_oci::{Digest, Platform, Reference};

use files::Source;
pub use files::Wanted;
pub use workload::table as workloads;

use crate::base::HOST;
use crate::diff;
use crate::dockerfile::{Mistakes, without_images};
use crate::gpu::TargetOptions;
use crate::project;
use crate::registry::{self, RegistryOptions};
use crate::world::World;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// One word: `lock`, `base`, `run` …
    pub what: &'static str,
    /// What.
    pub value: String,
    /// How sure that is.
    pub certainty: Certainty,
    /// From what.
    pub because: String,
}

/// A file as it is and as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Below the project: `pyproject.toml`.
    pub name: String,
    /// None where there is no such file.
    pub before: Option<String>,
    /// The whole file.
    pub after: String,
}

impl Change {
    /// The lines that differ, as `diff -u` shows them; empty where there are none.
    pub fn diff(&self) -> String {
        diff::unified(&self.name, self.before.as_deref(), &self.after)
    }
}

/// What `corten init` found and would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// What was found, in the order of the settings.
    pub found: Vec<Found>,
    /// What stands in the way of a plan, one sentence each.
    pub problems: Vec<String>,
    /// What would be written.
    pub changes: Vec<Change>,
    /// What stands there already and would be replaced: the place of settings, names of files.
    pub replaces: Option<String>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

impl Init {
    /// Writes the files, each whole or not at all.
    ///
    /// # Errors
    /// World: a folder that cannot be written, a file that has come or changed since it was read.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        self.changes.iter().try_for_each(|change| write::write(folder, change))
    }
}

/// What is wanted beside the settings, and how registries are asked.
#[derive(Debug, Default)]
pub struct InitOptions {
    /// Which files.
    pub files: Wanted,
    /// What is written down of driver and GPUs; nothing of them is guessed.
    pub gpu: TargetOptions,
    /// For digests of bases.
    pub registry: RegistryOptions,
}

/// Looks at a folder and says what would be written; writes nothing. Where other files are wanted, settings that stand there
/// are kept, and the files are made of them.
///
/// # Errors
/// Usage where there is no such folder; input where pyproject.toml cannot be read.
pub fn init(folder: &Path, options: &InitOptions, world: &World<'_>) -> Result<Init, Report> {
    let (texts, plain) = texts(folder)?;
    let wanted = options.files;
    let keep = (wanted.dockerfile || wanted.compose) && stands(&texts).is_some();
    let shown = shown::look(folder, if keep { &texts } else { &plain }, world)?;
    if shown.is_nothing() {
        return Err(Failure::input(format!("there is no Python project in {}", folder.display()))
            .hint("a project has pyproject.toml or requirements.txt, or at least a Python file")
            .into());
    }
    let imports = imports::imports(&shown.sources, &shown.notebooks);
    let facts = workload::Facts {
        installed: &shown.installed,
        locked: shown.lock_file.is_some(),
        start: shown.start.as_ref().ok(),
        sources: &shown.sources,
    };
    let guess = workload::guess(&facts);
    let mut proposal = propose::propose(&shown, &guess, &imports, wanted.dockerfile && !shown.has.ignore_file);
    options.gpu.alone(world)?;
    proposal.runs_on(&options.gpu);
    let mut init = finish(&texts, &plain, proposal)?;
    if keep {
        if options.gpu.is_typed() {
            init.problems.push("settings stand there already and stay: `[gpu]` is not written".to_owned());
        }
        init.changes.clear();
        init.replaces = None;
    }
    let pins = |name: &str| pinned(name, options, world);
    let has_dockerfile = wanted.dockerfile || shown.has.dockerfile;
    let source = Source { shown: &shown, guess: &guess, imports: &imports, pins: &pins, has_dockerfile };
    add(&mut init, folder, files::files(wanted, &source)?)?;
    Ok(init)
}

/// The digest that a name has at its registry now, where that can be asked.
fn pinned(name: &str, options: &InitOptions, world: &World<'_>) -> Option<Digest> {
    if world.client.settings().offline {
        return None;
    }
    let reference: Reference = name.parse().ok()?;
    match registry::resolve(&reference, &options.registry, world) {
        Ok(digest) => Some(digest),
        Err(report) => {
            world.events.warning(&format!("{name} is not pinned by digest: {report}"));
            None
        }
    }
}

/// Files that are there are replaced only when somebody says so.
fn add(init: &mut Init, folder: &Path, files: Vec<files::Written>) -> Result<(), Failure> {
    for (name, after) in files {
        let name = match name {
            "compose.yaml" => COMPOSE.into_iter().find(|name| folder.join(name).is_file()).unwrap_or(name),
            name => name,
        };
        let before = project::text(folder, name)?.map(|text| text.text.to_string());
        if before.as_ref() == Some(&after) {
            continue;
        }
        if before.is_some() {
            init.replaces = Some(init.replaces.take().map_or(name.to_owned(), |others| format!("{others}, {name}")));
        }
        if name == "Dockerfile" {
            init.next.push("corten build -f Dockerfile .".to_owned());
        }
        init.changes.push(Change { name: name.to_owned(), before, after });
    }
    Ok(())
}

/// Under any of these names compose finds it, the first first.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Where settings stand already.
fn stands(texts: &Texts) -> Option<String> {
    let has_section = texts.pyproject.as_ref().is_some_and(|text| without_section(&text.text).is_some());
    match &texts.corten {
        Some(_) => Some("corten.toml".to_owned()),
        None => has_section.then(|| "[tool.corten] of pyproject.toml".to_owned()),
    }
}

/// The same from a Dockerfile: the settings with which its image comes from the lock. `file` is `Dockerfile` of the folder where
/// nothing is said.
///
/// # Errors
/// Usage where there is no such folder or file; input for all mistakes of the Dockerfile at once.
pub fn init_from_dockerfile(folder: &Path, file: Option<&Path>) -> Result<Init, Report> {
    let (texts, plain) = texts(folder)?;
    let file = match file {
        Some(file) => file.to_owned(),
        None => ["Dockerfile", "dockerfile"]
            .map(|name| folder.join(name))
            .into_iter()
            .find(|path| path.is_file())
            .unwrap_or_else(|| folder.join("Dockerfile")),
    };
    let text = read(&file)?;
    let dockerfile = Dockerfile::read(&file, &text).map_err(Mistakes)?;
    let recipe = without_images(&dockerfile, &Options::new(Platform::linux(HOST), Platform::linux(HOST)))?;
    let shown = file.strip_prefix("./").unwrap_or(&file).display().to_string();
    finish(&texts, &plain, dockerfile::propose(folder, &dockerfile, &recipe, &shown))
}

/// A Dockerfile's bytes, at most.
const LARGEST: u64 = 4 << 20;

fn read(file: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("reading {}: {error}", file.display())).hint("--from-dockerfile FILE names another one")
    };
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(Failure::usage(format!("reading {}: it is no file", file.display()))
            .hint("--from-dockerfile FILE names another one"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let wrong = |what: &str| {
        Failure::input(format!("reading {}: {what}", file.display())).hint("--from-dockerfile FILE names another one")
    };
    // Before it is known to be text: a letter may be cut in two.
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("it is larger than 4 MiB, which no Dockerfile is"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is no text in UTF-8"))
}

/// The texts of a folder, and the same without settings.
fn texts(folder: &Path) -> Result<(Texts, Texts), Failure> {
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", folder.display()))
            .hint("give the folder of a project: corten init path/to/project"));
    }
    let texts = project::texts(folder)?;
    let mut plain = texts.clone();
    plain.corten = None;
    if let Some(pyproject) = &mut plain.pyproject
        && let Some(text) = without_section(&pyproject.text)
    {
        *pyproject = Text::new(pyproject.path.clone(), text);
    }
    Ok((texts, plain))
}

fn finish(texts: &Texts, plain: &Texts, mut proposal: propose::Proposal) -> Result<Init, Report> {
    let replaces = stands(texts);
    let settings = settings_change(texts, plain, &proposal)?;
    let mut changes = vec![settings];
    if let Some(after) = proposal.ignore_file.take() {
        changes.push(Change { name: ".dockerignore".to_owned(), before: None, after });
    }
    if let Some(after) = proposal.requirements.take() {
        changes.push(Change { name: "requirements.in".to_owned(), before: None, after });
    }
    changes.retain(|change| change.before.as_ref() != Some(&change.after));
    Ok(Init { found: proposal.found, problems: proposal.problems, changes, replaces, next: proposal.next })
}

/// corten.toml where it is there or there is nothing else to write into; else a section of pyproject.toml.
fn settings_change(texts: &Texts, plain: &Texts, proposal: &propose::Proposal) -> Result<Change, Failure> {
    let text = |section| settings_text(&proposal.head, &proposal.lines, section);
    let whole = |before: Option<String>| Change { name: "corten.toml".to_owned(), before, after: text(false) };
    if let Some(corten) = &texts.corten {
        return Ok(whole(Some(corten.text.to_string())));
    }
    let Some((pyproject, plain)) = texts.pyproject.as_ref().zip(plain.pyproject.as_ref()) else {
        return Ok(whole(None));
    };
    let is_link = pyproject.path.is_symlink();
    match with_section(&plain.text, &text(true)).filter(|_| !is_link) {
        Some(after) => {
            let before = Some(pyproject.text.to_string());
            Ok(Change { name: "pyproject.toml".to_owned(), before, after })
        }
        None if plain.text == pyproject.text && !has_settings(&pyproject.text) => Ok(whole(None)),
        None => Err(Failure::usage("the settings of pyproject.toml cannot be told from what stands around them")
            .hint("move them into a table [tool.corten] of their own, or into corten.toml")),
    }
}

#[cfg(test)]
mod tests;
