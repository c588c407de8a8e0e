//! Which findings count: settings, and comments in the file.
//!
//! | comment | silences |
//! |---|---|
//! | `# hadolint ignore=DL3008,SC2086` | in the instruction below |
//! | `# hadolint global ignore=DL3008` | in the file |
//! | `# check=skip=StageNameCasing,…` at the beginning | in the file; `error=true` makes BuildKit's checks errors |
//! | `# check=skip=…` above an instruction | in the instruction below |
//! | `# corten ignore=ML101` | in the instruction below |
//! | `# corten global ignore=ML101` | in the file |
//!
//! Each of them takes the ids of all: numbers, names, aliases. In compose files `# corten ignore=` stands above a line or at
//! its end.

use std::collections::HashSet;
use std::ops::Range;

use corten_diagnostic::{Finding, Place, Severity};
use corten_frontend::dockerfile::{DirectiveName, Dockerfile, Instruction};

use crate::rules::{Initially, Rule};

/// What settings and options say about rules.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// These alone speak, where there are any: ids, aliases, or beginnings of them (`DL`, `ML1`), or `all`.
    pub select: Vec<String>,
    /// These speak too, though they do not unless told so.
    pub also: Vec<String>,
    /// These are silent.
    pub ignore: Vec<String>,
    /// These matter more or less than usual; the last one decides.
    pub severities: Vec<(String, Severity)>,
    /// Comments of `# hadolint ignore=` and `# corten ignore=` mean nothing.
    pub no_pragmas: bool,
    /// What `BUILDKIT_DOCKERFILE_CHECK` says: it goes before `# check=` of the file.
    pub check: Option<String>,
}

/// How many findings comments silenced.
pub type Suppressed = usize;

/// A comment that silences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pragma {
    /// Who is told: `hadolint`, `check`, `corten`.
    pub tool: &'static str,
    /// The ids that it names.
    pub rules: Vec<String>,
    /// The instruction below, as its place among the file's; none where it is the whole file.
    pub instruction: Option<usize>,
    /// In bytes of the file: the comment.
    pub at: Range<usize>,
}

/// Is a rule meant by what somebody wrote: `DL3008`, `dl3`, `StageNameCasing`, `all`?
pub(crate) fn means(written: &str, rule: &Rule) -> bool {
    if written.eq_ignore_ascii_case("all") || rule.is(written) {
        return true;
    }
    let letters = written.len() - written.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
    let is_start = (2..=3).contains(&letters)
        && written.get(letters..).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let starts = |id: &str| {
        id.get(..written.len()).is_some_and(|start| start.eq_ignore_ascii_case(written))
            && id.as_bytes().get(letters).is_some_and(u8::is_ascii_digit)
    };
    is_start && std::iter::once(&rule.id.0).chain(rule.aliases).any(|id| starts(id))
}

/// Is a code of another program meant, `SC2086` by `SC2086`, `SC` or `SC20`?
pub(super) fn means_foreign(written: &str, id: &str) -> bool {
    written.eq_ignore_ascii_case(id) || (written.len() >= 2 && id.starts_with(written))
}

/// Does any rule answer to this?
pub fn is_rule(written: &str) -> bool {
    crate::rules::rules().any(|rule| means(written, rule))
}

/// Is it a check of BuildKit, by its own id or an alias? Their names are words.
fn is_check(rule: &Rule) -> bool {
    std::iter::once(&rule.id.0).chain(rule.aliases).any(|id| !id.bytes().any(|letter| letter.is_ascii_digit()))
}

impl Choice {
    /// Does a rule speak?
    pub(super) fn wants(&self, rule: &Rule, experimental: &[String]) -> bool {
        let named = |list: &[String]| list.iter().any(|written| means(written, rule));
        if named(&self.ignore) {
            return false;
        }
        if !self.select.is_empty() {
            // `DL` means what speaks usually; a whole name means itself.
            let whole = self.select.iter().any(|written| rule.is(written));
            return whole || (named(&self.select) && rule.initially == Initially::On) || named(&self.also);
        }
        match rule.initially {
            Initially::On => true,
            Initially::Off => named(&self.also),
            Initially::Experimental => named(&self.also) || named(experimental),
        }
    }

    fn severity(&self, rule: &Rule) -> Option<Severity> {
        self.severities.iter().rev().find(|(written, _)| means(written, rule)).map(|(_, severity)| *severity)
    }
}

/// Where comments silence a rule.
enum Silent {
    Everywhere,
    /// At these instructions.
    At(HashSet<usize>),
}

/// What a file's comments say.
#[derive(Debug, Default)]
pub(super) struct Comments {
    /// Those for the whole file first, then by instruction.
    pragmas: Vec<Pragma>,
    /// `experimental=` of `# check=`.
    pub(super) experimental: Vec<String>,
    /// `error=true` of it.
    errors: bool,
    /// Where each instruction stands, in bytes of the file.
    places: Vec<Range<usize>>,
}

impl Comments {
    pub(super) fn of(file: &Dockerfile, choice: &Choice) -> Self {
        let mut comments = Self { places: places(file), ..Self::default() };
        comments.directives(file, choice);
        let silent = |pragma: &Pragma| !choice.no_pragmas || pragma.tool == "check";
        comments.pragmas.extend(pragmas(file).into_iter().filter(silent));
        comments.sorted()
    }

    /// Of a compose file: a comment stands for the line below it, one behind something for its own line.
    pub(super) fn of_lines(text: &str, choice: &Choice) -> Self {
        let starts = starts(text);
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let places: Vec<Range<usize>> = starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
        let mut pragmas = Vec::new();
        for (number, place) in places.iter().enumerate().filter(|_| !choice.no_pragmas) {
            let line = text.get(place.clone()).unwrap_or_default();
            let Some((before, comment)) = line.split_once('#') else { continue };
            let below = if before.trim().is_empty() { number + 1 } else { number };
            let start = place.start + before.len();
            pragmas.extend(pragma(comment.trim(), Some(below), start..place.end));
        }
        Self { pragmas, places, ..Self::default() }.sorted()
    }

    /// In their order, each for the whole file once: a file may have thousands.
    fn sorted(mut self) -> Self {
        self.pragmas.sort_by_key(|pragma| pragma.instruction);
        let mut seen = HashSet::new();
        self.pragmas.retain(|pragma| pragma.instruction.is_some() || seen.insert((pragma.tool, pragma.rules.clone())));
        self
    }

    /// Those that count at an instruction.
    fn at_instruction(&self, instruction: Option<usize>) -> impl Iterator<Item = &Pragma> {
        let bound = |of: &dyn Fn(Option<usize>) -> bool| self.pragmas.partition_point(|pragma| of(pragma.instruction));
        let everywhere = bound(&|of| of.is_none());
        let (start, end) = match instruction {
            Some(_) => (bound(&|of| of < instruction), bound(&|of| of <= instruction)),
            None => (everywhere, everywhere),
        };
        let part = |range: Range<usize>| self.pragmas.get(range).unwrap_or_default().iter();
        part(0..everywhere).chain(part(start..end))
    }

    fn directives(&mut self, file: &Dockerfile, choice: &Choice) {
        let written = file.directives.iter().find(|directive| directive.name == DirectiveName::Check);
        let value = choice.check.as_deref().or(written.map(|directive| directive.value.as_str()));
        let Some(value) = value else { return };
        let check = Check::of(value);
        let at = written.map_or(0..0, |directive| directive.range.clone());
        self.pragmas.push(Pragma { tool: "check", rules: check.skip, instruction: None, at });
        (self.errors, self.experimental) = (check.error, check.experimental);
    }

    /// Those that count, with their severities as they are wanted.
    pub(super) fn judge(&self, rule: &Rule, findings: Vec<Finding>, choice: &Choice) -> (Vec<Finding>, Suppressed) {
        if findings.is_empty() {
            return (findings, 0);
        }
        let all = findings.len();
        let silent = self.silent_at(rule);
        let mut kept: Vec<Finding> = findings.into_iter().filter(|finding| !self.silences(&silent, finding)).collect();
        let suppressed = all - kept.len();
        let severity = choice.severity(rule).or((self.errors && is_check(rule)).then_some(Severity::Error));
        if let Some(severity) = severity {
            kept.iter_mut().for_each(|finding| finding.severity = severity);
        }
        (kept, suppressed)
    }

    /// Where a rule is silent.
    fn silent_at(&self, rule: &Rule) -> Silent {
        let meant = self.pragmas.iter().filter(|one| one.rules.iter().any(|written| one.means(written, rule)));
        let places: Option<HashSet<usize>> = meant.map(|pragma| pragma.instruction).collect();
        places.map_or(Silent::Everywhere, Silent::At)
    }

    fn silences(&self, silent: &Silent, finding: &Finding) -> bool {
        match (silent, &finding.at) {
            (Silent::Everywhere, _) => true,
            (Silent::At(places), Place::Text(span)) => {
                self.instruction(span.range().start).is_some_and(|at| places.contains(&at))
            }
            (Silent::At(_), _) => false,
        }
    }

    /// What is silenced at an instruction.
    pub(super) fn at(&self, instruction: usize) -> Vec<String> {
        self.at_instruction(Some(instruction)).flat_map(|pragma| pragma.rules.iter().cloned()).collect()
    }

    /// The instruction that a byte is part of.
    fn instruction(&self, at: usize) -> Option<usize> {
        let found = self.places.partition_point(|place| place.start <= at).checked_sub(1)?;
        self.places.get(found).filter(|place| at < place.end.max(place.start + 1)).map(|_| found)
    }
}

impl Pragma {
    fn means(&self, written: &str, rule: &Rule) -> bool {
        match (self.tool, written) {
            ("check", "all") => is_check(rule),
            // DL1001 is about these comments: they do not silence it.
            ("hadolint" | "corten", _) if rule.id.0 == "DL1001" => false,
            _ => rule.is(written),
        }
    }
}

/// What `# check=` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Check {
    skip: Vec<String>,
    error: bool,
    experimental: Vec<String>,
}

impl Check {
    /// `skip=A,B;error=true;experimental=C`.
    fn of(value: &str) -> Self {
        let mut check = Self::default();
        for part in value.split(';') {
            match part.trim().split_once('=') {
                Some(("skip", list)) => check.skip = names(list),
                Some(("experimental", list)) => check.experimental = names(list),
                Some(("error", value)) => {
                    check.error = value.trim().eq_ignore_ascii_case("true") || value.trim() == "1"
                }
                _ => {}
            }
        }
        check
    }
}

/// What stands between commas.
fn names(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Where instructions stand, here-documents with them.
fn places(file: &Dockerfile) -> Vec<Range<usize>> {
    let starts = starts(file.text());
    let byte = |line: usize| starts.get(line.saturating_sub(1)).copied().unwrap_or(file.text().len());
    file.instructions.iter().map(|one| byte(one.lines.start)..byte(one.lines.end)).collect()
}

/// Where lines begin.
fn starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// All comments that silence, but for the directives at the beginning.
pub fn pragmas(file: &Dockerfile) -> Vec<Pragma> {
    let text = file.text();
    let mut all = Vec::new();
    let mut instructions = file.instructions.iter().enumerate().peekable();
    let directives = file.directives.last().map_or(0, |last| last.line);
    let mut at = 0;
    // The comments right above the next instruction.
    let mut above: (Option<usize>, HashSet<&str>) = (None, HashSet::new());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        while instructions.peek().is_some_and(|(_, one)| one.lines.end <= number) {
            instructions.next();
        }
        let Some(comment) = line.trim().strip_prefix('#').filter(|_| number > directives) else { continue };
        let next = instructions.peek();
        if let Some((place, one)) = next.filter(|(place, _)| above.0 != Some(*place)) {
            above = (Some(*place), one.line.comments.iter().map(String::as_str).collect());
        }
        // What stands in a here-document is not ours.
        if next.is_some_and(|(_, one)| one.lines.contains(&number) && !one.line.lines.contains(&number)) {
            continue;
        }
        let range = start..start + line.trim().len();
        let is_above = |one: &Instruction| !one.lines.contains(&number) && above.1.contains(comment.trim());
        let below = next.filter(|(_, one)| is_above(one)).map(|(at, _)| *at);
        all.extend(pragma(comment.trim(), below, range));
    }
    all
}

fn pragma(comment: &str, above: Option<usize>, at: Range<usize>) -> Option<Pragma> {
    for tool in ["hadolint", "corten"] {
        let Some(rest) = comment.strip_prefix(tool).filter(|rest| rest.starts_with([' ', '\t'])) else { continue };
        let (is_global, rest) = match rest.trim_start().strip_prefix("global") {
            Some(rest) if rest.starts_with([' ', '\t']) => (true, rest.trim_start()),
            _ => (false, rest.trim_start()),
        };
        let list = rest.strip_prefix("ignore")?.trim_start().strip_prefix('=')?;
        if !is_global && above.is_none() {
            return None;
        }
        let rules = list.split([',', ' ', '\t']).map(str::to_owned).filter(|name| !name.is_empty()).collect();
        return Some(Pragma { tool, rules, instruction: above.filter(|_| !is_global), at });
    }
    let value = comment.strip_prefix("check")?.trim_start().strip_prefix('=')?;
    let rules = Check::of(value).skip;
    (!rules.is_empty()).then_some(Pragma { tool: "check", rules, instruction: Some(above?), at })
}

impl Choice {
    /// The severity that settings give a code of another program.
    pub fn severity_of_foreign(&self, id: &str) -> Option<Severity> {
        self.severities.iter().rev().find(|(written, _)| means_foreign(written, id)).map(|(_, severity)| *severity)
    }
}
