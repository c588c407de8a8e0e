//! .gitignore (gitignore(5)) as two readers understand it.
//!
//! git itself leaves a folder out as a whole: nothing below it can be taken back. hatchling asks its patterns about each
//! file alone, so that `!keep.log` takes a file back out of an ignored folder; it also writes its own patterns so.

use super::IgnoreFile;
use super::glob::{Hidden, PathGlob, Recursive};
use super::refusal::{Outcome, Refusal};

/// Patterns in their order; the last one that matches decides.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    glob: PathGlob,
    negated: bool,
    folders_only: bool,
}

/// Lines of one file: each is matched against every file of the project.
const MOST_LINES: usize = 3000;

impl Patterns {
    pub fn read(text: &str) -> Outcome<Self> {
        if text.lines().nth(MOST_LINES).is_some() {
            return Err(Refusal::broken(format!("a .gitignore has more than {MOST_LINES} lines")));
        }
        Ok(Self(text.lines().filter_map(Pattern::parse).collect()))
    }

    pub fn of<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Self {
        Self(patterns.into_iter().filter_map(Pattern::parse).collect())
    }

    /// Further patterns, that beat these.
    pub fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Is a file matched, itself or through a folder above it?
    pub fn matches(&self, file: &str) -> bool {
        let decides = |pattern: &&Pattern| pattern.matches(file, IsFolder::No) || pattern.matches_above(file);
        self.0.iter().rev().find(decides).is_some_and(|pattern| !pattern.negated)
    }

    /// What these patterns say of the path itself, if anything: `true` is ignored.
    pub fn decide(&self, path: &str, folder: IsFolder) -> Option<bool> {
        self.0.iter().rev().find(|pattern| pattern.matches(path, folder)).map(|pattern| !pattern.negated)
    }
}

/// Is a path a folder?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsFolder {
    /// It is.
    Yes,
    /// It is none.
    No,
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let line = strip_blanks(line.trim_end_matches(['\r', '\n']));
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (negated, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let line = line.strip_prefix('\\').filter(|rest| rest.starts_with(['#', '!'])).unwrap_or(line);
        let (folders_only, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let anchored = line.contains('/');
        let line = line.trim_start_matches('/');
        if line.is_empty() {
            return None;
        }
        let pattern = if anchored { line.to_owned() } else { format!("**/{line}") };
        // `a/**` is everything in `a`, not `a`.
        let pattern = pattern.strip_suffix("/**").map_or_else(|| pattern.clone(), |folder| format!("{folder}/**/*"));
        Some(Self { glob: PathGlob::new(&pattern, Hidden::Match, Recursive::Yes), negated, folders_only })
    }

    fn matches(&self, path: &str, folder: IsFolder) -> bool {
        (folder == IsFolder::Yes || !self.folders_only) && self.glob.matches(path)
    }

    fn matches_above(&self, file: &str) -> bool {
        file.match_indices('/').any(|(at, _)| self.glob.matches(&file[..at]))
    }
}

/// Blanks at the end do not count, unless the last one is escaped.
fn strip_blanks(line: &str) -> &str {
    let bare = line.trim_end_matches([' ', '\t']);
    if bare.ends_with('\\') && bare.len() < line.len() { &line[..=bare.len()] } else { bare }
}

/// All the ignore files of a repository, as git reads them.
#[derive(Debug, Default)]
pub struct Repository {
    /// Folder in which the patterns hold (relative to the project; for those above it the path from there to the project
    /// stands in `inside`), outermost first.
    files: Vec<(Where, Patterns)>,
}

#[derive(Debug)]
enum Where {
    /// A folder of the project.
    Below(String),
    /// A folder above: the path from it to the project.
    Above(String),
}

impl Repository {
    /// Files of a folder above, or `info/exclude`, outermost first, however long they are: each with the path from there to the
    /// folder that is looked through.
    pub fn above<'f>(files: impl IntoIterator<Item = &'f IgnoreFile>) -> Self {
        let one = |file: &IgnoreFile| (Where::Above(file.inside.clone()), Patterns::of(file.text.lines()));
        Self { files: files.into_iter().map(one).collect() }
    }

    /// Goes into a folder, whose path is relative to the one that is looked through: what its .gitignore says holds below it.
    pub fn enter(&mut self, folder: &str, text: &str) {
        self.files.push((Where::Below(folder.to_owned()), Patterns::of(text.lines())));
    }

    /// Leaves the folder that was entered last.
    pub fn leave(&mut self) {
        self.files.pop();
    }

    /// Is a path left out, where no folder above it is?
    pub fn leaves_out(&self, path: &str, folder: IsFolder) -> bool {
        self.decides(path, folder)
    }

    /// The .gitignore of a folder above, or `info/exclude`, with the path from there to the project; outermost first.
    pub(super) fn add_above(&mut self, inside: &str, text: &str) -> Outcome<()> {
        self.files.push((Where::Above(inside.to_owned()), Patterns::read(text)?));
        Ok(())
    }

    /// The .gitignore of a folder of the project; outer ones first.
    pub(super) fn add(&mut self, folder: &str, text: &str) -> Outcome<()> {
        self.files.push((Where::Below(folder.to_owned()), Patterns::read(text)?));
        Ok(())
    }

    /// Is a file of the project ignored?
    pub fn ignores(&self, file: &str) -> bool {
        let folders = file.match_indices('/').map(|(at, _)| (&file[..at], IsFolder::Yes));
        folders.chain([(file, IsFolder::No)]).any(|(path, folder)| self.decides(path, folder))
    }

    /// Does a folder above ignore the project as a whole? `inside` is the path from there.
    pub fn ignores_the_project(&self, inside: &str) -> bool {
        let Some((Where::Above(_), patterns)) = self.files.last() else { return false };
        let folders = inside.match_indices('/').map(|(at, _)| &inside[..at]).chain([inside]);
        folders.filter(|folder| !folder.is_empty()).any(|folder| patterns.decide(folder, IsFolder::Yes) == Some(true))
    }

    fn decides(&self, path: &str, folder: IsFolder) -> bool {
        let decide = |(place, patterns): &(Where, Patterns)| match place {
            Where::Above(inside) => patterns.decide(&super::tree::join(inside, path), folder),
            Where::Below(own) if own.is_empty() => patterns.decide(path, folder),
            Where::Below(own) => patterns.decide(path.strip_prefix(own.as_str())?.strip_prefix('/')?, folder),
        };
        self.files.iter().rev().find_map(decide).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of hatchling 1.33 (pathspec) for files.
    #[test]
    fn files_alone_decide() {
        let patterns = Patterns::read("*.log\n/gen/\nbuild/*\n!keep.log\n# no\n\\#yes\na/**\ndoc/x \n").unwrap();
        for (file, answer) in [
            ("x.log", true),
            ("a.b/x.log/y", true),
            ("gen/g.py", true),
            ("sub/gen/g.py", false),
            ("keep.log", false),
            ("gen/keep.log", false),
            ("build/x/y", true),
            ("#yes", true),
            ("a/b/c", true),
            ("b/a/c", false),
            ("doc/x", true),
        ] {
            assert_eq!(patterns.matches(file), answer, "{file}");
        }
    }

    #[test]
    fn git_takes_nothing_back_from_an_ignored_folder() {
        let mut repository = Repository::default();
        repository.add_above("back", "/back/cache/\n*.tmp\n").unwrap();
        repository.add("", "gen/\n!gen/keep.py\n!x.tmp\n").unwrap();
        repository.add("sub", "*.md\n!b.md\n").unwrap();
        for (file, answer) in [
            ("cache/x", true),
            ("gen/keep.py", true),
            ("y.tmp", true),
            ("x.tmp", false),
            ("sub/a.md", true),
            ("sub/b.md", false),
            ("a.md", false),
        ] {
            assert_eq!(repository.ignores(file), answer, "{file}");
        }
    }
}
