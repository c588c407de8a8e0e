//! A compose file, for its rules.

use std::ops::Range;

use corten_diagnostic::{Edit, Place, Span};
use corten_frontend::yaml::{Document, Node};

use super::Config;

/// A compose file that was read.
#[derive(Debug)]
pub struct Compose<'a> {
    /// As it was read: places and text.
    pub document: &'a Document,
    /// What the user says.
    pub config: &'a Config,
}

impl Compose<'_> {
    /// The whole.
    pub fn root(&self) -> &Node {
        &self.document.root
    }

    /// `services:`, each with its name.
    pub fn services(&self) -> impl Iterator<Item = (&str, &Node)> {
        let services = self.root().get("services");
        services.into_iter().flat_map(Node::pairs).map(|(name, node)| (name.as_str(), node))
    }

    /// Bytes of the file.
    pub fn span(&self, range: Range<usize>) -> Span {
        self.document.span(range)
    }

    /// The same as the place of a finding.
    pub fn place(&self, range: Range<usize>) -> Place {
        Place::Text(self.span(range))
    }

    /// A replacement; an empty range inserts.
    pub fn edit(&self, range: Range<usize>, text: impl Into<String>) -> Edit {
        Edit { span: self.span(range), text: text.into() }
    }
}
