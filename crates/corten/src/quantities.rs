//! Sizes as people write them.

/// `20GB`, `500 MB`, `1.5TiB`, `4096`: bytes. Without an `i` powers of 1000, with one of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as 20GB, 500MB or 1.5GiB".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) if !prefix.is_empty() => (prefix, 1024_u64),
        _ => (unit, 1000),
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(expected()),
    };
    scaled(number, base.pow(power)).ok_or_else(expected)
}

/// In whole numbers: no size is rounded by floating point.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let part = match part {
        "" if number.ends_with('.') => return None,
        "" => 0,
        digits => {
            let tenths = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
            u64::try_from(u128::from(digits.parse::<u64>().ok()?) * u128::from(unit) / tenths).ok()?
        }
    };
    whole.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("20GB", 20_000_000_000),
            ("20g", 20_000_000_000),
            ("20GiB", 20 << 30),
            ("1.5 MB", 1_500_000),
            ("0.5kib", 512),
            ("4096", 4096),
            ("4096B", 4096),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "20XB", "GB", "-1GB", "1.2.3GB", "1.GB", ".5GB", "20iB", "99999999PB", "20 G B", "NaN", "1e9"]
        {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
