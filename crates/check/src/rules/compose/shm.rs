//! ML171: shared memory for one picture.

use corten_diagnostic::{RuleId, Severity};
use std::ops::Range;

use corten_frontend::yaml::Node;

use super::services;
use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML171"),
    name: "compose-shm",
    severity: Severity::Warning,
    what: "A service that uses workers or several GPUs has no shared memory of its own size.",
    why: "Docker gives /dev/shm 64 MB. PyTorch's DataLoader hands batches over through it, NCCL buffers between GPUs: the run ends in \"Bus error\" after minutes or hours. shm_size takes no memory that is not used. The fix gives 8 GB; ipc: host is the other way, and shares the host's.",
    bad: "services:\n  train:\n    image: train:1\n    command: torchrun --nproc-per-node 2 train.py\n",
    good: "services:\n  train:\n    image: train:1\n    command: torchrun --nproc-per-node 2 train.py\n    shm_size: 8gb\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

fn run(compose: &Compose<'_>, found: &mut Found) {
    for (name, service) in compose.services() {
        let Some((at, why)) = needs(service).filter(|_| !has_shared_memory(service)) else { continue };
        let message = format!("service {name} {why}, and has 64 MB of shared memory");
        let fix = services::insertion(compose, service, "shm_size: 8gb")
            .and_then(|edit| unsafe_fix("give it 8 GB", vec![edit]));
        found.fixed(compose.place(at), message, "add shm_size: 8gb, or ipc: host", fix);
    }
}

/// Where it says that it shares memory, and how.
fn needs(service: &Node) -> Option<(Range<usize>, &'static str)> {
    let started = ["command", "entrypoint"].into_iter().filter_map(|key| service.get(key));
    for (text, node) in started.flat_map(Node::texts) {
        let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter == '=').collect();
        let starts =
            words.iter().any(|word| ["torchrun", "deepspeed", "accelerate", "torch.distributed.run"].contains(word));
        if starts {
            return Some((node.at.clone(), "starts several processes"));
        }
        let workers = words.windows(2).any(|two| {
            ["--num-workers", "--num_workers", "--workers"].contains(&two[0])
                && two[1].parse::<u32>().is_ok_and(|count| count > 0)
        });
        if workers && text.contains("train") {
            return Some((node.at.clone(), "starts workers"));
        }
    }
    let devices = services::devices(service);
    devices.iter().find(|one| one.count.is_none_or(|count| count > 1)).map(|one| (one.at.clone(), "uses several GPUs"))
}

fn has_shared_memory(service: &Node) -> bool {
    let mounts = ["tmpfs", "volumes"].into_iter().filter_map(|key| service.get(key));
    let on_it = mounts.flat_map(Node::items).any(|one| {
        one.as_text().is_some_and(|text| text.contains("/dev/shm")) || one.text_of("target") == Some("/dev/shm")
    });
    let shares = service.text_of("ipc").is_some_and(|ipc| !["private", "none", ""].contains(&ipc));
    service.get("shm_size").is_some() || shares || on_it
}
