//! A finding: what a rule has to say about a place.

use std::fmt;

use corten_oci::{DiffId, Digest, LayerPath};
use serde::Serialize;

use crate::Span;

/// The number of a rule, as `ML151`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RuleId(pub &'static str);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Most people would change it.
    Warning,
    /// Wrong.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which rule.
    pub rule: RuleId,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// Where.
    pub at: Place,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The change, ready to apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In a text.
    Text(Span),
    /// A file of an image.
    File {
        /// In which layer.
        layer: DiffId,
        /// Which file.
        path: LayerPath,
    },
    /// A file of the project that is not read as text.
    Source(std::path::PathBuf),
    /// A package, by package URL.
    Package(String),
    /// A whole image.
    Image(Digest),
    /// What is planned, before there is an image.
    Plan,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(span) => span.fmt(f),
            Self::File { path, .. } => write!(f, "/{path}"),
            Self::Source(path) => path.display().fmt(f),
            Self::Package(purl) => f.write_str(purl),
            Self::Image(digest) => digest.fmt(f),
            Self::Plan => f.write_str("plan"),
        }
    }
}

/// A change that mends a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What it does.
    pub title: String,
    /// Replacements, none overlapping.
    pub edits: Vec<Edit>,
    /// May it be applied without asking?
    pub safe: bool,
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub text: String,
}
