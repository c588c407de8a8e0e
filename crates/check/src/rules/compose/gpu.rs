//! ML172: a reservation of GPUs that fails.

use corten_diagnostic::{RuleId, Severity};

use super::services::{self, Reservation};
use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML172"),
    name: "compose-gpu",
    severity: Severity::Error,
    what: "A reservation of GPUs contradicts itself or lacks what compose demands.",
    why: "Compose refuses a device without capabilities, and one with both count and device_ids. In the container GPUs are numbered from 0, whichever they are on the host: CUDA_VISIBLE_DEVICES=2,3 beside device_ids ['2', '3'] finds none.",
    bad: "services:\n  train:\n    image: train:1\n    shm_size: 8gb\n    deploy:\n      resources:\n        reservations:\n          devices:\n            - driver: nvidia\n              count: 1\n",
    good: "services:\n  train:\n    image: train:1\n    shm_size: 8gb\n    deploy:\n      resources:\n        reservations:\n          devices:\n            - driver: nvidia\n              count: 1\n              capabilities: [gpu]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

fn run(compose: &Compose<'_>, found: &mut Found) {
    for (name, service) in compose.services() {
        let devices = services::devices(service);
        for one in &devices {
            let at = || compose.place(one.at.clone());
            if !one.has_capabilities {
                found.add(at(), format!("the device of service {name} has no capabilities"), "add capabilities: [gpu]");
            }
            if one.has_count && one.has_ids {
                found.add(
                    at(),
                    format!("the device of service {name} has both count and device_ids"),
                    "keep one of them",
                );
            }
        }
        let visible = services::environment(service).into_iter().find(|one| one.name == "CUDA_VISIBLE_DEVICES");
        // With several reservations, or all, nobody knows how many there are.
        let [Reservation { count: Some(count), .. }] = devices.as_slice() else { continue };
        let (Some(visible), count) = (visible, *count) else { continue };
        let highest = visible
            .value
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .filter_map(|one| one.trim().parse::<u64>().ok())
            .max();
        if let Some(highest) = highest.filter(|highest| *highest >= count) {
            let message = format!("CUDA_VISIBLE_DEVICES names GPU {highest}, and service {name} has {count}");
            found.add(compose.place(visible.at), message, "in the container GPUs are numbered from 0: leave it out");
        }
    }
}
