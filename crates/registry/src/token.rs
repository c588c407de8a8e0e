//! Leave to do something: from a refusal's challenge to the header that opens the door.
//!
//! ```text
//! 401 Bearer realm, service ─► GET realm?service&scope…     with the user and password, or as nobody
//!                          └─► POST realm, refresh_token    with an identity token; 404 and 405: GET after all
//! 401 Basic                 ─► user and password
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use corten_net::{Client, Exchange, Payload, Response, Url};
use serde::Deserialize;

use crate::address;
use crate::challenge::Challenge;
use crate::credentials::Credentials;
use crate::error::{Doing, RegistryError, Words};

/// Bytes of a token server's answer.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// How we call ourselves to token servers.
const CLIENT: &str = "corten";

/// What one may do: `repository:library/ubuntu:pull`.
pub(crate) type Scope = String;

/// How the registry lets in.
#[derive(Debug, Clone)]
enum Door {
    /// Whoever comes.
    Open,
    /// With user and password.
    Basic,
    /// With a token from there.
    Bearer { realm: Url, service: Option<String> },
}

/// What one host has asked for, and the tokens that it was given.
#[derive(Default)]
pub(crate) struct Doorman {
    door: Mutex<Option<Door>>,
    tokens: Mutex<BTreeMap<Vec<Scope>, String>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// Whom a token is for, and what for.
pub(crate) struct Visit<'a> {
    pub(crate) client: &'a Client,
    pub(crate) name: &'a str,
    pub(crate) registry: &'a Url,
    pub(crate) credentials: &'a Credentials,
    pub(crate) doing: &'a Doing,
}

impl Doorman {
    /// What to send with a request, as far as is known before the registry has refused one.
    pub(crate) fn header(&self, visit: &Visit<'_>, scopes: &[Scope]) -> Result<Option<String>, RegistryError> {
        if let Credentials::RegistryToken(token) = visit.credentials {
            return Ok(Some(format!("Bearer {token}")));
        }
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match door {
            None | Some(Door::Open) => Ok(None),
            Some(Door::Basic) => Ok(visit.credentials.basic()),
            Some(Door::Bearer { realm, service }) => {
                let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(scopes).cloned();
                let token = match known {
                    Some(token) => token,
                    None => self.fetch(visit, &realm, service.as_deref(), scopes)?,
                };
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    /// Nobody has refused: the door is open.
    pub(crate) fn let_in(&self) {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Door::Open);
    }

    /// Takes in a refusal. `false`: there is nothing more to try.
    pub(crate) fn refused(
        &self,
        visit: &Visit<'_>,
        challenges: &[Challenge],
        scopes: &[Scope],
    ) -> Result<bool, RegistryError> {
        if matches!(visit.credentials, Credentials::RegistryToken(_)) {
            return Ok(false);
        }
        let bearer = challenges.iter().find(|challenge| challenge.scheme == "bearer");
        let basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
        let door = match (bearer.and_then(|bearer| Some((bearer, bearer.get("realm")?))), basic) {
            (Some((bearer, realm)), _) => {
                let realm = checked_realm(visit, realm)?;
                Door::Bearer { realm, service: bearer.get("service").map(str::to_owned) }
            }
            (None, true) if visit.credentials.basic().is_some() => Door::Basic,
            (None, _) => return Ok(false),
        };
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(scopes);
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(door);
        Ok(true)
    }

    fn fetch(
        &self,
        visit: &Visit<'_>,
        realm: &Url,
        service: Option<&str>,
        scopes: &[Scope],
    ) -> Result<String, RegistryError> {
        let token = match visit.credentials {
            Credentials::IdentityToken(identity) => match exchange(visit, realm, service, scopes, identity)? {
                Some(token) => token,
                None => ask(visit, realm, service, scopes)?,
            },
            _ => ask(visit, realm, service, scopes)?,
        };
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(scopes.to_vec(), token.clone());
        Ok(token)
    }
}

/// Only where our credentials may be known; as nobody, anywhere that is no private address.
fn checked_realm(visit: &Visit<'_>, realm: &str) -> Result<Url, RegistryError> {
    let unsafe_realm = |why: String, hint: String| RegistryError::Unsafe { doing: visit.doing.clone(), why, hint };
    let host = visit.registry.host();
    let url = Url::parse(realm).map_err(|error| {
        unsafe_realm(format!("{host} has its tokens at {error}"), "check the name of the registry".to_owned())
    })?;
    let stays = address::may_know_credentials(visit.registry, &url);
    let secret = !matches!(visit.credentials, Credentials::Anonymous);
    let hidden = !address::may_lead_to(visit.registry, &url);
    if (visit.registry.secure() && !url.secure()) || hidden || (secret && !stays) {
        let why = format!("{host} wants its tokens fetched from {url}, which is not its own");
        return Err(unsafe_realm(why, format!("if {} may know the password, log in there", url.host())));
    }
    Ok(url.without_login())
}

fn ask(visit: &Visit<'_>, realm: &Url, service: Option<&str>, scopes: &[Scope]) -> Result<String, RegistryError> {
    let mut query = String::new();
    for (name, value) in service.map(|service| ("service", service)).into_iter().chain(scopes_of(scopes)) {
        let _ = write!(query, "{}{name}={}", if query.is_empty() { "" } else { "&" }, escape(value));
    }
    let joiner = if realm.path().contains('?') { '&' } else { '?' };
    let target = if query.is_empty() { realm.to_string() } else { format!("{realm}{joiner}{query}") };
    let url = Url::parse(&target).map_err(|error| RegistryError::Unusable(error.to_string()))?;
    let headers = visit.credentials.basic().map(|basic| ("authorization", basic)).into_iter().collect();
    let answer = send(visit, Exchange { method: "GET", url: &url, headers, payload: Payload::Empty })?;
    token(visit, &url, answer)
}

/// An identity token for one of the registry (Docker's "Oauth2 Token Authentication"); none where that is not known.
fn exchange(
    visit: &Visit<'_>,
    realm: &Url,
    service: Option<&str>,
    scopes: &[Scope],
    identity: &str,
) -> Result<Option<String>, RegistryError> {
    let scope = scopes.join(" ");
    let mut form = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={}", escape(identity));
    for (name, value) in service.map(|service| ("service", service)).into_iter().chain([("scope", scope.as_str())]) {
        let _ = write!(form, "&{name}={}", escape(value));
    }
    let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
    let exchange = Exchange { method: "POST", url: realm, headers, payload: Payload::Bytes(form.as_bytes()) };
    let answer = send(visit, exchange)?;
    match answer.status {
        404 | 405 => Ok(None),
        _ => token(visit, realm, answer).map(Some),
    }
}

fn scopes_of(scopes: &[Scope]) -> impl Iterator<Item = (&str, &str)> {
    scopes.iter().map(|scope| ("scope", scope.as_str()))
}

fn send(visit: &Visit<'_>, exchange: Exchange<'_>) -> Result<Response, RegistryError> {
    visit.client.exchange(exchange).map_err(|(source, _)| RegistryError::Net { doing: visit.doing.clone(), source })
}

fn token(visit: &Visit<'_>, url: &Url, answer: Response) -> Result<String, RegistryError> {
    let (doing, host) = (visit.doing.clone(), url.host().to_owned());
    match answer.status {
        200 => {}
        400 | 401 | 403 => {
            let why = match visit.credentials {
                Credentials::Anonymous => "it gives no token to somebody without a name",
                _ => "the user or the password is wrong",
            };
            let registry = visit.name.to_owned();
            return Err(RegistryError::Denied { doing, host, registry, why, words: Words::read(answer.body) });
        }
        status => {
            let words = Words::read(answer.body);
            return Err(RegistryError::Status { doing, host, status, wait: None, words });
        }
    }
    let mut bytes = Vec::new();
    let read = answer.body.take(LONGEST_ANSWER).read_to_end(&mut bytes);
    let wrong = |why: &str| RegistryError::Wrong { doing: visit.doing.clone(), why: format!("{host} sent {why}") };
    read.map_err(|error| wrong(&format!("no whole token: {error}")))?;
    let found: Token = serde_json::from_slice(&bytes).map_err(|_| wrong("no token that can be read"))?;
    let token = if found.token.is_empty() { found.access_token } else { found.token };
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token),
        false => Err(wrong("no token that can be used")),
    }
}

/// For a query or a form (RFC 3986, section 2.3).
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                escaped.push(char::from(byte));
            }
            byte => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}
