//! `corten test`.

use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::build::BuildOptions;
use corten_flow::dockerfile::Way;
use corten_flow::run::Outcome;
use corten_flow::test::{TestOptions, test, test_dockerfile, test_image};

use super::docker::{given, of_dockerfiles, request};
use super::docker_build::secrets;
use super::run::{ended, network, refused, terminal, variables};
use super::{plan_options, registry_options};
use crate::args;
use crate::render::steps::Steps;
use crate::surroundings;

/// Builds, and runs the tests: their exit status, or docker's where they cannot be started.
pub fn run(arguments: &args::Test, global: &args::Global, world: &World<'_>) -> Result<u8, Report> {
    Ok(match tested(arguments, global, world) {
        Ok(outcome) => ended(outcome, world),
        Err(report) => refused(&report),
    })
}

fn tested(arguments: &args::Test, global: &args::Global, world: &World<'_>) -> Result<Outcome, Report> {
    terminal(arguments.tty, arguments.interactive)?;
    let options = TestOptions {
        arguments: arguments.arguments.clone(),
        junit: arguments.junit.clone(),
        network: arguments.network.map(network),
        environment: variables(&arguments.env).into_iter().collect(),
        is_interactive: arguments.interactive,
        has_terminal: arguments.tty,
    };
    let folder = &arguments.project.folder;
    if let Some(image) = image(folder) {
        only_build(arguments, image)?;
        return test_image(image, Path::new("."), &registry_options(&arguments.project.registry)?, &options, world);
    }
    if let Some(request) = request(&arguments.project, &arguments.docker, world)? {
        let secrets = secrets(&arguments.secrets, &arguments.ssh)?;
        let way = Way { no_cache: arguments.no_cache, secrets, ..Way::default() };
        let progress = Steps::new(global.progress, global.quiet, surroundings::draws(), false);
        return test_dockerfile(&request, &way, &options, &progress, world);
    }
    if !(arguments.secrets.is_empty() && arguments.ssh.is_empty()) {
        return Err(of_dockerfiles("--secret, --ssh").into());
    }
    let build = BuildOptions { plan: plan_options(&arguments.project)?, no_cache: arguments.no_cache };
    test(folder, &build, &options, world)
}

/// Refuses flags that only mean something where an image is built first.
fn only_build(arguments: &args::Test, image: &str) -> Result<(), Failure> {
    let own = [
        (!arguments.secrets.is_empty(), "--secret"),
        (!arguments.ssh.is_empty(), "--ssh"),
        (arguments.no_cache, "--no-cache"),
        (arguments.docker.file.is_some(), "--file"),
    ];
    let own = own.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag));
    match own.or_else(|| arguments.docker.given()).or_else(|| given(&arguments.project)) {
        None => Ok(()),
        Some(flag) => Err(Failure::usage(format!("{flag} is for what is built, and {image} is the name of an image"))
            .hint("give the folder of a project: corten test path/to/project")),
    }
}

/// What is no folder, and is not written as one, names an image.
fn image(folder: &Path) -> Option<&str> {
    let text = folder.to_str()?;
    (!folder.exists() && !text.starts_with(['.', '/', '~']) && !text.ends_with('/')).then_some(text)
}
