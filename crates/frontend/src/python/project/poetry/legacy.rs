//! `[tool.poetry]` as metadata, alone or beneath `[project]`, and poetry's constraints as PEP 440.

use corten_package::PackageName;
use corten_package::marker::Marker;
use corten_package::pep440::Version;

use crate::python::project::Context;
use crate::python::project::config::At;
use crate::python::project::core::{Core, Person, Readme, content_type};
use crate::python::project::refusal::Outcome;
use crate::python::project::version::{Rule, normal, resolve};

/// Reads both tables; `[project]` is stronger.
pub(super) fn read(context: &Context<'_>, table: &At<'_>) -> Outcome<Core> {
    let modern = context.pyproject.path("project").exists();
    let mut core = if modern { Core::read(context)? } else { named(table)? };
    version(context, table, &mut core)?;
    let dependencies = table.key("dependencies");
    if !modern || core.is_dynamic("requires-python") {
        core.requires_python = python(&dependencies)?;
    }
    let all = requirements(&dependencies)?;
    if !modern || core.is_dynamic("dependencies") {
        all.iter().filter(|one| !one.optional).try_for_each(|one| core.require(&one.text, None))?;
        core.filled(&["dependencies"]);
    }
    if !modern || core.is_dynamic("optional-dependencies") {
        extras(&mut core, &all, &table.key("extras"))?;
        core.filled(&["optional-dependencies"]);
    }
    story(context, table, &mut core, modern)?;
    entry_points(table, &mut core)?;
    core.fill_from_elsewhere(context)?;
    match core
        .unfilled()
        .filter(|field| !matches!(*field, "scripts" | "gui-scripts" | "entry-points" | "requires-python"))
    {
        Some(field) => {
            Err(context.pyproject.path("project.dynamic").wrong(format!("names \"{field}\", which poetry cannot fill")))
        }
        None => Ok(core),
    }
}

fn named(table: &At<'_>) -> Outcome<Core> {
    let name = table.key("name").text()?.ok_or_else(|| table.wrong("has no name"))?;
    PackageName::new(name).map_err(|error| table.key("name").wrong(format!("is wrong: {error}")))?;
    Ok(Core { name: name.to_owned(), ..Core::default() })
}

fn version(context: &Context<'_>, table: &At<'_>, core: &mut Core) -> Outcome<()> {
    if !core.version.is_empty() {
        return Ok(());
    }
    let at = table.key("version");
    let rule = match at.text()? {
        Some(version) => Rule::Known(normal(version).map_err(|refusal| refusal.at(at.span()))?),
        None => Rule::Unknown(table.wrong("has no version")),
    };
    core.version = resolve(context, &core.name, rule)?;
    Ok(())
}

fn story(context: &Context<'_>, table: &At<'_>, core: &mut Core, modern: bool) -> Outcome<()> {
    if core.summary.is_none() {
        core.summary = table.key("description").text()?.map(str::to_owned);
    }
    if core.readme.is_none() && (!modern || core.is_dynamic("readme")) {
        let at = table.key("readme");
        let files = if at.is_list() { at.texts()?.unwrap_or_default() } else { at.text()?.into_iter().collect() };
        let mut texts = Vec::new();
        for file in &files {
            let text = context.text(file)?.ok_or_else(|| at.wrong(format!("names '{file}', which is not there")))?;
            texts.push(text.text.to_string());
        }
        let kind = files.first().map(|file| content_type(file).to_owned());
        core.readme = kind.map(|content_type| Readme { content_type, body: texts.join("\n") });
    }
    if modern {
        return Ok(());
    }
    core.license_text = table.key("license").text().ok().flatten().map(str::to_owned);
    core.authors = people(&table.key("authors"))?;
    core.maintainers = people(&table.key("maintainers"))?;
    let owned = |list: Option<Vec<&str>>| list.unwrap_or_default().into_iter().map(str::to_owned).collect();
    core.keywords = owned(table.key("keywords").texts()?);
    core.classifiers = owned(table.key("classifiers").texts()?);
    for (key, label) in [("homepage", "Homepage"), ("repository", "Repository"), ("documentation", "Documentation")] {
        core.urls.extend(table.key(key).text()?.map(|url| (label.to_owned(), url.to_owned())));
    }
    Ok(())
}

/// `Name <mail>`.
fn people(list: &At<'_>) -> Outcome<Vec<Person>> {
    let texts = list.texts()?.unwrap_or_default();
    let person = |text: &str| match text.split_once('<') {
        Some((name, mail)) => {
            Person { name: Some(name.trim().to_owned()), email: Some(mail.trim().trim_end_matches('>').to_owned()) }
        }
        None => Person { name: Some(text.trim().to_owned()), email: None },
    };
    Ok(texts.into_iter().map(person).collect())
}

fn entry_points(table: &At<'_>, core: &mut Core) -> Outcome<()> {
    if !core.entry_points.contains_key("console_scripts") {
        for (name, at) in table.key("scripts").entries()? {
            let (value, extras) = match at.is_table() {
                true if at.key("type").text()? == Some("file") => continue,
                true => (at.key("reference").text()?.or(at.key("callable").text()?), at.key("extras").texts()?),
                false => (at.text()?, None),
            };
            let value = value.ok_or_else(|| at.wrong("has no reference"))?;
            let extras = extras.map_or_else(String::new, |extras| format!("[{}]", extras.join(",")));
            core.add_entry_point("console_scripts", name, &format!("{value}{extras}"))?;
        }
    }
    for (group, entries) in table.key("plugins").entries()? {
        core.add_entry_points(group, &entries)?;
    }
    Ok(())
}

fn python(dependencies: &At<'_>) -> Outcome<Option<String>> {
    let at = dependencies.key("python");
    let Some(written) = at.text()? else { return Ok(None) };
    let range = pep440(written).map_err(|why| at.needs_build(why))?;
    Ok((!range.is_empty()).then_some(range))
}

/// A dependency as PEP 508.
struct Dependency {
    name: PackageName,
    text: String,
    optional: bool,
}

fn requirements(table: &At<'_>) -> Outcome<Vec<Dependency>> {
    let mut found = Vec::new();
    for (name, at) in table.entries()? {
        if name == "python" {
            continue;
        }
        let key = PackageName::new(name).map_err(|error| at.wrong(format!("is wrong: {error}")))?;
        let items = if at.is_list() { at.items()? } else { vec![at] };
        for item in items {
            let optional = item.is_table() && item.key("optional").flag()? == Some(true);
            found.push(Dependency { name: key.clone(), text: requirement(name, &item)?, optional });
        }
    }
    Ok(found)
}

fn requirement(name: &str, at: &At<'_>) -> Outcome<String> {
    let wrong = |why: String| at.needs_build(why);
    if !at.is_table() {
        let written = at.text()?.unwrap_or("*");
        return Ok(format!("{name}{}", pep440(written).map_err(wrong)?));
    }
    let extras = at.key("extras").texts()?.filter(|extras| !extras.is_empty());
    let extras = extras.map_or_else(String::new, |extras| format!("[{}]", extras.join(",")));
    let source = source(at)?;
    let mut text = format!("{name}{extras}{source}");
    if let Some(marker) = marker(at)? {
        text.push_str(&format!(" ; {marker}"));
    }
    Ok(text)
}

/// A range, or ` @ URL`; a path of this machine means nothing in an image.
fn source(at: &At<'_>) -> Outcome<String> {
    if let Some(url) = at.key("url").text()? {
        return Ok(format!(" @ {url}"));
    }
    if let Some(url) = at.key("git").text()? {
        let revision = ["rev", "tag", "branch"].iter().find_map(|key| at.key(key).text().ok().flatten());
        let revision = revision.map_or_else(String::new, |revision| format!("@{revision}"));
        let folder = at.key("subdirectory").text()?.map_or_else(String::new, |path| format!("#subdirectory={path}"));
        let url = match url.split_once(':') {
            Some((host, path)) if !url.contains("://") => format!("ssh://{host}/{path}"),
            _ => url.to_owned(),
        };
        return Ok(format!(" @ git+{url}{revision}{folder}"));
    }
    let written = at.key("version").text()?.unwrap_or("*");
    pep440(written).map_err(|why| at.needs_build(why))
}

fn marker(at: &At<'_>) -> Outcome<Option<String>> {
    let mut parts = Vec::new();
    let broken = |key: &str| at.key(key).wrong("is no marker");
    if let Some(written) = at.key("markers").text()? {
        written.parse::<Marker>().map_err(|_| broken("markers"))?;
        parts.push(format!("({written})"));
    }
    if let Some(written) = at.key("python").text()? {
        let range = pep440(written).map_err(|why| at.key("python").needs_build(why))?;
        parts.extend(range.split(',').filter(|part| !part.is_empty()).map(python_marker));
    }
    if let Some(platform) = at.key("platform").text()? {
        parts.push(format!("sys_platform == \"{}\"", platform.replace('"', "")));
    }
    Ok((!parts.is_empty()).then(|| parts.join(" and ")))
}

/// `>=3.9` → `python_version >= "3.9"`.
fn python_marker(part: &str) -> String {
    let at = part.find(|letter: char| letter.is_ascii_digit()).unwrap_or(part.len());
    let (operator, version) = part.split_at(at);
    let variable = if version.matches('.').count() > 1 { "python_full_version" } else { "python_version" };
    format!("{variable} {operator} \"{version}\"")
}

fn extras(core: &mut Core, all: &[Dependency], table: &At<'_>) -> Outcome<()> {
    for (extra, at) in table.entries()? {
        let extra = core.add_extra(extra).map_err(|refusal| refusal.at(at.span()))?;
        for written in at.texts()?.unwrap_or_default() {
            let end = written.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
            let name = PackageName::new(written.get(..end.unwrap_or(written.len())).unwrap_or_default());
            for one in all.iter().filter(|one| name.as_ref() == Ok(&one.name)) {
                core.require(&one.text, Some(&extra))?;
            }
        }
    }
    Ok(())
}

/// A constraint of poetry as a list of PEP 440; an `Err` says what is beyond.
fn pep440(constraint: &str) -> Result<String, String> {
    if constraint.contains('|') {
        return Err(format!("has the constraint '{constraint}', an alternative"));
    }
    let spaced = constraint.replace(',', " ");
    let mut parts = Vec::new();
    let mut words = spaced.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // `>= 1.2`: an operator alone belongs to the next word.
        let alone = word.chars().all(|letter| "<>=!~^".contains(letter));
        let word = match words.peek() {
            Some(next) if alone => format!("{word}{next}"),
            _ => word.to_owned(),
        };
        if alone {
            words.next();
        }
        parts.extend(one(&word)?);
    }
    Ok(parts.join(","))
}

fn one(word: &str) -> Result<Option<String>, String> {
    let beyond = || format!("has the constraint '{word}', which is not read");
    if word == "*" {
        return Ok(None);
    }
    if let Some(version) = word.strip_prefix('^') {
        return range(version, Raise::FirstNonZero).map(Some).ok_or_else(beyond);
    }
    if let Some(version) = word.strip_prefix('~').filter(|version| !version.starts_with('=')) {
        return range(version, Raise::Minor).map(Some).ok_or_else(beyond);
    }
    let at = word.find(|letter: char| !"<>=!~".contains(letter)).ok_or_else(beyond)?;
    let (operator, version) = word.split_at(at);
    let operator = match operator {
        "" | "=" => "==",
        operator => operator,
    };
    let base = version.trim_end_matches(".*");
    base.parse::<Version>().map_err(|_| beyond())?;
    Ok(Some(format!("{operator}{}", version.trim_start_matches('v'))))
}

/// Which number goes up for the upper end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raise {
    /// `^`
    FirstNonZero,
    /// `~`: the second, or the only one.
    Minor,
}

fn range(text: &str, raise: Raise) -> Option<String> {
    let version: Version = text.parse().ok()?;
    let release = version.release();
    let at = match raise {
        Raise::FirstNonZero => release.iter().position(|number| *number > 0).unwrap_or(release.len().checked_sub(1)?),
        Raise::Minor => usize::from(release.len() > 1),
    };
    let mut upper: Vec<u64> = release.to_vec();
    for (index, number) in upper.iter_mut().enumerate() {
        match index.cmp(&at) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => *number = number.checked_add(1)?,
            std::cmp::Ordering::Greater => *number = 0,
        }
    }
    let upper: Vec<String> = upper.iter().map(u64::to_string).collect();
    Some(format!(">={version},<{}", upper.join(".")))
}

#[cfg(test)]
mod tests {
    use super::pep440;

    /// Answers of poetry-core 2.5.
    #[test]
    fn constraints_become_pep_440() {
        for (constraint, expected) in [
            ("^1.2.3", ">=1.2.3,<2.0.0"),
            ("^0.2.3", ">=0.2.3,<0.3.0"),
            ("^0.0.3", ">=0.0.3,<0.0.4"),
            ("^1.2", ">=1.2,<2.0"),
            ("^3.9", ">=3.9,<4.0"),
            ("^0", ">=0,<1"),
            ("~1.2.3", ">=1.2.3,<1.3.0"),
            ("~2.1", ">=2.1,<2.2"),
            ("~1", ">=1,<2"),
            ("1.2", "==1.2"),
            ("1.2.*", "==1.2.*"),
            (">=1.2,<2", ">=1.2,<2"),
            (">= 1.2 < 2", ">=1.2,<2"),
            ("~=1.4", "~=1.4"),
            ("*", ""),
            ("!=1.5", "!=1.5"),
        ] {
            assert_eq!(pep440(constraint).unwrap(), expected, "{constraint}");
        }
        assert!(pep440("^1 || ^2").is_err() && pep440("^x").is_err() && pep440("latest").is_err());
        assert!(pep440(&format!("^{}", u64::MAX)).is_err());
    }
}
