//! Which files of a project enter its image: weights, what is ignored and why, and the rest.
//!
//! Patterns are those of .dockerignore ([`Matcher`], after `moby/patternmatcher`). They come, in this order, from the groups
//! that every machine-learning project wants out, from .dockerignore and from `[ignore] patterns`; the last one that
//! matches a path or a folder above it decides, so `!artifacts` in either brings that folder back. `weights` is asked before
//! them all, except that no weights are found in virtual environments, caches and the like. `corten.lock` never
//! enters an image.

mod groups;
mod pattern;

use std::collections::HashMap;

use corten_diagnostic::{Failure, Span};

pub use pattern::PatternError;

use crate::settings::{Setting, Settings, Text};
use groups::DEFAULT_GROUPS;
use pattern::{Pattern, clean};

/// Patterns in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

impl Matcher {
    /// Each as a line of .dockerignore: a leading slash is the project's root, empty texts are skipped.
    ///
    /// # Errors
    /// The first text that is no pattern.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, PatternError> {
        let patterns = patterns.into_iter().filter_map(|text| Pattern::parse(&relative(text.trim())).transpose());
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    /// Is the path, or a folder above it, matched and not excepted again? `path` is relative, with slashes.
    pub fn matches(&self, path: &str) -> bool {
        self.deciding(path).is_some()
    }

    /// May something below a matched folder be excepted again? A folder of which that is not so need not be looked into.
    pub fn excepts_below(&self, folder: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception && pattern.reaches_into(folder))
    }

    /// May something below a folder match?
    pub fn reaches_into(&self, folder: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| !pattern.exception && (pattern.reaches_into(folder) || pattern.matches(folder)))
    }

    /// The place of the pattern because of which the path is matched.
    fn deciding(&self, path: &str) -> Option<usize> {
        let mut decided = None;
        for (at, pattern) in self.patterns.iter().enumerate() {
            if pattern.exception == decided.is_some() && pattern.matches(path) {
                decided = if pattern.exception { None } else { Some(at) };
            }
        }
        decided
    }
}

/// The patterns of a .dockerignore file, each with its line, counted from 1: without comments and leading slashes.
pub fn read_ignore_file(text: &str) -> Vec<(usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
    numbered.map(|(at, line)| (at + 1, relative(line.trim()))).collect()
}

/// A pattern as it is meant below the project: a leading slash is the project's root.
fn relative(line: &str) -> String {
    let (mark, rest) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if rest.is_empty() {
        return mark.to_owned();
    }
    let cleaned = clean(rest);
    let below = cleaned.strip_prefix('/').filter(|below| !below.is_empty()).unwrap_or(&cleaned);
    format!("{mark}{below}")
}

/// A pattern that means this path alone.
fn literal(path: &str) -> String {
    let mut pattern = String::new();
    for letter in path.chars() {
        if "*?[\\!".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// Where a pattern comes from, as the plan shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `virtual environments`, `.dockerignore`, `[ignore] patterns` …
    pub name: String,
    /// Its patterns are not asked about weights.
    before_weights: bool,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate<'i> {
    /// It goes into the app layer.
    App,
    /// It goes into the layer of weights.
    Weight,
    /// It stays out, because of this group.
    Ignored(&'i Group),
}

/// The groups that every project gets: names and patterns, in their order.
pub fn default_groups() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    DEFAULT_GROUPS.iter().map(|group| (group.name, group.patterns))
}

/// The rules of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    matcher: Matcher,
    /// Of each pattern, the place of its group.
    group_of: Vec<usize>,
    groups: Vec<Group>,
    weights: Matcher,
}

impl Ignore {
    /// The rules of settings, with the project's .dockerignore.
    ///
    /// # Errors
    /// Usage for a pattern of the settings, input for one of .dockerignore; each with its place.
    pub fn new(settings: &Settings, dockerignore: Option<&Text>) -> Result<Self, Failure> {
        let mut ignore =
            Self { matcher: Matcher::default(), group_of: Vec::new(), groups: Vec::new(), weights: Matcher::default() };
        if settings.ignore.defaults.value {
            ignore.add_defaults()?;
        }
        if let Some(file) = dockerignore {
            ignore.add_file(file)?;
        }
        ignore.add_settings(&settings.ignore.patterns)?;
        ignore.add_tests(settings.test.paths.iter().flatten().chain(&settings.test.junit))?;
        ignore.add_own();
        for weight in &settings.weights {
            let pattern = Pattern::parse(&relative(weight.trim())).map_err(|error| of_setting(&error, weight))?;
            ignore.weights.patterns.extend(pattern);
        }
        Ok(ignore)
    }

    /// The groups that may show up in an answer.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What becomes of a file. `path` is relative to the project, with slashes.
    pub fn fate(&self, path: &str) -> Fate<'_> {
        let own = [LOCK, INCOMPLETE_LOCK, INCOMPLETE_PYLOCK, INCOMPLETE_SETTINGS].contains(&path);
        let group = if own { self.groups.last() } else { self.group(path) };
        match group {
            Some(group) if group.before_weights => Fate::Ignored(group),
            _ if self.weights.matches(path) => Fate::Weight,
            Some(group) => Fate::Ignored(group),
            None => Fate::App,
        }
    }

    /// The group because of which a whole folder stays out; none if something in it might not.
    pub fn prunes(&self, folder: &str) -> Option<&Group> {
        let at = self.matcher.deciding(folder)?;
        let group = self.groups.get(*self.group_of.get(at)?)?;
        let later = self.matcher.patterns.iter().skip(at + 1);
        let excepted = later.into_iter().any(|pattern| pattern.exception && pattern.reaches_into(folder));
        let mut weights = self.weights.patterns.iter().filter(|pattern| !pattern.exception);
        let holds_weights = !group.before_weights && weights.any(|pattern| pattern.reaches_into(folder));
        (!excepted && !holds_weights).then_some(group)
    }

    fn group(&self, path: &str) -> Option<&Group> {
        self.groups.get(*self.group_of.get(self.matcher.deciding(path)?)?)
    }

    fn add(&mut self, pattern: Option<Pattern>) {
        if let Some(pattern) = pattern {
            self.matcher.patterns.push(pattern);
            self.group_of.push(self.groups.len() - 1);
        }
    }

    fn begin(&mut self, name: &str, before_weights: bool) {
        self.groups.push(Group { name: name.to_owned(), before_weights });
    }

    fn add_defaults(&mut self) -> Result<(), Failure> {
        for group in &DEFAULT_GROUPS {
            self.begin(group.name, group.before_weights);
            for text in group.patterns {
                self.add(Pattern::parse(text).map_err(|error| Failure::bug(error.to_string()))?);
            }
        }
        Ok(())
    }

    fn add_file(&mut self, file: &Text) -> Result<(), Failure> {
        let name = file.path.file_name().unwrap_or(file.path.as_os_str()).to_string_lossy();
        self.begin(&name, false);
        for (line, text) in read_ignore_file(&file.text) {
            let at = || Span::line_of(&file.path, std::sync::Arc::clone(&file.text), line);
            self.add(Pattern::parse(&text).map_err(|error| Failure::input(error.to_string()).at(at()))?);
        }
        Ok(())
    }

    fn add_settings(&mut self, patterns: &[Setting<String>]) -> Result<(), Failure> {
        self.begin("[ignore] patterns", false);
        for written in patterns {
            self.add(Pattern::parse(&relative(written.trim())).map_err(|error| of_setting(&error, written))?);
        }
        Ok(())
    }

    /// What is there for tests alone. Only what the project names: nobody else knows that `tests` is no package of it.
    fn add_tests<'s>(&mut self, paths: impl Iterator<Item = &'s Setting<String>>) -> Result<(), Failure> {
        self.begin("[test]", true);
        for path in paths {
            self.add(Pattern::parse(&literal(path)).map_err(|error| of_setting(&error, path))?);
        }
        Ok(())
    }

    fn add_own(&mut self) {
        self.begin("corten.lock", true);
    }
}

/// Always the last group, whatever the patterns say.
const LOCK: &str = "corten.lock";

/// The name of corten.lock while it is written; whoever is killed then leaves it.
pub const INCOMPLETE_LOCK: &str = ".corten.lock.incomplete";
/// The same of pylock.toml; its resolver wants it to begin and end so. It is no lock of the project's.
pub const INCOMPLETE_PYLOCK: &str = "pylock.corten-incomplete.toml";
/// The same of what `corten init` writes.
pub const INCOMPLETE_SETTINGS: &str = ".corten.init.incomplete";

fn of_setting(error: &PatternError, setting: &Setting<String>) -> Failure {
    let failure = Failure::usage(error.to_string());
    match &setting.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}

/// Files and bytes that each group kept out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally<'i> {
    counts: HashMap<&'i str, (u64, u64)>,
}

impl<'i> Tally<'i> {
    /// One more file of a group.
    pub fn add(&mut self, group: &'i Group, bytes: u64) {
        let (files, total) = self.counts.entry(&group.name).or_default();
        *files += 1;
        *total = total.saturating_add(bytes);
    }

    /// Group, files, bytes: most bytes first.
    pub fn rows(&self) -> Vec<(&'i str, u64, u64)> {
        let mut rows: Vec<_> = self.counts.iter().map(|(name, (files, bytes))| (*name, *files, *bytes)).collect();
        rows.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(b.0)));
        rows
    }
}

#[cfg(test)]
mod tests;
