//! Metadata without `[project]`: setup.py's literals, then setup.cfg.

use crate::python::project::Context;
use crate::python::project::core::{Core, Person, Readme, content_type};
use crate::python::project::ini::{Ini, Item};
use crate::python::project::python::Literal;
use crate::python::project::refusal::{Outcome, Refusal};
use corten_package::PackageName;

type Script = [(String, Literal)];

fn keyword<'s>(script: &'s Script, key: &str) -> Option<&'s Literal> {
    script.iter().find(|(own, _)| own == key).map(|(_, value)| value)
}

/// One text of either.
fn text(script: &Script, ini: Option<&Ini>, key: &str) -> Option<String> {
    let written = keyword(script, key).and_then(Literal::text).map(str::to_owned);
    let item = || ini.and_then(|ini| ini.get("metadata", key)).map(|item| item.text().to_owned());
    written.or_else(item).filter(|text| !text.is_empty())
}

/// The metadata; the version stays empty where it comes from elsewhere.
pub(super) fn read(context: &Context<'_>, script: &Script, ini: Option<&Ini>) -> Outcome<Core> {
    let name = text(script, ini, "name").ok_or_else(|| {
        Refusal::broken("neither pyproject.toml, setup.cfg nor setup.py names the project").hint("write [project] name")
    })?;
    PackageName::new(&name).map_err(|error| Refusal::broken(error.to_string()))?;
    let mut core = Core { name, ..Core::default() };
    core.summary = text(script, ini, "description").or_else(|| text(script, ini, "summary"));
    core.license_text = text(script, ini, "license");
    core.authors = person(text(script, ini, "author"), text(script, ini, "author_email"));
    core.maintainers = person(text(script, ini, "maintainer"), text(script, ini, "maintainer_email"));
    core.urls.extend(text(script, ini, "url").map(|url| ("Homepage".to_owned(), url)));
    core.classifiers = list(script, ini, "classifiers");
    core.keywords = list(script, ini, "keywords");
    core.requires_python = requires_python(script, ini)?;
    core.readme = readme(context, script, ini)?;
    requirements(&mut core, script, ini)?;
    entry_points(script, ini, &mut core)?;
    Ok(core)
}

fn person(name: Option<String>, email: Option<String>) -> Vec<Person> {
    if name.is_none() && email.is_none() { Vec::new() } else { vec![Person { name, email }] }
}

fn list(script: &Script, ini: Option<&Ini>, key: &str) -> Vec<String> {
    let written = keyword(script, key).and_then(Literal::texts);
    written.or_else(|| ini?.get("metadata", key).map(Item::list)).unwrap_or_default()
}

pub(super) fn requires_python(script: &Script, ini: Option<&Ini>) -> Outcome<Option<String>> {
    let written = keyword(script, "python_requires").and_then(Literal::text).map(str::to_owned);
    let item = || ini?.get("options", "python_requires").map(|item| item.text().to_owned());
    let found = written.or_else(item);
    if let Some(Err(error)) = found.as_deref().map(str::parse::<corten_package::pep440::Specifiers>) {
        return Err(Refusal::broken(format!("python_requires is wrong: {error}")));
    }
    Ok(found)
}

fn readme(context: &Context<'_>, script: &Script, ini: Option<&Ini>) -> Outcome<Option<Readme>> {
    let Some(written) = text(script, ini, "long_description") else { return Ok(None) };
    let stated = text(script, ini, "long_description_content_type");
    let Some(paths) = written.strip_prefix("file:") else {
        return Ok(Some(Readme { content_type: stated.unwrap_or_else(|| "text/plain".to_owned()), body: written }));
    };
    let mut texts = Vec::new();
    let mut kind = "text/plain";
    for path in paths.split([',', '\n']).map(str::trim).filter(|path| !path.is_empty()) {
        kind = content_type(path);
        texts.extend(context.text(path)?.map(|text| text.text.to_string()));
    }
    Ok(Some(Readme { content_type: stated.unwrap_or_else(|| kind.to_owned()), body: texts.join("\n") }))
}

fn requirements(core: &mut Core, script: &Script, ini: Option<&Ini>) -> Outcome<()> {
    let written = keyword(script, "install_requires").and_then(Literal::texts);
    let lines = written.or_else(|| ini?.get("options", "install_requires").map(Item::lines)).unwrap_or_default();
    let file = |line: &String| line.starts_with("file:");
    if lines.iter().any(file) {
        return Err(Refusal::needs_build("setup.cfg: install_requires names a file"));
    }
    lines.iter().try_for_each(|line| core.require(line, None))?;
    for (key, lines) in extras(script, ini) {
        // `name:marker`, an older way of writing conditions.
        let (name, marker) = key.split_once(':').map_or((key.as_str(), ""), |(name, marker)| (name, marker));
        let extra = if name.is_empty() { None } else { Some(core.add_extra(name)?) };
        for line in lines {
            let line = if marker.is_empty() { line } else { format!("{line} ; {marker}") };
            core.require(&line, extra.as_ref())?;
        }
    }
    Ok(())
}

fn extras(script: &Script, ini: Option<&Ini>) -> Vec<(String, Vec<String>)> {
    if let Some(Literal::Table(entries)) = keyword(script, "extras_require") {
        let entry = |(key, list): &(Literal, Literal)| Some((key.text()?.to_owned(), list.texts()?));
        return entries.iter().filter_map(entry).collect();
    }
    let section = ini.map_or(&[][..], |ini| ini.section("options.extras_require"));
    section.iter().map(|item| (item.written.clone(), item.lines())).collect()
}

/// Adds entry points; whether there were any.
pub(super) fn entry_points(script: &Script, ini: Option<&Ini>, core: &mut Core) -> Outcome<bool> {
    match keyword(script, "entry_points") {
        Some(Literal::Table(groups)) => {
            for (group, lines) in groups {
                let lines = lines.texts().unwrap_or_default();
                add(core, group.text().unwrap_or_default(), lines.iter().flat_map(|text| text.lines()))?;
            }
            Ok(true)
        }
        Some(Literal::Text(text)) => {
            let ini = Ini::parse(crate::python::project::folder::Text {
                path: "setup.py".into(),
                text: text.as_str().into(),
            })?;
            entry_points_of(&ini, core)?;
            Ok(true)
        }
        _ => {
            let section = ini.map_or(&[][..], |ini| ini.section("options.entry_points"));
            section.iter().try_for_each(|item| add(core, &item.written, item.value.lines()))?;
            Ok(!section.is_empty())
        }
    }
}

/// Those of an entry_points.txt.
pub(super) fn entry_points_of(ini: &Ini, core: &mut Core) -> Outcome<()> {
    for group in ini.sections() {
        for item in ini.section(group) {
            core.add_entry_point(group, &item.written, item.text())?;
        }
    }
    Ok(())
}

fn add<'l>(core: &mut Core, group: &str, lines: impl Iterator<Item = &'l str>) -> Outcome<()> {
    for line in lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let pair = line.split_once('=').ok_or_else(|| Refusal::broken(format!("'{line}' is no entry point")))?;
        core.add_entry_point(group, pair.0.trim(), pair.1.trim())?;
    }
    Ok(())
}
