//! hadolint's settings, as far as they are about rules: `.hadolint.yaml`, and its variables of the environment. `no-color` and
//! `verbose` are not ours, `format` only as a variable.
//!
//! As there, a file goes before variables, but lists of both count together, and of several severities the highest.

use std::collections::BTreeMap;
use std::path::Path;

use corten_check::lint::LabelKind;
use corten_diagnostic::{Failure, Severity};
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
        for name in LEVELS {
            let Some(severity) = severity(name) else { continue };
            overridden(rules, file.texts(overrides, name)?, severity);
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
    if let Some(strict) = root.get("strict-labels") {
        rules.config.strict_labels = strict.is_true();
    }
    if let Some(disable) = root.get("disable-ignore-pragma") {
        rules.choice.no_pragmas = disable.is_true();
    }
    if let Some(threshold) = root.get("failure-threshold") {
        rules.threshold = match threshold.as_text().unwrap_or_default().to_ascii_lowercase().as_str() {
            "none" | "ignore" => None,
            text => Some(severity(text).ok_or_else(|| {
                file.wrong(threshold, "failure-threshold is one of error, warning, info, style, ignore, none")
            })?),
        };
    }
    if let Some(no_fail) = root.get("no-fail") {
        rules.no_fail = no_fail.is_true();
    }
    Ok(())
}

/// The keys of `override`.
const LEVELS: [&str; 4] = ["style", "info", "warning", "error"];

/// Adds severities of rules; the last that counts for a rule is to be the highest.
fn overridden(rules: &mut Rules, names: Vec<String>, severity: Severity) {
    for rule in names {
        // A rule that is off is on once somebody says how much it matters.
        rules.choice.also.push(rule.clone());
        rules.choice.severities.push((rule, severity));
    }
    rules.choice.severities.sort_by_key(|(_, severity)| *severity);
}

/// Adds what hadolint's variables say, by their names; what they say wrongly counts for nothing, as there.
pub(super) fn add_variables(variables: &BTreeMap<String, String>, rules: &mut Rules) {
    let value = |name: &str| variables.get(&format!("HADOLINT_{name}"));
    let list = |name: &str| -> Vec<String> {
        let items = value(name).into_iter().flat_map(|text| text.split(','));
        items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let is_on = |name: &str| {
        value(name).is_some_and(|text| ["1", "y", "on", "true", "yes"].contains(&text.to_ascii_lowercase().as_str()))
    };
    rules.choice.ignore.extend(list("IGNORE"));
    for level in LEVELS {
        let Some(severity) = severity(level) else { continue };
        overridden(rules, list(&format!("OVERRIDE_{}", level.to_ascii_uppercase())), severity);
    }
    rules.config.trusted_registries.extend(list("TRUSTED_REGISTRIES"));
    let labels = list("REQUIRE_LABELS").into_iter().filter_map(|label| {
        let (name, kind) = label.split_once(':').unwrap_or((&label, ""));
        Some((name.to_owned(), LabelKind::of(kind)?))
    });
    rules.config.labels.extend(labels);
    rules.config.strict_labels = is_on("STRICT_LABELS");
    rules.choice.no_pragmas = is_on("DISABLE_IGNORE_PRAGMA");
    rules.no_fail = is_on("NOFAIL");
    match value("FAILURE_THRESHOLD").map(|text| text.to_ascii_lowercase()).as_deref() {
        Some("none" | "ignore") => rules.threshold = None,
        Some(text) => rules.threshold = severity(text).or(rules.threshold),
        None => {}
    }
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
