//! ML178: a GPU that is not reserved.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::yaml::Node;

use super::services;
use crate::lint::Compose;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML178"),
    name: "compose-gpu-missing",
    severity: Severity::Warning,
    what: "A service that wants a GPU reserves none.",
    why: "Compose brings in no device by itself: the container starts, and falls back to the CPU or fails with \"no CUDA-capable device\". Variables like CUDA_VISIBLE_DEVICES only choose among GPUs that are there.",
    bad: "services:\n  llm:\n    image: vllm/vllm-openai:v0.11.0\n    ipc: host\n",
    good: "services:\n  llm:\n    image: vllm/vllm-openai:v0.11.0\n    ipc: host\n    gpus: all\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Compose(run),
};

const IMAGES: [&str; 6] = [
    "nvidia/cuda",
    "nvcr.io/nvidia",
    "vllm/vllm-openai",
    "pytorch/pytorch",
    "huggingface/text-generation-inference",
    "rocm/",
];

fn run(compose: &Compose<'_>, found: &mut Found) {
    for (name, service) in compose.services() {
        let has_device = service
            .get("devices")
            .map(Node::texts)
            .unwrap_or_default()
            .iter()
            .any(|(device, _)| ["nvidia", "/dev/kfd", "/dev/dri"].iter().any(|known| device.contains(known)));
        let reserves = !services::devices(service).is_empty() || service.get("gpus").is_some() || has_device;
        if reserves || service.text_of("runtime") == Some("nvidia") {
            continue;
        }
        let image = service.get("image").filter(|node| {
            let text = node.as_text().unwrap_or_default();
            IMAGES.iter().any(|known| text.starts_with(known)) && !text.contains("cpu")
        });
        let is_on = |value: Option<&str>| !value.is_none_or(|value| ["", "none", "void", "-1"].contains(&value));
        let names = ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"];
        let variable = services::environment(service)
            .into_iter()
            .find(|one| names.contains(&one.name.as_str()) && is_on(one.value.as_deref()));
        let at = image.map(|node| node.at.clone()).or(variable.map(|one| one.at));
        if let Some(at) = at {
            let help = "reserve devices below deploy.resources.reservations, or write gpus: all";
            found.add(compose.place(at), format!("service {name} wants a GPU and reserves none"), help);
        }
    }
}
