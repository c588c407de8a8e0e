//! What belongs to the installation where the lock does not say: from pyproject.toml along `dependencies`.

use std::collections::{BTreeMap, BTreeSet};

use corten_diagnostic::Failure;
use corten_package::marker::{self, Environment};
use corten_package::pep440::Version;
use corten_package::{PackageName, Requirement, Source};

use super::super::constraint::Constraint;
use super::super::graph::{Accepts, Need, Node, solve};
use super::super::manifest::requirement;
use super::super::{LockText, Manifest};
use super::format::{Edge, Edges, Lock, Package, Poetry};
use super::{Choice, is_main};

type Names = BTreeSet<PackageName>;

/// The lock with what stands beside it.
pub(super) struct Project<'a> {
    pub lock: &'a LockText,
    pub parsed: &'a Lock,
    pub manifest: &'a Manifest,
    pub poetry: &'a Poetry,
    pub environment: &'a Environment,
}

/// The packages that are to be installed, by index.
pub(super) fn reached(project: &Project<'_>, choice: &Choice) -> Result<Vec<usize>, Failure> {
    let packages = &project.parsed.packages;
    let roots = project.roots(choice).map_err(|reason| project.lock.failure(reason))?;
    let kept: Vec<usize> = (0..packages.len()).filter(|at| project.is_candidate(*at)).collect();
    let (mut names, mut nodes) = (Vec::new(), Vec::new());
    for package in kept.iter().filter_map(|at| packages.get(*at)) {
        names.push(package.name.get_ref().clone());
        let node = project.node(package);
        nodes.push(node.map_err(|reason| project.lock.failure(reason).at(project.lock.span(package.name.span())))?);
    }
    let place = |at: usize| kept.get(at).and_then(|at| packages.get(*at)).map(|package| package.name.clone());
    let found = solve(&names, &nodes, &roots).map_err(|stuck| project.lock.stuck(&stuck, &place))?;
    Ok(found.iter().filter_map(|at| kept.get(*at).copied()).collect())
}

impl Project<'_> {
    /// Of several packages of one name only those count that are for this Python.
    fn is_candidate(&self, at: usize) -> bool {
        let Some(package) = self.parsed.packages.get(at) else { return false };
        let name = package.name.get_ref();
        let beside = |at: Option<usize>| {
            at.and_then(|at| self.parsed.packages.get(at)).is_some_and(|other| other.name.get_ref() == name)
        };
        let alone = !beside(at.checked_sub(1)) && !beside(at.checked_add(1));
        alone || package.python_versions.as_deref().is_none_or(|text| self.is_for_python(text))
    }

    fn is_for_python(&self, text: &str) -> bool {
        let python = self.environment.python_full_version.parse::<Version>();
        let wanted = Constraint::parse(text);
        wanted.is_ok_and(|wanted| python.is_ok_and(|python| wanted.allows(&python)))
    }

    fn node(&self, package: &Package) -> Result<Node, String> {
        let none = Names::new();
        let mut needs = Vec::new();
        for (name, edges) in &package.dependencies {
            let plain = edges.all().into_iter().filter(|edge| !edge.optional);
            needs.extend(self.needs(name, plain, &none)?);
        }
        let mut extras = Vec::new();
        for (extra, wanted) in &package.extras {
            let Ok(extra) = PackageName::new(extra) else { continue };
            let asked = Names::from([extra]);
            let needs = self.extra_needs(package, wanted, &asked)?;
            extras.push((asked, needs));
        }
        let source = package.source.as_ref().filter(|source| !matches!(source.kind.as_str(), "legacy" | "pypi"));
        let origin = source.map(|source| source.url.clone());
        Ok(Node { version: package.version.parse().ok(), origin, needs, extras })
    }

    /// An extra names packages; how they are needed stands in `dependencies`.
    fn extra_needs(&self, package: &Package, wanted: &[String], asked: &Names) -> Result<Vec<Need>, String> {
        let mut needs = Vec::new();
        for text in wanted {
            let Some((name, extras)) = named(text) else { continue };
            if name == *package.name.get_ref() {
                needs.push(Need { name, extras, accepts: Accepts::Versions(Constraint::any()) });
            } else if let Some(edges) = package.dependencies.get(&name) {
                needs.extend(self.needs(&name, edges.all(), asked)?);
            }
        }
        Ok(needs)
    }

    /// Those of `edges` that hold here.
    fn needs(
        &self,
        name: &PackageName,
        edges: impl IntoIterator<Item = Edge>,
        extras: &Names,
    ) -> Result<Vec<Need>, String> {
        let asked = marker::Asked { extras: extras.clone(), groups: Names::new() };
        let mut needs = Vec::new();
        for edge in edges {
            let marker = edge.markers.as_deref().filter(|text| !text.is_empty()).map(str::parse::<marker::Marker>);
            let marker = marker.transpose().map_err(|error| error.to_string())?;
            let holds = marker.is_none_or(|marker| marker.evaluate(self.environment, &asked));
            if !holds || edge.python.as_deref().is_some_and(|text| !self.is_for_python(text)) {
                continue;
            }
            let origin = edge.url.as_ref().or(edge.git.as_ref()).or(edge.path.as_ref()).or(edge.file.as_ref());
            let accepts = match (origin, &edge.version) {
                (Some(origin), _) => Accepts::Origin(origin.clone()),
                (None, None) => Accepts::Versions(Constraint::any()),
                (None, Some(text)) => {
                    let wanted = Constraint::parse(text).map_err(|reason| format!("'{name}': {reason}"))?;
                    Accepts::Versions(wanted)
                }
            };
            needs.push(Need { name: name.clone(), extras: edge.extras.iter().cloned().collect(), accepts });
        }
        Ok(needs)
    }

    /// What pyproject.toml asks for.
    fn roots(&self, choice: &Choice) -> Result<Vec<Need>, String> {
        let mut roots = self.table(&self.poetry.dependencies, choice)?;
        roots.extend(self.project_roots(choice)?);
        for group in choice.groups.iter().filter(|group| !is_main(group)) {
            if let Some(group) = self.poetry.group.get(group) {
                roots.extend(self.table(&group.dependencies, choice)?);
            }
            if group.as_str() == "dev" {
                roots.extend(self.table(&self.poetry.dev_dependencies, choice)?);
            }
            if self.manifest.content.dependency_groups.contains_key(group) {
                roots.extend(self.requirements(self.manifest.group(group)?, choice));
            }
        }
        Ok(roots)
    }

    /// Optional ones come with an extra that names them.
    fn table(&self, table: &BTreeMap<PackageName, Edges>, choice: &Choice) -> Result<Vec<Need>, String> {
        let brought: Names = self
            .poetry
            .extras
            .iter()
            .filter(|(extra, _)| PackageName::new(extra).is_ok_and(|extra| choice.extras.contains(&extra)))
            .flat_map(|(_, names)| names)
            .filter_map(|text| Some(named(text)?.0))
            .collect();
        let mut needs = Vec::new();
        for (name, edges) in table.iter().filter(|(name, _)| name.as_str() != "python") {
            let listed = self.is_listed(name);
            let wanted = edges.all().into_iter().filter(|edge| !listed && (!edge.optional || brought.contains(name)));
            needs.extend(self.needs(name, wanted, &choice.extras)?);
        }
        Ok(needs)
    }

    /// Does `[project]` ask for it? Then Poetry's own table only says from where.
    fn is_listed(&self, name: &PackageName) -> bool {
        let project = self.manifest.content.project.as_ref();
        let texts = project.iter().flat_map(|project| &project.dependencies);
        texts.filter_map(|text| requirement(text).ok()).any(|wanted| wanted.name == *name)
    }

    fn project_roots(&self, choice: &Choice) -> Result<Vec<Need>, String> {
        let Some(project) = &self.manifest.content.project else { return Ok(Vec::new()) };
        let extras = project.optional_dependencies.iter().filter(|(extra, _)| choice.extras.contains(*extra));
        let texts = project.dependencies.iter().chain(extras.flat_map(|(_, texts)| texts));
        let wanted = texts.map(|text| requirement(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.requirements(wanted, choice))
    }

    fn requirements(&self, wanted: Vec<Requirement>, choice: &Choice) -> Vec<Need> {
        let asked = marker::Asked { extras: choice.extras.clone(), groups: Names::new() };
        let holds = |wanted: &Requirement| {
            wanted.marker.as_ref().is_none_or(|marker| marker.evaluate(self.environment, &asked))
        };
        let need = |wanted: Requirement| {
            let table = self.poetry.dependencies.get(&wanted.name).map(Edges::all).unwrap_or_default();
            let origin = table.into_iter().find_map(|edge| edge.url.or(edge.git).or(edge.path).or(edge.file));
            let accepts = match (origin, wanted.source) {
                (Some(origin), _) | (None, Source::Url(origin)) => Accepts::Origin(origin),
                (None, Source::Versions(versions)) => Accepts::Versions(Constraint::of(versions)),
            };
            Need { name: wanted.name, extras: wanted.extras, accepts }
        };
        wanted.into_iter().filter(holds).map(need).collect()
    }
}

/// `name[extra] (>=1)` → the name and its extras.
fn named(text: &str) -> Option<(PackageName, Names)> {
    if let Ok(wanted) = requirement(text) {
        return Some((wanted.name, wanted.extras));
    }
    let inner = |next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_' | '.');
    let end = text.find(|next: char| !inner(next)).unwrap_or(text.len());
    Some((PackageName::new(text.get(..end)?).ok()?, Names::new()))
}
