//! Versions behind a dash, as yum and dnf write them.

use crate::lint::{DefinitionKind, Lint, Step};

/// Has the package a version: a part behind a dash that begins with a digit, or a variable that is defined?
pub(super) fn is_fixed(lint: &Lint<'_>, step: &Step<'_>, package: &str) -> bool {
    let Some((_, behind)) = package.split_once('-') else { return false };
    if package.ends_with(".rpm") {
        return true;
    }
    if package.contains('$') {
        return is_defined(lint, step, package);
    }
    let known = |letter: char| letter.is_ascii_alphanumeric() || ".~^_:+".contains(letter);
    let starts = |part: &str| part.starts_with(|letter: char| letter.is_ascii_digit());
    behind.split('-').all(|part| part.chars().all(known)) && behind.split('-').any(starts)
}

/// Is a variable in it one of an ARG before, or of an ENV of this stage or those below?
fn is_defined(lint: &Lint<'_>, step: &Step<'_>, package: &str) -> bool {
    let below: Vec<usize> =
        lint.stage_of(step).into_iter().flat_map(|stage| lint.below(stage)).map(|stage| stage.number).collect();
    lint.definitions().iter().filter(|one| one.step < step.number).any(|one| {
        let seen = one.kind == DefinitionKind::Arg || one.stage.is_some_and(|stage| below.contains(&stage));
        seen && package.contains(&format!("${{{}}}", one.name))
    })
}
