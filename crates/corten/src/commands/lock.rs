//! `corten lock`.

use std::collections::BTreeSet;

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::build::{Relocked, lock};
use corten_flow::upgrade::PackageChange;
use serde::Serialize;

use super::{plan_options, result};
use crate::args::{self, Format};
use crate::render::print;

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    changes: &'a [String],
    /// Of `--upgrade-base`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    packages: &'a [PackageChange],
}

/// Renews the pins of corten.lock; prints what changed, one line each.
pub fn run(arguments: &args::Lock, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let mut options = plan_options(&arguments.project)?;
    options.upgrade_base = arguments.upgrade_base;
    let locked = lock(&arguments.project.folder, &options, world)?;
    if locked.changes.is_empty() {
        world.events.note("corten.lock is up to date");
    }
    match format {
        Format::Text => lines(&locked).iter().try_for_each(|line| print(line))?,
        _ => {
            let shape = Shape { changes: &locked.changes, packages: &locked.packages };
            result(format, &shape, String::new)?;
        }
    }
    Ok(0)
}

fn lines(locked: &Relocked) -> Vec<String> {
    let packages = &locked.packages;
    if packages.is_empty() {
        return locked.changes.clone();
    }
    let platforms: BTreeSet<&str> = packages.iter().map(|change| change.platform.as_str()).collect();
    let line = |change: &PackageChange| {
        let platform = if platforms.len() > 1 { format!("{}  ", change.platform) } else { String::new() };
        format!("{platform}{}", one(change))
    };
    // The order of the archive says nothing; what is urgent comes first.
    let mut sorted: Vec<&PackageChange> = packages.iter().collect();
    sorted.sort_by_key(|change| (!change.security, named(change).is_empty(), &change.name, &change.platform));
    sorted.into_iter().map(line).chain([summary(packages)]).collect()
}

fn named(change: &PackageChange) -> &[String] {
    change.vulnerabilities.as_deref().unwrap_or_default()
}

fn one(change: &PackageChange) -> String {
    let PackageChange { name, from, to, security, .. } = change;
    let versions = match (from, to) {
        (Some(from), Some(to)) => format!("{name} {from} → {to}"),
        (None, Some(to)) => format!("{name} {to} comes in"),
        (_, None) => format!("{name} goes"),
    };
    let security = if *security { "  security" } else { "" };
    match named(change) {
        [] => format!("{versions}{security}"),
        all => format!("{versions}{security}  {}", all.join(" ")),
    }
}

/// How many, and who says so.
fn summary(packages: &[PackageChange]) -> String {
    let security = packages.iter().filter(|change| change.security).count();
    let all: BTreeSet<&String> = packages.iter().flat_map(named).collect();
    let from = match all.len() {
        0 => String::new(),
        count => format!("; the changelogs in the new packages name {count} CVEs"),
    };
    format!("{} packages change, {security} of them by updates of the security suite{from}", packages.len())
}
