//! The rules about scripts that ShellCheck has numbers for.

mod sc2086;

use super::Rule;

/// By number.
pub(super) const RULES: [Rule; 1] = [sc2086::RULE];
