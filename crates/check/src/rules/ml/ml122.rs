//! ML122: gigabytes and kilobytes in one layer.

use corten_diagnostic::{RuleId, Severity};

use super::{pip, tables};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML122"),
    name: "heavy-light-mixed",
    severity: Severity::Info,
    what: "A framework and packages of the app are installed by one command.",
    why: "They are one layer: a new version of fastapi brings torch's gigabytes again, to make, to push and to pull. Tiers (frameworks first, then what changes) keep them apart. Two commands may resolve otherwise than one: give both the same lock or constraints. With uv and a cache mount the installing is cheap, the layer is not.",
    bad: "FROM python:3.12-slim\nRUN pip install --no-cache-dir torch==2.9.1 fastapi==0.121.0\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN pip install --no-cache-dir torch==2.9.1\nRUN pip install --no-cache-dir fastapi==0.121.0\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for install in pip::installs(lint) {
        let is_kept = lint.is_kept(install.step);
        let named = || install.packages.iter().filter(|package| package.kind == pip::Kind::Named);
        let heavy = named().find(|package| tables::is_heavy(&package.name));
        let light =
            named().find(|package| !tables::is_heavy(&package.name) && !FAMILY.contains(&package.name.as_str()));
        if let (true, Some(heavy), Some(light)) = (is_kept, heavy, light) {
            let message = format!("{} and {} become one layer", heavy.name, light.name);
            let help = format!("install {} by a RUN of its own, before what changes more often", heavy.name);
            found.add(lint.place(install.call.at()), message, help);
        }
    }
}

/// What changes with a framework, or builds.
const FAMILY: [&str; 10] = [
    "torchtext",
    "torchdata",
    "torch-geometric",
    "nvidia-pyindex",
    "numpy",
    "scipy",
    "pip",
    "setuptools",
    "wheel",
    "ninja",
];
