//! `corten rule`.

use corten_check::{Initially, Rule, Subject, rules};
use corten_diagnostic::{Failure, Report, Severity};
use serde::Serialize;

use super::result;
use crate::args::{self, Format};
use crate::render::text::{bold, table};

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

fn page(rule: &Rule) -> String {
    let title = bold(&format!("{} {} ({}, {})", rule.id, rule.name, rule.severity, of(rule.subject())));
    format!(
        "{title}\n\n{}\n{}\n\n{}\n{}\n{}\n{}",
        rule.what,
        rule.why,
        bold("Bad"),
        rule.bad.trim_end(),
        bold("Good"),
        rule.good.trim_end()
    )
}
