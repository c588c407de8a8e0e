//! Rules about machine learning and production in Dockerfiles.

use super::Rule;

/// By number or name.
pub(super) const RULES: [Rule; 0] = [];
