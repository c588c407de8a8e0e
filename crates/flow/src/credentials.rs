//! Credentials for registries: Docker's and podman's files, and the programs that they name.
//!
//! | file, first to last | whose |
//! |---|---|
//! | `$REGISTRY_AUTH_FILE` | podman's |
//! | `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json` | podman's |
//! | `$DOCKER_CONFIG/config.json`, `~/.docker/config.json` | Docker's |
//!
//! `login` writes into the first that knows the registry already, else into Docker's.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_oci::Repository;
use corten_registry::{AuthFile, Credentials, Found, Keychain, RegistryError, helper_name};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::timely::{self, Limits};

/// Bytes of a file.
const LONGEST: u64 = 64 << 10;
/// Of a helper.
const HELPER: Limits = Limits { bytes: LONGEST, patience: Duration::from_secs(10) };
/// Docker Hub's key in files and at helpers.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Where credentials are.
#[derive(Debug, Clone, Default)]
pub struct AuthFiles {
    /// As they are asked, first to last; those that are absent say nothing.
    pub files: Vec<PathBuf>,
    /// Where `login` writes what no file knows.
    pub own: Option<PathBuf>,
    /// Folders of programs, absolute.
    pub path: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Keychain for AuthFiles {
    fn credentials(&self, repository: &Repository) -> Result<Credentials, RegistryError> {
        for file in &self.files {
            let Some(found) = read(file).map_err(RegistryError::Unusable)? else { continue };
            let found = found.find(repository).map_err(|why| RegistryError::Unusable(about(file, &why)))?;
            match found {
                Found::Nothing => {}
                Found::Own(credentials) => return Ok(credentials),
                Found::Helper { name, server } => {
                    if let Some(found) = self.ask(&name, &server).map_err(RegistryError::Unusable)? {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(Credentials::Anonymous)
    }
}

fn about(file: &Path, why: &str) -> String {
    format!("reading the credentials in {}: {why}", file.display())
}

/// None where it is absent.
fn read(file: &Path) -> Result<Option<AuthFile>, String> {
    let Some(text) = text(file)? else { return Ok(None) };
    AuthFile::parse(&text).map(Some).map_err(|why| about(file, &why))
}

fn text(file: &Path) -> Result<Option<String>, String> {
    let opened = match fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(about(file, &error.to_string())),
    };
    let mut text = String::new();
    opened.take(LONGEST).read_to_string(&mut text).map_err(|error| about(file, &error.to_string()))?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

impl AuthFiles {
    /// What a helper knows (`docker-credential-NAME get`); none where it says that it knows nothing.
    fn ask(&self, name: &str, server: &str) -> Result<Option<Credentials>, String> {
        let (said, good) = self.run(name, "get", server.as_bytes())?;
        if !good {
            // All helpers of docker-credential-helpers say it in these words.
            return match said.contains("credentials not found") {
                true => Ok(None),
                false => Err(format!(
                    "docker-credential-{name} does not give the credentials of {server}: {}",
                    first_line(&said)
                )),
            };
        }
        let answer: Answer = serde_json::from_str(&said)
            .map_err(|_| format!("docker-credential-{name} gave for {server} what is no answer of such a program"))?;
        // That of `pass` says so of a server that it does not know.
        let nobody = answer.username.is_empty() && answer.secret.is_empty();
        Ok((!nobody).then(|| Credentials::of(&answer.username, &answer.secret)))
    }

    /// Runs a helper: what it said, and whether it ended well.
    fn run(&self, name: &str, verb: &str, input: &[u8]) -> Result<(String, bool), String> {
        let program = format!("docker-credential-{}", helper_name(name)?);
        let found = self.path.iter().map(|folder| folder.join(&program)).find(|path| path.is_file());
        let found = found.ok_or_else(|| format!("{program}, which the settings of docker name, is not installed"))?;
        let mut command = Command::new(found);
        command.arg(verb);
        corten_sandbox::as_caller(&mut command);
        let answer = timely::ask(command, input, HELPER).map_err(|why| format!("{program} {why}"))?;
        Ok((String::from_utf8_lossy(&answer.said).trim().to_owned(), answer.good))
    }

    /// Keeps a user and a password for a registry; says where.
    pub fn keep(&self, host: &str, user: &str, password: &str) -> Result<String, Report> {
        let file = self.file_of(host)?;
        let mut settings = settings(&file)?;
        let server = server(host);
        if let Some(name) = helper(&settings, host) {
            let entry = json!({"ServerURL": server, "Username": user, "Secret": password}).to_string();
            let (said, good) = self.run(&name, "store", entry.as_bytes()).map_err(Failure::world)?;
            return match good {
                true => Ok(format!("by docker-credential-{name}")),
                false => Err(Failure::world(format!(
                    "docker-credential-{name} does not keep the password: {}",
                    first_line(&said)
                ))
                .into()),
            };
        }
        let auth = encode(&format!("{user}:{password}"));
        entries(&mut settings)?.insert(server.to_owned(), json!({"auth": auth}));
        write(&file, &settings)?;
        Ok(format!("in {}, readable by you alone and not encrypted", file.display()))
    }

    /// Forgets a registry, in all files. `false`: nobody knew it.
    pub fn forget(&self, host: &str) -> Result<bool, Report> {
        let mut known = false;
        let server = server(host);
        for file in self.files.iter().filter(|file| file.exists()) {
            let mut settings = settings(file)?;
            if let Some(name) = helper(&settings, host) {
                let (_, good) = self.run(&name, "erase", server.as_bytes()).map_err(Failure::world)?;
                known |= good;
            }
            let entries = entries(&mut settings)?;
            let before = entries.len();
            entries.retain(|key, _| key != server && key != host && key != &format!("https://{host}"));
            if entries.len() < before {
                known = true;
                write(file, &settings)?;
            }
        }
        Ok(known)
    }

    fn file_of(&self, host: &str) -> Result<PathBuf, Report> {
        let repository: Repository =
            format!("{host}/x").parse().map_err(|error| Failure::usage(format!("'{host}' is no registry: {error}")))?;
        for file in &self.files {
            let found = read(file).map_err(Failure::world)?;
            let found = found.map(|found| found.find(&repository)).transpose().map_err(Failure::world)?;
            if found.is_some_and(|found| found != Found::Nothing) {
                return Ok(file.clone());
            }
        }
        let own = self.own.clone().ok_or_else(|| Failure::usage("there is no place for credentials: HOME is not set"));
        Ok(own.map_err(|failure| failure.hint("set DOCKER_CONFIG"))?)
    }
}

fn server(host: &str) -> &str {
    if matches!(host, "docker.io" | "index.docker.io") { DOCKER_HUB } else { host }
}

/// The program that keeps a registry's password.
fn helper(settings: &Value, host: &str) -> Option<String> {
    let of_host = settings["credHelpers"].get(host).or_else(|| settings["credHelpers"].get(server(host)));
    let name = of_host.or(settings.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty())?;
    Some(name.to_owned())
}

fn settings(file: &Path) -> Result<Value, Failure> {
    let Some(text) = text(file).map_err(Failure::world)? else { return Ok(json!({})) };
    serde_json::from_str(&text).map_err(|error| Failure::world(about(file, &error.to_string())))
}

fn entries(settings: &mut Value) -> Result<&mut serde_json::Map<String, Value>, Failure> {
    let all = settings.as_object_mut().map(|all| all.entry("auths").or_insert_with(|| json!({})));
    all.and_then(Value::as_object_mut).ok_or_else(|| Failure::world("the file of credentials is not as it should be"))
}

/// Beside it, then in its place: nobody sees half a file, and nobody but the user reads it.
fn write(file: &Path, settings: &Value) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::world(format!("writing {}: {error}", file.display()));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    let mut text = serde_json::to_string_pretty(settings).map_err(|error| Failure::bug(error.to_string()))?;
    text.push('\n');
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(failed)?;
    let written = opened
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| opened.write_all(text.as_bytes()))
        .and_then(|()| opened.sync_all())
        // A link stays one: many keep these files elsewhere.
        .and_then(|()| fs::rename(&beside, fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())));
    written.map_err(|error| {
        drop(fs::remove_file(&beside));
        failed(error)
    })
}

fn encode(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn first_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    line.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recipe C6: what of a helper's answer is cut off, and when, stands in `timely`.
    #[test]
    fn c6_helpers_have_ten_seconds_and_64_kib() {
        assert_eq!((HELPER.bytes, HELPER.patience), (65536, Duration::from_secs(10)));
    }
}
