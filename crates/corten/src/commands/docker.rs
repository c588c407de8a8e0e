//! What was typed about a Dockerfile → what flow is asked.

use std::collections::BTreeMap;
use std::env;

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::dockerfile::{ContextPlace, Path, Request, path};
use corten_oci::Architecture;

use super::registry_options;
use crate::args::{DockerArguments, FrontendArgument, ProjectArguments};

/// The request, where the folder is built from a Dockerfile; none where it is built from its lock.
pub fn request(
    project: &ProjectArguments,
    docker: &DockerArguments,
    world: &World<'_>,
) -> Result<Option<Request>, Report> {
    if let Some((flag, why)) = docker.refused.0.first() {
        return Err(Failure::usage(format!("--{flag}: {why}"))
            .hint("docs/flags.md says it of every flag of docker")
            .into());
    }
    let request = Request {
        context: project.folder.to_string_lossy().into_owned(),
        file: docker.file.clone(),
        target: docker.target.clone(),
        build_args: build_args(&docker.build_args),
        labels: docker.labels.iter().map(|text| label(text)).collect::<Result<_, _>>()?,
        contexts: docker.build_contexts.iter().map(|text| ContextPlace::parse(text)).collect::<Result<_, _>>()?,
        architecture: Architecture::default(),
        pull: docker.pull,
        registry: registry_options(&project.registry)?,
    };
    let frontend = project.frontend.map(FrontendArgument::meant);
    match (path(&request, frontend, world)?, docker.given()) {
        (Path::Native, None) => Ok(None),
        (Path::Native, Some(flag)) => Err(of_dockerfiles(flag).into()),
        (Path::Dockerfile, _) => {
            only_native(project)?;
            Ok(Some(Request { architecture: architecture(project)?, ..request }))
        }
    }
}

/// A flag that means nothing for a lock.
pub fn of_dockerfiles(flag: &str) -> Failure {
    Failure::usage(format!("{flag} is for Dockerfiles, and this is built from its lock"))
        .hint("--frontend dockerfile or -f FILE takes the Dockerfile")
}

fn architecture(project: &ProjectArguments) -> Result<Architecture, Failure> {
    match project.platform.as_slice() {
        [] => Ok(Architecture::default()),
        [one] => one.parse().map_err(|error| Failure::usage(format!("--platform: {error}"))),
        _ => Err(Failure::usage("--platform: a Dockerfile is built for one platform at a time")
            .hint("several come later; build them one after the other")),
    }
}

/// Flags that only mean something for a lock.
pub(super) fn only_native(project: &ProjectArguments) -> Result<(), Failure> {
    match given(project) {
        None => Ok(()),
        Some(flag) => Err(Failure::usage(format!("{flag} is for locks, and this is built from its Dockerfile"))
            .hint("--frontend native takes the lock")),
    }
}

/// The first flag that was given and only means something for a lock.
pub(super) fn given(project: &ProjectArguments) -> Option<&'static str> {
    let given = [
        (!project.groups.is_empty(), "--group"),
        (!project.extras.is_empty(), "--extra"),
        (project.locked, "--locked"),
        (project.frozen, "--frozen"),
    ];
    given.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
}

/// `NAME=VALUE`, or `NAME` for what the environment has; a name that it has not is not given.
fn build_args(all: &[String]) -> BTreeMap<String, String> {
    let of = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), env::var(text).ok()?)),
    };
    let mut given: BTreeMap<String, String> = all.iter().filter_map(of).collect();
    // As buildx has it: the time of reproducible builds needs no flag.
    if let (Ok(epoch), false) = (env::var("SOURCE_DATE_EPOCH"), given.contains_key("SOURCE_DATE_EPOCH")) {
        given.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
    }
    given
}

fn label(text: &str) -> Result<(String, String), Failure> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(Failure::usage(format!("--label '{text}' has no name")).hint("write NAME=VALUE"));
    }
    Ok((name.to_owned(), value.to_owned()))
}
