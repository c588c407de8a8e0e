//! Whom to trust: the system's certificate store, else Mozilla's list, and always what the settings add. And what we show
//! of ourselves, where a host wants a certificate.
//!
//! One provider (`ring`), passed explicitly: with two compiled in, rustls would not know which to take.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::Settings;

/// Bytes of a file with certificates.
const LONGEST: u64 = 1 << 20;

/// Reads the system's store, so it is called once per client and only when something is fetched.
pub(crate) fn config(further: &[u8]) -> Result<TlsConfig, String> {
    let mut trusted: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if trusted.is_empty() {
        let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        trusted.extend(mozilla.map(|certificate| Certificate::from_der(certificate)));
    }
    if !further.is_empty() {
        trusted.extend(certificates(further).ok_or("the settings' certificate authorities are no PEM")?);
    }
    Ok(build(trusted, None))
}

/// For those who never speak TLS.
pub(crate) fn nobody() -> TlsConfig {
    build(Vec::new(), None)
}

fn build(trusted: Vec<Certificate<'static>>, own: Option<ClientCert>) -> TlsConfig {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::from(trusted))
        .client_cert(own)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// All of a text; none where it has none.
fn certificates(pem: &[u8]) -> Option<Vec<Certificate<'static>>> {
    let found: Vec<_> = parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    Some(found).filter(|found| !found.is_empty())
}

/// Where a host's own certificates lie. The place is a host with its port, where that is not the usual one.
pub(crate) fn folder_of(place: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    // Never more than one component: a host has no slash, and `..` is none.
    let plain = !place.is_empty() && !place.contains('/') && place != "." && place != "..";
    folders.iter().filter(|_| plain).map(|folder| folder.join(place)).find(|folder| folder.is_dir())
}

/// As all trust, and what lies in the host's folder (docs.docker.com, "Verify repository client with certificates").
pub(crate) fn with_own(all: &TlsConfig, place: &str, settings: &Settings) -> Result<TlsConfig, String> {
    let mut trusted = match all.root_certs() {
        RootCerts::Specific(known) => known.to_vec(),
        _ => Vec::new(),
    };
    if let Some(pem) = settings.host_authorities.get(place) {
        trusted.extend(certificates(pem).ok_or_else(|| format!("the settings' authorities for {place} are no PEM"))?);
    }
    let mut own = None;
    let folder = folder_of(place, &settings.host_certificates);
    for file in folder.map(|folder| files(&folder)).transpose()?.unwrap_or_default() {
        match file.extension().and_then(|end| end.to_str()) {
            Some("crt") => trusted.extend(read_certificates(&file)?),
            Some("cert") => own = Some(ClientCert::new_with_certs(&read_certificates(&file)?, read_key(&file)?)),
            _ => {}
        }
    }
    Ok(build(trusted, own))
}

/// Sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("reading {}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(file)
        .and_then(|opened| std::io::Read::read_to_end(&mut std::io::Read::take(opened, LONGEST), &mut bytes));
    read.map(|_| bytes).map_err(|error| format!("reading {}: {error}", file.display()))
}

fn read_certificates(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    certificates(&read(file)?).ok_or_else(|| format!("reading {}: there is no certificate (PEM) in it", file.display()))
}

/// Of `NAME.cert` the key in `NAME.key`.
fn read_key(certificate: &Path) -> Result<ureq::tls::PrivateKey<'static>, String> {
    let file = certificate.with_extension("key");
    let found = parse_pem(&read(&file)?).find_map(|item| match item {
        Ok(PemItem::PrivateKey(key)) => Some(key),
        _ => None,
    });
    found.ok_or_else(|| format!("reading {}: there is no key (PEM) in it", file.display()))
}
