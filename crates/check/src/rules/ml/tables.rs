//! What changes with time and not with the code: ends of life, packages without wheels, what weighs. Each table is a text in `data/`
//! that names its sources and its day.

use crate::lint::Date;

const PYTHON: &str = include_str!("data/python.tsv");
const DISTRIBUTIONS: &str = include_str!("data/distributions.tsv");
const MUSL: &str = include_str!("data/musl.tsv");
const FRAMEWORKS: &str = include_str!("data/frameworks.tsv");

/// A distribution's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// `debian`.
    pub name: &'static str,
    /// `11`.
    pub version: &'static str,
    /// `bullseye`; `-` where it has none.
    pub codename: &'static str,
    /// The last day.
    pub end: Date,
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect())
}

/// `2026-10-31`.
fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Date { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? })
}

/// The last day of a version of Python, as `3.9`.
pub fn end_of_python(version: &str) -> Option<Date> {
    rows(PYTHON).find(|row| row.first() == Some(&version)).and_then(|row| date(row.get(1)?))
}

/// All versions of distributions.
pub fn distributions() -> impl Iterator<Item = Distribution> {
    rows(DISTRIBUTIONS).filter_map(|row| {
        let [name, version, codename, end] = row.as_slice() else { return None };
        Some(Distribution { name, version, codename, end: date(end)? })
    })
}

/// Since when a package has wheels for musl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MuslWheels {
    /// No version has.
    Never,
    /// From this one on.
    Since(&'static str),
}

/// None for packages that are not known to lack any.
pub fn musl_wheels(package: &str) -> Option<MuslWheels> {
    let row = rows(MUSL).find(|row| row.first() == Some(&package))?;
    Some(match row.get(1) {
        Some(&"-") | None => MuslWheels::Never,
        Some(version) => MuslWheels::Since(version),
    })
}

/// Does a package weigh hundreds of megabytes?
pub fn is_heavy(package: &str) -> bool {
    package.starts_with("nvidia-") || rows(FRAMEWORKS).any(|row| row.first() == Some(&package))
}

/// Do its wheels on PyPI bring CUDA along?
pub fn brings_cuda(package: &str) -> bool {
    (package.starts_with("nvidia-") && (package.ends_with("-cu11") || package.ends_with("-cu12")))
        || rows(FRAMEWORKS).any(|row| row.first() == Some(&package) && row.get(1) == Some(&"cuda"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_read() {
        let count = |table| rows(table).count();
        assert_eq!(distributions().count(), count(DISTRIBUTIONS));
        assert!(rows(PYTHON).all(|row| end_of_python(row[0]).is_some()));
        assert!(rows(MUSL).all(|row| row.len() == 2 && row[0] == row[0].to_lowercase()));
        assert!(rows(FRAMEWORKS).all(|row| row.len() == 2 && ["cuda", "-"].contains(&row[1])));
        for table in [PYTHON, DISTRIBUTIONS, MUSL, FRAMEWORKS] {
            assert!(table.starts_with("# ") && table.contains("http") || table.contains("PyPI"), "a source");
        }
    }

    #[test]
    fn versions_are_compared_whole() {
        assert_eq!(end_of_python("3.1"), None);
        assert_eq!(end_of_python("3.10"), Some(Date { year: 2026, month: 10, day: 31 }));
        assert_eq!(musl_wheels("numpy"), Some(MuslWheels::Since("1.25.0")));
        assert_eq!((musl_wheels("torch"), musl_wheels("flask")), (Some(MuslWheels::Never), None));
    }
}
