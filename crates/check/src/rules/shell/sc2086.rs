//! SC2086: the value of a variable is cut at its blanks.

use std::collections::HashMap;

use corten_diagnostic::{RuleId, Severity};

use super::{Seen, around, scripts, words_and_values};
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{PartKind, Quote, Variable, Word};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2086"),
    name: "unquoted-variable",
    severity: Severity::Info,
    what: "The value of a variable is cut at its blanks.",
    why: "Each piece becomes an argument of its own, and one with a * in it becomes names of files; an empty value becomes nothing. Not said of ARG and ENV: what they hold is told by who builds.",
    bad: "FROM debian:12\n\
          RUN file=$(ls /opt) && rm -rf /opt/$file\n",
    good: "FROM debian:12\n\
          RUN file=$(ls /opt) && rm -rf \"/opt/$file\"\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in scripts(lint) {
        let mut values = Values { lint, step, plain: HashMap::new() };
        words_and_values(script, &mut |seen| match seen {
            Seen::Value(name, value) => values.assign(name, value),
            Seen::Split(word) => {
                for part in word.parts.iter().filter(|part| part.quote == Quote::Bare) {
                    let PartKind::Variable(variable) = &part.kind else { continue };
                    if values.may_split(variable) {
                        let message = format!("the value of {} is cut at its blanks", variable.name);
                        found.fixed(
                            lint.place(part.at.clone()),
                            message,
                            "put it in double quotes",
                            around(lint, part),
                        );
                    }
                }
            }
        });
    }
}

/// Which variables hold nothing that could be cut.
struct Values<'l> {
    lint: &'l Lint<'l>,
    step: &'l Step<'l>,
    plain: HashMap<String, bool>,
}

impl Values<'_> {
    fn assign(&mut self, name: &str, values: Option<&[&Word]>) {
        let plain = values.is_some_and(|values| values.iter().all(|word| self.is_plain(word)));
        self.plain.insert(name.to_owned(), plain);
    }

    fn is_plain(&self, word: &Word) -> bool {
        word.parts.iter().all(|part| match &part.kind {
            PartKind::Text(text) => !text.contains(char::is_whitespace) && !text.contains(['*', '?', '[']),
            PartKind::Variable(variable) => !self.is_open(variable),
            PartKind::Arithmetic(_) | PartKind::Brace(_) => true,
            _ => false,
        })
    }

    /// Not said of numbers the shell keeps, of all arguments at once, and of `${a:+b}`.
    fn may_split(&self, variable: &Variable) -> bool {
        let alternative = variable.operator.as_deref().is_some_and(|operator| operator.contains('+'));
        let all = variable.subscript.is_some() || matches!(variable.name.as_str(), "@" | "*");
        !variable.length && !alternative && !all && self.is_open(variable)
    }

    fn is_open(&self, variable: &Variable) -> bool {
        const NUMBERS: [&str; 16] = [
            "$", "-", "?", "!", "#", "PPID", "UID", "EUID", "RANDOM", "SECONDS", "LINENO", "SHLVL", "OPTIND",
            "COLUMNS", "LINES", "BASHPID",
        ];
        let name = variable.name.as_str();
        let proxy =
            || ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"].contains(&name.to_ascii_lowercase().as_str());
        match self.plain.get(name) {
            Some(plain) => !plain,
            None => !NUMBERS.contains(&name) && !proxy() && self.lint.definition(self.step, name).is_none(),
        }
    }
}
