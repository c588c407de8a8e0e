//! What values of labels are, by what the settings say of them.

/// `scheme:` and what may stand in a URI (RFC 3986, 3): nothing else.
pub(super) fn is_url(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once(':') else { return false };
    let known = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(letter);
    let named = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(named)
        && rest.chars().all(known)
}

/// `2026-01-31T12:00:00.5+01:00` (RFC 3339, 5.6).
pub(super) fn is_time(value: &str) -> bool {
    let Some((date, time)) = value.split_once(['T', 't', ' ']) else { return false };
    let Some(zone) = time.find(['Z', 'z', '+', '-']) else { return false };
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let zone = matches!(zone, "Z" | "z") || zone.get(1..).is_some_and(|zone| is_within(zone, ':', &[(0, 23), (0, 59)]));
    let fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_date(date) && is_within(clock, ':', &[(0, 23), (0, 59), (0, 60)]) && fraction && zone
}

fn is_date(date: &str) -> bool {
    let Some((year, day)) = date.split_once('-') else { return false };
    let known = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let leap = year.parse::<u32>().is_ok_and(|year| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    let last = match day.get(..2) {
        Some("02") if leap => 29,
        Some("02") => 28,
        Some("04" | "06" | "09" | "11") => 30,
        _ => 31,
    };
    known && is_within(day, '-', &[(1, 12), (1, last)])
}

/// Numbers of two digits each.
fn is_within(text: &str, separator: char, ranges: &[(u32, u32)]) -> bool {
    let parts: Vec<&str> = text.split(separator).collect();
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| digits)
    };
    parts.len() == ranges.len()
        && parts
            .iter()
            .zip(ranges)
            .all(|(part, (low, high))| number(part).is_some_and(|one| (*low..=*high).contains(&one)))
}

/// One identifier of SPDX's list of licences, exactly.
pub(super) fn is_licence(value: &str) -> bool {
    include_str!("spdx.txt").lines().any(|id| id == value)
}

/// `1.2.3-rc.1+build` (semver.org 2.0.0).
pub(super) fn is_version(value: &str) -> bool {
    let (rest, build) = value.split_once('+').map_or((value, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|before| before.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// `name@host.domain` (RFC 5322, 3.4.1, without comments and quoted names).
pub(super) fn is_address(value: &str) -> bool {
    let Some((name, host)) = value.rsplit_once('@') else { return false };
    let atom = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(letter);
    let dotted = |text: &str| text.split('.').all(|part| !part.is_empty() && part.chars().all(atom));
    dotted(name) && dotted(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_their_documents_say() {
        for good in ["https://example.com/a?b#c", "urn:isbn:1"] {
            assert!(is_url(good), "{good}");
        }
        for good in
            ["1985-04-12T23:20:50.52Z", "1996-12-19T16:39:57-08:00", "1990-12-31T23:59:60Z", "2024-02-29T00:00:00Z"]
        {
            assert!(is_time(good), "{good}");
        }
        for bad in ["2023-02-29T00:00:00Z", "2026-1-31T12:00:00Z", "2026-01-31", "2026-01-31T12:00Z", "", "T", "é-é"]
        {
            assert!(!is_time(bad), "{bad}");
        }
        for good in ["1.0.0", "1.0.0-alpha.1", "1.0.0-x.7.z.92+exp.sha.5114f85", "10.20.30"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["1.0", "01.0.0", "1.0.0-01", "1.0.0+", "v1.0.0", ""] {
            assert!(!is_version(bad), "{bad}");
        }
        assert!(is_licence("Apache-2.0") && is_licence("GPL-2.0-only") && !is_licence("Apache 2.0"));
        assert!(is_address("a.b+c@example.com") && !is_address("a@@b") && !is_address("a b@c") && !is_url("a b"));
    }
}
