//! pdm-backend: every package below one folder, unless `includes` says otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::backend::requires;
use super::config::At;
use super::core::Core;
use super::glob::{Glob, Hidden, PathGlob, Recursive};
use super::licence::{self, Dialect};
use super::refusal::{Outcome, Refusal};
use super::tree::{clean, join, name};
use super::version::{Flavour, Rule, Scm, regex, resolve};
use super::wheel::{Files, Payload, Place, Tag};

pub(super) fn payload(context: &mut Context<'_>) -> Outcome<Payload> {
    refuse_code(context)?;
    let mut core = Core::read(context)?;
    if core.is_dynamic("version") {
        core.version = resolve(context, &core.name, version(context)?)?;
        write_version(context, &core.version)?;
    }
    if let Some(field) = core.dynamic.iter().find(|field| *field != "version" && *field != "classifiers") {
        return Err(context
            .pyproject
            .path("project.dynamic")
            .wrong(format!("names \"{field}\", which pdm cannot fill")));
    }
    let mut files = Files::default();
    add_packages(context, &mut files)?;
    add_wheel_data(context, &mut files)?;
    let tag = Tag::admitted(core.requires_python.as_deref());
    let licences = licences(context)?;
    Ok(Payload { licences, info: vec![("entry_points.txt", String::new())], ..Payload::new(core, files, tag) })
}

fn build<'c>(context: &'c Context<'_>) -> At<'c> {
    context.pyproject.path("tool.pdm.build")
}

fn refuse_code(context: &Context<'_>) -> Outcome<()> {
    let build = build(context);
    let hook = build.key("custom-hook");
    let file = hook.text()?.unwrap_or("pdm_build.py");
    if hook.exists() || context.tree.file(file).is_some() {
        return Err(Refusal::needs_build(format!("pdm's build hook {file} is code")).at(hook.span()));
    }
    let locked = build.key("locked");
    // An sdist has the extras that it made.
    if locked.flag()? == Some(true) && context.pkg_info.is_none() && requires(context, "pdm-build-locked")? {
        return Err(locked.needs_build("lets pdm-build-locked add extras"));
    }
    let pure = build.key("is-purelib");
    if pure.flag()? == Some(false) {
        return Err(pure.needs_build("is false: the wheel is for one platform"));
    }
    let setuptools = build.key("run-setuptools");
    if setuptools.flag()? == Some(true) {
        return Err(setuptools.needs_build("runs setup.py"));
    }
    Ok(())
}

fn version(context: &Context<'_>) -> Outcome<Rule> {
    let table = context.pyproject.path("tool.pdm.version");
    if !table.exists() {
        return Ok(Rule::Known("0.0.0".to_owned()));
    }
    match table.key("source").text()? {
        Some("file") => version_of_file(context, &table),
        None if table.key("path").exists() => version_of_file(context, &table),
        Some("scm") => scm(&table).map(|scm| Rule::Scm(Box::new(scm))),
        source => {
            let what = format!("takes the version from {}", source.unwrap_or("nothing"));
            Ok(Rule::Unknown(table.needs_build(what)))
        }
    }
}

fn version_of_file(context: &Context<'_>, table: &At<'_>) -> Outcome<Rule> {
    const USUAL: &str = r#"^(?:__version__|VERSION)\s*=\s*["'](.+?)["']\s*(?:#.*)?$"#;
    let path = table.key("path");
    let file = path.text()?.ok_or_else(|| table.wrong("has no path"))?;
    let text = context.text(file)?.ok_or_else(|| path.wrong(format!("names '{file}', which is not there")))?;
    let pattern = table.key("pattern").text()?;
    let regex = match regex(pattern.unwrap_or(USUAL), true) {
        Ok(regex) => regex,
        Err(why) => return Ok(Rule::Unknown(table.key("pattern").needs_build(why))),
    };
    let hit = regex.captures(&text.text).and_then(|hit| hit.get(1).map(|text| text.as_str().to_owned()));
    hit.map(Rule::Known).ok_or_else(|| path.wrong(format!("names '{file}', in which no version is found")))
}

fn scm(table: &At<'_>) -> Outcome<Scm> {
    for key in ["version_format", "tag_filter"] {
        if table.key(key).exists() {
            return Err(table.key(key).needs_build("decides about the version"));
        }
    }
    let tag_regex = table.key("tag_regex");
    let compiled = tag_regex.text()?.map(|pattern| regex(pattern, false)).transpose();
    Ok(Scm {
        flavour: Flavour::Pdm,
        tag_regex: compiled.map_err(|why| tag_regex.needs_build(why))?,
        fallback: table.key("fallback_version").text()?.map(str::to_owned),
        ..Scm::default()
    })
}

/// `write_to`, below the wheel's root; an sdist has the file already.
fn write_version(context: &mut Context<'_>, version: &str) -> Outcome<()> {
    let table = context.pyproject.path("tool.pdm.version");
    let Some(written) = table.key("write_to").text()? else { return Ok(()) };
    let template = table.key("write_template").text()?.unwrap_or("{}\n");
    let text = template.replacen("{}", version, 1);
    let root = package_dir(context)?;
    let path = clean(written).ok_or_else(|| table.key("write_to").wrong("leaves the project"))?;
    let path = join(&root, &path);
    if context.tree.file(&path).is_none() || context.pkg_info.is_none() {
        context.tree.write(&path, &text)?;
    }
    Ok(())
}

fn package_dir(context: &Context<'_>) -> Outcome<String> {
    let build = build(context);
    if let Some(written) = build.key("package-dir").text()? {
        return clean(written).ok_or_else(|| build.key("package-dir").wrong("leaves the project"));
    }
    let includes = build.key("includes").texts()?.unwrap_or_default();
    let excludes = build.key("excludes").texts()?.unwrap_or_default();
    let wanted = includes.is_empty() || includes.iter().any(|include| include.starts_with("src"));
    let src = context.tree.is_folder("src") && wanted && !excludes.contains(&"src");
    Ok(if src { "src".to_owned() } else { String::new() })
}

/// What the globs hit, each with the strongest glob that hits it.
struct Selection {
    includes: BTreeSet<String>,
    excludes: BTreeSet<String>,
}

fn add_packages(context: &Context<'_>, files: &mut Files) -> Outcome<()> {
    let root = package_dir(context)?;
    let selection = select(context, &root)?;
    let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
    let mut add = |path: &str| {
        let Some(entry) = context.tree.file(path) else { return Ok(()) };
        files.add_site(path.strip_prefix(&prefix).unwrap_or(path), path, entry)
    };
    for include in &selection.includes {
        add(include)?;
        for (path, _) in context.tree.below(include) {
            if !path.ends_with(".pyc") && !selection.excludes(path) {
                add(path)?;
            }
        }
    }
    Ok(())
}

impl Selection {
    fn excludes(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        above.chain([path]).any(|part| self.excludes.contains(part))
            || self
                .excludes
                .iter()
                .any(|exclude| exclude.contains(['*', '?', '[']) && Glob::shell(exclude).matches(path))
    }
}

fn select(context: &Context<'_>, root: &str) -> Outcome<Selection> {
    let build = build(context);
    let own = |key: &str| Outcome::Ok(build.key(key).texts()?.unwrap_or_default());
    let written = own("includes")?;
    let source = own("source-includes")?;
    let source = if source.is_empty() { vec!["tests"] } else { source };
    let mut includes: Vec<String> = written.into_iter().map(str::to_owned).collect();
    if includes.is_empty() {
        includes = top_packages(context, root);
    }
    includes.extend(source.iter().map(|glob| (*glob).to_owned()));
    let mut excludes: Vec<String> = own("excludes")?.into_iter().map(str::to_owned).collect();
    excludes.extend([".pdm-build".to_owned()]);
    excludes.extend(source.into_iter().map(str::to_owned));
    Ok(merge(&hits(context, &includes), hits(context, &excludes)))
}

/// Folders with `__init__.py`, or else modules.
fn top_packages(context: &Context<'_>, root: &str) -> Vec<String> {
    let is_package = |folder: &str| {
        let has = |file: &str| context.tree.file(&join(&join(root, folder), file)).is_some();
        let cache = matches!(folder, "__pycache__" | "__pypackages__");
        !cache && (has("__init__.py") || (folder.ends_with("-stubs") && has("__init__.pyi")))
    };
    let packages: Vec<String> =
        context.tree.folders_in(root).filter(|name| is_package(name)).map(|name| join(root, name)).collect();
    if packages.is_empty() { vec![join(root, "*.py")] } else { packages }
}

/// Paths and the glob by which each was hit.
fn hits(context: &Context<'_>, globs: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for written in globs {
        let glob = PathGlob::new(written, Hidden::NeedDot, Recursive::Yes);
        let paths = context.tree.files().map(|(path, _)| path).chain(context.tree.folders());
        found.extend(paths.filter(|path| glob.matches(path)).map(|path| (path.to_owned(), written.clone())));
    }
    found
}

fn merge(includes: &BTreeMap<String, String>, mut excludes: BTreeMap<String, String>) -> Selection {
    let mut kept = BTreeSet::new();
    for (path, glob) in includes {
        match excludes.get(path) {
            Some(exclude) if weight(glob) <= weight(exclude) => continue,
            Some(_) => drop(excludes.remove(path)),
            None => {}
        }
        kept.insert(path.clone());
    }
    Selection { includes: kept, excludes: excludes.into_keys().collect() }
}

/// More parts win, then fewer wildcards.
fn weight(glob: &str) -> (usize, isize) {
    let parts: Vec<&str> = glob.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let wild = |part: &&str| match *part {
        "**" => 2,
        part => isize::from(part.contains(['*', '?', '['])),
    };
    (parts.len(), -parts.iter().map(wild).sum::<isize>())
}

fn add_wheel_data(context: &Context<'_>, files: &mut Files) -> Outcome<()> {
    // pdm also writes `include` and `platinclude`, which no installer knows.
    const SCHEMES: [&str; 4] = ["scripts", "purelib", "platlib", "data"];
    for (scheme, list) in build(context).key("wheel-data").entries()? {
        let known = SCHEMES.iter().find(|known| **known == scheme);
        let scheme = known.ok_or_else(|| list.wrong(format!("is none of {}", SCHEMES.join(", "))))?;
        for item in list.items()? {
            add_data_item(context, files, scheme, &item)?;
        }
    }
    Ok(())
}

fn add_data_item(context: &Context<'_>, files: &mut Files, scheme: &'static str, item: &At<'_>) -> Outcome<()> {
    let (glob, relative_to) = match item.is_table() {
        true => (item.key("path").text()?, item.key("relative-to").text()?),
        false => (item.text()?, None),
    };
    let glob = glob.ok_or_else(|| item.wrong("has no path"))?;
    let base = relative_to.map(|base| clean(base).ok_or_else(|| item.wrong("leaves the project"))).transpose()?;
    let pattern = PathGlob::new(glob, Hidden::NeedDot, Recursive::Yes);
    for (path, entry) in context.tree.files().filter(|(path, _)| pattern.matches(path)) {
        let place = match &base {
            None => name(path),
            Some(base) if base.is_empty() => path,
            Some(base) => path
                .strip_prefix(base.as_str())
                .and_then(|rest| rest.strip_prefix('/'))
                .ok_or_else(|| item.wrong(format!("hits '{path}', which is not below '{base}'")))?,
        };
        match scheme {
            "scripts" => files.add_script(context, place, path, entry)?,
            scheme => files.add(Place::Data(scheme, place.to_owned()), path, entry)?,
        }
    }
    Ok(())
}

fn licences(context: &Context<'_>) -> Outcome<Vec<String>> {
    let dialect = Dialect { hidden: Hidden::Match, recursive: Recursive::Yes, must_hit: false };
    let mut found: Vec<String> = licence::of_table(context)?.into_iter().map(str::to_owned).collect();
    match licence::written(context)? {
        Some(globs) => found.extend(licence::matching(context, &globs, dialect)?),
        None if found.is_empty() => {
            found = licence::matching(context, &["LICEN[CS]E*", "COPYING*", "NOTICE*"], dialect)?
        }
        None => {}
    }
    found.sort();
    found.dedup();
    Ok(found)
}
