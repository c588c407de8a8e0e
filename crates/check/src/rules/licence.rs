//! ML203: licences that the settings do not allow.
//!
//! `A OR B` is allowed where one of them is, `A AND B` where both are (SPDX 2.3, annex D). A licence that a package does not state, or
//! not as an identifier, is allowed only where no list says what is.

use corten_diagnostic::{RuleId, Severity};
use spdx::{Expression, LicenseItem, ParseMode};

use super::{Found, Initially, Rule, Run, place};
use crate::{CheckInput, LicencePolicy};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML203"),
    name: "licence-not-allowed",
    severity: Severity::Error,
    what: "A package's licence is not one that `[check.licences]` allows.",
    why: "Whoever passes the image on keeps the terms of every package in it; finding out afterwards is dear.",
    bad: "licences = ['scanner AGPL-3.0-only']",
    good: "licences = ['numpy BSD-3-Clause AND MIT', 'chooser MIT OR AGPL-3.0-only', 'ours ']",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let Some(policy) = &input.project.licence_policy else { return };
    for package in &input.project.licences {
        if policy.except.contains(&package.name) {
            continue;
        }
        let message = match &package.licence {
            Some(licence) if policy.allows(licence) => continue,
            Some(licence) => format!("{} is under {licence}", package.package),
            None if policy.allow.is_empty() => continue,
            None => format!("{} does not say under which licence it is", package.package),
        };
        let help = format!(
            "leave the package out, or put its licence into check.licences.allow, or '{}' into check.licences.except",
            package.name
        );
        found.add(place(policy.at.as_ref()), message, help);
    }
}

/// Deprecated identifiers (`GPL-2.0`) are in the list.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::LAX };

impl LicencePolicy {
    fn allows(&self, expression: &str) -> bool {
        let listed = |list: &[String], id: &str| list.iter().any(|known| known.eq_ignore_ascii_case(id));
        let one = |id: &str| (self.allow.is_empty() || listed(&self.allow, id)) && !listed(&self.deny, id);
        let Ok(parsed) = Expression::parse_mode(expression, MODE) else { return one(expression) };
        parsed.evaluate(|requirement| match &requirement.license {
            LicenseItem::Spdx { id, .. } => one(id.name),
            LicenseItem::Other(other) => one(&format!("LicenseRef-{}", other.lic_ref)),
        })
    }
}
