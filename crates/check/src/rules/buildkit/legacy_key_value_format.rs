//! LegacyKeyValueFormat: `ENV name value`.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Command, Pair};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("LegacyKeyValueFormat"),
    name: "legacy-key-value-format",
    severity: Severity::Warning,
    what: "Legacy key/value format with whitespace separator should not be used.",
    why: "With a blank for =, all that follows is one value: `ENV A 1 B 2` sets A to `1 B 2`. Docker keeps this for old files alone.",
    bad: "FROM scratch\nENV NAME some value\n",
    good: "FROM scratch\nENV NAME=\"some value\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        let (Some(Command::Env(pairs)) | Some(Command::Label(pairs))) = &line.seen.command else { continue };
        for pair in pairs.iter().filter(|pair| pair.old) {
            let name = &line.instruction.name.text;
            let message = format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
            let new = new(pair);
            let help = match &new {
                Some(new) => format!("write {name} {new}"),
                None => format!("write {name} {}=\"…\"", pair.name.text),
            };
            let whole = pair.name.range.start..pair.value.range.end;
            let fix = new.and_then(|new| safe("write it with =", vec![line.edit(whole, &new)]));
            found.fixed(line.at(&pair.name), message, help, fix);
        }
    }
}

/// The same with `=`; none where quotes or escapes would have to be thought about.
fn new(pair: &Pair) -> Option<String> {
    let value = pair.value.text.trim_end();
    let is_quoted = |quote: char| {
        let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        inner.is_some_and(|inner| !inner.contains(['"', '\'', '\\']))
    };
    if is_quoted('"') || is_quoted('\'') {
        return Some(format!("{}={value}", pair.name.text));
    }
    if value.contains(['"', '\'', '\\', '`']) {
        return None;
    }
    match value.contains(char::is_whitespace) {
        true => Some(format!("{}=\"{value}\"", pair.name.text)),
        false => Some(format!("{}={value}", pair.name.text)),
    }
}
