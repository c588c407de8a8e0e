//! What each format does with hostile texts, and that other people's programs read it: schemas are asked in
//! `tests/judges/reports.rs`, through the program.

use corten_diagnostic::{Edit, Fix, RuleId};
use serde_json::Value;

use super::*;

const TEXT: &str = "FROM é😀:latest\nRUN a \\\n  b\n";

fn finding(rule: &'static str, range: std::ops::Range<usize>, message: &str) -> Finding {
    Finding {
        rule: RuleId(rule),
        severity: Severity::Warning,
        message: message.into(),
        at: Place::Text(Span::new("./a b/Dockerfile", TEXT, range)),
        help: Some("do it".into()),
        fix: None,
    }
}

fn told_as(format: Report, findings: &[Finding]) -> String {
    let files = [PathBuf::from("./a b/Dockerfile"), PathBuf::from("good")];
    report(format, &Looked { files: &files, findings, passed: findings.is_empty() })
}

/// `:latest`, in bytes.
fn latest() -> std::ops::Range<usize> {
    let at = TEXT.find(":latest").unwrap();
    at..at + 7
}

#[test]
fn json_has_places_in_characters_and_edits() {
    let mut one = finding("DL3007", latest(), "m");
    let edits = vec![Edit { span: Span::new("x", TEXT, latest()), text: ":1".into() }];
    one.fix = Some(Fix { title: "pin".into(), edits, safe: false });
    let json: Value = serde_json::from_str(&told_as(Report::Json, &[one, finding("DL3007", 19..30, "n")])).unwrap();
    let first = &json["findings"][0];
    assert_eq!((&json["passed"], &json["files"]), (&Value::from(false), &Value::from(2)));
    let place = |shape: &Value| ["line", "column", "end_line", "end_column"].map(|key| shape[key].as_u64().unwrap());
    assert_eq!(place(first), [1, 8, 1, 15]);
    assert_eq!(place(&first["fix"]["edits"][0]), [1, 8, 1, 15]);
    assert_eq!(first["file"], "a b/Dockerfile");
    assert_eq!(first["rule"], "DL3007");
    assert_eq!(first["severity"], "warning");
    assert_eq!((&first["message"], &first["help"]), (&Value::from("m"), &Value::from("do it")));
    let over_lines = &json["findings"][1];
    assert_eq!(place(over_lines), [2, 1, 3, 4]);
}

#[test]
fn sarif_escapes_names_and_says_where() {
    let log: Value = serde_json::from_str(&told_as(Report::Sarif, &[finding("DL3007", latest(), "m")])).unwrap();
    let result = &log["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b/Dockerfile");
    assert_eq!(place["region"]["startColumn"], 8);
    assert_eq!(result["message"]["text"], "m; do it");
    assert_eq!(sarif::uri("/ü:%"), "file:///%C3%BC%3A%25");
}

#[test]
fn commands_of_github_are_one_line_each() {
    let text = told_as(Report::Github, &[finding("DL3007", latest(), "a%\r\n::error::x")]);
    assert_eq!(
        text,
        "::warning file=a b/Dockerfile,line=1,endLine=1,col=8,endColumn=14,title=DL3007::a%25%0D%0A::error::x; do it"
    );
    let text = told_as(Report::Github, &[finding("DL3007", 19..30, "x")]);
    assert_eq!(text, "::warning file=a b/Dockerfile,line=2,endLine=3,title=DL3007::x; do it");
}

#[test]
fn xml_stays_well_formed_whatever_a_message_has() {
    let hostile = "<a href=\"x\">&amp;]]>\u{0}\u{1b}\u{ffff}\n\té😀";
    for format in [Report::Junit, Report::Checkstyle] {
        let text = told_as(format, &[finding("DL3007", latest(), hostile)]);
        let expected = "&lt;a href=&quot;x&quot;&gt;&amp;amp;]]&gt;\u{fffd}\u{fffd}\u{fffd}&#10;&#9;é😀";
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_file_without_a_finding_is_a_test_that_passed() {
    let text = told_as(Report::Junit, &[finding("DL3007", latest(), "m")]);
    assert!(text.contains("<testsuites name=\"corten lint\" tests=\"2\" failures=\"1\" errors=\"0\">"), "{text}");
    assert!(text.contains("<testsuite name=\"good\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\">"), "{text}");
    assert!(!told_as(Report::Checkstyle, &[]).contains("<file"));
}

#[test]
fn issues_have_fingerprints_and_an_end() {
    let findings = [finding("DL3007", latest(), "m"), finding("DL3008", 19..30, "n")];
    let array: Value = serde_json::from_str(&told_as(Report::Gitlab, &findings)).unwrap();
    let text = told_as(Report::Codeclimate, &findings);
    let stream: Vec<Value> = text
        .split('\0')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| serde_json::from_str(part).unwrap())
        .collect();
    assert_eq!(array.as_array().unwrap(), &stream);
    assert_eq!(array[1]["location"]["lines"], serde_json::json!({"begin": 2, "end": 3}));
    assert_ne!(array[0]["fingerprint"], array[1]["fingerprint"]);
}

#[test]
fn the_terminal_gets_no_control_characters_of_others() {
    let text = terminal::text(&Looked {
        files: &[],
        findings: &[finding("DL3007", latest(), "\u{1b}]0;evil\u{7}\u{202e}")],
        passed: false,
    });
    assert!(!text.contains("\u{1b}]") && !text.contains('\u{7}') && !text.contains('\u{202e}'), "{text:?}");
}

/// Their names as well, and lines.
#[test]
fn file_names_and_lines_drive_no_terminal() {
    let hostile = "\u{1b}]0;evil\u{7}\u{9b}2J\u{202e}";
    let text = format!("FROM a # {hostile}\n");
    let mut one = finding("DL3007", 0..0, "m");
    one.at = Place::Text(Span::new(format!("a\n{hostile}/Dockerfile"), text.as_str(), 5..text.len()));
    let lint = terminal::text(&Looked { files: &[], findings: std::slice::from_ref(&one), passed: false });
    let report = corten_diagnostic::Failure::input("m").at(match &one.at {
        Place::Text(span) => span.clone(),
        _ => unreachable!(),
    });
    for text in [lint, crate::render::error::finding(&one), crate::render::error::error(&report.into())] {
        let is_bad =
            |c: char| c.is_control() && !matches!(c, '\n' | '\u{1b}') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(is_bad) && !text.contains("\u{1b}]"), "{text:?}");
        assert!(text.contains("a\\n") && text.contains("/Dockerfile:1:6"), "{text:?}");
    }
}

#[test]
fn the_whole_line_is_shown() {
    let text = terminal::text(&Looked { files: &[], findings: &[finding("DL3007", 5..7, "m")], passed: false });
    assert!(text.contains("FROM é😀:latest"), "{text}");
}

#[test]
fn a_line_of_a_megabyte_is_shown_around_the_place() {
    let text = format!("RUN {}é:latest {}", "ä".repeat(500_000), "ö".repeat(500_000));
    let at = text.find(":latest").unwrap();
    let mut one = finding("DL3007", 0..0, "m");
    for range in [at..at + 7, 0..text.len(), text.len()..text.len(), 0..0] {
        one.at = Place::Text(Span::new("f", text.as_str(), range));
        let told = terminal::text(&Looked { files: &[], findings: std::slice::from_ref(&one), passed: false });
        assert!(told.len() < 20_000, "{}", told.len());
    }
}
