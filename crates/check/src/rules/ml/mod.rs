//! Rules about machine learning and production in Dockerfiles. Numbers are those of the rules about images where they say the same.
//! Where hadolint has a number for what a rule would say, its rule says it, and has ours as an alias (ML101, ML123, ML124, ML141, …).

pub(crate) mod images;
mod ml102;
mod ml103;
mod ml104;
mod ml105;
mod ml106;
mod ml107;
mod ml108;
mod ml109;
mod ml110;
mod ml111;
mod ml112;
mod ml121;
mod ml122;
mod ml125;
mod ml126;
mod ml127;
mod ml128;
mod ml129;
mod ml130;
mod ml131;
mod ml132;
mod ml142;
mod ml143;
mod ml144;
mod ml145;
mod ml151;
mod ml153;
mod ml154;
mod ml155;
mod ml157;
mod ml158;
mod ml161;
mod ml162;
mod ml163;
mod ml165;
mod ml166;
mod ml167;
mod ml182;
mod ml183;
mod ml196;
mod ml197;
mod ml198;
mod ml199;
mod pip;
pub(crate) mod secrets;
mod start;
pub(crate) mod tables;
mod users;

#[cfg(test)]
mod tests;

use crate::lint::{Lint, Step};
use crate::rules::Rule;
use crate::shell::Script;

/// Bytes and steps of a file beyond which rules that hold steps against each other say nothing: nobody writes so many.
const ORDINARY: (usize, usize) = (128 << 10, 2000);

/// Is the file one that people write?
fn is_ordinary(lint: &Lint<'_>) -> bool {
    lint.file.text().len() <= ORDINARY.0 && lint.steps.len() <= ORDINARY.1
}

/// RUN steps that have a script, and it; none of a file that nobody writes.
fn ordinary_runs<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = (&'l Step<'l>, &'l Script)> {
    let is_ordinary = is_ordinary(lint);
    lint.runs().take_while(move |_| is_ordinary)
}

/// By number.
pub(super) const RULES: [Rule; 43] = [
    ml102::RULE,
    ml103::RULE,
    ml104::RULE,
    ml105::RULE,
    ml106::RULE,
    ml107::RULE,
    ml108::RULE,
    ml109::RULE,
    ml110::RULE,
    ml111::RULE,
    ml112::RULE,
    ml121::RULE,
    ml122::RULE,
    ml125::RULE,
    ml126::RULE,
    ml127::RULE,
    ml128::RULE,
    ml129::RULE,
    ml130::RULE,
    ml131::RULE,
    ml132::RULE,
    ml142::RULE,
    ml143::RULE,
    ml144::RULE,
    ml145::RULE,
    ml151::RULE,
    ml153::RULE,
    ml154::RULE,
    ml155::RULE,
    ml157::RULE,
    ml158::RULE,
    ml161::RULE,
    ml162::RULE,
    ml163::RULE,
    ml165::RULE,
    ml166::RULE,
    ml167::RULE,
    ml182::RULE,
    ml183::RULE,
    ml196::RULE,
    ml197::RULE,
    ml198::RULE,
    ml199::RULE,
];
