//! All Dockerfiles of the shared data: the rules beside hadolint, and what their fixes do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use corten_check::lint::{Choice, Config, lint_dockerfile};
use corten_diagnostic::{Finding, Fix, Place};
use xtask::hadolint::{Comparison, DIFFERENCES, Pragmas, Told};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
const PAGE: &str = include_str!("../../../docs/lint.md");

/// Texts by their names; none where the data is not there.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let data = Path::new(DATA);
    if !data.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{DATA} is not there");
        println!("skipped: {DATA} is not there");
        return texts;
    }
    for folder in ["dockerfile", "guides"] {
        collect(&data.join(folder), folder, &mut texts);
    }
    let oracle = fs::read_to_string(data.join("dockerfile/oracle/oracle.jsonl")).unwrap();
    for (number, line) in oracle.lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        texts.insert(format!("oracle-{number}"), row["dockerfile"].as_str().unwrap().to_owned());
    }
    assert!(texts.len() > 300, "{}", texts.len());
    // Those that `cargo xtask hadolint` brings, when somebody asks for them.
    if let Some(folder) = std::env::var_os("CORTEN_DOCKERFILES") {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if let Ok(text) = fs::read_to_string(entry.path()) {
                texts.insert(name, text);
            }
        }
    }
    texts
}

fn collect(folder: &Path, name: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().into_string().unwrap();
        let whole = format!("{name}-{own}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(&entry.path(), &whole, texts);
        } else if kind.is_file()
            && (own.starts_with("Dockerfile") || own.ends_with("Dockerfile"))
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            texts.insert(whole, text);
        }
    }
}

fn findings(text: &str) -> Vec<Finding> {
    lint_dockerfile(Path::new("Dockerfile"), text, &Config::default(), &Choice::default()).findings
}

fn line(finding: &Finding) -> usize {
    match &finding.at {
        Place::Text(span) => span.position().0,
        _ => 0,
    }
}

#[test]
fn hadolint_tells_the_same_at_the_same_lines() {
    let texts = texts();
    if texts.is_empty() || xtask::peers::need("hadolint").is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hadolint");
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (mut files, mut ours): (Vec<PathBuf>, Vec<Told>) = (Vec::new(), Vec::new());
    for (name, text) in &texts {
        // hadolint knows nothing of BuildKit's comments: what they silence here, it tells.
        let text = &text.replace("check=", "checks=");
        fs::write(path(name), text).unwrap();
        files.push(path(name).into());
        ours.extend(findings(text).iter().map(|one| (path(name), line(one), one.rule.0.to_owned())));
    }
    let theirs = xtask::hadolint::told(&files, Pragmas::Heeded).unwrap();
    let comparison = Comparison::of(&ours, &theirs, &|file: &str| fs::read_to_string(file).unwrap());
    let total = comparison.total();
    println!("{}\nhadolint alone: {:?}\nCorten alone: {:?}", comparison.table(), comparison.missing, comparison.extra);
    assert!(total.theirs > 300, "hadolint tells little: {total:?}");
    assert!(total.both * 100 >= total.theirs * 99, "hadolint alone: {:#?}", comparison.missing);
    assert!(total.extra * 100 <= total.theirs, "Corten alone: {:#?}", comparison.extra);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn differences_are_on_the_page() {
    assert!(DIFFERENCES.len() <= 20);
    for difference in &DIFFERENCES {
        assert!(PAGE.contains(difference.shape), "docs/lint.md does not tell of {}", difference.shape);
        assert!(difference.rules.iter().all(|rule| corten_check::rule(rule).is_some()), "{}", difference.shape);
    }
}

fn applied(text: &str, fix: &Fix) -> String {
    let mut edits: Vec<_> = fix.edits.iter().map(|edit| (edit.span.range(), &edit.text)).collect();
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    assert!(edits.windows(2).all(|two| two[0].0.end <= two[1].0.start), "{}: changes overlap", fix.title);
    edits.iter().rev().fold(text.to_owned(), |mut text, (range, new)| {
        text.replace_range(range.clone(), new);
        text
    })
}

fn count(findings: &[Finding], rule: &str) -> usize {
    findings.iter().filter(|one| one.rule.0 == rule).count()
}

/// Each fix alone: less of its rule than before, and nothing that cannot be read.
#[test]
fn a_fix_removes_its_finding() {
    let mut mended = BTreeMap::<&str, usize>::new();
    for (name, text) in texts() {
        let before = findings(&text);
        for finding in &before {
            let Some(fix) = &finding.fix else { continue };
            let rule = finding.rule.0;
            let text = applied(&text, fix);
            let after = findings(&text);
            let told = |after: &[Finding]| (count(after, rule), count(after, "DL1000"));
            assert!(
                count(&after, rule) < count(&before, rule) && count(&after, "DL1000") <= count(&before, "DL1000"),
                "{name}: {rule} {} ({:?} became {:?}):\n{text}",
                fix.title,
                told(&before),
                told(&after),
            );
            *mended.entry(rule).or_default() += 1;
        }
    }
    println!("{mended:?}");
}

/// What is safe, one after the other, until nothing is left: there is an end, and beyond it nothing changes.
#[test]
fn safe_fixes_come_to_an_end() {
    for (name, text) in texts() {
        let mut now = text.clone();
        let mut rounds = 0;
        while let Some(fix) = findings(&now).into_iter().find_map(|one| one.fix.filter(|fix| fix.safe)) {
            let next = applied(&now, &fix);
            assert_ne!(next, now, "{name}: '{}' changes nothing", fix.title);
            now = next;
            rounds += 1;
            assert!(rounds < 400, "{name}: '{}' again and again:\n{now}", fix.title);
        }
    }
}

/// Cut anywhere, bytes turned: nothing but findings comes of it.
#[test]
fn halves_of_files_are_looked_at_too() {
    for text in texts().values() {
        let step = (text.len() / 12).max(1);
        for at in (0..text.len()).step_by(step).filter(|at| text.is_char_boundary(*at)) {
            findings(&text[..at]);
            findings(&text[at..]);
            findings(&format!("{}\"${{(`{}", &text[..at], &text[at..]));
        }
    }
}
