//! SARIF 2.1.0 (OASIS standard): one run, its rules, results with fixes and fingerprints.
//!
//! Columns count characters, which `columnKind` says; places of files are relative references, escaped as RFC 3986 has it.

use std::collections::BTreeSet;

use corten_check::baseline::fingerprints;
use corten_check::{Rule, page};
use corten_diagnostic::{Edit, Finding, Fix, Severity};
use serde_json::{Map, Value, json};

use super::{Looked, Spot, of_severity, rule_of, shown, told};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log.
pub fn text(looked: &Looked<'_>) -> String {
    let ids: BTreeSet<&str> = looked.findings.iter().map(|finding| finding.rule.0).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let rules: Vec<Value> = ids.iter().map(|id| descriptor(id, corten_check::rule(id))).collect();
    let prints = fingerprints(looked.findings);
    let results: Vec<Value> =
        looked.findings.iter().zip(&prints).map(|(finding, print)| result(finding, print, &ids)).collect();
    let artifacts: Vec<Value> =
        looked.files.iter().map(|file| json!({"location": {"uri": uri(&shown(file))}})).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "corten",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results,
        }],
    });
    format!("{log:#}")
}

fn descriptor(id: &str, rule: Option<&Rule>) -> Value {
    let mut shape = Map::from_iter([("id".to_owned(), json!(id))]);
    let Some(rule) = rule.filter(|rule| rule.id.0 == id) else { return Value::Object(shape) };
    let mut add = |name: &str, value: Value| drop(shape.insert(name.to_owned(), value));
    add("name", json!(pascal(rule.name)));
    add("shortDescription", json!({"text": sentence(rule.what)}));
    add("fullDescription", json!({"text": rule.why}));
    add("help", json!({"text": page::text(rule), "markdown": page::markdown(rule)}));
    add("defaultConfiguration", json!({"level": level(rule.severity)}));
    if let Some(url) = page::url(rule) {
        add("helpUri", json!(url));
    }
    if !rule.aliases.is_empty() {
        add("properties", json!({"tags": rule.aliases}));
    }
    Value::Object(shape)
}

fn result(finding: &Finding, fingerprint: &str, ids: &[&str]) -> Value {
    let spot = Spot::of(&finding.at);
    let mut shape = json!({
        "ruleId": finding.rule.0,
        "level": level(finding.severity),
        "message": {"text": told(finding)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&spot.file)},
            "region": region(&spot),
        }}],
        "partialFingerprints": {"corten/v1": fingerprint},
    });
    let index = ids.iter().position(|id| *id == finding.rule.0).filter(|_| rule_of(finding).is_some());
    if let (Some(object), Some(index)) = (shape.as_object_mut(), index) {
        object.insert("ruleIndex".to_owned(), json!(index));
    }
    if let (Some(object), Some(fix)) = (shape.as_object_mut(), &finding.fix) {
        object.insert("fixes".to_owned(), json!([change(fix, &spot.file)]));
    }
    shape
}

fn change(fix: &Fix, file: &str) -> Value {
    let replacements: Vec<Value> = fix.edits.iter().map(replacement).collect();
    json!({
        "description": {"text": fix.title},
        "artifactChanges": [{"artifactLocation": {"uri": uri(file)}, "replacements": replacements}],
    })
}

fn replacement(edit: &Edit) -> Value {
    let mut shape = Map::from_iter([("deletedRegion".to_owned(), region(&Spot::of_span(&edit.span)))]);
    if !edit.text.is_empty() {
        shape.insert("insertedContent".to_owned(), json!({"text": edit.text}));
    }
    Value::Object(shape)
}

fn region(spot: &Spot) -> Value {
    json!({
        "startLine": spot.from.0,
        "startColumn": spot.from.1,
        "endLine": spot.to.0,
        "endColumn": spot.to.1,
    })
}

fn level(severity: Severity) -> &'static str {
    of_severity(severity, ["error", "warning", "note"])
}

/// A rule's name as SARIF wants it: `root-user` is `RootUser`.
fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
    };
    name.split('-').map(capital).collect()
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

/// A path as a reference: everything but unreserved characters and slashes escaped; an absolute one gets its scheme.
pub(super) fn uri(path: &str) -> String {
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
