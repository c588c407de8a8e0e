//! CopyIgnoredFile: COPY of what .dockerignore keeps out.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Keyword;
use corten_frontend::ignore::Matcher;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("CopyIgnoredFile"),
    name: "copy-ignored-file",
    severity: Severity::Warning,
    what: "Attempting to Copy file that is excluded by .dockerignore.",
    why: "The file is never sent to the build, so that the instruction fails, or copies less than it says.",
    bad: "# .dockerignore: app\nFROM scratch\nCOPY app /app\n",
    good: "# .dockerignore: data\nFROM scratch\nCOPY app /app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(patterns) = super::ignored(lint) else { return };
    // What an exception brings back cannot be told from the pattern alone.
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern.starts_with('!')) {
        return;
    }
    let Ok(matcher) = Matcher::new(patterns.iter().map(String::as_str)) else { return };
    let takes_root = patterns.iter().any(|pattern| ["*", "**", "**/*"].contains(&pattern.as_str()));
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        let name = if line.instruction.keyword == Keyword::Add { "Add" } else { "Copy" };
        for (path, word) in &line.seen.sources {
            if path.contains("://") || (name == "Add" && is_repository(path)) {
                continue;
            }
            let path = clean(path);
            let is_ignored = if path == "." || path == "/" { takes_root } else { matcher.matches(&path) };
            if is_ignored {
                let message = format!("Attempting to {name} file {path:?} that is excluded by .dockerignore");
                found.add(line.at(word), message, "take the pattern out of .dockerignore, or the path out of here");
            }
        }
    }
}

fn is_repository(path: &str) -> bool {
    path.starts_with("git@") || path.starts_with("github.com/")
}

/// As Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    match (path.starts_with('/'), parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}
