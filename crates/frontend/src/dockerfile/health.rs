//! HEALTHCHECK: from what is written to the config, with times as Go reads and prints them.

use corten_diagnostic::Failure;
use corten_oci::Healthcheck as Config;

use super::command::{Healthcheck, Line};
use super::words::Word;

/// A failure at a word.
type At<'f> = &'f dyn Fn(&Word, String) -> Failure;

/// The config, and the history's line.
pub(super) fn config(check: &Healthcheck, at: At<'_>) -> Result<(Config, String), Failure> {
    let test = match &check.command {
        None => vec!["NONE".to_owned()],
        Some(Line::Shell(text)) => vec!["CMD-SHELL".to_owned(), text.clone()],
        Some(Line::Exec(words)) => [vec!["CMD".to_owned()], words.clone()].concat(),
    };
    let (interval, timeout) = (time(&check.interval, at)?, time(&check.timeout, at)?);
    let (start, between) = (time(&check.start_period, at)?, time(&check.start_interval, at)?);
    let retries = match &check.retries {
        None => 0,
        Some(word) => word.text.parse().map_err(|_| at(word, format!("--retries={} is no number", word.text)))?,
    };
    let said = format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{retries}}}",
        test.join(" "),
        shown(interval),
        shown(timeout),
        shown(start),
        shown(between),
    );
    let set = |nanoseconds: u64| (nanoseconds > 0).then_some(nanoseconds);
    let config = Config {
        test,
        interval: set(interval),
        timeout: set(timeout),
        start_period: set(start),
        start_interval: set(between),
        retries: (retries > 0).then_some(retries),
    };
    Ok((config, said))
}

/// Nanoseconds; 0 where nothing is written, which means what the base has.
fn time(word: &Option<Word>, at: At<'_>) -> Result<u64, Failure> {
    let Some(word) = word else { return Ok(0) };
    let nanoseconds = nanoseconds(&word.text);
    let nanoseconds =
        nanoseconds.ok_or_else(|| at(word, format!("'{}' is no time", word.text)).hint("as 30s, 1m30s or 500ms"))?;
    if nanoseconds > 0 && nanoseconds < 1_000_000 {
        return Err(at(word, format!("{} is less than a millisecond", word.text)));
    }
    Ok(nanoseconds)
}

/// Go's way to write a time.
fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    const UNITS: [(&str, f64); 8] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
    let mut sum = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let length = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &rest[..length])?;
        sum += number * factor;
        rest = &rest[length..];
    }
    (!text.is_empty() && sum < i64::MAX as f64).then_some(sum as u64)
}

/// Go's way to print a time.
fn shown(nanoseconds: u64) -> String {
    let fraction = |unit: u64| {
        let text = format!("{}.{:09}", nanoseconds / unit, (nanoseconds % unit) * (1_000_000_000 / unit));
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let (minutes, rest) = (nanoseconds / 60_000_000_000, nanoseconds % 60_000_000_000);
            let seconds = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.').to_owned();
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gos() {
        for (text, shown_as) in
            [("30s", "30s"), ("1m30s", "1m30s"), ("1.5h", "1h30m0s"), ("500ms", "500ms"), ("0", "0s")]
        {
            assert_eq!(shown(nanoseconds(text).unwrap()), shown_as, "{text}");
        }
        for text in ["", "5", "s", "1x", "-1s", "1..2s"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
