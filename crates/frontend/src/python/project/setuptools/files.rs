//! build_py: which files of the packages are shipped.

use std::collections::{BTreeMap, BTreeSet};

use super::discover::{Found, is_identifier};
use super::manifest::manifest;
use super::settings::{Lists, Settings};
use crate::python::project::Context;
use crate::python::project::glob::{Glob, Hidden, PathGlob, Recursive};
use crate::python::project::refusal::{Outcome, Refusal};
use crate::python::project::tree::{Entry, clean, join, name, parent};
use crate::python::project::wheel::{Files, Place};

/// What the manifest needs to know besides the packages.
pub(super) struct Extra<'e> {
    pub licences: &'e [String],
    /// Does setuptools-scm list the tracked files?
    pub tracked: bool,
    pub sources_txt: Option<&'e str>,
}

/// A shipped file: path in the wheel → path in the project.
type Shipped = BTreeMap<String, String>;

/// Fills the wheel; what is returned lies in the packages and is left out.
pub(super) fn add(
    context: &Context<'_>,
    settings: &Settings,
    found: &Found,
    extra: &Extra<'_>,
    files: &mut Files,
) -> Outcome<Vec<String>> {
    let mut shipped = sources(context, found)?;
    let stated = package_data(context, settings, found);
    shipped.extend(stated.clone());
    if settings.include_package_data == Some(true) {
        let further: Vec<String> = extra.licences.iter().chain(&settings.referenced).cloned().collect();
        let known = shipped.values().cloned().collect();
        let manifest = manifest(context, known, &further, extra.tracked, extra.sources_txt)?;
        shipped.extend(manifest_data(settings, found, &manifest));
    }
    for (place, path) in &shipped {
        let Some(entry) = context.tree.file(path) else { continue };
        // What is no code and cannot be read is dropped, as setuptools does.
        let code = path.ends_with(".py");
        let entry = Entry { executable: entry.executable && !code, ..entry.clone() };
        if code || !matches!(entry.source, crate::python::project::tree::Source::Bad(_)) {
            files.add_site(place, path, &entry)?;
        }
    }
    add_data_files(context, settings, files)?;
    Ok(left_out(context, found, &shipped))
}

/// Every module.
fn sources(context: &Context<'_>, found: &Found) -> Outcome<Shipped> {
    let mut shipped = Shipped::new();
    for package in &found.packages {
        if package.split('.').any(|part| part.is_empty() || part.contains('/')) {
            return Err(Refusal::broken(format!("'{package}' is no package: its name has dots, not slashes")));
        }
        let folder = found.folder(package);
        if !context.tree.is_folder(&folder) {
            let why = format!("setuptools finds no folder \"{folder}\" for the package {package}");
            return Err(Refusal::broken(why));
        }
        let target = package.replace('.', "/");
        for name in context.tree.names(&folder).filter(|name| name.ends_with(".py") && !name.starts_with('.')) {
            if !(folder.is_empty() && name == "setup.py") {
                shipped.insert(join(&target, name), join(&folder, name));
            }
        }
    }
    for module in &found.modules {
        let (package, last) = module.rsplit_once('.').unwrap_or(("", module));
        let path = join(&found.folder(package), &format!("{last}.py"));
        if context.tree.file(&path).is_some() {
            shipped.insert(format!("{}.py", module.replace('.', "/")), path);
        }
    }
    Ok(shipped)
}

/// `package-data`, and type hints without being asked.
fn package_data(context: &Context<'_>, settings: &Settings, found: &Found) -> Shipped {
    let mut shipped = Shipped::new();
    for package in &found.packages {
        let folder = found.folder(package);
        let mut globs = vec!["*.pyi".to_owned(), "py.typed".to_owned()];
        globs.extend(patterns(&settings.package_data, package).map(str::to_owned));
        let globs: Vec<PathGlob> =
            globs.iter().map(|glob| PathGlob::new(glob, Hidden::NeedDot, Recursive::Yes)).collect();
        for (path, _) in context.tree.below(&folder) {
            let inner = path.strip_prefix(folder.as_str()).unwrap_or(path).trim_start_matches('/');
            if globs.iter().any(|glob| glob.matches(inner)) && !is_excluded(settings, package, &folder, path) {
                shipped.insert(join(&package.replace('.', "/"), inner), path.to_owned());
            }
        }
    }
    shipped
}

fn patterns<'l>(lists: &'l Lists, package: &'l str) -> impl Iterator<Item = &'l str> {
    let own = lists.iter().filter(move |(key, _)| key.is_empty() || key == "*" || key == package);
    own.flat_map(|(_, globs)| globs.iter().map(String::as_str))
}

fn is_excluded(settings: &Settings, package: &str, folder: &str, path: &str) -> bool {
    patterns(&settings.exclude_package_data, package).any(|pattern| Glob::shell(&join(folder, pattern)).matches(path))
}

/// Files of the manifest, each in the nearest package above it.
fn manifest_data(settings: &Settings, found: &Found, manifest: &BTreeSet<String>) -> Shipped {
    let folders: BTreeMap<String, &String> =
        found.packages.iter().map(|package| (found.folder(package), package)).collect();
    let mut shipped = Shipped::new();
    for path in manifest {
        let mut folder = parent(path);
        while !folder.is_empty() && !folders.contains_key(folder) {
            folder = parent(folder);
        }
        let Some(package) = folders.get(folder) else { continue };
        let inner = path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/');
        let module = inner.strip_suffix(".py").is_some_and(is_identifier);
        if !module && !is_excluded(settings, package, folder, path) {
            shipped.insert(join(&package.replace('.', "/"), inner), path.clone());
        }
    }
    shipped
}

fn add_data_files(context: &Context<'_>, settings: &Settings, files: &mut Files) -> Outcome<()> {
    for (target, globs) in &settings.data_files {
        let target =
            clean(target).ok_or_else(|| Refusal::broken(format!("data-files '{target}' leaves the environment")))?;
        for written in globs {
            let glob = PathGlob::new(written, Hidden::NeedDot, Recursive::Yes);
            for (path, entry) in context.tree.files().filter(|(path, _)| glob.matches(path)) {
                files.add(Place::Data("data", join(&target, name(path))), path, entry)?;
            }
        }
    }
    for path in &settings.scripts {
        let entry = clean(path).and_then(|path| context.tree.file(&path));
        let entry = entry.ok_or_else(|| Refusal::broken(format!("script-files names '{path}', which is not there")))?;
        files.add_script(context, name(path), path, entry)?;
    }
    Ok(())
}

/// What lies in the packages and is not code: people miss it most.
fn left_out(context: &Context<'_>, found: &Found, shipped: &Shipped) -> Vec<String> {
    let sources: BTreeSet<&str> = shipped.values().map(String::as_str).collect();
    let folders: BTreeSet<String> = found.packages.iter().map(|package| found.folder(package)).collect();
    let inside = |path: &str| path.match_indices('/').any(|(at, _)| folders.contains(&path[..at]));
    let junk = |path: &str| path.contains("__pycache__/") || path.ends_with(".pyc") || path.ends_with(".py");
    let files = context.tree.files().map(|(path, _)| path);
    files.filter(|path| inside(path) && !junk(path) && !sources.contains(path)).map(str::to_owned).collect()
}
