//! Findings for people: the line, a caret, what can be done. Why it matters, and where to read on, stands at a rule's first finding.
//!
//! ```text
//! warning[DL3009]: lists of packages stay in the layer
//!   --> Dockerfile:3:5
//!    |
//!  3 | RUN apt-get update && apt-get install -y curl
//!    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
//!    |
//!    = help: …
//!    = fix: … (--fix)
//!    = why: …
//!    = more: …
//! ```

use std::collections::BTreeSet;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet};
use corten_check::{page, rule};
use corten_diagnostic::{Finding, Place, RuleId, Severity, Span};

use super::{Looked, shown};
use crate::render::text::{bold, dim, green, lines, one_line, red, safe, source_line, width, yellow};

/// More of a line is not shown on each side of a caret.
const AROUND: usize = 400;

/// All findings and a summary; styled, to be stripped where that is not wanted.
pub fn text(looked: &Looked<'_>) -> String {
    let mut known: BTreeSet<RuleId> = BTreeSet::new();
    let (mut text, width) = (String::new(), width());
    for finding in looked.findings {
        text.push_str(&one(finding, known.insert(finding.rule), width));
        text.push_str("\n\n");
    }
    text.push_str(&summary(looked));
    text
}

/// One finding, for a terminal of so many columns; `is_first`: has nobody read yet why its rule is there?
fn one(finding: &Finding, is_first: bool, width: usize) -> String {
    let level = match finding.severity {
        Severity::Info => Level::INFO,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let title = match &finding.at {
        Place::Text(_) | Place::Plan => safe(&finding.message),
        place => safe(&format!("{place}: {}", finding.message)),
    };
    let mut group = level.primary_title(title).id(finding.rule.0).elements(Vec::<Element<'_>>::new());
    if let Place::Text(span) = &finding.at {
        group = group.element(snippet(span));
    }
    for (name, words) in notes(finding, is_first) {
        group = group.element(Level::NOTE.with_name(name).message(wrapped(&words, name, width)));
    }
    Renderer::styled().decor_style(DecorStyle::Ascii).term_width(width).render(&[group])
}

fn notes(finding: &Finding, is_first: bool) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    if let Some(help) = &finding.help {
        notes.push(("help", help.clone()));
    }
    if let Some(fix) = &finding.fix {
        let flag = if fix.safe { "--fix" } else { "--unsafe-fixes" };
        notes.push(("fix", format!("{} ({flag})", fix.title)));
    }
    let rule = rule(finding.rule.0).filter(|_| is_first);
    if let Some(rule) = rule {
        notes.push(("why", rule.why.to_owned()));
        notes.push(("more", page::url(rule).unwrap_or_else(|| format!("corten rule {}", rule.id))));
    }
    notes
}

/// Lines that are not cut at the terminal's edge.
fn wrapped(words: &str, name: &str, width: usize) -> String {
    const BEFORE: usize = 12;
    lines(&safe(words), width.saturating_sub(name.len() + BEFORE).max(40)).join("\n")
}

/// The line where it begins. A long one is cut around the place.
fn snippet(span: &Span) -> Snippet<'static, annotate_snippets::Annotation<'static>> {
    let range = span.range();
    let text = span.text();
    let start = text.get(..range.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let end = start + line.len();
    let (from, to) = (range.start.min(end), range.end.clamp(range.start.min(end), end));
    let shown_from = letter(text, from.saturating_sub(AROUND).max(start));
    let shown_to = letter(text, end.min(from.saturating_add(2 * AROUND))).max(from);
    let source = text.get(shown_from..shown_to).unwrap_or_default();
    let source = source_line(source);
    let length = source.len();
    let mark = (from - shown_from).min(length)..(to - shown_from).min(length);
    Snippet::source(source)
        .path(one_line(&shown(span.file())))
        .line_start(span.position().0)
        .annotation(AnnotationKind::Primary.span(mark))
}

/// Where the character begins that has a byte.
fn letter(text: &str, byte: usize) -> usize {
    (0..=byte).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn summary(looked: &Looked<'_>) -> String {
    let files = looked.files.len();
    if looked.findings.is_empty() {
        return format!("{} in {}", green("no findings"), plural(files, "file"));
    }
    let of = |severity| looked.findings.iter().filter(|finding| finding.severity == severity).count();
    let counted = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "info")];
    let counted: Vec<String> = counted
        .into_iter()
        .filter(|(severity, _)| of(*severity) > 0)
        .map(|(severity, word)| coloured(severity, &plural_of(of(severity), word)))
        .collect();
    let mut text = format!("{} in {}: ", bold(&plural(looked.findings.len(), "finding")), plural(files, "file"));
    text.push_str(&counted.join(", "));
    let fixes = |safe: bool| {
        looked.findings.iter().filter(|finding| finding.fix.as_ref().is_some_and(|fix| fix.safe == safe)).count()
    };
    let mended = match (fixes(true), fixes(false)) {
        (0, 0) => return text,
        (safe, 0) => format!("{safe} can be mended by --fix"),
        (0, other) => format!("{other} can be mended by --unsafe-fixes"),
        (safe, other) => format!("{safe} can be mended by --fix, {other} more by --unsafe-fixes"),
    };
    text.push('\n');
    text + &dim(&mended)
}

fn coloured(severity: Severity, text: &str) -> String {
    match severity {
        Severity::Error => red(text),
        Severity::Warning => yellow(text),
        Severity::Info => dim(text),
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// There is no plural of info.
fn plural_of(count: usize, word: &str) -> String {
    if word == "info" { format!("{count} info") } else { plural(count, word) }
}
