//! Small texts with a meaning: sizes, times, modes, commands, names.

use std::time::Duration;

use corten_oci::Digest;

/// Bytes of `500MB`, `1.5 GB`, `300MiB`, `1024`. `kB`, `MB`, `GB` are powers of 1000; `KiB`, `MiB`, `GiB` of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("is '{text}', expected a size such as \"500MB\" or \"1.5GiB\"");
    let text_trimmed = text.trim();
    let digits = text_trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let bytes = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(factor)).ok_or_else(wrong)?;
    bytes.checked_add(part_of(fraction, factor).ok_or_else(wrong)?).ok_or_else(wrong)
}

/// `factor` times the fraction whose decimals are given, rounded down.
fn part_of(decimals: &str, factor: u64) -> Option<u64> {
    if decimals.is_empty() {
        return Some(0);
    }
    let scale = 10u128.checked_pow(u32::try_from(decimals.len()).ok().filter(|length| *length <= 18)?)?;
    let part = decimals.parse::<u64>().ok()?;
    u64::try_from(u128::from(part) * u128::from(factor) / scale).ok()
}

/// `500ms`, `30s`, `2m`, `1m30s`, as Docker writes them.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("is '{text}', expected a time such as \"30s\", \"1m30s\" or \"500ms\"");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let one = match &rest[digits..unit_end] {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            _ => None,
        };
        total = one.and_then(|one| total.checked_add(one)).ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    if total.is_zero() || total > Duration::from_secs(86_400) { Err(wrong()) } else { Ok(total) }
}

/// Permission bits: `0644`, `755`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
    bits.ok_or_else(|| format!("is '{text}', expected permission bits in octal such as \"0644\""))
}

/// Splits a command into words as a shell would; a text that needs a shell is refused, for there is none.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => quoted(&mut letters, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut letters, '"', word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("ends with a backslash")?),
            '|' | '&' | ';' | '<' | '>' | '`' | '$' | '(' | ')' => {
                return Err(format!(
                    "has '{letter}', which only a shell understands; the image has none: quote it, or write an array"
                ));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    if words.is_empty() { Err("is empty, expected a command".into()) } else { Ok(words) }
}

fn quoted(letters: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter == quote => return Ok(()),
            '\\' if quote == '"' => match letters.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            letter => word.push(letter),
        }
    }
    Err(format!("has an opening {quote} without a closing one"))
}

/// The name of the user that the service runs as. Its number is fixed.
pub(super) fn user(text: &str) -> Result<String, String> {
    if matches!(text, "root" | "0") {
        return Err("is root, expected another name: the service never needs to be root".into());
    }
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let rest =
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'));
    if first && rest && text.len() <= 32 {
        return Ok(text.to_owned());
    }
    Err(format!("is '{text}', expected a name of lower-case letters, digits, '-' and '_' (its number is always 10001)"))
}

/// Major and minor version of Python.
pub(super) fn python(text: &str) -> Result<(u32, u32), String> {
    let parts: Vec<_> = text.split('.').map(str::parse::<u32>).collect();
    match parts.as_slice() {
        [Ok(major), Ok(minor)] => Ok((*major, *minor)),
        _ => Err(format!("is '{text}', expected a minor version such as \"3.11\"")),
    }
}

/// A name that an image may have: what is not allowed becomes a dash.
pub(super) fn image_name(text: &str) -> Option<String> {
    let mut name = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            name.push(letter);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

/// A name for `[env]`.
pub(super) fn is_variable(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(letter) && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// A path below the project: relative, without `..`.
pub(super) fn below_project(text: &str) -> Result<String, String> {
    let climbs = text.split('/').any(|part| part == "..");
    if text.is_empty() || text.starts_with('/') || climbs || text.contains('\0') {
        return Err(format!("is '{text}', expected a path inside the project"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// An absolute path of the image, without `..`.
pub(super) fn in_image(text: &str) -> Result<String, String> {
    let climbs = text.split('/').any(|part| part == "..");
    if !text.starts_with('/') || climbs || text.contains('\0') {
        return Err(format!("is '{text}', expected an absolute path in the image"));
    }
    let path = text.trim_end_matches('/');
    Ok(if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}

/// An address of a server.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || text.contains(char::is_whitespace) {
        return Err(format!("is '{text}', expected an address that begins with https:// or http://"));
    }
    if host.contains('@') {
        return Err("holds a user name or password; keep them in ~/.netrc, where they are not committed".into());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// SHA-256 in hexadecimal digits, with or without `sha256:` before them.
pub(super) fn sha256(text: &str) -> Result<Digest, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    format!("sha256:{hex}").parse().map_err(|_| format!("is '{text}', expected the 64 hexadecimal digits of a SHA-256"))
}

/// The name of a binary package (Debian Policy, section 5.6.1); `.deb` files and versions are not taken.
pub(super) fn debian_package(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match starts && text.len() >= 2 && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("is '{text}', expected the name of a Debian package such as \"libgl1\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_unless_they_say_i() {
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(size("42"), Ok(42));
        for wrong in ["", "MB", "5 parsecs", "-1", "99999999999GB", "1.2.3MB", "1.99999999999999999999MB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_dockers() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "30", "s", "0s", "-1s", "1é", "99999999999999999999s", "5124095576030431h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn commands_split_as_a_shell_does_and_never_need_one() {
        assert_eq!(
            words(r#"python -m app --name 'a b' "c \"d" e\ f"#).unwrap(),
            ["python", "-m", "app", "--name", "a b", "c \"d", "e f"]
        );
        assert_eq!(words("x ''").unwrap(), ["x", ""]);
        for wrong in ["", "a && b", "a | b", "echo $HOME", "a 'b", "a \\", "a \"b\\"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_become_image_names() {
        assert_eq!(image_name("My_Service.v2").as_deref(), Some("my-service-v2"));
        assert_eq!(image_name("__"), None);
    }
}
