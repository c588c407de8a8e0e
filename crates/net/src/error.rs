//! Why a request failed, in words that say what to try. Addresses are shown without user and password.

use std::io;

use corten_diagnostic::{Diagnose, Fault};

use crate::Url;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// `--offline` was asked for.
    #[error("fetching {url}: not allowed while offline")]
    Offline {
        /// What was asked for.
        url: String,
    },
    /// The server said no.
    #[error("fetching {url}: the server answered {status}{}", phrase(*.status))]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// No answer, or a broken one.
    #[error("fetching {url}: {why}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// More bytes than a document of its kind may have.
    #[error("fetching {url}: more than {limit} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
        /// The cap.
        limit: u64,
    },
}

impl Diagnose for NetError {
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Offline { .. } => "leave out --offline, or fetch what is missing once with a network",
            Self::Status { status: 401 | 403 | 407, .. } => {
                "check the credentials: those in ~/.netrc, or UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD"
            }
            Self::Status { status: 404 | 410, .. } => "check the address; what it named may have been removed",
            Self::Status { status: 429 | 500..=599, .. } => "the server is overloaded or broken: try again later",
            Self::Transport { why, .. } if why.contains("(407)") => {
                "give them in the proxy's address: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
            }
            Self::Transport { why, .. } if why.contains("certificate") || why.contains("TLS") => {
                "is its certificate of an authority of your own? pass that one (PEM): --ca-file FILE, or CORTEN_CA_FILE"
            }
            Self::Transport { why, .. } if why.contains("redirect") => "use the address that it leads to",
            Self::Transport { .. } => {
                "check the network and the proxy settings; with everything in the store, --offline works"
            }
            Self::Status { .. } | Self::TooLong { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        400 => " (bad request)",
        401 => " (credentials needed)",
        403 => " (forbidden)",
        404 => " (not found)",
        407 => " (the proxy wants credentials)",
        410 => " (gone)",
        416 => " (no such range)",
        429 => " (too many requests)",
        500 => " (server error)",
        502..=504 => " (server unavailable)",
        _ => "",
    }
}

/// What went wrong below HTTP, in words.
pub(crate) fn explain(error: &ureq::Error, url: &Url, timeout: std::time::Duration) -> String {
    let place = format!("{}:{}", url.host(), url.port());
    match error {
        ureq::Error::HostNotFound => format!("no address found for host {}", url.host()),
        // The resolver's own words; it has no kind.
        ureq::Error::Io(error) if error.to_string().starts_with("failed to lookup address information") => {
            format!("no address found for host {}", url.host())
        }
        ureq::Error::ConnectionFailed => format!("cannot connect to {place}"),
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            format!("no connection to {place} within {} s", timeout.as_secs_f32())
        }
        ureq::Error::Timeout(_) => format!("{place} was silent for {} s", timeout.as_secs_f32()),
        ureq::Error::Rustls(error) => format!("TLS with {place} failed: {error}"),
        ureq::Error::Tls(error) => format!("TLS with {place} failed: {error}"),
        ureq::Error::ConnectProxyFailed(why) if wants_login(why) => {
            format!("the proxy does not connect to {place}: it wants a user and a password (407)")
        }
        ureq::Error::ConnectProxyFailed(why) => format!("the proxy does not connect to {place}: {why}"),
        ureq::Error::Io(error) => explain_io(error, &place, timeout),
        other => other.to_string(),
    }
}

/// What the system, or TLS behind it, has said.
pub(crate) fn explain_io(error: &io::Error, place: &str, timeout: std::time::Duration) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return format!("TLS with {place} failed: {tls}");
    }
    if let Some(ureq::Error::Timeout(_)) = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        return format!("{place} was silent for {} s", timeout.as_secs_f32());
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{place} refuses connections"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => format!("{place} cannot be reached"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("the connection to {place} broke")
        }
        io::ErrorKind::TimedOut => format!("{place} was silent for {} s", timeout.as_secs_f32()),
        _ => error.to_string(),
    }
}

/// What ureq says of a proxy's 407.
fn wants_login(why: &str) -> bool {
    why.contains(" 407")
}

/// May it pass when tried again?
pub(crate) fn may_pass(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => {
            error.kind() != io::ErrorKind::InvalidData
                && error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>())
        }
        ureq::Error::ConnectProxyFailed(why) if wants_login(why) => false,
        ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_)
        | ureq::Error::ConnectProxyFailed(_) => true,
        _ => false,
    }
}
