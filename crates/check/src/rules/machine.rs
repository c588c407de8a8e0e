//! ML194: a program for another processor.

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML194"),
    name: "other-processor",
    severity: Severity::Error,
    what: "A program or library of the image is for another processor than the image.",
    why: "It cannot be started or loaded there: the service ends with `Exec format error` or an ImportError.",
    bad: "layers = [{ name = 'app', machine = 'amd64' }]",
    good: "layers = [{ name = 'app' }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for layer in input.layers {
        for file in layer.foreign {
            let at = Place::File { layer: layer.diff_id, path: file.path.clone() };
            let message = format!("/{} is for {}, the image for {}", file.path, file.machine, file.image);
            found.add(
                at,
                message,
                format!("leave it out, or take one that is for {} (layer {})", file.image, layer.name),
            );
        }
    }
}
