//! DL3008: packages of apt without a version.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Call, Word};

pub(super) const RULE: Rule = Rule {
    id: RuleId("DL3008"),
    name: "apt-unpinned",
    severity: Severity::Warning,
    what: "An apt-get installs a package without saying which version.",
    why: "The same Dockerfile gives another image tomorrow. A pin has a price: a version that is replaced leaves the archive, and the build fails.",
    bad: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*\n",
    good: "FROM debian:12\nRUN apt-get update && apt-get install -y --no-install-recommends curl=7.88.1-10+deb12u8 && rm -rf /var/lib/apt/lists/*\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Options of apt-get whose value is the next word.
const WITH_VALUES: [&str; 8] = ["t", "o", "c", "a", "target-release", "default-release", "option", "config-file"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, call) in lint.calls() {
        if let Some(first) = unpinned(&call).first() {
            found.add(
                lint.place(first.at.clone()),
                format!("apt-get installs {} in no particular version", first.shown()),
                "name the version: package=version",
            );
        }
    }
}

/// The packages that are named without a version; a target release pins them all.
fn unpinned<'s>(call: &Call<'s>) -> Vec<&'s Word> {
    if !call.is_any(&["apt-get", "apt"]) || !call.verb_is("install") {
        return Vec::new();
    }
    if call.has_flag(&["t", "target-release", "default-release"]) {
        return Vec::new();
    }
    let packages = call.operands_without(&WITH_VALUES).into_iter().skip(1);
    packages.filter(|word| !is_pinned(&word.shown())).collect()
}

/// `name=version`, `name/release`, a file.
fn is_pinned(package: &str) -> bool {
    package.contains(['=', '/']) || package.ends_with(".deb") || package.starts_with('$')
}
