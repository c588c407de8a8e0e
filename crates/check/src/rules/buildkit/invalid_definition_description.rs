//! InvalidDefinitionDescription: the comment above an ARG or a stage does not describe it.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("InvalidDefinitionDescription"),
    name: "invalid-definition-description",
    severity: Severity::Warning,
    what: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    why: "What `--call outline` and `--call targets` show as the description of an argument or stage is the comment right above it, where that begins with the name.",
    bad: "# check=experimental=InvalidDefinitionDescription\n# where it listens\nARG PORT=80\nFROM scratch\n",
    good: "# check=experimental=InvalidDefinitionDescription\n# PORT where it listens\nARG PORT=80\nFROM scratch\n",
    aliases: &[],
    initially: Initially::Experimental,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let (kind, names) = match &line.seen.command {
            Some(Command::Arg(all)) => ("ARG", all.iter().map(|(name, _)| name.text.as_str()).collect::<Vec<_>>()),
            Some(Command::From(from)) => ("FROM", from.name.iter().map(|name| name.text.as_str()).collect()),
            _ => continue,
        };
        let (Some(comment), Some(first)) = (line.instruction.line.comments.last(), names.first()) else { continue };
        if names.contains(&comment.split(' ').next().unwrap_or_default()) {
            continue;
        }
        let example = if names.len() > 1 { "<arg_key>" } else { first };
        let message = format!("Comment for {kind} should follow the format: `# {example} <description>`");
        let help = "begin the comment with the name, or put a line with # alone below it";
        let at = line.step.at().start;
        let is_first = lint.text(0..at).ends_with('\n');
        let fix = is_first.then(|| safe("let it describe nothing", vec![lint.edit(at..at, "#\n")])).flatten();
        found.fixed(line.at(&line.instruction.name), message, help, fix);
    }
}
