//! setuptools: packages that are listed, found or discovered, and the data that its manifest knows.
//!
//! ```text
//! setup.py (literals only) ─┐
//! setup.cfg ────────────────┼─► Settings ─► discover ─► Found ─► files (build_py) ─► wheel
//! pyproject.toml ───────────┘                                      ▲
//!             MANIFEST.in, git's files or SOURCES.txt ─► manifest ─┘
//! ```

mod discover;
mod files;
mod legacy;
mod manifest;
pub(super) mod scm;
mod script;
mod settings;
mod values;

use std::collections::BTreeSet;

use super::Context;
use super::backend::requires;
use super::core::Core;
use super::glob::{Hidden, Recursive};
use super::ini::Ini;
use super::licence::{self, Dialect};
use super::refusal::Outcome;
use super::tree::clean;
use super::wheel::{Files, Payload, Tag};
use discover::{Found, discover};
use files::Extra;
use settings::Settings;

pub(super) fn payload(context: &mut Context<'_>) -> Outcome<Payload> {
    let script = script::read(context)?;
    let ini = context.text("setup.cfg")?.map(Ini::parse).transpose()?;
    let mut settings = Settings::read(context, &script, ini.as_ref())?;
    let found = discover(&context.tree, &settings)?;
    let mut core = if context.pyproject.path("project").exists() {
        Core::read(context)?
    } else {
        legacy::read(context, &script, ini.as_ref())?
    };
    let source = values::Source { context, script: &script, ini: ini.as_ref(), found: &found };
    source.fill(&mut core, &mut settings)?;
    write_version(context, &core.version)?;
    let licences = licences(context, &settings)?;
    let sources_txt = sources_txt(context, &found);
    let tracked = requires(context, "setuptools-scm")?;
    let extra = Extra { licences: &licences, tracked, sources_txt: sources_txt.as_deref() };
    let mut files = Files::default();
    let left_out = files::add(context, &settings, &found, &extra, &mut files)?;
    let mut info = vec![("top_level.txt", top_level(&found))];
    if !settings.namespace_packages.is_empty() {
        info.push(("namespace_packages.txt", format!("{}\n", settings.namespace_packages.join("\n"))));
    }
    Ok(Payload { licences, info, left_out, ..Payload::new(core, files, Tag::Python3) })
}

/// First names of packages and modules, sorted; a line feed alone when there are none.
fn top_level(found: &Found) -> String {
    let first = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = found.packages.iter().chain(&found.modules).map(first).collect();
    format!("{}\n", names.into_iter().collect::<Vec<_>>().join("\n"))
}

fn licences(context: &Context<'_>, settings: &Settings) -> Outcome<Vec<String>> {
    let dialect = Dialect { hidden: Hidden::NeedDot, recursive: Recursive::Yes, must_hit: false };
    let globs = match (licence::written(context)?, &settings.license_files) {
        (Some(globs), _) => globs,
        (None, Some(globs)) => globs.iter().map(String::as_str).collect(),
        (None, None) => licence::USUAL.to_vec(),
    };
    let mut found = licence::matching(context, &globs, dialect)?;
    if let Some(file) = licence::of_table(context)? {
        found.push(file.to_owned());
    }
    found.retain(|path| !path.ends_with('~'));
    found.sort();
    found.dedup();
    Ok(found)
}

/// In an sdist alone: elsewhere it is what an earlier build left behind.
fn sources_txt(context: &Context<'_>, found: &Found) -> Option<String> {
    context.pkg_info.as_ref()?;
    let base = found.package_dir.get("").map_or("", String::as_str);
    let folders = context.tree.folders_in(base).filter(|name| name.ends_with(".egg-info"));
    let paths = folders.map(|folder| super::tree::join(base, &format!("{folder}/SOURCES.txt")));
    paths.into_iter().find(|path| context.tree.file(path).is_some())
}

/// `version_file` and `write_to` of setuptools-scm; an sdist has the file already.
fn write_version(context: &mut Context<'_>, version: &str) -> Outcome<()> {
    if !requires(context, "setuptools-scm")? && !requires(context, "vcs-versioning")? {
        return Ok(());
    }
    let table = context.pyproject.path("tool.setuptools_scm");
    let mut written = Vec::new();
    for (key, template) in [("version_file", "version_file_template"), ("write_to", "write_to_template")] {
        let at = table.key(key);
        let Some(file) = at.text()? else { continue };
        let path = clean(file).ok_or_else(|| at.wrong("leaves the project"))?;
        if context.pkg_info.is_none() || context.tree.file(&path).is_none() {
            let template = table.key(template).text()?;
            written.push((path, scm::version_text(context, template, file, version)));
        }
    }
    written.iter().try_for_each(|(path, text)| context.tree.write(path, text))
}
