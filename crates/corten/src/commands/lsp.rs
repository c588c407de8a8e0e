//! `corten lsp`.

use std::io::{BufReader, stdin, stdout};
use std::path::Path;

use corten_check::lint::Choice;
use corten_diagnostic::Report;
use corten_flow::lint::{LintOptions, Linter};

use crate::lsp::{Looked, serve};
use crate::surroundings::{Linting, linting};

/// Bytes of a text: as of a file of `corten lint`.
const LARGEST: usize = 4 << 20;

/// Answers an editor until it is done. Settings are read anew at each look: they may have been changed meanwhile.
pub fn run() -> Result<u8, Report> {
    let Linting { folder, today, user_config, check, variables } = linting()?;
    let choice = Choice { check, ..Choice::default() };
    let options =
        LintOptions { folder, today: Some(today), user_config, variables, choice, jobs: 1, ..LintOptions::default() };
    let look = |path: &Path, text: &str| {
        if !is_ours(path) {
            return Ok(None);
        }
        if text.len() > LARGEST {
            return Err(format!("{} is larger than {} MB", path.display(), LARGEST >> 20));
        }
        let looked = Linter::new(&options).and_then(|linter| linter.text(path, text));
        let looked = looked.map_err(|report| report.to_string())?;
        Ok(Some(Looked { subject: looked.subject, findings: looked.findings }))
    };
    Ok(serve(BufReader::new(stdin().lock()), stdout().lock(), &look))
}

/// An editor may ask about all YAML that it has open.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
    !is_yaml || name.contains("compose")
}
