//! ML111: what conda leaves behind.

use corten_diagnostic::{Edit, RuleId, Severity};

use super::{images, pip};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::{Call, Item, Joint, Script};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML111"),
    name: "conda-bloat",
    severity: Severity::Warning,
    what: "Downloads of conda stay in the layer.",
    why: "Packages are kept as archives and unpacked a second time in pkgs: the layer is twice as large as the environment. Removing them in a later RUN does not make it smaller. anaconda3 has hundreds of packages that nobody asked for. The fix cleans in the same RUN.",
    bad: "FROM condaforge/miniforge3:24.9.2-0\nRUN conda install -y numpy=2.1\nUSER 1000\n",
    good: "FROM condaforge/miniforge3:24.9.2-0\nRUN conda install -y numpy=2.1 && conda clean -afy\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const PROGRAMS: [&str; 3] = ["conda", "mamba", "micromamba"];

/// What stays in a stage that is thrown away costs nothing; a cache mount keeps it out, too.
fn run(lint: &Lint<'_>, found: &mut Found) {
    if !super::is_ordinary(lint) {
        return;
    }
    for (step, script) in lint.runs() {
        let calls = script.calls();
        let is_kept = lint.is_kept(step);
        let Some(last) = calls.iter().rfind(|call| installs(call)).filter(|_| is_kept) else { continue };
        let cleans = calls.iter().any(|call| cleans(call));
        if cleans || pip::has_cache(step, &["pkgs", "conda", "mamba"]) {
            continue;
        }
        let fix = cleaning(lint, step, script, last).and_then(|edit| safe("clean in the same RUN", vec![edit]));
        let message = format!("{} leaves its downloads in the layer", last.name);
        found.fixed(lint.place(last.at()), message, format!("add {} clean -afy to this RUN", last.name), fix);
    }
    for image in images::all(lint).filter(|image| image.base_name().starts_with("anaconda")) {
        let Some(step) = lint.steps.get(image.stage.from) else { continue };
        let message = format!("{} has hundreds of packages that nobody asked for", image.name);
        found.add(
            lint.place(step.word(&image.stage.image)),
            message,
            "stand on condaforge/miniforge3 or mambaorg/micromamba",
        );
    }
}

/// The same program once more, at the end of a RUN that is a chain of commands, where it is found as it was before.
fn cleaning(lint: &Lint<'_>, step: &Step<'_>, script: &Script, call: &Call<'_>) -> Option<Edit> {
    let is_chain = |item: &Item| matches!(item.joint, Joint::First | Joint::And) && !item.background;
    let is_line = step.instruction.heredocs.is_empty() && script.list.items.iter().all(is_chain);
    let is_own = !call.context.inner && !call.context.substituted && !call.context.function;
    let is_plain = call.wrapper.is_empty() && call.simple.assignments.is_empty();
    let program = call.words.first().filter(|word| lint.stands(step, word))?.raw.as_str();
    let is_found = program.starts_with('/') || !program.contains('/');
    let end = script.list.at.end;
    (is_line && is_own && is_plain && is_found).then(|| lint.edit(end..end, format!(" && {program} clean -afy")))
}

fn installs(call: &Call<'_>) -> bool {
    let verb = call.operands().next().and_then(|word| word.literal());
    let is_verb = matches!(verb.as_deref(), Some("install" | "create" | "update" | "env"));
    call.is_any(&PROGRAMS) && is_verb && !call.has_any(&["list", "export", "config"])
}

fn cleans(call: &Call<'_>) -> bool {
    let removes = call.is("rm") && call.arguments().iter().any(|word| word.shown().contains("/pkgs"));
    removes || (call.is_any(&PROGRAMS) && call.verb_is("clean"))
}
