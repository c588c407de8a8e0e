//! Versions behind a dash, as yum and dnf write them.

use std::collections::HashSet;

use super::ran::{Argument, Plain};
use crate::lint::{DefinitionKind, Lint, Step};

/// What the ARGs of a file are called.
#[derive(Debug)]
pub(super) struct Known<'l>(HashSet<&'l str>);

impl<'l> Known<'l> {
    /// Looks at all of them.
    pub(super) fn of(lint: &'l Lint<'_>) -> Self {
        let arguments = lint.definitions().iter().filter(|one| one.kind == DefinitionKind::Arg);
        Self(arguments.map(|one| one.name.as_str()).collect())
    }

    /// Packages that a command installs without their version; that of a module stands behind a colon.
    pub(super) fn open<'r>(&self, lint: &Lint<'_>, step: &Step<'_>, command: &'r Plain) -> Vec<&'r Argument> {
        let of_modules = command.argument(&["module"]).is_some();
        let is_open = |one: &&Argument| match one.text.as_str() {
            "install" | "module" => false,
            package if of_modules => !package.contains(':'),
            package => !self.is_fixed(lint, step, package),
        };
        command.operands(&[]).into_iter().filter(is_open).collect()
    }

    /// Has the package a version: a part behind a dash that begins with a digit, or a variable that is defined?
    fn is_fixed(&self, lint: &Lint<'_>, step: &Step<'_>, package: &str) -> bool {
        let Some((_, behind)) = package.split_once('-') else { return false };
        if package.ends_with(".rpm") {
            return true;
        }
        if package.contains('$') {
            let names = package.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
            return names.into_iter().any(|name| self.0.contains(name) || lint.definition(step, name).is_some());
        }
        let known = |letter: char| letter.is_ascii_alphanumeric() || ".~^_:+".contains(letter);
        let starts = |part: &str| part.starts_with(|letter: char| letter.is_ascii_digit());
        behind.split('-').all(|part| part.chars().all(known)) && behind.split('-').any(starts)
    }
}
