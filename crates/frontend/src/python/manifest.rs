//! `pyproject.toml`, as much of it as decides about dependencies ([project], PEP 621; [dependency-groups], PEP 735;
//! [tool.uv]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use corten_diagnostic::{Failure, Span};
use corten_package::{PackageName, Requirement};
use serde::Deserialize;
use toml::Spanned;

use super::lock::broken_toml;

/// A `pyproject.toml`, parsed.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its name as the user knows it.
    pub path: PathBuf,
    /// Content.
    pub text: Arc<str>,
    pub(super) content: Content,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Content {
    pub project: Option<Project>,
    #[serde(default)]
    pub dependency_groups: BTreeMap<PackageName, Vec<GroupEntry>>,
    #[serde(default)]
    pub tool: Tools,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Project {
    pub name: PackageName,
    pub version: Option<String>,
    pub requires_python: Option<String>,
    #[serde(default)]
    pub dependencies: Vec<String>,
    #[serde(default)]
    pub optional_dependencies: BTreeMap<PackageName, Vec<String>>,
    #[serde(default)]
    pub dynamic: Vec<String>,
}

/// The same once more, with places: read only where something is to be said about them.
#[derive(Deserialize)]
struct Places {
    project: Option<ProjectPlaces>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProjectPlaces {
    version: Option<Spanned<String>>,
    requires_python: Option<Spanned<String>>,
    dependencies: Option<Spanned<Vec<Spanned<String>>>>,
}

/// The words of a sentence that could be names of packages or keys.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum GroupEntry {
    Requirement(String),
    Include {
        #[serde(rename = "include-group")]
        include_group: PackageName,
    },
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Tools {
    #[serde(default)]
    pub uv: Uv,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Uv {
    pub default_groups: Option<DefaultGroups>,
    #[serde(default)]
    pub sources: BTreeMap<PackageName, Sources>,
    #[serde(default)]
    pub index: Vec<Index>,
    pub workspace: Option<Workspace>,
    #[serde(default)]
    pub dev_dependencies: Vec<String>,
    #[serde(default)]
    pub override_dependencies: Vec<toml::Value>,
    #[serde(default)]
    pub constraint_dependencies: Vec<toml::Value>,
}

/// Folders by pattern, relative to the manifest.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Workspace {
    #[serde(default)]
    pub members: Vec<String>,
    #[serde(default)]
    pub exclude: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected \"all\" or a list of names")]
pub(super) enum DefaultGroups {
    /// `"all"`.
    Word(String),
    These(Vec<PackageName>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a table such as { index = \"…\" }, or a list of them")]
pub(super) enum Sources {
    One(Box<Source>),
    Many(Vec<Source>),
}

/// Where a package is to come from instead of the default index.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Source {
    pub index: Option<String>,
    pub git: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
    pub workspace: Option<bool>,
    pub rev: Option<String>,
    pub tag: Option<String>,
    pub branch: Option<String>,
    pub subdirectory: Option<String>,
    pub marker: Option<String>,
    pub extra: Option<PackageName>,
    pub group: Option<PackageName>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Index {
    pub name: Option<String>,
    pub url: String,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// Broken TOML or a key of another type than the specification says, with the place.
    pub fn parse(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Result<Self, Failure> {
        let (path, text) = (path.into(), text.into());
        let content = toml::from_str(&text).map_err(|error| broken_toml(&path, &text, &error))?;
        let manifest = Self { path, text, content };
        manifest.refuse_unreadable()?;
        Ok(manifest)
    }

    /// Requirements that no tool could read.
    fn refuse_unreadable(&self) -> Result<(), Failure> {
        let texts = self.content.project.iter().flat_map(|project| &project.dependencies);
        let Some((at, why)) = texts.enumerate().find_map(|(at, text)| Some((at, requirement(text).err()?))) else {
            return Ok(());
        };
        let list = self.places().and_then(|project| project.dependencies);
        let failure = Failure::input(format!("{}: {why}", self.path.display()));
        Err(match list.as_ref().and_then(|list| list.get_ref().get(at)) {
            Some(text) => failure.at(self.span(text.span())),
            None => failure,
        })
    }

    fn places(&self) -> Option<ProjectPlaces> {
        toml::from_str::<Places>(&self.text).ok()?.project
    }

    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(&self.path, Arc::clone(&self.text), range)
    }

    /// The project's name.
    pub fn name(&self) -> Option<&PackageName> {
        self.content.project.as_ref().map(|project| &project.name)
    }

    /// The project's version, if it stands there.
    pub fn version(&self) -> Option<&str> {
        self.content.project.as_ref().and_then(|project| project.version.as_deref())
    }

    /// The indexes of `[[tool.uv.index]]` that have a name, with their addresses.
    pub fn named_indexes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.content.tool.uv.index.iter().filter_map(|index| Some((index.name.as_deref()?, index.url.as_str())))
    }

    /// The version that Poetry before 2.0 keeps in a table of its own.
    pub fn poetry_version(&self) -> Option<String> {
        let table: toml::Table = toml::from_str(&self.text).ok()?;
        Some(table.get("tool")?.get("poetry")?.get("version")?.as_str()?.to_owned())
    }

    /// The packages that it asks for itself, in `[project]` or `[tool.poetry]`: those that they need are the lock's.
    pub fn asked_for(&self) -> Vec<String> {
        let own = self.content.project.iter().flat_map(|project| &project.dependencies);
        let own = own.filter_map(|text| Some(requirement(text).ok()?.name.to_string()));
        let table: toml::Table = toml::from_str(&self.text).unwrap_or_default();
        let poetry = table.get("tool").and_then(|tool| tool.get("poetry")?.get("dependencies")?.as_table());
        let poetry = poetry.into_iter().flat_map(toml::Table::keys).filter_map(|name| name.parse::<PackageName>().ok());
        own.chain(poetry.map(|name| name.to_string())).filter(|name| name != "python").collect()
    }

    /// What it asks of Python.
    pub fn requires_python(&self) -> Option<&str> {
        self.content.project.as_ref().and_then(|project| project.requires_python.as_deref())
    }

    /// The patterns of the folders of its workspace's members, as far as they can be followed folder by folder (no `**`);
    /// [`Manifest::is_member`] answers for one.
    pub fn member_patterns(&self) -> impl Iterator<Item = &str> {
        let members = self.content.tool.uv.workspace.iter().flat_map(|workspace| &workspace.members);
        members.map(String::as_str).filter(|pattern| !pattern.split('/').any(|part| part == "**" || part == ".."))
    }

    /// Is the project in `folder` (relative, with `/`) a member of its workspace?
    pub fn is_member(&self, folder: &str) -> bool {
        let Some(workspace) = &self.content.tool.uv.workspace else { return false };
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches_path(pattern, folder));
        fits(&workspace.members) && !fits(&workspace.exclude)
    }

    /// Where it says what `differences` (of [`super::in_step`]) tell of: the first requirement that one of them names,
    /// else the version, else what is asked of Python, else the list of dependencies.
    pub fn place_of(&self, differences: &[String]) -> Option<Span> {
        if differences.is_empty() {
            return None;
        }
        let project = self.places()?;
        let told = |word: &str| differences.iter().any(|line| words(line).any(|found| found == word));
        let named = |text: &&Spanned<String>| {
            requirement(text.get_ref()).is_ok_and(|requirement| told(requirement.name.as_str()))
        };
        let list = project.dependencies.as_ref();
        let range = list.and_then(|list| list.get_ref().iter().find(named)).map(Spanned::span);
        let range = range.or_else(|| project.version.filter(|_| told("version")).map(|text| text.span()));
        let range =
            range.or_else(|| project.requires_python.filter(|_| told("requires-python")).map(|text| text.span()));
        let range = range.or_else(|| list.map(Spanned::span))?;
        Some(self.span(range))
    }

    /// What `uv sync --no-dev` takes: the default groups (`tool.uv.default-groups`, else none but `dev`) without `dev`.
    pub(super) fn default_groups(&self, known: &BTreeSet<PackageName>) -> BTreeSet<PackageName> {
        let groups = match &self.content.tool.uv.default_groups {
            None => return BTreeSet::new(),
            Some(DefaultGroups::Word(word)) if word == "all" => known.clone(),
            Some(DefaultGroups::Word(word)) => PackageName::new(word).into_iter().collect(),
            Some(DefaultGroups::These(groups)) => groups.iter().cloned().collect(),
        };
        groups.into_iter().filter(|group| group.as_str() != "dev" && known.contains(group)).collect()
    }

    /// The requirements of a group with what it includes; an error is a sentence.
    pub(super) fn group(&self, name: &PackageName) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        self.add_group(name, &mut Vec::new(), &mut requirements)?;
        Ok(requirements)
    }

    fn add_group(
        &self,
        name: &PackageName,
        path: &mut Vec<PackageName>,
        requirements: &mut Vec<Requirement>,
    ) -> Result<(), String> {
        if path.contains(name) {
            return Err(format!("the dependency group '{name}' includes itself"));
        }
        let old = if name.as_str() == "dev" { self.content.tool.uv.dev_dependencies.as_slice() } else { &[] };
        let group = self.content.dependency_groups.get(name);
        if group.is_none() && old.is_empty() {
            return Err(format!("there is no dependency group '{name}'"));
        }
        path.push(name.clone());
        for entry in group.into_iter().flatten() {
            match entry {
                GroupEntry::Requirement(text) => requirements.push(requirement(text)?),
                GroupEntry::Include { include_group } => self.add_group(include_group, path, requirements)?,
                GroupEntry::Other(_) => {
                    return Err(format!("the dependency group '{name}' has an entry of an unknown kind"));
                }
            }
        }
        for text in old {
            requirements.push(requirement(text)?);
        }
        path.pop();
        Ok(())
    }
}

/// Part by part; a `*` stays within one.
fn matches_path(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.trim_start_matches("./").trim_end_matches('/'), path.trim_end_matches('/'));
    let (patterns, names): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == names.len() && patterns.iter().zip(names).all(|(pattern, name)| matches(pattern, name))
}

/// `*` for any text, as in file names.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

pub(super) fn requirement(text: &str) -> Result<Requirement, String> {
    text.parse().map_err(|error: corten_package::RequirementError| error.to_string())
}

impl Sources {
    pub(super) fn all(&self) -> &[Source] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_file_names() {
        for (pattern, name, answer) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "x", true),
            ("acme-*", "acme-x", true),
            ("acme-*", "acme", false),
            ("*-cu1*", "torch-cu12", true),
            ("a*b*c", "a1b2c", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), answer, "{pattern} {name}");
        }
    }

    #[test]
    fn members_are_named_by_pattern() {
        let text = "[tool.uv.workspace]\nmembers = ['libs/*', './app/', 'deep/**']\nexclude = ['libs/old*']\n";
        let manifest = Manifest::parse("pyproject.toml", text).unwrap();
        assert_eq!(manifest.member_patterns().collect::<Vec<_>>(), ["libs/*", "./app/"]);
        for (folder, answer) in
            [("libs/a", true), ("app", true), ("libs/old1", false), ("libs", false), ("libs/a/b", false)]
        {
            assert_eq!(manifest.is_member(folder), answer, "{folder}");
        }
    }
}
