//! The linter's reports in the hands of those who read them: reviewdog takes checkstyle, GitHub's own library writes the same
//! annotations, TypeScript compares issues with the types of Code Climate's specification.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::place::{command, debian, ended, new_folder, said};

/// Every severity, a place over several lines, and all that has a meaning in one of the formats.
const DOCKERFILE: &str = "FROM debian:latest as Base\nRUN apt-get update && \\\n    apt-get install curl é😀 \"<&>\"\nMAINTAINER me\n\
    RUN cd /tmp && sudo true\nUSER a%0Ab,c:d\nCMD echo $HOME\n";

/// Separators and escapes of each format.
const NAMES: [&str; 3] = ["Dockerfile", "a b&c.Dockerfile", "x,y:50%0A<é>.Dockerfile"];

fn folder(name: &str) -> PathBuf {
    let folder = new_folder(name);
    NAMES.iter().for_each(|file| fs::write(folder.join(file), DOCKERFILE).unwrap());
    folder
}

/// What `corten lint` prints of them; findings end it with 1.
fn report(folder: &Path, format: &str) -> String {
    let mut corten = command(Path::new(env!("CARGO_BIN_EXE_corten")), ["lint", "--format", format]);
    let output = ended(corten.args(NAMES).current_dir(folder));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The findings, by the format that docs/lint.md describes.
fn findings(folder: &Path) -> Vec<Value> {
    let report: Value = serde_json::from_str(&report(folder, "json")).unwrap();
    let findings = report["findings"].as_array().unwrap().clone();
    assert!(findings.len() > 20, "{findings:?}");
    findings
}

/// Message and help, as all formats join them.
fn told(finding: &Value) -> String {
    let message = finding["message"].as_str().unwrap().to_owned();
    finding["help"].as_str().map_or(message.clone(), |help| format!("{message}; {help}"))
}

fn fed(command: &mut Command, text: &str) -> Output {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // It may end before it has read everything.
    let _ = writer.join().unwrap();
    output
}

#[test]
fn reviewdog_takes_every_finding_from_checkstyle() {
    let Some(reviewdog) = xtask::peers::need("reviewdog-parser") else { return };
    let folder = folder("checkstyle-reviewdog");
    let text = report(&folder, "checkstyle");
    let read = |text: &str| fed(&mut command(&reviewdog, ["checkstyle"]), text);
    let output = read(&text);
    assert!(output.status.success(), "{}", said(&output));
    let one = |value: &Value| {
        let start = &value["location"]["range"]["start"];
        let words = [&value["location"]["path"], &value["severity"], &value["code"]["value"], &value["message"]];
        (
            words.map(|word| word.as_str().unwrap_or_default().to_owned()),
            start["line"].as_u64(),
            start["column"].as_u64(),
        )
    };
    let lines = String::from_utf8(output.stdout).unwrap();
    let theirs: BTreeSet<_> = lines.lines().map(|line| one(&serde_json::from_str(line).unwrap())).collect();
    let found = findings(&folder);
    let ours = found.iter().map(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        let words = [text("file"), text("severity").to_uppercase(), text("rule"), told(finding)];
        (words, finding["line"].as_u64(), finding["column"].as_u64())
    });
    assert_eq!(theirs, ours.collect());
    assert!(!read(text.trim_end().strip_suffix("</checkstyle>").unwrap()).status.success(), "it reads anything");
}

/// Writes the annotations of `corten lint --format json` by what `core.warning` of `@actions/core` does.
const ANNOTATE: &str = r#"
const library = process.argv[1] + "/lib/";
const { issueCommand } = require(library + "command.js");
const { toCommandProperties } = require(library + "utils.js");
const kinds = { error: "error", warning: "warning", info: "notice" };
for (const one of JSON.parse(require("fs").readFileSync(0, "utf8")).findings) {
  const place = { title: one.rule, file: one.file, startLine: one.line };
  // Lines and columns are said with the last that is meant; columns over several lines are refused.
  place.endLine = one.end_column == 1 && one.end_line > one.line ? one.end_line - 1 : one.end_line;
  if (one.end_line == one.line) {
    place.startColumn = one.column;
    place.endColumn = Math.max(one.end_column - 1, one.column);
  }
  issueCommand(kinds[one.severity], toCommandProperties(place), one.help ? one.message + "; " + one.help : one.message);
}
"#;

/// Kind, properties in any order, text: a line of a workflow command.
fn annotation(line: &str) -> (String, BTreeSet<String>, String) {
    let (head, text) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (kind, properties) = head.split_once(' ').unwrap();
    (kind.to_owned(), properties.split(',').map(str::to_owned).collect(), text.to_owned())
}

#[test]
fn annotations_are_those_of_githubs_own_library() {
    let (Some(library), Some(node)) = (xtask::peers::need("actions-core"), debian("node")) else { return };
    let folder = folder("annotations");
    let mut node = command(&node, ["-e", ANNOTATE]);
    let output = fed(node.arg(library), &report(&folder, "json"));
    assert!(output.status.success(), "{}", said(&output));
    let lines = |text: &str| text.lines().map(annotation).collect::<Vec<_>>();
    let (ours, theirs) = (lines(&report(&folder, "github")), lines(&String::from_utf8(output.stdout).unwrap()));
    assert!(ours.len() > 20);
    assert_eq!(ours, theirs);
}

/// What TypeScript says about issues; empty where they are what the types say.
fn mistakes(folder: &Path, node: &Path, issues: &Value) -> Option<String> {
    let (types, typescript) = (xtask::peers::need("codeclimate-types")?, xtask::peers::need("typescript")?);
    // GitLab's documentation demands a fingerprint and a severity, which Code Climate's leaves open.
    let text = format!(
        "import type {{ Issue }} from {:?}\nexport const issues: (Issue & {{ fingerprint: string; severity: string }})[] = {issues}\n",
        types.join("index.js").to_str()?
    );
    let file = folder.join("issues.mts");
    fs::write(&file, text).unwrap();
    let options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
    let mut compiler = command(node, [typescript.join("lib/tsc.js")]);
    let output = ended(compiler.args(options).arg(&file).current_dir(folder));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.success(), told.is_empty(), "{told}");
    Some(told)
}

#[test]
fn issues_are_of_the_types_of_code_climate() {
    let Some(node) = debian("node") else { return };
    let folder = folder("issue-types");
    let array: Value = serde_json::from_str(&report(&folder, "gitlab")).unwrap();
    let Some(told) = mistakes(&folder, &node, &array) else { return };
    assert_eq!(told, "");
    // The specification: a zero byte ends each, a description is one line, places are relative to the project.
    let text = report(&folder, "codeclimate");
    let mut parts: Vec<&str> = text.split('\0').collect();
    assert_eq!(parts.pop().map(str::trim), Some(""));
    let stream: Vec<Value> = parts.iter().map(|part| serde_json::from_str(part).unwrap()).collect();
    assert_eq!(array.as_array().unwrap(), &stream);
    assert_eq!(stream.len(), findings(&folder).len());
    let text_of = |issue: &Value, name: &str| issue[name].as_str().unwrap().to_owned();
    assert!(stream.iter().all(|issue| !text_of(issue, "description").contains(['\n', '\r'])));
    assert!(stream.iter().all(|issue| NAMES.contains(&issue["location"]["path"].as_str().unwrap())));
    let prints: BTreeSet<String> = stream.iter().map(|issue| text_of(issue, "fingerprint")).collect();
    assert_eq!(prints.len(), stream.len(), "fingerprints are the findings' own");
    for (pointer, value) in [("/0/severity", "style"), ("/0/categories/0", "Bugs"), ("/0/location/lines/begin", "1")] {
        let mut broken = array.clone();
        *broken.pointer_mut(pointer).unwrap() = value.into();
        let told = mistakes(&folder, &node, &broken).unwrap();
        assert!(told.contains("is not assignable to type"), "{pointer}: {told}");
    }
}
