//! poetry-core: packages by glob, less what git ignores or `exclude` names.
//!
//! Two files: this one decides about files, [`legacy`] reads `[tool.poetry]` metadata and its constraints.

mod legacy;

use std::collections::{BTreeMap, BTreeSet};

use corten_package::PackageName;

use super::Context;
use super::config::At;
use super::core::Core;
use super::gitignore::Repository;
use super::glob::{Hidden, PathGlob, Recursive};
use super::licence::{self, Dialect};
use super::refusal::{Outcome, Refusal};
use super::tree::{clean, join, name, parent};
use super::wheel::{Files, Payload, Tag};

const LICENCES: [&str; 5] = ["LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*", "LICENSES/**/*"];

pub(super) fn payload(context: &Context<'_>) -> Outcome<Payload> {
    let table = context.pyproject.path("tool.poetry");
    if table.key("build").exists() {
        return Err(table.key("build").needs_build("is a build script, which is code"));
    }
    let mode = table.key("package-mode");
    if mode.flag()? == Some(false) {
        return Err(mode.wrong("is false: there is no package to install"));
    }
    let core = legacy::read(context, &table)?;
    let mut files = Files::default();
    let out = Excluded::read(context, &table)?;
    for package in packages(context, &core, &table)? {
        package.add(context, &out, &mut files)?;
    }
    add_includes(context, &table, &out, &mut files)?;
    add_script_files(context, &table, &mut files)?;
    let dialect = Dialect { hidden: Hidden::Match, recursive: Recursive::Yes, must_hit: false };
    let licences = licence::usual(context, &LICENCES, dialect)?;
    let tag = Tag::admitted(core.requires_python.as_deref());
    Ok(Payload { licences, ..Payload::new(core, files, tag) })
}

/// One entry of `packages`.
struct Package {
    include: String,
    from: String,
    to: String,
}

fn packages(context: &Context<'_>, core: &Core, table: &At<'_>) -> Outcome<Vec<Package>> {
    let written = table.key("packages").items()?;
    if written.is_empty() {
        return default_package(context, core).map(|package| vec![package]);
    }
    let mut packages = Vec::new();
    for item in written.iter().filter(|item| item.exists()) {
        if !formats(item, &["sdist", "wheel"])?.contains(&"wheel") {
            continue;
        }
        let include = item.key("include").text()?.ok_or_else(|| item.wrong("has no include"))?;
        let folder = |key: &str| {
            let written = item.key(key).text()?.unwrap_or_default();
            clean(written).ok_or_else(|| item.key(key).wrong("leaves the project"))
        };
        let include = clean(include).ok_or_else(|| item.key("include").wrong("leaves the project"))?;
        packages.push(Package { include, from: folder("from")?, to: folder("to")? });
    }
    Ok(packages)
}

fn formats<'c>(item: &At<'c>, default: &[&'c str]) -> Outcome<Vec<&'c str>> {
    let at = item.key("format");
    if at.is_list() {
        return Ok(at.texts()?.unwrap_or_default());
    }
    Ok(at.text()?.map_or_else(|| default.to_vec(), |one| vec![one]))
}

fn default_package(context: &Context<'_>, core: &Core) -> Outcome<Package> {
    let normal = PackageName::new(&core.name).map_err(|error| Refusal::broken(error.to_string()))?;
    let own = normal.underscored();
    for from in ["", "src"] {
        let (folder, file) = (join(from, &own), join(from, &format!("{own}.py")));
        let package = |include: String| Package { include, from: from.to_owned(), to: String::new() };
        match (context.tree.is_folder(&folder), context.tree.file(&file).is_some()) {
            (true, true) => return Err(Refusal::broken(format!("poetry finds both {folder}/ and {file}"))),
            (true, false) => return Ok(package(own)),
            (false, true) => return Ok(package(format!("{own}.py"))),
            (false, false) => {}
        }
    }
    Err(Refusal::broken(format!("poetry finds no folder or file for the package {own}"))
        .hint("set [tool.poetry] packages = [{ include = \"…\" }]"))
}

impl Package {
    fn add(&self, context: &Context<'_>, out: &Excluded, files: &mut Files) -> Outcome<()> {
        let found = expand(context, &join(&self.from, &self.include));
        if found.is_empty() {
            return Err(Refusal::broken(format!("poetry finds nothing for the package '{}'", self.include)));
        }
        self.check(&found)?;
        let prefix = if self.from.is_empty() { String::new() } else { format!("{}/", self.from) };
        for path in found.iter().filter(|path| !out.has(path)) {
            let Some(entry) = context.tree.file(path) else { continue };
            let place = join(&self.to, path.strip_prefix(&prefix).unwrap_or(path));
            files.add_site(&place, path, entry)?;
        }
        Ok(())
    }

    /// A package has a module, or is stubs alone. One file is a module, whatever it is.
    fn check(&self, found: &BTreeSet<String>) -> Outcome<()> {
        let module = found.iter().any(|path| path.ends_with(".py"));
        let one = found.len() == 1 && found.iter().all(|path| join(&self.from, &self.include) == *path);
        let stub = |path: &String| path.ends_with(".pyi") || name(path) == "py.typed";
        let stubs =
            name(&self.include).ends_with("-stubs") || found.iter().any(|path| parent(path).ends_with("-stubs"));
        if module || one || (stubs && found.iter().all(stub)) {
            return Ok(());
        }
        Err(Refusal::broken(format!("poetry: {} is not a package (no .py file)", self.include)))
    }
}

/// The files of a glob: what it hits, and all below the folders that it hits.
fn expand(context: &Context<'_>, pattern: &str) -> BTreeSet<String> {
    let glob = PathGlob::new(pattern, Hidden::Match, Recursive::Yes);
    let folders = context.tree.folders().filter(|path| glob.matches(path));
    let below = folders.flat_map(|folder| context.tree.below(folder).map(|(path, _)| path));
    let files = context.tree.files().map(|(path, _)| path).filter(|path| glob.matches(path));
    files.chain(below).map(str::to_owned).collect()
}

/// Files that stay out.
struct Excluded(BTreeSet<String>);

impl Excluded {
    fn read(context: &Context<'_>, table: &At<'_>) -> Outcome<Self> {
        let mut out = ignored_by_git(context)?;
        for pattern in table.key("exclude").texts()?.unwrap_or_default() {
            out.extend(expand(context, pattern));
        }
        for pattern in includes(table)? {
            let kept = expand(context, &pattern);
            out.retain(|path| !kept.contains(path));
        }
        Ok(Self(out))
    }

    fn has(&self, path: &str) -> bool {
        self.0.contains(path) || path.ends_with(".pyc") || path.split('/').any(|part| part == "__pycache__")
    }
}

/// Untracked and ignored by git, where there is git.
fn ignored_by_git(context: &Context<'_>) -> Outcome<BTreeSet<String>> {
    let Some(git) = context.project.git else { return Ok(BTreeSet::new()) };
    let mut repository = Repository::default();
    let mut whole = false;
    for file in git.exclude.iter().chain(context.project.ignored_above) {
        repository.add_above(&file.inside, &file.text)?;
        whole |= repository.ignores_the_project(&file.inside);
    }
    // git says nothing of files in a folder that it ignores as a whole.
    if whole {
        return Ok(BTreeSet::new());
    }
    let own = context.tree.files().map(|(path, _)| path).filter(|path| name(path) == ".gitignore");
    let mut own: Vec<&str> = own.collect();
    own.sort_by_key(|path| path.matches('/').count());
    for path in own {
        if let Some(text) = context.text(path)? {
            repository.add(parent(path), &text.text)?;
        }
    }
    let files = context.tree.files().map(|(path, _)| path);
    let untracked = files.filter(|path| !git.tracked.contains(*path) && repository.ignores(path));
    Ok(untracked.map(str::to_owned).collect())
}

/// Globs of `include` that reach the wheel.
fn includes(table: &At<'_>) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for item in table.key("include").items()? {
        // A plain text is for sdists alone.
        if !item.is_table() || !formats(&item, &["sdist"])?.contains(&"wheel") {
            continue;
        }
        let path = item.key("path").text()?.ok_or_else(|| item.wrong("has no path"))?;
        let path = clean(path).ok_or_else(|| item.key("path").wrong("leaves the project"))?;
        found.push(path);
    }
    Ok(found)
}

fn add_includes(context: &Context<'_>, table: &At<'_>, out: &Excluded, files: &mut Files) -> Outcome<()> {
    let shipped = files.sources();
    for pattern in includes(table)? {
        for path in expand(context, &pattern).iter().filter(|path| !out.has(path) && !shipped.contains(*path)) {
            let Some(entry) = context.tree.file(path) else { continue };
            files.add_site(path, path, entry)?;
        }
    }
    Ok(())
}

fn add_script_files(context: &Context<'_>, table: &At<'_>, files: &mut Files) -> Outcome<()> {
    let scripts: BTreeMap<&str, At<'_>> = table.key("scripts").entries()?.into_iter().collect();
    for at in scripts.values().filter(|at| at.is_table()) {
        if at.key("type").text()? != Some("file") {
            continue;
        }
        let path = at.key("reference").text()?.unwrap_or_default();
        let cleaned = clean(path).ok_or_else(|| at.wrong("leaves the project"))?;
        let entry =
            context.tree.file(&cleaned).ok_or_else(|| at.wrong(format!("names '{path}', which is not there")))?;
        files.add_script(context, name(&cleaned), &cleaned, entry)?;
    }
    Ok(())
}
