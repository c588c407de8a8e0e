//! ML161: weights among the source.

use std::path::PathBuf;

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run, amount};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML161"),
    name: "weights-in-app-layer",
    severity: Severity::Warning,
    what: "A file of weights, or one over 50 MB, lies in the layer of the app's source.",
    why: "That layer is made, sent and pulled again with every change of a line; a layer of weights is not.",
    bad: "files = [{ path = 'model.safetensors', size = 4_000_000 }]",
    good: "files = [{ path = 'model.safetensors', size = 4_000_000, weight = true }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

/// Bytes.
const LARGE: u64 = 50_000_000;
/// Below it, weights do not weigh.
const SMALL: u64 = 1_000_000;

const EXTENSIONS: [&str; 10] = ["safetensors", "gguf", "onnx", "pt", "pth", "ckpt", "h5", "keras", "tflite", "joblib"];

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let is_weights = |path: &str| path.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension));
    for file in input.files.iter().filter(|file| !file.weight) {
        if file.size > LARGE || (file.size > SMALL && is_weights(file.path)) {
            let message = format!("'{}' ({}) lies in the layer of the app's source", file.path, amount(file.size));
            let help = format!("name it in the settings, weights = [\"{}\"], or ignore it", file.path);
            found.add(Place::Source(PathBuf::from(file.path)), message, help);
        }
    }
}
