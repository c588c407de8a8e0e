//! What the rules must not say: the traps of supply-chain.md §1.4, one row each; and what they say beside their examples.

mod images;
mod installing;
mod mended;
mod running;

use std::path::Path;

use corten_diagnostic::{Finding, Place};
use corten_frontend::dockerfile::Dockerfile;

use crate::lint::{Choice, Config, Date, Lint, lint_dockerfile};

/// Looks at a file.
pub(super) fn linted<T>(text: &str, look: impl FnOnce(&Lint<'_>) -> T) -> T {
    let (file, mistakes) = Dockerfile::read_what_can_be(Path::new("Dockerfile"), text);
    let config = Config::default();
    look(&Lint::new(&file, &mistakes, &config))
}

pub(super) fn findings(text: &str, rule: &str) -> Vec<Finding> {
    let choice = Choice { select: vec![rule.to_owned()], ..Choice::default() };
    let config = Config { today: Some(Date { year: 2026, month: 11, day: 22 }), ..Config::default() };
    lint_dockerfile(Path::new("Dockerfile"), text, &config, &choice).findings
}

/// Lines that have a finding.
pub(super) fn lines(text: &str, rule: &str) -> Vec<usize> {
    let line = |finding: &Finding| match &finding.at {
        Place::Text(span) => span.position().0,
        _ => 0,
    };
    findings(text, rule).iter().map(line).collect()
}

#[track_caller]
fn silent(rule: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(findings(text, rule), [], "{rule}\n{text}");
    }
}

#[track_caller]
fn told(rule: &str, texts: &[(&str, &[usize])]) {
    for (text, wanted) in texts {
        assert_eq!(lines(text, rule), *wanted, "{rule}\n{text}");
    }
}

/// The files of practitioners' guides: what is right in them is not told, and the wheels that stay are.
#[test]
fn the_guides_files_get_what_is_right() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/guides"));
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", folder.display());
        return;
    }
    let told = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(folder.join(name).join("Dockerfile")).unwrap();
        let all = findings(&text, "ML").into_iter().zip(lines(&text, "ML"));
        all.map(|(finding, line)| format!("{} {line}", finding.rule)).collect()
    };
    assert_eq!(told("fastapi-service"), ["ML102 2", "ML130 12"]);
    assert_eq!(told("api"), ["ML151 1", "ML102 1", "ML131 4", "ML154 12"]);
    assert_eq!(told("train-job"), ["ML151 1", "ML102 1"]);
    assert_eq!(told("gpu-train"), ["ML102 2", "ML151 7", "ML102 7"]);
}
