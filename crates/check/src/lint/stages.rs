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
    /// The lowest stage below it, maybe itself: its image is what all stand on.
    pub root: usize,
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
        let stages = || self.target().into_iter().flat_map(|target| self.below(target)).map(|one| one.number).collect();
        self.in_image.get_or_init(stages).contains(&stage.number)
    }

    /// Does a step stand in such a stage?
    pub fn is_kept(&self, step: &Step<'_>) -> bool {
        self.stage_of(step).is_some_and(|stage| self.is_in_image(stage))
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
        self.stages.get(stage.root).unwrap_or(stage)
    }

    /// The last stage of a name, or the one of a number, among the first `before`.
    pub fn stage_named(&self, name: &str, before: usize) -> Option<&Stage> {
        let number = self.last_named(name, before).or_else(|| name.parse().ok())?;
        self.stages.get(..before)?.get(number)
    }

    /// Begins a stage.
    pub(super) fn begin(&mut self, step: usize, from: &From, expanded: Option<String>) {
        let number = self.stages.len();
        let image = expanded.as_deref().unwrap_or(&from.image.text);
        let base = match self.last_named(image, number) {
            _ if image == "scratch" => Base::Scratch,
            Some(stage) => Base::Stage(stage),
            None => Base::Image,
        };
        if let Some(name) = &from.name {
            self.names.entry(name.text.to_ascii_lowercase()).or_default().push(number);
        }
        let below = match base {
            Base::Stage(below) => self.stages.get(below),
            Base::Scratch | Base::Image => None,
        };
        let root = below.map_or(number, |below| below.root);
        self.stages.push(Stage {
            number,
            from: step,
            steps: step + 1..step + 1,
            name: from.name.clone(),
            image: from.image.clone(),
            expanded,
            platform: from.platform.clone(),
            base,
            root,
        });
    }

    /// The last stage of a name among the first `before`.
    fn last_named(&self, name: &str, before: usize) -> Option<usize> {
        let stages = self.names.get(&name.to_ascii_lowercase())?;
        let count = stages.partition_point(|stage| *stage < before);
        stages.get(count.checked_sub(1)?).copied()
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
