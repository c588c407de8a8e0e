//! Findings in the protocol's shapes: diagnostics, actions that mend or silence them, pages to read.

use std::ops::Range;

use corten_check::fix::{Wanted, fix, is_right};
use corten_check::{Subject, page, rule};
use corten_diagnostic::{Finding, Fix, Place, Severity};
use corten_frontend::dockerfile::{Dockerfile, Instruction};
use serde_json::{Value, json};

use super::documents::Document;
use super::{Look, Looked, words};

const FIX_ALL: &str = "source.fixAll.corten";

/// Findings of a range that actions are offered for: each fix is tried on the whole text, and nobody reads a longer menu.
const MOST_OFFERED: usize = 20;

/// What the server can do: the result of `initialize`.
pub fn capabilities() -> Value {
    json!({
        "capabilities": {
            "positionEncoding": "utf-16",
            "textDocumentSync": {"openClose": true, "change": 2, "save": {"includeText": false}},
            "codeActionProvider": {"codeActionKinds": ["quickfix", FIX_ALL]},
            "hoverProvider": true,
        },
        "serverInfo": {"name": "corten", "version": env!("CARGO_PKG_VERSION")},
    })
}

/// What is found in a document.
pub fn diagnostics(document: &Document) -> Value {
    let all: Vec<Value> = findings(document).map(|finding| diagnostic(document, finding)).collect();
    published(&document.uri, document.version, all)
}

/// Of a document that was closed.
pub fn no_diagnostics(uri: &str) -> Value {
    published(uri, None, Vec::new())
}

fn published(uri: &str, version: Option<i64>, diagnostics: Vec<Value>) -> Value {
    let mut params = json!({"uri": uri, "diagnostics": diagnostics});
    if let (Some(params), Some(version)) = (params.as_object_mut(), version) {
        params.insert("version".to_owned(), json!(version));
    }
    json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params})
}

fn findings(document: &Document) -> impl Iterator<Item = &Finding> {
    document.looked.iter().flat_map(|looked| &looked.findings)
}

/// In bytes of the document; the beginning of what has no place in it.
fn range(document: &Document, finding: &Finding) -> Range<usize> {
    match &finding.at {
        Place::Text(span) if span.text() == document.text => span.range(),
        _ => 0..0,
    }
}

fn diagnostic(document: &Document, finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Info => 3,
    };
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    let mut shape = json!({
        "range": document.range(range(document, finding)),
        "severity": severity,
        "code": finding.rule.0,
        "source": "corten",
        "message": message,
    });
    let url = rule(finding.rule.0).and_then(page::url);
    if let (Some(shape), Some(url)) = (shape.as_object_mut(), url) {
        shape.insert("codeDescription".to_owned(), json!({"href": url}));
    }
    shape
}

/// What can be done about the findings of a range; none where the parameters are wrong.
pub fn actions(document: &Document, params: &Value, look: Look<'_>) -> Option<Value> {
    let asked = document.bytes(&params["range"])?;
    let only: Option<Vec<&str>> =
        params["context"]["only"].as_array().map(|kinds| kinds.iter().filter_map(Value::as_str).collect());
    let wants = |kind: &str| {
        let within =
            |asked: &&str| kind == *asked || kind.strip_prefix(*asked).is_some_and(|rest| rest.starts_with('.'));
        only.as_ref().is_none_or(|only| only.iter().any(within))
    };
    let mut actions = Vec::new();
    let Some(looked) = &document.looked else { return Some(json!([])) };
    if wants("quickfix") {
        let touched: Vec<&Finding> = findings(document)
            .filter(|finding| {
                let range = range(document, finding);
                range.start <= asked.end && asked.start <= range.end
            })
            .take(MOST_OFFERED)
            .collect();
        actions.extend(touched.iter().filter_map(|finding| quick_fix(document, looked, finding, look)));
        let instructions = if touched.is_empty() { Vec::new() } else { instructions(document) };
        actions.extend(touched.iter().filter_map(|finding| silence(document, &instructions, finding)));
    }
    // Nobody wants it among the quick fixes of a line.
    if only.is_some() && wants(FIX_ALL) {
        actions.extend(fix_all(document, looked, look));
    }
    Some(Value::Array(actions))
}

fn find(document: &Document, look: Look<'_>) -> impl Fn(&str) -> Vec<Finding> {
    move |text| look(&document.path, text).ok().flatten().map(|looked| looked.findings).unwrap_or_default()
}

fn quick_fix(document: &Document, looked: &Looked, finding: &Finding, look: Look<'_>) -> Option<Value> {
    let fix = finding.fix.as_ref()?;
    let findings = &looked.findings;
    let find = find(document, look);
    is_right(&document.path, &document.text, looked.subject, findings, finding, &find).ok()?;
    let title = if fix.safe { fix.title.clone() } else { format!("{} (look at it)", fix.title) };
    Some(action(document, "quickfix", &title, edits(document, fix), Some(finding), fix.safe))
}

fn edits(document: &Document, fix: &Fix) -> Vec<Value> {
    let edit =
        |edit: &corten_diagnostic::Edit| json!({"range": document.range(edit.span.range()), "newText": edit.text});
    fix.edits.iter().map(edit).collect()
}

fn action(
    document: &Document,
    kind: &str,
    title: &str,
    edits: Vec<Value>,
    finding: Option<&Finding>,
    is_preferred: bool,
) -> Value {
    let diagnostics: Vec<Value> = finding.iter().map(|finding| diagnostic(document, finding)).collect();
    let mut changes = serde_json::Map::new();
    changes.insert(document.uri.clone(), Value::Array(edits));
    let mut shape = json!({"title": title, "kind": kind, "diagnostics": diagnostics, "edit": {"changes": changes}});
    if let (Some(shape), true) = (shape.as_object_mut(), is_preferred) {
        shape.insert("isPreferred".to_owned(), json!(true));
    }
    shape
}

/// A comment above the instruction, of a compose file above the line, or a further id in the one that is there.
fn silence(document: &Document, instructions: &[Instruction], finding: &Finding) -> Option<Value> {
    let Some(Place::Text(_)) = Some(&finding.at).filter(|_| finding.rule.0 != "DL1000") else { return None };
    let start = range(document, finding).start;
    let (line, _) = document.position(start);
    let first = if is_dockerfile(document) { at(instructions, line)?.line.lines.start.saturating_sub(1) } else { line };
    let id = finding.rule.0;
    let tool = if id.starts_with("DL") || id.starts_with("SC") { "hadolint" } else { "corten" };
    let pragma = format!("# {tool} ignore=");
    let at = document.byte(first as u64, 0);
    let above = document.text.get(..at).unwrap_or_default().trim_end_matches(['\r', '\n']);
    let last = above.lines().next_back().unwrap_or_default();
    let edit = if last.trim_start().starts_with(&pragma) {
        json!({"range": document.range(above.len()..above.len()), "newText": format!(",{id}")})
    } else {
        let line = document.text.get(at..).unwrap_or_default().lines().next().unwrap_or_default();
        let indent: String = line.chars().take_while(|letter| matches!(letter, ' ' | '\t')).collect();
        json!({"range": document.range(at..at), "newText": format!("{indent}{pragma}{id}\n")})
    };
    Some(action(document, "quickfix", &format!("Ignore {id} here"), vec![edit], Some(finding), false))
}

fn is_dockerfile(document: &Document) -> bool {
    document.looked.as_ref().is_some_and(|looked| looked.subject == Subject::Dockerfile)
}

/// What can be read of a Dockerfile; nothing of anything else.
fn instructions(document: &Document) -> Vec<Instruction> {
    if !is_dockerfile(document) {
        return Vec::new();
    }
    Dockerfile::read_what_can_be(&document.path, &document.text).0.instructions
}

/// The instruction that has a line, counted from 0.
fn at(instructions: &[Instruction], line: usize) -> Option<&Instruction> {
    instructions.iter().find(|instruction| instruction.lines.contains(&(line + 1)))
}

fn fix_all(document: &Document, looked: &Looked, look: Look<'_>) -> Option<Value> {
    let fixed = fix(&document.path, &document.text, looked.subject, Wanted::Safe, &find(document, look));
    if fixed.made.is_empty() {
        return None;
    }
    let edit = json!({"range": document.range(0..document.text.len()), "newText": fixed.text});
    Some(action(document, FIX_ALL, "Make all safe fixes", vec![edit], None, false))
}

/// What an instruction is, and the pages of what is found there; none where the parameters are wrong.
pub fn hover(document: &Document, params: &Value) -> Option<Value> {
    let place = &params["position"];
    let byte = document.byte(place["line"].as_u64()?, place["character"].as_u64()?);
    let mut parts: Vec<String> = Vec::new();
    let mut shown = None;
    let (line, _) = document.position(byte);
    if let Some(instruction) = at(&instructions(document), line) {
        let name = instruction.line.place(instruction.name.range.clone());
        if name.contains(&byte) || name.end == byte {
            parts.push(words::about(instruction.keyword));
            shown = Some(name);
        }
    }
    for finding in findings(document) {
        let range = range(document, finding);
        let is_there = range.contains(&byte) || range.end == byte;
        let Some(rule) = rule(finding.rule.0).filter(|_| is_there) else { continue };
        let page = page::markdown(rule);
        if !parts.contains(&page) {
            parts.push(page);
        }
        shown.get_or_insert(range);
    }
    let Some(shown) = shown else { return Some(Value::Null) };
    let contents = json!({"kind": "markdown", "value": parts.join("\n\n---\n\n")});
    Some(json!({"contents": contents, "range": document.range(shown)}))
}
