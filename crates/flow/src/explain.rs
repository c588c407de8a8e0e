//! `--explain-settings`: each setting's value, where that comes from, and what it does.
//!
//! | from | |
//! |---|---|
//! | a file | with the line; `[project]` of pyproject.toml counts where a setting falls back on it |
//! | a flag | of the command line; groups and extras add to those of the files |
//! | the environment | an index's address, as uv and pip read it |
//! | found | by the plan, with its reason |
//! | default | |

use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_frontend::settings::{Setting, Settings, Stated, stated};

use crate::packages::PYPI;
use crate::plan::{PlanOptions, Planned, plan};
use crate::project;
use crate::remote::shown;
use crate::start;
use crate::world::World;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A file of the project.
    File,
    /// A flag of the command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The plan found it out.
    Found,
    /// Nothing is said.
    Default,
}

impl Origin {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::Found => "found",
            Self::Default => "default",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// `check.deny`.
    pub name: String,
    /// As TOML; none where there is no value, or the plan failed that would have found it.
    pub value: Option<String>,
    /// Where from.
    pub origin: Origin,
    /// `pyproject.toml:3:1`, `--group`, `UV_DEFAULT_INDEX`, the reason of what was found.
    pub place: String,
    /// What it does.
    pub about: String,
}

/// All settings, and why the plan failed, if it did.
pub struct Explanation {
    /// In the order of the settings.
    pub settings: Vec<Explained>,
    /// What a plan would have said; then nothing is found.
    pub failure: Option<Report>,
}

/// Explains the settings of a folder; plans, for what only a plan finds out.
///
/// # Errors
/// Settings that cannot be read.
pub fn explain(folder: &Path, options: &PlanOptions, world: &World<'_>) -> Result<Explanation, Report> {
    if !folder.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", folder.display())).into());
    }
    let texts = project::texts(folder)?;
    let settings = Settings::read(&texts)?;
    let (planned, failure) = match plan(folder, options, world) {
        Ok(planned) => (Some(planned), None),
        Err(report) => (None, Some(report)),
    };
    let rows = stated(&texts)?.into_iter();
    let explained = rows.map(|row| one(row, &Known { settings: &settings, planned: planned.as_ref(), options, world }));
    Ok(Explanation { settings: explained.collect(), failure })
}

struct Known<'a> {
    settings: &'a Settings,
    planned: Option<&'a Planned>,
    options: &'a PlanOptions,
    world: &'a World<'a>,
}

fn one(row: Stated, known: &Known<'_>) -> Explained {
    let (value, origin, place) = match (flag(&row, known), &row.written, row.usual) {
        (Some(flagged), ..) => flagged,
        (None, Some((value, at)), _) => (Some(value.clone()), Origin::File, at.to_string()),
        (None, None, Some(usual)) => (Some(usual.to_owned()), Origin::Default, String::new()),
        (None, None, None) => found(&row, known),
    };
    Explained { name: row.name, value, origin, place, about: row.about.to_owned() }
}

type Answer = (Option<String>, Origin, String);

/// What the command line says, together with what it adds to.
fn flag(row: &Stated, known: &Known<'_>) -> Option<Answer> {
    let project = &known.options.project;
    let (flag, given, written) = match row.name.as_str() {
        "groups" => ("--group", &project.groups, &known.settings.groups),
        "extras" => ("--extra", &project.extras, &known.settings.extras),
        "frontend" => {
            let frontend = project.frontend.map(|frontend| quoted(&format!("{frontend:?}").to_lowercase()));
            return frontend.map(|value| (Some(value), Origin::Flag, "--frontend".to_owned()));
        }
        _ => return None,
    };
    if given.is_empty() {
        return None;
    }
    let all = written.iter().map(|setting| setting.value.clone()).chain(given.iter().cloned());
    let at = row.written.as_ref().map(|(_, at)| format!("{at} and ")).unwrap_or_default();
    Some((Some(list(all)), Origin::Flag, format!("{at}{flag}")))
}

/// What is found where nothing is written.
fn found(row: &Stated, known: &Known<'_>) -> Answer {
    let (settings, planned) = (known.settings, known.planned);
    let from = |setting: &Setting<String>, how: &str| match &setting.at {
        Some(at) => (Some(quoted(setting)), Origin::File, at.to_string()),
        None => (Some(quoted(setting)), Origin::Found, how.to_owned()),
    };
    let unknown = || match (row.found, planned) {
        (None, _) => (None, Origin::Default, String::new()),
        (Some(how), None) => (None, Origin::Found, format!("not known, as the plan failed; else {how}")),
        (Some(how), Some(_)) => (None, Origin::Default, how.to_owned()),
    };
    let answer = match row.name.as_str() {
        "name" => Some(from(&settings.name, "the folder's name")),
        "version" => version(known),
        "lock" => planned.map(|planned| {
            (Some(quoted(&planned.project.lock_name())), Origin::Found, "the one lock of the project".to_owned())
        }),
        "base" => {
            planned.map(|planned| (Some(quoted(&planned.base.reference)), Origin::Found, planned.python_why.clone()))
        }
        "python" => planned.map(|planned| {
            let minor = planned.python.version;
            (Some(quoted(&format!("{}.{}", minor.0, minor.1))), Origin::Found, planned.python_why.clone())
        }),
        "frontend" => planned.map(|_| (Some(quoted("native")), Origin::Found, frontend(known))),
        "run" => planned.map(|planned| {
            let start = &planned.start;
            let at = start.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
            let place = format!("{}{at} ({})", start.rule, start.certainty.name());
            (Some(list(start.command.iter().cloned())), Origin::Found, place)
        }),
        "port" => planned.map(port),
        "healthcheck" => planned.map(health),
        "index.url" => index(known),
        _ => None,
    };
    answer.unwrap_or_else(unknown)
}

fn version(known: &Known<'_>) -> Option<Answer> {
    let written = known.settings.version.as_ref().and_then(|version| Some((version, version.at.as_ref()?)));
    if let Some((version, at)) = written {
        return Some((Some(quoted(version)), Origin::File, at.to_string()));
    }
    let planned = known.planned?;
    Some((Some(quoted(&planned.version)), Origin::Found, "what the project's build backend would say".to_owned()))
}

fn frontend(known: &Known<'_>) -> String {
    match &known.settings.native {
        Some(at) => format!("settings at {at}"),
        None => "there is no Dockerfile".to_owned(),
    }
}

fn port(planned: &Planned) -> Answer {
    let web = planned.start.web;
    match start::port(&planned.project.settings, web) {
        Some(port) => (Some(port.to_string()), Origin::Found, "it is a web service".to_owned()),
        None => (Some("false".to_owned()), Origin::Found, "it is no web service".to_owned()),
    }
}

fn health(planned: &Planned) -> Answer {
    let port = start::port(&planned.project.settings, planned.start.web);
    match (&planned.start.health_path, port) {
        (_, None) => (Some("false".to_owned()), Origin::Found, "nothing listens".to_owned()),
        (Some(path), _) => {
            (Some(format!("{{ path = {} }}", quoted(path))), Origin::Found, "a path of the service".to_owned())
        }
        (None, _) => {
            (Some("{}".to_owned()), Origin::Found, "a connection to the port: no path for it was seen".to_owned())
        }
    }
}

/// As uv's and pip's variables say, for locks of theirs.
fn index(known: &Known<'_>) -> Option<Answer> {
    let kind = known.planned?.project.lock.kind;
    let (_, usual) = known.world.indexes.usual(kind);
    let Some(usual) = usual else { return Some((Some(quoted(PYPI)), Origin::Default, String::new())) };
    let place = "UV_DEFAULT_INDEX, UV_INDEX_URL or PIP_INDEX_URL";
    Some((Some(quoted(&shown(&usual))), Origin::Environment, place.to_owned()))
}

/// As TOML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = texts.map(|text| self::quoted(&text)).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use corten_install::debian::Mirrors;

    use super::*;

    #[test]
    fn addresses_of_the_archive_are_those_of_its_client() {
        let rows = stated(&project::texts(Path::new("/nonexistent")).unwrap()).unwrap();
        let usual = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.usual).unwrap();
        assert_eq!(usual("archive.main"), quoted(&Mirrors::default().main));
        assert_eq!(usual("archive.security"), quoted(&Mirrors::default().security));
    }
}
