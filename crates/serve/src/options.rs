//! How a registry is served, and to whom.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use corten_diagnostic::Failure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto};

use crate::users::Users;

/// Bytes of a file of users or certificates.
const LONGEST: u64 = 1 << 20;

/// How a registry is served.
pub struct Options {
    /// Where it listens; port 0 means any that is free.
    pub listen: SocketAddr,
    /// Who may come in; none: everybody.
    pub users: Option<Users>,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// What may be done.
    pub access: Access,
    /// Listen where others can reach it, although it has no users or no TLS.
    pub exposed: Exposed,
    /// How much, how long.
    pub limits: Limits,
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Pull, push and delete.
    #[default]
    ReadAndWrite,
    /// Pull.
    ReadOnly,
}

/// May others reach it without TLS and users?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exposed {
    /// No.
    #[default]
    Refused,
    /// Yes: the user said so.
    Meant,
}

/// How much, how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; beyond, the one that has been without a request the longest is closed, else the new one.
    pub connections: usize,
    /// How long a request's headers may take, and a connection may be without a request.
    pub header: Duration,
    /// In each such span, a body must bring 4 KiB, and a client take as many.
    pub patience: Duration,
    /// Uploads that are begun and not ended.
    pub uploads: usize,
    /// An upload that nobody has gone on with for so long is thrown away.
    pub abandoned: Duration,
    /// Bytes of one blob.
    pub largest_blob: u64,
    /// How long requests that are under way may go on once the server is to end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            uploads: 200,
            abandoned: Duration::from_secs(3600),
            largest_blob: 256 << 30,
            grace: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Refuses to be reached by others without TLS and users.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let is_safe = self.users.is_some() && self.tls.is_some();
        if self.listen.ip().is_loopback() || is_safe || self.exposed == Exposed::Meant {
            return Ok(());
        }
        let lacks = match (&self.users, &self.tls) {
            (None, None) => "without TLS and without users",
            (None, Some(_)) => "without users",
            _ => "without TLS, so that passwords could be read on the way",
        };
        Err(Failure::usage(format!("listening on {}: others could reach this registry {lacks}", self.listen))
            .hint("give --htpasswd, --tls-cert and --tls-key, or listen on 127.0.0.1")
            .hint("--insecure-listen does it all the same, for a network where everybody is trusted"))
    }
}

/// Reads a file of `htpasswd -B`; `readers` may pull alone.
///
/// # Errors
/// A file that cannot be read, or whose lines are not such, or that has not all of the readers.
pub fn users(path: &Path, readers: &[String]) -> Result<Users, Failure> {
    let failed = |why: String| {
        Failure::usage(format!("reading the users in {}: {why}", path.display()))
            .hint("`htpasswd -cB FILE NAME` makes such a file")
    };
    let text = String::from_utf8(small(path).map_err(&failed)?).map_err(|_| failed("it is no text".to_owned()))?;
    Users::parse(&text, random()?).and_then(|users| users.with_readers(readers)).map_err(failed)
}

/// Reads a certificate chain and its key, both PEM.
///
/// # Errors
/// Files that cannot be read, or that hold none, or that do not belong together.
pub fn tls(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let failed = |what: &str, path: &Path, why: String| {
        Failure::usage(format!("reading the {what} in {}: {why}", path.display()))
            .hint("both are PEM files: BEGIN CERTIFICATE, the server's own first; BEGIN PRIVATE KEY")
    };
    let bytes = small(certificates).map_err(|why| failed("certificate", certificates, why))?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| failed("certificate", certificates, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("certificate", certificates, "there is none".to_owned()));
    }
    let bytes = small(key).map_err(|why| failed("key", key, why))?;
    let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| failed("key", key, error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let config = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|error| failed("key", key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn small(path: &Path) -> Result<Vec<u8>, String> {
    let found = std::fs::metadata(path).map_err(|error| plain(&error))?;
    if !found.is_file() || found.len() > LONGEST {
        return Err(format!("it is no file of at most {LONGEST} bytes"));
    }
    std::fs::read(path).map_err(|error| plain(&error))
}

/// Without the number that Rust appends.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Nobody can guess it.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    match crypto::ring::default_provider().secure_random.fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Failure::world("the system gives no random numbers")),
    }
}
