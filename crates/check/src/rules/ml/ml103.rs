//! ML103: packages without wheels for musl.

use corten_diagnostic::{RuleId, Severity};
use corten_package::pep440::Version;

use super::tables::MuslWheels;
use super::{images, pip, tables};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML103"),
    name: "musl-wheels",
    severity: Severity::Warning,
    what: "A package that has no wheel for musl is installed on Alpine.",
    why: "Alpine's C library is musl. Where a package has no musllinux wheel, pip compiles it for minutes or hours, or fails. Many have wheels by now (numpy, pandas, pyarrow): that Alpine breaks Python is no longer true. torch, tensorflow, onnxruntime and others have none.",
    bad: "FROM python:3.12-alpine\nRUN pip install --no-cache-dir torch==2.9.1\nUSER 1000\n",
    good: "FROM python:3.12-alpine\nRUN pip install --no-cache-dir numpy==2.3.5\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for install in pip::installs(lint) {
        if !images::under(lint, install.step).is_some_and(|image| image.is_musl()) {
            continue;
        }
        for package in &install.packages {
            let why = match tables::musl_wheels(&package.name) {
                Some(MuslWheels::Never) => "has no wheel for musl".to_owned(),
                Some(MuslWheels::Since(first)) if is_before(&package.version, first) => {
                    format!("has wheels for musl from {first} on")
                }
                _ => continue,
            };
            let message = format!("{} {why}: it would be compiled here", package.name);
            found.add(lint.place(package.word.at.clone()), message, "stand on a -slim image, which is Debian's");
        }
    }
}

/// Only an exact version says that it is too old.
fn is_before(version: &str, first: &str) -> bool {
    let exact = version.strip_prefix("==").map(str::trim);
    let parse = |text: &str| text.parse::<Version>().ok();
    exact.and_then(parse).zip(parse(first)).is_some_and(|(exact, first)| exact < first)
}
