//! `corten init`.

use std::io::{self, BufRead, IsTerminal};

use corten_diagnostic::{Event, Failure, Report};
use corten_flow::World;
use corten_flow::gpu::{Host, TargetOptions};
use corten_flow::init::{Init, InitOptions, Wanted, init, init_from_dockerfile};
use serde::Serialize;

use super::{registry_options, result};
use crate::args::{self, Format};
use crate::render::say;
use crate::render::text::safe;

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    found: Vec<FoundShape<'a>>,
    problems: &'a [String],
    files: Vec<FileShape<'a>>,
    replaces: Option<&'a str>,
    written: bool,
    next: &'a [String],
}

#[derive(Serialize)]
struct FoundShape<'a> {
    what: &'a str,
    value: &'a str,
    certainty: &'a str,
    because: &'a str,
}

#[derive(Serialize)]
struct FileShape<'a> {
    name: &'a str,
    text: &'a str,
    diff: String,
}

/// Looks, says what was found, writes what is not there yet.
pub fn run(arguments: &args::Init, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let init = match &arguments.from_dockerfile {
        Some(file) => init_from_dockerfile(&arguments.folder, file.as_deref())?,
        None => {
            let files = Wanted { dockerfile: arguments.dockerfile, compose: arguments.compose };
            let registry = registry_options(&arguments.registry)?;
            let (driver, gpus) = (arguments.driver.clone(), arguments.gpu.clone());
            let gpu = TargetOptions { driver, gpus, host: Host::default() };
            init(&arguments.folder, &InitOptions { files, gpu, registry }, world)?
        }
    };
    for found in &init.found {
        let why = format!("{}: {}", found.certainty.name(), found.because);
        world.events.emit(Event::Decision { about: found.what, choice: &found.value, why: &why });
    }
    init.problems.iter().for_each(|problem| world.events.warning(problem));
    let replaces = init.replaces.as_deref().filter(|_| !init.changes.is_empty());
    let may = replaces.is_none() || arguments.yes || arguments.dry_run || (format == Format::Text && asked(&init));
    let written = may && !arguments.dry_run;
    if written {
        init.write(&arguments.folder)?;
    }
    result(format, &shape(&init, written), || text(&init, written && replaces.is_none()))?;
    match replaces {
        Some(place) if !may => Err(Failure::input(refusal(place, arguments.dockerfile || arguments.compose))
            .hint("--yes writes what the difference shows; --dry-run only shows it")
            .into()),
        _ => Ok(0),
    }
}

/// Files are replaced only where they are asked for, and settings then never.
fn refusal(place: &str, files: bool) -> String {
    match files {
        true => format!("there already: {place}; nothing was written"),
        false => format!("settings stand already in {place}; nothing was written"),
    }
}

/// On a terminal, whether what stands there may be replaced.
fn asked(init: &Init) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    say(&differences(init));
    say("Replace what stands there? [y/N]");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn shape(init: &Init, written: bool) -> Shape<'_> {
    let found = init.found.iter().map(|found| FoundShape {
        what: found.what,
        value: &found.value,
        certainty: found.certainty.name(),
        because: &found.because,
    });
    let files =
        init.changes.iter().map(|change| FileShape { name: &change.name, text: &change.after, diff: change.diff() });
    Shape {
        found: found.collect(),
        problems: &init.problems,
        files: files.collect(),
        replaces: init.replaces.as_deref(),
        written,
        next: &init.next,
    }
}

/// What was written and what comes next, or the difference.
fn text(init: &Init, written: bool) -> String {
    if init.changes.is_empty() {
        return "nothing to write: what the folder shows stands there already".to_owned();
    }
    if !written {
        return differences(init);
    }
    let files = init.changes.iter().map(|change| format!("wrote  {}", change.name));
    let next = init.next.iter().map(|command| format!("next   {command}"));
    files.chain(next).collect::<Vec<_>>().join("\n")
}

fn differences(init: &Init) -> String {
    let all: String = init.changes.iter().map(corten_flow::init::Change::diff).collect();
    safe(all.trim_end())
}
