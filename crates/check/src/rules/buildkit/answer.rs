//! What BuildKit answers to `frontend.lint`: its checks' words, in the order in which it comes to them, silenced by its own comments.

use std::collections::BTreeSet;
use std::ops::Range;

use corten_diagnostic::{Failure, Finding, Place, Span};
use corten_frontend::dockerfile::DirectiveName;

use super::CHECKS;
use crate::lint::Lint;
use crate::rules::{Initially, Rule};

/// Ports of an EXPOSE whose order is looked at.
const PORTS: usize = 1000;

/// One answer.
#[derive(Debug, Clone)]
pub struct Warning {
    /// Whose.
    pub rule: &'static Rule,
    /// In its words.
    pub detail: String,
    /// Lines of the file, counted from 1.
    pub lines: Range<usize>,
    /// The words that it is about.
    pub at: Span,
    /// What to change.
    pub help: Option<String>,
}

impl Warning {
    /// What it is about, in BuildKit's words: a page's first sentence ends with a full stop, most of theirs do not.
    pub fn description(&self) -> &'static str {
        match self.rule.id.0 {
            "InvalidDefinitionDescription" => self.rule.what,
            _ => self.rule.what.strip_suffix('.').unwrap_or(self.rule.what),
        }
    }

    /// As a finding.
    pub fn finding(&self) -> Finding {
        Finding {
            rule: self.rule.id,
            severity: self.rule.severity,
            message: self.detail.clone(),
            at: Place::Text(self.at.clone()),
            help: self.help.clone(),
            fix: None,
        }
    }

    /// Where Docker explains it; none where it does not.
    pub fn url(&self) -> Option<String> {
        let has_page = self.rule.id.0 != "InvalidBaseImagePlatform";
        has_page.then(|| format!("https://docs.docker.com/go/dockerfile/rule/{}/", self.rule.name))
    }
}

/// `# check=skip=A,B;error=true;experimental=C`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    skip: Names,
    experimental: Names,
    /// Any warning makes the build fail.
    pub error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    some: BTreeSet<String>,
}

impl Names {
    fn of(text: &str) -> Self {
        match text.trim() {
            "all" => Self { all: true, some: BTreeSet::new() },
            names => Self { all: false, some: names.split(',').map(|name| name.trim().to_owned()).collect() },
        }
    }

    fn has(&self, name: &str) -> bool {
        self.all || self.some.contains(name)
    }

    fn add(&mut self, more: Self) {
        self.all |= more.all;
        self.some.extend(more.some);
    }
}

impl CheckOptions {
    /// Reads what stands behind `check=`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for part in text.trim().splitn(3, ';') {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("invalid check option {part:?}"))?;
            match name.trim() {
                "skip" => options.skip = Names::of(value),
                "experimental" => options.experimental = Names::of(value),
                "error" => {
                    options.error = match value.trim() {
                        "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
                        "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
                        _ => return Err(format!("failed to parse check option {part:?}")),
                    };
                }
                other => return Err(format!("invalid check option {other:?}")),
            }
        }
        Ok(options)
    }

    /// Those of a file; the build argument BUILDKIT_DOCKERFILE_CHECK goes before its directive.
    ///
    /// # Errors
    /// Input, where they cannot be read.
    pub fn of(lint: &Lint<'_>) -> Result<Self, Failure> {
        if let Some(given) = lint.config.build_args.get("BUILDKIT_DOCKERFILE_CHECK") {
            return Self::parse(given)
                .map_err(|why| Failure::usage(format!("--build-arg BUILDKIT_DOCKERFILE_CHECK={given}: {why}")));
        }
        let directive = lint.file.directives.iter().find(|directive| directive.name == DirectiveName::Check);
        directive.map_or(Ok(Self::default()), |directive| {
            Self::parse(&directive.value).map_err(|why| {
                Failure::input(format!("failed to parse check options: {why}"))
                    .hint("write # check=skip=RULE,RULE;error=true")
                    .at(lint.span(directive.range.clone()))
            })
        })
    }

    /// With those of the comments right above an instruction.
    fn with(&self, comments: &[String]) -> Self {
        let mut own = self.clone();
        for comment in comments {
            let Some((name, value)) = comment.split_once('=') else { continue };
            if !name.trim().eq_ignore_ascii_case("check") {
                continue;
            }
            // What stands behind a blank is for people.
            let Ok(more) = Self::parse(value.trim().split(' ').next().unwrap_or_default()) else { return own };
            own.skip.add(more.skip);
            own.experimental.add(more.experimental);
            return own;
        }
        own
    }

    fn silences(&self, rule: &Rule) -> bool {
        match rule.initially {
            Initially::Experimental => !self.experimental.has(rule.id.0),
            _ => self.skip.has(rule.id.0),
        }
    }
}

/// All warnings, in BuildKit's order.
pub fn warnings(lint: &Lint<'_>, options: &CheckOptions) -> Vec<Warning> {
    let mut all: Vec<(Phase, usize, usize, Warning)> = Vec::new();
    for rule in &CHECKS {
        for finding in rule.of_dockerfile(lint) {
            let Place::Text(span) = &finding.at else { continue };
            let Some(step) = step_at(lint, span.range().start) else { continue };
            let instruction = lint.steps[step].instruction;
            let own = match asks_file(rule) {
                true => options.clone(),
                false => options.with(&instruction.line.comments),
            };
            if own.silences(rule) {
                continue;
            }
            let lines = match rule.id.0 {
                "NoEmptyContinuation" => last_line(&instruction.line.lines),
                _ => instruction.lines.clone(),
            };
            let at = match lint.buildkit().seen.get(step).and_then(|seen| seen.replaced_by) {
                // It is told when the later one is reached.
                Some(later) if rule.id.0 == "MultipleInstructionsDisallowed" => later,
                _ => step,
            };
            let (detail, help) = (finding.message.clone(), finding.help.clone());
            let port = port_at(lint, step, &span.range());
            all.push((phase(rule), at, port, Warning { rule, detail, lines, at: span.clone(), help }));
        }
    }
    all.sort_by_key(|(phase, at, port, _)| (*phase, *at, *port));
    all.into_iter().map(|(_, _, _, warning)| warning).collect()
}

/// Which port of an EXPOSE a finding is about: BuildKit asks all checks of one before it comes to the next.
fn port_at(lint: &Lint<'_>, step: usize, at: &Range<usize>) -> usize {
    let (Some(step), Some(seen)) = (lint.steps.get(step), lint.buildkit().seen.get(step)) else { return PORTS };
    seen.ports.iter().take(PORTS).position(|(_, word)| step.word(word) == *at).unwrap_or(PORTS)
}

fn last_line(lines: &Range<usize>) -> Range<usize> {
    lines.end.saturating_sub(1)..lines.end
}

fn step_at(lint: &Lint<'_>, at: usize) -> Option<usize> {
    let after = lint.steps.partition_point(|step| step.at().start <= at);
    after.checked_sub(1)
}

/// Those that BuildKit asks before it looks at comments above instructions.
fn asks_file(rule: &Rule) -> bool {
    ["NoEmptyContinuation", "ReservedStageName", "DuplicateStageName", "ConsistentInstructionCasing"]
        .contains(&rule.id.0)
        || ["InvalidDefaultArgInFrom", "InvalidBaseImagePlatform"].contains(&rule.id.0)
}

/// When BuildKit comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Lines,
    Reading,
    Names,
    Casing,
    Defaults,
    Froms,
    Images,
    Instructions,
}

fn phase(rule: &Rule) -> Phase {
    match rule.id.0 {
        "NoEmptyContinuation" => Phase::Lines,
        "MaintainerDeprecated" | "StageNameCasing" | "FromAsCasing" | "InvalidDefinitionDescription" => Phase::Reading,
        "ReservedStageName" | "DuplicateStageName" => Phase::Names,
        "ConsistentInstructionCasing" => Phase::Casing,
        "InvalidDefaultArgInFrom" => Phase::Defaults,
        "UndefinedArgInFrom" | "RedundantTargetPlatform" | "FromPlatformFlagConstDisallowed" => Phase::Froms,
        "InvalidBaseImagePlatform" => Phase::Images,
        _ => Phase::Instructions,
    }
}
