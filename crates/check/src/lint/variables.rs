//! ARG and ENV: what a name stands for at a step, as far as reading tells.
//!
//! Expanding is bounded: what a file can make of itself (`ENV B=$A$A`, again and again) is counted, and beyond the bound a
//! value is unknown.

use std::collections::HashMap;
use std::ops::Range;

use corten_frontend::dockerfile::Lexer;

use super::{Base, Stage, Step};

/// Bytes of a value that is kept; of a longer one nothing is known.
const LONGEST: usize = 16 << 10;
/// Stages may stand on each other so deep.
const DEEPEST: usize = 64;

/// What a name stands for from a step on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The name.
    pub name: String,
    /// ARG or ENV.
    pub kind: DefinitionKind,
    /// Its value, expanded; none where it has none, or it is not known.
    pub value: Option<String>,
    /// As it is written behind `=`, quotes and all.
    pub written: Option<String>,
    /// The step.
    pub step: usize,
    /// Its stage; none before the first FROM.
    pub stage: Option<usize>,
    /// Bytes of the Dockerfile: the name.
    pub name_at: Range<usize>,
    /// Bytes of the Dockerfile: the value; empty where there is none.
    pub value_at: Range<usize>,
}

/// What defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionKind {
    /// ARG.
    Arg,
    /// ENV.
    Env,
}

/// All definitions of a file.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    all: Vec<Definition>,
    /// By stage and name: ENV and ARG, in the order of the steps.
    known: HashMap<(Option<usize>, String), Known>,
}

#[derive(Debug, Default)]
struct Known {
    env: Vec<usize>,
    arg: Vec<usize>,
}

impl Definitions {
    pub(super) fn add(&mut self, definition: Definition) {
        let known = self.known.entry((definition.stage, definition.name.clone())).or_default();
        match definition.kind {
            DefinitionKind::Env => known.env.push(self.all.len()),
            DefinitionKind::Arg => known.arg.push(self.all.len()),
        }
        self.all.push(definition);
    }

    pub(super) fn all(&self) -> &[Definition] {
        &self.all
    }

    /// FROM sees what stands before the first FROM; other steps see their stage, and the stages below it.
    pub(super) fn get(&self, stages: &[Stage], step: &Step<'_>, name: &str) -> Option<&Definition> {
        let is_from = step.stage.and_then(|stage| stages.get(stage)).is_some_and(|stage| stage.from == step.number);
        self.at(stages, if is_from { None } else { step.stage }, step.number, name)
    }

    /// As seen by step `before` of a stage.
    pub(super) fn at(&self, stages: &[Stage], stage: Option<usize>, before: usize, name: &str) -> Option<&Definition> {
        let mut stage = stage;
        for _ in 0..DEEPEST {
            if let Some(own) = self.own(stage, before, name) {
                return Some(own);
            }
            match stages.get(stage?)?.base {
                Base::Stage(below) if Some(below) < stage => stage = Some(below),
                _ => return None,
            }
        }
        None
    }

    /// The last one of a stage; ENV goes before ARG, wherever they stand.
    fn own(&self, stage: Option<usize>, before: usize, name: &str) -> Option<&Definition> {
        let known = self.known.get(&(stage, name.to_owned()))?;
        let last = |list: &[usize]| {
            let end = list.partition_point(|at| self.all.get(*at).is_some_and(|one| one.step < before));
            self.all.get(*list.get(end.checked_sub(1)?)?)
        };
        last(&known.env).or_else(|| last(&known.arg))
    }
}

/// A text with its variables; none where one of them has no value, or it grows too long.
pub(super) fn expand(escape: char, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if !text.contains(['$', '"', '\'', escape]) {
        return Some(text.to_owned());
    }
    let left = std::cell::Cell::new(LONGEST);
    let bounded = |name: &str| {
        let value = variable(name)?;
        let rest = left.get().checked_sub(value.len() + 1);
        left.set(rest.unwrap_or(0));
        rest.map(|_| value)
    };
    let expanded = Lexer::new(escape).expand(text, &bounded).ok()?;
    // A name with a default (`${A:-b}`) needs no value.
    let bare = |name: &String| text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}"));
    if expanded.unset.iter().any(bare) {
        return None;
    }
    (left.get() > 0 && expanded.text.len() <= 2 * LONGEST).then_some(expanded.text)
}
