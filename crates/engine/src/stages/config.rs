//! The config of what was built: the stage's, with diff ids, times and a history that says which step left a layer.

use std::time::Duration;

use corten_diagnostic::Failure;
use corten_oci::ImageConfig;
use corten_plan::recipe::Stage;

use super::means::LocalLayer;

/// Completes a stage's config. `below`: how many entries of its history came with the base.
///
/// Times of what was made here are SOURCE_DATE_EPOCH, else when the build began.
pub(super) fn finish(
    stage: &Stage,
    layers: &[LocalLayer],
    below: usize,
    epoch: Option<u64>,
    now: Duration,
) -> Result<ImageConfig, Failure> {
    let mut config = stage.config.clone();
    let time = time(epoch, now)?;
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    for entry in config.history.iter_mut().skip(below) {
        entry.created = Some(time.clone());
    }
    config.created = Some(time);
    Ok(config)
}

/// RFC 3339 in UTC, as Go prints it: no fraction where it is zero.
fn time(epoch: Option<u64>, now: Duration) -> Result<String, Failure> {
    let (seconds, nanoseconds) = match epoch {
        Some(epoch) => (epoch, 0),
        None => (now.as_secs(), now.subsec_nanos()),
    };
    let late = || Failure::input(format!("SOURCE_DATE_EPOCH={seconds} is later than any time that can be written"));
    let days = i64::try_from(seconds / 86_400).map_err(|_| late())?;
    let (year, month, day) = civil(days);
    if year > 9999 {
        return Err(late());
    }
    let (hour, minute, second) = (seconds % 86_400 / 3600, seconds % 3600 / 60, seconds % 60);
    let fraction = match nanoseconds {
        0 => String::new(),
        some => format!(".{some:09}").trim_end_matches('0').to_owned(),
    };
    Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Year, month and day of so many days after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        // `date -u -d @… +%FT%TZ`
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_600_000_000, "2020-09-13T12:26:40Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(time(Some(seconds), Duration::ZERO).unwrap(), expected);
        }
        assert_eq!(time(None, Duration::new(1, 500_000_000)).unwrap(), "1970-01-01T00:00:01.5Z");
        assert!(time(Some(253_402_300_800), Duration::ZERO).is_err());
    }
}
