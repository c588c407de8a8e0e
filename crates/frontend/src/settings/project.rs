//! `[project]` of pyproject.toml, as far as an image cares. Packages and markers are the locks' business.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use toml::de::{DeTable, DeValue};

use super::{Setting, Source};

/// What `[project]` says (PyPA core metadata, "Declaring project metadata").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// As written.
    pub name: Setting<String>,
    /// None where it is dynamic.
    pub version: Option<Setting<String>>,
    /// One sentence.
    pub description: Option<String>,
    /// SPDX expression, where it is one.
    pub license: Option<String>,
    /// As written: `>=3.11`.
    pub requires_python: Option<Setting<String>>,
    /// By label.
    pub urls: BTreeMap<String, String>,
    /// Console scripts: name to `module:object`.
    pub scripts: BTreeMap<String, Setting<String>>,
    /// Has it a build system, and so can be installed itself?
    pub build_system: bool,
    /// `[tool.fastapi] entrypoint`.
    pub fastapi: Option<Setting<String>>,
}

impl Project {
    /// None where there is no `[project]`.
    pub(super) fn read(source: &Source, root: &DeTable<'_>) -> Result<Option<Self>, Failure> {
        let Some(value) = root.get("project") else { return Ok(None) };
        let Some(table) = value.get_ref().as_table() else {
            return Err(wrong(source, value.span(), "[project] is not a table"));
        };
        let field = Fields { source, table };
        let Some(name) = field.string("name")? else {
            return Err(wrong(source, value.span(), "[project] has no name").hint("add name = \"…\""));
        };
        Ok(Some(Self {
            name,
            version: field.string("version")?,
            description: field.string("description")?.map(|text| text.value),
            license: field.text("license"),
            requires_python: field.string("requires-python")?,
            urls: field.table("urls")?.into_iter().map(|(label, url)| (label, url.value)).collect(),
            scripts: field.table("scripts")?,
            build_system: root.contains_key("build-system"),
            fastapi: fastapi(source, root),
        }))
    }

    /// Where the source lies, by the labels that PyPI knows for it.
    pub fn repository(&self) -> Option<&str> {
        const LABELS: [&str; 5] = ["source", "repository", "sourcecode", "github", "homepage"];
        let plain = |label: &str| label.to_lowercase().replace([' ', '-', '_', '.'], "");
        LABELS
            .iter()
            .find_map(|wanted| self.urls.iter().find(|(label, _)| plain(label) == *wanted).map(|(_, url)| url.as_str()))
    }
}

fn fastapi(source: &Source, root: &DeTable<'_>) -> Option<Setting<String>> {
    let entrypoint = root.get("tool")?.get_ref().get("fastapi")?.get_ref().get("entrypoint")?;
    let text = entrypoint.get_ref().as_str()?;
    Some(Setting { value: text.to_owned(), at: Some(source.span(entrypoint.span())) })
}

fn wrong(source: &Source, range: std::ops::Range<usize>, message: &str) -> Failure {
    Failure::input(message).at(source.span(range))
}

struct Fields<'t> {
    source: &'t Source,
    table: &'t DeTable<'t>,
}

impl Fields<'_> {
    fn text(&self, key: &str) -> Option<String> {
        Some(self.table.get(key)?.get_ref().as_str()?.to_owned())
    }

    fn string(&self, key: &str) -> Result<Option<Setting<String>>, Failure> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        self.setting(key, value).map(Some)
    }

    fn setting(&self, key: &str, value: &toml::Spanned<DeValue<'_>>) -> Result<Setting<String>, Failure> {
        match value.get_ref().as_str() {
            Some(text) => Ok(Setting { value: text.to_owned(), at: Some(self.source.span(value.span())) }),
            None => Err(wrong(self.source, value.span(), &format!("'{key}' of [project] is not a string"))),
        }
    }

    fn table(&self, key: &str) -> Result<BTreeMap<String, Setting<String>>, Failure> {
        let Some(value) = self.table.get(key) else { return Ok(BTreeMap::new()) };
        let Some(table) = value.get_ref().as_table() else {
            return Err(wrong(self.source, value.span(), &format!("'{key}' of [project] is not a table")));
        };
        table
            .iter()
            .map(|(name, value)| Ok((name.get_ref().to_string(), self.setting(name.get_ref(), value)?)))
            .collect()
    }
}
