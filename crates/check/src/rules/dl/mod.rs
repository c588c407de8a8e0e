//! The rules that hadolint has numbers for.

mod dl1000;
mod dl3008;
mod dl3009;

use super::Rule;

/// By number.
pub(super) const RULES: [Rule; 3] = [dl1000::RULE, dl3008::RULE, dl3009::RULE];
