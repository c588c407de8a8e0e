//! Requirements to wheels: what the build environment of a source distribution holds.
//!
//! The newest version that fulfils what is known, with a wheel that fits; what it requires is added, and where that
//! excludes a version that was taken, all begins anew with what is known now. What is known only grows, so this ends.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::{Failure, Report};
use corten_install::fetch::{Download, fetch};
use corten_install::python::Metadata;
use corten_install::python::index::{self, IndexFile};
use corten_layer::zip::Archive;
use corten_package::marker::{Asked, Environment};
use corten_package::pep440::{Specifiers, Version};
use corten_package::wheel::{Tags, WheelName};
use corten_package::{PackageName, Requirement, Source};
use corten_plan::{LockedWheel, PythonTarget};

use crate::packages::PYPI;
use crate::project::Project;
use crate::remote::mirrored;
use crate::world::World;

/// Packages in one environment; real ones have fewer than 30.
const MOST: usize = 300;
/// Bytes of METADATA.
const LONGEST_METADATA: u64 = 4 << 20;

/// Why requirements that could be fulfilled may not be.
const NEWEST: &str = "the newest version of each requirement is taken and none before it is tried: lock a version of the package \
                      with a wheel, or one that bounds its build requirements";

type Limits = BTreeMap<PackageName, Vec<Specifiers>>;

/// Finds wheels for build environments; remembers what the index said.
pub struct Resolver<'a> {
    project: &'a Project,
    world: &'a World<'a>,
    tags: Tags,
    environment: Environment,
    python: Option<Version>,
    files: BTreeMap<PackageName, Vec<IndexFile>>,
    requires: BTreeMap<String, Vec<Requirement>>,
}

impl<'a> Resolver<'a> {
    /// For environments of this Python.
    pub fn new(project: &'a Project, python: &PythonTarget, world: &'a World<'a>) -> Self {
        Self {
            project,
            world,
            tags: Tags::new(python.version, python.glibc, python.architecture),
            environment: Environment::new(python.full_version.clone(), python.architecture),
            python: python.full_version.parse().ok(),
            files: BTreeMap::new(),
            requires: BTreeMap::new(),
        }
    }

    /// The wheels of an environment that fulfils `texts`, sorted by name.
    ///
    /// # Errors
    /// Input for what is no requirement, or cannot be fulfilled from wheels; world where the index does not answer.
    pub fn resolve(&mut self, texts: &[String]) -> Result<Vec<LockedWheel>, Report> {
        let roots = texts.iter().map(|text| text.parse::<Requirement>());
        let roots = roots.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::input(error.to_string()))?;
        let mut limits = Limits::new();
        for _ in 0..MOST {
            if let Some(chosen) = self.round(&roots, &mut limits)? {
                return chosen.into_values().map(|file| self.locked(file)).collect();
            }
        }
        Err(Failure::input("its build requirements contradict each other").hint(NEWEST).into())
    }

    /// One way through; none where something was learned that excludes what was taken before.
    fn round(
        &mut self,
        roots: &[Requirement],
        limits: &mut Limits,
    ) -> Result<Option<BTreeMap<PackageName, IndexFile>>, Report> {
        let mut chosen = BTreeMap::new();
        let mut done = BTreeSet::new();
        let none = Asked::default();
        let mut todo: Vec<Requirement> = roots.iter().filter(|one| self.applies(one, &none)).cloned().collect();
        while let Some(requirement) = todo.pop() {
            let name = requirement.name.clone();
            let Source::Versions(versions) = &requirement.source else {
                return Err(Failure::input(format!("{name} is required by URL, which cannot be locked")).into());
            };
            let known = limits.entry(name.clone()).or_default();
            let is_new = !known.contains(versions);
            if is_new {
                known.push(versions.clone());
            }
            if is_new && chosen.contains_key(&name) {
                return Ok(None);
            }
            if !chosen.contains_key(&name) {
                let known = known.clone();
                chosen.insert(name.clone(), self.newest(&name, &known)?);
            }
            if chosen.len() > MOST {
                return Err(Failure::input(format!("a build that needs more than {MOST} packages")).into());
            }
            if done.insert((name.clone(), requirement.extras.clone()))
                && let Some(file) = chosen.get(&name).cloned()
            {
                let asked = Asked { extras: requirement.extras.clone(), ..Asked::default() };
                let more = self.requires(&file)?;
                todo.extend(more.into_iter().filter(|one| self.applies(one, &asked)));
            }
        }
        Ok(Some(chosen))
    }

    fn applies(&self, requirement: &Requirement, asked: &Asked) -> bool {
        requirement.marker.as_ref().is_none_or(|marker| marker.evaluate(&self.environment, asked))
    }

    /// The newest version within the limits that has a wheel for this Python.
    fn newest(&mut self, name: &PackageName, limits: &[Specifiers]) -> Result<IndexFile, Report> {
        if !self.files.contains_key(name) {
            let url = self.project.settings.index.url.as_ref().map_or(PYPI, |url| url.value.as_str());
            let url = mirrored(self.project, url);
            let files = index::files(self.world.client, &url, name.as_str(), self.world.events)?;
            self.files.insert(name.clone(), files);
        }
        let files = self.files.get(name).map(Vec::as_slice).unwrap_or_default();
        let best = files.iter().filter_map(|file| Some((self.rank(file, name, limits)?, file)));
        let best = best.max_by(|(left, _), (right, _)| left.cmp(right)).map(|(_, file)| file.clone());
        best.ok_or_else(|| {
            let limits: Vec<String> = limits.iter().map(Specifiers::canonical).filter(|one| !one.is_empty()).collect();
            let asked = if limits.is_empty() { String::new() } else { format!(" ({})", limits.join(", ")) };
            let failure = Failure::input(format!("no version of {name}{asked} has a wheel for {}", self.tags.target()))
                .hint("build requirements are taken from wheels only");
            match limits.len() {
                0 | 1 => failure.into(),
                _ => failure.hint(NEWEST).into(),
            }
        })
    }

    fn rank(&self, file: &IndexFile, name: &PackageName, limits: &[Specifiers]) -> Option<impl Ord + use<>> {
        let wheel = WheelName::parse(&file.file).ok().filter(|wheel| wheel.name == *name)?;
        let version = &wheel.version;
        let within = limits.iter().all(|limit| limit.contains_prerelease(version));
        let released =
            !version.is_prerelease() || limits.iter().any(|limit| limit.contains(version) && !limit.is_empty());
        let wants = file.requires_python.as_ref().and_then(|text| text.parse::<Specifiers>().ok());
        let runs =
            wants.is_none_or(|wants| self.python.as_ref().is_some_and(|python| wants.contains_prerelease(python)));
        let priority = self.tags.priority(&wheel)?;
        (within && released && runs && file.yanked.is_none() && file.digest.is_some())
            .then_some((wheel.version, priority))
    }

    /// What a wheel requires, as its METADATA says.
    fn requires(&mut self, file: &IndexFile) -> Result<Vec<Requirement>, Report> {
        if let Some(known) = self.requires.get(&file.file) {
            return Ok(known.clone());
        }
        let wheel = self.locked(file.clone())?;
        let broken = |why: String| Failure::input(format!("reading {}: {why}", file.file));
        let mut archive =
            Archive::new(self.world.store.file(&wheel.digest)?).map_err(|error| broken(error.to_string()))?;
        let is_metadata = |name: &str| name.ends_with(".dist-info/METADATA") && name.matches('/').count() == 1;
        let member = archive.members().iter().find(|member| is_metadata(&member.name)).cloned();
        let member = member.ok_or_else(|| broken("it has no METADATA".to_owned()))?;
        let bytes = archive.content(&member, LONGEST_METADATA).map_err(|error| broken(error.to_string()))?;
        let metadata = Metadata::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| broken(error.to_string()))?;
        let requires = metadata.requires_dist.iter().map(|text| text.parse::<Requirement>());
        let requires = requires.collect::<Result<Vec<_>, _>>().map_err(|error| broken(error.to_string()))?;
        self.requires.insert(file.file.clone(), requires.clone());
        Ok(requires)
    }

    /// Fetches a wheel and pins it.
    fn locked(&self, file: IndexFile) -> Result<LockedWheel, Report> {
        let named = WheelName::parse(&file.file).map_err(|error| Failure::input(error.to_string()))?;
        let digest = file.digest.ok_or_else(|| Failure::input(format!("{} has no hash", file.file)))?;
        let url = mirrored(self.project, &file.url);
        let what = format!("{} {} (for builds)", named.name, named.version);
        let download = Download { urls: vec![url], digest, size: file.size, what };
        fetch(self.world.client, self.world.store, &download, self.world.events)?;
        let size = self.world.store.size(&digest)?.unwrap_or_default();
        Ok(LockedWheel {
            name: named.name.to_string(),
            version: named.version.to_string(),
            file: file.file,
            url: file.url,
            digest,
            size,
            direct_url: None,
        })
    }
}
