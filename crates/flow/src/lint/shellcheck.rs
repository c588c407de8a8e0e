//! `--shellcheck`: ShellCheck's findings of the scripts of a Dockerfile, at the Dockerfile's lines.
//!
//! Each script goes to a ShellCheck of its own by standard input, with a `#!` of its shell and the variables that ARG and ENV
//! define. What it says comes back by place: line and column of the script are bytes of the Dockerfile. Codes that a rule here
//! has are left to that rule.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use corten_check::lint::{Choice, Linted, ShellScript, shell_scripts};
use corten_check::rule;
use corten_diagnostic::{Failure, Finding, Place, Report, RuleId, Severity};
use serde::Deserialize;

/// As `shellcheck --format=json1` prints it.
#[derive(Debug, Deserialize)]
struct Printed {
    comments: Vec<Comment>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    line: usize,
    end_line: usize,
    column: usize,
    end_column: usize,
    level: String,
    code: u32,
    message: String,
}

/// Adds what ShellCheck says of a Dockerfile.
///
/// # Errors
/// World, where it does not run or prints something else.
pub(super) fn add(program: &Path, path: &Path, text: &str, choice: &Choice, linted: &mut Linted) -> Result<(), Report> {
    for script in shell_scripts(path, text, choice) {
        for comment in ask(program, &script)? {
            let id = format!("SC{}", comment.code);
            if rule(&id).is_some() {
                continue;
            }
            if script.silences(&id) {
                linted.suppressed += 1;
            } else if comment.code < 10_000 {
                let mut finding = finding(&script, &comment);
                finding.severity = choice.severity_of_foreign(&id).unwrap_or(finding.severity);
                linted.findings.push(finding);
            }
        }
    }
    let start = |finding: &Finding| match &finding.at {
        Place::Text(span) => span.range().start,
        _ => 0,
    };
    linted.findings.sort_by_key(start);
    Ok(())
}

fn ask(program: &Path, script: &ShellScript) -> Result<Vec<Comment>, Failure> {
    let failed = |why: String| Failure::world(format!("running {}: {why}", program.display()));
    let mut command = Command::new(program);
    // What hadolint leaves out too: files that the script sources are not there.
    command.args(["--format=json1", "--norc", "--exclude=SC2187,SC1090,SC1091", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Fed on the side: it may answer before it has read everything.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(script.text().as_bytes())));
        child.wait_with_output()
    });
    let output = output.map_err(|error| failed(error.to_string()))?;
    let printed: Result<Printed, _> = serde_json::from_slice(&output.stdout);
    printed.map(|printed| printed.comments).map_err(|_| {
        let told = String::from_utf8_lossy(&output.stderr);
        failed(format!("it ended with {} and printed no findings: {}", output.status, told.trim()))
    })
}

fn finding(script: &ShellScript, comment: &Comment) -> Finding {
    let severity = match comment.level.as_str() {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => Severity::Info,
    };
    let message = comment.message.trim_end().trim_end_matches('.').trim_end();
    Finding {
        rule: id(comment.code),
        severity,
        message: message.to_owned(),
        at: Place::Text(script.span((comment.line, comment.column), (comment.end_line, comment.end_column))),
        help: Some(format!("https://www.shellcheck.net/wiki/SC{}", comment.code)),
        fix: None,
    }
}

/// The id of a code: made once, and kept, of the few hundred that there are.
fn id(code: u32) -> RuleId {
    static KNOWN: Mutex<BTreeMap<u32, &'static str>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    RuleId(known.entry(code).or_insert_with(|| Box::leak(format!("SC{code}").into_boxed_str())))
}
