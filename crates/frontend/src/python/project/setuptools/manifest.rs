//! setuptools' manifest: the files that an sdist would have, which is what `include-package-data` means.

use std::collections::BTreeSet;

use crate::python::project::Context;
use crate::python::project::folder::Text;
use crate::python::project::glob::{Glob, Hidden, PathGlob, Recursive};
use crate::python::project::refusal::{Outcome, Refusal};
use crate::python::project::tree::{Tree, parent};

/// Words of MANIFEST.in, comments too: each is matched against every file of the project.
const MOST_WORDS: usize = 10_000;

/// Builds the list.
pub(super) struct Manifest<'c, 'a> {
    context: &'c Context<'a>,
    files: BTreeSet<String>,
}

/// The manifest: `sources` are the files that are shipped anyway, `further` are licences and what `file:` names.
pub(super) fn manifest(
    context: &Context<'_>,
    sources: BTreeSet<String>,
    further: &[String],
    tracked: bool,
    sources_txt: Option<&str>,
) -> Outcome<BTreeSet<String>> {
    let mut manifest = Manifest { context, files: sources };
    manifest.add_defaults();
    match context.project.git.filter(|_| tracked) {
        Some(git) => {
            manifest.files.extend(git.tracked.iter().filter(|path| manifest.context.tree.file(path).is_some()).cloned())
        }
        None => manifest.add_listed(sources_txt)?,
    }
    if let Some(template) = context.text("MANIFEST.in")? {
        manifest.run(&template)?;
    }
    manifest.files.extend(further.iter().filter(|path| context.tree.file(path).is_some()).cloned());
    manifest.prune();
    Ok(manifest.files)
}

impl Manifest<'_, '_> {
    fn tree(&self) -> &Tree {
        &self.context.tree
    }

    fn add_defaults(&mut self) {
        let readme = ["README", "README.txt", "README.rst", "README.md"]
            .into_iter()
            .find(|path| self.tree().file(path).is_some());
        let fixed = ["pyproject.toml", "setup.cfg", "setup.py", "MANIFEST.in"].into_iter().chain(readme);
        let mut added: Vec<String> = fixed.filter(|path| self.tree().file(path).is_some()).map(str::to_owned).collect();
        for folder in ["test", "tests"] {
            let tests = self.tree().names(folder).filter(|name| Glob::name("test*.py").matches(name));
            added.extend(tests.map(|name| format!("{folder}/{name}")));
        }
        self.files.extend(added);
    }

    /// The lines of an sdist's SOURCES.txt that are still there.
    fn add_listed(&mut self, sources_txt: Option<&str>) -> Outcome<()> {
        let Some(path) = sources_txt else { return Ok(()) };
        let Some(text) = self.context.text(path)? else { return Ok(()) };
        let there = text.text.lines().filter(|path| self.tree().file(path).is_some()).map(str::to_owned);
        self.files.extend(there.collect::<Vec<_>>());
        Ok(())
    }

    fn run(&mut self, template: &Text) -> Outcome<()> {
        if template.text.split_whitespace().nth(MOST_WORDS).is_some() {
            return Err(Refusal::broken(format!("MANIFEST.in has more than {MOST_WORDS} words")));
        }
        let mut line_number = 0;
        let mut joined = String::new();
        let mut lines = template.text.lines().enumerate().peekable();
        while let Some((at, line)) = lines.next() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if joined.is_empty() {
                line_number = at + 1;
            }
            if let Some(begun) = line.strip_suffix('\\').filter(|_| lines.peek().is_some()) {
                joined.push_str(begun);
                joined.push(' ');
                continue;
            }
            joined.push_str(line);
            let command = std::mem::take(&mut joined);
            self.command(&command)
                .map_err(|why| Refusal::broken(format!("MANIFEST.in: {why}")).at(Some(template.line(line_number))))?;
        }
        Ok(())
    }

    fn command(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let Some(command) = words.next() else { return Ok(()) };
        let words: Vec<&str> = words.map(|word| word.trim_matches('/')).collect();
        let (folder, rest) = match (command, &words[..]) {
            ("recursive-include" | "recursive-exclude", [folder, rest @ ..]) if !rest.is_empty() => (*folder, rest),
            ("graft" | "prune", [folder]) => (*folder, &[][..]),
            ("include" | "exclude" | "global-include" | "global-exclude", rest) if !rest.is_empty() => ("", rest),
            (
                "recursive-include" | "recursive-exclude" | "graft" | "prune" | "include" | "exclude"
                | "global-include" | "global-exclude",
                _,
            ) => return Err(format!("'{command}' has other words behind it")),
            _ => return Err(format!("'{command}' is no command")),
        };
        match command {
            "include" => rest.iter().for_each(|pattern| self.include(&glob(pattern, Recursive::No))),
            "exclude" => rest.iter().for_each(|pattern| self.exclude(&glob(pattern, Recursive::Yes))),
            "global-include" => rest.iter().for_each(|pattern| self.include(&anywhere("", pattern))),
            "global-exclude" => rest.iter().for_each(|pattern| self.exclude(&anywhere("", pattern))),
            "recursive-include" => rest.iter().for_each(|pattern| self.include(&anywhere(folder, pattern))),
            "recursive-exclude" => rest.iter().for_each(|pattern| self.exclude(&anywhere(folder, pattern))),
            "graft" => self.include(&glob(&format!("{folder}/**"), Recursive::Yes)),
            _ => self.exclude(&glob(&format!("{folder}/**"), Recursive::Yes)),
        }
        Ok(())
    }

    fn include(&mut self, glob: &PathGlob) {
        let hits = self.context.tree.files().map(|(path, _)| path).filter(|path| glob.matches(path));
        self.files.extend(hits.map(str::to_owned));
    }

    fn exclude(&mut self, glob: &PathGlob) {
        self.files.retain(|path| !glob.matches(path));
    }

    fn prune(&mut self) {
        const VERSION_CONTROL: [&str; 7] = ["RCS", "CVS", ".svn", ".hg", ".git", ".bzr", "_darcs"];
        self.files.retain(|path| {
            let mut folders = parent(path).split('/');
            let left_behind = matches!(path.split_once('/'), Some(("build" | ".tox" | ".nox" | ".venv", _)));
            !left_behind && !folders.any(|folder| VERSION_CONTROL.contains(&folder))
        });
    }
}

fn glob(pattern: &str, recursive: Recursive) -> PathGlob {
    PathGlob::new(pattern, Hidden::Match, recursive)
}

fn anywhere(folder: &str, pattern: &str) -> PathGlob {
    glob(&format!("{folder}/**/{pattern}"), Recursive::Yes)
}
