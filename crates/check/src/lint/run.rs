//! Asks all rules about one file.

use std::path::Path;

use corten_diagnostic::{Diagnose, Failure, Finding, Place};
use corten_frontend::dockerfile::{Command, Dockerfile};
use corten_frontend::yaml::Document;

use super::suppress::Comments;
use super::{Choice, Compose, Config, Lint};
use crate::rules::{Rule, Subject, rules};

/// What is said of a file.
#[derive(Debug, Default)]
pub struct Linted {
    /// In the order of the text.
    pub findings: Vec<Finding>,
    /// How many more there are that comments in the file silence.
    pub suppressed: usize,
}

/// Reads a Dockerfile and asks the rules; `path` is its name as the user knows it.
///
/// A file with mistakes is no error: they are findings, beside those of what could be read.
pub fn lint_dockerfile(path: &Path, text: &str, config: &Config, choice: &Choice) -> Linted {
    let (file, mut mistakes) = Dockerfile::read_what_can_be(path, text);
    let meant = file.instructions.iter().filter_map(|one| Some(file.failure(&one.line, Command::of(one).err()?)));
    mistakes.extend(meant);
    mistakes.sort_by_key(|mistake: &Failure| mistake.span().map(|span| span.range().start));
    let comments = Comments::of(&file, choice);
    let lint = Lint::new(&file, &mistakes, config);
    ask(Subject::Dockerfile, &comments, choice, &|rule| rule.of_dockerfile(&lint))
}

/// Asks the rules about a compose file.
pub fn lint_compose(document: &Document, config: &Config, choice: &Choice) -> Linted {
    let compose = Compose { document, config };
    let comments = Comments::of_lines(document.text(), choice);
    ask(Subject::Compose, &comments, choice, &|rule| rule.of_compose(&compose))
}

fn ask(subject: Subject, comments: &Comments, choice: &Choice, run: &dyn Fn(&Rule) -> Vec<Finding>) -> Linted {
    let mut linted = Linted::default();
    let wanted = rules().filter(|rule| rule.subject() == subject && choice.wants(rule, &comments.experimental));
    for rule in wanted {
        let (findings, suppressed) = comments.judge(rule, run(rule), choice);
        linted.findings.extend(findings);
        linted.suppressed += suppressed;
    }
    linted.findings.sort_by_key(|finding| (start(finding), finding.rule));
    linted
}

fn start(finding: &Finding) -> usize {
    match &finding.at {
        Place::Text(span) => span.range().start,
        _ => 0,
    }
}
