//! ML196: the driver of another machine.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML196"),
    name: "cuda-compat-path",
    severity: Severity::Warning,
    what: "The folder of CUDA's compatibility libraries is put into the search path for all.",
    why: "The folder /usr/local/cuda/compat has a libcuda.so for datacenter GPUs with an older driver. On a GeForce it ends in error 804 (forward compatibility was attempted on non supported HW), on a newer driver it takes the place of the right one. NVIDIA's container toolkit switches it in by itself where it fits: it only has to be there.",
    bad: "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nRUN ldconfig /usr/local/cuda/compat\nUSER 1000\n",
    good: "FROM nvidia/cuda:12.8.1-base-ubuntu24.04\nRUN ldconfig\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let help = "leave it out: the container toolkit switches the libraries in where they fit";
    let is_compat =
        |text: &str| text.contains("/cuda") && text.split(['/', ':', ' ', '"']).any(|part| part == "compat");
    for (_, call) in lint.calls() {
        let is_loader = call.is("ldconfig") && call.arguments().iter().any(|word| is_compat(&word.shown()));
        let is_written = call.is_any(&["echo", "printf"])
            && lint.text(call.simple.at.clone()).contains("compat")
            && call.arguments().iter().any(|word| is_compat(&word.shown()));
        if is_loader || is_written {
            found.add(lint.place(call.at()), "CUDA's compatibility libraries are loaded on every machine", help);
        }
    }
    for one in lint.definitions().iter().filter(|one| one.name == "LD_LIBRARY_PATH") {
        if one.written.as_deref().is_some_and(is_compat) {
            found.add(
                lint.place(one.name_at.clone()),
                "CUDA's compatibility libraries are loaded on every machine",
                help,
            );
        }
    }
}
