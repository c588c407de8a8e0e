//! Findings that were there before: a file of fingerprints, so that a project can begin with a rule today and mend what is
//! old later.
//!
//! ```json
//! { "version": 1, "findings": [ { "fingerprint": "…", "file": "Dockerfile", "rule": "DL3008", "message": "…" } ] }
//! ```
//!
//! A fingerprint is of rule, file, the text of the line where the finding begins (blanks do not count), and how many of the same
//! came before it: lines may move, and other lines may change, and it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use corten_diagnostic::{Failure, Finding, Place, Span};
use corten_oci::Digest;
use serde::{Deserialize, Serialize};

/// Of this many are the ends told apart; a file with more is none that this program wrote.
const MOST: usize = 1_000_000;

/// Characters of a line that are part of a fingerprint.
const LINE: usize = 4096;

const VERSION: u32 = 1;

/// One for each finding, in their order: 32 hexadecimal digits.
pub fn fingerprints(findings: &[Finding]) -> Vec<String> {
    let mut seen: BTreeMap<[String; 3], usize> = BTreeMap::new();
    let mut lines = Lines::default();
    let print = |finding| {
        let about = lines.about(finding);
        let before = seen.entry(about.clone()).or_default();
        let text = format!("{}\0{}\0{}\0{before}", about[0], about[1], about[2]);
        *before += 1;
        Digest::of(text.as_bytes()).hex().chars().take(32).collect()
    };
    findings.iter().map(print).collect()
}

fn file(at: &Place) -> String {
    let name = match at {
        Place::Text(span) => span.file().to_string_lossy().into_owned(),
        Place::Source(path) => path.to_string_lossy().into_owned(),
        other => other.to_string(),
    };
    name.strip_prefix("./").unwrap_or(&name).to_owned()
}

/// The last line that was asked for: a long one may have many findings.
#[derive(Default)]
struct Lines<'f> {
    text: &'f str,
    /// Where it stands, without its end.
    at: Range<usize>,
    line: String,
}

impl<'f> Lines<'f> {
    /// What a fingerprint is of: rule, file, line.
    fn about(&mut self, finding: &'f Finding) -> [String; 3] {
        [finding.rule.0.to_owned(), file(&finding.at), self.line(finding)]
    }

    /// The line where it begins, each run of blanks as one; of a finding without a text, its message.
    fn line(&mut self, finding: &'f Finding) -> String {
        let Place::Text(span) = &finding.at else { return finding.message.clone() };
        let (text, start) = (span.text(), span.range().start);
        let is_known = std::ptr::eq(text, self.text) && (self.at.start..=self.at.end).contains(&start);
        if !is_known {
            let from = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
            let rest = text.get(from..).unwrap_or_default();
            let line = rest.get(..rest.find('\n').unwrap_or(rest.len())).unwrap_or_default();
            let cut = line.char_indices().nth(LINE).map_or(line.len(), |(at, _)| at);
            let words = line.get(..cut).unwrap_or_default().split_whitespace();
            self.line = words.collect::<Vec<_>>().join(" ");
            (self.text, self.at) = (text, from..from + line.len());
        }
        self.line.clone()
    }
}

/// What was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baseline {
    known: BTreeSet<String>,
}

/// Findings, those of a baseline taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Those that are new.
    pub new: Vec<Finding>,
    /// How many the baseline has.
    pub known: usize,
    /// How many of the baseline were not found any more.
    pub gone: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    version: u32,
    findings: Vec<Entry>,
}

/// All but the fingerprint is for people.
#[derive(Serialize, Deserialize)]
struct Entry {
    fingerprint: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    rule: String,
    #[serde(default)]
    message: String,
}

impl Baseline {
    /// The text of a file with these findings, ended by a line break; the same for the same findings.
    pub fn text(findings: &[Finding]) -> String {
        let entry = |(finding, fingerprint): (&Finding, String)| Entry {
            fingerprint,
            file: file(&finding.at),
            rule: finding.rule.0.to_owned(),
            message: finding.message.clone(),
        };
        let mut findings: Vec<Entry> = findings.iter().zip(fingerprints(findings)).map(entry).collect();
        findings.sort_by(|a, b| (&a.file, &a.rule, &a.fingerprint).cmp(&(&b.file, &b.rule, &b.fingerprint)));
        let text = serde_json::to_string_pretty(&Shape { version: VERSION, findings });
        // Of texts alone: there is nothing that could fail.
        text.unwrap_or_default() + "\n"
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Usage, where it is none that [`Baseline::text`] writes, with its place.
    pub fn read(name: &Path, text: &str) -> Result<Self, Failure> {
        let failed = |why: String| {
            Failure::usage(format!("{} is no baseline: {why}", name.display()))
                .hint("`corten lint --write-baseline FILE` writes one")
        };
        let shape: Shape = serde_json::from_str(text)
            .map_err(|error| failed(error.to_string()).at(Span::line_of(name, text, error.line())))?;
        if shape.version != VERSION {
            return Err(failed(format!("its version is {}, and this program knows {VERSION}", shape.version)));
        }
        if shape.findings.len() > MOST {
            return Err(failed(format!("it has more than {MOST} findings")));
        }
        Ok(Self { known: shape.findings.into_iter().map(|entry| entry.fingerprint).collect() })
    }

    /// How many findings it has.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Has it none?
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes out what it has.
    pub fn compare(&self, findings: Vec<Finding>) -> Compared {
        let prints = fingerprints(&findings);
        let found: BTreeSet<&String> = prints.iter().collect();
        let gone = self.known.iter().filter(|known| !found.contains(known)).count();
        let all = findings.len();
        let is_new = |(finding, print): (Finding, &String)| (!self.known.contains(print)).then_some(finding);
        let new: Vec<Finding> = findings.into_iter().zip(&prints).filter_map(is_new).collect();
        Compared { known: all - new.len(), new, gone }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_diagnostic::{Diagnose, Fault, RuleId, Severity};

    use super::*;

    /// Where each `^` of the text's own lines is: one finding at the beginning of every line that begins with `!`.
    fn findings(text: &str) -> Vec<Finding> {
        let starts = text.split_inclusive('\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, line))
        });
        let marked = starts.filter(|(_, line)| line.trim_start().starts_with('!'));
        marked.map(|(at, _)| finding("Dockerfile", text, at)).collect()
    }

    fn finding(file: &str, text: &str, at: usize) -> Finding {
        Finding {
            rule: RuleId("DL3008"),
            severity: Severity::Warning,
            message: "m".into(),
            at: Place::Text(Span::new(file, text, at..at + 1)),
            help: None,
            fix: None,
        }
    }

    fn compared(before: &str, after: &str) -> (usize, usize, usize) {
        let baseline = Baseline::read(Path::new("b"), &Baseline::text(&findings(before))).unwrap();
        let compared = baseline.compare(findings(after));
        (compared.new.len(), compared.known, compared.gone)
    }

    #[test]
    fn lines_may_move_and_be_indented_and_stay_known() {
        assert_eq!(compared("!a\n!b\n", "x\n\n  !b\n\ty\n!  a\n"), (1, 1, 1));
        assert_eq!(compared("!a\n!b\n", "x\n\n  !b\n\ty\n!a  \n"), (0, 2, 0));
    }

    #[test]
    fn equal_lines_are_counted() {
        assert_eq!(compared("!a\n!a\n", "!a\nx\n!a\n"), (0, 2, 0));
        assert_eq!(compared("!a\n", "!a\n!a\n"), (1, 1, 0));
        assert_eq!(compared("!a\n!a\n", "!a\n"), (0, 1, 1));
    }

    #[test]
    fn another_file_is_another_finding_and_a_dot_is_none() {
        let print = |file: &str| fingerprints(&[finding(file, "a\n", 0)]).remove(0);
        assert_eq!(print("./Dockerfile"), print("Dockerfile"));
        assert_ne!(print("a/Dockerfile"), print("Dockerfile"));
        assert_eq!(print("Dockerfile").len(), 32);
    }

    #[test]
    fn of_a_line_without_an_end_its_beginning_counts() {
        let text: Arc<str> = format!("!x\n{}\n!y\n", "é ".repeat(500_000)).into();
        let at = |at: usize| {
            let place = Place::Text(Span::new("Dockerfile", Arc::clone(&text), at..at + 1));
            Finding { at: place, ..finding("Dockerfile", "", 0) }
        };
        let mut lines = Lines::default();
        let all: Vec<Finding> = (0..1000).map(|number| at(3 + 3 * number)).chain([at(0), at(text.len() - 2)]).collect();
        let lines: Vec<String> = all.iter().map(|finding| lines.line(finding)).collect();
        assert!(lines.iter().take(1000).all(|line| line.chars().count() == LINE - 1 && line.starts_with("é é")));
        assert_eq!(lines[1000..], ["!x", "!y"]);
        assert_eq!(fingerprints(&all).into_iter().collect::<BTreeSet<_>>().len(), 1002);
    }

    #[test]
    fn what_is_no_baseline_is_refused_with_its_place() {
        for (text, why) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{\"version\": 2, \"findings\": []}", "its version is 2, and this program knows 1"),
            ("{\"version\": 1}", "missing field `findings` at line 1 column 14"),
            ("[]", "invalid length 0, expected struct Shape with 2 elements at line 1 column 2"),
        ] {
            let failure = Baseline::read(Path::new("b.json"), text).unwrap_err();
            assert_eq!(failure.fault(), Fault::Usage);
            assert_eq!(failure.to_string(), format!("b.json is no baseline: {why}"));
        }
    }
}
