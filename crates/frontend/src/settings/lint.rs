//! `[lint]`: which rules `corten lint` asks, how much each matters, and where.
//!
//! Rules are texts here: which there are, `corten-check` knows.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;

use super::sections::strings;
use super::{Setting, Table, Value};

/// A rule, or the beginning of some, and how much it matters.
pub type RuleSeverity = (Setting<String>, Setting<String>);

/// `[lint]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LintSettings {
    /// These alone.
    pub select: Vec<Setting<String>>,
    /// These too.
    pub extend_select: Vec<Setting<String>>,
    /// Not these.
    pub ignore: Vec<Setting<String>>,
    /// Rules that matter more or less than usual: `error`, `warning`, `info`.
    pub severity: Vec<RuleSeverity>,
    /// The least severity that fails: `error`, `warning`, `info`.
    pub threshold: Option<Setting<String>>,
    /// Files that are not looked for in folders, as lines of .dockerignore.
    pub exclude: Vec<Setting<String>>,
    /// Registries that bases may come from.
    pub trusted_registries: Vec<Setting<String>>,
    /// Labels and what their values are.
    pub labels: BTreeMap<String, Setting<String>>,
    /// No other labels.
    pub strict_labels: Option<Setting<bool>>,
    /// What holds for some files besides, in the order of the patterns.
    pub per_path: Vec<(Setting<String>, PathSettings)>,
}

/// Of one pattern in `[lint.per-path]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathSettings {
    /// These too.
    pub extend_select: Vec<Setting<String>>,
    /// Not these.
    pub ignore: Vec<Setting<String>>,
    /// Rules that matter more or less there.
    pub severity: Vec<RuleSeverity>,
}

/// Names of severities.
pub(super) const SEVERITIES: [&str; 3] = ["error", "warning", "info"];
/// What the value of a label may be.
pub(super) const LABELS: [&str; 7] = ["text", "url", "rfc3339", "spdx", "hash", "semver", "email"];

pub(super) fn read(table: &mut Table<'_>) -> Result<LintSettings, Failure> {
    let mut labels = BTreeMap::new();
    if let Some(found) = table.take("labels") {
        for (name, value) in found.named()? {
            labels.insert(name.value, value.parsed(|text| one_of(text, &LABELS))?);
        }
    }
    Ok(LintSettings {
        select: strings(table.take("select"))?,
        extend_select: strings(table.take("extend-select"))?,
        ignore: strings(table.take("ignore"))?,
        severity: severities(table.take("severity"))?,
        threshold: table.take("threshold").map(|found| found.parsed(severity)).transpose()?,
        exclude: strings(table.take("exclude"))?,
        trusted_registries: strings(table.take("trusted-registries"))?,
        labels,
        strict_labels: table.take("strict-labels").map(|found| found.boolean()).transpose()?,
        per_path: table.take("per-path").map_or(Ok(Vec::new()), |found| {
            found.named()?.into_iter().map(|(pattern, value)| Ok((pattern, value.table(of_path)?))).collect()
        })?,
    })
}

fn of_path(table: &mut Table<'_>) -> Result<PathSettings, Failure> {
    Ok(PathSettings {
        extend_select: strings(table.take("extend-select"))?,
        ignore: strings(table.take("ignore"))?,
        severity: severities(table.take("severity"))?,
    })
}

fn severities(found: Option<Value<'_>>) -> Result<Vec<RuleSeverity>, Failure> {
    let Some(found) = found else { return Ok(Vec::new()) };
    found.named()?.into_iter().map(|(rule, value)| Ok((rule, value.parsed(severity)?))).collect()
}

fn severity(text: &str) -> Result<String, String> {
    one_of(text, &SEVERITIES)
}

fn one_of(text: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("is '{text}', expected one of {}", known.join(", ")))
}
