//! NoEmptyContinuation: an empty line in the midst of an instruction.

use corten_diagnostic::{Place, RuleId, Severity};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("NoEmptyContinuation"),
    name: "no-empty-continuation",
    severity: Severity::Warning,
    what: "Empty continuation lines will become errors in a future release.",
    why: "After a line that ends in \\ an empty line ends nothing: the instruction goes on below it, which hardly anybody sees. Docker has announced that it will be refused.",
    bad: "FROM scratch\nCOPY a \\\n\n  /a\n",
    good: "FROM scratch\nCOPY a \\\n  /a\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let empty = &line.instruction.line.empty;
        let Some(first) = empty.first() else { continue };
        let edits = line.without_lines(empty);
        let at = Place::Text(line.whole_line(*first));
        let fix = safe("take out the empty lines", edits);
        found.fixed(at, "Empty continuation line", "take the line out, or put a comment there", fix);
    }
}
