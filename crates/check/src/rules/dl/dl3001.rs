//! DL3001: RUN starts a program that makes no sense while an image is built.

use corten_diagnostic::{RuleId, Severity};

use super::{each_run, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3001"),
    name: "pointless-command",
    severity: Severity::Info,
    what: "RUN starts a program that makes no sense while an image is built.",
    why: "Nothing runs in a build but the command itself: there are no services to start, processes to look at or machines to log into; and what they would change is not kept.",
    bad: "FROM debian:12\n\
          RUN service nginx start\n",
    good: "FROM debian:12\n\
          CMD [\"nginx\", \"-g\", \"daemon off;\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const POINTLESS: [&str; 9] = ["free", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let Some(command) = ran.commands.iter().find(|command| POINTLESS.contains(&command.name.as_str())) else {
            return;
        };
        let message = format!("{} does nothing for an image", command.name);
        tell(lint, found, step, command.at.clone(), message, "start it in the container, if at all", None);
    });
}
