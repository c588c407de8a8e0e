//! The image config: how a container starts, and which layers make its root.
//!
//! `Healthcheck` is Docker's addition: the OCI specification has no such field, but runtimes that know it read it from
//! the same place, and others skip it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DiffId, DocumentError};

/// The document that `Manifest::config` describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339; absent where no reproducible time is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Go's name of the architecture.
    pub architecture: String,
    /// Go's name of the operating system.
    pub os: String,
    /// For instance `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How a container starts.
    #[serde(default)]
    pub config: ContainerConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// How the layers came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Reads a config and checks that its root is made of layers, and that variables have names.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        const WHAT: &str = "image config";
        let config: Self =
            serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what: WHAT, source })?;
        let refuse = |why: String| Err(DocumentError::Rule { what: WHAT, why });
        if config.rootfs.kind != "layers" {
            return refuse(format!("rootfs.type is '{}', not 'layers'", config.rootfs.kind));
        }
        let mut variables = config.config.env.iter().flatten();
        match variables.find(|variable| variable.find('=').is_none_or(|at| at == 0)) {
            Some(variable) => refuse(format!("'{variable}' in Env is not NAME=value")),
            None => Ok(config),
        }
    }
}

/// How a container starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user`, `uid`, `user:group` or `uid:gid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `8080/tcp` and the like.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "set_of_keys",
        serialize_with = "keys_with_empty_objects"
    )]
    pub exposed_ports: Option<Vec<String>>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The program and its first arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, or the program where there is no entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How health is found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Paths to mount.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "set_of_keys",
        serialize_with = "keys_with_empty_objects"
    )]
    pub volumes: Option<Vec<String>>,
    /// Where the program starts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// For instance `SIGTERM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// What shell-form commands of a Dockerfile are given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Instructions for a build on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
}

/// Docker's health check. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["CMD", program, …]`, `["CMD-SHELL", text]` or `["NONE"]`.
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// How long one may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How long failures at the start do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u64>,
    /// Between two checks at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<u64>,
    /// How many failures in a row make a container unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// The layers that make the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Lowest first.
    pub diff_ids: Vec<DiffId>,
}

/// How one layer (or none) came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// No layer belongs to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// Go writes a set as `{"key": {}}`.
fn set_of_keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let map = Option::<BTreeMap<String, Option<BTreeMap<String, String>>>>::deserialize(deserializer)?;
    Ok(map.map(|map| map.into_keys().collect()))
}

fn keys_with_empty_objects<S: serde::Serializer>(keys: &Option<Vec<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    let map: Option<BTreeMap<&String, BTreeMap<String, String>>> =
        keys.as_ref().map(|keys| keys.iter().map(|key| (key, BTreeMap::new())).collect());
    map.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(config: &str, more: &str) -> Result<ImageConfig, DocumentError> {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}{more}}}"#
        );
        ImageConfig::parse(text.as_bytes())
    }

    #[test]
    fn b6_a_config_without_layers_is_refused() {
        for text in [
            "{}",
            r#"{"architecture":"a","os":"b"}"#,
            r#"{"architecture":"a","os":"b","rootfs":{"type":"x","diff_ids":[]}}"#,
        ] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn b9_values_are_kept_as_they_are_or_refused() {
        for user in ["4294967296", "-1", "0:0\\n", "2147483648", "../x"] {
            let config = parse(&format!(r#"{{"User":"{user}"}}"#), "").unwrap();
            assert_eq!(config.config.user, user.replace("\\n", "\n"), "data, for whoever runs it to judge");
        }
        let config =
            parse(r#"{"WorkingDir":"/proc/self/fd/8","Volumes":{"/../..":{}},"Entrypoint":[""]}"#, "").unwrap();
        assert_eq!(config.config.working_dir, "/proc/self/fd/8");
        assert_eq!(config.config.volumes.unwrap(), ["/../.."]);
        assert_eq!(config.config.entrypoint.unwrap(), [""]);
        for env in ["A", "=b", ""] {
            assert!(parse(&format!(r#"{{"Env":["{env}"]}}"#), "").is_err(), "{env}");
        }
        assert!(parse(r#"{"Env":["LD_PRELOAD=/x\ny"]}"#, "").is_ok());
    }
}
