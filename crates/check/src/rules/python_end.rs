//! ML202: a Python that gets no more security fixes.

use corten_diagnostic::{RuleId, Severity};

use super::ml::{images, tables};
use super::{Found, Initially, Rule, Run, place};
use crate::lint::Date;
use crate::{CheckInput, PythonFacts};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML202"),
    name: "python-end-of-life",
    severity: Severity::Warning,
    what: "The image's Python is past its end of life, and no distribution looks after it.",
    why: "Holes that are found from then on stay open. Packages stop making wheels for it, too.",
    bad: "python = '3.9 until 2025-10-31'",
    good: "python = ''",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    if let Some(python) = &input.project.python_ended {
        let message = format!("Python {} has had its last security fix ({})", python.version, python.ended);
        found.add(
            place(python.at.as_ref()),
            message,
            "take a later Python: most packages have wheels for 3.11 to 3.13",
        );
    }
}

/// The last day of a Python, as `3.9` or `3.9.2`; none where no table has it.
pub fn end_of_python(version: &str) -> Option<Date> {
    tables::end_of_python(&images::minor(version)?)
}

impl PythonFacts {
    /// Of a version, as `3.9` or `3.9.2`; none where it still gets fixes, or no table has it.
    pub fn of(version: &str, today: Date) -> Option<Self> {
        let version = images::minor(version)?;
        let ended = tables::end_of_python(&version).filter(|end| *end < today)?;
        Some(Self { version, ended: ended.to_string(), at: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PEP 596: the last day of 3.9 is 2025-10-31.
    #[test]
    fn a_python_is_past_its_end_from_the_day_after() {
        let on = |month, day| Date { year: 2025, month, day };
        assert!(PythonFacts::of("3.9.2", on(10, 31)).is_none());
        let past = PythonFacts::of("3.9.2", on(11, 1)).unwrap();
        assert_eq!((past.version.as_str(), past.ended.as_str()), ("3.9", "2025-10-31"));
        assert!(PythonFacts::of("3.99", on(11, 1)).is_none() && PythonFacts::of("", on(11, 1)).is_none());
        assert_eq!(end_of_python("3.12rc1").map(|end| end.year), Some(2028));
    }
}
