//! ML106: two majors of CUDA.

use corten_diagnostic::{RuleId, Severity};

use super::{images, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML106"),
    name: "cuda-mix",
    severity: Severity::Error,
    what: "Wheels are for another major version of CUDA than the image.",
    why: "Libraries of CUDA 12 and 13 (or 11) in one process do not fit: what was compiled here against the one finds symbols of the other. Minor versions within a major fit, so 12.1 beside 12.4 is no mistake.",
    bad: "FROM nvidia/cuda:11.8.0-runtime-ubuntu22.04\nRUN pip install --no-cache-dir torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128\nUSER 1000\n",
    good: "FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04\nRUN pip install --no-cache-dir torch==2.9.1 --index-url https://download.pytorch.org/whl/cu128\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for install in pip::installs(lint) {
        let Some(image) = images::under(lint, install.step) else { continue };
        let Some(has) = image.cuda().flatten().as_deref().and_then(major) else { continue };
        let indexes = install.indexes(lint);
        let of_index = indexes.iter().find_map(|index| wheels(index.trim_end_matches('/').rsplit('/').next()?));
        let of_package = install.packages.iter().find_map(|one| wheels(one.version.split_once('+')?.1));
        if let Some(wants) = of_package.or(of_index).filter(|wants| *wants != has) {
            let message = format!("wheels for CUDA {wants} are installed on {}, which has CUDA {has}", image.name);
            let help =
                format!("take an image of CUDA {wants}, or wheels for CUDA {has}; minor versions need not be the same");
            found.add(lint.place(install.call.at()), message, help);
        }
    }
}

fn major(version: &str) -> Option<u32> {
    let number: u32 = version.split('.').next()?.parse().ok()?;
    // `cu118` in a tag has no dots.
    Some(if number >= 100 { number / 10 } else { number })
}

/// The major version of `cu128`, `cu118`.
fn wheels(text: &str) -> Option<u32> {
    major(text.strip_prefix("cu").filter(|rest| rest.len() == 3)?)
}
