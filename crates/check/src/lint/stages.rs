//! Stages: which FROM begins what, and what stands on what.

use std::ops::Range;

use corten_frontend::dockerfile::{Command, From, Word};

use super::{Lint, Step};

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its place in [`Lint::stages`].
    pub number: usize,
    /// The step that begins it: FROM.
    pub from: usize,
    /// The steps behind that.
    pub steps: Range<usize>,
    /// `AS`, in small letters.
    pub name: Option<Word>,
    /// What stands behind FROM, as written.
    pub image: Word,
    /// The same with the defaults of ARG; none where a variable has none.
    pub expanded: Option<String>,
    /// `--platform`, as written.
    pub platform: Option<Word>,
    /// What that is.
    pub base: Base,
}

/// What a stage stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image.
    Image,
}

impl Lint<'_> {
    /// The stage whose image is meant: `--target`, else the last one.
    pub fn target(&self) -> Option<&Stage> {
        let named = self.config.target.as_deref().and_then(|name| self.stage_named(name, self.stages.len()));
        named.or_else(|| self.stages.last())
    }

    /// Is it the stage of the image, or one that it stands on?
    pub fn is_in_image(&self, stage: &Stage) -> bool {
        self.target().is_some_and(|target| self.below(target).any(|one| one.number == stage.number))
    }

    /// Is it the stage of the image itself?
    pub fn is_target(&self, stage: &Stage) -> bool {
        self.target().is_some_and(|target| target.number == stage.number)
    }

    /// A stage and those that it stands on, itself first.
    pub fn below<'l>(&'l self, stage: &'l Stage) -> impl Iterator<Item = &'l Stage> {
        std::iter::successors(Some(stage), |stage| match stage.base {
            // A stage stands on an earlier one: it ends.
            Base::Stage(number) if number < stage.number => self.stages.get(number),
            _ => None,
        })
    }

    /// The lowest stage below one: its image is what all stand on.
    pub fn root_of<'l>(&'l self, stage: &'l Stage) -> &'l Stage {
        self.below(stage).last().unwrap_or(stage)
    }

    /// The last stage of a name, or the one of a number, among the first `before`.
    pub fn stage_named(&self, name: &str, before: usize) -> Option<&Stage> {
        let stages = self.stages.get(..before)?;
        let is = |stage: &&Stage| stage.name.as_ref().is_some_and(|own| own.text.eq_ignore_ascii_case(name));
        stages.iter().rev().find(is).or_else(|| stages.get(name.parse::<usize>().ok()?))
    }

    /// Begins a stage.
    pub(super) fn begin(&mut self, step: usize, from: &From, expanded: Option<String>) {
        let number = self.stages.len();
        let image = expanded.as_deref().unwrap_or(&from.image.text);
        let base = match self.stage_by_name(image) {
            _ if image == "scratch" => Base::Scratch,
            Some(stage) => Base::Stage(stage),
            None => Base::Image,
        };
        self.stages.push(Stage {
            number,
            from: step,
            steps: step + 1..step + 1,
            name: from.name.clone(),
            image: from.image.clone(),
            expanded,
            platform: from.platform.clone(),
            base,
        });
    }

    fn stage_by_name(&self, name: &str) -> Option<usize> {
        let is = |stage: &&Stage| stage.name.as_ref().is_some_and(|own| own.text.eq_ignore_ascii_case(name));
        self.stages.iter().rev().find(is).map(|stage| stage.number)
    }
}

impl Step<'_> {
    /// FROM, where it is one.
    pub fn from(&self) -> Option<&From> {
        match self.command.as_ref()? {
            Command::From(from) => Some(from),
            _ => None,
        }
    }
}
