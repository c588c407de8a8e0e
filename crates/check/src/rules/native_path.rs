//! ML195: packages that are installed by running an installer, where their file would be enough.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, amount, place};
use crate::{CheckInput, StepFacts, StepLayer};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML195"),
    name: "native-path",
    severity: Severity::Info,
    what: "Commands of the Dockerfile install the packages of a file that Corten can make layers of.",
    why: "Layers from a lock are made without running anything, the same on every machine, and one that did not change is not made, pushed or pulled again.",
    bad: "steps = [{ name = '[3/4] RUN pip install -r requirements.txt', installs = 'requirements.txt' }]",
    good: "steps = [{ name = '[3/4] RUN pip install wheel' }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    let installing: Vec<&StepFacts> = input.steps.iter().filter(|step| step.installs.is_some()).collect();
    let Some(first) = installing.first() else { return };
    let mut files: Vec<&str> = installing.iter().filter_map(|step| step.installs.as_deref()).collect();
    files.dedup();
    let shipped: Vec<StepLayer> = input.steps.iter().filter_map(|step| step.layer).collect();
    let seconds: f64 = installing.iter().filter_map(|step| step.seconds).sum();
    let mut facts = Vec::new();
    if installing.iter().any(|step| step.seconds.is_some()) {
        facts.push(format!("took {seconds:.1} s"));
    }
    let of = |part: fn(&StepLayer) -> u64| shipped.iter().map(part).fold(0, u64::saturating_add);
    if of(|layer| layer.bytes) > 0 {
        let layers = if shipped.len() == 1 { "one layer".to_owned() } else { format!("{} layers", shipped.len()) };
        facts.push(format!("commands left {layers} of {} in the image", amount(of(|layer| layer.bytes))));
    }
    let parts = [
        ("caches of package managers", of(|layer| layer.caches)),
        ("compiled Python", of(|layer| layer.bytecode)),
        ("compilers", of(|layer| layer.compilers)),
    ];
    facts.extend(
        parts.into_iter().filter(|(_, bytes)| *bytes > 0).map(|(what, bytes)| format!("{} of {what}", amount(bytes))),
    );
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    found.add(
        place(first.at.as_ref()),
        format!("{}: it installs what {} names{facts}", first.name, files.join(" and ")),
        "corten init --from-dockerfile writes the settings with which layers come from that file, without running anything",
    );
}
