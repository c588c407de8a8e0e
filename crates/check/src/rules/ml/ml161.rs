//! ML161: weights above the code.

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use corten_diagnostic::{RuleId, Severity};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML161"),
    name: "weights-in-app-layer",
    severity: Severity::Warning,
    what: "Weights are copied after the source.",
    why: "Every change of a line makes all later layers anew: gigabytes of weights to copy, push and pull that are the same as before. Copy weights first, or mount them when it starts.",
    bad: "FROM python:3.12-slim\nCOPY src /app/src\nCOPY model.safetensors /app/\nUSER 1000\n",
    good: "FROM python:3.12-slim\nCOPY model.safetensors /app/\nCOPY src /app/src\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const EXTENSIONS: [&str; 9] = ["safetensors", "gguf", "onnx", "pt", "pth", "ckpt", "h5", "keras", "tflite"];
const FOLDERS: [&str; 4] = ["checkpoints", "weights", "models", "checkpoint"];
const SOURCE: [&str; 6] = ["src", "app", ".", "./", "*.py", "lib"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    for stage in lint.stages.iter().filter(|stage| lint.is_in_image(stage)) {
        let mut source = None;
        for step in lint.steps_of(stage) {
            let Some(copy) = step.copy() else { continue };
            let weights = copy.paths().find(|word| copy.from.is_none() && is_weights(&word.text));
            if let (Some(word), Some(line)) = (weights, source) {
                let message =
                    format!("{} lies above the source of line {line}: a change there makes it anew", word.text);
                found.add(lint.place(step.word(word)), message, "copy the weights before the source");
            }
            if source.is_none() && copy.from.is_none() && copy.paths().any(|word| is_source(&word.text)) {
                source = Some(lint.span(step.at()).position().0);
            }
        }
    }
}

fn is_weights(path: &str) -> bool {
    let bare = path.trim_end_matches('/');
    let name = bare.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension)) || FOLDERS.contains(&name)
}

fn is_source(path: &str) -> bool {
    SOURCE.contains(&path.trim_end_matches('/')) || path.ends_with(".py") || path == "./"
}
