//! The checklist of an image that comes from a lock.

use std::path::Path;

use corten_check::Policy;
use corten_diagnostic::{Finding, Report};
use corten_oci::ContainerConfig;
use corten_plan::Op;

use super::{Fact, Readiness, Requirements, amount, answered, no, unknown, yes};
use crate::bases::BASES;
use crate::build::{Outcome, plan_each};
use crate::check;
use crate::look::{Ask, ReferrerKind, Wanted, find, inspect};
use crate::plan::{PlanOptions, Planned};
use crate::tags::Origin;
use crate::world::World;

/// Answers from a plan; where the image of the same version is in the store, also from that.
///
/// # Errors
/// As a plan.
pub fn native(folder: &Path, options: &PlanOptions, strict: bool, world: &World<'_>) -> Result<Readiness, Report> {
    let all = plan_each(folder, options, world)?;
    let Some(planned) = all.first() else { return Err(corten_diagnostic::Failure::bug("there is no platform").into()) };
    let findings = check::of_plan(planned, world)?;
    let size = match last(planned, world) {
        Some(last) => last,
        None => estimate(planned),
    };
    whole(planned, findings, size, strict)
}

/// Answers once it is built.
///
/// # Errors
/// World where the store cannot be read.
pub fn built(outcome: &Outcome, findings: Vec<Finding>, strict: bool) -> Result<Readiness, Report> {
    let bytes = outcome.built.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.layer.blob.size));
    let size = format!("{} compressed, in {} layers", amount(bytes), outcome.built.layers.len());
    let facts = vec![
        yes("size", size),
        yes("digest", format!("{} (`corten ship` writes it into the release)", outcome.root().digest)),
        unknown("sbom", "`ship` writes it with the image", "corten ship"),
    ];
    whole(&outcome.planned, findings, facts, strict)
}

/// `measured`: size, digest, sbom.
fn whole(planned: &Planned, findings: Vec<Finding>, measured: Vec<Fact>, strict: bool) -> Result<Readiness, Report> {
    let settings = &planned.project.settings;
    let requirements = Requirements {
        policy: Policy::of(&settings.check)?,
        points: settings.check.require.iter().map(|point| point.value.clone()).collect(),
        strict,
    };
    let mut facts = facts(planned);
    facts.extend(measured);
    let subject = format!("native: layers from {}", planned.project.lock_name());
    Ok(answered(subject, facts, findings, &requirements))
}

/// The config that the image will have.
pub fn config(planned: &Planned) -> Option<&ContainerConfig> {
    planned.plan.steps.iter().rev().find_map(|step| match &step.op {
        Op::Image(spec) => Some(&spec.config),
        _ => None,
    })
}

fn facts(planned: &Planned) -> Vec<Fact> {
    let files = planned.app.len() + planned.weights.len();
    let config = config(planned).cloned().unwrap_or_default();
    let packages = planned.packages.wheels.len() + planned.packages.builds.len();
    vec![
        yes(
            "stages",
            "native: nothing runs in the image while it is made, so no compiler, installer or cache is left in it",
        ),
        yes("user", format!("the config says {}", config.user)),
        health(planned, &config),
        tags(planned),
        base(planned),
        yes("cache", "each large wheel has its own layer, and the code the last"),
        yes(
            "secrets",
            format!("no name among {files} files is a secret's, and nothing of the environment is built in"),
        ),
        data(planned),
        yes("lock", format!("{packages} packages of {}, each by version and hash", planned.project.lock_name())),
        yes("python", format!("{} of {}", planned.python.full_version, planned.base.name())),
        licences(planned),
    ]
}

fn health(planned: &Planned, config: &ContainerConfig) -> Fact {
    match (&config.healthcheck, planned.start.web) {
        (Some(check), _) => {
            let seconds = check.interval.unwrap_or_default() / 1_000_000_000;
            yes("health", format!("asked every {seconds} s by the image's own Python"))
        }
        (None, false) => yes("health", "a job: whoever started it sees how it ended"),
        (None, true) => no("health", "it listens, and nothing asks it", "healthcheck = { path = \"/health\" }"),
    }
}

fn tags(planned: &Planned) -> Fact {
    let version = &planned.version;
    if version.starts_with("0+") || version == "unknown" {
        return no(
            "tags",
            format!("the version is {version}: none stands anywhere"),
            "version = \"0.1.0\" in the settings",
        );
    }
    match planned.origin() {
        Origin::Clean(commit) => {
            let short = commit.short();
            yes("tags", format!("`ship` gives {version}, {version}-DATE-{short} and sha-{short}"))
        }
        Origin::Dirty(_) => {
            let first = planned.dirty.first().cloned().unwrap_or_default();
            let evidence = format!("{first} differs from the commit, so the only tag would be {version}-dev-…");
            no("tags", evidence, "git commit")
        }
        Origin::Folder => {
            no("tags", format!("no commit: the tags would be {version} and sha-local"), "git init && git commit")
        }
    }
}

fn base(planned: &Planned) -> Fact {
    let name = planned.base.name();
    match (&planned.new_lock, &planned.base.image) {
        (Some(_), _) => no("base", format!("corten.lock does not pin {name} as it would be taken now"), "corten lock"),
        (None, Some(image)) => yes("base", format!("{name} is {} in corten.lock", image.digest)),
        (None, None) => {
            let count = planned.base.debs.len();
            yes("base", format!("{name}: {count} Debian packages in corten.lock, each by version and hash"))
        }
    }
}

fn data(planned: &Planned) -> Fact {
    let bytes =
        |files: &[corten_plan::SourceFile]| files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size));
    let app = format!("{} files of code, {}", planned.app.len(), amount(bytes(&planned.app)));
    match planned.models_in_app().first() {
        Some(model) => {
            let mend = format!("weights = [\"{}\"]", model.path);
            no("data", format!("{} ({}) lies among the code", model.path, amount(model.size)), mend)
        }
        None if planned.weights.is_empty() => yes("data", app),
        None => {
            let weights = format!("{} of weights in a layer of their own", amount(bytes(&planned.weights)));
            yes("data", format!("{app}; {weights}"))
        }
    }
}

fn licences(planned: &Planned) -> Fact {
    let check = &planned.project.settings.check;
    if check.licences.is_none() {
        return unknown(
            "licences",
            "the settings name no policy",
            "[check.licences] allow = [\"MIT\", \"Apache-2.0\", …]",
        );
    }
    yes("licences", "no package whose licence is known breaks the policy")
}

/// The image of this version that was built last.
fn last(planned: &Planned, world: &World<'_>) -> Option<Vec<Fact>> {
    let name = format!("{}:{}", planned.project.settings.name.value, planned.version.replace('+', "_"));
    let reference: corten_oci::Reference = name.parse().ok()?;
    world.store.image(&reference).ok()??;
    let found = find(&Wanted { name: &name, ask: Ask::StoreFirst }, &planned.registry, world).ok()?;
    let seen = inspect(&found, None).ok()?;
    let view = seen.image.as_ref()?;
    let sbom = seen.referrers.iter().any(|referrer| referrer.kind == ReferrerKind::Sbom);
    let last = format!("as {name} was built last");
    Some(vec![
        yes("size", format!("{} compressed, in {} layers, {last}", amount(view.size()), view.layers.len())),
        yes("digest", format!("{}, {last}", seen.digest)),
        match sbom {
            true => yes("sbom", format!("SPDX, {last}: `corten sbom {name}`")),
            false => unknown("sbom", format!("none hangs on {name}; `ship` writes it"), "corten ship"),
        },
    ])
}

fn estimate(planned: &Planned) -> Vec<Fact> {
    let base = BASES.iter().find(|base| base.reference == planned.base.reference);
    let base = base.and_then(|base| base.variants.iter().find(|variant| variant.name == planned.base.variant.name()));
    let mut bytes = base.map_or(0, |variant| variant.size.0);
    let wheels = planned.packages.wheels.iter().map(|wheel| wheel.size);
    let files = planned.app.iter().chain(&planned.weights).map(|file| file.size);
    bytes = wheels.chain(files).fold(bytes, u64::saturating_add);
    let about = format!("about {}: the base, {} wheels and the files", amount(bytes), planned.packages.wheels.len());
    let size = match &planned.project.settings.check.size {
        Some(budget) if bytes > budget.value => {
            no("size", format!("{about}; the budget is {}", amount(budget.value)), "corten plan")
        }
        Some(budget) => yes("size", format!("{about}; the budget is {}", amount(budget.value))),
        None => {
            unknown("size", format!("{about}; no budget is set"), "[check] size = \"500MB\", or corten check --build")
        }
    };
    vec![
        size,
        unknown("digest", "not built yet", "corten ship"),
        unknown("sbom", "`ship` writes it with the image", "corten ship"),
    ]
}
