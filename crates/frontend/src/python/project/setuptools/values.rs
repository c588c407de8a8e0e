//! Values that setuptools reads from elsewhere: `attr:`, `file:`, and what is dynamic in `[project]`.

use super::discover::Found;
use super::scm;
use super::settings::Settings;
use crate::python::project::Context;
use crate::python::project::backend::requires;
use crate::python::project::config::At;
use crate::python::project::core::Core;
use crate::python::project::flit::imported_file;
use crate::python::project::folder::Text;
use crate::python::project::ini::Ini;
use crate::python::project::python::{Constant, Literal, Which, constant};
use crate::python::project::refusal::{Outcome, Refusal};
use crate::python::project::tree::join;
use crate::python::project::version::{Rule, Scm, resolve};

/// Imports that are followed.
const MOST_HOPS: usize = 2;

/// Everything that may hold a value.
pub(super) struct Source<'s, 'a> {
    pub context: &'s Context<'a>,
    pub script: &'s [(String, Literal)],
    pub ini: Option<&'s Ini>,
    pub found: &'s Found,
}

impl<'s> Source<'s, '_> {
    /// Fills what is dynamic.
    pub fn fill(&self, core: &mut Core, settings: &mut Settings) -> Outcome<()> {
        if core.version.is_empty() {
            core.version = resolve(self.context, &core.name, self.version(settings)?)?;
        }
        let table = self.context.pyproject.path("tool.setuptools.dynamic");
        self.fill_requirements(core, settings, &table)?;
        self.fill_entry_points(core, settings, &table)?;
        if core.is_dynamic("requires-python") {
            core.requires_python = super::legacy::requires_python(self.script, self.ini)?;
        }
        core.fill_from_elsewhere(self.context)?;
        match core.unfilled() {
            None | Some("requires-python") => Ok(()),
            Some(field) => {
                let at = self.context.pyproject.path("project.dynamic");
                Err(Refusal::needs_build(format!("\"{field}\" is dynamic and stands in no file")).at(at.span()))
            }
        }
    }

    fn fill_requirements(&self, core: &mut Core, settings: &mut Settings, table: &At<'_>) -> Outcome<()> {
        let dependencies = table.key("dependencies");
        if core.is_dynamic("dependencies") && dependencies.exists() {
            for line in self.requirements(&dependencies, settings)? {
                core.require(&line, None).map_err(|refusal| refusal.at(dependencies.span()))?;
            }
            core.filled(&["dependencies"]);
        }
        let optional = table.key("optional-dependencies");
        if core.is_dynamic("optional-dependencies") && optional.exists() {
            for (extra, at) in optional.entries()? {
                let extra = core.add_extra(extra)?;
                for line in self.requirements(&at, settings)? {
                    core.require(&line, Some(&extra)).map_err(|refusal| refusal.at(at.span()))?;
                }
            }
            core.filled(&["optional-dependencies"]);
        }
        Ok(())
    }

    fn fill_entry_points(&self, core: &mut Core, settings: &mut Settings, table: &At<'_>) -> Outcome<()> {
        let fields = ["entry-points", "scripts", "gui-scripts"];
        if !fields.iter().any(|field| core.is_dynamic(field)) {
            return Ok(());
        }
        let at = table.key("entry-points");
        if at.exists() {
            let text = self.files(&at, settings)?;
            let ini = Ini::parse(Text { path: "entry-points".into(), text: text.into() })?;
            super::legacy::entry_points_of(&ini, core)?;
            core.filled(&fields);
        } else if super::legacy::entry_points(self.script, self.ini, core)? {
            core.filled(&fields);
        }
        Ok(())
    }

    /// Lines of requirements files.
    fn requirements(&self, at: &At<'_>, settings: &mut Settings) -> Outcome<Vec<String>> {
        let text = self.files(at, settings)?;
        let mut lines = Vec::new();
        for line in text.lines() {
            let bare = line.split(" #").next().unwrap_or_default().trim();
            if bare.starts_with('-') {
                return Err(at.needs_build(format!("names a file with the line '{bare}'")));
            }
            if !bare.is_empty() && !bare.starts_with('#') {
                lines.push(bare.to_owned());
            }
        }
        Ok(lines)
    }

    /// `{ file = … }`: the texts, joined by line feeds.
    fn files(&self, at: &At<'_>, settings: &mut Settings) -> Outcome<String> {
        let file = at.key("file");
        let paths = if file.is_list() { file.texts()?.unwrap_or_default() } else { file.text()?.into_iter().collect() };
        if paths.is_empty() {
            return Err(at.wrong("names no file"));
        }
        let mut texts = Vec::new();
        for path in paths {
            let text =
                self.context.text(path)?.ok_or_else(|| file.wrong(format!("names '{path}', which is not there")))?;
            settings.referenced.push(path.to_owned());
            texts.push(text.text.to_string());
        }
        Ok(texts.join("\n"))
    }

    fn version(&self, settings: &mut Settings) -> Outcome<Rule> {
        let at = self.context.pyproject.path("tool.setuptools.dynamic.version");
        if let Some(attribute) = at.key("attr").text()? {
            return Ok(self
                .attribute(attribute)
                .map_or_else(|refusal| Rule::Unknown(refusal.at(at.span())), Rule::Known));
        }
        if at.exists() {
            return Ok(Rule::Known(self.files(&at, settings)?.trim().to_owned()));
        }
        if let Some(rule) = self.legacy_version(settings)? {
            return Ok(rule);
        }
        let table = self.context.pyproject.path("tool.setuptools_scm");
        if table.exists() {
            return scm::of_table(&table);
        }
        if requires(self.context, "setuptools-scm")? {
            return Ok(Rule::Scm(Box::<Scm>::default()));
        }
        let dynamic = self.context.pyproject.path("project.dynamic");
        Ok(Rule::Unknown(Refusal::needs_build("the version is dynamic and stands in no file").at(dynamic.span())))
    }

    fn legacy_version(&self, settings: &mut Settings) -> Outcome<Option<Rule>> {
        if let Some((_, value)) = self.script.iter().find(|(key, _)| key == "version") {
            return Ok(value.version().map(Rule::Known));
        }
        let Some((ini, item)) = self.ini.and_then(|ini| Some((ini, ini.get("metadata", "version")?))) else {
            return Ok(None);
        };
        let text = item.text();
        if let Some(attribute) = text.strip_prefix("attr:") {
            let place = Some(ini.text.line(item.line));
            let found = self.attribute(attribute.trim());
            return Ok(Some(found.map_or_else(|refusal| Rule::Unknown(refusal.at(place)), Rule::Known)));
        }
        let Some(paths) = text.strip_prefix("file:") else { return Ok(Some(Rule::Known(text.to_owned()))) };
        let mut texts = Vec::new();
        for path in paths.split(',').map(str::trim) {
            settings.referenced.push(path.to_owned());
            texts.extend(self.context.text(path)?.map(|text| text.text.to_string()));
        }
        Ok(Some(Rule::Known(texts.join("\n").trim().to_owned())))
    }

    /// `package.module.NAME`, by reading.
    fn attribute(&self, dotted: &str) -> Outcome<String> {
        let (module, name) = dotted.rsplit_once('.').unwrap_or(("__init__", dotted));
        let missing = || Refusal::broken(format!("the version is {dotted}, but there is no module {module}"));
        let path = self.module(module).ok_or_else(missing)?;
        self.constant(&path, name, 0)
    }

    fn module(&self, module: &str) -> Option<String> {
        let stem = self.found.folder(module);
        let candidates = [format!("{stem}.py"), join(&stem, "__init__.py")];
        candidates.into_iter().find(|path| self.context.tree.file(path).is_some())
    }

    fn constant(&self, path: &str, name: &str, hops: usize) -> Outcome<String> {
        let text = self.context.text(path)?.ok_or_else(|| Refusal::broken(format!("{path} is not there")))?;
        let computed = |line: Option<usize>| {
            let place = line.map_or_else(|| text.name(), |line| format!("{}:{line}", text.name()));
            let refusal = Refusal::needs_build(format!("{place} {name} is computed, not a literal"));
            refusal.at(line.map(|line| text.line(line)))
        };
        match constant(&text, name, Which::First) {
            Some(Constant::Value(value)) => value.version().ok_or_else(|| computed(None)),
            Some(Constant::Computed(line)) => Err(computed(Some(line))),
            Some(Constant::Imported { module, name: own }) if hops < MOST_HOPS => {
                let target = imported_file(self.context, path, &module).ok_or_else(|| computed(None))?;
                self.constant(&target, &own, hops + 1)
            }
            _ => Err(computed(None)),
        }
    }
}
