//! ML184: larger than somebody has decided.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, amount, place};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML184"),
    name: "over-budget",
    severity: Severity::Error,
    what: "The image is larger than 'check.size' allows.",
    why: "Images grow by accident: one dependency too many costs seconds at every start on a new machine.",
    bad: "size = 10_000_000\nlayers = [{ name = 'base', size = 8_000_000 }, { name = 'app', size = 3_000_000 }]",
    good: "size = 11_000_000\nlayers = [{ name = 'base', size = 8_000_000 }, { name = 'app', size = 3_000_000 }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let Some(budget) = &input.budget else { return };
    let size = input.layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    if size <= budget.bytes {
        return;
    }
    let mut layers: Vec<_> = input.layers.iter().collect();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
    let largest: Vec<_> = layers.iter().take(3).map(|layer| format!("{} {}", layer.name, amount(layer.size))).collect();
    let message = format!("the image has {}, {} are allowed", amount(size), amount(budget.bytes));
    found.add(place(budget.at.as_ref()), message, format!("the largest layers are {}", largest.join(", ")));
}
