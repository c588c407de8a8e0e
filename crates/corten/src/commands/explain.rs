//! `--explain-settings` of every command that reads them.

use clap::ArgMatches;
use clap::parser::ValueSource;
use corten_diagnostic::{Report, Span};
use corten_flow::World;
use corten_flow::explain::{Explained, explain};
use serde::Serialize;

use super::{plan_options, result};
use crate::args::{Format, Global, ProjectArguments, RegistryArguments};
use crate::render::text::{lines, safe, table};
use crate::user::User;

/// From this many columns on, what a setting does has a column of its own.
const WIDE: usize = 140;

/// One setting, of the array of `--format json`.
#[derive(Serialize)]
struct Shape {
    name: String,
    value: Option<String>,
    origin: &'static str,
    place: String,
    about: String,
}

/// Prints the settings and what decides them; then the error of the plan, if that failed.
pub fn run(arguments: &ProjectArguments, flags: Vec<Flag>, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let explanation = explain(&arguments.folder, &plan_options(arguments)?, world)?;
    let mut shapes: Vec<Shape> = explanation.settings.into_iter().map(shape).collect();
    shapes.extend(flags.into_iter().map(|flag| flag.0));
    result(format, &shapes, || text(&shapes))?;
    match explanation.failure {
        Some(report) => Err(report),
        None => Ok(0),
    }
}

fn shape(one: Explained) -> Shape {
    Shape { name: one.name, value: one.value, origin: one.origin.name(), place: one.place, about: one.about }
}

/// A flag of the command line that decides as settings do.
pub struct Flag(Shape);

/// Those of every command, with where they come from.
pub fn flags(global: &Global, arguments: &ProjectArguments, matches: &ArgMatches) -> Vec<Flag> {
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    let home = global.home.as_ref().map(|home| quoted(home.display().to_string()));
    let jobs = global.jobs.map(|jobs| jobs.to_string());
    let flag = |name: &str, id: &str, variable: &'static str, value: Option<String>, usual: &str, about: &str| {
        let (origin, place) = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => ("flag", name.to_owned()),
            Some(ValueSource::EnvVariable) => ("environment", variable.to_owned()),
            _ => ("default", usual.to_owned()),
        };
        let about = about.to_owned();
        Flag(Shape { name: name.to_owned(), value, origin, place, about })
    };
    let platform = Some(quoted(arguments.platform.join(",")));
    let switch = |on: bool| Some(on.to_string());
    vec![
        flag("--platform", "platform", "", platform, "", "What the image is for"),
        flag("--locked", "locked", "", switch(arguments.locked), "", "Refuse to change corten.lock"),
        flag(
            "--frozen",
            "frozen",
            "",
            switch(arguments.frozen),
            "",
            "Take the project's lock though it is out of step",
        ),
        flag(
            "--home",
            "home",
            "CORTEN_HOME",
            home,
            "below XDG_DATA_HOME, else ~/.local/share",
            "Where images, downloads and caches are kept",
        ),
        flag("--jobs", "jobs", "CORTEN_JOBS", jobs, "as many as there are processors", "How many threads work at once"),
        flag(
            "--offline",
            "offline",
            "CORTEN_OFFLINE",
            switch(global.offline),
            "",
            "Use the store alone; connect to nothing",
        ),
    ]
}

/// What the user says for all projects, and what goes before it.
pub fn user(global: &Global, registry: &RegistryArguments, user: &User, matches: &ArgMatches) -> Vec<Flag> {
    let mut rows = Vec::new();
    let mut row = |name: String, value: Option<String>, origin: &'static str, place: String, about: &str| {
        rows.push(Flag(Shape { name, value, origin, place, about: about.to_owned() }));
    };
    let written = |at: &Option<Span>| at.as_ref().map(ToString::to_string).unwrap_or_default();
    const KEEP: &str = "Bytes above which the store removes what no image needs";
    match (global.store_keep, &user.settings.keep) {
        (Some(said), _) => {
            let (origin, place) = said_by(matches, "store_keep", "--store-keep", "CORTEN_STORE_KEEP");
            row("store.keep".to_owned(), Some(said.to_string()), origin, place, KEEP);
        }
        (None, Some(keep)) => {
            row("store.keep".to_owned(), Some(keep.value.to_string()), "file", written(&keep.at), KEEP);
        }
        (None, None) => row("store.keep".to_owned(), None, "default", "it grows".to_owned(), KEEP),
    }
    for mirror in &registry.registry_mirror {
        let (of, at) = mirror.split_once('=').unwrap_or((mirror, ""));
        let variable = "CORTEN_REGISTRY_MIRRORS";
        let (origin, place) = said_by(matches, "registry_mirror", "--registry-mirror", variable);
        row(format!("registries.{of}.mirrors"), Some(quoted(at)), origin, place, MIRRORS);
    }
    for host in &registry.plain {
        let about = "It is reached without TLS";
        row(format!("registries.{host}.insecure"), Some("true".into()), "flag", "--plain-http".into(), about);
    }
    for one in &user.settings.registries {
        let name = |key: &str| format!("registries.{}.{key}", one.host.value);
        let is_said = registry.registry_mirror.iter().any(|said| said.split('=').next() == Some(one.host.as_str()));
        for mirror in one.mirrors.iter().filter(|_| !is_said) {
            row(name("mirrors"), Some(quoted(mirror)), "file", written(&mirror.at), MIRRORS);
        }
        if let Some(insecure) = one.insecure.as_ref().filter(|_| !registry.plain.contains(&one.host)) {
            let about = "Is it reached without TLS?";
            row(name("insecure"), Some(insecure.to_string()), "file", written(&insecure.at), about);
        }
        if let Some(ca) = &one.ca {
            let about = "A file of authorities to trust for it alone";
            row(name("ca"), Some(quoted(ca)), "file", written(&ca.at), about);
        }
    }
    rows
}

const MIRRORS: &str = "Who is asked before the registry";

fn said_by(matches: &ArgMatches, id: &str, flag: &str, variable: &str) -> (&'static str, String) {
    match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => ("environment", variable.to_owned()),
        _ => ("flag", flag.to_owned()),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Paragraphs on a narrow terminal, columns on a wide one, one line each where nobody looks.
fn text(shapes: &[Shape]) -> String {
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let rows = shapes.iter().map(|one| [safe(&one.name), safe(&value(one)), safe(&from(one)), one.about.clone()]);
    let rows = std::iter::once(["SETTING", "VALUE", "FROM", "WHAT IT DOES"].map(str::to_owned)).chain(rows);
    match width {
        Some(width) if width < WIDE => narrow(shapes, width),
        Some(width) => wide(&rows.collect::<Vec<_>>(), width),
        None => table(&rows.map(|row| row.to_vec()).collect::<Vec<_>>(), &[]),
    }
}

fn from(shape: &Shape) -> String {
    match (shape.origin, shape.place.as_str()) {
        (origin, "") => origin.to_owned(),
        ("file" | "flag", place) => place.to_owned(),
        (origin, place) => format!("{origin}: {place}"),
    }
}

fn value(shape: &Shape) -> String {
    shape.value.clone().unwrap_or_else(|| "-".to_owned())
}

/// Columns whose cells are as many lines as they need.
fn wide(rows: &[[String; 4]], width: usize) -> String {
    let name = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    let left = width.saturating_sub(name + 6);
    let widths = [name, left * 3 / 10, left * 35 / 100, left - left * 3 / 10 - left * 35 / 100];
    let lines = rows.iter().flat_map(|row| {
        let cells: Vec<Vec<String>> = row.iter().zip(widths).map(|(cell, width)| lines(cell, width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        (0..height).map(move |at| {
            let cell =
                |(cell, width): (&Vec<String>, usize)| format!("{:<width$}", cell.get(at).map_or("", String::as_str));
            cells.iter().zip(widths).map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Each setting as a small paragraph.
fn narrow(shapes: &[Shape], width: usize) -> String {
    let paragraph = |shape: &Shape| {
        let title = format!("{} = {}", safe(&shape.name), safe(&value(shape)));
        let below = |text: &str| lines(text, width.saturating_sub(4)).into_iter().map(|line| format!("    {line}"));
        let title = lines(&title, width).into_iter();
        title.chain(below(&safe(&from(shape)))).chain(below(&shape.about)).collect::<Vec<_>>().join("\n")
    };
    shapes.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}
