//! DL3025: CMD or ENTRYPOINT is a text for the shell.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Command, Line};

use super::{exec_form, tell};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3025"),
    name: "json-commands",
    severity: Severity::Warning,
    what: "CMD or ENTRYPOINT is a text for the shell.",
    why: "The shell is process 1 then and keeps SIGTERM from the program: it is killed after ten seconds instead of ending. Arguments of docker run do not reach it either.",
    bad: "FROM debian:12\n\
          CMD python app.py\n",
    good: "FROM debian:12\n\
          CMD [\"python\", \"app.py\"]\n",
    aliases: &["JSONArgsRecommended", "ML156"],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for step in &lint.steps {
        let (Some(Command::Cmd(Line::Shell(text))) | Some(Command::Entrypoint(Line::Shell(text)))) = &step.command
        else {
            continue;
        };
        let name = step.instruction.keyword.name();
        let help = format!(r#"write {name} ["program", "argument"]; with exec before a program the shell steps aside"#);
        let message = format!("{name} starts a shell, which keeps signals from the program");
        tell(lint, found, step, step.name(), message, help, exec_form(lint, step, text));
    }
}
