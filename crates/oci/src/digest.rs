//! Content by its SHA-256.
//!
//! Only two things make a [`Digest`]: hashing bytes and parsing the text form `sha256:<64 lower-case hex>`
//! (OCI image specification, "Digests"). Other algorithms are refused by name, also SHA-512, which the specification
//! registers too: nothing that Corten reads or writes uses one, and a content that cannot be checked is not taken.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256";

/// The SHA-256 of some content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// 64 lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        self.digits().map(char::from).collect()
    }

    /// The first 12 hexadecimal digits: enough for people, too few for programs.
    pub fn short(&self) -> String {
        self.digits().take(12).map(char::from).collect()
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    /// The 32 bytes of a hash.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `sha256:` in front.
    #[error("digest '{0}' does not begin with 'sha256:', the one algorithm that is supported")]
    Algorithm(String),
    /// Not 64 lower-case hexadecimal digits after the colon.
    #[error("digest '{0}' does not have 64 lower-case hexadecimal digits")]
    Hex(String),
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = text
            .strip_prefix(ALGORITHM)
            .and_then(|rest| rest.strip_prefix(':'))
            .ok_or_else(|| DigestError::Algorithm(text.to_owned()))?;
        parse_hex(hex).map(Self).ok_or_else(|| DigestError::Hex(text.to_owned()))
    }
}

fn parse_hex(hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of a layer's uncompressed tar (`rootfs.diff_ids` of an image config).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hashes bytes as they come.
#[derive(Clone, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hash_of_nothing_is_the_published_one() {
        assert_eq!(Digest::of([]).to_string(), EMPTY);
        assert_eq!(Digester::new().finish().to_string(), EMPTY);
    }

    #[test]
    fn text_form_survives_a_round_trip() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
    }

    #[test]
    fn b3_what_is_no_digest_is_refused() {
        let hex = &EMPTY[7..];
        let sha512 = format!("sha512:{hex}{hex}");
        let upper = format!("sha256:{}", hex.to_uppercase());
        let climbs = format!("sha256:../../{}", &hex[6..]);
        let others =
            [format!("sha256:{hex}0"), format!("sha256:{hex}\n"), format!(" {EMPTY}"), format!("sha256+b64:{hex}")];
        for text in
            ["", "sha256", "sha256:", "sha256:../../x", "md5:00", hex, &EMPTY.to_uppercase(), &EMPTY[..70], "sha256:zz"]
                .into_iter()
                .chain([sha512.as_str(), &upper, &climbs])
                .chain(others.iter().map(String::as_str))
        {
            assert!(text.parse::<Digest>().is_err(), "{text}");
            assert!(serde_json::from_value::<Digest>(text.into()).is_err(), "{text}");
        }
        let refused = sha512.parse::<Digest>().unwrap_err().to_string();
        assert!(refused.contains("sha512"), "the algorithm is named: {refused}");
    }
}
