//! The checklist of an image that is there: in the store, or at its registry.
//!
//! From a registry only documents are read, so what lies in its layers cannot be known; of an image of the store it can.

use corten_check::{
    CheckInput, FileFacts, Policy, ProjectFacts, PythonFacts, check, end_of_python, why_secret_variable,
};
use corten_diagnostic::{Finding, Report};
use corten_frontend::settings::{Settings, Texts};
use corten_oci::{ContainerConfig, Kind};

use super::{Fact, Readiness, Requirements, amount, answered, is_none, no, unknown, yes};
use crate::dockerfile::{is_cache, is_compiler};
use crate::look::{Ask, Inspection, ReferrerKind, View, Wanted, find, inspect};
use crate::registry::RegistryOptions;
use crate::world::World;

/// Rules that can judge from a config and names of files alone.
const APPLY: [&str; 6] = ["ML142", "ML151", "ML152", "ML154", "ML161", "ML202"];

/// Answers from the documents of an image, and from what lies in its layers where that is known.
///
/// # Errors
/// As `corten inspect`.
pub fn image(name: &str, strict: bool, registry: &RegistryOptions, world: &World<'_>) -> Result<Readiness, Report> {
    let found = find(&Wanted { name, ask: Ask::StoreFirst }, registry, world)?;
    let seen = inspect(&found, None)?;
    let Some(view) = &seen.image else {
        return Err(corten_diagnostic::Failure::input(format!("{name} has no image that could be looked at"))
            .hint("`corten inspect` says what it is")
            .into());
    };
    let content = Content::of(view, world)?;
    let config = view.config.as_ref().map(|config| config.config.clone()).unwrap_or_default();
    let mut facts = facts(&seen, view, &config);
    facts.extend(content.facts(view, &config, found.is_local));
    let own = python_of(view, &config).filter(|(_, by_distribution)| !by_distribution);
    let ended = own.and_then(|(version, _)| PythonFacts::of(version, world.today()));
    let findings = findings(&config, &content, ended);
    // No settings are an image's: as where nothing is set.
    let policy = Policy::of(&Settings::read(&Texts::default())?.check)?;
    let requirements = Requirements { policy, points: Vec::new(), strict };
    Ok(answered(format!("image {name}"), facts, findings, &requirements))
}

/// Below these lies what packages bring.
const OF_PACKAGES: [&str; 9] =
    ["usr/", "lib/", "lib64/", "bin/", "sbin/", "etc/", "var/", "opt/venv/lib/", "opt/conda/"];

/// Those of them that are for projects: where guides of Docker, of Lambda and of web servers put them.
const OF_PROJECTS: [&str; 3] = ["usr/src/app/", "var/task/", "var/www/"];

/// Does a path lie where packages put files?
fn is_of_packages(path: &str) -> bool {
    let is_below = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    path.contains("-packages/") || is_below(&OF_PACKAGES) && !is_below(&OF_PROJECTS)
}

/// What lies in the layers.
#[derive(Debug, Default)]
struct Content {
    /// Is it known of every layer?
    known: bool,
    /// Paths and bytes of files that no package brings.
    files: Vec<(String, u64)>,
    /// There are more files than that.
    cut: bool,
    caches: u64,
    compilers: u64,
}

/// Files that are judged, at most.
const MOST: usize = 200_000;

impl Content {
    fn of(view: &View, world: &World<'_>) -> Result<Self, Report> {
        let mut content = Self { known: true, ..Self::default() };
        for layer in &view.layers {
            let index = match &layer.diff_id {
                Some(diff_id) => world.store.layer_index(diff_id)?,
                None => None,
            };
            let Some(index) = index else {
                content.known = false;
                continue;
            };
            for entry in index.entries.iter().filter(|entry| entry.kind == Kind::File) {
                let path = entry.path.to_string();
                content.caches += if is_cache(&path) { entry.size } else { 0 };
                content.compilers += if is_compiler(&path) { entry.size } else { 0 };
                let is_own = entry.package.is_none() && !is_of_packages(&path);
                match content.files.len() < MOST {
                    true if is_own => content.files.push((path, entry.size)),
                    _ => content.cut |= is_own,
                }
            }
        }
        Ok(content)
    }

    /// `is_local`: its layers have not been packed yet.
    fn facts(&self, view: &View, config: &ContainerConfig, is_local: bool) -> Vec<Fact> {
        let how = if is_local { "not compressed yet" } else { "compressed" };
        let bytes = format!("{} {how}, in {} layers", amount(view.size()), view.layers.len());
        if !self.known {
            let mend = "corten pull, then corten check";
            let tells = "the bytes of its layers are not here";
            return vec![
                unknown("stages", tells, mend),
                unknown("size", format!("{bytes}; {tells}"), mend),
                secret_variable(config).unwrap_or_else(|| unknown("secrets", tells, mend)),
                unknown("data", tells, mend),
            ];
        }
        let stages = match self.compilers {
            0 => yes("stages", "no compiler is in its layers"),
            compilers => no(
                "stages",
                format!("{} of compilers", amount(compilers)),
                "copy what they made into a stage of its own",
            ),
        };
        let size = match self.caches {
            0..1_000_000 => yes("size", bytes),
            caches => no(
                "size",
                format!("{bytes}; {} of caches of package managers", amount(caches)),
                "RUN --mount=type=cache for pip, uv and apt",
            ),
        };
        vec![
            stages,
            size,
            secret_variable(config).unwrap_or_else(|| {
                self.of_all("secrets", |files| format!("no name among {files} files, and no variable, is a secret's"))
            }),
            self.of_all("data", |files| format!("{files} files beside packages, none large")),
        ]
    }

    /// Yes, where all files were looked at.
    fn of_all(&self, name: &'static str, evidence: impl Fn(usize) -> String) -> Fact {
        match self.cut {
            true => unknown(name, format!("it has more than the {MOST} files that are looked at"), "corten inspect"),
            false => yes(name, evidence(self.files.len())),
        }
    }
}

/// A variable of the config that is a secret: no, without its value.
fn secret_variable(config: &ContainerConfig) -> Option<Fact> {
    let mut variables = config.env.iter().flatten().filter_map(|variable| variable.split_once('='));
    let secret = |(name, value)| why_secret_variable(name, value).map(|why| format!("the variable {name} {why}"));
    let what = variables.find_map(secret)?;
    Some(no("secrets", what, "leave it out, and give it when the container starts"))
}

fn findings(config: &ContainerConfig, content: &Content, python_ended: Option<PythonFacts>) -> Vec<Finding> {
    // A layer of its own for models is right; which layer a file lies in decides, and is not asked here.
    let files: Vec<FileFacts<'_>> = content
        .files
        .iter()
        .map(|(path, size)| FileFacts {
            path,
            size: *size,
            weight: crate::weights::is_named_as_model(path, *size),
            runs_code: false,
        })
        .collect();
    let project = ProjectFacts { python_ended, ..ProjectFacts::default() };
    let all = check(&CheckInput { files: &files, project, ..CheckInput::of_image(config) });
    all.into_iter().filter(|finding| APPLY.contains(&finding.rule.0)).collect()
}

fn facts(seen: &Inspection, view: &View, config: &ContainerConfig) -> Vec<Fact> {
    let check = config.healthcheck.as_ref().filter(|check| !is_none(check));
    let health = match (check, config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty())) {
        (Some(_), _) => yes("health", "the config has a health check"),
        (None, false) => yes("health", "it exposes no port"),
        (None, true) => no("health", "it exposes a port, and nothing asks it", "HEALTHCHECK"),
    };
    vec![
        yes("user", format!("the config says {}", config.user)),
        health,
        tags(seen, config),
        base(view),
        yes("digest", seen.digest.to_string()),
        sbom(seen),
        cache(view),
        unknown("lock", "an image does not tell what it was made from", "corten check FOLDER"),
        python(view, config),
        unknown("licences", "judged with the project's settings", "corten check FOLDER"),
    ]
}

fn tags(seen: &Inspection, config: &ContainerConfig) -> Fact {
    let label = |name: &str| {
        let name = format!("org.opencontainers.image.{name}");
        let of_config = config.labels.as_ref().and_then(|labels| labels.get(&name));
        of_config.or_else(|| seen.annotations.get(&name)).filter(|value| !value.is_empty() && *value != "unknown")
    };
    match (label("version"), label("revision")) {
        (Some(version), Some(revision)) => yes("tags", format!("version {version}, commit {revision}, by its labels")),
        (None, Some(_)) => no("tags", "no label tells its version", "LABEL org.opencontainers.image.version"),
        (Some(_), None) => no("tags", "no label tells its commit", "LABEL org.opencontainers.image.revision"),
        (None, None) => {
            no("tags", "no label tells version and commit", "corten ship, or LABEL org.opencontainers.image.revision")
        }
    }
}

fn base(view: &View) -> Fact {
    match view.base.as_ref().map(|base| (base.name.as_deref().unwrap_or("its base"), base.digest.as_deref())) {
        Some((name, Some(digest))) => yes("base", format!("{name} was {digest}")),
        Some((name, None)) if debs(view).next().is_some() && name.starts_with("debian:") => {
            let count = debs(view).count();
            yes("base", format!("{name}: {count} Debian packages, each by version in its bill of materials"))
        }
        Some((name, None)) => no("base", format!("it stands on {name}, and does not say which"), "FROM NAME@sha256:…"),
        None => unknown("base", "the image does not say what it stands on", "corten check FOLDER"),
    }
}

/// Package URLs of Debian packages, without `pkg:deb/debian/`.
fn debs(view: &View) -> impl Iterator<Item = &str> {
    let all = view.layers.iter().flat_map(|layer| &layer.packages);
    all.filter_map(|purl| purl.strip_prefix("pkg:deb/debian/"))
}

fn sbom(seen: &Inspection) -> Fact {
    match seen.referrers.iter().find(|referrer| referrer.kind == ReferrerKind::Sbom) {
        Some(found) => yes("sbom", format!("{} hangs on it", found.digest)),
        None => no("sbom", "none hangs on it", "corten ship, or corten build --sbom=true"),
    }
}

/// The last layer is what a change of the code makes anew.
fn cache(view: &View) -> Fact {
    let Some(last) = view.layers.last() else { return unknown("cache", "it has no layers", "corten inspect") };
    let (all, last) = (view.size(), last.blob.size);
    if view.layers.len() == 1 {
        return no("cache", "one layer has everything", "copy the code after the packages");
    }
    match last > 100_000_000 && last > all / 2 {
        true => no(
            "cache",
            format!("the last layer has {} of {}", amount(last), amount(all)),
            "copy the code after the packages",
        ),
        false => {
            yes("cache", format!("the last of {} layers has {} of {}", view.layers.len(), amount(last), amount(all)))
        }
    }
}

/// The version of Python that it starts, and is that a distribution's?
fn python_of<'v>(view: &'v View, config: &'v ContainerConfig) -> Option<(&'v str, bool)> {
    let package = debs(view).find_map(|purl| {
        let (minor, rest) = purl.strip_prefix("python3.")?.split_once('@')?;
        let is_python = !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit());
        is_python.then(|| rest.split(['-', '?', '+']).next().unwrap_or_default())
    });
    let package = package.or_else(|| {
        let minimal =
            debs(view).find_map(|purl| purl.split_once("-minimal@").filter(|(name, _)| name.starts_with("python3.")));
        minimal.map(|(_, rest)| rest.split(['-', '?', '+']).next().unwrap_or_default())
    });
    // Docker's images for Python have one in /usr/local, which goes before Debian's.
    let variable = config.env.iter().flatten().find_map(|variable| variable.strip_prefix("PYTHON_VERSION="));
    variable.or(package).map(|version| (version, package == Some(version)))
}

fn python(view: &View, config: &ContainerConfig) -> Fact {
    match python_of(view, config) {
        Some((version, true)) => yes("python", format!("Python {version} of Debian, which mends it")),
        Some((version, false)) => match end_of_python(version) {
            Some(end) => yes("python", format!("Python {version}, which gets fixes until {end}")),
            None => unknown("python", format!("Python {version}"), "https://devguide.python.org/versions/ has its end"),
        },
        None => unknown("python", "nothing tells which it has", "corten check FOLDER"),
    }
}
