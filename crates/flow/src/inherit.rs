//! What an image takes over from the config of its base, by Docker's rules.
//!
//! | | |
//! |---|---|
//! | variables | the base's, in their order; ours of the same name in their place; PATH: our environment before the base's |
//! | labels, ports, volumes | joined; our labels win |
//! | user, folder, command, stop signal | ours |
//! | entry point | ours: it goes with the command, which is never the base's |
//! | health check | ours, else the base's unless the settings say `healthcheck = false` |
//! | shell | the base's |
//! | ONBUILD | not taken: they are instructions of a Dockerfile |

use std::collections::BTreeMap;

use corten_frontend::settings::{HealthSetting, Setting, Settings};
use corten_oci::ContainerConfig;

use crate::start::VENV;

/// The config of an image on a base.
pub fn inherit(base: &ContainerConfig, own: ContainerConfig, settings: &Settings) -> ContainerConfig {
    let unless_off = base.healthcheck.clone().filter(|_| settings.healthcheck.value != HealthSetting::Off);
    ContainerConfig {
        env: Some(environment(base.env.as_deref().unwrap_or_default(), own.env.unwrap_or_default(), &settings.env)),
        exposed_ports: joined(base.exposed_ports.as_ref(), own.exposed_ports),
        volumes: joined(base.volumes.as_ref(), own.volumes),
        labels: labels(base.labels.as_ref(), own.labels),
        healthcheck: own.healthcheck.or(unless_off),
        shell: base.shell.clone(),
        ..own
    }
}

/// What of the base is left out, and how it is kept.
pub fn left_out(base: &ContainerConfig, own: &ContainerConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(entrypoint), None) = (base.entrypoint.as_ref().filter(|words| !words.is_empty()), &own.entrypoint) {
        let words: Vec<String> = entrypoint.iter().map(|word| format!("{word:?}")).collect();
        notes.push(format!(
            "the base's entry point {} is not used: `entrypoint = [{}]` in the settings keeps it",
            entrypoint.join(" "),
            words.join(", ")
        ));
    }
    if base.on_build.as_ref().is_some_and(|instructions| !instructions.is_empty()) {
        notes.push("the base's ONBUILD instructions are not run: they are for Dockerfiles".to_owned());
    }
    notes
}

fn environment(base: &[String], own: Vec<String>, set: &BTreeMap<String, Setting<String>>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut ours: BTreeMap<String, String> = own.iter().map(|variable| (name(variable), variable.clone())).collect();
    let mut all = Vec::new();
    for variable in base {
        let value = match ours.remove(&name(variable)) {
            // The settings' own PATH is what they say.
            Some(_) if name(variable) == "PATH" && !set.contains_key("PATH") => path(variable),
            Some(other) => other,
            None => variable.clone(),
        };
        all.push(value);
    }
    all.extend(own.into_iter().filter(|variable| ours.contains_key(&name(variable))));
    all
}

fn path(variable: &str) -> String {
    let ours = format!("/{VENV}/bin");
    let folders = variable.split_once('=').map_or("", |(_, value)| value).split(':');
    let folders: Vec<&str> = std::iter::once(ours.as_str()).chain(folders.filter(|folder| *folder != ours)).collect();
    format!("PATH={}", folders.join(":"))
}

fn joined(base: Option<&Vec<String>>, own: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut all: Vec<String> = base.into_iter().flatten().cloned().chain(own.into_iter().flatten()).collect();
    all.sort();
    all.dedup();
    (!all.is_empty()).then_some(all)
}

fn labels(
    base: Option<&BTreeMap<String, String>>,
    own: Option<BTreeMap<String, String>>,
) -> Option<BTreeMap<String, String>> {
    let mut all = base.cloned().unwrap_or_default();
    all.extend(own.unwrap_or_default());
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_the_base_s_order_and_ours_win() {
        let base = ["PATH=/usr/local/nvidia/bin:/usr/bin", "LD_LIBRARY_PATH=/usr/local/nvidia/lib", "LANG=C"];
        let own = ["PATH=/opt/venv/bin:/usr/bin", "LANG=C.UTF-8", "PORT=8000"];
        let all = environment(&base.map(str::to_owned), own.map(str::to_owned).to_vec(), &BTreeMap::new());
        assert_eq!(
            all,
            [
                "PATH=/opt/venv/bin:/usr/local/nvidia/bin:/usr/bin",
                "LD_LIBRARY_PATH=/usr/local/nvidia/lib",
                "LANG=C.UTF-8",
                "PORT=8000"
            ]
        );
    }
}
