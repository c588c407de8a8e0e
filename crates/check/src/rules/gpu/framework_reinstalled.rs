//! ML128: the base has a framework that the project installs in another version.

use corten_diagnostic::{RuleId, Severity};

use super::of_fit;
use crate::CheckInput;
use crate::rules::{Found, Initially, Rule, Run};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("ML128"),
    name: "framework-reinstalled",
    severity: Severity::Warning,
    what: "The base has a framework that the project installs in another version.",
    why: "Both copies are in the image, and what the base was tested with is not what runs.",
    bad: "gpu = { lock = ['torch 2.9.1', 'nvidia-cuda-runtime-cu12 12.8.90'], reinstalled = 'torch 2.9.1, and 2.8.0 in the base' }",
    good: "gpu = { lock = ['torch 2.9.1', 'nvidia-cuda-runtime-cu12 12.8.90'] }",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    of_fit(input, &RULE, found);
}
