//! SC2102: a pattern in brackets names a character twice: a word was meant.

use corten_diagnostic::{RuleId, Severity};

use super::{first, scripts, simples};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};
use crate::shell::{PartKind, Quote};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("SC2102"),
    name: "range-of-words",
    severity: Severity::Info,
    what: "A pattern in brackets names a character twice: a word was meant.",
    why: "One of these characters is [abc]: `uvicorn[standard]` is a pattern for names of files. It works as long as no such file is there.",
    bad: "FROM python:3.13-slim\n\
          RUN pip install --no-cache-dir uvicorn[standard]==0.34.0\n",
    good: "FROM python:3.13-slim\n\
          RUN pip install --no-cache-dir 'uvicorn[standard]==0.34.0'\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in scripts(lint) {
        simples(script, &mut |simple| {
            if matches!(first(simple).as_deref(), Some("tr" | "read")) {
                return;
            }
            for (word, part) in simple.words.iter().flat_map(|word| word.parts.iter().map(move |part| (word, part))) {
                let PartKind::Glob(glob) = &part.kind else { continue };
                if part.quote == Quote::Bare && repeats(glob) {
                    let is_more = word.raw.contains(['\'', '*', '?', '\\', '{']) || word.raw.starts_with('~');
                    let plain = !word.is_quoted() && !word.is_dynamic() && !is_more && !is_of_numbers(glob);
                    let plain = plain && lint.stands(step, word);
                    let edit = || lint.edit(word.at.clone(), format!("'{}'", word.raw));
                    let fix = plain.then(|| safe("put it in quotes", vec![edit()])).flatten();
                    let message = format!("{glob} is a pattern for one character");
                    found.fixed(lint.place(word.at.clone()), message, "put the word in quotes", fix);
                }
            }
        });
    }
}

/// `part[1-10]` was meant for files, by a pattern that has another meaning: quotes would make a name of it.
fn is_of_numbers(glob: &str) -> bool {
    let is_digit = |letter: Option<&u8>| letter.is_some_and(u8::is_ascii_digit);
    let has_range = glob
        .as_bytes()
        .windows(3)
        .any(|three| is_digit(three.first()) && three.get(1) == Some(&b'-') && is_digit(three.get(2)));
    has_range || !glob.contains(|letter: char| letter.is_alphabetic())
}

/// `[…]` with a character twice, no class and no range of one.
fn repeats(glob: &str) -> bool {
    let Some(inside) = glob.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    let inside = inside.strip_prefix(['!', '^']).unwrap_or(inside);
    let class = inside.starts_with(':') && inside.ends_with(':') || inside.contains('[');
    let mut letters: Vec<char> = inside.chars().filter(|letter| *letter != '-').collect();
    letters.sort_unstable();
    !class && letters.windows(2).any(|pair| pair.first() == pair.last())
}
