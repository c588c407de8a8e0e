//! DL3047: a progress bar is drawn by wget.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Plain;
use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3047"),
    name: "wget-progress",
    severity: Severity::Info,
    what: "A progress bar is drawn by wget.",
    why: "Without a terminal it writes a line for every 50 kB: the log of the build drowns in it.",
    bad: "FROM debian:12\n\
          RUN wget https://example.com/model.bin\n",
    good: "FROM debian:12\n\
          RUN wget --progress=dot:giga https://example.com/model.bin\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let all: Vec<&Plain> = ran.commands.iter().filter(|command| is_loud(command)).collect();
        let Some(first) = all.first() else { return };
        let edits = all.iter().map(|command| {
            (!command.at.is_empty()).then(|| lint.edit(command.at.end..command.at.end, " --progress=dot:giga"))
        });
        let fix = edits.collect::<Option<Vec<_>>>().and_then(|edits| safe("add --progress=dot:giga", edits));
        let help = "write wget --progress=dot:giga, or -q or -nv";
        tell(lint, found, step, first.at.clone(), "wget fills the log with its progress", help, fix);
    });
}

fn is_loud(command: &Plain) -> bool {
    let quiet = ["progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose"];
    command.name == "wget" && !command.has_flag(&quiet) && command.argument(&["-nv"]).is_none()
}
