//! flit-core: one module or package, whole.

use super::Context;
use super::core::Core;
use super::glob::{Hidden, Recursive};
use super::licence::{self, Dialect};
use super::python::{Constant, Which, constant, docstring};
use super::refusal::{Outcome, Refusal};
use super::tree::{Entry, clean, join, parent};
use super::version::{Rule, resolve};
use super::wheel::{Files, Payload, Place, Tag};

/// Where the code is.
struct Module {
    /// `ns.demo` as `ns/demo`.
    path: String,
    /// `src` or nothing.
    prefix: &'static str,
    package: bool,
}

pub(super) fn payload(context: &Context<'_>) -> Outcome<Payload> {
    refuse_legacy(context)?;
    let mut core = Core::read(context)?;
    let module = find(context, &core.name)?;
    fill(context, &mut core, &module)?;
    let mut files = Files::default();
    for (path, entry) in module.files(context) {
        let place = path.strip_prefix(module.prefix).map_or(path, |rest| rest.trim_start_matches('/'));
        files.add_site(place, path, entry)?;
    }
    add_data(context, &mut files)?;
    let tag = tag(core.requires_python.as_deref());
    let licences = licences(context)?;
    Ok(Payload { licences, ..Payload::new(core, files, tag) })
}

fn refuse_legacy(context: &Context<'_>) -> Outcome<()> {
    for key in ["metadata", "scripts", "entrypoints"] {
        let table = context.pyproject.path("tool.flit").key(key);
        if table.exists() {
            return Err(table.needs_build("is flit's legacy metadata").hint("move it to [project]"));
        }
    }
    Ok(())
}

fn find(context: &Context<'_>, project: &str) -> Outcome<Module> {
    let stubs = project.strip_suffix("-stubs");
    let default = stubs.map_or_else(|| project.replace('-', "_"), |stem| format!("{}-stubs", stem.replace('-', "_")));
    let written = context.pyproject.path("tool.flit.module.name");
    let dotted = written.text()?.map_or(default, str::to_owned);
    let path = dotted.replace('.', "/");
    let at = |prefix: &'static str, package| Module { path: path.clone(), prefix, package };
    let candidates = [at("", true), at("", false), at("src", true), at("src", false)];
    let mut found = candidates.into_iter().filter(|module| module.is_there(context));
    match (found.next(), found.next()) {
        (Some(module), None) => Ok(module),
        (None, _) => Err(Refusal::broken(format!("flit finds no module {dotted}")).at(written.span()).hint(format!(
            "flit wants one of {path}/, {path}.py, src/{path}/, src/{path}.py; [tool.flit.module] name = \"…\" names another"
        ))),
        (Some(one), Some(other)) => {
            let (one, other) = (one.shown(), other.shown());
            Err(Refusal::broken(format!("flit finds two modules {dotted}: {one} and {other}")).at(written.span()))
        }
    }
}

impl Module {
    fn shown(&self) -> String {
        let path = join(self.prefix, &self.path);
        if self.package { path } else { format!("{path}.py") }
    }

    fn is_there(&self, context: &Context<'_>) -> bool {
        let shown = self.shown();
        if self.package { context.tree.is_folder(&shown) } else { context.tree.file(&shown).is_some() }
    }

    /// Everything but caches; links to folders are not followed.
    fn files<'c>(&self, context: &'c Context<'_>) -> Vec<(&'c str, &'c Entry)> {
        let shown = self.shown();
        if !self.package {
            return context.tree.files().filter(|(path, _)| *path == shown).collect();
        }
        let junk = |path: &str| path.split('/').any(|part| part == "__pycache__") || path.ends_with(".pyc");
        let kept = |(path, entry): &(&str, &Entry)| !junk(path) && !entry.through_link;
        context.tree.below(&shown).filter(kept).collect()
    }

    /// Files that may hold `__version__`, the strongest last.
    fn version_files(&self) -> Vec<String> {
        let shown = self.shown();
        if !self.package {
            return vec![shown];
        }
        ["__version__.py", "_version.py", "version.py", "__init__.py"].map(|file| format!("{shown}/{file}")).to_vec()
    }
}

fn fill(context: &Context<'_>, core: &mut Core, module: &Module) -> Outcome<()> {
    for field in &core.dynamic {
        if !matches!(field.as_str(), "version" | "description") {
            let at = context.pyproject.path("project.dynamic");
            return Err(at.wrong(format!("names \"{field}\", which flit cannot fill")));
        }
    }
    if core.is_dynamic("version") {
        core.version = resolve(context, &core.name, version(context, module)?)?;
    }
    if core.is_dynamic("description") {
        let file = module.version_files().pop().unwrap_or_default();
        let text = context.text(&file)?.and_then(|text| docstring(&text)).unwrap_or_default();
        core.summary = text.trim_start().lines().next().map(str::to_owned);
    }
    Ok(())
}

fn version(context: &Context<'_>, module: &Module) -> Outcome<Rule> {
    let mut rule = None;
    for path in module.version_files() {
        let Some(text) = context.text(&path)? else { continue };
        match constant(&text, "__version__", Which::Last) {
            Some(Constant::Value(value)) => rule = value.version().map(Rule::Known).or(rule),
            Some(Constant::Computed(line)) if !matches!(rule, Some(Rule::Known(_))) => {
                let why = format!("{}:{line} __version__ is computed, not a literal", text.name());
                rule = Some(Rule::Unknown(Refusal::needs_build(why).at(Some(text.line(line)))));
            }
            Some(Constant::Imported { module, name }) if rule.is_none() => {
                rule = hop(context, &path, &module, &name)?.map(Rule::Known);
            }
            _ => {}
        }
    }
    let none =
        || Rule::Unknown(Refusal::needs_build(format!("{} has no __version__ that is a literal", module.shown())));
    Ok(rule.unwrap_or_else(none))
}

/// `from .x import NAME` in `path`.
fn hop(context: &Context<'_>, path: &str, module: &str, wanted: &str) -> Outcome<Option<String>> {
    let Some(target) = imported_file(context, path, module) else { return Ok(None) };
    let Some(text) = context.text(&target)? else { return Ok(None) };
    Ok(match constant(&text, wanted, Which::Last) {
        Some(Constant::Value(value)) => value.version(),
        _ => None,
    })
}

/// The file of a module that `path` imports: `.x`, `..y`, or absolute within the same top folder.
pub(super) fn imported_file(context: &Context<'_>, path: &str, module: &str) -> Option<String> {
    let bare = module.trim_start_matches('.');
    let dots = module.len() - bare.len();
    let package = (1..dots).fold(parent(path), |folder, _| parent(folder));
    let bare = bare.replace('.', "/");
    let mut roots = vec![package.to_owned()];
    if dots == 0 {
        roots = vec![String::new(), "src".to_owned(), "lib".to_owned()];
    }
    let files = roots.iter().flat_map(|root| {
        let stem = join(root, &bare);
        [format!("{stem}.py"), join(&stem, "__init__.py")]
    });
    files.into_iter().find(|file| context.tree.file(file).is_some())
}

fn add_data(context: &Context<'_>, files: &mut Files) -> Outcome<()> {
    let at = context.pyproject.path("tool.flit.external-data.directory");
    let Some(written) = at.text()? else { return Ok(()) };
    let folder = clean(written).filter(|folder| context.tree.is_folder(folder));
    let folder = folder.ok_or_else(|| at.wrong(format!("names '{written}', which is no folder of the project")))?;
    for (path, entry) in context.tree.below(&folder) {
        if entry.through_link || path.ends_with(".pyc") || path.contains("__pycache__/") {
            continue;
        }
        let inner = path.strip_prefix(&folder).unwrap_or(path).trim_start_matches('/');
        files.add(Place::Data("data", inner.to_owned()), path, entry)?;
    }
    Ok(())
}

fn licences(context: &Context<'_>) -> Outcome<Vec<String>> {
    let dialect = Dialect { hidden: Hidden::Match, recursive: Recursive::Yes, must_hit: true };
    let mut found = licence::usual(context, &licence::USUAL, dialect)?;
    if let Some(file) = licence::of_table(context)?
        && !found.iter().any(|known| known == file)
    {
        found.push(file.to_owned());
    }
    Ok(found)
}

/// By the words of `requires-python`, as flit does.
fn tag(requires_python: Option<&str>) -> Tag {
    let only_three = |part: &str| {
        let bare = part.trim().trim_start_matches(['>', '=', '~']).trim();
        bare.starts_with(|letter: char| ('3'..='9').contains(&letter)) && !part.trim().starts_with(['<', '!'])
    };
    match requires_python {
        Some(text) if text.split(',').any(only_three) => Tag::Python3,
        _ => Tag::Python2And3,
    }
}
