//! FromAsCasing: FROM and AS in different letters.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Keyword;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("FromAsCasing"),
    name: "from-as-casing",
    severity: Severity::Warning,
    what: "The 'as' keyword should match the case of the 'from' keyword.",
    why: "Both are keywords. Written alike they are seen as such; `FROM x as y` looks as if `as` belonged to the image.",
    bad: "FROM scratch as base\n",
    good: "FROM scratch AS base\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.instruction.keyword == Keyword::From) {
        let [_, between, _, ..] = line.words() else { continue };
        let from = &line.instruction.name.text;
        // FROM in both letters is another check's.
        let wanted = match (*from == from.to_lowercase(), *from == from.to_uppercase()) {
            (true, _) => between.text.to_lowercase(),
            (_, true) => between.text.to_uppercase(),
            _ => continue,
        };
        if between.text != wanted {
            let fix = safe("write both alike", vec![line.edit(between.range.clone(), &wanted)]);
            let message = format!("'{}' and '{from}' keywords' casing do not match", between.text);
            found.fixed(line.at(between), message, format!("write {wanted}"), fix);
        }
    }
}
