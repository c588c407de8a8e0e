//! The checks of BuildKit that no number of hadolint stands for.

use super::Rule;

/// By number or name.
pub(super) const RULES: [Rule; 0] = [];
