//! `--fix`, `--unsafe-fixes`, `--diff`: what came out of fixes, and writing it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use corten_check::fix::{self, Find, Fixed, Made, Refused};
use corten_check::{Subject, fix::is_wanted};
use corten_diagnostic::{Failure, Finding, Report};

use super::{LintReport, LintedFile, Wanted};
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

/// Marks what is a link out of the folder that it was found in: somebody else's file, which is left as it is. What to say of it.
pub(super) fn leave_foreign(wanted: &mut Wanted) -> Option<String> {
    let root = wanted.root.as_deref()?;
    let real = fs::canonicalize(&wanted.path).ok()?;
    wanted.is_foreign = !fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
    wanted.is_foreign.then(|| {
        let (path, real) = (wanted.path.display(), real.display());
        format!("{path} is a link to {real}, which is in another folder: no fix is made there; name that file itself")
    })
}

/// Writes what came out of fixes into the files, each once, whatever its names. What came by standard input is left to the
/// caller.
///
/// # Errors
/// World; files before it have been written.
pub fn write_mended(report: &LintReport) -> Result<(), Report> {
    let mut written = BTreeSet::new();
    for file in report.files.iter().filter(|file| !file.is_text) {
        let Some((before, after)) = file.changed() else { continue };
        let failed = |error: std::io::Error| Failure::world(format!("writing {}: {error}", file.path.display()));
        let real = fs::canonicalize(&file.path).map_err(failed)?;
        if !written.insert(real.clone()) {
            continue;
        }
        // A link that was found may lead anywhere in the folder that was looked through; one that was named, only downwards.
        let root = file.root.as_deref().map(fs::canonicalize).transpose().map_err(failed)?;
        let is_inside = root.is_some_and(|root| real.starts_with(root));
        replace_text(if is_inside { &real } else { &file.path }, before, after)?;
    }
    Ok(())
}
