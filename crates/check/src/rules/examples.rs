//! Every rule about Dockerfiles and compose files: its bad example has a finding of it, its good one none of it, and a fix
//! applied to the bad one leaves none.
//!
//! An example may begin with comments that say what is known besides: `# settings: trusted-registries = ["docker.io"]` (TOML),
//! `# .dockerignore: *.pem`.

use std::path::Path;

use corten_diagnostic::{Finding, Fix};
use corten_frontend::ignore::Matcher;
use corten_frontend::yaml::Document;
use serde::Deserialize;

use super::*;
use crate::lint::{Choice, Config, Date, IgnoreFile, LabelKind, lint_compose, lint_dockerfile};

/// What an example says besides.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Besides {
    trusted_registries: Vec<String>,
    labels: std::collections::BTreeMap<String, String>,
    strict_labels: bool,
    today: Option<(u16, u8, u8)>,
    driver: Option<String>,
    gpus: Vec<String>,
    context_known: bool,
    /// Platforms of images that are known, by name.
    images: std::collections::BTreeMap<String, String>,
}

pub(crate) fn config(example: &str) -> Config {
    let said = |what: &str| -> Vec<&str> {
        let comments = example.lines().take_while(|line| line.starts_with('#'));
        comments.filter_map(|line| line.strip_prefix(what)).map(str::trim).collect()
    };
    let settings = said("# settings:").join("\n");
    let besides: Besides = toml::from_str(&settings).unwrap_or_else(|error| panic!("{settings}: {error}"));
    let patterns = said("# .dockerignore:");
    Config {
        trusted_registries: besides.trusted_registries,
        labels: besides.labels.into_iter().map(|(name, kind)| (name, LabelKind::of(&kind).unwrap())).collect(),
        strict_labels: besides.strict_labels,
        today: besides.today.map(|(year, month, day)| Date { year, month, day }),
        driver: besides.driver,
        gpus: besides.gpus,
        images: besides.images.into_iter().map(|(name, platform)| (name, image(&platform))).collect(),
        context_known: besides.context_known || !patterns.is_empty(),
        ignore: (!patterns.is_empty()).then(|| IgnoreFile {
            path: ".dockerignore".into(),
            text: patterns.join("\n"),
            matcher: Matcher::new(patterns.iter().copied()).unwrap(),
        }),
        ..Config::default()
    }
}

/// A config of which the platform is known.
fn image(platform: &str) -> corten_oci::ImageConfig {
    let (os, architecture) = platform.split_once('/').unwrap();
    serde_json::from_value(serde_json::json!({
        "os": os, "architecture": architecture, "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
    }))
    .unwrap()
}

/// What one rule says of an example, though it may be off.
pub(super) fn findings(rule: &Rule, example: &str) -> Vec<Finding> {
    let choice = Choice { select: vec![rule.id.0.to_owned()], ..Choice::default() };
    let config = config(example);
    match rule.subject() {
        Subject::Dockerfile => lint_dockerfile(Path::new("Dockerfile"), example, &config, &choice).findings,
        Subject::Compose => {
            let document = Document::read(Path::new("compose.yaml"), example).unwrap();
            lint_compose(&document, &config, &choice).findings
        }
        Subject::Image => Vec::new(),
    }
}

pub(super) fn applied(text: &str, fix: &Fix) -> String {
    let mut edits: Vec<&Edit> = fix.edits.iter().collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.range().start));
    let mut text = text.to_owned();
    for edit in edits {
        text.replace_range(edit.span.range(), &edit.text);
    }
    text
}

pub(super) fn about_files() -> impl Iterator<Item = &'static Rule> {
    rules().filter(|rule| rule.subject() != Subject::Image)
}

#[test]
fn bad_files_have_a_finding_and_good_ones_none() {
    for rule in about_files() {
        let bad = findings(rule, rule.bad);
        assert!(bad.iter().any(|finding| finding.rule == rule.id), "{}: nothing in\n{}", rule.id, rule.bad);
        let good = findings(rule, rule.good);
        assert_eq!(good.iter().filter(|finding| finding.rule == rule.id).count(), 0, "{}: {good:?}", rule.id);
    }
}

#[test]
fn a_fix_takes_the_finding_away() {
    for rule in about_files() {
        let mut text = rule.bad.to_owned();
        let mut last = usize::MAX;
        loop {
            let all = findings(rule, &text);
            let Some(fix) = all.iter().find_map(|finding| finding.fix.clone()) else { break };
            assert!(all.len() < last, "{}: the fix '{}' leaves\n{text}", rule.id, fix.title);
            last = all.len();
            text = applied(&text, &fix);
        }
    }
}

#[test]
fn a_fix_of_a_bad_example_can_be_made() {
    for rule in about_files() {
        let all = findings(rule, rule.bad);
        for finding in all.iter().filter(|finding| finding.fix.is_some()) {
            let file = if rule.subject() == Subject::Compose { "compose.yaml" } else { "Dockerfile" };
            let find = |text: &str| findings(rule, text);
            let right = crate::fix::is_right(Path::new(file), rule.bad, rule.subject(), &all, finding, &find);
            assert_eq!(right, Ok(()), "{}: {:?} of\n{}", rule.id, finding.fix, rule.bad);
        }
    }
}

#[test]
fn rules_are_told_well_and_their_ids_are_their_own() {
    let mut seen = std::collections::BTreeSet::new();
    for rule in rules() {
        assert!(seen.insert((rule.id, rule.subject())), "{} is there twice", rule.id);
        for text in [rule.what, rule.why] {
            assert!(text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase()), "{}: {text}", rule.id);
        }
        for alias in rule.aliases {
            assert!(
                rules().all(|other| other.id.0 != *alias || other.subject() != rule.subject()),
                "{alias} is a rule of its own"
            );
        }
    }
    for rule in about_files() {
        for finding in findings(rule, rule.bad) {
            assert!(!finding.message.ends_with('.') && !finding.message.is_empty(), "{finding:?}");
        }
    }
}
