//! DL3046: a user with a high number is made by useradd, and not with -l.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{behind_name, each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3046"),
    name: "useradd-high-uid",
    severity: Severity::Warning,
    what: "A user with a high number is made by useradd, and not with -l.",
    why: "It writes /var/log/lastlog and faillog, sparse files as long as the number is high: layers hold their zeros.",
    bad: "FROM debian:12\n\
          RUN useradd -u 1234567 app\n",
    good: "FROM debian:12\n\
          RUN useradd -l -u 1234567 app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let all: Vec<&Plain> = ran.commands.iter().filter(|command| is_large(command)).collect();
        let Some(first) = all.first() else { return };
        let fix = behind_name(lint, &all, "-l").and_then(|edits| safe("add -l", edits));
        let message = "useradd writes logs as long as this number is high";
        tell(lint, found, step, first.at.clone(), message, "write useradd -l", fix);
    });
}

fn is_large(command: &Plain) -> bool {
    let long = command.values(&["u"]).iter().any(|number| number.text.chars().count() > 5);
    command.name == "useradd" && long && !command.has_flag(&["l", "no-log-init"])
}
