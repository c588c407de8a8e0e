//! ML129: cleaning up too late.

use corten_diagnostic::{Fix, RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::{ml130, ordinary_runs};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::{Call, Word};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML129"),
    name: "later-cleanup",
    severity: Severity::Warning,
    what: "A RUN changes the owner or mode of, or removes, what an earlier layer holds.",
    why: "Layers only grow. chown -R or chmod -R writes every file once more (images of 9 GB became 18), and rm hides files that everybody still pulls. COPY --chown and --chmod set both at once; what is not wanted has to be removed by the RUN that made it.",
    bad: "FROM python:3.12-slim\nCOPY models /models\nRUN chown -R 1000:1000 /models\nUSER 1000\n",
    good: "FROM python:3.12-slim\nCOPY --chown=1000:1000 models /models\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// What the same RUN made is no earlier layer.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in ordinary_runs(lint) {
        let Some(stage) = lint.stage_of(step).filter(|stage| lint.is_in_image(stage)) else { continue };
        let before: Vec<&Step<'_>> = lint.steps_of(stage).iter().filter(|one| one.number < step.number).collect();
        let calls = script.calls();
        for call in &calls {
            let is_recursive = call.has_flag(&["R", "r", "recursive"]);
            let paths: Vec<&Word> = match call.name.as_ref() {
                "chown" | "chgrp" | "chmod" if is_recursive => call.operands().skip(1).collect(),
                "rm" => call.operands().collect(),
                _ => continue,
            };
            let copied = paths.iter().find_map(|path| Some((*path, copy_of(lint, &before, &path.shown())?)));
            let Some((path, copy)) = copied.filter(|(path, _)| !is_made_here(&calls, &path.shown())) else { continue };
            if call.is("rm") && ml130::is_told(lint, step) {
                continue;
            }
            let (line, name) = (lint.span(copy.at()).position().0, path.shown());
            let (message, help) = match call.is("rm") {
                true => (
                    format!("removing {name} makes nothing smaller: it lies in the layer of line {line}"),
                    "mount it where it is needed (RUN --mount=type=bind), or do not copy it".to_owned(),
                ),
                false => (
                    format!("{} writes {name} once more: it lies in the layer of line {line}, too", call.name),
                    format!("say it there: COPY --{}=…", if call.is("chmod") { "chmod" } else { "chown" }),
                ),
            };
            let is_all = calls.len() == 1 && paths.len() == 1;
            let fix = if is_all { owned_at_once(lint, step, copy, call, path) } else { None };
            found.fixed(lint.place(call.at()), message, help, fix);
        }
    }
    lists(lint, found);
}

/// `COPY --chown` in place of a RUN right behind it that does nothing else to the folder that it made.
fn owned_at_once(lint: &Lint<'_>, step: &Step<'_>, copy: &Step<'_>, call: &Call<'_>, path: &Word) -> Option<Fix> {
    let Some(Command::Copy(copied)) = &copy.command else { return None };
    let script = step.script.as_ref().filter(|_| step.exec().is_none() && !step.is_trigger())?;
    let is_next = copy.number + 1 == step.number && script.list.items.len() == 1;
    let same = lint.expand(copy, &copied.destination.text)?.trim_end_matches('/') == path.shown().trim_end_matches('/');
    let owner = call.operands().next()?.literal()?;
    // Of a user alone, COPY makes the group that has his number; chown leaves the group as it is.
    let is_whole = owner.split_once(':').is_some_and(|(user, group)| !user.is_empty() && !group.is_empty());
    let is_plain = owner.chars().all(|letter| letter.is_ascii_alphanumeric() || ":_-.".contains(letter));
    if !(call.is("chown") && is_next && same && is_whole && is_plain && copied.chown.is_none()) {
        return None;
    }
    let at = copy.name().end;
    let edits = vec![lint.edit(at..at, format!(" --chown={owner}")), lint.without(step)];
    unsafe_fix("say the owner where it is copied", edits)
}

/// `rm -rf /var/lib/apt/lists/*` in another RUN than the one that filled them.
fn lists(lint: &Lint<'_>, found: &mut Found) {
    let is_update = |call: &Call<'_>| call.is_any(&["apt-get", "apt"]) && call.verb_is("update");
    for (step, script) in ordinary_runs(lint) {
        let Some(stage) = lint.stage_of(step).filter(|stage| lint.is_in_image(stage)) else { continue };
        let calls = script.calls();
        let removes = calls.iter().find(|call| {
            call.is("rm") && call.arguments().iter().any(|word| word.shown().starts_with("/var/lib/apt/lists"))
        });
        let Some(removes) = removes.filter(|_| !calls.iter().any(is_update)) else { continue };
        let earlier = lint.runs().any(|(one, script)| {
            one.stage == Some(stage.number) && one.number < step.number && script.calls().iter().any(is_update)
        });
        if earlier {
            let message = "removing apt's lists here makes nothing smaller: they lie in an earlier layer";
            found.add(lint.place(removes.at()), message, "remove them in the RUN that has apt-get update");
        }
    }
}

/// The COPY or ADD that put something there: the path itself, or what lies below it.
fn copy_of<'l>(lint: &Lint<'_>, before: &[&'l Step<'l>], path: &str) -> Option<&'l Step<'l>> {
    let path = path.trim_end_matches(['*', '/']);
    if !path.starts_with('/') || path.contains('$') || path.is_empty() {
        return None;
    }
    before.iter().copied().find(|step| {
        let Some(copy) = step.copy() else { return false };
        let Some(to) = lint.expand(step, &copy.destination.text) else { return false };
        let to = to.trim_end_matches('/');
        let is_folder = copy.destination.text.ends_with('/')
            || copy.sources.len() > 1
            || !to.rsplit('/').next().unwrap_or_default().contains('.');
        let is_below = |inner: &str, outer: &str| {
            inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        to.starts_with('/') && is_folder && (is_below(to, path) || is_below(path, to))
    })
}

/// Made by the same RUN: `mkdir`, `tar`, `git clone` of that path.
fn is_made_here(calls: &[Call<'_>], path: &str) -> bool {
    let makes = ["mkdir", "git", "curl", "wget", "tar", "unzip", "cp", "mv", "install", "touch", "python", "python3"];
    calls.iter().any(|call| call.is_any(&makes) && call.arguments().iter().any(|word| word.shown() == path))
}
