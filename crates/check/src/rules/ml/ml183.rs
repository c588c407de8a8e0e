//! ML183: a build that is another each time.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::lint::Step;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::Call;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML183"),
    name: "nondeterminism",
    severity: Severity::Info,
    what: "A step gives another result each time it runs.",
    why: "What apt-get upgrade brings, the time of day and the head of a branch are not in the Dockerfile: two builds of one commit differ, and nobody can say why. Newer packages come with a newer base; a commit names what is cloned; SOURCE_DATE_EPOCH is the time of the commit.",
    bad: "FROM debian:12\nRUN git clone https://example.com/x.git /x\nUSER 1000\n",
    good: "FROM debian:12\nRUN git clone https://example.com/x.git /x && git -C /x checkout 1f2e3d4c\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, call) in lint.calls() {
        let is_manager = call.is_any(&["apt-get", "apt", "aptitude", "dnf", "yum", "microdnf", "apk"]);
        let upgrades = is_manager && ["upgrade", "dist-upgrade", "full-upgrade"].iter().any(|verb| call.verb_is(verb));
        let said = if upgrades {
            Some(("what is upgraded depends on the day", "take a newer base instead"))
        } else if call.is("date") && !step.line().text.contains("SOURCE_DATE_EPOCH") {
            Some(("the time of the build becomes part of the image", "take SOURCE_DATE_EPOCH, or a label"))
        } else if clones(&call) && !checks_out(step) {
            Some(("what is cloned is the head of a branch", "check out a commit, or ADD repository.git#COMMIT"))
        } else {
            None
        };
        if let Some((message, help)) = said {
            found.add(lint.place(call.at()), message, help);
        }
    }
}

/// A tag in `--branch` has digits.
fn clones(call: &Call<'_>) -> bool {
    let branch = call.arguments().iter().position(|word| word.is("-b") || word.is("--branch"));
    let named = branch.and_then(|at| call.arguments().get(at + 1)).map(|word| word.shown().into_owned());
    let joined = call.flags().into_iter().find(|flag| flag.name == "branch").and_then(|flag| flag.value);
    let is_tag = |name: &str| name.bytes().any(|byte| byte.is_ascii_digit()) || name.contains('$');
    call.is("git") && call.verb_is("clone") && !named.as_deref().or(joined.as_deref()).is_some_and(is_tag)
}

fn checks_out(step: &Step<'_>) -> bool {
    ["checkout", "reset --hard", "switch --detach", "huggingface.co"].iter().any(|word| step.line().text.contains(word))
}
