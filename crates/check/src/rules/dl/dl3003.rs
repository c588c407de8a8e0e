//! DL3003: RUN changes its folder with cd.

use corten_diagnostic::{Fix, RuleId, Severity};

use super::ran::Ran;
use super::{each_run, tell};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::{CommandKind, Joint};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3003"),
    name: "workdir-for-cd",
    severity: Severity::Warning,
    what: "RUN changes its folder with cd.",
    why: "It lasts for this RUN alone; a reader has to know where each command is. WORKDIR says it once, and also for the container.",
    bad: "FROM debian:12\n\
          RUN cd /src && make\n",
    good: "FROM debian:12\n\
          WORKDIR /src\n\
          RUN make\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        if step.is_trigger() {
            return;
        }
        let Some(command) = ran.command("cd") else { return };
        let help = "write WORKDIR before this RUN";
        let fix = folder_before(lint, step, ran);
        tell(lint, found, step, command.at.clone(), "cd lasts only for this RUN", help, fix);
    });
}

/// A WORKDIR in place of the `cd` that the script begins with. What follows stands there, too, so somebody has to look at it.
fn folder_before(lint: &Lint<'_>, step: &Step<'_>, ran: &Ran) -> Option<Fix> {
    let script = step.script.as_ref().filter(|_| step.exec().is_none() && step.instruction.heredocs.is_empty())?;
    let [first, second, ..] = script.list.items.as_slice() else { return None };
    let [command] = first.pipeline.commands.as_slice() else { return None };
    let CommandKind::Simple(simple) = &command.kind else { return None };
    let ([folder], true) = (simple.arguments(), command.redirections.is_empty()) else { return None };
    let path = folder.literal()?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@".contains(letter);
    let is_it = path.starts_with('/') && path.chars().all(is_plain) && simple.name().as_deref() == Some("cd");
    let is_alone = ran.commands.iter().filter(|command| command.name == "cd").count() == 1;
    let is_joined = second.joint == Joint::And && !first.pipeline.negated && !first.background;
    if !(is_it && is_alone && is_joined) {
        return None;
    }
    let at = lint.above(step);
    let gone = first.pipeline.at.start..second.pipeline.at.start;
    let edits = vec![lint.edit(at..at, format!("WORKDIR {path}\n")), lint.edit(gone, "")];
    unsafe_fix("make it a WORKDIR, where all that follows stands, too", edits)
}
