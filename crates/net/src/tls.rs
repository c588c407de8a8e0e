//! Whom to trust: the system's certificate store, else Mozilla's list, and always what the settings add.
//!
//! One provider (`ring`), passed explicitly: with two compiled in, rustls would not know which to take.

use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Reads the system's store, so it is called once per client and only when something is fetched.
pub(crate) fn config(further: &[u8]) -> TlsConfig {
    let mut trusted: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if trusted.is_empty() {
        let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        trusted.extend(mozilla.map(|certificate| Certificate::from_der(certificate)));
    }
    trusted.extend(parse_pem(further).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    }));
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
