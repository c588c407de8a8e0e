//! ML153: caches that the user cannot write.

use corten_diagnostic::{Fix, RuleId, Severity};

use super::{pip, users};
use crate::lint::{Definition, DefinitionKind, Lint};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML153"),
    name: "cache-dirs",
    severity: Severity::Warning,
    what: "The service is not root, and its caches lie where only root may write.",
    why: "Hugging Face, torch, Triton, numba and matplotlib keep caches below HOME. A user without a home, or a cache below /root, ends in \"Permission denied\" at the first request, or in a model that is fetched at each start.",
    bad: "FROM python:3.12-slim\nENV HF_HOME=/root/.cache/huggingface\nUSER 10001\n",
    good: "FROM python:3.12-slim\nENV HF_HOME=/tmp/huggingface\nUSER 10001\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const VARIABLES: [&str; 12] = [
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "TORCH_HOME",
    "TRITON_CACHE_DIR",
    "NUMBA_CACHE_DIR",
    "MPLCONFIGDIR",
    "XDG_CACHE_HOME",
    "VLLM_CACHE_ROOT",
    "TORCHINDUCTOR_CACHE_DIR",
    "HOME",
];

/// Packages that keep caches.
const KEEPERS: [&str; 8] = [
    "transformers",
    "huggingface-hub",
    "sentence-transformers",
    "diffusers",
    "datasets",
    "vllm",
    "numba",
    "matplotlib",
];

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target() else { return };
    let Some((step, user)) = users::last(lint, target) else { return };
    let Some(name) = lint.expand(step, &user.text).filter(|name| !users::is_root(name)) else { return };
    let of_image = |stage: Option<usize>| {
        stage.and_then(|stage| lint.stages.get(stage)).is_some_and(|stage| lint.is_in_image(stage))
    };
    let mut says = false;
    for one in lint.definitions().iter().filter(|one| one.kind == DefinitionKind::Env && of_image(one.stage)) {
        if VARIABLES.contains(&one.name.as_str()) {
            says = true;
            if one.value.as_deref().is_some_and(|value| value == "/root" || value.starts_with("/root/")) {
                let message = format!("{} lies below /root, where user {name} may not write", one.name);
                let help = "name a folder that the user may write, or a volume";
                found.fixed(lint.place(one.name_at.clone()), message, help, elsewhere(lint, one));
            }
        }
    }
    let keeps = |install: &pip::Install<'_>| install.packages.iter().any(|one| KEEPERS.contains(&one.name.as_str()));
    if !says && users::has_no_home(lint, &name) && pip::installs(lint).iter().any(keeps) {
        let message = format!("user {name} has no home, where models and kernels would be kept");
        let help = "set HF_HOME, XDG_CACHE_HOME and the like to a folder that it may write";
        let at = lint.above(step);
        let line = "ENV HF_HOME=/tmp/huggingface XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/matplotlib\n";
        let fix = unsafe_fix("keep caches in /tmp", vec![lint.edit(at..at, line)]);
        found.fixed(lint.place(step.word(user)), message, help, fix);
    }
}

/// The same below /tmp, which everybody may write: what lies there goes with the container.
fn elsewhere(lint: &Lint<'_>, definition: &Definition) -> Option<Fix> {
    let written = lint.text(definition.value_at.clone());
    let below = written.strip_prefix("/root")?;
    let below = below.strip_prefix("/.cache").unwrap_or(below);
    let path = format!("/tmp{below}");
    unsafe_fix(format!("keep it in {path}"), vec![lint.edit(definition.value_at.clone(), path)])
}
