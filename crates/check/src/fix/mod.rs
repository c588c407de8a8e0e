//! Fixes, made and checked before anything is written.
//!
//! ```text
//! findings ─► fixes that are wanted and do not touch ─► made together ─► checked ─► the next pass
//!                                                          └ not right: halved until each one that is wrong is refused
//! ```
//!
//! What is checked of every fix: the text has no mistake more than before and no script
//! that cannot be read, and there is one finding of its rule less. Of a
//! safe one too that what is built stays the same ([`meaning`]), or that the rule's page names what changes ([`changes`]).

mod changes;
mod edits;
mod meaning;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use corten_diagnostic::{Finding, Fix, RuleId};
use corten_frontend::dockerfile::{Command, Dockerfile};
use corten_frontend::yaml::Document;

use crate::baseline::fingerprints;
use crate::lint::{Config, Lint};
use crate::rules::Subject;
use edits::Fitting;
use meaning::Meaning;

pub use changes::changes;

/// More often a text is not looked at again.
const PASSES: usize = 20;

/// Which fixes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `--fix`: those that need no eye.
    Safe,
    /// `--unsafe-fixes`: the others, too.
    All,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The text; as it was where nothing was made.
    pub text: String,
    /// In the order in which they were made.
    pub made: Vec<Made>,
    /// Those that were wanted and not made.
    pub refused: Vec<Refused>,
    /// What is found in the text that came out.
    pub findings: Vec<Finding>,
}

/// A fix that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whose.
    pub rule: RuleId,
    /// What it does.
    pub title: String,
}

/// A fix that was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub finding: Finding,
    /// In a clause.
    pub why: String,
}

/// Finds in a text.
pub type Find<'a> = &'a dyn Fn(&str) -> Vec<Finding>;

/// Makes the fixes of a file's findings until there is none left.
pub fn fix(file: &Path, text: &str, subject: Subject, wanted: Wanted, find: Find<'_>) -> Fixed {
    let mut work = Work { file, subject, find, refused: BTreeMap::new() };
    let mut fixed = Fixed { text: text.to_owned(), made: Vec::new(), refused: Vec::new(), findings: find(text) };
    let mut seen = BTreeSet::from([fixed.text.clone()]);
    for _ in 0..PASSES {
        let Some((text, made)) = work.pass(&fixed, wanted) else { break };
        if !seen.insert(text.clone()) {
            break;
        }
        fixed.findings = find(&text);
        fixed.text = text;
        fixed.made.extend(made);
    }
    fixed.refused = work.refused.into_values().collect();
    fixed
}

/// May the fix of one of a text's findings be made? What [`fix`] checks of it alone.
///
/// # Errors
/// Why not.
pub fn is_right(
    file: &Path,
    text: &str,
    subject: Subject,
    all: &[Finding],
    finding: &Finding,
    find: Find<'_>,
) -> Result<(), String> {
    let Some(fix) = finding.fix.as_ref().filter(|fix| Fitting::of(text).fits(fix)) else {
        return Err("it changes another file than this".to_owned());
    };
    let work = Work { file, subject, find, refused: BTreeMap::new() };
    let candidate = Candidate { finding, fix, key: (String::new(), String::new()) };
    let must_be_same = fix.safe && changes(finding.rule.0).is_none();
    work.check(&Before::of(file, text, all, subject), &[candidate], must_be_same)
}

/// Is the fix one that is made without asking?
pub fn is_wanted(fix: &Fix, wanted: Wanted) -> bool {
    fix.safe || wanted == Wanted::All
}

struct Work<'a> {
    file: &'a Path,
    subject: Subject,
    find: Find<'a>,
    /// By fingerprint of the finding and title of the fix.
    refused: BTreeMap<(String, String), Refused>,
}

/// A finding with its fix.
struct Candidate<'f> {
    finding: &'f Finding,
    fix: &'f Fix,
    key: (String, String),
}

impl Work<'_> {
    /// One round: the text that comes out, and what was made; none where there is nothing to do.
    fn pass(&mut self, now: &Fixed, wanted: Wanted) -> Option<(String, Vec<Made>)> {
        let before = Before::of(self.file, &now.text, &now.findings, self.subject);
        // What must change nothing is made first, and checked as one.
        for must_be_same in [true, false] {
            let candidates = self.candidates(now, wanted, must_be_same);
            let chosen = edits::apart(candidates, |candidate| candidate.fix);
            let accepted = self.accepted(&before, chosen, must_be_same);
            if !accepted.is_empty() {
                let made = |one: &Candidate<'_>| Made { rule: one.finding.rule, title: one.fix.title.clone() };
                return Some((before.with(&accepted), accepted.iter().map(made).collect()));
            }
        }
        None
    }

    fn candidates<'f>(&mut self, now: &'f Fixed, wanted: Wanted, must_be_same: bool) -> Vec<Candidate<'f>> {
        let mut candidates = Vec::new();
        let mut fitting = Fitting::of(&now.text);
        for (finding, print) in now.findings.iter().zip(fingerprints(&now.findings)) {
            let Some(fix) = finding.fix.as_ref().filter(|fix| is_wanted(fix, wanted)) else { continue };
            let same = fix.safe && changes(finding.rule.0).is_none();
            let key = (print, fix.title.clone());
            if same != must_be_same || self.refused.contains_key(&key) {
                continue;
            }
            let candidate = Candidate { finding, fix, key };
            if fitting.fits(fix) {
                candidates.push(candidate);
            } else {
                self.refuse(&candidate, "it changes another file than this".to_owned());
            }
        }
        candidates.sort_by_key(|candidate| candidate.fix.edits.iter().map(|edit| edit.span.range().start).min());
        candidates
    }

    fn refuse(&mut self, candidate: &Candidate<'_>, why: String) {
        let refused = Refused { finding: candidate.finding.clone(), why };
        self.refused.insert(candidate.key.clone(), refused);
    }

    /// Those of a group that are right, together.
    fn accepted<'f>(
        &mut self,
        before: &Before<'_>,
        mut group: Vec<Candidate<'f>>,
        must_be_same: bool,
    ) -> Vec<Candidate<'f>> {
        if group.is_empty() {
            return group;
        }
        let Err(why) = self.check(before, &group, must_be_same) else { return group };
        if let [one] = group.as_slice() {
            self.refuse(one, why);
            return Vec::new();
        }
        let half = group.split_off(group.len() / 2);
        let mut accepted = self.accepted(before, group, must_be_same);
        let kept = accepted.len();
        accepted.extend(self.accepted(before, half, must_be_same));
        if kept > 0 && accepted.len() > kept && self.check(before, &accepted, must_be_same).is_err() {
            // Each half is right, both are not: the second waits for the next pass.
            accepted.truncate(kept);
        }
        accepted
    }

    fn check(&self, before: &Before<'_>, group: &[Candidate<'_>], must_be_same: bool) -> Result<(), String> {
        let text = before.with(group);
        let is_dockerfile = self.subject == Subject::Dockerfile;
        if is_dockerfile && mistakes(self.file, &text) > before.mistakes {
            return Err("the file would have a mistake that it has not now".to_owned());
        }
        let commands = if is_dockerfile { Commands::of(self.file, &text) } else { Commands::default() };
        if commands.unread > before.commands.unread {
            return Err("the shell could not read a script that it reads now".to_owned());
        }
        if commands.lists < before.commands.lists {
            return Err("a RUN that is a list would become a text".to_owned());
        }
        if self.subject == Subject::Compose {
            Document::read(self.file, &text).map_err(|why| format!("the file could not be read any more: {why}"))?;
        }
        if must_be_same {
            let was = before.meaning.as_ref().map_err(|why| format!("what is built cannot be compared: {why}"))?;
            let is = Meaning::of(self.file, &text).map_err(|why| format!("what is built would fail: {why}"))?;
            if let Some(difference) = was.differs(&is) {
                return Err(difference);
            }
        }
        let after = counts(&(self.find)(&text));
        for (rule, fixes) in counts(group.iter().map(|candidate| candidate.finding)) {
            let was = before.counts.get(&rule).copied().unwrap_or(0);
            if after.get(&rule).copied().unwrap_or(0) + fixes > was {
                return Err(format!("{rule} would still be found"));
            }
        }
        Ok(())
    }
}

/// A text before a pass.
struct Before<'t> {
    text: &'t str,
    mistakes: usize,
    commands: Commands,
    meaning: Result<Meaning, String>,
    counts: BTreeMap<RuleId, usize>,
}

impl<'t> Before<'t> {
    fn of(file: &Path, text: &'t str, findings: &[Finding], subject: Subject) -> Self {
        let has_fix = findings.iter().any(|finding| finding.fix.is_some());
        let meaning = match subject {
            Subject::Dockerfile if has_fix => Meaning::of(file, text),
            _ => Err("it is no Dockerfile".to_owned()),
        };
        let mistakes = if meaning.is_ok() { 0 } else { mistakes(file, text) };
        let is_asked = subject == Subject::Dockerfile && has_fix;
        let commands = if is_asked { Commands::of(file, text) } else { Commands::default() };
        Self { text, mistakes, commands, meaning, counts: counts(findings) }
    }

    fn with(&self, group: &[Candidate<'_>]) -> String {
        edits::made(self.text, group.iter().map(|candidate| candidate.fix))
    }
}

/// How many lines cannot be read or understood.
fn mistakes(file: &Path, text: &str) -> usize {
    match Dockerfile::read(file, text) {
        Ok(read) => read.instructions.iter().filter(|line| Command::of(line).is_err()).count(),
        Err(mistakes) => mistakes.len(),
    }
}

/// What a Dockerfile gives to shells and programs.
#[derive(Debug, Default)]
struct Commands {
    /// Scripts that cannot be read: in them nothing is found, whatever a fix made of them.
    unread: usize,
    /// RUNs that are lists: one that is none any more is a text for the shell, and no mistake.
    lists: usize,
}

impl Commands {
    fn of(file: &Path, text: &str) -> Self {
        let (read, _) = Dockerfile::read_what_can_be(file, text);
        let config = Config::default();
        let lint = Lint::new(&read, &[], &config);
        Self {
            unread: lint.unread(),
            lists: lint.steps.iter().filter(|step| step.is_run() && step.exec().is_some()).count(),
        }
    }
}

fn counts<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> BTreeMap<RuleId, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.rule).or_default() += 1;
    }
    counts
}
