//! Issues as Code Climate specifies them for analyzers, and the array of them that GitLab reads.

use corten_check::baseline::fingerprints;
use corten_diagnostic::Finding;
use serde_json::{Value, json};

use super::{Looked, Spot, of_severity, rule_of, told};

/// One object after another, each ended by a zero byte, as an analyzer writes them.
pub fn codeclimate(looked: &Looked<'_>) -> String {
    issues(looked).iter().map(|issue| format!("{issue}\0")).collect::<Vec<_>>().join("\n")
}

/// An array: GitLab's code quality report.
pub fn gitlab(looked: &Looked<'_>) -> String {
    format!("{:#}", Value::Array(issues(looked)))
}

fn issues(looked: &Looked<'_>) -> Vec<Value> {
    let prints = fingerprints(looked.findings);
    looked.findings.iter().zip(&prints).map(|(finding, print)| issue(finding, print)).collect()
}

fn issue(finding: &Finding, fingerprint: &str) -> Value {
    let spot = Spot::of(&finding.at);
    let mut shape = json!({
        "type": "issue",
        "check_name": finding.rule.0,
        "description": told(finding).replace(['\r', '\n'], " "),
        "categories": [category(finding)],
        "severity": of_severity(finding.severity, ["blocker", "major", "info"]),
        "fingerprint": fingerprint,
        "location": {"path": spot.file, "lines": {"begin": spot.from.0, "end": spot.last_line()}},
    });
    if let (Some(object), Some(rule)) = (shape.as_object_mut(), rule_of(finding)) {
        object.insert("content".to_owned(), json!({"body": rule.why}));
    }
    shape
}

/// Of the eight that there are.
fn category(finding: &Finding) -> &'static str {
    match finding.rule.0 {
        "DL3002" | "DL3004" | "DL3026" | "DL3064" | "SecretsUsedInArgOrEnv" => "Security",
        id if id.starts_with("ML14") || id == "ML151" || id == "ML166" || id == "ML167" => "Security",
        id if id.contains("Casing") || id.contains("Empty") || id.contains("Legacy") => "Style",
        _ => "Bug Risk",
    }
}
