//! Records of a PAX header: `LENGTH KEY=VALUE\n`, LENGTH in decimal and of the whole record.
//!
//! Keys that no layer needs are read over, as POSIX wants; those that say what or where an entry is must be right.

use std::collections::BTreeMap;

use crate::attributes::{COUNT_LIMIT, NAME_LIMIT, PAX_PREFIX, VALUE_LIMIT};

/// What a PAX header says about the entry behind it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Reads the header of one entry.
pub(super) fn parse(payload: &[u8]) -> Result<Extended, String> {
    let mut extended = Extended::default();
    each_record(payload, |key, value| match key {
        b"path" => once(&mut extended.path, text(key, value)?, key),
        b"linkpath" => once(&mut extended.link, text(key, value)?, key),
        b"size" => once(&mut extended.size, decimal(key, value)?, key),
        b"uid" => once(&mut extended.uid, decimal(key, value)?, key),
        b"gid" => once(&mut extended.gid, decimal(key, value)?, key),
        b"mtime" => once(&mut extended.mtime, seconds(key, value)?, key),
        b"hdrcharset" if !matches!(value, b"BINARY" | b"ISO-IR 10646 2000 UTF-8") => {
            Err(format!("PAX character set '{}' is not read", value.escape_ascii()))
        }
        _ if key.starts_with(b"GNU.sparse.") => Err("sparse files are not read".into()),
        _ => match key.strip_prefix(PAX_PREFIX) {
            Some(name) => add_xattr(&mut extended.xattrs, name, value),
            None => Ok(()),
        },
    })?;
    Ok(extended)
}

fn add_xattr(xattrs: &mut BTreeMap<Vec<u8>, Vec<u8>>, name: &[u8], value: &[u8]) -> Result<(), String> {
    let shown = || name.get(..40).unwrap_or(name).escape_ascii().to_string();
    if name.is_empty() || name.len() > NAME_LIMIT {
        return Err(format!("the name '{}' of an extended attribute has {} bytes", shown(), name.len()));
    }
    if value.len() > VALUE_LIMIT {
        return Err(format!("extended attribute '{}' has {} bytes, over the limit of 64 KiB", shown(), value.len()));
    }
    if xattrs.len() >= COUNT_LIMIT {
        return Err(format!("an entry has more than {COUNT_LIMIT} extended attributes"));
    }
    match xattrs.insert(name.to_vec(), value.to_vec()) {
        None => Ok(()),
        Some(_) => Err(format!("extended attribute '{}' stands twice", shown())),
    }
}

/// Reads a global header, which may only hold what we do not use (`comment`).
pub(super) fn parse_global(payload: &[u8]) -> Result<(), String> {
    each_record(payload, |key, _| match key {
        b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" | b"hdrcharset" => {
            Err(format!("a global PAX header sets '{}' for all entries", key.escape_ascii()))
        }
        _ if key.starts_with(b"GNU.sparse.") => Err("sparse files are not read".into()),
        _ => Ok(()),
    })
}

fn each_record(mut payload: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> Result<(), String>) -> Result<(), String> {
    while !payload.is_empty() {
        let (key, value, rest) = split_record(payload).ok_or("a PAX record is malformed")?;
        if key.is_empty() || key.contains(&0) {
            return Err("a PAX record's key is empty or has a NUL byte".into());
        }
        take(key, value)?;
        payload = rest;
    }
    Ok(())
}

fn split_record(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // 1 MiB has seven digits.
    let space = payload.iter().take(8).position(|&byte| byte == b' ')?;
    let length = usize::try_from(digits(&payload[..space])?).ok()?;
    let record = payload.get(space + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &payload[length..]))
}

fn once<T>(place: &mut Option<T>, value: T, key: &[u8]) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("PAX key '{}' stands twice", key.escape_ascii())),
    }
}

fn text(key: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
    if value.is_empty() || value.contains(&0) {
        return Err(format!("the value of PAX key '{}' is empty or has a NUL byte", key.escape_ascii()));
    }
    Ok(value.to_vec())
}

fn decimal(key: &[u8], value: &[u8]) -> Result<u64, String> {
    digits(value).ok_or_else(|| bad_number(key, value))
}

/// Seconds with or without a fraction, rounded down.
fn seconds(key: &[u8], value: &[u8]) -> Result<i64, String> {
    let bad = || bad_number(key, value);
    let (negative, magnitude) = match value.strip_prefix(b"-") {
        Some(magnitude) => (true, magnitude),
        None => (false, value),
    };
    let mut parts = magnitude.splitn(2, |&byte| byte == b'.');
    let whole = parts.next().and_then(digits).and_then(|whole| i64::try_from(whole).ok()).ok_or_else(bad)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let behind_zero = fraction.iter().any(|&digit| digit != b'0');
    Ok(if negative { -whole - i64::from(behind_zero) } else { whole })
}

fn bad_number(key: &[u8], value: &[u8]) -> String {
    let shown = &value[..value.len().min(40)];
    format!("the value '{}' of PAX key '{}' is no number", shown.escape_ascii(), key.escape_ascii())
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let extended = parse(b"11 path=a/b\n9 size=7\n20 mtime=-1.500000\n12 comment=\n").unwrap_err();
        assert_eq!(extended, "a PAX record is malformed", "a length that is one off");
        let extended = parse(b"12 path=a/b\n9 size=7\n19 mtime=-1.500000\n12 comment=\n").unwrap();
        let expected = Extended { path: Some(b"a/b".into()), size: Some(7), mtime: Some(-2), ..Extended::default() };
        assert_eq!(extended, expected);
    }

    #[test]
    fn broken_records_are_refused() {
        let hostile: [&[u8]; 12] = [
            b"9 path=a",
            b"99 path=a\n",
            b"0 path=a\n",
            b"1 path=a\n",
            b"-9 path=a\n",
            b"99999999999999999999 path=a\n",
            b"7 path\n",
            b"6 =ab\n",
            b"8 path=\n",
            b"10 path=a\0\n",
            b"9 path=a\n9 path=b\n",
            b"11 size=0x7\n",
        ];
        for payload in hostile {
            assert!(parse(payload).is_err(), "{}", payload.escape_ascii());
        }
        assert!(parse_global(b"9 path=a\n").is_err());
        assert!(parse_global(b"13 comment=x\n").is_ok());
    }
}
