//! Who we are at a registry: what Docker's and podman's files say (config.json, containers-auth.json(5)).
//!
//! ```text
//! credHelpers[host] ─► a program of that name      auths[host/a/b], auths[host/a], auths[host] ─► the file itself
//! credsStore        ─► a program for all hosts
//! ```
//!
//! Keys are whole hosts with their port, or such with the beginning of a path: none is compared by its end. Docker Hub
//! has a key of its own, an address of 2013.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use corten_oci::Repository;
use serde::Deserialize;

use crate::RegistryError;

/// Docker Hub's key in `auths` and at helpers.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// What a helper gives as user where the secret is a token (docker-credential-helpers).
const TOKEN_USER: &str = "<token>";

/// Who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    Anonymous,
    /// A user with a password, or with what passes for one.
    Basic {
        /// Name.
        user: String,
        /// Secret.
        password: String,
    },
    /// A token of OAuth2, to be exchanged for one of the registry.
    IdentityToken(String),
    /// A token of the registry itself.
    RegistryToken(String),
}

impl fmt::Debug for Credentials {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { user, .. } => write!(f, "Basic({user})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
            Self::RegistryToken(_) => f.write_str("RegistryToken"),
        }
    }
}

impl Credentials {
    /// As helpers and `login` have them.
    pub fn of(user: &str, secret: &str) -> Self {
        match user {
            TOKEN_USER => Self::IdentityToken(secret.to_owned()),
            _ => Self::Basic { user: user.to_owned(), password: secret.to_owned() },
        }
    }

    /// `Basic …`, where there is a password.
    pub(crate) fn basic(&self) -> Option<String> {
        let Self::Basic { user, password } = self else { return None };
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))))
    }
}

/// Who knows credentials. An implementor owes: what is for one registry is given for no other.
pub trait Keychain: Sync {
    /// For a repository; [`Credentials::Anonymous`] where none are known.
    fn credentials(&self, repository: &Repository) -> Result<Credentials, RegistryError>;
}

/// Knows nobody.
pub struct NoCredentials;

impl Keychain for NoCredentials {
    fn credentials(&self, _: &Repository) -> Result<Credentials, RegistryError> {
        Ok(Credentials::Anonymous)
    }
}

/// A file of Docker or podman.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It says nothing of the repository.
    Nothing,
    /// Ask this program, `docker-credential-<name>`, for this server.
    Helper {
        /// Without the beginning; letters, digits, `.`, `_` and `-`.
        name: String,
        /// What to ask it.
        server: String,
    },
    /// It has them itself.
    Own(Credentials),
}

impl AuthFile {
    /// Reads a file; unknown keys are left alone. The error is one line, without secrets.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("line {}, column {}: not as it should be", error.line(), error.column()))
    }

    /// What it says of a repository.
    pub fn find(&self, repository: &Repository) -> Result<Found, String> {
        let repository = repository.normalised();
        let host = repository.host.as_deref().unwrap_or_default();
        let server = if host == "docker.io" { DOCKER_HUB } else { host };
        let helper = self.cred_helpers.get(host).or_else(|| self.cred_helpers.get(server));
        if let Some(name) = helper {
            return helper_of(name, server);
        }
        if !self.creds_store.is_empty() {
            return helper_of(&self.creds_store, server);
        }
        let known: BTreeMap<String, &Entry> = self.auths.iter().map(|(key, entry)| (plain_key(key), entry)).collect();
        let whole = format!("{host}/{}", repository.path);
        let mut key = whole.as_str();
        loop {
            if let Some(credentials) = known.get(key).and_then(|entry| entry.credentials().transpose()) {
                return credentials.map(Found::Own).map_err(|why| format!("auths of {key}: {why}"));
            }
            match key.rsplit_once('/') {
                Some((shorter, _)) => key = shorter,
                None => return Ok(Found::Nothing),
            }
        }
    }
}

fn helper_of(name: &str, server: &str) -> Result<Found, String> {
    Ok(Found::Helper { name: helper_name(name)?.to_owned(), server: server.to_owned() })
}

/// A name that is put behind `docker-credential-`: it can start no other program.
///
/// # Errors
/// In words, where it has other letters.
pub fn helper_name(name: &str) -> Result<&str, String> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(good) {
        true => Ok(name),
        false => Err(format!("'{}' is no name of a credential helper", name.escape_default())),
    }
}

/// A key as podman writes it. Docker's may be addresses, of which only the host counts.
fn plain_key(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let host = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
    let key = bare.map_or_else(|| key.to_owned(), host);
    match key.split_once('/') {
        None if matches!(key.as_str(), "index.docker.io" | "registry-1.docker.io") => "docker.io".to_owned(),
        Some(("index.docker.io", "v1/" | "v1")) => "docker.io".to_owned(),
        _ => key,
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credentials::RegistryToken(self.registrytoken.clone())));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::IdentityToken(self.identitytoken.clone())));
        }
        if self.auth.is_empty() {
            let some = !self.username.is_empty();
            return Ok(some.then(|| Credentials::of(&self.username, &self.password)));
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(self.auth.trim()).map_err(|_| "not base64")?;
        let text = String::from_utf8(bytes).map_err(|_| "not text")?;
        let (user, password) = text.split_once(':').ok_or("no 'user:password'")?;
        Ok(Some(Credentials::of(user, password.trim_end_matches('\0'))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &str, repository: &str) -> Result<Found, String> {
        AuthFile::parse(file).unwrap().find(&repository.parse().unwrap())
    }

    fn user(file: &str, repository: &str) -> Option<String> {
        match find(file, repository).unwrap() {
            Found::Own(Credentials::Basic { user, .. }) => Some(user),
            Found::Nothing => None,
            other => panic!("{other:?}"),
        }
    }

    /// `auth` of `name:secret`.
    fn entry(name: &str) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:s:e/cret"));
        format!(r#"{{"auth":"{text}"}}"#)
    }

    #[test]
    fn the_longest_beginning_wins_and_hosts_are_whole() {
        let (host, team, image) = (entry("host"), entry("team"), entry("image"));
        let file = format!(
            r#"{{"auths":{{"h.example:5000":{host},"h.example:5000/team":{team},"h.example:5000/team/a":{image}}}}}"#
        );
        assert_eq!(user(&file, "h.example:5000/team/a").as_deref(), Some("image"));
        assert_eq!(user(&file, "h.example:5000/team/b").as_deref(), Some("team"));
        assert_eq!(user(&file, "h.example:5000/teams").as_deref(), Some("host"));
        for other in ["h.example/team/a", "x.h.example:5000/team/a", "h.example:50000/a", "team/a"] {
            assert_eq!(user(&file, other), None, "{other}");
        }
        let found = find(&file, "h.example:5000/x").unwrap();
        assert_eq!(found, Found::Own(Credentials::Basic { user: "host".into(), password: "s:e/cret".into() }));
        assert!(!format!("{found:?} {:?}", AuthFile::parse(&file)).contains("e/cret"));
    }

    #[test]
    fn docker_hub_has_many_names() {
        for key in
            ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "https://docker.io"]
        {
            let file = format!(r#"{{"auths":{{"{key}":{}}}}}"#, entry("me"));
            assert_eq!(user(&file, "ubuntu").as_deref(), Some("me"), "{key}");
            assert_eq!(user(&file, "docker.io/library/ubuntu").as_deref(), Some("me"), "{key}");
            assert_eq!(user(&file, "ghcr.io/library/ubuntu"), None, "{key}");
        }
        let file = format!(r#"{{"auths":{{"https://h.example/v2/":{}}}}}"#, entry("me"));
        assert_eq!(user(&file, "h.example/a").as_deref(), Some("me"));
    }

    #[test]
    fn helpers_come_before_the_file_and_the_one_of_a_host_first() {
        let file = format!(
            r#"{{"auths":{{"gcr.io":{0},"docker.io":{0}}},"credHelpers":{{"gcr.io":"gcloud"}},"credsStore":"desktop.exe"}}"#,
            entry("me")
        );
        let helper = |name: &str, server: &str| Found::Helper { name: name.into(), server: server.into() };
        assert_eq!(find(&file, "gcr.io/a/b").unwrap(), helper("gcloud", "gcr.io"));
        assert_eq!(find(&file, "ubuntu").unwrap(), helper("desktop.exe", DOCKER_HUB));
    }

    #[test]
    fn names_of_helpers_start_no_other_program() {
        for name in ["x; touch /tmp/p", "../../bin/sh", "/bin/sh", "-x", "..", "a b", "a\n", ""] {
            let file = serde_json::json!({"credHelpers": {"h.example": name}}).to_string();
            assert!(find(&file, "h.example/a").is_err(), "{name}");
        }
    }

    #[test]
    fn tokens_and_broken_entries() {
        let of = |entry: &str| find(&format!(r#"{{"auths":{{"h.example":{entry}}}}}"#), "h.example/a");
        assert_eq!(of(r#"{"identitytoken":"t"}"#).unwrap(), Found::Own(Credentials::IdentityToken("t".into())));
        assert_eq!(of(r#"{"auth":"PHRva2VuPjp0"}"#).unwrap(), Found::Own(Credentials::IdentityToken("t".into())));
        assert_eq!(of(r#"{"registrytoken":"t"}"#).unwrap(), Found::Own(Credentials::RegistryToken("t".into())));
        assert_eq!(of("{}").unwrap(), Found::Nothing, "docker writes this where a helper has the rest");
        assert!(of(r#"{"auth":"%%"}"#).is_err() && of(r#"{"auth":"eA=="}"#).is_err());
        assert!(AuthFile::parse("{\"auths\": 1}").is_err() && AuthFile::parse("").is_err());
        assert_eq!(
            AuthFile::parse(r#"{"auths":1,"x":"secret"}"#).unwrap_err(),
            "line 1, column 10: not as it should be"
        );
    }
}
