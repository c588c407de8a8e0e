//! JSONArgsRecommended: CMD or ENTRYPOINT that a shell runs.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Arguments, Command, Line};

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("JSONArgsRecommended"),
    name: "json-args-recommended",
    severity: Severity::Warning,
    what: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals.",
    why: "A text is run by /bin/sh -c, which is process 1 and passes no signal on: SIGTERM does not reach the service, and after ten seconds it is killed in the midst of its requests. A JSON list starts the program itself. Where a shell is wanted, `exec` in front of the program, or a SHELL instruction, say so.",
    bad: "FROM scratch\nCMD server --port 80\n",
    good: "FROM scratch\nCMD [\"server\", \"--port\", \"80\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let Some(Command::Cmd(Line::Shell(text)) | Command::Entrypoint(Line::Shell(text))) = &line.seen.command else {
            continue;
        };
        if line.seen.has_shell == Some(true) || !line.seen.is_needed {
            continue;
        }
        let name = line.instruction.keyword.name();
        let place = match &line.instruction.arguments {
            Arguments::Text(word) => word,
            _ => &line.instruction.name,
        };
        let list = plain(text);
        let message =
            format!("JSON arguments recommended for {name} to prevent unintended behavior related to OS signals");
        let help = match &list {
            Some(list) => format!("write {name} {list}"),
            None => {
                format!("write {name} as a JSON list; or put exec in front of the program and name the shell by SHELL")
            }
        };
        found.add(line.at(place), message, help);
    }
}

/// As a list, where no shell would do anything to it but cut it at blanks.
fn plain(text: &str) -> Option<String> {
    let means_nothing = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=,@%+".contains(letter);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let first = words.first()?;
    // Builtins and keywords are no programs; `a=b program` sets a variable.
    let is_program =
        !first.contains('=') && !["exec", "cd", "if", "for", "while", "export", "source", ".", ":"].contains(first);
    let is_plain = is_program && words.iter().all(|word| word.chars().all(means_nothing));
    is_plain.then(|| format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")))
}
