//! ML189: a way to become somebody else.

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML189"),
    name: "setuid-file",
    severity: Severity::Warning,
    what: "A program of the image runs with its owner's or group's rights.",
    why: "A service needs none, and every one is a step on an intruder's way to root.",
    bad: "layers = [{ name = 'base', mode = 0o4755 }]",
    good: "layers = [{ name = 'base', mode = 0o755 }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for layer in input.layers {
        for program in layer.set_id {
            let at = Place::File { layer: layer.diff_id, path: program.path.clone() };
            let message = format!("/{} has mode {:04o}", program.path, program.mode);
            found.add(at, message, format!("take the bit away, or leave the program out (layer {})", layer.name));
        }
    }
}
