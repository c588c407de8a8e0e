//! `corten rule`.

use corten_check::{Initially, Rule, Subject, rules};
use corten_diagnostic::{Failure, Report, Severity};
use serde::Serialize;

use super::result;
use crate::args::{self, Format};
use crate::render::text::{bold, lines, table, width};

/// A rule, as programs see it.
#[derive(Serialize)]
struct Shape<'a> {
    id: &'a str,
    name: &'a str,
    severity: Severity,
    of: &'static str,
    asked: bool,
    aliases: &'a [&'a str],
    what: &'a str,
    why: &'a str,
    bad: &'a str,
    good: &'a str,
}

/// Prints a rule's page, or a list of all.
pub fn run(arguments: &args::Rule, format: Format) -> Result<u8, Report> {
    let Some(id) = &arguments.id else {
        let shapes: Vec<Shape<'_>> = rules().map(shape).collect();
        result(format, &shapes, list)?;
        return Ok(0);
    };
    let named: Vec<&Rule> = rules().filter(|rule| rule.is(id)).collect();
    if named.is_empty() {
        return Err(Failure::usage(format!("there is no rule '{id}'")).hint("`corten rule` lists them").into());
    }
    let shapes: Vec<Shape<'_>> = named.iter().map(|rule| shape(rule)).collect();
    result(format, &shapes, || named.iter().map(|rule| page(rule)).collect::<Vec<_>>().join("\n\n"))?;
    Ok(0)
}

fn shape(rule: &Rule) -> Shape<'_> {
    Shape {
        id: rule.id.0,
        name: rule.name,
        severity: rule.severity,
        of: of(rule.subject()),
        asked: rule.initially == Initially::On,
        aliases: rule.aliases,
        what: rule.what,
        why: rule.why,
        bad: rule.bad,
        good: rule.good,
    }
}

fn of(subject: Subject) -> &'static str {
    match subject {
        Subject::Image => "image",
        Subject::Dockerfile => "Dockerfile",
        Subject::Compose => "compose file",
    }
}

fn list() -> String {
    let row = |rule: &Rule| {
        let severity = if rule.initially == Initially::On { rule.severity.to_string() } else { "off".to_owned() };
        vec![rule.id.0.to_owned(), severity, of(rule.subject()).to_owned(), rule.what.to_owned()]
    };
    table(&rules().map(row).collect::<Vec<_>>(), &[])
}

/// Its page, titles standing out.
fn page(rule: &Rule) -> String {
    let is_title = |line: &str| line.ends_with(':') && !line.starts_with(' ');
    let line = |(at, line): (usize, &str)| match line {
        line if at == 0 || is_title(line) => bold(line),
        line if line.starts_with(' ') => line.to_owned(),
        line => lines(line, width().min(100)).join("\n"),
    };
    corten_check::page::text(rule).lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}
