//! Certificates of an authority that exists for tests alone: its own key is gone, so it signs nothing more.
//!
//! | file | whose |
//! |---|---|
//! | `ca.pem` | the authority's |
//! | `server.pem`, `server.key` | localhost, registry.test, other.test, 127.0.0.1, 127.0.0.2 |
//! | `client.pem`, `client.key` | somebody who may show it |

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// PEM of the authority.
pub const AUTHORITY: &[u8] = include_bytes!("certificates/ca.pem");
/// PEM of a client's certificate.
pub const CLIENT: &[u8] = include_bytes!("certificates/client.pem");
/// PEM of its key.
pub const CLIENT_KEY: &[u8] = include_bytes!("certificates/client.key");
/// PEM of a server's certificate.
pub const SERVER: &[u8] = include_bytes!("certificates/server.pem");
/// PEM of its key.
pub const SERVER_KEY: &[u8] = include_bytes!("certificates/server.key");

/// A server that lets everybody in.
pub fn server() -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(chain(), key()).unwrap()
}

/// A server that wants a certificate of the authority.
pub fn server_for_known_clients() -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_client_cert_verifier(verifier).with_single_cert(chain(), key()).unwrap()
}

fn chain() -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from_pem_slice(SERVER).unwrap()]
}

fn key() -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap()
}
