//! ML131: compilers in the image that runs.

use corten_diagnostic::{RuleId, Severity};

use super::{ordinary_runs, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML131"),
    name: "build-tools-final",
    severity: Severity::Info,
    what: "The image holds compilers or headers that only building needs.",
    why: "Compilers are some hundred megabytes, and a help to whoever breaks in. Build wheels in a stage of its own, or remove the compilers in the RUN that installs them. What compiles when it runs (torch.compile, Triton, numba with C) needs them.",
    bad: "FROM python:3.12-slim\nRUN apt-get update && apt-get install -y --no-install-recommends gcc=4:14.2.0-1 && rm -rf /var/lib/apt/lists/*\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN apt-get update && apt-get install -y --no-install-recommends libgomp1=14.2.0-19 && rm -rf /var/lib/apt/lists/*\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const TOOLS: [&str; 16] = [
    "gcc",
    "g++",
    "build-essential",
    "cmake",
    "clang",
    "make",
    "ninja-build",
    "python3-dev",
    "libpq-dev",
    "libssl-dev",
    "libffi-dev",
    "gfortran",
    "rustc",
    "cargo",
    "build-base",
    "musl-dev",
];

/// Packages that compile when they run.
const COMPILERS: [&str; 6] = ["triton", "deepspeed", "vllm", "sglang", "numba", "flash-attn"];

fn run(lint: &Lint<'_>, found: &mut Found) {
    let compiles =
        |install: &pip::Install<'_>| install.packages.iter().any(|one| COMPILERS.contains(&one.name.as_str()));
    if lint.file.text().contains("torch.compile") || pip::installs(lint).iter().any(compiles) {
        return;
    }
    for (step, script) in ordinary_runs(lint) {
        let is_kept = lint.is_kept(step);
        let calls = script.calls();
        let is_manager =
            |call: &&crate::shell::Call<'_>| call.is_any(&["apt-get", "apt", "apk", "dnf", "yum", "microdnf"]);
        let removes = calls
            .iter()
            .filter(is_manager)
            .any(|call| call.has_any(&["purge", "remove", "autoremove", "del", "--auto-remove", "erase"]))
            || calls.iter().any(|call| call.has("--virtual") || call.has_flag(&["t"]) && call.is("apk"));
        if !is_kept || removes {
            continue;
        }
        let adds =
            |call: &&crate::shell::Call<'_>| is_manager(call) && call.has_any(&["install", "add", "groupinstall"]);
        let mut words = calls.iter().filter(adds).flat_map(|call| call.arguments());
        let tool = words.find(|word| {
            let text = word.shown();
            TOOLS.contains(&text.split(['=', '/', '<', '>', '~']).next().unwrap_or_default())
        });
        if let Some(tool) = tool {
            let message = format!("{} stays in the image", tool.shown());
            found.add(lint.place(tool.at.clone()), message, "build in a stage of its own, or remove it in this RUN");
        }
    }
}
