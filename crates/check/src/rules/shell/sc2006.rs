//! SC2006: a command is substituted with backticks.

use corten_diagnostic::{RuleId, Severity};

use super::{parts, scripts};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::PartKind;

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2006"),
    name: "backticks",
    severity: Severity::Info,
    what: "A command is substituted with backticks.",
    why: "They cannot be nested without escapes, and a backslash means something else in them; $(…) has neither trouble.",
    bad: "FROM debian:12\n\
          RUN echo \"`date`\"\n",
    good: "FROM debian:12\n\
          RUN echo \"$(date)\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint) {
        parts(script, &mut |part| {
            if !matches!(&part.kind, PartKind::Substitution { backticks: true, list } if !list.items.is_empty()) {
                return;
            }
            let text = lint.text(part.at.clone());
            let inside = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
            let plain = inside.filter(|inside| is_plain(inside) && !lint.text(0..part.at.start).ends_with('$'));
            let fix =
                plain.and_then(|inside| safe("write $(…)", vec![lint.edit(part.at.clone(), format!("$({inside})"))]));
            found.fixed(lint.place(part.at.clone()), "backticks cannot be nested", "write $(…)", fix);
        });
    }
}

/// No escape, no comment that would swallow the `)`, no `$((`, which is arithmetic.
fn is_plain(inside: &str) -> bool {
    !inside.contains(['\\', '`', '#']) && !inside.trim_start().starts_with('(')
}
