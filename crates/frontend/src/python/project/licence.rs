//! Which licence files go into `.dist-info/licenses`.

use super::Context;
use super::glob::{Hidden, PathGlob, Recursive, portable};
use super::refusal::{Outcome, Refusal};
use super::tree::clean;

/// What most backends take where `license-files` is absent.
pub(super) const USUAL: [&str; 4] = ["LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*"];

/// How a backend reads its globs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub hidden: Hidden,
    pub recursive: Recursive,
    /// Is a glob without a hit an error?
    pub must_hit: bool,
}

/// Files of the project that the globs match, sorted.
pub(super) fn matching(context: &Context<'_>, globs: &[&str], dialect: Dialect) -> Outcome<Vec<String>> {
    let at = context.pyproject.path("project.license-files");
    let mut found = Vec::new();
    for pattern in globs {
        let cleaned = clean(pattern).ok_or_else(|| at.wrong(format!("has '{pattern}', which leaves the project")))?;
        let glob = PathGlob::new(&cleaned, dialect.hidden, dialect.recursive);
        let before = found.len();
        found.extend(context.tree.files().map(|(path, _)| path).filter(|path| glob.matches(path)).map(str::to_owned));
        if dialect.must_hit && found.len() == before {
            return Err(at.wrong(format!("has '{pattern}', which matches no file")));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// With the globs of `license-files`, or else those of the backend.
pub(super) fn usual(context: &Context<'_>, default: &[&str], dialect: Dialect) -> Outcome<Vec<String>> {
    match written(context)? {
        Some(globs) => matching(context, &globs, dialect),
        None => matching(context, default, Dialect { must_hit: false, ..dialect }),
    }
}

/// `project.license-files`: a list, or the table of its first draft.
pub(super) fn written<'c>(context: &'c Context<'_>) -> Outcome<Option<Vec<&'c str>>> {
    let at = context.pyproject.path("project.license-files");
    if !at.is_table() {
        return at.texts();
    }
    let (paths, globs) = (at.key("paths").texts()?, at.key("globs").texts()?);
    Ok(paths.or(globs))
}

/// The file of `license = { file = "…" }`.
pub(super) fn of_table<'c>(context: &'c Context<'_>) -> Outcome<Option<&'c str>> {
    let at = context.pyproject.path("project.license");
    if !at.is_table() {
        return Ok(None);
    }
    let Some(file) = at.key("file").text()? else { return Ok(None) };
    match context.tree.file(file) {
        Some(_) => Ok(Some(file)),
        None => Err(at.key("file").wrong(format!("names '{file}', which is not there"))),
    }
}

/// uv's: PEP 639 globs, none by default.
pub(super) fn pep639(context: &Context<'_>) -> Outcome<Vec<String>> {
    let at = context.pyproject.path("project.license-files");
    let globs = written(context)?.unwrap_or_default();
    for pattern in &globs {
        portable(pattern).map_err(|why| Refusal::broken(why).at(at.span()))?;
    }
    matching(context, &globs, Dialect { hidden: Hidden::Match, recursive: Recursive::Yes, must_hit: false })
}
