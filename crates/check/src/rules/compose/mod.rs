//! Rules about compose files.

use super::Rule;

/// By number or name.
pub(super) const RULES: [Rule; 0] = [];
