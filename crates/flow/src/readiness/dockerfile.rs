//! The checklist of an image that comes from a Dockerfile: from the file, its context and its settings; no image is asked for.

use std::path::Path;

use corten_check::lint::{Choice, Config, IgnoreFile, lint_dockerfile};
use corten_check::{BaseFacts, CheckInput, FileFacts, LibrariesFacts, PackageFacts, Policy, ProjectFacts, check};
use corten_diagnostic::{Failure, Finding, Report, Span};
use corten_frontend::dockerfile::{Dockerfile, Options};
use corten_frontend::ignore::{Ignore, Matcher, read_ignore_file};
use corten_frontend::settings::{Settings, Text};
use corten_oci::{ContainerConfig, Platform};
use corten_package::Requirement;
use corten_plan::recipe::{Action, Base, CopySource, Files, Recipe};

use super::{CHECKLIST, Fact, Readiness, Requirements, amount, answered, no, unknown, yes};
use crate::base::HOST;
use crate::context::{Context, walk};
use crate::dockerfile::{Mistakes, installs, without_images};
use crate::project::{self, text};
use crate::world::World;

/// Rules that can judge from what is known here.
const APPLY: [&str; 6] = ["ML142", "ML151", "ML152", "ML154", "ML161", "ML201"];

/// Answers from a folder's Dockerfile.
///
/// # Errors
/// Usage where settings are wrong; input for all mistakes of the Dockerfile at once.
pub fn dockerfile(folder: &Path, strict: bool, world: &World<'_>) -> Result<Readiness, Report> {
    let name =
        ["Dockerfile", "dockerfile"].into_iter().find(|name| folder.join(name).is_file()).unwrap_or("Dockerfile");
    let Some(file) = text(folder, name)? else {
        return Err(Failure::usage(format!("there is no Dockerfile in {}", folder.display())).into());
    };
    let settings = Settings::read(&project::texts(folder)?)?;
    let dockerfile = Dockerfile::read(&file.path, &file.text).map_err(Mistakes)?;
    let recipe = without_images(&dockerfile, &Options::new(Platform::linux(HOST), Platform::linux(HOST)))?;
    let context = context(folder, &settings)?;
    let seen = Seen { folder, recipe: &recipe, context: &context };
    let mut findings = linted(folder, &file, world)?;
    findings.extend(seen.findings()?);
    let requirements = Requirements {
        policy: Policy::of(&settings.check)?,
        points: settings.check.require.iter().map(|point| point.value.clone()).collect(),
        strict,
    };
    Ok(answered(format!("Dockerfile: {}", file.path.display()), seen.facts(), findings, &requirements))
}

/// What the rules for Dockerfiles find, those alone that points are about: `corten lint` tells the rest.
fn linted(folder: &Path, file: &Text, world: &World<'_>) -> Result<Vec<Finding>, Failure> {
    let ignore = match text(folder, ".dockerignore")? {
        None => None,
        Some(text) => {
            let lines = read_ignore_file(&text.text);
            let matcher = Matcher::new(lines.iter().map(|(_, pattern)| pattern.as_str()));
            let matcher = matcher.map_err(|error| Failure::input(format!("{}: {error}", text.path.display())))?;
            Some(IgnoreFile { path: text.path.clone(), text: text.text.to_string(), matcher })
        }
    };
    let config = Config { today: Some(world.today()), ignore, context_known: true, ..Config::default() };
    let linted = lint_dockerfile(&file.path, &file.text, &config, &Choice::default());
    let is_asked = |finding: &Finding| CHECKLIST.iter().any(|asked| asked.rules.contains(&finding.rule.0));
    Ok(linted.findings.into_iter().filter(is_asked).collect())
}

/// What a build would be sent: only .dockerignore keeps anything out.
fn context(folder: &Path, settings: &Settings) -> Result<Context, Failure> {
    let mut plain = settings.clone();
    plain.ignore.defaults.value = false;
    plain.ignore.patterns.clear();
    plain.weights.clear();
    walk(folder, &Ignore::new(&plain, text(folder, ".dockerignore")?.as_ref())?)
}

struct Seen<'a> {
    folder: &'a Path,
    recipe: &'a Recipe,
    context: &'a Context,
}

impl Seen<'_> {
    fn config(&self) -> ContainerConfig {
        self.recipe.stages.last().map(|stage| stage.config.config.clone()).unwrap_or_default()
    }

    /// The last stage and those that it stands on.
    fn shipped(&self) -> Vec<usize> {
        let mut all = Vec::new();
        let mut at = self.recipe.stages.len().checked_sub(1);
        while let Some(stage) = at {
            all.push(stage);
            at = match self.recipe.stages.get(stage).map(|stage| &stage.base) {
                Some(Base::Stage(below)) if *below < stage => Some(*below),
                _ => None,
            };
        }
        all
    }

    /// Arguments of RUN in the stages of these numbers.
    fn runs(&self, stages: &[usize]) -> impl Iterator<Item = &[String]> {
        let stages = stages.to_vec();
        let all = self.recipe.stages.iter().enumerate().filter(move |(at, _)| stages.contains(at));
        all.flat_map(|(_, stage)| &stage.steps).filter_map(|step| match &step.action {
            Action::Run(run) => Some(run.arguments.as_slice()),
            _ => None,
        })
    }

    /// Does a COPY of the shipped stages take in the whole folder?
    fn takes_all(&self) -> bool {
        let shipped = self.shipped();
        let steps = self.recipe.stages.iter().enumerate().filter(|(at, _)| shipped.contains(at));
        steps.flat_map(|(_, stage)| &stage.steps).any(|step| match &step.action {
            Action::Copy(copy) if copy.from == Files::Context => copy.sources.iter().any(
                |source| matches!(source, CopySource::Path { path, .. } if path.trim_matches(['/', '.']).is_empty()),
            ),
            _ => false,
        })
    }

    fn findings(&self) -> Result<Vec<Finding>, Failure> {
        let all = self.takes_all();
        let files: Vec<FileFacts<'_>> = self
            .context
            .app
            .iter()
            .filter(|_| all)
            .map(|found| FileFacts { path: &found.path, size: found.metadata.len(), weight: false, runs_code: false })
            .collect();
        let config = self.config();
        let found = check(&CheckInput {
            config: &config,
            listens: config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()),
            settings: None,
            base: BaseFacts { name: String::new(), pinned: true, at: None },
            lock: None,
            files: &files,
            layers: &[],
            libraries: LibrariesFacts::default(),
            budget: None,
            steps: &[],
            gpu: &[],
            project: ProjectFacts { unpinned: self.unpinned()?, ..ProjectFacts::default() },
        });
        let root = config.user.is_empty() && !self.base_is_known();
        let applies = |finding: &Finding| APPLY.contains(&finding.rule.0) && !(root && finding.rule.0 == "ML151");
        Ok(found.into_iter().filter(applies).collect())
    }

    /// Does the base's own user count? Of Docker's images for Python and Debian it is root.
    fn base_is_known(&self) -> bool {
        let lowest = self.shipped().last().and_then(|stage| self.recipe.stages.get(*stage));
        match lowest.map(|stage| &stage.base) {
            Some(Base::Image(name)) => {
                let name = name.image.trim_start_matches("docker.io/").trim_start_matches("library/");
                ["python:", "debian:", "ubuntu:", "nvidia/cuda:", "alpine:", "pytorch/pytorch:"]
                    .iter()
                    .any(|known| name.starts_with(known))
            }
            _ => true,
        }
    }

    /// Requirements without a version, in the files that RUN installs from.
    fn unpinned(&self) -> Result<Vec<PackageFacts>, Failure> {
        let every: Vec<usize> = (0..self.recipe.stages.len()).collect();
        let mut names: Vec<String> = self.runs(&every).filter_map(installs).collect();
        names.sort();
        names.dedup();
        let mut found = Vec::new();
        for name in names.iter().filter(|name| name.ends_with(".txt") || name.ends_with(".in")) {
            if let Some(file) = text(self.folder, name)? {
                found.extend(unpinned(&file.path, &file.text));
            }
        }
        Ok(found)
    }

    fn facts(&self) -> Vec<Fact> {
        let config = self.config();
        let files = self.context.app.len();
        let bytes = self.context.app.iter().fold(0, |sum: u64, found| sum.saturating_add(found.metadata.len()));
        vec![
            self.stages(),
            match config.user.as_str() {
                "" if self.base_is_known() => no("user", "no USER, and the base's is root", "USER 10001:10001"),
                "" => unknown("user", "no USER: the base decides", "USER 10001:10001"),
                user => yes("user", format!("USER {user}")),
            },
            health(&config),
            unknown("size", "only a build tells", "corten build -t NAME:VERSION . && corten check NAME:VERSION"),
            tags(&config),
            self.base(),
            unknown("digest", "not built yet", "corten build -t NAME:VERSION . prints it"),
            unknown("sbom", "not built yet", "corten build --sbom=true -t NAME:VERSION ."),
            yes("cache", "no rule found a command that a change of the code repeats"),
            yes("secrets", format!("no name among {files} files of the context, and no variable, is a secret's")),
            yes("data", format!("the context has {files} files, {}", amount(bytes))),
            self.lock(),
            self.python(),
            unknown("licences", "only a build tells what is installed", "corten check NAME:VERSION"),
        ]
    }

    fn stages(&self) -> Fact {
        const TOOLS: [&str; 6] = ["build-essential", "gcc", "g++", "cmake", "cargo", "nvcc"];
        let count = self.recipe.stages.len();
        let shipped = self.shipped();
        let tool = self.runs(&shipped).find_map(|arguments| {
            let text = arguments.join(" ");
            let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c == '\\').collect();
            let installs = words.contains(&"install") || words.contains(&"add");
            TOOLS.into_iter().find(|tool| installs && words.contains(tool))
        });
        match (tool, count) {
            (Some(tool), _) => {
                no("stages", format!("{tool} is installed in the stage that is shipped"), "corten init --dockerfile")
            }
            (None, 1) => {
                no("stages", "one stage: installers and what they leave are shipped", "corten init --dockerfile")
            }
            (None, count) => yes("stages", format!("{count} stages; the last installs no compiler")),
        }
    }

    fn base(&self) -> Fact {
        let images = self.recipe.stages.iter().filter_map(|stage| match &stage.base {
            Base::Image(name) => Some(name.image.as_str()),
            _ => None,
        });
        let images: Vec<&str> = images.collect();
        match images.iter().find(|image| !image.contains("@sha256:")) {
            Some(image) => no("base", format!("{image} is a name that moves"), format!("corten resolve {image}")),
            None if images.is_empty() => yes("base", "it stands on nothing"),
            None => yes("base", images.join(", ")),
        }
    }

    fn lock(&self) -> Fact {
        let every: Vec<usize> = (0..self.recipe.stages.len()).collect();
        let mut names: Vec<String> = self.runs(&every).filter_map(installs).collect();
        names.sort();
        names.dedup();
        match names.is_empty() {
            true => unknown("lock", "no command installs from a file of the project", "corten lock"),
            false => yes("lock", format!("what is installed is pinned in {}", names.join(", "))),
        }
    }

    fn python(&self) -> Fact {
        let image = self.recipe.stages.iter().rev().find_map(|stage| match &stage.base {
            Base::Image(name) => name.image.split_once("python:").map(|(_, tag)| tag.to_owned()),
            _ => None,
        });
        match image {
            Some(tag) => yes("python", format!("python:{tag}")),
            None => unknown("python", "the base's name does not tell", "corten check NAME:VERSION, once it is built"),
        }
    }
}

fn health(config: &ContainerConfig) -> Fact {
    match (&config.healthcheck, config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty())) {
        (Some(_), _) => yes("health", "HEALTHCHECK"),
        (None, true) => no("health", "EXPOSE, and no HEALTHCHECK", "corten init --dockerfile"),
        (None, false) => yes("health", "it exposes no port: a job"),
    }
}

fn tags(config: &ContainerConfig) -> Fact {
    let has = |name: &str| {
        let name = format!("org.opencontainers.image.{name}");
        config.labels.as_ref().is_some_and(|labels| labels.contains_key(&name))
    };
    let mend = "corten build -t NAME:VERSION -t NAME:sha-COMMIT .";
    match has("version") && has("revision") {
        true => yes("tags", "labels tell version and commit; tags are given when it is built"),
        false => unknown("tags", "tags are given when it is built, and no labels tell version and commit", mend),
    }
}

/// Lines of requirements that any later version fulfils.
fn unpinned(path: &Path, text: &std::sync::Arc<str>) -> Vec<PackageFacts> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let written = line.split(" #").next().unwrap_or_default().split(" --").next().unwrap_or_default();
        let written = written.trim().trim_end_matches('\\').trim();
        if written.is_empty() || written.starts_with(['-', '#', '.', '/']) {
            continue;
        }
        let Ok(requirement) = written.parse::<Requirement>() else { continue };
        let plain = written.split(';').next().unwrap_or_default();
        if !plain.contains("==") && !plain.contains('@') {
            let at = Some(Span::line_of(path, std::sync::Arc::clone(text), at + 1));
            found.push(PackageFacts { package: requirement.name.to_string(), why: String::new(), at });
        }
    }
    found
}
