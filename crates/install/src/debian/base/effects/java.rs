//! The certificates that Java trusts, as `ca-certificates-java` makes them of those of the base: a key store in Java's own
//! format.
//!
//! ```text
//! u32 0xfeedfeed  u32 2  u32 entries  n × (u32 2  text alias  i64 milliseconds  text "X.509"  u32 length, DER)  SHA-1
//! ```
//!
//! Numbers are big-endian, texts have a u16 length; the digest is of the password's UTF-16, the words below and all that
//! stands before it. Source: OpenJDK, `sun.security.provider.JavaKeyStore`; the package's `UpdateCertificates.java`.

use sha1::{Digest as _, Sha1};

use crate::debian::base::{BaseError, Making};
use crate::debian::certificates;

/// Whose script this does.
pub(super) const PACKAGE: &str = "ca-certificates-java";

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const TRUSTED: u32 = 2;
const PASSWORD: &str = "changeit";
const WHITENER: &[u8] = b"Mighty Aphrodite";

impl Making<'_> {
    pub(super) fn make_java_certificates(&mut self) -> Result<(), BaseError> {
        let Some(bundle) = self.tree.read("etc/ssl/certs/ca-certificates.crt").cloned() else { return Ok(()) };
        let certificates = certificates::all_certificates(&bundle);
        let names = self.certificate_names();
        let named = names.len() == certificates.len();
        let alias = |at: usize| match names.get(at).filter(|_| named) {
            Some(name) => format!("debian:{}", name.to_lowercase()),
            None => format!("debian:{at:04}.pem"),
        };
        let mut entries: Vec<(String, Vec<u8>)> =
            certificates.into_iter().enumerate().map(|(at, certificate)| (alias(at), certificate)).collect();
        entries.sort();
        let store = key_store(&entries, self.options.epoch);
        self.file("etc/ssl/certs/java/cacerts", 0o644, store, PACKAGE)
    }

    /// As `update-ca-certificates` spells them, in the order of the bundle.
    fn certificate_names(&self) -> Vec<String> {
        let package = self.package("ca-certificates");
        let paths = package.into_iter().flat_map(|package| &package.paths).filter_map(|path| path.as_str());
        let mut files: Vec<&str> =
            paths.filter(|path| path.starts_with("usr/share/ca-certificates/") && path.ends_with(".crt")).collect();
        files.sort_unstable();
        files.into_iter().map(certificates::pem_name).collect()
    }
}

/// `epoch`: seconds since 1970. An alias that is too long for the format is left out.
fn key_store(entries: &[(String, Vec<u8>)], epoch: u64) -> Vec<u8> {
    let entries: Vec<_> = entries.iter().filter(|(alias, _)| u16::try_from(alias.len()).is_ok()).collect();
    let mut store = Vec::new();
    for number in [MAGIC, VERSION, number(entries.len())] {
        store.extend(number.to_be_bytes());
    }
    for (alias, certificate) in entries {
        store.extend(TRUSTED.to_be_bytes());
        text(&mut store, alias);
        store.extend(epoch.saturating_mul(1000).to_be_bytes());
        text(&mut store, "X.509");
        store.extend(number(certificate.len()).to_be_bytes());
        store.extend(certificate);
    }
    let mut digest = Sha1::new();
    digest.update(PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    digest.update(WHITENER);
    digest.update(&store);
    store.extend(digest.finalize());
    store
}

fn text(store: &mut Vec<u8>, text: &str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend(text.bytes());
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `keytool -list` takes; read back by hand, as no Java is where the tests run.
    #[test]
    fn a_store_ends_with_the_digest_of_all_before_it() {
        let store = key_store(&[("debian:a.pem".into(), b"DER".to_vec())], 2);
        let expected = "feedfeed000000020000000100000002000c64656269616e3a612e70656d\
                        00000000000007d00005582e35303900000003444552";
        let hex: String = store.iter().map(|byte| format!("{byte:02x}")).collect();
        let (body, digest) = hex.split_at(expected.len());
        assert_eq!(body, expected);
        let secret = b"\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite".to_vec();
        let mut all = secret;
        all.extend(&store[..store.len() - 20]);
        assert_eq!(digest, format!("{:x}", Sha1::digest(&all)));
    }
}
