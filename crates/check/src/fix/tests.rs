//! Fixes of rules that are made up here, so that each kind of wrong one is seen.

use std::ops::Range;

use corten_diagnostic::{Edit, Place, Severity, Span};

use crate::lint::{Choice, Config, lint_dockerfile};

use super::*;

const FILE: &str = "Dockerfile";

/// A finding for each place where `bad` stands, with a fix that writes `good` there.
fn rule(id: &'static str, bad: &'static str, good: &'static str, safe: bool) -> impl Fn(&str) -> Vec<Finding> {
    move |text| {
        let at = text.match_indices(bad).map(|(at, _)| at..at + bad.len());
        at.map(|range| finding(id, text, range, good, safe)).collect()
    }
}

fn finding(id: &'static str, text: &str, range: Range<usize>, good: &str, safe: bool) -> Finding {
    let span = Span::new(FILE, text, range);
    let edits = vec![Edit { span: span.clone(), text: good.to_owned() }];
    Finding {
        rule: RuleId(id),
        severity: Severity::Warning,
        message: "m".into(),
        at: Place::Text(span),
        help: None,
        fix: Some(Fix { title: format!("write {good}"), edits, safe }),
    }
}

fn fixed(text: &str, wanted: Wanted, find: Find<'_>) -> Fixed {
    fix(Path::new(FILE), text, Subject::Dockerfile, wanted, find)
}

fn refusals(fixed: &Fixed) -> Vec<&str> {
    fixed.refused.iter().map(|refused| refused.why.as_str()).collect()
}

#[test]
fn all_that_change_nothing_are_made_in_one_pass() {
    let find = rule("X1", "from ", "FROM ", true);
    let fixed = fixed("from a\nfrom b\nRUN x\n", Wanted::Safe, &find);
    assert_eq!((fixed.text.as_str(), fixed.made.len()), ("FROM a\nFROM b\nRUN x\n", 2));
    assert!(fixed.refused.is_empty() && fixed.findings.is_empty());
}

#[test]
fn a_safe_fix_that_changes_what_is_built_is_refused_and_the_others_are_made() {
    let find = |text: &str| {
        let mut all = rule("X1", "from ", "FROM ", true)(text);
        all.extend(rule("X2", "RUN x", "RUN y", true)(text));
        all.extend(rule("X3", "ENV a=1", "ENV a=2", true)(text));
        all.extend(rule("X4", "USER a", "", true)(text));
        all
    };
    let fixed = fixed("from a\nRUN x\nENV a=1\nUSER a\n", Wanted::Safe, &find);
    assert_eq!(fixed.text, "FROM a\nRUN x\nENV a=1\nUSER a\n");
    let mut why = refusals(&fixed);
    why.sort_unstable();
    assert_eq!(
        why,
        [
            "'RUN /bin/sh -c x' would become 'RUN /bin/sh -c y'",
            "the config of stage 0 would be another",
            "the config of stage 0 would be another"
        ]
    );
}

#[test]
fn an_unsafe_fix_is_made_only_when_asked_for() {
    let find = rule("X1", "RUN x", "RUN y", false);
    assert_eq!(fixed("FROM a\nRUN x\n", Wanted::Safe, &find).made, []);
    assert_eq!(fixed("FROM a\nRUN x\n", Wanted::All, &find).text, "FROM a\nRUN y\n");
}

#[test]
fn what_breaks_the_file_or_mends_nothing_or_is_of_another_file_is_refused() {
    let text = "FROM a\nRUN x\n";
    assert_eq!(
        refusals(&fixed(text, Wanted::All, &rule("X", "RUN x", "COPY x", false))),
        ["the file would have a mistake that it has not now"]
    );
    assert_eq!(refusals(&fixed(text, Wanted::All, &rule("X", "x", "x x", false))), ["X would still be found"]);
    let other = |_: &str| rule("X", "x", "y", false)("x");
    assert_eq!(refusals(&fixed(text, Wanted::All, &other)), ["it changes another file than this"]);
}

#[test]
fn a_file_that_cannot_be_lowered_gets_no_safe_fix() {
    let find = rule("X1", "run ", "RUN ", true);
    let fixed = fixed("FROM a\nCOPY --from=none x /\nrun x\nSTOPSIGNAL no\n", Wanted::Safe, &find);
    assert_eq!(fixed.made, []);
    assert_eq!(refusals(&fixed), ["what is built cannot be compared: 'no' is no signal"]);
}

#[test]
fn an_argument_without_a_default_does_not_hinder() {
    let find = rule("X1", "run ", "RUN ", true);
    let text = "ARG BASE\nFROM --platform=$TARGETPLATFORM $BASE\nARG PORT\nEXPOSE $PORT\nrun x\n";
    assert_eq!(fixed(text, Wanted::Safe, &find).made.len(), 1);
}

#[test]
fn fixes_that_touch_are_made_one_after_the_other() {
    let find = |text: &str| {
        let mut all = rule("X1", "aa", "ab", false)(text);
        all.extend(rule("X2", "ac", "d", false)(text));
        all
    };
    let fixed = fixed("FROM x\nRUN aaac\n", Wanted::All, &find);
    assert_eq!(fixed.text, "FROM x\nRUN abd\n");
    assert_eq!(fixed.made.len(), 2);
}

#[test]
fn fixes_that_undo_each_other_come_to_an_end() {
    let find = |text: &str| {
        let mut all = rule("X1", "RUN one", "RUN two", false)(text);
        all.extend(rule("X2", "RUN two", "RUN one", false)(text));
        all
    };
    assert!(fixed("FROM x\nRUN one\n", Wanted::All, &find).made.len() <= 2);
}

/// All rules, also those that are silent unless told otherwise.
fn all_rules(text: &str) -> Vec<Finding> {
    let choice = Choice { also: vec!["all".to_owned()], ..Choice::default() };
    lint_dockerfile(Path::new(FILE), text, &Config::default(), &choice).findings
}

/// Every fix that any rule offers for any of them: it removes its finding, a safe one changes nothing that its page does not name, and
/// after all of them were made there is nothing left to make.
#[test]
fn every_fix_over_all_dockerfiles_is_right_and_idempotent() {
    let (mut wrong, mut offered) = (Vec::new(), 0);
    for text in crate::lint::tests::texts() {
        let findings = all_rules(&text);
        for finding in findings.iter().filter(|finding| finding.fix.is_some()) {
            offered += 1;
            let right = is_right(Path::new(FILE), &text, Subject::Dockerfile, &findings, finding, &all_rules);
            // What cannot be built has nothing to be compared: such a fix is refused where one is made.
            let why = right.err().filter(|why| !why.starts_with("what is built cannot be compared"));
            wrong.extend(why.map(|why| format!("{} {:?}: {why}\n{text}", finding.rule, finding.at)));
        }
        for wanted in [Wanted::Safe, Wanted::All] {
            let once = fixed(&text, wanted, &all_rules);
            let twice = fixed(&once.text, wanted, &all_rules);
            assert_eq!((twice.made, &twice.text), (Vec::new(), &once.text), "{text}");
            assert_eq!(once.findings, all_rules(&once.text), "{text}");
        }
    }
    assert!(wrong.is_empty(), "{} of {offered}:\n{}", wrong.len(), wrong.join("\n---\n"));
    assert!(offered > 10, "{offered}");
}

/// Nothing is found in what cannot be read: that is no reason to think it mended.
#[test]
fn what_makes_a_script_or_a_compose_file_unreadable_is_refused() {
    let find = |text: &str| if text.contains('(') { Vec::new() } else { rule("X", "RUN x", "RUN (x", false)(text) };
    let made = fixed("FROM a\nRUN x\n", Wanted::All, &find);
    assert_eq!(
        (made.text.as_str(), refusals(&made)),
        ("FROM a\nRUN x\n", vec!["the shell could not read a script that it reads now"])
    );
    let find = |text: &str| if text.contains('[') { Vec::new() } else { rule("X", "b", "[", false)(text) };
    let made = fix(Path::new("compose.yaml"), "a: b\n", Subject::Compose, Wanted::All, &find);
    assert_eq!(made.text, "a: b\n");
    let refused = refusals(&made);
    assert!(
        matches!(refused.as_slice(), [why] if why.starts_with("the file could not be read any more: ")),
        "{refused:?}"
    );
}
