//! Cleartext signatures of the archive (`InRelease`): the framing is read here and exactly, the packets and the
//! mathematics are rPGP's, and what rPGP leaves to its caller is checked here: which key may sign, its usage, expiry
//! and revocation, weak hashes.
//!
//! ```text
//! -----BEGIN PGP SIGNED MESSAGE-----
//! Hash: SHA256
//!
//! the text, lines that begin with a dash escaped as "- -…"
//! -----BEGIN PGP SIGNATURE-----
//! …
//! -----END PGP SIGNATURE-----
//! ```
//!
//! Nothing may stand before or after (else a proxy could let another reader see another text). Only the text that was
//! signed is ever handed on. Format: RFC 9580, section 7.

use corten_diagnostic::{Diagnose, Fault};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, PublicParams, SignedUser, Tag, VerifyingKey};

use super::keyring::{Keyring, Purpose};

/// An `InRelease` has about 150 KB.
pub const MAX_MESSAGE: u64 = 4 << 20;
/// An archive signs with two or three keys.
const MAX_SIGNATURES: usize = 32;
/// How far clocks may be apart, seconds.
pub(super) const CLOCK_SKEW: u64 = 600;
/// Bytes of RSA parameters from 2048 bits on: two length fields, modulus, exponent.
const RSA_2048_BYTES: usize = 2 + 256 + 2 + 1;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// Why a text is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not exactly one cleartext-signed message.
    #[error("it is not one cleartext-signed message: {0}")]
    Framing(String),
    /// No signature counts; why for each.
    #[error("no signature of it counts: {}", .0.join("; "))]
    Untrusted(Vec<String>),
}

impl Diagnose for SignatureError {
    fn fault(&self) -> Fault {
        Fault::World
    }
}

/// A text that a trusted key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The text, without escapes, lines ended by `\n`, without blanks at their ends.
    pub text: String,
    /// Fingerprint of the key whose signature was good, lower-case hexadecimal.
    pub key: String,
}

/// Checks a cleartext-signed message: at least one good signature by a key of `keyring` that may sign `release`
/// (`bookworm`) for `purpose`, valid at `now` (seconds since 1970).
pub fn verify(
    message: &[u8],
    keyring: &Keyring,
    release: &str,
    purpose: Purpose,
    now: u64,
) -> Result<SignedText, SignatureError> {
    let Framed { text, armor } = unframe(message)?;
    let mut reasons = Vec::new();
    for signature in signatures(&armor)? {
        match trusted(&signature, &text, keyring.allowed(release, purpose), now) {
            Ok(key) => return Ok(SignedText { text, key }),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(SignatureError::Untrusted(reasons))
}

struct Framed {
    text: String,
    armor: String,
}

fn unframe(message: &[u8]) -> Result<Framed, SignatureError> {
    let framing = |why: &str| SignatureError::Framing(why.into());
    if message.len() as u64 > MAX_MESSAGE {
        return Err(framing("too long"));
    }
    let message = std::str::from_utf8(message).map_err(|_| framing("not UTF-8"))?;
    if message.contains('\0') {
        return Err(framing("it holds a NUL byte"));
    }
    let mut lines = message.lines().map(|line| line.trim_end_matches([' ', '\t', '\r']));
    if lines.next() != Some(BEGIN_MESSAGE) {
        return Err(framing("it does not begin with its header line"));
    }
    skip_headers(&mut lines)?;
    let mut text = String::with_capacity(message.len());
    loop {
        let line = lines.next().ok_or_else(|| framing("it ends before its signature"))?;
        if line == BEGIN_SIGNATURE {
            break;
        }
        if line.contains('\r') {
            return Err(framing("a carriage return within a line"));
        }
        text.push_str(unescape(line)?);
        text.push('\n');
    }
    let armor = rest_is_signature(lines)?;
    Ok(Framed { text, armor })
}

/// `Hash:` is the only header that may stand there; the signature packets name their hash themselves.
fn skip_headers<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<(), SignatureError> {
    for line in lines {
        if line.is_empty() {
            return Ok(());
        }
        let strong = |name: &str| matches!(name.trim(), "SHA256" | "SHA384" | "SHA512");
        if !line.strip_prefix("Hash: ").is_some_and(|names| names.split(',').all(strong)) {
            return Err(SignatureError::Framing("a header other than 'Hash' with a strong hash".into()));
        }
    }
    Err(SignatureError::Framing("it ends in its headers".into()))
}

fn unescape(line: &str) -> Result<&str, SignatureError> {
    match line.strip_prefix('-') {
        None => Ok(line),
        Some("") => Ok(""),
        Some(rest) => rest
            .strip_prefix(' ')
            .ok_or_else(|| SignatureError::Framing("a line that begins with a dash is not escaped".into())),
    }
}

fn rest_is_signature<'a>(mut lines: impl Iterator<Item = &'a str>) -> Result<String, SignatureError> {
    let mut armor = format!("{BEGIN_SIGNATURE}\n");
    loop {
        let line = lines.next().ok_or_else(|| SignatureError::Framing("the signature does not end".into()))?;
        armor.push_str(line);
        armor.push('\n');
        if line == END_SIGNATURE {
            break;
        }
    }
    match lines.next() {
        None => Ok(armor),
        Some(_) => Err(SignatureError::Framing("something follows the signature".into())),
    }
}

fn signatures(armor: &str) -> Result<Vec<Signature>, SignatureError> {
    let framing = |error: pgp::errors::Error| SignatureError::Framing(format!("its signature block: {error}"));
    let (parsed, _) = DetachedSignature::from_string_many(armor).map_err(framing)?;
    let signatures: Vec<Signature> = parsed
        .take(MAX_SIGNATURES)
        .map(|one| one.map(|one| one.signature))
        .collect::<Result<_, _>>()
        .map_err(framing)?;
    match signatures.is_empty() {
        true => Err(SignatureError::Framing("its signature block is empty".into())),
        false => Ok(signatures),
    }
}

/// The fingerprint of the key that made `signature`, if it is good; else the reason.
fn trusted<'a>(
    signature: &Signature,
    text: &str,
    certificates: impl Iterator<Item = &'a SignedPublicKey>,
    now: u64,
) -> Result<String, String> {
    for certificate in certificates {
        let primary = &certificate.primary_key;
        if issued_by(signature, primary) {
            primary_may_sign(certificate, now).map_err(|why| name(primary, &why))?;
            check_text(signature, primary, text, now).map_err(|why| name(primary, &why))?;
            return Ok(primary.fingerprint().to_string());
        }
        for subkey in &certificate.public_subkeys {
            if issued_by(signature, &subkey.key) {
                let key = &subkey.key;
                subkey_may_sign(certificate, subkey, now).map_err(|why| name(key, &why))?;
                check_text(signature, key, text, now).map_err(|why| name(key, &why))?;
                return Ok(key.fingerprint().to_string());
            }
        }
    }
    Err(format!("{} is not a key that may sign this", issuer(signature)))
}

fn name(key: &impl KeyDetails, why: &str) -> String {
    format!("{}: {why}", key.fingerprint().to_string().to_uppercase())
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(|fingerprint| fingerprint.to_string());
    let key_id = || signature.issuer_key_id().first().map(|id| id.to_string());
    fingerprint.or_else(key_id).map_or_else(|| "a signature without issuer".into(), |id| id.to_uppercase())
}

/// A fingerprint decides where there is one; the short id is only for signatures without.
fn issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        return signature.issuer_key_id().contains(&&key.legacy_key_id());
    }
    fingerprints.contains(&&key.fingerprint())
}

fn check_text(signature: &Signature, key: &impl VerifyingKey, text: &str, now: u64) -> Result<(), String> {
    if signature.typ() != Some(SignatureType::Text) {
        return Err("not a signature over text".into());
    }
    strong(signature, key)?;
    in_force(signature, now)?;
    if created(signature) < u64::from(key.created_at().as_secs()) {
        return Err("the signature is older than its key".into());
    }
    let signed = text.strip_suffix('\n').unwrap_or(text);
    signature.verify(key, signed.as_bytes()).map_err(|_| "the signature does not fit the text".into())
}

fn strong(signature: &Signature, key: &impl KeyDetails) -> Result<(), String> {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
        Some(weak) => return Err(format!("made with the hash {weak}, which is not accepted")),
        None => return Err("a signature of an unknown version".into()),
    }
    match key.public_params() {
        PublicParams::RSA(parameters) if parameters.write_len() >= RSA_2048_BYTES => Ok(()),
        PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::ECDSA(_) => Ok(()),
        _ => Err("made with an algorithm or key size that is not accepted".into()),
    }
}

fn created(signature: &Signature) -> u64 {
    signature.created().map_or(0, |time| u64::from(time.as_secs()))
}

fn in_force(signature: &Signature, now: u64) -> Result<(), String> {
    let created = created(signature);
    if created == 0 || created > now.saturating_add(CLOCK_SKEW) {
        return Err("the signature is from the future, or without time".into());
    }
    match signature.signature_expiration_time().map_or(0, |after| u64::from(after.as_secs())) {
        0 => Ok(()),
        after if created + after > now => Ok(()),
        _ => Err("the signature has expired".into()),
    }
}

fn primary_may_sign(certificate: &SignedPublicKey, now: u64) -> Result<(), String> {
    let own = valid_primary(certificate, now)?;
    match own.key_flags().sign() {
        true => Ok(()),
        false => Err("the key is not for signing".into()),
    }
}

/// The newest self-signature of a key that is neither revoked nor expired.
fn valid_primary(certificate: &SignedPublicKey, now: u64) -> Result<&Signature, String> {
    let primary = &certificate.primary_key;
    if certificate.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err("the key is revoked".into());
    }
    let direct = certificate.details.direct_signatures.iter().filter(|one| one.verify_key(primary).is_ok());
    let users = certificate.details.users.iter().filter_map(|user| self_certification(certificate, user));
    let newest = direct
        .chain(users)
        .filter(|one| strong(one, primary).is_ok() && in_force(one, now).is_ok())
        .max_by_key(|one| created(one))
        .ok_or("the key has no valid self-signature")?;
    not_expired(primary, newest, now)?;
    Ok(newest)
}

fn self_certification<'a>(certificate: &SignedPublicKey, user: &'a SignedUser) -> Option<&'a Signature> {
    let primary = &certificate.primary_key;
    let own =
        |one: &&Signature| issued_by(one, primary) && one.verify_certification(primary, Tag::UserId, &user.id).is_ok();
    let newest = user.signatures.iter().filter(own).max_by_key(|one| created(one))?;
    (newest.typ() != Some(SignatureType::CertRevocation)).then_some(newest)
}

fn subkey_may_sign(certificate: &SignedPublicKey, subkey: &SignedPublicSubKey, now: u64) -> Result<(), String> {
    valid_primary(certificate, now).map_err(|why| format!("its primary key: {why}"))?;
    let (primary, key) = (&certificate.primary_key, &subkey.key);
    let valid: Vec<&Signature> =
        subkey.signatures.iter().filter(|one| one.verify_subkey_binding(primary, key).is_ok()).collect();
    if valid.iter().any(|one| one.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err("the key is revoked".into());
    }
    let binding = valid
        .into_iter()
        .filter(|one| strong(one, primary).is_ok() && in_force(one, now).is_ok())
        .max_by_key(|one| created(one))
        .ok_or("the key is not bound to its primary key")?;
    not_expired(key, binding, now)?;
    if !binding.key_flags().sign() {
        return Err("the key is not for signing".into());
    }
    let back = binding.embedded_signature().ok_or("the key does not confirm its primary key")?;
    strong(back, key)?;
    back.verify_primary_key_binding(key, primary).map_err(|_| "the key does not confirm its primary key".into())
}

fn not_expired(key: &impl KeyDetails, own: &Signature, now: u64) -> Result<(), String> {
    let made = u64::from(key.created_at().as_secs());
    if made > now.saturating_add(CLOCK_SKEW) {
        return Err("the key is from the future".into());
    }
    match own.key_expiration_time().map_or(0, |after| u64::from(after.as_secs())) {
        0 => Ok(()),
        after if made + after > now => Ok(()),
        _ => Err("the key has expired".into()),
    }
}
