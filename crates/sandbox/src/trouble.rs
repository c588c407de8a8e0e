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
