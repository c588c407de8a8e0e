//! SC2028: an escape, as \n, is given to echo.

use corten_diagnostic::{RuleId, Severity};

use super::{first, is_flag_with, scripts, simples};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Dialect, PartKind, Word};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2028"),
    name: "echo-escapes",
    severity: Severity::Info,
    what: "An escape, as \\n, is given to echo.",
    why: "Some shells write a line end, others a backslash and an n: printf does the same everywhere.",
    bad: "FROM debian:12\n\
          RUN echo \"a\\nb\" > /etc/app.conf\n",
    good: "FROM debian:12\n\
          RUN printf 'a\\nb\\n' > /etc/app.conf\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (_, script) in scripts(lint).filter(|(_, script)| !matches!(script.dialect, Dialect::Dash | Dialect::Ash)) {
        simples(script, &mut |simple| {
            let e = simple.arguments().iter().any(|word| is_flag_with(word, 'e'));
            if first(simple).as_deref() != Some("echo") || e {
                return;
            }
            if let Some(word) = simple.arguments().iter().find(|word| escapes(&known(word))) {
                let message = "echo writes this escape as it is in some shells";
                found.add(lint.place(word.at.clone()), message, "write printf");
            }
        });
    }
}

/// What is known of a word by reading.
fn known(word: &Word) -> String {
    let texts = word.parts.iter().map(|part| match &part.kind {
        PartKind::Text(text) => text.as_str(),
        _ => "",
    });
    texts.collect()
}

/// `\n` and the like, `\0` and `\x` with digits.
fn escapes(text: &str) -> bool {
    text.match_indices('\\').any(|(at, _)| {
        let rest = text.get(at + 1..).unwrap_or_default();
        let digit = |rest: &str, digits: &str| rest.starts_with(|letter: char| digits.contains(letter));
        rest.starts_with(|letter: char| "rntabefv\\'".contains(letter))
            || rest.strip_prefix('0').is_some_and(|rest| digit(rest, "01234567"))
            || rest.strip_prefix('x').is_some_and(|rest| digit(rest, "0123456789abcdefABCDEF"))
    })
}
