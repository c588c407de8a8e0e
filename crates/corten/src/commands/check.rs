//! `corten check`.

use corten_diagnostic::{Finding, Report};
use corten_flow::build::{BuildOptions, build};
use corten_flow::{World, check};
use serde::Serialize;

use super::{plan_options, result};
use crate::args::{self, Format};
use crate::render::{error, say};

#[derive(Serialize)]
struct Shape<'a> {
    passed: bool,
    findings: &'a [Finding],
}

/// Builds, and says what the rules find; status 1 where the policy denies it.
pub fn run(arguments: &args::Check, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let options = BuildOptions { plan: plan_options(&arguments.project)?, no_cache: false };
    let outcome = build(&arguments.project.folder, &options, world)?;
    let verdict = check::verdict(&outcome, world)?;
    if format == Format::Text {
        verdict.findings().iter().for_each(|finding| say(&error::finding(finding)));
    }
    let shape = Shape { passed: verdict.passed(), findings: verdict.findings() };
    result(format, &shape, || match (verdict.findings().len(), verdict.denied().len()) {
        (0, _) => "no findings".to_owned(),
        (all, denied) => format!("{all} findings, {denied} denied"),
    })?;
    Ok(u8::from(!verdict.passed()))
}
