//! DL3059: two RUNs of one command each follow each other.

use corten_diagnostic::{Fix, RuleId, Severity};

use super::ran::Ran;
use super::tell;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::CommandKind;

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3059"),
    name: "consecutive-run",
    severity: Severity::Info,
    what: "Two RUNs of one command each follow each other.",
    why: "Each makes a layer: small ones cost a little when an image is fetched, and what a later one deletes stays in the earlier one. Apart they are cached apart: where the second changes often, leave them.",
    bad: "FROM debian:12\n\
          RUN mkdir /app\n\
          RUN chmod 755 /app\n",
    good: "FROM debian:12\n\
          RUN mkdir /app \\\n\
          \x20   && chmod 755 /app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let mut before: Option<(&Step<'_>, &Ran)> = None;
    for step in &lint.steps {
        let Some(ran) = lint.ran_of(step).filter(|_| !step.is_trigger()) else {
            before = None;
            continue;
        };
        match before {
            Some((_, earlier))
                if earlier.flags == ran.flags && earlier.commands.len() < 2 && ran.commands.len() < 2 =>
            {
                let help = "join them with &&, unless the second one changes more often";
                let fix = joined(lint, step);
                tell(lint, found, step, step.name(), "a RUN right behind a RUN", help, fix);
            }
            _ => before = Some((step, ran)),
        }
    }
}

/// Commands behind which the same script is another: its folder, its variables, or its end.
const LASTING: [&str; 19] = [
    ".", "alias", "cd", "eval", "exec", "exit", "export", "hash", "popd", "pushd", "read", "return", "set", "shopt",
    "source", "trap", "umask", "unalias", "unset",
];

/// Both as one script, where the second does not notice; what is cached is not the same any more.
fn joined(lint: &Lint<'_>, step: &Step<'_>) -> Option<Fix> {
    let before = lint.steps.get(step.number.checked_sub(1)?)?;
    let script = |step: &'_ Step<'_>| {
        let is_text = step.exec().is_none() && step.instruction.heredocs.is_empty() && step.shell.dialect.is_some();
        is_text && step.script.is_some()
    };
    let (first, second) = (before.script.as_ref()?, step.script.as_ref()?);
    let [only] = second.list.items.as_slice() else { return None };
    let last = first.list.items.last()?;
    let is_lasting = |kind: &CommandKind| match kind {
        CommandKind::Simple(simple) => simple.name().is_none_or(|name| LASTING.contains(&name.as_str())),
        _ => true,
    };
    let mut commands = first.list.items.iter().flat_map(|item| &item.pipeline.commands);
    let ends = lint.text(last.pipeline.at.end..before.at().end).trim().is_empty()
        && lint.text(before.at().end..step.at().start).trim().is_empty()
        && lint.text(only.pipeline.at.end..step.at().end).trim().is_empty();
    let begins = lint.text(step.at().start..only.pipeline.at.start);
    let stays =
        script(before) && script(step) && before.shell == step.shell && !commands.any(|one| is_lasting(&one.kind));
    if !stays || !ends || begins.contains('#') || last.background || only.background {
        return None;
    }
    let between = last.pipeline.at.end..only.pipeline.at.start;
    let joint = format!(" {}\n    && ", lint.file.escape);
    unsafe_fix("join it to the RUN before", vec![lint.edit(between, joint)])
}
