//! Findings in the formats that others read: pure functions from findings to text.
//!
//! | format | who reads it | where it is described |
//! |---|---|---|
//! | `json` | programs | docs/lint.md |
//! | `sarif` | code scanning of GitHub, editors | OASIS SARIF 2.1.0 |
//! | `github` | GitHub Actions | workflow commands |
//! | `gitlab` | GitLab | code quality reports |
//! | `codeclimate` | Code Climate | specification of analyzers |
//! | `junit` | Jenkins and most CI | junit-10.xsd of Jenkins |
//! | `checkstyle` | Jenkins, reviewdog | checkstyle's reports |
//!
//! What a finding is about may be hostile: each format escapes what has a meaning in it.

mod commands;
mod issues;
mod json;
mod sarif;
mod terminal;
mod xml;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use corten_check::{Rule, rule};
use corten_diagnostic::{Finding, Place, Severity, Span};

pub use terminal::text;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Corten's own.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
    /// Code quality of GitLab.
    Gitlab,
    /// JUnit, as Jenkins reads it.
    Junit,
    /// Checkstyle.
    Checkstyle,
    /// Issues of Code Climate, each ended by a zero byte.
    Codeclimate,
}

/// What was looked at, and what was found there.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// Each file once, as the user knows it, also those without a finding.
    pub files: &'a [PathBuf],
    /// File by file.
    pub findings: &'a [Finding],
    /// Does none of them reach the threshold?
    pub passed: bool,
}

/// The whole text, without a line break at its end.
pub fn report(format: Report, looked: &Looked<'_>) -> String {
    match format {
        Report::Json => json::text(looked),
        Report::Sarif => sarif::text(looked),
        Report::Github => commands::text(looked),
        Report::Gitlab => issues::gitlab(looked),
        Report::Codeclimate => issues::codeclimate(looked),
        Report::Junit => xml::junit(looked),
        Report::Checkstyle => xml::checkstyle(looked),
    }
}

/// Where a finding is, as all formats say it: lines and columns count from 1, columns are characters (Unicode scalar values).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    file: String,
    from: (usize, usize),
    /// Behind its last character.
    to: (usize, usize),
}

impl Spot {
    /// What has no place in a text is said to be at its beginning.
    fn of(at: &Place) -> Self {
        match at {
            Place::Text(span) => Self::of_span(span),
            Place::Source(path) => Self { file: shown(path), from: (1, 1), to: (1, 1) },
            other => Self { file: other.to_string(), from: (1, 1), to: (1, 1) },
        }
    }

    fn of_span(span: &Span) -> Self {
        Self { file: shown(span.file()), from: span.position(), to: span.end() }
    }

    /// The last line that has something of it.
    fn last_line(&self) -> usize {
        if self.to.1 == 1 { self.to.0.saturating_sub(1).max(self.from.0) } else { self.to.0 }
    }
}

/// A path as reports have it: with slashes, and without the `./` that says nothing.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

/// `error`, `warning` or `info` in the words of a format.
fn of_severity<T>(severity: Severity, words: [T; 3]) -> T {
    let [error, warning, info] = words;
    match severity {
        Severity::Error => error,
        Severity::Warning => warning,
        Severity::Info => info,
    }
}

/// Message and help in one line.
fn told(finding: &Finding) -> String {
    match &finding.help {
        Some(help) => format!("{}; {help}", finding.message),
        None => finding.message.clone(),
    }
}

/// The rule that made a finding; none for mistakes of the language.
fn rule_of(finding: &Finding) -> Option<&'static Rule> {
    rule(finding.rule.0)
}
