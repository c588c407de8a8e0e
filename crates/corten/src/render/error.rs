//! Errors, with the user's own line and a caret where there is a text, then causes, then hints.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use corten_diagnostic::{Diagnose, Fault, Finding, Place, Report, Severity, Span};

use super::text::{self, safe};

/// The exit status that an error asks for.
pub fn exit_status(report: &Report) -> u8 {
    match report.error().fault() {
        Fault::Input => 1,
        Fault::Usage => 2,
        Fault::World => 3,
        Fault::Bug => 70,
    }
}

/// The whole error, for stderr; styled, to be stripped where that is not wanted.
pub fn error(report: &Report) -> String {
    let mut said = report.to_string();
    let mut text = titled(Level::ERROR, &said, report.error().span());
    for cause in report.causes() {
        // Many errors have their cause in their own sentence.
        if !said.contains(&cause) {
            text.push_str(&format!("\n  caused by: {}", safe(&cause)));
            said = cause;
        }
    }
    for hint in report.error().hints() {
        text.push_str(&format!("\nhint: {}", safe(&hint)));
    }
    for other in report.error().also() {
        text.push('\n');
        text.push_str(&titled(Level::ERROR, &other.to_string(), other.span()));
        other.hints().iter().for_each(|hint| text.push_str(&format!("\nhint: {}", safe(hint))));
    }
    if report.error().fault() == Fault::Bug {
        text.push_str("\nhint: this is a mistake in corten itself; please report it with the command that you ran");
    }
    text
}

/// A finding, for stderr.
pub fn finding(finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Info => Level::INFO,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let span = match &finding.at {
        Place::Text(span) => Some(span),
        _ => None,
    };
    let at = match &finding.at {
        Place::Text(_) | Place::Plan => String::new(),
        place => format!("{place}: "),
    };
    let mut text = titled(level, &format!("{} {at}{}", finding.rule, finding.message), span);
    if let Some(help) = &finding.help {
        text.push_str(&format!("\nhint: {}", safe(help)));
    }
    text
}

fn titled(level: Level<'_>, title: &str, span: Option<&Span>) -> String {
    let title = safe(title);
    let group = level.primary_title(title.as_str());
    let renderer = Renderer::styled().decor_style(DecorStyle::Ascii);
    let Some(span) = span else { return renderer.render(&[annotate_snippets::Group::with_title(group)]) };
    let path = text::one_line(&span.file().display().to_string());
    let text = text::source_line(span.text());
    let snippet = Snippet::source(text).path(path).annotation(AnnotationKind::Primary.span(one_line(span)));
    renderer.render(&[group.element(snippet)])
}

/// A long span shows its first line only.
fn one_line(span: &Span) -> std::ops::Range<usize> {
    let range = span.range();
    let first = span.text().get(range.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
    // An empty place shows the letter behind it, which may have several bytes.
    let next = span.text().get(range.start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    range.start..range.start + if first.is_empty() { next } else { first.len() }
}
