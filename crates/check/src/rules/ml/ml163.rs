//! ML163: a model that may be another tomorrow.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::lint::Step;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::Call;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML163"),
    name: "unpinned-model",
    severity: Severity::Warning,
    what: "A model is fetched without saying which revision.",
    why: "The branch main is whatever was pushed last: the same Dockerfile gives another model, and whoever takes over the repository gives you theirs. A commit (--revision, revision=…) or a checksum names one.",
    bad: "FROM python:3.12-slim\nRUN hf download org/model --local-dir /models\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN hf download org/model --revision 8a1b2c3d --local-dir /models\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, call) in lint.calls() {
        let said = match call.name.as_ref() {
            "hf" | "huggingface-cli" if call.verb_is("download") && !call.has_flag(&["revision"]) => {
                Some(("the model is whatever was pushed last", "add --revision with a commit"))
            }
            "git" if call.has("clone") && is_hub(&call) && !checks_out(step) => {
                Some(("the model is whatever was pushed last", "check out a commit after cloning"))
            }
            "curl" | "wget" if fetches_weights(&call) && !step.line().text.contains("sha256sum") => Some((
                "weights are fetched without a checksum",
                "ADD --checksum=sha256:… URL, or compare with sha256sum",
            )),
            name if name.starts_with("python") && loads(&call) => {
                Some(("the model is whatever was pushed last", "add revision= with a commit"))
            }
            _ => None,
        };
        if let Some((message, help)) = said {
            found.add(lint.place(call.at()), message, help);
        }
    }
}

fn is_hub(call: &Call<'_>) -> bool {
    call.arguments().iter().any(|word| word.shown().starts_with("https://huggingface.co/"))
}

fn checks_out(step: &Step<'_>) -> bool {
    step.line().text.contains("checkout") || step.line().text.contains("reset --hard")
}

fn fetches_weights(call: &Call<'_>) -> bool {
    let ends = [".safetensors", ".pt", ".pth", ".gguf", ".onnx", ".ckpt", ".h5", "pytorch_model.bin"];
    call.arguments().iter().any(|word| {
        let text = word.shown();
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let is_pinned = text.contains("/resolve/") && !text.contains("/resolve/main/");
        text.contains("://") && ends.iter().any(|end| path.ends_with(end)) && !is_pinned
    })
}

/// `python -c "… from_pretrained('x') …"`.
fn loads(call: &Call<'_>) -> bool {
    call.arguments().iter().any(|word| {
        let text = word.shown();
        let fetches = text.contains("from_pretrained(")
            || text.contains("snapshot_download(")
            || text.contains("hf_hub_download(");
        fetches && !text.contains("revision")
    })
}
