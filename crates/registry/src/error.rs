//! Why a registry did not do what was asked, in words that say what to try.

use std::fmt;
use std::time::Duration;

use corten_diagnostic::{Diagnose, Fault};
use corten_net::NetError;
use corten_oci::Unsuitable;
use serde::Deserialize;

/// Bytes of a refusal's body that are read.
const LONGEST_BODY: usize = 64 * 1024;
/// Letters of a registry's own words that are shown.
const LONGEST_WORDS: usize = 200;

/// What was being done, to what: `pulling localhost:5000/a:1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing(pub String);

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The network.
    #[error("{doing}: {source}")]
    Net {
        /// What was being done.
        doing: Doing,
        /// What the network said.
        source: NetError,
    },
    /// It is not there.
    #[error("{doing}: there is no such image at {host}{words}")]
    NotFound {
        /// What was being done.
        doing: Doing,
        /// Which registry.
        host: String,
        /// What it said itself.
        words: Words,
    },
    /// Credentials are missing, or not good enough.
    #[error("{doing}: {host} refuses: {why}{words}")]
    Denied {
        /// What was being done.
        doing: Doing,
        /// Who.
        host: String,
        /// Which registry, as people write it.
        registry: String,
        /// In our words.
        why: &'static str,
        /// What it said itself.
        words: Words,
    },
    /// Any other refusal.
    #[error("{doing}: {host} answered {status}{words}")]
    Status {
        /// What was being done.
        doing: Doing,
        /// Which registry.
        host: String,
        /// HTTP status.
        status: u16,
        /// For how long it wants not to be asked, where that is too long to wait for.
        wait: Option<Duration>,
        /// What it said itself.
        words: Words,
    },
    /// It sent something else than it should have.
    #[error("{doing}: {why}")]
    Wrong {
        /// What was being done.
        doing: Doing,
        /// What is wrong.
        why: String,
    },
    /// What it asks for would not be safe.
    #[error("{doing}: {why}")]
    Unsafe {
        /// What was being done.
        doing: Doing,
        /// What it asks for.
        why: String,
        /// What to try.
        hint: String,
    },
    /// The registry takes nothing so large.
    #[error("{doing}: {why}")]
    TooLarge {
        /// What was being done.
        doing: Doing,
        /// Which limit.
        why: String,
    },
    /// A document that says what it must not.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// Our own bytes could not be read.
    #[error("{doing}: {source}")]
    Own {
        /// What was being done.
        doing: Doing,
        /// Why not.
        source: std::io::Error,
    },
    /// What it takes to ask cannot be used: a name, a file of credentials, the answer of a helper.
    #[error("{0}")]
    Unusable(String),
}

impl Diagnose for RegistryError {
    fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { .. } => Fault::Input,
            _ => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Net { source: NetError::Status { .. }, .. } => Vec::new(),
            Self::Net { source, .. } => source.hints(),
            Self::NotFound { .. } => {
                vec!["check the name; some registries say this also of what one may not see: `corten login`".to_owned()]
            }
            Self::Denied { registry, .. } => {
                vec![format!("log in with `corten login {registry}`, as somebody who may do this")]
            }
            Self::Status { status: 404, .. } => {
                vec!["where a registry wants its repositories made first, make this one".to_owned()]
            }
            Self::Status { status: 407, .. } => {
                vec![
                    "give a user and a password in the proxy's address: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
                        .to_owned(),
                ]
            }
            Self::Status { status: 413, .. } => {
                vec![
                    "the registry, or a proxy before it, limits how large a request may be: raise that limit"
                        .to_owned(),
                ]
            }
            Self::Status { wait: Some(wait), .. } => {
                vec![format!(
                    "it wants not to be asked for {}: log in, where that raises its limits, or try again then",
                    time(*wait)
                )]
            }
            Self::Status { status: 429, .. } => {
                vec!["the registry limits how much one may ask: log in, or try again later".to_owned()]
            }
            Self::Status { status: 500..=599, .. } => {
                vec!["the registry is overloaded or broken: try again later".to_owned()]
            }
            Self::Unsafe { hint, .. } => vec![hint.clone()],
            Self::TooLarge { .. } => {
                vec!["make the layer smaller: weights can be fetched at start, or split".to_owned()]
            }
            Self::Wrong { .. } | Self::Unsuitable(_) => {
                vec![
                    "something on the way changes what is sent, or the registry is broken; nothing wrong was kept"
                        .to_owned(),
                ]
            }
            Self::Own { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
                vec!["build again: what the store lacks is made or fetched again".to_owned()]
            }
            Self::Status { .. } | Self::Own { .. } | Self::Unusable(_) => Vec::new(),
        }
    }
}

/// `40 minutes`, rounded up.
fn time(wait: Duration) -> String {
    match wait.as_secs() {
        seconds @ 0..300 => format!("{seconds} seconds"),
        seconds @ 300..18_000 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3600)),
    }
}

/// A registry's own words on a refusal (distribution specification, "Error Codes"); shown in brackets, made harmless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<(String, String)>);

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Words {
    /// Of the body of a refusal.
    pub(crate) fn read(body: impl std::io::Read) -> Self {
        let mut bytes = Vec::new();
        let read = std::io::Read::read_to_end(&mut std::io::Read::take(body, LONGEST_BODY as u64), &mut bytes);
        let parsed = read.ok().and_then(|_| serde_json::from_slice::<Errors>(&bytes).ok());
        let errors = parsed.map(|parsed| parsed.errors).unwrap_or_default();
        Self(errors.into_iter().map(|error| (error.code, error.message.unwrap_or_default())).collect())
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((code, message)) = self.0.first() else { return Ok(()) };
        let text = if message.is_empty() { code.clone() } else { format!("{code}: {message}") };
        let harmless: String = text.chars().filter(|letter| !letter.is_control()).take(LONGEST_WORDS).collect();
        if harmless.is_empty() { Ok(()) } else { write!(f, " ({harmless})") }
    }
}
