//! SC3040: an option of set is not one of sh.

use corten_diagnostic::{RuleId, Severity};

use super::{first, scripts, simples};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::Dialect;

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC3040"),
    name: "set-option",
    severity: Severity::Warning,
    what: "An option of set is not one of sh.",
    why: "The sh of Debian 12 and Ubuntu 24.04 is a dash that ends with an error at `set -o pipefail`.",
    bad: "FROM debian:12\n\
          RUN set -o pipefail && cat /a | head -1\n",
    good: "FROM debian:12\n\
          SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\n\
          RUN cat /a | head -1\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// POSIX.1-2017, set.
const KNOWN: [&str; 13] = [
    "allexport",
    "errexit",
    "ignoreeof",
    "monitor",
    "noclobber",
    "noexec",
    "noglob",
    "nolog",
    "notify",
    "nounset",
    "verbose",
    "vi",
    "xtrace",
];

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint).filter(|(_, script)| matches!(script.dialect, Dialect::Sh | Dialect::Dash)) {
        simples(script, &mut |simple| {
            if first(simple).as_deref() != Some("set") {
                return;
            }
            for pair in simple.arguments().windows(2) {
                let [flag, option] = pair else { continue };
                let named = flag.literal().is_some_and(|flag| flag.starts_with(['-', '+']) && flag.ends_with('o'));
                let Some(name) = option.literal().filter(|name| named && !KNOWN.contains(&name.as_ref())) else {
                    continue;
                };
                let message = format!("sh has no option {name}");
                let help = "write SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"] before the RUN";
                found.add(lint.place(option.at.clone()), message, help);
            }
        });
    }
}
