//! What METADATA says of a project (core metadata 2.4), and reading it from `[project]` (PEP 621).

use std::collections::BTreeMap;

use corten_package::marker::Marker;
use corten_package::pep440::Specifiers;
use corten_package::{PackageName, Requirement, Source};

use super::Context;
use super::config::At;
use super::refusal::{Outcome, Refusal};

/// Core metadata.
#[derive(Debug, Clone, Default)]
pub(super) struct Core {
    /// As written.
    pub name: String,
    /// In its normal form; empty until it is known.
    pub version: String,
    pub summary: Option<String>,
    pub requires_python: Option<String>,
    /// Lines of Requires-Dist.
    pub requires: Vec<String>,
    pub extras: Vec<PackageName>,
    pub license_expression: Option<String>,
    pub license_text: Option<String>,
    pub authors: Vec<Person>,
    pub maintainers: Vec<Person>,
    pub keywords: Vec<String>,
    pub classifiers: Vec<String>,
    pub urls: Vec<(String, String)>,
    pub readme: Option<Readme>,
    /// Entry points by group.
    pub entry_points: BTreeMap<String, BTreeMap<String, String>>,
    /// Fields that `dynamic` names.
    pub dynamic: Vec<String>,
}

/// An author or a maintainer.
#[derive(Debug, Clone, Default)]
pub(super) struct Person {
    pub name: Option<String>,
    pub email: Option<String>,
}

/// The long description.
#[derive(Debug, Clone)]
pub(super) struct Readme {
    pub content_type: String,
    pub body: String,
}

/// Fields of `dynamic` that nobody reads when the program runs.
const COSMETIC: [&str; 9] =
    ["readme", "description", "keywords", "urls", "classifiers", "authors", "maintainers", "license", "license-files"];

impl Core {
    /// Reads `[project]`. The version stays empty where it is dynamic.
    pub fn read(context: &Context<'_>) -> Outcome<Self> {
        let table = context.pyproject.path("project");
        let name = table.key("name").text()?.ok_or_else(|| table.wrong("has no name"))?.to_owned();
        PackageName::new(&name).map_err(|error| table.key("name").wrong(format!("is wrong: {error}")))?;
        let dynamic = table.key("dynamic").texts()?.unwrap_or_default();
        let mut core = Self { name, dynamic: dynamic.into_iter().map(str::to_owned).collect(), ..Self::default() };
        core.read_version(&table)?;
        core.read_requirements(&table)?;
        core.read_entry_points(&table)?;
        core.read_story(&table)?;
        core.readme = readme(context, &table.key("readme"))?;
        Ok(core)
    }

    pub fn is_dynamic(&self, field: &str) -> bool {
        self.dynamic.iter().any(|dynamic| dynamic == field)
    }

    /// The first dynamic field that a program could notice and that is not filled: not the version, no cosmetics.
    pub fn unfilled(&self) -> Option<&str> {
        let open = |field: &&String| *field != "version" && !COSMETIC.contains(&field.as_str());
        self.dynamic.iter().find(open).map(String::as_str)
    }

    /// Takes dynamic requirements from the lock, or from an sdist's PKG-INFO: the backend's own answer, given earlier.
    pub fn fill_from_elsewhere(&mut self, context: &Context<'_>) -> Outcome<()> {
        if !self.is_dynamic("dependencies") && !self.is_dynamic("optional-dependencies") {
            return Ok(());
        }
        let info = context.pkg_info.as_ref().filter(|info| info.version_of(&self.name).is_some());
        let info = info.filter(|info| info.is_final("Requires-Dist"));
        let (requires, extras): (Vec<String>, Vec<PackageName>) = match (context.project.locked, info) {
            (Some(locked), _) => (locked.requires.clone(), locked.extras.clone()),
            (None, Some(info)) => {
                let extras = info.all("Provides-Extra").filter_map(|extra| PackageName::new(extra).ok());
                (info.all("Requires-Dist").map(str::to_owned).collect(), extras.collect())
            }
            (None, None) => return Ok(()),
        };
        self.requires.clear();
        requires.iter().try_for_each(|text| self.require(text, None))?;
        self.extras = extras;
        self.filled(&["dependencies", "optional-dependencies"]);
        Ok(())
    }

    /// These fields are known now.
    pub fn filled(&mut self, fields: &[&str]) {
        self.dynamic.retain(|field| !fields.contains(&field.as_str()));
    }

    fn read_version(&mut self, table: &At<'_>) -> Outcome<()> {
        let version = table.key("version");
        match version.text()? {
            Some(_) if self.is_dynamic("version") => Err(version.wrong("is static and dynamic at once")),
            Some(text) => {
                self.version = super::version::normal(text).map_err(|refusal| refusal.at(version.span()))?;
                Ok(())
            }
            None if self.is_dynamic("version") => Ok(()),
            None => Err(table.wrong("has no version, and \"version\" is not dynamic")),
        }
    }

    fn read_requirements(&mut self, table: &At<'_>) -> Outcome<()> {
        self.requires_python = table.key("requires-python").text()?.map(str::to_owned);
        if let Some(text) = &self.requires_python {
            let wrong = |error| table.key("requires-python").wrong(format!("is wrong: {error}"));
            text.parse::<Specifiers>().map_err(wrong)?;
        }
        for item in table.key("dependencies").items()? {
            let text = item.text()?.unwrap_or_default();
            self.require(text, None).map_err(|refusal| refusal.at(item.span()))?;
        }
        for (extra, list) in table.key("optional-dependencies").entries()? {
            let extra = self.add_extra(extra).map_err(|refusal| refusal.at(list.span()))?;
            for item in list.items()? {
                let text = item.text()?.unwrap_or_default();
                self.require(text, Some(&extra)).map_err(|refusal| refusal.at(item.span()))?;
            }
        }
        Ok(())
    }

    /// One extra; two names that are the same in their normal form are an error.
    pub fn add_extra(&mut self, name: &str) -> Outcome<PackageName> {
        let extra = PackageName::new(name).map_err(|error| Refusal::broken(error.to_string()))?;
        if self.extras.contains(&extra) {
            return Err(Refusal::broken(format!("the extra '{extra}' is there twice")));
        }
        self.extras.push(extra.clone());
        Ok(extra)
    }

    /// One line of Requires-Dist.
    pub fn require(&mut self, text: &str, extra: Option<&PackageName>) -> Outcome<()> {
        let mut requirement = read_requirement(text)?;
        if let Some(extra) = extra {
            let asked = Marker::extra(extra);
            requirement.marker = Some(match requirement.marker.take() {
                Some(marker) => marker.and(asked),
                None => asked,
            });
        }
        self.requires.push(requirement.to_string());
        Ok(())
    }

    fn read_entry_points(&mut self, table: &At<'_>) -> Outcome<()> {
        self.add_entry_points("console_scripts", &table.key("scripts"))?;
        self.add_entry_points("gui_scripts", &table.key("gui-scripts"))?;
        for (group, entries) in table.key("entry-points").entries()? {
            if matches!(group, "console_scripts" | "gui_scripts") {
                return Err(entries.wrong("belongs into [project.scripts] or [project.gui-scripts]"));
            }
            self.add_entry_points(group, &entries)?;
        }
        Ok(())
    }

    pub fn add_entry_points(&mut self, group: &str, table: &At<'_>) -> Outcome<()> {
        for (name, value) in table.text_entries()? {
            self.add_entry_point(group, name, value).map_err(|refusal| refusal.at(table.key(name).span()))?;
        }
        Ok(())
    }

    /// One entry point; its texts stand alone in a line of an INI file.
    pub fn add_entry_point(&mut self, group: &str, name: &str, value: &str) -> Outcome<()> {
        let odd = |text: &str| text.chars().any(char::is_control) || text.trim().is_empty();
        if [group, name, value].into_iter().any(odd) || group.contains([']', '[']) || name.contains('=') {
            return Err(Refusal::broken(format!("'{name} = {value}' is no entry point").escape_debug().to_string()));
        }
        let group = self.entry_points.entry(group.to_owned()).or_default();
        group.insert(name.trim().to_owned(), value.trim().to_owned());
        Ok(())
    }

    fn read_story(&mut self, table: &At<'_>) -> Outcome<()> {
        self.summary = table.key("description").text()?.map(str::to_owned);
        let license = table.key("license");
        if license.is_table() {
            self.license_text = license.key("text").text()?.map(str::to_owned);
        } else {
            self.license_expression = license.text()?.map(str::to_owned);
        }
        self.authors = people(&table.key("authors"))?;
        self.maintainers = people(&table.key("maintainers"))?;
        let owned = |list: Option<Vec<&str>>| list.unwrap_or_default().into_iter().map(str::to_owned).collect();
        self.keywords = owned(table.key("keywords").texts()?);
        self.classifiers = owned(table.key("classifiers").texts()?);
        let urls = table.key("urls").text_entries()?;
        self.urls = urls.into_iter().map(|(label, url)| (label.to_owned(), url.to_owned())).collect();
        Ok(())
    }
}

/// A requirement. A path of the machine that builds (`{root:uri}`, `${PROJECT_ROOT}`) means nothing in an image.
fn read_requirement(text: &str) -> Outcome<Requirement> {
    let local = text.contains("{root") || text.contains("${PROJECT_ROOT}");
    let mut requirement: Requirement =
        text.parse().map_err(|error: corten_package::RequirementError| Refusal::broken(error.to_string()))?;
    if local && matches!(requirement.source, Source::Url(_)) {
        requirement.source = Source::Versions(Specifiers::default());
    }
    Ok(requirement)
}

fn people(list: &At<'_>) -> Outcome<Vec<Person>> {
    let person = |item: At<'_>| {
        let own = |key: &str| Outcome::Ok(item.key(key).text()?.map(str::to_owned));
        Ok(Person { name: own("name")?, email: own("email")? })
    };
    list.items()?.into_iter().map(person).collect()
}

fn readme(context: &Context<'_>, at: &At<'_>) -> Outcome<Option<Readme>> {
    let (file, body, stated) = if at.is_table() {
        (at.key("file").text()?, at.key("text").text()?, at.key("content-type").text()?)
    } else {
        (at.text()?, None, None)
    };
    if let Some(body) = body {
        let content_type = stated.unwrap_or("text/plain").to_owned();
        return Ok(Some(Readme { content_type, body: body.to_owned() }));
    }
    let Some(file) = file else { return Ok(None) };
    let text = context.text(file).map_err(|refusal| refusal.at(at.span()))?;
    let text = text.ok_or_else(|| at.wrong(format!("names '{file}', which is not there")))?;
    let content_type = stated.unwrap_or_else(|| content_type(file)).to_owned();
    Ok(Some(Readme { content_type, body: text.text.to_string() }))
}

/// Of a readme, by its ending.
pub(super) fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("md" | "markdown") => "text/markdown",
        Some("rst") => "text/x-rst",
        _ => "text/plain",
    }
}
