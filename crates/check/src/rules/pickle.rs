//! ML191: a model that is a program.

use std::path::PathBuf;

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML191"),
    name: "weights-run-code",
    severity: Severity::Warning,
    what: "A model's file is a pickle, or holds one: loading it runs whatever code was put into it.",
    why: "Whoever can change the file, or has made it, runs code with the service's rights. Tensors alone cannot.",
    bad: "files = [{ path = 'model.pkl', weight = true, runs-code = true }]",
    good: "files = [{ path = 'model.safetensors', weight = true }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for file in input.files.iter().filter(|file| file.runs_code) {
        let message = format!("'{}' is a pickle: loading it runs code that it brings along", file.path);
        let help = "save it as safetensors, ONNX or skops; else load it with torch.load(…, weights_only=True), and only from a source that you trust";
        found.add(Place::Source(PathBuf::from(file.path)), message, help);
    }
}
