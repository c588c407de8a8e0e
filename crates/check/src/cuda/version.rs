//! Versions of CUDA and of its driver.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version of CUDA, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CudaVersion {
    /// 12 of 12.8: what drivers are compatible with.
    pub major: u16,
    /// 8 of 12.8; none where only the major version is known.
    pub minor: Option<u16>,
}

/// A version of the driver: `535`, `580.65.06`.
///
/// One that is cut short stands for its whole branch: 535 is as new as the newest of R535.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DriverVersion(Vec<u32>);

/// Text that is no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoVersion;

/// Numbers of a driver's version; usual are two or three.
const MOST_PARTS: usize = 4;

impl CudaVersion {
    /// 12.8, from `12.8.1`, `12.8` or `12`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map(|minor| minor.parse().ok()).unwrap_or_default();
        Some(Self { major, minor })
    }

    /// As tags of wheels have it: `cu126`, `cu118`.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let digits = tag.strip_prefix("cu").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let (major, minor) = digits.split_at_checked(2)?;
        let minor = if minor.is_empty() { None } else { Some(minor.parse().ok()?) };
        Some(Self { major: major.parse().ok()?, minor })
    }

    /// As tags of wheels have it.
    pub fn tag(self) -> String {
        format!("cu{}{}", self.major, self.minor.map(|minor| minor.to_string()).unwrap_or_default())
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            Some(minor) => write!(f, "{}.{minor}", self.major),
            None => write!(f, "{}", self.major),
        }
    }
}

impl DriverVersion {
    /// Is it that version, or a later one?
    pub fn is_at_least(&self, other: &Self) -> bool {
        for (own, least) in self.0.iter().zip(&other.0) {
            match own.cmp(least) {
                Ordering::Equal => {}
                order => return order == Ordering::Greater,
            }
        }
        true
    }

    /// 535 of 535.54.03.
    pub fn branch(&self) -> u32 {
        self.0.first().copied().unwrap_or_default()
    }
}

impl FromStr for DriverVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().map_err(|_| NoVersion),
            false => Err(NoVersion),
        };
        let text = text.trim();
        let parts: Vec<u32> =
            text.strip_prefix(['R', 'r']).unwrap_or(text).split('.').map(number).collect::<Result<_, _>>()?;
        match parts.len() <= MOST_PARTS {
            true => Ok(Self(parts)),
            false => Err(NoVersion),
        }
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 60.13 and 65.06: the second part of a driver's version has two digits.
        let text = |(at, part): (usize, &u32)| if at < 2 { part.to_string() } else { format!("{part:02}") };
        f.write_str(&self.0.iter().enumerate().map(text).collect::<Vec<_>>().join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(text: &str) -> DriverVersion {
        text.parse().unwrap()
    }

    #[test]
    fn drivers_compare_by_number_and_a_branch_is_as_new_as_its_newest() {
        assert!(driver("580.65.06").is_at_least(&driver("580.65.06")));
        assert!(
            driver("580.82.07").is_at_least(&driver("580.65.06"))
                && !driver("580.65.05").is_at_least(&driver("580.65.06"))
        );
        assert!(driver("1000.1").is_at_least(&driver("580.65.06")) && !driver("99.9").is_at_least(&driver("450")));
        assert!(driver("525").is_at_least(&driver("525.60.13")) && driver("R535").is_at_least(&driver("525.60.13")));
        assert!(!driver("470").is_at_least(&driver("525.60.13")));
        assert_eq!(
            (driver("570.26").to_string(), driver("450.80.02").to_string()),
            ("570.26".into(), "450.80.02".into())
        );
        for wrong in ["", "5x", "580.", ".5", "-1", "1.2.3.4.5", "99999999999", "٣"] {
            assert_eq!(wrong.parse::<DriverVersion>(), Err(NoVersion), "{wrong}");
        }
    }

    #[test]
    fn cuda_versions_are_read_of_texts_and_tags() {
        let parsed = |text| CudaVersion::parse(text).map(|version| version.to_string());
        assert_eq!(
            [parsed("12.8.90"), parsed("13"), parsed("x"), parsed("")],
            [Some("12.8".into()), Some("13".into()), None, None]
        );
        let tagged = |tag| CudaVersion::of_tag(tag).map(|version| version.to_string());
        assert_eq!(
            [tagged("cu118"), tagged("cu12"), tagged("cpu"), tagged("cu"), tagged("cué")],
            [Some("11.8".into()), Some("12".into()), None, None, None]
        );
        assert_eq!(CudaVersion::of_tag("cu126").unwrap().tag(), "cu126");
    }
}
