//! The checklist of an image that comes from a Dockerfile: from the file, its context and its settings; no image is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use corten_check::lint::{Choice, Config, IgnoreFile, lint_dockerfile};
use corten_check::{CheckInput, FileFacts, PackageFacts, Policy, ProjectFacts, check};
use corten_diagnostic::{Failure, Finding, Report, Span};
use corten_frontend::dockerfile::{Dockerfile, Options};
use corten_frontend::ignore::{Ignore, Matcher, read_ignore_file};
use corten_frontend::settings::{Settings, Text};
use corten_oci::{ContainerConfig, Platform};
use corten_package::Requirement;
use corten_plan::recipe::{Action, Base, CopyAction, CopySource, Files, Recipe};

use super::{CHECKLIST, Fact, Readiness, Requirements, amount, answered, is_none, no, unknown, yes};
use crate::base::HOST;
use crate::context::{Context, walk};
use crate::dockerfile::{Mistakes, all_installed, without_images};
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
    Ok(answered(format!("Dockerfile: {}", file.path.display()), seen.facts()?, findings, &requirements))
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

    /// ADD and COPY of the shipped stages, or of the others.
    fn copies(&self, of_shipped: bool) -> impl Iterator<Item = &CopyAction> {
        let shipped = self.shipped();
        let stages = self.recipe.stages.iter().enumerate().filter(move |(at, _)| shipped.contains(at) == of_shipped);
        stages.flat_map(|(_, stage)| &stage.steps).filter_map(|step| match &step.action {
            Action::Copy(copy) => Some(copy.as_ref()),
            _ => None,
        })
    }

    /// Files of the context that the shipped stages copy, or the others.
    fn copied(&self, of_shipped: bool) -> Vec<FileFacts<'_>> {
        let taken: Vec<Taken> = self.copies(of_shipped).filter_map(Taken::of).collect();
        let files = self.context.app.iter().filter(|found| taken.iter().any(|taken| taken.has(&found.path)));
        files
            .map(|found| FileFacts { path: &found.path, size: found.metadata.len(), weight: false, runs_code: false })
            .collect()
    }

    fn findings(&self) -> Result<Vec<Finding>, Failure> {
        let files = self.copied(true);
        let config = self.config();
        let project = ProjectFacts { unpinned: self.unpinned()?, ..ProjectFacts::default() };
        let found = check(&CheckInput { files: &files, project, ..CheckInput::of_image(&config) });
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

    /// The files that RUN installs from, and those that these name.
    fn installed(&self) -> Result<Installed, Failure> {
        let every: Vec<usize> = (0..self.recipe.stages.len()).collect();
        let installed = self.runs(&every).flat_map(all_installed);
        let mut wanted: Vec<String> = installed.map(|path| of_project(self.folder, &path)).collect();
        let mut installed = Installed::default();
        while let Some(name) = wanted.pop() {
            let is_known = installed.files.contains_key(&name) || installed.missing.contains(&name);
            if is_known || installed.files.len() + installed.missing.len() >= MOST_FILES {
                continue;
            }
            // What another file names may lie anywhere.
            let is_below = below("", &name).as_deref() == Some(name.as_str());
            match if is_below { text(self.folder, &name)? } else { None } {
                Some(file) => {
                    if is_requirements(&name) {
                        wanted.extend(included(&name, &file.text));
                    }
                    installed.files.insert(name, file);
                }
                None => drop(installed.missing.insert(name)),
            }
        }
        Ok(installed)
    }

    /// Requirements without a version.
    fn unpinned(&self) -> Result<Vec<PackageFacts>, Failure> {
        let files = self.installed()?.files;
        let requirements = files.iter().filter(|(name, _)| is_requirements(name));
        Ok(requirements.flat_map(|(_, file)| unpinned(&file.path, &file.text)).collect())
    }

    fn facts(&self) -> Result<Vec<Fact>, Failure> {
        let config = self.config();
        let files = self.context.app.len();
        let copied = self.copied(true);
        let bytes = copied.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size));
        Ok(vec![
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
            self.secrets(),
            yes("data", format!("of {files} files of the context {} are copied, {}", copied.len(), amount(bytes))),
            self.lock()?,
            self.python(),
            unknown("licences", "only a build tells what is installed", "corten check NAME:VERSION"),
        ])
    }

    /// What a stage that is not shipped takes may be among what is copied from it: only a build shows that.
    fn secrets(&self) -> Fact {
        let comes_from_stages = self.copies(true).any(|copy| matches!(copy.from, Files::Stage(_)));
        let others = if comes_from_stages { self.copied(false) } else { Vec::new() };
        let secret = others.iter().find(|file| corten_check::is_secret_file(file.path));
        match secret {
            Some(file) => unknown(
                "secrets",
                format!("a stage takes '{}', and from a stage files are copied", file.path),
                "put it into .dockerignore; or corten build -t NAME:VERSION . && corten check NAME:VERSION",
            ),
            None => {
                let files = self.copied(true).len();
                yes("secrets", format!("no name among {files} files that are copied, and no variable, is a secret's"))
            }
        }
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

    fn lock(&self) -> Result<Fact, Failure> {
        let Installed { files, missing } = self.installed()?;
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        Ok(match missing.first() {
            Some(name) => {
                let folder = self.folder.display();
                unknown("lock", format!("{name} is not in {folder}: what it pins is not known"), "corten lock")
            }
            None if names.is_empty() => {
                unknown("lock", "no command installs from a file of the project", "corten lock")
            }
            None => yes("lock", format!("what is installed is pinned in {}", names.join(", "))),
        })
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
    let check = config.healthcheck.as_ref().filter(|check| !is_none(check));
    match (check, config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty())) {
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

/// More files of requirements are not read.
const MOST_FILES: usize = 100;

/// Files that commands install from, by their names below the folder.
#[derive(Debug, Default)]
struct Installed {
    files: BTreeMap<String, Text>,
    /// Those that are not in the folder.
    missing: BTreeSet<String>,
}

/// The file of the project that a path of the image means, which may have it elsewhere: `requirements/prod.txt` of
/// `/tmp/requirements/prod.txt`, its name alone where there is none such.
fn of_project(folder: &Path, path: &str) -> String {
    let starts = std::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
    let ends = starts.filter_map(|start| below("", path.get(start..)?));
    let found = ends.into_iter().find(|end| !end.is_empty() && folder.join(end).is_file());
    found.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path).to_owned())
}

fn is_requirements(name: &str) -> bool {
    name.ends_with(".txt") || name.ends_with(".in")
}

/// What a file of requirements takes in by `-r` and `-c`, relative to the file itself; one that lies outside the folder, as it is
/// written.
fn included(name: &str, text: &str) -> Vec<String> {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let file = |line: &str| {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let options = ["--requirement", "--constraint", "-r", "-c"];
        let rest = options.iter().find_map(|option| line.strip_prefix(option))?;
        let file = rest.trim_start_matches('=').trim();
        (!file.is_empty()).then(|| below(folder, file).unwrap_or_else(|| file.to_owned()))
    };
    text.lines().filter_map(file).collect()
}

/// A path from a folder below the project; none where it leads out of it.
fn below(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            ".." => drop(parts.pop()?),
            "" | "." => {}
            part => parts.push(part),
        }
    }
    (!path.starts_with('/') && !path.contains("://")).then(|| parts.join("/"))
}

/// What a COPY takes of the context.
struct Taken {
    paths: Matcher,
    without: Matcher,
}

impl Taken {
    /// None where it takes nothing of it.
    fn of(copy: &CopyAction) -> Option<Self> {
        let path = |source: &CopySource| match source {
            CopySource::Path { path, .. } => Some(path.trim_start_matches('/').trim_start_matches("./").to_owned()),
            _ => None,
        };
        let whole = |path: String| if path.trim_matches(['/', '.']).is_empty() { "**".to_owned() } else { path };
        let paths: Vec<String> = copy.sources.iter().filter_map(path).map(whole).collect();
        let paths = Matcher::new(paths.iter().map(String::as_str)).ok().filter(|_| copy.from == Files::Context)?;
        let without = Matcher::new(copy.exclude.iter().map(String::as_str)).unwrap_or_default();
        Some(Self { paths, without })
    }

    fn has(&self, path: &str) -> bool {
        self.paths.matches(path) && !self.without.matches(path)
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
        // `==2.*` is any 2.
        let is_exact = plain.contains("==") && !plain.contains('*');
        if !is_exact && !plain.contains('@') {
            let at = Some(Span::line_of(path, std::sync::Arc::clone(text), at + 1));
            found.push(PackageFacts { package: requirement.name.to_string(), why: String::new(), at });
        }
    }
    found
}
