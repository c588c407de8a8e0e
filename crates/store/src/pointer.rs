//! Small files that are written whole and replaced whole: what their bytes look like.
//!
//! | file | bytes |
//! |---|---|
//! | `images/…/_tags/<tag>` | `sha256:<hex>` and a line end |
//! | `referrers/<subject>/<referrer>` | the referrer's descriptor as JSON in one line, then the digest of that (older ones lack it) |
//! | `cache/<key>` | `corten-record 2 sha256:<hex>`, a line end, the value; the hash is of the key, a line end, and the value |

use corten_oci::{Descriptor, Digest, Digester};

/// Pointers are small; a larger file is none of ours.
pub(crate) const LARGEST: u64 = 64 << 10;
/// Records hold a few lines, seldom a list of files.
pub(crate) const LARGEST_RECORD: u64 = 256 << 20;

const RECORD: &str = "corten-record 2 ";

pub(crate) fn encode_image(digest: &Digest) -> Vec<u8> {
    format!("{digest}\n").into_bytes()
}

pub(crate) fn decode_image(bytes: &[u8]) -> Option<Digest> {
    std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?.parse().ok()
}

pub(crate) fn encode_referrer(referrer: &Descriptor) -> Vec<u8> {
    // A descriptor holds texts and numbers alone: nothing of it can fail to become JSON.
    let mut bytes = serde_json::to_vec(referrer).unwrap_or_default();
    bytes.extend_from_slice(format!("\n{}\n", Digest::of(&bytes)).as_bytes());
    bytes
}

pub(crate) fn decode_referrer(bytes: &[u8]) -> Option<Descriptor> {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (json, rest) = bytes.split_at(end);
    let is_whole = rest.is_empty() || rest == format!("\n{}\n", Digest::of(json)).as_bytes();
    serde_json::from_slice(json).ok().filter(|_| is_whole)
}

pub(crate) fn encode_record(key: &Digest, value: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{RECORD}{}\n", bound(key, value)).into_bytes();
    bytes.extend_from_slice(value);
    bytes
}

/// A value of one key is none of another.
fn bound(key: &Digest, value: &[u8]) -> Digest {
    let mut digester = Digester::new();
    digester.update(format!("{key}\n").as_bytes());
    digester.update(value);
    digester.finish()
}

/// None where the file is torn, another key's, or of another version.
pub(crate) fn decode_record(key: &Digest, bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(RECORD.as_bytes())?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let digest: Digest = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let value = &rest[end + 1..];
    (bound(key, value) == digest).then(|| value.to_vec())
}
