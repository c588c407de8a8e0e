//! One file for each verb: arguments → settings → one call of flow → rendering.

mod base;
mod base_named;
mod build;
mod check;
mod completions;
mod containers;
mod diff;
mod docker;
mod docker_annotations;
mod docker_attest;
mod docker_build;
mod docker_call;
mod docker_plan;
mod doctor;
mod explain;
mod explain_error;
mod gpu;
mod history;
mod images;
mod init;
mod inspect;
mod lint;
mod lock;
mod login;
mod lsp;
mod plan;
mod prune;
mod pull;
mod push;
mod registry;
mod resolve;
mod rule;
mod run;
mod save;
mod sbom;
mod ship;
mod store;
mod tag;
mod test;

use clap::ArgMatches;
use corten_diagnostic::{Failure, Report};
use corten_flow::gpu::TargetOptions;
use corten_flow::plan::PlanOptions;
use corten_flow::registry::RegistryOptions;
use corten_flow::{ProjectOptions, World};
use corten_frontend::settings::{schema, user_schema};
use corten_oci::{Architecture, Reference};
use serde::Serialize;

use crate::args::{
    Arguments, Command, Format, FrontendArgument, Global, ProjectArguments, RegistryArguments, TargetArguments,
};
use crate::render::print;
use crate::surroundings::Surroundings;

/// Runs the command; the status is 0, or 1 where the answer is no.
pub fn run(arguments: &Arguments, matches: &ArgMatches) -> Result<u8, Report> {
    match &arguments.command {
        Command::Schema(of) => {
            let schema = if of.user { user_schema() } else { schema() };
            print(&format!("{schema:#}"))?;
            return Ok(0);
        }
        Command::Completions(shell) => return completions::run(shell),
        Command::Man(man) => return completions::man(man),
        Command::Doctor(doctor) => return doctor::run(doctor, &arguments.global),
        // These need no store: an editor asks at each key.
        Command::Lint(lint) => return lint::run(lint, &arguments.global),
        Command::Rule(rule) => return rule::run(rule, arguments.global.format),
        Command::Lsp => return lsp::run(),
        Command::Explain(explain) => return explain_error::run(explain, arguments.global.format),
        _ => {}
    }
    // No thread runs yet.
    corten_flow::enter_ranges().map_err(|error| Failure::world(format!("using the ids of /etc/subuid: {error}")))?;
    let surroundings = Surroundings::new(&arguments.global)?;
    let world = surroundings.world();
    let format = arguments.global.format;
    if let Some(project) = arguments.command.project().filter(|project| project.explain_settings) {
        let mut of_command = matches;
        while let Some((_, matches)) = of_command.subcommand() {
            of_command = matches;
        }
        let mut rows = explain::flags(&arguments.global, project, of_command);
        rows.extend(explain::user(&arguments.global, &project.registry, surroundings.user(), of_command));
        return explain::run(project, rows, format, &world);
    }
    let status = dispatch(&arguments.command, &arguments.global, &world)?;
    if arguments.command.fills() {
        corten_flow::prune::cap(&world);
    }
    Ok(status)
}

fn dispatch(command: &Command, global: &Global, world: &World<'_>) -> Result<u8, Report> {
    let format = global.format;
    match command {
        Command::Ship(ship) => ship::run(ship, format, world),
        Command::Build(build) => build::run(build, global, format, world),
        Command::Plan(plan) => plan::run(plan, format, world),
        Command::Init(init) => init::run(init, format, world),
        Command::Base(base) => base::run(base, format, world),
        Command::Lock(lock) => lock::run(lock, format, world),
        Command::Check(check) => check::run(check, format, world),
        Command::Test(of) => test::run(of, global, world),
        Command::Sbom(sbom) => sbom::run(sbom, world),
        Command::Push(push) => push::run(push, format, world),
        Command::Pull(pull) => pull::run(pull, format, world),
        Command::Resolve(resolve) => resolve::run(resolve, format, world),
        Command::Login(login) => login::run(login, world),
        Command::Logout(logout) => login::forget(logout, world),
        Command::Inspect(inspect) => inspect::run(inspect, format, world),
        Command::History(history) => history::run(history, format, world),
        Command::Diff(diff) => diff::run(diff, format, world),
        Command::Tag(tag) => tag::run(tag, format, world),
        Command::Save(save) => save::save(save, format, world),
        Command::Load(load) => save::load(load, format, world),
        Command::Registry(registry) => registry::run(registry, format, world),
        Command::Run(of) => run::run(of, world),
        Command::Exec(exec) => run::exec(exec, world),
        Command::Ps(ps) => containers::ps(ps, format, world),
        Command::Logs(logs) => containers::logs(logs, world),
        Command::Stop(stop) => containers::stop(stop, format, world),
        Command::Rm(rm) => containers::rm(rm, format, world),
        Command::Images(images) => images::run(images, format, world),
        Command::Prune(prune) => prune::run(prune, format, world),
        Command::Store(store) => store::run(store, format, world),
        Command::Gpu(gpu) => gpu::run(gpu, format, world),
        Command::Schema(_) | Command::Completions(_) | Command::Man(_) | Command::Doctor(_) => Ok(0),
        Command::Lint(_) | Command::Rule(_) | Command::Lsp | Command::Explain(_) => Ok(0),
    }
}

/// What was typed about a project → what flow is asked.
fn plan_options(arguments: &ProjectArguments) -> Result<PlanOptions, Failure> {
    plan_options_for(arguments, target_options(&arguments.target))
}

/// What an image is to run on, as far as it was typed; of this machine what its kernel says.
fn target_options(typed: &TargetArguments) -> TargetOptions {
    gpu::target(typed, || corten_flow::gpu::host(std::path::Path::new("/"), None))
}

/// The same for a driver and GPUs that are known.
fn plan_options_for(arguments: &ProjectArguments, target: TargetOptions) -> Result<PlanOptions, Failure> {
    let frontend = arguments.frontend.map(FrontendArgument::meant);
    let parse = |text: &String| {
        text.parse().map_err(|error: corten_oci::PlatformError| Failure::usage(format!("--platform: {error}")))
    };
    let mut architectures = arguments.platform.iter().map(parse).collect::<Result<Vec<Architecture>, _>>()?;
    let mut seen = std::collections::BTreeSet::new();
    architectures.retain(|architecture| seen.insert(*architecture));
    Ok(PlanOptions {
        project: ProjectOptions { frontend, groups: arguments.groups.clone(), extras: arguments.extras.clone() },
        architecture: architectures.first().copied().unwrap_or_default(),
        architectures,
        renew: false,
        upgrade_base: false,
        base: None,
        locked: arguments.locked,
        frozen: arguments.frozen,
        registry: registry_options(&arguments.registry)?,
        siblings: Vec::new(),
        target,
    })
}

/// How registries are reached.
fn registry_options(arguments: &RegistryArguments) -> Result<RegistryOptions, Failure> {
    let mirrors = arguments.registry_mirror.iter().map(|text| text.parse());
    let mirrors = mirrors.collect::<Result<_, corten_flow::MirrorError>>();
    let mirrors = mirrors.map_err(|error| Failure::usage(format!("--registry-mirror: {error}")))?;
    Ok(RegistryOptions { plain: arguments.plain.clone(), mirrors })
}

/// A name of an image, as typed.
fn reference(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("'{text}' names no image: {error}")))
}

/// Prints a result: `text` for people, the object for programs.
fn result<T: Serialize>(format: Format, object: &T, text: impl FnOnce() -> String) -> Result<(), Failure> {
    match format {
        Format::Text => print(&text())?,
        _ => {
            let json = serde_json::to_string_pretty(object);
            print(&json.map_err(|error| Failure::bug(format!("printing JSON: {error}")))?)?;
        }
    }
    Ok(())
}
