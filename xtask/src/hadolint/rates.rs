//! How often rules speak, and what hadolint tells of ShellCheck.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Told;

/// In more files than these (percent) no rule speaks by default, unless it is an info, or of [`EXCEPTED`].
const MOST: usize = 70;
/// Rules that speak in more files than these (percent) are listed.
const LISTED: usize = 30;

/// Rules about root and secrets.
const EXCEPTED: [&str; 7] = ["DL3002", "DL3064", "ML141", "ML142", "ML144", "ML151", "SecretsUsedInArgOrEnv"];

/// Codes of ShellCheck that are rules here, too.
const CODES: [&str; 13] = [
    "SC2006", "SC2012", "SC2028", "SC2038", "SC2046", "SC2086", "SC2102", "SC2155", "SC2164", "SC3010", "SC3014",
    "SC3037", "SC3040",
];

/// A rule, its severity, and in how many files it speaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Rate {
    rule: String,
    severity: String,
    files: usize,
}

/// The rules that speak most often first; `severities` by rule.
pub fn rates(ours: &[Told], severities: &BTreeMap<String, String>) -> Vec<Rate> {
    let mut files: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, _, rule) in ours {
        files.entry(rule).or_default().insert(file);
    }
    let rate = |(rule, files): (&str, BTreeSet<&str>)| {
        let severity = severities.get(rule).cloned().unwrap_or_default();
        Rate { rule: rule.to_owned(), severity, files: files.len() }
    };
    let mut rates: Vec<Rate> = files.into_iter().map(rate).collect();
    rates.sort_by(|one, other| other.files.cmp(&one.files).then_with(|| one.rule.cmp(&other.rule)));
    rates
}

impl Rate {
    fn is_above(&self, percent: usize, all: usize) -> bool {
        self.files * 100 > all * percent
    }

    /// Does it speak more often than a warning may?
    pub fn is_too_loud(&self, all: usize) -> bool {
        self.is_above(MOST, all) && self.severity != "info" && !EXCEPTED.contains(&self.rule.as_str())
    }
}

/// As a table of Markdown; `all` is the number of files.
pub fn table(rates: &[Rate], all: usize) -> String {
    let mut table = "| rule | severity | files | of all |\n|---|---|--:|--:|\n".to_owned();
    for Rate { rule, severity, files } in rates.iter().filter(|rate| rate.is_above(LISTED, all)) {
        let percent = (files * 100 + all / 2) / all.max(1);
        // A text always takes what is written.
        let _ = writeln!(table, "| {rule} | {severity} | {files} | {percent} % |");
    }
    table
}

/// ShellCheck's codes as hadolint tells them, by RUN, as a table of Markdown. Files of `left_out` do not count.
pub fn shell_table(
    ours: &[Told],
    theirs: &[Told],
    left_out: &BTreeSet<String>,
    text: &dyn Fn(&str) -> String,
) -> String {
    let counted = |(file, _, rule): &&Told| rule.starts_with("SC") && !left_out.contains(file);
    let ours: Vec<&Told> = ours.iter().filter(counted).collect();
    let theirs: BTreeSet<Told> = theirs.iter().filter(counted).cloned().collect();
    let mut begins: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (file, ..) in &ours {
        begins.entry(file).or_insert_with(|| instructions(&text(file)));
    }
    let of_run = |(file, line, rule): &Told| {
        let known = begins.get(file.as_str()).map(Vec::as_slice).unwrap_or_default();
        let run = known.partition_point(|begin| begin <= line).checked_sub(1).and_then(|at| known.get(at));
        (file.clone(), run.copied().unwrap_or(*line), rule.clone())
    };
    let runs: BTreeSet<Told> = ours.iter().map(|told| of_run(told)).collect();
    let spoken: BTreeSet<(&str, usize)> = theirs.iter().map(|(file, line, _)| (file.as_str(), *line)).collect();
    let row = |code: &str| {
        let is = |told: &&Told| told.2 == code;
        let (own, other): (Vec<&Told>, Vec<&Told>) =
            (runs.iter().filter(is).collect(), theirs.iter().filter(is).collect());
        let both = other.iter().filter(|told| runs.contains(**told)).count();
        let silent = own.iter().filter(|(file, line, _)| !spoken.contains(&(file.as_str(), *line))).count();
        [other.len(), both, other.len() - both, silent, own.len()]
    };
    let mut table =
        "| check | hadolint | the same RUN | hadolint alone | Corten, where hadolint tells none | Corten, all |\n\
        |---|--:|--:|--:|--:|--:|\n"
            .to_owned();
    let mut sum = [0; 5];
    for (code, figures) in CODES.map(|code| (code, row(code))).into_iter() {
        sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        table.push_str(&line(code, figures));
    }
    table + &line("all", sum)
}

fn line(name: &str, figures: [usize; 5]) -> String {
    format!("| {name} | {} |\n", figures.map(|figure| figure.to_string()).join(" | "))
}

/// The lines that instructions begin on, from 1.
fn instructions(text: &str) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut continues = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if !continues && is_instruction(line) {
            begins.push(number + 1);
        }
        if !line.is_empty() && !line.starts_with('#') {
            continues = line.ends_with('\\');
        }
    }
    begins
}

fn is_instruction(line: &str) -> bool {
    const KEYWORDS: [&str; 18] = [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    let word = line.split_whitespace().next().unwrap_or_default();
    KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(file: &str, line: usize, rule: &str) -> Told {
        (file.to_owned(), line, rule.to_owned())
    }

    #[test]
    fn a_warning_of_nearly_all_files_is_too_loud() {
        let ours: Vec<Told> =
            (0..8).flat_map(|file| ["A", "B", "ML151"].map(|rule| told(&file.to_string(), 1, rule))).collect();
        let severities = [("A", "warning"), ("B", "info"), ("ML151", "warning")];
        let severities = severities.map(|(rule, severity)| (rule.to_owned(), severity.to_owned())).into();
        let rates = rates(&ours, &severities);
        let loud =
            |all| rates.iter().filter(|rate| rate.is_too_loud(all)).map(|rate| rate.rule.as_str()).collect::<Vec<_>>();
        assert_eq!((loud(11), loud(12)), (vec!["A"], vec![]));
        assert!(table(&rates, 11).ends_with("| ML151 | warning | 8 | 73 % |\n") && !table(&rates, 30).contains("A"));
    }

    #[test]
    fn findings_of_scripts_are_counted_by_run() {
        let text = |_: &str| "FROM a\nRUN a \\\n# why\n  b\nRUN c\n".to_owned();
        let ours = [told("f", 2, "SC2086"), told("f", 4, "SC2086"), told("f", 5, "SC2046")];
        let theirs = [told("f", 2, "SC2086"), told("f", 1, "SC2006")];
        let table = shell_table(&ours, &theirs, &BTreeSet::new(), &text);
        assert!(
            table.contains("| SC2086 | 1 | 1 | 0 | 0 | 1 |\n") && table.contains("| SC2046 | 0 | 0 | 0 | 1 | 1 |\n"),
            "{table}"
        );
        assert!(table.ends_with("| all | 2 | 1 | 1 | 1 | 2 |\n"), "{table}");
        assert!(
            shell_table(&ours, &theirs, &["f".to_owned()].into(), &text).ends_with("| all | 0 | 0 | 0 | 0 | 0 |\n")
        );
    }
}
