//! uv_build: one module (or a list) below `module-root`, whole.

use corten_package::PackageName;

use super::Context;
use super::config::At;
use super::core::Core;
use super::glob::{Hidden, PathGlob, Recursive, portable};
use super::licence;
use super::refusal::{Outcome, Refusal};
use super::tree::{clean, join, parent};
use super::wheel::{Files, Payload, Place, Tag};

pub(super) fn payload(context: &Context<'_>) -> Outcome<Payload> {
    let core = Core::read(context)?;
    let dynamic = context.pyproject.path("project.dynamic");
    if !core.dynamic.is_empty() {
        return Err(dynamic.wrong("is not empty, which uv_build refuses"));
    }
    let settings = context.pyproject.path("tool.uv.build-backend");
    let excludes = Excludes::read(&settings)?;
    let mut files = Files::default();
    let root_at = settings.key("module-root");
    let root = clean(root_at.text()?.unwrap_or("src")).ok_or_else(|| root_at.wrong("leaves the project"))?;
    for module in modules(&core.name, &settings)? {
        add_module(context, &mut files, &excludes, &root, &module)?;
    }
    add_data(context, &mut files, &excludes, &settings.key("data"))?;
    let licences = licence::pep639(context)?;
    Ok(Payload { licences, ..Payload::new(core, files, Tag::Python3) })
}

/// A module that is to be shipped.
struct Module {
    /// `cloud/db`.
    path: String,
    /// Are folders without `__init__.py` meant?
    namespace: bool,
}

fn modules(project: &str, settings: &At<'_>) -> Outcome<Vec<Module>> {
    let at = settings.key("module-name");
    let written = if at.is_list() { at.texts()? } else { at.text()?.map(|name| vec![name]) };
    let namespace = settings.key("namespace").flag()?.unwrap_or(false);
    let names = match written {
        Some(names) => names.into_iter().map(str::to_owned).collect(),
        None => vec![default_name(project)?],
    };
    let is_word = |name: &String| {
        name.split('.').all(|part| {
            !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || "_-".contains(letter))
        })
    };
    if let Some(odd) = names.iter().find(|name| !is_word(name)) {
        return Err(at.wrong(format!("names '{odd}', which is no module")));
    }
    let below =
        |name: &String, other: &String| name.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('.'));
    let kept = names.iter().filter(|name| !names.iter().any(|other| below(name, other)));
    Ok(kept.map(|name| Module { path: name.replace('.', "/"), namespace }).collect())
}

fn default_name(project: &str) -> Outcome<String> {
    let name = PackageName::new(project).map_err(|error| Refusal::broken(error.to_string()))?;
    Ok(match name.as_str().strip_suffix("-stubs") {
        Some(stem) => format!("{}-stubs", stem.replace('-', "_")),
        None => name.underscored(),
    })
}

fn add_module(
    context: &Context<'_>,
    files: &mut Files,
    excludes: &Excludes,
    root: &str,
    module: &Module,
) -> Outcome<()> {
    let folder = join(root, &module.path);
    check_module(context, root, module, &folder)?;
    for (path, entry) in context.tree.below(&folder).filter(|(path, _)| !excludes.matches(path)) {
        if entry.through_link {
            return Err(Refusal::broken(format!("'{path}' lies in a link to a folder, which uv_build refuses")));
        }
        let place = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        files.add_site(place, path, entry)?;
    }
    Ok(())
}

fn check_module(context: &Context<'_>, root: &str, module: &Module, folder: &str) -> Outcome<()> {
    let at = context.pyproject.path("tool.uv.build-backend");
    if module.namespace {
        let there = context.tree.is_folder(folder);
        return if there { Ok(()) } else { Err(at.wrong(format!("wants the namespace {folder}, which is not there"))) };
    }
    let stubs = module.path.split('/').next().is_some_and(|top| top.ends_with("-stubs"));
    let init = join(folder, if stubs { "__init__.pyi" } else { "__init__.py" });
    if context.tree.file(&init).is_none() {
        return Err(Refusal::broken(format!("uv_build expects {init}"))
            .at(at.span())
            .hint("set [tool.uv.build-backend] module-name or module-root; a flat layout is module-root = \"\""));
    }
    let mut above = parent(&module.path);
    while !above.is_empty() {
        let init = join(&join(root, above), "__init__.py");
        if context.tree.file(&init).is_some() {
            return Err(at.wrong(format!("names a module of a namespace, but {init} makes it a package")));
        }
        above = parent(above);
    }
    Ok(())
}

/// Globs that keep files out.
struct Excludes {
    /// `/a/b`: matched against files alone.
    anchored: Vec<PathGlob>,
    /// `a`: matched anywhere, folders too.
    floating: Vec<PathGlob>,
}

impl Excludes {
    fn read(settings: &At<'_>) -> Outcome<Self> {
        let mut excludes = Self { anchored: Vec::new(), floating: Vec::new() };
        if settings.key("default-excludes").flag()? != Some(false) {
            ["__pycache__", "*.pyc", "*.pyo"].into_iter().try_for_each(|glob| excludes.add(glob))?;
        }
        for key in ["wheel-exclude", "source-exclude"] {
            let at = settings.key(key);
            for glob in at.texts()?.unwrap_or_default() {
                excludes.add(glob).map_err(|refusal| refusal.at(at.span()))?;
            }
        }
        Ok(excludes)
    }

    fn add(&mut self, written: &str) -> Outcome<()> {
        portable(written.trim_start_matches('/')).map_err(Refusal::broken)?;
        let (list, glob) = match written.strip_prefix('/') {
            Some(rest) => (&mut self.anchored, rest.to_owned()),
            None => (&mut self.floating, format!("**/{written}")),
        };
        list.push(PathGlob::new(&glob, Hidden::Match, Recursive::Yes));
        Ok(())
    }

    fn matches(&self, file: &str) -> bool {
        let mut paths = file.match_indices('/').map(|(at, _)| &file[..at]).chain([file]);
        self.anchored.iter().any(|glob| glob.matches(file))
            || paths.any(|path| self.floating.iter().any(|glob| glob.matches(path)))
    }
}

fn add_data(context: &Context<'_>, files: &mut Files, excludes: &Excludes, table: &At<'_>) -> Outcome<()> {
    const SCHEMES: [&str; 5] = ["purelib", "platlib", "headers", "scripts", "data"];
    for (key, at) in table.entries()? {
        let scheme = SCHEMES.iter().find(|known| **known == key);
        let scheme = scheme.ok_or_else(|| at.wrong(format!("is none of {}", SCHEMES.join(", "))))?;
        let written = at.text()?.unwrap_or_default();
        let folder = clean(written).filter(|folder| context.tree.is_folder(folder) && !folder.is_empty());
        let folder = folder.ok_or_else(|| at.wrong(format!("names '{written}', which is no folder of the project")))?;
        for (path, entry) in context.tree.below(&folder).filter(|(path, _)| !excludes.matches(path)) {
            let place = path.strip_prefix(&folder).unwrap_or(path).trim_start_matches('/');
            match *scheme {
                "scripts" => files.add_script(context, place, path, entry)?,
                scheme => files.add(Place::Data(scheme, place.to_owned()), path, entry)?,
            }
        }
    }
    Ok(())
}
