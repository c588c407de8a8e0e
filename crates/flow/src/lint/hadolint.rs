//! `.hadolint.yaml`: hadolint's settings, as far as they are about rules. Its `format`, `no-color` and `verbose` are not ours.

use std::path::Path;

use corten_check::lint::LabelKind;
use corten_diagnostic::Failure;
use corten_frontend::yaml::{Document, Node, Value};

use super::settings::{Rules, severity};

/// Adds what the file says.
///
/// # Errors
/// Usage: what is no YAML, or of a wrong type.
pub(super) fn add(path: &Path, text: &str, rules: &mut Rules) -> Result<(), Failure> {
    let document = Document::read(path, text).map_err(as_usage)?;
    let file = File { document: &document };
    let root = &document.root;
    rules.choice.ignore.extend(file.texts(root, "ignored")?);
    if let Some(overrides) = root.get("override") {
        for name in ["error", "warning", "info", "style"] {
            let Some(severity) = severity(name) else { continue };
            for rule in file.texts(overrides, name)? {
                // A rule that is off is on once somebody says how much it matters.
                rules.choice.also.push(rule.clone());
                rules.choice.severities.push((rule, severity));
            }
        }
    }
    rules.config.trusted_registries.extend(file.texts(root, "trustedRegistries")?);
    if let Some(labels) = root.get("label-schema") {
        for (name, kind) in labels.pairs() {
            let known = kind.as_text().and_then(LabelKind::of);
            let kind = known.ok_or_else(|| {
                file.wrong(
                    kind,
                    &format!("label-schema.{name} is one of text, url, rfc3339, spdx, hash, semver, email"),
                )
            })?;
            rules.config.labels.insert(name.clone(), kind);
        }
    }
    rules.config.strict_labels |= root.get("strict-labels").is_some_and(Node::is_true);
    rules.choice.no_pragmas |= root.get("disable-ignore-pragma").is_some_and(Node::is_true);
    if let Some(threshold) = root.get("failure-threshold") {
        rules.threshold = match threshold.as_text().unwrap_or_default().to_ascii_lowercase().as_str() {
            "none" | "ignore" => None,
            text => Some(severity(text).ok_or_else(|| {
                file.wrong(threshold, "failure-threshold is one of error, warning, info, style, ignore, none")
            })?),
        };
    }
    if root.get("no-fail").is_some_and(Node::is_true) {
        rules.threshold = None;
    }
    Ok(())
}

struct File<'d> {
    document: &'d Document,
}

impl File<'_> {
    /// The texts of a list.
    fn texts(&self, node: &Node, key: &str) -> Result<Vec<String>, Failure> {
        let Some(list) = node.get(key) else { return Ok(Vec::new()) };
        match &list.value {
            Value::Text(text) if text.is_empty() => Ok(Vec::new()),
            Value::List(items) => {
                let text = |item: &Node| {
                    item.as_text()
                        .map(str::to_owned)
                        .ok_or_else(|| self.wrong(item, &format!("an item of {key} is no text")))
                };
                items.iter().map(text).collect()
            }
            _ => Err(self.wrong(list, &format!("{key} is no list"))),
        }
    }

    fn wrong(&self, node: &Node, why: &str) -> Failure {
        let path = self.document.path().display();
        Failure::usage(format!("{path}: {why}")).at(self.document.span(node.at.clone()))
    }
}

/// Settings are whoever's mistake who runs it.
fn as_usage(failure: Failure) -> Failure {
    use corten_diagnostic::Diagnose;
    let usage = Failure::usage(failure.to_string());
    failure.span().cloned().into_iter().fold(usage, Failure::at)
}
