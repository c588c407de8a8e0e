//! DL1001: a finding is silenced in the file itself.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL1001"),
    name: "ignore-pragma",
    severity: Severity::Info,
    what: "A finding is silenced in the file itself.",
    why: "Some teams want exceptions to stand in one reviewed place, not beside each line. Off unless it is selected.",
    bad: "FROM debian:12\n\
          # hadolint ignore=DL3015\n\
          RUN apt-get update && apt-get install -y curl=7.88.1-10\n",
    good: "FROM debian:12\n\
          RUN apt-get update && apt-get install -y --no-install-recommends curl=7.88.1-10\n",
    aliases: &[],
    initially: Initially::Off,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let text = lint.file.text();
    let within = |number: usize| {
        let next = lint.steps.partition_point(|step| step.instruction.lines.end <= number);
        lint.steps.get(next).is_some_and(|step| step.instruction.lines.contains(&number))
    };
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let range = at..at + line.trim_end().len();
        let whole = at..at + line.len();
        at += line.len();
        if is_pragma(line) && !within(number + 1) {
            let fix = unsafe_fix("take the pragma out", vec![lint.edit(whole, "")]);
            found.fixed(
                lint.place(range),
                "a finding is silenced here",
                "mend what it is about, or list it in the settings",
                fix,
            );
        }
    }
}

/// `# hadolint ignore=DL3008`.
fn is_pragma(line: &str) -> bool {
    let Some(rest) = line.trim().strip_prefix('#') else { return false };
    let Some(rest) = rest.trim_start().strip_prefix("hadolint") else { return false };
    let Some(list) = rest.trim_start().strip_prefix("ignore") else { return false };
    rest.starts_with([' ', '\t']) && list.trim_start().starts_with('=')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::lint::{Choice, Config, lint_dockerfile};

    #[test]
    fn every_pragma_is_found_but_for_those_of_here_documents() {
        let many = "# hadolint ignore=DL3015\nRUN <<E\n# hadolint ignore=DL3015\nE\nRUN x\n".repeat(5000);
        let choice = Choice { select: vec!["DL1001".into()], ..Choice::default() };
        let linted = lint_dockerfile(Path::new("Dockerfile"), &format!("FROM a\n{many}"), &Config::default(), &choice);
        assert_eq!(linted.findings.len(), 5000);
    }
}
