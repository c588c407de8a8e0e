//! `corten ps`, `corten logs`, `corten stop`, `corten rm`.

use std::io::{self, Write};

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::run::{self, AllContainers, ContainerState};
use serde_json::{Value, json};

use super::result;
use crate::args::{self, Format};
use crate::render::text::{one_line, span, table};

/// Lists containers.
pub fn ps(arguments: &args::Ps, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let all = run::list(arguments.all, world)?;
    let shape: Vec<Value> = all
        .iter()
        .map(|(container, state)| {
            let (name, status) = state_words(state);
            let ports: Vec<String> = container.ports.iter().map(port).collect();
            json!({
                "id": container.id,
                "name": container.name,
                "image": container.image,
                "digest": container.digest,
                "command": container.sandbox.process.arguments.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>(),
                "created": container.created,
                "state": name,
                "exit_status": status,
                "ports": ports,
                "labels": container.labels,
            })
        })
        .collect();
    result(format, &shape, || {
        let head = ["CONTAINER", "NAME", "IMAGE", "AGE", "STATE", "PORTS"].map(str::to_owned).to_vec();
        let row = |(container, state): &(_, ContainerState)| {
            let container: &corten_flow::run::Container = container;
            let age = u64::try_from(world.now.saturating_sub(container.created)).unwrap_or_default();
            let state = match state_words(state) {
                (name, Some(status)) => format!("{name} ({status})"),
                (name, None) => name.to_owned(),
            };
            vec![
                container.id.chars().take(12).collect(),
                container.name.clone(),
                one_line(&container.image),
                span(age.saturating_mul(1_000_000_000)),
                state,
                container.ports.iter().map(port).collect::<Vec<_>>().join(", "),
            ]
        };
        table(&std::iter::once(head).chain(all.iter().map(row)).collect::<Vec<_>>(), &[])
    })?;
    Ok(0)
}

fn state_words(state: &ContainerState) -> (&'static str, Option<u8>) {
    match state {
        ContainerState::Running => ("running", None),
        ContainerState::Exited(ended) => ("exited", Some(ended.status)),
        ContainerState::Lost => ("killed", None),
    }
}

fn port(port: &corten_flow::run::Port) -> String {
    let protocol = if port.is_udp { "/udp" } else { "" };
    format!("{}:{}->{}{protocol}", port.address, port.host, port.inside)
}

/// Prints what a container has written.
pub fn logs(arguments: &args::Logs, world: &World<'_>) -> Result<u8, Report> {
    let containers = AllContainers::new(world.store.root());
    let (container, _) = containers.find(&arguments.container)?;
    let goes_on = || arguments.follow && containers.state(&container.id) == ContainerState::Running;
    let folder = containers.folder(&container.id);
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    let shown = run::follow(&folder, arguments.tail, &goes_on, &mut stdout, &mut stderr);
    match shown.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::world(format!("reading the log of {}: {error}", container.name)).into()),
        Ok(()) => Ok(0),
    }
}

/// Ends containers.
pub fn stop(arguments: &args::Stop, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let names = run::stop(&arguments.containers, arguments.timeout, world)?;
    result(format, &json!({"stopped": names}), || names.join("\n"))?;
    Ok(0)
}

/// Removes containers.
pub fn rm(arguments: &args::Rm, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let names = run::remove(&arguments.containers, arguments.force, arguments.volumes, world)?;
    result(format, &json!({"removed": names}), || names.join("\n"))?;
    Ok(0)
}
