//! A blocking client. Settings are passed in; the environment is never read here.
use std::io::{self, Read};
use std::time::Duration;

use corten_diagnostic::{Diagnose, Fault};

/// How to reach the world.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Further certificate authorities (PEM) to trust beside the system's.
    pub certificate_authorities: Vec<u8>,
    /// Never connect.
    pub offline: bool,
    /// How often a request is tried again after a failure that may pass.
    pub retries: u32,
    /// How long a server may stay silent.
    pub timeout: Duration,
    /// `http[s]://[user:password@]host:port` for all requests but those to `no_proxy`.
    pub proxy: Option<String>,
    /// Hosts (suffixes) that are reached directly.
    pub no_proxy: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate_authorities: Vec::new(),
            offline: false,
            retries: 3,
            timeout: Duration::from_secs(30),
            proxy: None,
            no_proxy: Vec::new(),
        }
    }
}

/// A GET or HEAD.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where.
    pub url: &'a str,
    /// `Accept` and the like; never credentials for another host.
    pub headers: Vec<(&'a str, String)>,
    /// Only from this byte on (`Range: bytes=N-`).
    pub from: u64,
    /// Only the headers.
    pub head: bool,
}

impl<'a> Request<'a> {
    /// A plain GET.
    pub fn get(url: &'a str) -> Self {
        Self { url, headers: Vec::new(), from: 0, head: false }
    }
}

/// What came back: status 200 or 206 always; everything else is a [`NetError`].
pub struct Response {
    /// 200, or 206 where a range was asked and granted.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, still on its way.
    pub body: Body,
}

/// A body on its way; ends with an error where the connection broke before `Content-Length`.
pub struct Body(Box<dyn Read + Send>);

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

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
    #[error("fetching {url}: the server answered {status}")]
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
}

/// Shares connections; cheap to borrow from many threads.
pub struct Client {
    #[expect(dead_code)]
    settings: Settings,
}

impl Client {
    /// Builds the TLS roots once.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Sends a request; retries what may pass (429, 502, 503, 504, broken connections), with `Retry-After`.
    pub fn send(&self, _request: &Request<'_>) -> Result<Response, NetError> {
        todo!()
    }

    /// A whole small document, at most `limit` bytes.
    pub fn bytes(&self, _request: &Request<'_>, _limit: u64) -> Result<Vec<u8>, NetError> {
        todo!()
    }
}
