//! ML130: wheels that stay though they were removed.

use corten_diagnostic::{Edit, RuleId, Severity};
use corten_frontend::dockerfile::{Command, Source};

use super::pip;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::Joint;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML130"),
    name: "wheels-copied",
    severity: Severity::Warning,
    what: "Wheels are copied in, installed, and removed by a later RUN.",
    why: "COPY has made a layer of them, and no rm makes that smaller: for torch it is 4 GB that everybody pulls and nobody sees. Mounting them for the one RUN leaves nothing behind. The fix does that: what is installed is the same.",
    bad: "FROM python:3.12-slim AS builder\nRUN pip wheel --wheel-dir /wheels flask==3.1.2\nFROM python:3.12-slim\nCOPY --from=builder /wheels /wheels\nRUN pip install --no-cache-dir /wheels/* && rm -rf /wheels\nUSER 1000\n",
    good: "FROM python:3.12-slim AS builder\nRUN pip wheel --wheel-dir /wheels flask==3.1.2\nFROM python:3.12-slim\nRUN --mount=type=bind,from=builder,source=/wheels,target=/wheels pip install --no-cache-dir /wheels/*\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Wheels that nobody removes may be wanted.
fn run(lint: &Lint<'_>, found: &mut Found) {
    if !super::is_ordinary(lint) {
        return;
    }
    for told in all(lint) {
        let message = format!("the wheels of {} stay in the image, though they are removed later", told.folder);
        let help = "mount them for the RUN that installs: RUN --mount=type=bind,from=STAGE,source=…,target=…";
        let fix = fix(lint, &told).and_then(|edits| safe("mount them instead", edits));
        found.fixed(lint.place(told.copy.at()), message, help, fix);
    }
}

/// A COPY of wheels, the RUN that installs them, and the one that removes them.
struct Told<'l> {
    copy: &'l Step<'l>,
    install: &'l Step<'l>,
    removal: &'l Step<'l>,
    folder: String,
}

/// Is a step the one that removes?
pub(super) fn is_told(lint: &Lint<'_>, step: &Step<'_>) -> bool {
    all(lint).iter().any(|told| told.removal.number == step.number)
}

fn all<'l>(lint: &'l Lint<'_>) -> Vec<Told<'l>> {
    let installs = pip::installs(lint);
    let mut all = Vec::new();
    for (copy, one) in lint.copies().filter(|(copy, _)| lint.is_kept(copy)) {
        let Some(folder) = lint.expand(copy, &one.destination.text) else { continue };
        let folder = folder.trim_end_matches('/').to_owned();
        let is_inside =
            |text: &str| text == folder || text.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'));
        let uses = |install: &&pip::Install<'_>| {
            let is_later = install.step.stage == copy.stage && install.step.number > copy.number;
            let named = install.packages.iter().any(|one| is_inside(&one.text));
            is_later && !folder.is_empty() && (named || install.values("find-links").any(|(value, _)| is_inside(value)))
        };
        let Some(install) = installs.iter().find(uses) else { continue };
        let removal = lint.runs().find(|(step, script)| {
            let removes =
                |call: &crate::shell::Call<'_>| call.is("rm") && call.operands().any(|word| is_inside(&word.shown()));
            step.stage == copy.stage && step.number >= install.step.number && script.calls().iter().any(removes)
        });
        if let Some((removal, _)) = removal {
            all.push(Told { copy, install: install.step, removal, folder });
        }
    }
    all
}

/// Only the plain shape: one folder of a stage, installed and removed by one RUN, `… && rm -rf FOLDER` at its end.
fn fix(lint: &Lint<'_>, told: &Told<'_>) -> Option<Vec<Edit>> {
    let copy = told.copy.copy()?;
    let [Source::Path(source)] = copy.sources.as_slice() else { return None };
    let source = lint.expand(told.copy, &source.text)?.trim_end_matches('/').to_owned();
    let is_plain =
        !source.contains(['*', '?', '[', ',', '"']) && copy.chown.is_none() && copy.chmod.is_none() && !copy.parents;
    let script = told.install.script.as_ref()?;
    let last = script.list.items.last()?;
    let is_last = matches!(last.joint, Joint::And)
        && last.pipeline.commands.len() == 1
        && told.install.number == told.removal.number;
    let text = lint.text(last.pipeline.at.clone());
    let removes_alone = ["rm -rf ", "rm -r ", "rm -fr "]
        .iter()
        .any(|rm| text.strip_prefix(rm).is_some_and(|rest| rest.trim().trim_end_matches(['/', '*']) == told.folder));
    if !is_plain
        || !is_last
        || !removes_alone
        || is_used(lint, told)
        || script.list.items.len() < 2
        || !source.starts_with('/')
    {
        return None;
    }
    let before = script.list.items.get(script.list.items.len() - 2)?;
    let from = copy.from.as_ref().map(|from| format!(",from={}", from.text)).unwrap_or_default();
    let mount = format!(" --mount=type=bind{from},source={source},target={}", told.folder);
    let name = told.install.name();
    Some(vec![
        lint.without(told.copy),
        lint.edit(name.end..name.end, mount),
        lint.edit(before.pipeline.at.end..last.pipeline.at.end, ""),
    ])
}

/// Does a step before the RUN that installs, or another stage, use the folder, or may it?
fn is_used(lint: &Lint<'_>, told: &Told<'_>) -> bool {
    // Who stands in the folder above it names this.
    let name = told.folder.rsplit('/').next().unwrap_or_default();
    let names = |step: &Step<'_>| {
        let text = lint.text(step.at());
        let expanded = || lint.expand(step, text).is_none_or(|text| text.contains(name));
        text.contains(name) || text.contains('$') && expanded()
    };
    let moves = |step: &Step<'_>| !told.folder.starts_with('/') && matches!(step.command, Some(Command::Workdir(_)));
    let between = lint.steps.get(told.copy.number + 1..told.install.number).unwrap_or_default();
    let is_own = |from: &str, step: &Step<'_>| {
        let stage = lint.stage_named(from, step.stage.unwrap_or_default());
        stage.is_some_and(|stage| Some(stage.number) == told.copy.stage)
    };
    let takes = |step: &Step<'_>| {
        let from = step.copy().and_then(|copy| copy.from.as_ref());
        from.is_some_and(|from| is_own(&from.text, step)) && names(step)
    };
    between.iter().any(|step| !step.instruction.heredocs.is_empty() || names(step) || moves(step))
        || lint.steps.iter().any(takes)
}
