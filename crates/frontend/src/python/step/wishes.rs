//! Requirements as comparable text with the markers under which they hold.

use std::collections::{BTreeMap, BTreeSet};

use corten_package::marker::{Marker, same_union};
use corten_package::pep440::Specifiers;
use corten_package::{PackageName, Requirement};

use super::super::manifest::{Manifest, Source, requirement};
use super::super::uv::MetadataRequirement;

/// Requirement without marker, as `torch>=2 from https://…` → the markers under which it holds.
#[derive(Debug, Default)]
pub(super) struct Wishes(BTreeMap<String, Vec<Option<Marker>>>);

/// A manifest within its workspace, whose root's sources and indexes count too (a path dependency is its own root).
pub(super) struct Context<'a> {
    pub root: &'a Manifest,
    pub manifest: &'a Manifest,
    pub here: &'a Here,
}

/// The projects that lie here. Whoever needs one gets it, whatever the version; uv writes that in more than one way.
pub(super) type Here = BTreeSet<PackageName>;

const HERE: &str = " (here)";

impl Wishes {
    fn add(&mut self, text: String, marker: Option<Marker>) {
        self.0.entry(text).or_default().push(marker);
    }

    /// As the lock keeps them.
    pub(super) fn locked(requirements: &[MetadataRequirement], here: &Here) -> Result<Self, String> {
        let mut wishes = Self::default();
        for one in requirements {
            let marker = one.marker.as_deref().map(str::parse).transpose();
            let marker = marker.map_err(|error: corten_package::marker::MarkerError| error.to_string())?;
            let mut extras = one.extras.clone();
            extras.sort();
            wishes.add(format!("{}{}", named(&one.name, extras.iter()), locked_origin(one, here)?), marker);
        }
        Ok(wishes)
    }

    /// What was asked for then and now, as lines.
    pub(super) fn differences(&self, locked: &Self, supported: &Specifiers, whose: &str) -> Vec<String> {
        let keys: BTreeSet<_> = self.0.keys().chain(locked.0.keys()).collect();
        let mut lines = Vec::new();
        for key in keys {
            let markers = |wishes: &Self| wishes.0.get(key).cloned().unwrap_or_default();
            let (now, then) = (markers(self), markers(locked));
            let (now_refs, then_refs): (Vec<_>, Vec<_>) =
                (now.iter().map(Option::as_ref).collect(), then.iter().map(Option::as_ref).collect());
            if same_union(&now_refs, &then_refs, supported) {
                continue;
            }
            lines.push(match (now.is_empty(), then.is_empty()) {
                (false, true) => format!("{whose} now needs {key}"),
                (true, false) => format!("{whose} no longer needs {key}"),
                _ => format!("{whose} needs {key} under another condition"),
            });
        }
        lines
    }
}

fn named<'a>(name: &PackageName, extras: impl Iterator<Item = &'a PackageName>) -> String {
    let extras: Vec<_> = extras.map(PackageName::as_str).collect();
    if extras.is_empty() { name.to_string() } else { format!("{name}[{}]", extras.join(",")) }
}

fn locked_origin(one: &MetadataRequirement, here: &Here) -> Result<String, String> {
    if let Some(git) = &one.git {
        return Ok(git_text(git));
    }
    if let Some(url) = &one.url {
        return Ok(format!(" @ {url}"));
    }
    let path = [&one.path, &one.directory, &one.editable, &one.bare].iter().any(|path| path.is_some());
    if path || here.contains(&one.name) {
        return Ok(HERE.to_owned());
    }
    let versions: Specifiers =
        one.specifier.as_deref().unwrap_or_default().parse().map_err(|error| format!("{}: {error}", one.name))?;
    Ok(version_text(&versions, one.index.as_deref()))
}

fn version_text(versions: &Specifiers, index: Option<&str>) -> String {
    let index = index.map(|index| format!(" from {}", index.trim_end_matches('/'))).unwrap_or_default();
    format!("{}{index}", versions.canonical())
}

/// uv's `URL?subdirectory=…&rev=…` with sorted parts; the commit that it found does not count.
fn git_text(text: &str) -> String {
    let address = text.split('#').next().unwrap_or_default();
    let (address, query) = address.split_once('?').unwrap_or((address, ""));
    let mut parts: Vec<_> =
        query.split('&').filter(|part| !part.is_empty()).map(|part| part.replace("%2F", "/")).collect();
    parts.sort();
    format!(" @ git+{address} {}", parts.join(" ")).trim_end().to_owned()
}

impl Context<'_> {
    /// What the project needs, its extras' dependencies under the marker of the extra.
    pub(super) fn project(&self) -> Result<Wishes, String> {
        let mut wishes = Wishes::default();
        let Some(project) = &self.manifest.content.project else { return Ok(wishes) };
        for text in &project.dependencies {
            self.add(requirement(text)?, None, None, &mut wishes)?;
        }
        for (extra, texts) in &project.optional_dependencies {
            for text in texts {
                self.add(requirement(text)?, Some(extra), None, &mut wishes)?;
            }
        }
        Ok(wishes)
    }

    /// What a group needs.
    pub(super) fn group(&self, name: &PackageName) -> Result<Wishes, String> {
        let mut wishes = Wishes::default();
        for requirement in self.manifest.group(name)? {
            self.add(requirement, None, Some(name), &mut wishes)?;
        }
        Ok(wishes)
    }

    /// A requirement becomes one per source that applies, and one without for what no source's marker covers.
    fn add(
        &self,
        requirement: Requirement,
        extra: Option<&PackageName>,
        group: Option<&PackageName>,
        wishes: &mut Wishes,
    ) -> Result<(), String> {
        let name = named(&requirement.name, requirement.extras.iter());
        let mut marker = requirement.marker.clone();
        if let Some(extra) = extra {
            marker = both(marker, Some(Marker::extra(extra)));
        }
        let versions = match &requirement.source {
            corten_package::Source::Versions(versions) => versions,
            corten_package::Source::Url(url) => {
                wishes.add(format!("{name}{}", url_text(url)), marker);
                return Ok(());
            }
        };
        let mut covered = false;
        for source in self.sources(&requirement.name) {
            let elsewhere = |asked: &Option<PackageName>, here| asked.as_ref().is_some_and(|asked| Some(asked) != here);
            if elsewhere(&source.extra, extra) || elsewhere(&source.group, group) {
                continue;
            }
            let condition =
                source.marker.as_deref().map(str::parse::<Marker>).transpose().map_err(|error| error.to_string())?;
            wishes.add(format!("{name}{}", self.origin(source, versions)?), both(marker.clone(), condition.clone()));
            covered |= condition.is_none();
            marker = both(marker, condition.map(Marker::negated));
        }
        if !covered {
            let here = self.here.contains(&requirement.name);
            let origin = if here { HERE.to_owned() } else { version_text(versions, None) };
            wishes.add(format!("{name}{origin}"), marker);
        }
        Ok(())
    }

    fn sources(&self, name: &PackageName) -> &[Source] {
        let of = |manifest: &'_ Manifest| manifest.content.tool.uv.sources.contains_key(name);
        let manifest = if of(self.manifest) { self.manifest } else { self.root };
        manifest.content.tool.uv.sources.get(name).map(|sources| sources.all()).unwrap_or_default()
    }

    fn origin(&self, source: &Source, versions: &Specifiers) -> Result<String, String> {
        if let Some(git) = &source.git {
            let parts = [
                ("rev", &source.rev),
                ("tag", &source.tag),
                ("branch", &source.branch),
                ("subdirectory", &source.subdirectory),
            ];
            let query: Vec<_> =
                parts.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))).collect();
            return Ok(git_text(&format!("{git}?{}", query.join("&"))));
        }
        if let Some(url) = &source.url {
            return Ok(format!(" @ {url}"));
        }
        if source.path.is_some() || source.workspace == Some(true) {
            return Ok(HERE.to_owned());
        }
        let Some(name) = &source.index else { return Ok(version_text(versions, None)) };
        let indexes = self.manifest.content.tool.uv.index.iter().chain(&self.root.content.tool.uv.index);
        let index = indexes.filter(|index| index.name.as_ref() == Some(name)).map(|index| index.url.as_str()).next();
        let index = index.ok_or_else(|| format!("the index '{name}' is named but not configured here"))?;
        Ok(version_text(versions, Some(index)))
    }
}

fn both(left: Option<Marker>, right: Option<Marker>) -> Option<Marker> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.and(right)),
        (left, right) => left.or(right),
    }
}

/// `git+https://…@rev#subdirectory=…` of PEP 508 in the words of the lock.
fn url_text(url: &str) -> String {
    let Some(git) = url.strip_prefix("git+") else { return format!(" @ {url}") };
    let (address, fragment) = git.split_once('#').unwrap_or((git, ""));
    let scheme = address.find("://").map_or(0, |at| at + 3);
    let revision = address.get(scheme..).and_then(|rest| rest.rfind('@')).map(|at| at + scheme);
    let revision = revision.filter(|at| address.get(*at..).is_some_and(|rest| !rest.contains('/')));
    let (address, revision) = match revision {
        Some(at) => (address.get(..at).unwrap_or_default(), address.get(at + 1..)),
        None => (address, None),
    };
    let mut query: Vec<String> = revision.into_iter().map(|revision| format!("rev={revision}")).collect();
    query.extend(fragment.split('&').filter(|part| part.starts_with("subdirectory=")).map(str::to_owned));
    git_text(&format!("{address}?{}", query.join("&")))
}
