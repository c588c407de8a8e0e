//! DL3020: ADD copies files.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Copy;

use super::{is_archive, tell, unquoted};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3020"),
    name: "copy-for-files",
    severity: Severity::Error,
    what: "ADD copies files.",
    why: "ADD also unpacks, and fetches addresses: who reads it has to know which. COPY does what it says.",
    bad: "FROM debian:12\n\
          ADD app.py /app/\n",
    good: "FROM debian:12\n\
          COPY app.py /app/\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, copy) in lint.copies().filter(|(step, copy)| copy.add && !step.is_trigger()) {
        let paths = copy.paths().map(|path| unquoted(&path.text));
        let Some(path) = paths.clone().find(|path| !is_for_add(path)) else { continue };
        let message = format!("{path} is no archive and no address: COPY does");
        let fix =
            only_files(copy, paths).then(|| safe("write COPY", vec![lint.edit(step.name(), copy_like(lint, step))]));
        tell(lint, found, step, step.name(), message, "write COPY", fix.flatten());
    }
}

/// Addresses, repositories and archives are what ADD is for.
fn is_for_add(path: &str) -> bool {
    let address = ["https://", "http://", "git@", "git://", "ssh://"].iter().any(|start| path.starts_with(start));
    address || is_archive(path)
}

/// Is nothing of it what only ADD does? A pattern may meet archives.
fn only_files<'p>(copy: &Copy, mut paths: impl Iterator<Item = &'p str>) -> bool {
    let plain = copy.checksum.is_none() && copy.keep_git_dir.is_none() && copy.unpack.is_none();
    plain && paths.all(|path| !is_for_add(path) && !path.contains(['$', '*', '?', '[']))
}

fn copy_like(lint: &Lint<'_>, step: &Step<'_>) -> &'static str {
    if lint.text(step.name()) == "add" { "copy" } else { "COPY" }
}
