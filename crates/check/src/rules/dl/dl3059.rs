//! DL3059: two RUNs of one command each follow each other.

use corten_diagnostic::{RuleId, Severity};

use super::ran::Ran;
use super::tell;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run};

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
                tell(lint, found, step, step.name(), "a RUN right behind a RUN", help, None);
            }
            _ => before = Some((step, ran)),
        }
    }
}
