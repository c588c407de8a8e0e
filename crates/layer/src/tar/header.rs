//! One 512-byte header.
//!
//! ```text
//! 0 name 100 · 100 mode 8 · 108 uid 8 · 116 gid 8 · 124 size 12 · 136 mtime 12 · 148 checksum 8 · 156 type 1
//! 157 link 100 · 257 magic 6 · 263 version 2 · 265 user 32 · 297 group 32 · 329 major 8 · 337 minor 8
//! 345 prefix 155 (ustar) | GNU: times, offsets, sparse map
//! ```
//! Numbers are octal text that ends in NUL or space, or base-256 with the first bit set (GNU).

use std::ops::Range;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

const PREFIX: Range<usize> = 345..500;

/// A header's fields that matter.
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    prefix: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) device: (u32, u32),
}

#[derive(PartialEq)]
enum Format {
    Ustar,
    Gnu,
    Old,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, String> {
        check_sum(block)?;
        let format = format(block)?;
        let kind = block[156];
        let is_device = matches!(kind, b'3' | b'4');
        Ok(Self {
            name: until_nul(&block[0..100]).to_vec(),
            prefix: prefix(block, &format, kind)?,
            link: until_nul(&block[157..257]).to_vec(),
            kind,
            mode: (unsigned(block, 100..108, "mode")? & 0o7777) as u32,
            uid: unsigned(block, 108..116, "uid")?,
            gid: unsigned(block, 116..124, "gid")?,
            size: unsigned(block, 124..136, "size")?,
            mtime: number(&block[136..148]).ok_or("the mtime is no number")?,
            device: if is_device { device(block)? } else { (0, 0) },
        })
    }

    /// Prefix and name.
    pub(super) fn full_name(&self) -> Result<Vec<u8>, String> {
        if self.prefix.is_empty() {
            return Ok(self.name.clone());
        }
        Ok([&self.prefix[..], b"/", &self.name].concat())
    }

    /// Links, directories, devices and pipes: some readers skip what their size says, others do not.
    pub(super) fn kind_has_no_content(&self) -> bool {
        matches!(self.kind, b'1'..=b'6')
    }
}

/// The sum of all bytes, its own field taken for spaces. Very old writers summed signed bytes.
fn check_sum(block: &[u8; BLOCK]) -> Result<(), String> {
    let claimed = number(&block[148..156]).ok_or("the header's checksum is no number")?;
    let (mut unsigned, mut signed) = (0, 0);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    if claimed == unsigned || claimed == signed { Ok(()) } else { Err("the header's checksum is wrong".into()) }
}

fn format(block: &[u8; BLOCK]) -> Result<Format, String> {
    match &block[257..265] {
        b"ustar  \0" => Ok(Format::Gnu),
        magic if magic.starts_with(b"ustar\0") => Ok(Format::Ustar),
        magic if magic.iter().all(|&byte| byte == 0) => Ok(Format::Old),
        magic => Err(format!("the header's magic '{}' is none that is known", magic.escape_ascii())),
    }
}

/// Only ustar has a prefix. GNU and old headers with bytes there mean different names to different readers.
fn prefix(block: &[u8; BLOCK], format: &Format, kind: u8) -> Result<Vec<u8>, String> {
    let field = &block[PREFIX];
    let is_star = &block[508..512] == b"tar\0";
    match format {
        Format::Ustar if is_star && block[475] != 0 => Err("a star header's prefix has two lengths".into()),
        Format::Ustar => Ok(until_nul(field).to_vec()),
        // Sparse files keep their map here; they are refused with a better reason.
        Format::Gnu if kind == b'S' => Ok(Vec::new()),
        Format::Gnu | Format::Old if field.iter().any(|&byte| byte != 0) => {
            Err("a header that is not ustar has something in the place of ustar's prefix".into())
        }
        Format::Gnu | Format::Old => Ok(Vec::new()),
    }
}

fn device(block: &[u8; BLOCK]) -> Result<(u32, u32), String> {
    let part = |field, what| {
        let value = unsigned(block, field, what)?;
        u32::try_from(value).map_err(|_| format!("the {what} {value} is too large"))
    };
    Ok((part(329..337, "device major")?, part(337..345, "device minor")?))
}

fn unsigned(block: &[u8; BLOCK], field: Range<usize>, what: &str) -> Result<u64, String> {
    let value = number(&block[field]).ok_or_else(|| format!("the {what} is no number"))?;
    u64::try_from(value).map_err(|_| format!("the {what} {value} is negative"))
}

/// Octal text or base-256. Nothing at all is 0.
fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

/// Two's complement, big end first; the first bit is the mark, the second the sign.
fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    // The mark is taken off: the sign moves to its place.
    let first = if first & 0x40 == 0 { first & 0x7f } else { *first };
    let mut value = i128::from(first as i8);
    for &byte in rest {
        value = value.checked_mul(256)?.checked_add(i128::from(byte))?;
    }
    i64::try_from(value).ok()
}

/// Digits, which spaces may stand before and spaces and NULs behind.
fn octal(field: &[u8]) -> Option<i64> {
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    if digits[end..].iter().any(|byte| !matches!(byte, b' ' | 0)) {
        return None;
    }
    digits[..end].iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Text that only NULs may follow.
pub(super) fn text_to_nul(field: &[u8]) -> Option<&[u8]> {
    let text = until_nul(field);
    field[text.len()..].iter().all(|&byte| byte == 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Go's `TestParseNumeric` (archive/tar/strconv_test.go).
    #[test]
    fn numbers_are_gos() {
        let table: [(&[u8], Option<i64>); 21] = [
            (b"", Some(0)),
            (b"\x80", Some(0)),
            (b"\x80\x00", Some(0)),
            (b"\xbf", Some((1 << 6) - 1)),
            (b"\xbf\xff", Some((1 << 14) - 1)),
            (b"\xbf\xff\xff", Some((1 << 22) - 1)),
            (b"\xff", Some(-1)),
            (b"\xff\xff", Some(-1)),
            (b"\xc0", Some(-(1 << 6))),
            (b"\xc0\x00", Some(-(1 << 14))),
            (b"\x87\x76\xa2\x22\xeb\x8a\x72\x61", Some(537795476381659745)),
            (b"\x80\x00\x00\x00\x07\x76\xa2\x22\xeb\x8a\x72\x61", Some(537795476381659745)),
            (b"\xf7\x76\xa2\x22\xeb\x8a\x72\x61", Some(-615126028225187231)),
            (b"\x80\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\x80\x00\x00\x00\x00\x00\x00\x00", None),
            (b"\xff\x7f\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000000\x00", Some(0)),
            (b" \x0000000\x00", None),
            (b"00000000227\x00", Some(0o227)),
            (b"\x32\x33\x34\x00 ", Some(0o234)),
            (b"0123456789abcdef", None),
        ];
        for (field, expected) in table {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }
}
