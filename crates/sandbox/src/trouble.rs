//! Why a sandbox could not be set up: made in the process where it happens, told in the caller's.

use corten_diagnostic::Failure;
use serde::{Deserialize, Serialize};

/// A [`Failure`] that can cross a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    whose: Whose,
    message: String,
    hints: Vec<String>,
    /// The kernel refused it: the host's settings may say why.
    pub(crate) refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Whose {
    Input,
    World,
}

pub(crate) type Outcome<T> = Result<T, Trouble>;

impl Trouble {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { whose: Whose::Input, message: message.into(), hints: Vec::new(), refused: false }
    }

    pub(crate) fn world(message: impl Into<String>) -> Self {
        Self { whose: Whose::World, ..Self::input(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn into_failure(self) -> Failure {
        let failure = match self.whose {
            Whose::Input => Failure::input(self.message),
            Whose::World => Failure::world(self.message),
        };
        self.hints.into_iter().fold(failure, Failure::hint)
    }
}

/// Why a process did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotStarted {
    /// There is no such program.
    Missing,
    /// It is there, and cannot be executed.
    Refused,
}

/// How messages of [`not_started`] begin and end.
pub(crate) const CANNOT_START: &str = "cannot start ";
pub(crate) const NO_SUCH_PROGRAM: &str = "no such program, or the interpreter that it names is missing";
const IN_THE_ROOT: &str = " in the root file system: ";

/// "cannot start NAME in the root file system: why".
pub(crate) fn cannot_start(name: &str, why: &str) -> String {
    format!("{CANNOT_START}{name}{IN_THE_ROOT}{why}")
}

/// Was it the program, not the sandbox, that failed? Docker has statuses for that.
pub fn not_started(failure: &Failure) -> Option<NotStarted> {
    let message = failure.to_string();
    let rest = message.strip_prefix(CANNOT_START).filter(|rest| !rest.starts_with("in "))?;
    let (_, why) = rest.rsplit_once(IN_THE_ROOT)?;
    Some(if why == NO_SUCH_PROGRAM { NotStarted::Missing } else { NotStarted::Refused })
}

/// Says which step failed.
pub(crate) trait Step<T> {
    /// `step` goes after "cannot set up the sandbox: ".
    fn step(self, step: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Into<std::io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| {
            let error = error.into();
            let refused = matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES));
            Trouble { refused, ..Trouble::world(format!("cannot set up the sandbox: {}: {error}", step())) }
        })
    }
}
