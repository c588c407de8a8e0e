//! Where a dynamic version comes from.
//!
//! In this order: what the user says → the backend's static rule → `PKG-INFO` of an sdist → `.git_archival.txt` → git. The
//! numbers of git follow setuptools-scm (`guess-next-dev`, `node-and-date`), but a checkout with changes is
//! `.dirty` instead of the day's date: else the same files would have another version every day.

use corten_package::PackageName;
use corten_package::pep440::Version;
use regex_lite::Regex;

use super::folder::Text;
use super::refusal::{Outcome, Refusal};
use super::{Context, Describe};

/// In its normal form.
pub(super) fn normal(text: &str) -> Outcome<String> {
    let version: Version = text.trim().parse().map_err(|error| Refusal::broken(format!("the version {error}")))?;
    Ok(version.to_string())
}

/// What a backend's own rule says.
pub(super) enum Rule {
    /// It stands in a file.
    Known(String),
    /// Version control has it.
    Scm(Box<Scm>),
    /// It would have to run code; the refusal says which.
    Unknown(Refusal),
}

/// Settings of setuptools-scm, hatch-vcs and pdm's scm.
#[derive(Debug, Default)]
pub(super) struct Scm {
    pub flavour: Flavour,
    pub tag_regex: Option<Regex>,
    pub local: Local,
    pub fallback: Option<String>,
}

/// Whose rules.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    #[default]
    SetuptoolsScm,
    Pdm,
}

/// The local part of a version between tags.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    #[default]
    NodeAndDate,
    DirtyTag,
    None,
}

/// Resolves a dynamic version.
pub(super) fn resolve(context: &Context<'_>, name: &str, rule: Rule) -> Outcome<String> {
    if let Some(version) = context.project.version {
        return normal(version);
    }
    if let Rule::Known(version) = &rule {
        return normal(version);
    }
    if let Some(version) = context.pkg_info.as_ref().and_then(|info| info.version_of(name)) {
        return normal(version);
    }
    match rule {
        Rule::Known(version) => normal(&version),
        Rule::Unknown(refusal) => Err(refusal),
        Rule::Scm(scm) => of_git(context, &scm),
    }
}

fn of_git(context: &Context<'_>, scm: &Scm) -> Outcome<String> {
    let archival = context.text(".git_archival.txt")?.and_then(|text| archival(&text));
    let describe = archival.as_ref().or(context.project.git.and_then(|git| git.describe.as_ref()));
    match (describe, &scm.fallback) {
        (Some(describe), _) => normal(&scm.version(describe)?),
        (None, Some(fallback)) => normal(fallback),
        (None, None) => {
            Err(Refusal::needs_build("version comes from git tags and this checkout has none (shallow clone?)")
                .hint("fetch with tags, or set SETUPTOOLS_SCM_PRETEND_VERSION"))
        }
    }
}

/// `describe-name: v1.2.3-4-gabcdef` of an archive that git made.
fn archival(text: &Text) -> Option<Describe> {
    let name = text.text.lines().find_map(|line| line.strip_prefix("describe-name:"))?.trim();
    let exact = || Describe { tag: name.to_owned(), distance: 0, ..Describe::default() };
    if name.is_empty() || name.contains('$') || name.contains('%') {
        return None;
    }
    Some(Describe::parse(name).unwrap_or_else(exact))
}

impl Scm {
    fn version(&self, describe: &Describe) -> Outcome<String> {
        let tag = self.version_of_tag(&describe.tag)?;
        if describe.distance == 0 && !describe.dirty {
            return Ok(tag.to_string());
        }
        let next = next(&tag.public())?;
        Ok(format!("{next}.dev{}{}", describe.distance, self.local_part(describe)))
    }

    fn local_part(&self, describe: &Describe) -> String {
        let node = match self.flavour {
            Flavour::SetuptoolsScm => describe.commit.get(..9).unwrap_or(&describe.commit),
            Flavour::Pdm => &describe.short,
        };
        match (self.local, describe.dirty) {
            (Local::NodeAndDate, false) => format!("+g{node}"),
            (Local::NodeAndDate, true) => format!("+g{node}.dirty"),
            (Local::DirtyTag, true) => "+dirty".to_owned(),
            (Local::DirtyTag, false) | (Local::None, _) => String::new(),
        }
    }

    fn version_of_tag(&self, tag: &str) -> Outcome<Version> {
        let refusal = || Refusal::needs_build(format!("the git tag '{tag}' is no version"));
        let found = match &self.tag_regex {
            Some(regex) => {
                let hit = regex.captures(tag).ok_or_else(refusal)?;
                hit.name("version")
                    .or_else(|| hit.get(1))
                    .or_else(|| hit.get(0))
                    .map_or("", |text| text.as_str())
                    .to_owned()
            }
            None => without_name(tag).to_owned(),
        };
        found.trim_start_matches(['v', 'V']).parse().map_err(|_| refusal())
    }
}

/// `name-1.2` → `1.2`; `v1.2-rc1` stays.
fn without_name(tag: &str) -> &str {
    let bare = tag.rsplit('/').next().unwrap_or(tag);
    let begins = |text: &str| text.trim_start_matches(['v', 'V']).starts_with(|letter: char| letter.is_ascii_digit());
    if begins(bare) {
        return bare;
    }
    bare.match_indices('-').map(|(at, _)| &bare[at + 1..]).find(|rest| begins(rest)).unwrap_or(bare)
}

/// The version after: its last number goes up; a development release is finished.
fn next(version: &Version) -> Outcome<String> {
    let text = version.to_string();
    if let Some((before, _)) = text.split_once(".dev") {
        return Ok(before.to_owned());
    }
    let digits = text.len() - text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, last) = text.split_at(digits);
    let last = last.parse::<u64>().ok().and_then(|last| last.checked_add(1));
    let last = last.ok_or_else(|| Refusal::broken(format!("there is no version behind {text}")))?;
    Ok(format!("{head}{last}"))
}

/// The PKG-INFO beside pyproject.toml: this is an sdist.
#[derive(Debug)]
pub(super) struct PkgInfo {
    headers: Vec<(String, String)>,
}

impl PkgInfo {
    pub fn parse(text: &str) -> Self {
        let head = text.lines().take_while(|line| !line.is_empty());
        let headers =
            head.filter_map(|line| line.split_once(':')).map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
        Self { headers: headers.collect() }
    }

    pub fn all<'p>(&'p self, key: &'p str) -> impl Iterator<Item = &'p str> {
        self.headers.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// Its version, if it is about this project.
    pub fn version_of(&self, name: &str) -> Option<&str> {
        let own = PackageName::new(self.all("Name").next()?).ok()?;
        (PackageName::new(name).ok()? == own).then(|| self.all("Version").next())?
    }

    /// Is a field final (metadata 2.2 and later, not dynamic)?
    pub fn is_final(&self, field: &str) -> bool {
        let new = self.all("Metadata-Version").any(|version| !matches!(version, "1.0" | "1.1" | "1.2" | "2.0" | "2.1"));
        new && !self.all("Dynamic").any(|dynamic| dynamic.eq_ignore_ascii_case(field))
    }
}

/// A user's Python regular expression; what is beyond ours is left to a build.
pub(super) fn regex(pattern: &str, multi_line: bool) -> Result<Regex, String> {
    let pattern = if multi_line { format!("(?m){pattern}") } else { pattern.to_owned() };
    regex_lite::RegexBuilder::new(&pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("the regular expression is beyond what is read without Python: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(text: &str) -> Describe {
        Describe::parse(text).unwrap()
    }

    /// The first two were computed by setuptools-scm 10 in checkouts of black and pluggy.
    #[test]
    fn numbers_between_tags() {
        let node = "8947c48ef0123456789012345678901234567890";
        for (text, expected) in [
            (format!("26.5.1-98-g{node}"), "26.5.2.dev98+g8947c48ef"),
            (format!("v1.6.0-179-g{node}"), "1.6.1.dev179+g8947c48ef"),
            (format!("v1.6.0-0-g{node}"), "1.6.0"),
            (format!("my-app-v2.0-0-g{node}-dirty"), "2.1.dev0+g8947c48ef.dirty"),
            (format!("1.0.dev0-3-g{node}"), "1.0.dev3+g8947c48ef"),
            (format!("2.0rc1-3-g{node}"), "2.0rc2.dev3+g8947c48ef"),
        ] {
            assert_eq!(Scm::default().version(&describe(&text)).unwrap(), expected, "{text}");
        }
        let none = Scm { local: Local::None, ..Scm::default() };
        assert_eq!(none.version(&describe(&format!("1.0-2-g{node}"))).unwrap(), "1.1.dev2");
        let pdm = Scm { flavour: Flavour::Pdm, ..Scm::default() };
        assert_eq!(pdm.version(&describe(&format!("1.0-2-g{node}"))).unwrap(), "1.1.dev2+g8947c48");
        assert!(Scm::default().version(&describe(&format!("release-0-g{node}"))).is_err());
        let most = u64::MAX;
        assert!(Scm::default().version(&describe(&format!("1.{most}-1-g{node}"))).is_err());
    }

    #[test]
    fn an_sdist_knows_its_version() {
        let info =
            PkgInfo::parse("Metadata-Version: 2.4\nName: My.App\nVersion: 3\nDynamic: requires-dist\n\nVersion: 4\n");
        assert_eq!(info.version_of("my-app"), Some("3"));
        assert_eq!(info.version_of("other"), None);
        assert!(!info.is_final("Requires-Dist") && info.is_final("Summary"));
    }
}
