//! DL4005: RUN links another shell to /bin/sh.

use corten_diagnostic::{Fix, RuleId, Severity};

use super::ran::{Plain, Ran};
use super::{each_run, tell};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL4005"),
    name: "shell-by-link",
    severity: Severity::Warning,
    what: "RUN links another shell to /bin/sh.",
    why: "Programs of the image that need its own sh get another one; SHELL says it for the build alone.",
    bad: "FROM debian:12\n\
          RUN ln -sf /bin/bash /bin/sh\n",
    good: "FROM debian:12\n\
          SHELL [\"/bin/bash\", \"-c\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    each_run(lint, |step, ran| {
        let Some(command) = ran.commands.iter().find(|command| command.has("ln", &["/bin/sh"])) else { return };
        let help = "write SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]";
        let fix = shell_instead(lint, step, ran, command);
        tell(lint, found, step, command.at.clone(), "this changes the shell of the whole image", help, fix);
    });
}

/// SHELL in place of a RUN that does nothing else. Scripts that the image brings get another sh by it.
fn shell_instead(lint: &Lint<'_>, step: &Step<'_>, ran: &Ran, link: &Plain) -> Option<Fix> {
    let is_all = ran.commands.iter().all(|command| command.at == link.at || command.has("rm", &["/bin/sh"]));
    let target = link.operands(&[]).first().map(|word| word.text.as_str())?;
    let shell = if target == "bash" { "/bin/bash" } else { target };
    let is_shell = ["/bin/bash", "/usr/bin/bash", "/bin/zsh", "/usr/bin/zsh", "/bin/ksh"].contains(&shell);
    // Of a list no command has a place.
    let is_text = step.exec().is_none() && !link.at.is_empty() && step.instruction.heredocs.is_empty();
    if !is_all || !is_shell || step.is_trigger() || !is_text {
        return None;
    }
    let text = format!("SHELL [\"{shell}\", \"-c\"]");
    unsafe_fix("say it by SHELL", vec![lint.edit(step.at(), text)])
}
