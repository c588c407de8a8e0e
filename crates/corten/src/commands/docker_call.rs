//! `corten build --call`: what a Dockerfile says of itself, in buildx's formats.

use std::io::Read;
use std::ops::Range;

use corten_diagnostic::{Diagnose, Failure, Fault, Report, Span};
use corten_flow::World;
use corten_flow::dockerfile::Warning;
use corten_flow::dockerfile::{Argument, Called, Checked, Given, Outline, Request, Source, Target, call, of_source};
use serde::Serialize;
use serde_json::{Value, json};

use crate::render::text::safe;
use crate::render::{print, say};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Check,
    Outline,
    Targets,
}

/// `--call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub question: Question,
    is_json: bool,
    ignores_status: bool,
}

impl Asked {
    /// Reads `NAME[,format=json|text][,ignorestatus=true|false]`; none for `build`.
    pub fn parse(text: &str) -> Result<Option<Self>, Failure> {
        let wrong = |why: String| {
            Failure::usage(format!("--call {text}: {why}")).hint("there are check, outline, targets, and ,format=json")
        };
        let (mut question, mut is_json, mut ignores_status) = (None, false, false);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("format", "json")) => is_json = true,
                Some(("format", "text")) => is_json = false,
                Some(("ignorestatus", "true" | "1")) => ignores_status = true,
                Some(("ignorestatus", "false" | "0")) => ignores_status = false,
                Some(_) => return Err(wrong(format!("'{field}' is not known"))),
                None if question.is_some() => return Err(wrong("it asks two things".to_owned())),
                None => question = Some(field),
            }
        }
        let question = match question {
            Some("build") => return Ok(None),
            Some("check" | "lint") => Question::Check,
            Some("outline") => Question::Outline,
            Some("targets") => Question::Targets,
            other => return Err(wrong(format!("'{}' is not known", other.unwrap_or_default()))),
        };
        Ok(Some(Self { question, is_json, ignores_status }))
    }
}

/// Answers.
pub fn run(request: &Request, asked: Asked, standard: &mut dyn Read, world: &World<'_>) -> Result<u8, Report> {
    let called = call(request, standard, world)?;
    let source = called.encoded();
    match asked.question {
        Question::Check => return check(called, request, asked),
        Question::Outline => {
            let outline = called.readable?.outline(request)?;
            if asked.is_json {
                json(&outline_shape(&outline, source))?
            } else {
                print(safe_cells(&outline_text(&outline)).trim_end())?
            }
        }
        Question::Targets => {
            let targets = called.readable?.targets(request)?;
            match asked.is_json {
                true => json(&targets_shape(&targets, source))?,
                false => print(&safe_cells(&targets_text(&targets)))?,
            }
        }
    }
    Ok(0)
}

/// Warnings first, then mistakes: both are told, however many there are. Status 1 for either, unless that is not wanted.
fn check(called: Called, request: &Request, asked: Asked) -> Result<u8, Report> {
    let source = source(&called);
    let checked = of_source(&called.source, request)?;
    let refused = called.readable.and_then(|readable| readable.check(request)).err();
    let refused = match refused {
        // What is wrong with anything else is no answer.
        Some(report) if report.error().fault() != Fault::Input => return Err(report),
        Some(report) => Some(report),
        None => checked.violation().map(|violation| Report::from(Failure::input(violation))),
    };
    let is_clean = checked.warnings.is_empty() && refused.is_none();
    let status = u8::from(!is_clean && !asked.ignores_status);
    if asked.is_json {
        json(&check_shape(&checked, refused.as_ref(), &source))?;
        return Ok(status);
    }
    if !checked.warnings.is_empty() || is_clean {
        print(safe_cells(&warnings_text(&called.source, &checked)).trim_end())?;
    }
    match refused {
        Some(report) if !asked.ignores_status => Err(report),
        Some(report) => {
            say(&crate::render::error::error(&report));
            Ok(0)
        }
        None => Ok(status),
    }
}

/// As BuildKit's `frontend.lint` writes it; `mistakes` is ours: all of them, the first one with them.
fn check_shape(checked: &Checked, refused: Option<&Report>, source: &Value) -> Value {
    let warnings: Vec<Value> = checked.warnings.iter().map(warning_shape).collect();
    let mut shape = json!({"warnings": warnings, "sources": [source]});
    if let (Some(report), Some(map)) = (refused, shape.as_object_mut()) {
        let error = report.error();
        map.insert("buildError".to_owned(), mistake(&error.to_string(), error.span()));
        let also = error.also().iter().map(|other| mistake(&other.to_string(), other.span()));
        let all: Vec<Value> = std::iter::once(mistake(&error.to_string(), error.span())).chain(also).collect();
        map.insert("mistakes".to_owned(), Value::Array(all));
    }
    shape
}

fn warning_shape(warning: &Warning) -> Value {
    let mut shape = json!({
        "ruleName": warning.rule.id,
        "description": warning.description(),
        "detail": warning.detail,
        "location": location(&warning.lines),
    });
    if let (Some(url), Some(map)) = (warning.url(), shape.as_object_mut()) {
        map.insert("url".to_owned(), Value::String(url));
    }
    shape
}

fn mistake(message: &str, span: Option<&Span>) -> Value {
    let line = span.map(|span| span.position().0);
    json!({"message": message, "location": line.map_or_else(|| json!({}), |line| location(&(line..line + 1)))})
}

/// As buildx prints it: sorted by line, each with the lines around it.
fn warnings_text(source: &Source, checked: &Checked) -> String {
    let mut warnings: Vec<&Warning> = checked.warnings.iter().collect();
    let mut text = match warnings.len() {
        0 => return "Check complete, no warnings found.".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        many => format!("Check complete, {many} warnings have been found!\n"),
    };
    warnings.sort_by_key(|warning| warning.lines.start);
    let name = file_name(source);
    let lines: Vec<&str> = source.file.text.split('\n').collect();
    for warning in warnings {
        let url = warning.url().map(|url| format!(" - {url}")).unwrap_or_default();
        text.push_str(&format!("\nWARNING: {}{url}\n{}\n", warning.rule.id, warning.detail));
        text.push_str(&excerpt(&name, &lines, &warning.lines));
    }
    text
}

/// Some lines of a file with a mark at those that are meant, as BuildKit's `errdefs.Source` prints them.
fn excerpt(name: &str, lines: &[&str], meant: &Range<usize>) -> String {
    let (mut start, mut end) = (meant.start, meant.end.saturating_sub(1).min(lines.len()));
    let wanted = if end == start { 4 } else { 2 };
    let mut around = 0;
    while around < wanted {
        if start > 1 {
            start -= 1;
            around += 1;
        }
        if end != lines.len() {
            end += 1;
            around += 1;
        }
        around += 1;
    }
    let rule = "--------------------\n";
    let mut text = format!("{name}:{}\n{rule}", meant.start);
    for (index, line) in lines.iter().enumerate().take(end).skip(start.saturating_sub(1)) {
        let mark = if meant.contains(&(index + 1)) { ">>>" } else { "   " };
        text.push_str(&format!(" {:3} | {mark} {}\n", index + 1, line.trim_end_matches('\r')));
    }
    text.push_str(rule);
    text
}

/// What a build warns of, as buildx prints it at the end; none where there is nothing.
pub fn warned(warnings: &[Warning]) -> Option<String> {
    let count = match warnings.len() {
        0 => return None,
        1 => "1 warning found".to_owned(),
        many => format!("{many} warnings found"),
    };
    let mut text = format!("\n {count} (corten build --check shows where):");
    for warning in warnings {
        text.push_str(&format!("\n - {}: {} (line {})", warning.rule.id, warning.detail, warning.lines.start));
    }
    Some(safe_cells(&text))
}

/// What a Dockerfile says, without what drives a terminal; its tabs stay.
fn safe_cells(text: &str) -> String {
    text.split('\t').map(safe).collect::<Vec<_>>().join("\t")
}

fn file_name(source: &Source) -> String {
    source.file.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn source(called: &Called) -> Value {
    json!({"filename": file_name(&called.source), "data": called.encoded(), "language": "Dockerfile"})
}

fn json<T: Serialize>(shape: &T) -> Result<(), Report> {
    let text =
        serde_json::to_string_pretty(shape).map_err(|error| Failure::bug(format!("writing the answer: {error}")))?;
    Ok(print(&text)?)
}

#[derive(Serialize)]
struct OutlineShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<ArgShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<GivenShape<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<GivenShape<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct ArgShape<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'a str,
    location: Value,
}

#[derive(Serialize)]
struct GivenShape<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Value,
}

#[derive(Serialize)]
struct TargetsShape<'a> {
    targets: Vec<TargetShape<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct TargetShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    location: Value,
}

fn outline_shape(outline: &Outline, source: String) -> OutlineShape<'_> {
    OutlineShape {
        name: outline.name.as_deref(),
        description: outline.description.as_deref(),
        args: outline.arguments.iter().map(arg_shape).collect(),
        secrets: outline.secrets.iter().map(given_shape).collect(),
        ssh: outline.agents.iter().map(given_shape).collect(),
        sources: [source],
    }
}

fn arg_shape(one: &Argument) -> ArgShape<'_> {
    let (name, description, value) = (&one.name, one.description.as_deref(), &one.value);
    ArgShape { name, description, value, location: location(&one.lines) }
}

fn given_shape(one: &Given) -> GivenShape<'_> {
    GivenShape { name: &one.name, required: one.required, location: location(&one.lines) }
}

fn targets_shape(targets: &[Target], source: String) -> TargetsShape<'_> {
    let shapes = targets.iter().enumerate().map(|(number, target)| TargetShape {
        name: target.name.as_deref(),
        default: number + 1 == targets.len(),
        description: target.description.as_deref(),
        base: &target.base,
        platform: target.platform.as_deref(),
        location: location(&target.lines),
    });
    TargetsShape { targets: shapes.collect(), sources: [source] }
}

/// One range for each line, as BuildKit has it.
fn location(lines: &Range<usize>) -> Value {
    let ranges: Vec<Value> =
        lines.clone().map(|line| json!({"start": {"line": line}, "end": {"line": line}})).collect();
    json!({"ranges": ranges})
}

fn outline_text(outline: &Outline) -> String {
    let mut text = String::new();
    if outline.name.is_some() || outline.description.is_some() {
        let mut rows = vec![["TARGET:", outline.name.as_deref().unwrap_or("(default)")]];
        rows.extend(outline.description.as_deref().map(|description| ["DESCRIPTION:", description]));
        text.push_str(&columns(&rows, 1));
        text.push('\n');
    }
    if !outline.arguments.is_empty() {
        let mut rows = vec![["BUILD ARG", "VALUE", "DESCRIPTION"]];
        let row =
            |one: &'_ Argument| [one.name.clone(), one.value.clone(), one.description.clone().unwrap_or_default()];
        let found: Vec<[String; 3]> = outline.arguments.iter().map(row).collect();
        rows.extend(found.iter().map(|row| [row[0].as_str(), row[1].as_str(), row[2].as_str()]));
        text.push_str(&columns(&rows, 3));
        text.push('\n');
    }
    for (title, all) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        if !all.is_empty() {
            let mut rows = vec![[title, "REQUIRED"]];
            rows.extend(all.iter().map(|one| [one.name.as_str(), if one.required { "true" } else { "" }]));
            text.push_str(&columns(&rows, 3));
            text.push('\n');
        }
    }
    text
}

fn targets_text(targets: &[Target]) -> String {
    let name = |(number, target): (usize, &Target)| match (&target.name, number + 1 == targets.len()) {
        (None, true) => "(default)".to_owned(),
        (None, false) => String::new(),
        (Some(name), true) => format!("{name} (default)"),
        (Some(name), false) => name.clone(),
    };
    let names: Vec<String> = targets.iter().enumerate().map(name).collect();
    let mut rows = vec![["TARGET", "DESCRIPTION"]];
    let described = names.iter().zip(targets);
    rows.extend(described.map(|(name, target)| [name.as_str(), target.description.as_deref().unwrap_or_default()]));
    columns(&rows, 1).trim_end_matches('\n').to_owned()
}

/// Cells side by side, so many blanks between them, as Go's tabwriter sets them.
fn columns<const N: usize>(rows: &[[&str; N]], gap: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default() + gap;
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            match column + 1 == N {
                true => text.push_str(cell),
                false => text.push_str(&format!("{cell:0$}", widths[column])),
            }
        }
        text.push('\n');
    }
    text
}
