//! `--fix`, `--unsafe-fixes`, `--diff`: what came out of fixes, and writing it.

use std::path::Path;
use std::sync::Arc;

use corten_check::fix::{self, Find, Fixed, Made, Refused};
use corten_check::{Subject, fix::is_wanted};
use corten_diagnostic::{Finding, Report};

use super::{Input, LintOptions, LintReport, LintedFile};
use crate::replace::replace_text;

/// What fixes did to a text.
#[derive(Debug)]
pub struct Mended {
    /// The text as it was; [`LintedFile::text`] is what came out.
    pub before: Arc<str>,
    /// In their order.
    pub made: Vec<Made>,
    /// Those that were wanted and are not right, with the reason.
    pub refused: Vec<Refused>,
}

/// Makes the fixes that are wanted of a text's findings; none where there are none.
pub(super) fn mend(
    path: &Path,
    text: &str,
    subject: Subject,
    wanted: fix::Wanted,
    findings: &[Finding],
    find: Find<'_>,
) -> Option<Fixed> {
    let is_one = |finding: &Finding| finding.fix.as_ref().is_some_and(|fix| is_wanted(fix, wanted));
    findings.iter().any(is_one).then(|| fix::fix(path, text, subject, wanted, find))
}

impl LintedFile {
    /// The text before and after, where fixes changed it.
    pub fn changed(&self) -> Option<(&str, &str)> {
        let mended = self.mended.as_ref().filter(|mended| !mended.made.is_empty())?;
        Some((&mended.before, &self.text))
    }
}

/// Writes what came out of fixes into the files. What came by standard input is left to the caller.
///
/// # Errors
/// World; files before it have been written.
pub fn write_mended(report: &LintReport, options: &LintOptions) -> Result<(), Report> {
    let texts: Vec<&Path> = options
        .inputs
        .iter()
        .filter_map(|input| match input {
            Input::Text(path, _) => Some(path.as_path()),
            Input::Path(_) => None,
        })
        .collect();
    for file in report.files.iter().filter(|file| !texts.contains(&file.path.as_path())) {
        if let Some((before, after)) = file.changed() {
            replace_text(&file.path, before, after)?;
        }
    }
    Ok(())
}
