//! Corten's own: one object, documented in docs/lint.md.

use corten_check::page;
use corten_diagnostic::{Edit, Finding, Fix, Severity};
use serde::Serialize;

use super::{Looked, Spot, rule_of};

#[derive(Serialize)]
struct Shape<'a> {
    passed: bool,
    files: usize,
    findings: Vec<FindingShape<'a>>,
}

#[derive(Serialize)]
struct FindingShape<'a> {
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    rule: &'a str,
    aliases: &'a [&'a str],
    severity: Severity,
    message: &'a str,
    why: Option<&'a str>,
    help: Option<&'a str>,
    url: Option<String>,
    fix: Option<FixShape<'a>>,
}

#[derive(Serialize)]
struct FixShape<'a> {
    title: &'a str,
    safe: bool,
    edits: Vec<EditShape<'a>>,
}

#[derive(Serialize)]
struct EditShape<'a> {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    text: &'a str,
}

/// The object.
pub fn text(looked: &Looked<'_>) -> String {
    let findings = looked.findings.iter().map(finding).collect();
    let shape = Shape { passed: looked.passed, files: looked.files.len(), findings };
    // Of texts and numbers alone: there is nothing that could fail.
    serde_json::to_string_pretty(&shape).unwrap_or_default()
}

fn finding(finding: &Finding) -> FindingShape<'_> {
    let rule = rule_of(finding);
    let spot = Spot::of(&finding.at);
    FindingShape {
        file: spot.file,
        line: spot.from.0,
        column: spot.from.1,
        end_line: spot.to.0,
        end_column: spot.to.1,
        rule: finding.rule.0,
        aliases: rule.map_or(&[], |rule| rule.aliases),
        severity: finding.severity,
        message: &finding.message,
        why: rule.map(|rule| rule.why),
        help: finding.help.as_deref(),
        url: rule.and_then(page::url),
        fix: finding.fix.as_ref().map(fix),
    }
}

fn fix(fix: &Fix) -> FixShape<'_> {
    FixShape { title: &fix.title, safe: fix.safe, edits: fix.edits.iter().map(edit).collect() }
}

fn edit(edit: &Edit) -> EditShape<'_> {
    let spot = Spot::of_span(&edit.span);
    EditShape { line: spot.from.0, column: spot.from.1, end_line: spot.to.0, end_column: spot.to.1, text: &edit.text }
}
