//! Why a project's own wheel cannot be computed, as a value that an error, a plan or a sandbox can use.

use std::error::Error;
use std::fmt;

use corten_diagnostic::{Diagnose, Failure, Fault, Span};

/// What could be done about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The project's backend has to run: in the sandbox it probably builds.
    NeedsBuild,
    /// The project is wrong; its backend would refuse it, too.
    Broken,
    /// A file could not be read: the disk's fault, not the project's.
    Unreadable,
}

/// Why a project's own wheel is not computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    kind: RefusalKind,
    project: String,
    reason: String,
    at: Option<Box<Span>>,
    hint: Option<String>,
}

/// What most functions here return.
pub(super) type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    fn new(kind: RefusalKind, reason: impl Into<String>) -> Self {
        Self { kind, project: String::new(), reason: reason.into(), at: None, hint: None }
    }

    pub(super) fn needs_build(reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::NeedsBuild, reason)
    }

    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::Broken, reason)
    }

    /// A file of the project could not be read.
    pub fn unreadable(failure: &Failure) -> Self {
        Self::new(RefusalKind::Unreadable, failure.to_string())
    }

    pub(super) fn at(mut self, span: Option<Span>) -> Self {
        self.at = self.at.or(span.map(Box::new));
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn of_project(mut self, name: &str) -> Self {
        name.clone_into(&mut self.project);
        self
    }

    /// What could be done about it.
    pub fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// The cause alone, lower case: `[tool.hatch.build.hooks.custom] runs hatch_build.py`.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let project = if self.project.is_empty() { "the project" } else { &self.project };
        match self.kind {
            RefusalKind::NeedsBuild => write!(f, "cannot install {project} without running code: {}", self.reason),
            RefusalKind::Broken | RefusalKind::Unreadable => write!(f, "cannot install {project}: {}", self.reason),
        }
    }
}

impl Error for Refusal {}

impl Diagnose for Refusal {
    fn fault(&self) -> Fault {
        match self.kind {
            RefusalKind::NeedsBuild | RefusalKind::Broken => Fault::Input,
            RefusalKind::Unreadable => Fault::World,
        }
    }

    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }

    fn span(&self) -> Option<&Span> {
        self.at.as_deref()
    }
}
