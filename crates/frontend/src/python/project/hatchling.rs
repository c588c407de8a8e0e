//! hatchling: what is selected below the project, `[tool.hatch.build.targets.wheel]` over `[tool.hatch.build]`.
//!
//! Two files: this one decides which files go where, [`dynamic`] reads versions and hooks.

mod dynamic;

use std::collections::{BTreeMap, BTreeSet};

use corten_package::PackageName;

use super::Context;
use super::config::{At, Toml};
use super::core::Core;
use super::gitignore::Patterns;
use super::glob::{Hidden, Recursive};
use super::licence::{self, Dialect};
use super::refusal::{Outcome, Refusal};
use super::tree::{Entry, clean, join, name, parent};
use super::wheel::{Files, Payload, Place, Tag};

/// Folders that are never entered.
const CLOSED: [&str; 11] = [
    "__pycache__",
    ".venv",
    ".git",
    ".hg",
    ".hatch",
    ".tox",
    ".nox",
    ".ruff_cache",
    ".pytest_cache",
    ".mypy_cache",
    ".pixi",
];

pub(super) fn payload(context: &mut Context<'_>) -> Outcome<Payload> {
    let own = hatch_toml(context)?;
    let mut core = Core::read(context)?;
    let generated = {
        let settings = Settings { context, own: own.as_ref() };
        dynamic::check_metadata(&settings, &mut core)?;
        dynamic::generated(&settings, &mut core)?
    };
    for (path, text) in &generated {
        context.tree.write(path, text)?;
    }
    let settings = Settings { context, own: own.as_ref() };
    let mut selection = Selection::read(&settings, &core)?;
    selection.artifacts.extend(Patterns::of(
        generated.keys().map(|path| format!("/{path}")).collect::<Vec<_>>().iter().map(String::as_str),
    ));
    let mut files = Files::default();
    selection.add_selected(context, &mut files)?;
    selection.add_forced(context, &mut files)?;
    add_extras(&settings, &mut files)?;
    let tag = Tag::admitted(core.requires_python.as_deref());
    let dialect = Dialect { hidden: Hidden::NeedDot, recursive: Recursive::No, must_hit: false };
    let licences = licence::usual(context, &licence::USUAL, dialect)?;
    Ok(Payload { licences, ..Payload::new(core, files, tag) })
}

fn hatch_toml(context: &Context<'_>) -> Outcome<Option<Toml>> {
    context.text("hatch.toml")?.map(Toml::parse).transpose()
}

/// hatch.toml replaces keys of `[tool.hatch]`.
struct Settings<'s, 'p> {
    context: &'s Context<'p>,
    own: Option<&'s Toml>,
}

impl<'s> Settings<'s, '_> {
    fn hatch(&self, key: &str) -> At<'s> {
        let own = self.own.map(|file| file.root().key(key)).filter(At::exists);
        own.unwrap_or_else(|| self.context.pyproject.path("tool.hatch").key(key))
    }

    fn target(&self) -> At<'s> {
        self.hatch("build").key("targets").key("wheel")
    }

    /// The target's key if it is there, else the build's.
    fn build(&self, key: &str) -> At<'s> {
        let own = self.target().key(key);
        if own.exists() { own } else { self.hatch("build").key(key) }
    }

    fn texts(&self, key: &str) -> Outcome<Vec<&'s str>> {
        Ok(self.build(key).texts()?.unwrap_or_default())
    }

    fn flag(&self, key: &str) -> Outcome<bool> {
        Ok(self.build(key).flag()?.unwrap_or(false))
    }

    fn paths(&self, key: &str) -> Outcome<Vec<String>> {
        let wrong = |path: &str| self.build(key).wrong(format!("has '{path}', which leaves the project"));
        self.texts(key)?.into_iter().map(|path| clean(path).ok_or_else(|| wrong(path))).collect()
    }
}

/// Which files, and where to.
struct Selection {
    /// Roots that are walked as they are; empty: the whole project, through `include`.
    explicit: Vec<String>,
    /// None: all.
    include: Option<Patterns>,
    exclude: Patterns,
    artifacts: Patterns,
    /// Prefix and what replaces it, in their order.
    sources: BTreeMap<String, String>,
    /// Source and target of force-include.
    forced: Vec<(String, String)>,
    only_packages: bool,
    skip_excluded: bool,
}

impl Selection {
    fn read(settings: &Settings<'_, '_>, core: &Core) -> Outcome<Self> {
        let (mut packages, mut only_include) = (settings.paths("packages")?, settings.paths("only-include")?);
        let forced = forced(settings)?;
        let include = settings.texts("include")?;
        let mut nothing = false;
        if packages.is_empty() && only_include.is_empty() && include.is_empty() {
            match found(settings.context, core)? {
                Some(Found::Package(path)) => packages = vec![path],
                Some(Found::Module(path)) => only_include = vec![path],
                None => nothing = true,
            }
        }
        if nothing && forced.is_empty() && settings.target().key("bypass-selection").flag()? != Some(true) {
            return Err(not_found(core));
        }
        let sources = sources(settings, &packages)?;
        let explicit = if only_include.is_empty() { packages.clone() } else { only_include };
        let mut selection = Self {
            include: (!include.is_empty()).then(|| Patterns::of(include)),
            exclude: exclude(settings)?,
            artifacts: Patterns::of(settings.texts("artifacts")?),
            only_packages: settings.flag("only-packages")?,
            skip_excluded: settings.flag("skip-excluded-dirs")?,
            explicit,
            sources,
            forced,
        };
        if nothing {
            // Artifacts and what is forced, nothing else.
            selection.include = Some(Patterns::default());
        }
        Ok(selection)
    }

    fn place(&self, path: &str) -> String {
        for (source, target) in &self.sources {
            if source.is_empty() {
                return format!("{target}{path}");
            }
            if let Some(rest) = path.strip_prefix(source.as_str()) {
                return format!("{target}{rest}");
            }
        }
        path.to_owned()
    }

    fn add_selected(&self, context: &Context<'_>, files: &mut Files) -> Outcome<()> {
        let reserved: BTreeSet<String> = self.forced.iter().map(|(source, _)| self.place(source)).collect();
        let mut add = |path: &str, entry: &Entry, explicit: bool| {
            let place = self.place(path);
            if is_reserved(&reserved, &place) || !self.takes(context, path, explicit) {
                return Ok(());
            }
            files.add_site(&place, path, entry)
        };
        if self.explicit.is_empty() {
            return context
                .tree
                .files()
                .filter(|(path, _)| is_open(path))
                .try_for_each(|(path, entry)| add(path, entry, false));
        }
        for root in &self.explicit {
            if let Some(entry) = context.tree.file(root) {
                files.add_site(&self.place(root), root, entry)?;
                continue;
            }
            for (path, entry) in context.tree.below(root).filter(|(path, _)| is_open(below(path, root))) {
                let place = self.place(path);
                if !is_reserved(&reserved, &place) && self.takes(context, path, true) {
                    files.add_site(&place, path, entry)?;
                }
            }
        }
        Ok(())
    }

    fn takes(&self, context: &Context<'_>, path: &str, explicit: bool) -> bool {
        if self.artifacts.matches(path) {
            return true;
        }
        let packaged = || context.tree.file(&join(parent(path), "__init__.py")).is_some();
        let included = || explicit || self.include.as_ref().is_none_or(|include| include.matches(path));
        let skipped = || self.skip_excluded && !explicit && self.exclude.matches(parent(path));
        (!self.only_packages || packaged()) && !self.exclude.matches(path) && !skipped() && included()
    }

    fn add_forced(&self, context: &Context<'_>, files: &mut Files) -> Outcome<()> {
        for (source, target) in &self.forced {
            for (path, inner, entry) in tree_of(context, source) {
                let place = self.place(&join(target, inner));
                if files.has_site(&place) {
                    let why = format!("two sources for {place}: force-include \"{path}\" and the selected file");
                    return Err(Refusal::broken(why));
                }
                files.add_site(&place, path, entry)?;
            }
            if context.tree.file(source).is_none() && !context.tree.is_folder(source) {
                return Err(Refusal::broken(format!("force-include names '{source}', which is not there")));
            }
        }
        Ok(())
    }
}

fn below<'p>(path: &'p str, root: &str) -> &'p str {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches('/')
}

/// A reserved folder takes what is in it along.
fn is_reserved(reserved: &BTreeSet<String>, place: &str) -> bool {
    place.match_indices('/').map(|(at, _)| &place[..at]).chain([place]).any(|path| reserved.contains(path))
}

fn is_open(path: &str) -> bool {
    !parent(path).split('/').any(|part| CLOSED.contains(&part)) && !matches!(name(path), ".DS_Store" | ".git")
}

/// A file, or the files of a folder: path, path below the source, entry.
fn tree_of<'c>(context: &'c Context<'_>, source: &'c str) -> Vec<(&'c str, &'c str, &'c Entry)> {
    if let Some(entry) = context.tree.file(source) {
        return vec![(source, "", entry)];
    }
    let inner = context.tree.below(source).map(|(path, entry)| (path, below(path, source), entry));
    inner.filter(|(_, inner, _)| is_open(inner)).collect()
}

enum Found {
    Package(String),
    Module(String),
}

/// Where hatchling looks when nothing is said.
fn found(context: &Context<'_>, core: &Core) -> Outcome<Option<Found>> {
    let tree = &context.tree;
    let normal = PackageName::new(&core.name).map_err(|error| Refusal::broken(error.to_string()))?;
    for name in [underscored(&core.name), normal.underscored()] {
        if tree.file(&format!("{name}/__init__.py")).is_some() {
            return Ok(Some(Found::Package(name)));
        }
        if tree.file(&format!("src/{name}/__init__.py")).is_some() {
            return Ok(Some(Found::Package(format!("src/{name}"))));
        }
        if tree.file(&format!("{name}.py")).is_some() {
            return Ok(Some(Found::Module(format!("{name}.py"))));
        }
        let spaces: Vec<&str> =
            tree.folders_in("").filter(|top| tree.file(&format!("{top}/{name}/__init__.py")).is_some()).collect();
        if let [space] = spaces[..] {
            return Ok(Some(Found::Package(space.to_owned())));
        }
    }
    Ok(None)
}

/// As a file name would have it, letters as written.
fn underscored(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if plain.ends_with('_') => {}
            '-' | '_' | '.' => plain.push('_'),
            letter => plain.push(letter),
        }
    }
    plain
}

fn not_found(core: &Core) -> Refusal {
    let name = underscored(&core.name);
    Refusal::broken(format!("hatchling finds no folder \"{name}\" or \"src/{name}\""))
        .hint("set [tool.hatch.build.targets.wheel] packages")
}

fn sources(settings: &Settings<'_, '_>, packages: &[String]) -> Outcome<BTreeMap<String, String>> {
    let at = settings.build("sources");
    let folder = |path: &str| {
        let path = clean(path).ok_or_else(|| at.wrong(format!("has '{path}', which leaves the project")))?;
        Outcome::Ok(if path.is_empty() { path } else { format!("{path}/") })
    };
    let mut sources = BTreeMap::new();
    if at.is_list() {
        for source in at.texts()?.unwrap_or_default() {
            sources.insert(folder(source)?, String::new());
        }
    } else {
        for (source, target) in at.text_entries()? {
            sources.insert(folder(source)?, folder(target)?);
        }
    }
    for package in packages.iter().filter(|package| package.contains('/')) {
        if !sources.contains_key(&format!("{package}/")) {
            sources.insert(format!("{}/", parent(package)), String::new());
        }
    }
    Ok(sources)
}

fn forced(settings: &Settings<'_, '_>) -> Outcome<Vec<(String, String)>> {
    let at = settings.build("force-include");
    let pair = |(source, target): (&str, &str)| {
        let outside = || at.wrong(format!("takes '{source}', which lies outside the project"));
        let source = clean(source).ok_or_else(outside)?;
        let target = clean(target.trim_start_matches('/')).ok_or_else(|| at.wrong("leaves the wheel"))?;
        Ok((source, target))
    };
    at.text_entries()?.into_iter().map(pair).collect()
}

/// hatchling's own, then version control's, then the user's.
fn exclude(settings: &Settings<'_, '_>) -> Outcome<Patterns> {
    let mut patterns = Patterns::of(["*.py[cdo]", "/dist"]);
    if !settings.flag("ignore-vcs")? {
        patterns.extend(of_version_control(settings.context)?);
    }
    patterns.extend(Patterns::of(settings.texts("exclude")?));
    Ok(patterns)
}

/// One .gitignore, the nearest; unless it matches the project's own folder.
fn of_version_control(context: &Context<'_>) -> Outcome<Patterns> {
    let own = context.text(".gitignore")?.map(|text| text.text.to_string());
    let above = || context.project.ignored_above.last().map(|file| file.text.clone());
    let mut text = own.or_else(above).unwrap_or_default();
    if let Some(mercurial) = context.text(".hgignore")? {
        text.push('\n');
        text.push_str(&globs_of_mercurial(&mercurial.text));
    }
    let patterns = Patterns::read(&text)?;
    let root = context.project.shown.to_string_lossy();
    let ignored = !root.is_empty() && patterns.matches(root.trim_start_matches('/'));
    Ok(if ignored { Patterns::default() } else { patterns })
}

fn globs_of_mercurial(text: &str) -> String {
    let mut globs = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.trim().strip_prefix("syntax: ") {
            Some(syntax) => globs = syntax == "glob",
            None if globs => lines.push(line),
            None => {}
        }
    }
    lines.join("\n")
}

/// What goes beside site-packages.
fn add_extras(settings: &Settings<'_, '_>, files: &mut Files) -> Outcome<()> {
    let target = settings.target();
    let context = settings.context;
    for key in ["shared-data", "shared-scripts", "extra-metadata"] {
        let at = target.key(key);
        for (source, wanted) in at.text_entries()? {
            let outside = || at.wrong(format!("takes '{source}' to '{wanted}', which leaves the project"));
            let (source, wanted) = (clean(source).ok_or_else(outside)?, clean(wanted).ok_or_else(outside)?);
            for (path, inner, entry) in tree_of(context, &source) {
                let place = join(&wanted, inner);
                match key {
                    "shared-data" => files.add(Place::Data("data", place), path, entry)?,
                    "shared-scripts" => files.add_script(context, &place, path, entry)?,
                    _ => files.add(Place::Info(format!("extra_metadata/{place}")), path, entry)?,
                }
            }
        }
    }
    for source in target.key("sbom-files").texts()?.unwrap_or_default() {
        let path = clean(source).unwrap_or_default();
        let entry =
            context.tree.file(&path).ok_or_else(|| target.key("sbom-files").wrong("names a file that is not there"))?;
        files.add(Place::Info(format!("sboms/{}", name(&path))), &path, entry)?;
    }
    Ok(())
}
