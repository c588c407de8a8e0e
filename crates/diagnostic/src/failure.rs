//! Errors that say what was being done, to what, why it failed, and what to try.

use std::error::Error;
use std::fmt;

use crate::Span;

/// Whose mistake an error is; decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// What stands in the project's files, or the answer is no. Exit status 1.
    Input,
    /// Flags and settings. Exit status 2.
    Usage,
    /// Network, registry, disk, kernel. Exit status 3.
    World,
    /// Ours. Exit status 70.
    Bug,
}

/// An error that knows whose fault it is and what to try.
pub trait Diagnose: Error {
    /// Whose mistake it is.
    fn fault(&self) -> Fault;

    /// What to try, one sentence each, lower case, no full stop.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }

    /// Where in the user's text.
    fn span(&self) -> Option<&Span> {
        None
    }

    /// Further mistakes that were found with it.
    fn also(&self) -> &[Failure] {
        &[]
    }

    /// The name that it is about, for callers that know where the user wrote it.
    fn subject(&self) -> Option<&str> {
        None
    }
}

/// The ready-made [`Diagnose`].
///
/// `Display` gives what was being done, to what, and why it failed, in one line; further causes hang on `source`.
#[derive(Debug)]
pub struct Failure {
    fault: Fault,
    message: String,
    hints: Vec<String>,
    span: Option<Box<Span>>,
    source: Option<Box<dyn Error + Send + Sync>>,
    also: Vec<Failure>,
}

impl Failure {
    fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hints: Vec::new(), span: None, source: None, also: Vec::new() }
    }

    /// The project's files are at fault.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Fault::Input, message)
    }

    /// Flags or settings are at fault.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Fault::Usage, message)
    }

    /// The world is at fault.
    pub fn world(message: impl Into<String>) -> Self {
        Self::new(Fault::World, message)
    }

    /// We are at fault.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Fault::Bug, message)
    }

    /// Adds what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(Box::new(span));
        self
    }

    /// Adds a mistake that was found with it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.also.push(other);
        self
    }

    /// Hangs on the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl Diagnose for Failure {
    fn fault(&self) -> Fault {
        self.fault
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }

    fn span(&self) -> Option<&Span> {
        self.span.as_deref()
    }

    fn also(&self) -> &[Failure] {
        &self.also
    }
}

/// Any error of the workspace, on its way to the user. `?` makes one of every [`Diagnose`].
#[derive(Debug)]
pub struct Report(Box<dyn Diagnose + Send + Sync>);

impl Report {
    /// The error itself.
    pub fn error(&self) -> &(dyn Diagnose + Send + Sync) {
        self.0.as_ref()
    }

    /// The messages of the error's causes, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.0.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Diagnose + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}
