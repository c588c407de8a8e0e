//! What rules ask of several package managers alike: that they are answered, and cleaned.

use super::ran::{Plain, Ran};
use super::{append, each_run, insert_flag, tell};
use crate::lint::{Lint, Step};
use crate::rules::{Found, safe};

/// Commands that ask before they begin: one finding for all of a RUN. The fix puts `-y` behind the verb of each.
pub(super) fn unanswered(
    lint: &Lint<'_>,
    found: &mut Found,
    verbs: &[&str],
    asks: impl Fn(&Plain) -> bool,
    who: &str,
    help: &str,
) {
    each_run(lint, |step, ran| {
        let all: Vec<&Plain> = ran.commands.iter().filter(|command| asks(command)).collect();
        let Some(first) = all.first() else { return };
        let fix = insert_flag(lint, &all, verbs, "-y").and_then(|edits| safe("answer with -y", edits));
        tell(lint, found, step, first.at.clone(), format!("{who} asks, and nobody answers"), help, fix);
    });
}

/// What a package manager keeps of what it fetched.
pub(super) struct Cache<'c> {
    /// The package manager.
    pub(super) program: &'c str,
    /// Its verbs that fetch.
    pub(super) fills: &'c [&'c str],
    /// The command that deletes it.
    pub(super) clean: &'c str,
}

impl Cache<'_> {
    /// Tells of a RUN that fills it, and does not clean behind that. Does it tell?
    pub(super) fn tell(
        &self,
        lint: &Lint<'_>,
        found: &mut Found,
        step: &Step<'_>,
        ran: &Ran,
        cleans: impl Fn(&Plain) -> bool,
    ) -> bool {
        let mut commands = ran.commands.iter().enumerate();
        let Some((at, filling)) = commands.find(|(_, one)| one.has(self.program, self.fills)) else { return false };
        let clean = ran.position(cleans);
        if clean.is_some_and(|clean| at < clean) {
            return false;
        }
        let fix = clean.is_none().then(|| append(lint, step, self.clean)).flatten();
        let fix = fix.and_then(|edit| safe("clean in the same RUN", vec![edit]));
        let message = format!("{} keeps its cache in this layer", self.program);
        tell(lint, found, step, filling.at.clone(), message, format!("end this RUN with && {}", self.clean), fix);
        true
    }
}
