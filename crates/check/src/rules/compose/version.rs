//! ML173: a line that compose ignores.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML173"),
    name: "compose-version",
    severity: Severity::Info,
    what: "The file has a top-level version.",
    why: "Compose reads all files by one specification since 2020 and warns that version is obsolete. The fix takes the line out.",
    bad: "version: \"3.8\"\nservices:\n  api:\n    image: api:1\n",
    good: "services:\n  api:\n    image: api:1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

fn run(compose: &Compose<'_>, found: &mut Found) {
    let Some(version) = compose.root().get("version").filter(|_| compose.root().get("services").is_some()) else {
        return;
    };
    let text = compose.document.text();
    let start = text.get(..version.key_at.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let rest = text.get(version.at.end..).unwrap_or_default();
    let end = version.at.end + rest.find('\n').map_or(rest.len(), |at| at + 1);
    // Only a line of its own goes. An alias stands where its anchor is.
    let is_alone = start == version.key_at.start
        && start <= version.at.start
        && rest.split('\n').next().is_some_and(|rest| rest.trim().is_empty() || rest.trim().starts_with('#'));
    let fix = if is_alone { safe("take the line out", vec![compose.edit(start..end, "")]) } else { None };
    found.fixed(compose.place(version.key_at.clone()), "compose ignores version since 2020", "take the line out", fix);
}
