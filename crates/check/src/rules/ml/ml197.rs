//! ML197: a search path that hides libraries.

use corten_diagnostic::{RuleId, Severity};

use super::images;
use crate::lint::DefinitionKind;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML197"),
    name: "ld-library-path",
    severity: Severity::Warning,
    what: "LD_LIBRARY_PATH drops what the image had set, or has an empty part.",
    why: "NVIDIA's images set it to the folders where the driver's libraries come in; without $LD_LIBRARY_PATH they are not found any more. An empty part (`:` at an end, or a variable that nobody set) means the folder one is in: libraries are loaded from there. Wheels find their own libraries without it.",
    bad: "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nENV LD_LIBRARY_PATH=/opt/lib\nUSER 1000\n",
    good: "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nENV LD_LIBRARY_PATH=/opt/lib:$LD_LIBRARY_PATH\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let all = lint.definitions().iter().filter(|one| one.name == "LD_LIBRARY_PATH" && one.kind == DefinitionKind::Env);
    for one in all {
        let (Some(written), Some(step)) = (one.written.as_deref(), lint.steps.get(one.step)) else { continue };
        let written = written.trim_matches(['"', '\'']);
        let keeps = written.contains("$LD_LIBRARY_PATH") || written.contains("${LD_LIBRARY_PATH");
        let is_set = lint.definition(step, "LD_LIBRARY_PATH").is_some();
        let image = images::under(lint, step);
        let brings = image.as_ref().is_some_and(|image| image.cuda().is_some());
        let at = lint.place(one.name_at.clone());
        if !keeps && brings && !is_set {
            let help = format!("write LD_LIBRARY_PATH={written}:$LD_LIBRARY_PATH");
            found.add(at, "what the image had set is dropped: the driver's libraries are not found", help);
        } else if written.starts_with(':') || written.ends_with(':') || written.contains("::") {
            found.add(at, "an empty part means the folder one is in", "leave the empty part out");
        } else if keeps && !is_set && image.is_some() && !brings && !written.contains(":+") && !written.contains(":-") {
            let help = "write ${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} behind the folder";
            found.add(at, "where nobody has set it, an empty part means the folder one is in", help);
        }
    }
}
