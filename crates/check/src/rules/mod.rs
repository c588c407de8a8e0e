//! The rules, one file each. Numbers are those of Corten's rules for Dockerfiles where one fits.

mod budget;
mod health;
mod library_missing;
mod lock_missing;
mod lock_step;
mod lock_unhashed;
mod machine;
mod metadata_only;
mod native_path;
mod pickle;
mod port;
mod root_user;
mod secret_files;
mod setuid;
mod unmet;
mod unpinned_base;
mod user_name;
mod weights;
mod yanked;

use corten_diagnostic::{Finding, Place, RuleId, Severity, Span};

use crate::CheckInput;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its number.
    pub id: RuleId,
    /// Its name, in words with dashes.
    pub name: &'static str,
    /// How much its findings matter.
    pub severity: Severity,
    /// When it speaks, in a sentence.
    pub what: &'static str,
    /// Why that matters, in a sentence or two.
    pub why: &'static str,
    /// Facts, as TOML, of an image with a finding.
    pub bad: &'static str,
    /// The same without.
    pub good: &'static str,
    run: fn(&CheckInput<'_>, &mut Found),
}

/// All rules, by number.
pub const RULES: [Rule; 20] = [
    unpinned_base::RULE,
    lock_missing::RULE,
    metadata_only::RULE,
    secret_files::RULE,
    root_user::RULE,
    user_name::RULE,
    health::RULE,
    weights::RULE,
    budget::RULE,
    lock_step::RULE,
    lock_unhashed::RULE,
    yanked::RULE,
    port::RULE,
    setuid::RULE,
    unmet::RULE,
    pickle::RULE,
    library_missing::IMPORT,
    library_missing::OTHER,
    machine::RULE,
    native_path::RULE,
];

/// Those about steps of Dockerfiles.
pub(crate) const OF_STEPS: [Rule; 2] = [metadata_only::RULE, native_path::RULE];

/// The rule with a number.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id.0 == id)
}

impl Rule {
    /// What it has to say.
    pub fn findings(&self, input: &CheckInput<'_>) -> Vec<Finding> {
        let mut found = Found(Vec::new());
        (self.run)(input, &mut found);
        let finding = |(at, message, help)| Finding {
            rule: self.id,
            severity: self.severity,
            message,
            at,
            help: Some(help),
            fix: None,
        };
        found.0.into_iter().map(finding).collect()
    }
}

/// Takes what a rule has found: place, message, help.
struct Found(Vec<(Place, String, String)>);

impl Found {
    fn add(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.0.push((at, message.into(), help.into()));
    }
}

/// The text, if it is known where; else the plan.
fn place(at: Option<&Span>) -> Place {
    at.map_or(Place::Plan, |at| Place::Text(at.clone()))
}

/// `1.5 MB`, `73.2 kB`.
fn amount(bytes: u64) -> String {
    let (unit, name) = if bytes < 100_000 { (1000, "kB") } else { (1_000_000, "MB") };
    let tenths = bytes.saturating_add(unit / 20) / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
