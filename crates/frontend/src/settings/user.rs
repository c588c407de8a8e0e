//! What a user says for all projects: `$XDG_CONFIG_HOME/corten/config.toml`, else `~/.config/corten/config.toml`. What decides
//! an image never stands here: it would be another one on another machine.
//!
//! ```toml
//! [store]
//! keep = "50GB"                            # as --store-keep
//!
//! [registries."docker.io"]
//! mirrors = ["mirror.example:5000/hub"]    # asked before it, in this order; as --registry-mirror
//!
//! [registries."registry.lan:5000"]
//! insecure = true                          # reached without TLS; as --plain-http
//! ca = "lan.pem"                           # an authority to trust for this one alone; below this file's folder
//! ```

use std::path::Path;

use corten_diagnostic::{Failure, Fault};
use corten_oci::Repository;

use super::keys::{Key, Kind, Otherwise, key};
use super::table::{Source, Table, Value};
use super::{Setting, value};

/// A host with its port.
const HOST: &str = "^[a-zA-Z0-9.\\[\\]:-]+$";

pub(super) static USER: [Key; 2] = [
    key("store", Kind::Table(&STORE, &[]), Otherwise::Nothing, "The store"),
    key(
        "registries",
        Kind::Named(HOST, &Kind::Table(&REGISTRY, &[])),
        Otherwise::Nothing,
        "Registries by host, with the port that is not the usual one",
    ),
];

static STORE: [Key; 1] = [key(
    "keep",
    Kind::Form("^ *[0-9.]+ *([kKmMgGtT]?i?[bB]?)? *$"),
    Otherwise::Nothing,
    "Bytes above which the store removes what no image needs, least recently used first",
)];

static REGISTRY: [Key; 3] = [
    key(
        "mirrors",
        Kind::List(&Kind::Text),
        Otherwise::Nothing,
        "Who is asked before it, in this order: HOST or HOST/PATH",
    ),
    key("insecure", Kind::Boolean, Otherwise::Value("false"), "Reach it without TLS"),
    key(
        "ca",
        Kind::Text,
        Otherwise::Nothing,
        "A file of certificate authorities (PEM) to trust for it alone, beside the others",
    ),
];

/// The file, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSettings {
    /// Bytes above which the store removes what no image needs.
    pub keep: Option<Setting<u64>>,
    /// By host, as written.
    pub registries: Vec<UserRegistry>,
}

/// What is said of one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRegistry {
    /// With the port that is not the usual one.
    pub host: Setting<String>,
    /// `HOST` or `HOST/PATH`, asked before it.
    pub mirrors: Vec<Setting<String>>,
    /// Without TLS?
    pub insecure: Option<Setting<bool>>,
    /// A file of certificates.
    pub ca: Option<Setting<String>>,
}

impl UserSettings {
    /// Reads the file's text.
    ///
    /// # Errors
    /// Usage, with the place: a text that is no TOML, an unknown key, a value that is not what it should be.
    pub fn read(path: &Path, text: &str) -> Result<Self, Failure> {
        let source = Source::new(path, text, Fault::Usage);
        let root = source.parse()?;
        Table::read(&source, "", root.get_ref(), &USER, |table| {
            let mut settings = Self::default();
            if let Some(store) = table.take("store") {
                settings.keep =
                    store.table(|store| store.take("keep").map(|keep| keep.parsed(value::size)).transpose())?;
            }
            for (host, registry) in table.take("registries").map(|all| all.named()).transpose()?.unwrap_or_default() {
                settings.registries.push(one(host, &registry)?);
            }
            Ok(settings)
        })
    }
}

fn one(host: Setting<String>, registry: &Value<'_>) -> Result<UserRegistry, Failure> {
    if host_of(&host).is_none_or(|found| found != *host) {
        let failure = registry.wrong("is of no registry, expected HOST or HOST:PORT");
        return Err(failure.hint("for instance [registries.\"docker.io\"] or [registries.\"localhost:5000\"]"));
    }
    registry.table(|table| {
        let mut mirrors = Vec::new();
        for mirror in table.take("mirrors").map(|list| list.array()).transpose()?.unwrap_or_default() {
            mirrors.push(mirror.parsed(|text| match host_of(text) {
                Some(_) if text.trim_end_matches('/') == *host => Err("is the registry itself".to_owned()),
                Some(_) => Ok(text.to_owned()),
                None => Err(format!("is '{text}', expected HOST or HOST/PATH such as \"mirror.example:5000/hub\"")),
            })?);
        }
        let insecure = table.take("insecure").map(|insecure| insecure.boolean()).transpose()?;
        let ca = table.take("ca").map(|ca| ca.string()).transpose()?;
        Ok(UserRegistry { host: host.clone(), mirrors, insecure, ca })
    })
}

/// The host of what could stand before a repository.
fn host_of(text: &str) -> Option<String> {
    let found: Repository = format!("{}/x", text.trim_end_matches('/')).parse().ok()?;
    found.normalised().host.filter(|host| text.split('/').next() == Some(host))
}
