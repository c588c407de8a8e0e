//! Whose signatures count, and for what. Debian's own archive keys travel in the binary, so that trust does not depend
//! on the machine that builds; for another archive the caller brings a keyring.
//!
//! | signs | keys |
//! |---|---|
//! | bookworm, bookworm-updates | archive 12, archive 13, stable release 12 |
//! | bookworm-security | security 11, security 12 |
//! | trixie, trixie-updates | archive 12, archive 13, stable release 13 |
//! | trixie-security | security 12, security 13 |

use std::sync::OnceLock;

use corten_diagnostic::{Diagnose, Fault};
use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::types::KeyDetails;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A release itself and its updates.
    Archive,
    /// Security updates.
    Security,
}

/// A keyring that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyringError(String);

impl Diagnose for KeyringError {
    fn fault(&self) -> Fault {
        Fault::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec!["a keyring holds OpenPGP public keys, binary or armored, as `gpg --export` writes them".into()]
    }
}

/// Certificates, each with what it may sign.
pub struct Keyring {
    keys: Keys,
}

enum Keys {
    /// Debian's, read when first asked for: most builds verify nothing.
    Debian(OnceLock<Vec<Trusted>>),
    /// Those of a user's keyring.
    Own(Vec<Trusted>),
}

struct Trusted {
    certificate: SignedPublicKey,
    /// Nothing: everything.
    only: Option<(Purpose, &'static [&'static str])>,
}

/// One key of Debian's: its bytes, the fingerprint of its primary key, what it may sign.
struct Embedded {
    bytes: &'static [u8],
    fingerprint: &'static str,
    purpose: Purpose,
    releases: &'static [&'static str],
}

const EMBEDDED: [Embedded; 7] = [
    Embedded {
        bytes: include_bytes!("keyring/bookworm-automatic.gpg"),
        fingerprint: "b8b80b5b623eab6ad8775c45b7c5d7d6350947f8",
        purpose: Purpose::Archive,
        releases: &["bookworm", "trixie"],
    },
    Embedded {
        bytes: include_bytes!("keyring/trixie-automatic.gpg"),
        fingerprint: "04b54c3cdca79751b16bc6b5225629df75b188bd",
        purpose: Purpose::Archive,
        releases: &["bookworm", "trixie"],
    },
    Embedded {
        bytes: include_bytes!("keyring/bookworm-stable.gpg"),
        fingerprint: "4d64fec119c2029067d6e791f8d2585b8783d481",
        purpose: Purpose::Archive,
        releases: &["bookworm"],
    },
    Embedded {
        bytes: include_bytes!("keyring/trixie-stable.gpg"),
        fingerprint: "41587f7db8c774bccf131416762f67a0b2c39de4",
        purpose: Purpose::Archive,
        releases: &["trixie"],
    },
    Embedded {
        bytes: include_bytes!("keyring/bullseye-security-automatic.gpg"),
        fingerprint: "ac530d520f2f3269f5e98313a48449044aad5c5d",
        purpose: Purpose::Security,
        releases: &["bookworm"],
    },
    Embedded {
        bytes: include_bytes!("keyring/bookworm-security-automatic.gpg"),
        fingerprint: "05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0",
        purpose: Purpose::Security,
        releases: &["bookworm", "trixie"],
    },
    Embedded {
        bytes: include_bytes!("keyring/trixie-security-automatic.gpg"),
        fingerprint: "5e04a1e3223a19a20706e20f9904613d4cce68c6",
        purpose: Purpose::Security,
        releases: &["trixie"],
    },
];

impl Keyring {
    /// Debian's archive keys, each for the releases and purpose of the table above.
    pub fn debian() -> Self {
        Self { keys: Keys::Debian(OnceLock::new()) }
    }

    /// Keys of another archive (binary or armored); each may sign everything.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        let certificates: Vec<Trusted> =
            parse(bytes)?.into_iter().map(|certificate| Trusted { certificate, only: None }).collect();
        if certificates.is_empty() {
            return Err(KeyringError("it holds no public key".into()));
        }
        Ok(Self { keys: Keys::Own(certificates) })
    }

    /// Is it Debian's own, which signs nothing but Debian?
    pub(super) fn is_debian(&self) -> bool {
        matches!(self.keys, Keys::Debian(_))
    }

    fn certificates(&self) -> &[Trusted] {
        match &self.keys {
            Keys::Debian(read) => read.get_or_init(embedded),
            Keys::Own(certificates) => certificates,
        }
    }

    /// The certificates that may sign `release` (`bookworm`) for `purpose`.
    pub(super) fn allowed<'a>(
        &'a self,
        release: &'a str,
        purpose: Purpose,
    ) -> impl Iterator<Item = &'a SignedPublicKey> + 'a {
        self.certificates()
            .iter()
            .filter(move |trusted| match trusted.only {
                Some((only, releases)) => only == purpose && releases.contains(&release),
                None => true,
            })
            .map(|trusted| &trusted.certificate)
    }
}

/// The keys that travel in the binary. One that is not what its fingerprint says is trusted by nobody; the tests see that
/// there is none such.
fn embedded() -> Vec<Trusted> {
    let read = |key: &'static Embedded| {
        let certificates = parse(key.bytes).unwrap_or_default().into_iter();
        let right = certificates.filter(|one| one.primary_key.fingerprint().to_string() == key.fingerprint);
        right.map(|certificate| Trusted { certificate, only: Some((key.purpose, key.releases)) })
    };
    EMBEDDED.iter().flat_map(read).collect()
}

fn parse(bytes: &[u8]) -> Result<Vec<SignedPublicKey>, KeyringError> {
    let wrong = |_: pgp::errors::Error| KeyringError("it is no OpenPGP public key".into());
    let armored = bytes.trim_ascii_start().starts_with(b"-----BEGIN PGP");
    if armored {
        let (keys, _) = SignedPublicKey::from_armor_many_buf(bytes).map_err(wrong)?;
        return keys.collect::<Result<_, _>>().map_err(wrong);
    }
    let keys = SignedPublicKey::from_bytes_many(bytes).map_err(wrong)?;
    keys.collect::<Result<_, _>>().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_key_is_the_one_that_its_fingerprint_says() {
        assert_eq!(Keyring::debian().certificates().len(), EMBEDDED.len());
    }

    #[test]
    fn each_release_has_its_keys_and_security_others() {
        let keyring = Keyring::debian();
        let count = |release, purpose| keyring.allowed(release, purpose).count();
        assert_eq!(count("bookworm", Purpose::Archive), 3);
        assert_eq!(count("bookworm", Purpose::Security), 2);
        assert_eq!(count("trixie", Purpose::Archive), 3);
        assert_eq!(count("trixie", Purpose::Security), 2);
        assert_eq!(count("sid", Purpose::Archive), 0);
    }

    #[test]
    fn what_holds_no_key_is_no_keyring() {
        for bytes in [&b""[..], b"hello", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", &[0xc6, 0xff]] {
            assert!(Keyring::from_bytes(bytes).is_err(), "{bytes:?}");
        }
    }
}
