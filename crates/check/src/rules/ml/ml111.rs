//! ML111: what conda leaves behind.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::{Call, Joint};

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
        let is_kept = lint.stage_of(step).is_some_and(|stage| lint.is_in_image(stage));
        let Some(last) = calls.iter().rfind(|call| installs(call)).filter(|_| is_kept) else { continue };
        let cleans = calls.iter().any(|call| cleans(call));
        if cleans || pip::has_cache(step, &["pkgs", "conda", "mamba"]) {
            continue;
        }
        let end = script.list.at.end;
        let is_chain = script.list.items.iter().all(|item| matches!(item.joint, Joint::First | Joint::And));
        let is_line = step.instruction.heredocs.is_empty() && is_chain;
        let text = format!(" && {} clean -afy", last.name);
        let fix = if is_line { safe("clean in the same RUN", vec![lint.edit(end..end, text)]) } else { None };
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

fn installs(call: &Call<'_>) -> bool {
    let verb = call.operands().next().and_then(|word| word.literal());
    let is_verb = matches!(verb.as_deref(), Some("install" | "create" | "update" | "env"));
    call.is_any(&PROGRAMS) && is_verb && !call.has_any(&["list", "export", "config"])
}

fn cleans(call: &Call<'_>) -> bool {
    let removes = call.is("rm") && call.arguments().iter().any(|word| word.shown().contains("/pkgs"));
    removes || (call.is_any(&PROGRAMS) && call.verb_is("clean"))
}
