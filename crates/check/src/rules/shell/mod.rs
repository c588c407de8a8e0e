//! Checks of scripts with ShellCheck's numbers: thirteen of them, which make four of five findings in real Dockerfiles.
//!
//! They stand where the fault is, not at the line that the RUN begins on, and all of a RUN are told; hadolint tells one for
//! each RUN. Scripts in `sh -c '…'` are left to others, as ShellCheck does; CMD and lists of JSON, too.

mod sc2006;
mod sc2012;
mod sc2028;
mod sc2038;
mod sc2046;
mod sc2086;
mod sc2102;
mod sc2155;
mod sc2164;
mod sc3010;
mod sc3014;
mod sc3037;
mod sc3040;

use corten_diagnostic::Fix;

use super::{Rule, unsafe_fix};
use crate::lint::{Lint, Step};
use crate::shell::{CommandKind, List, Part, PartKind, Role, Script, Simple, Value, Visited, Word};

/// All of them, by number.
pub(super) const RULES: [Rule; 13] = [
    sc2006::RULE,
    sc2012::RULE,
    sc2028::RULE,
    sc2038::RULE,
    sc2046::RULE,
    sc2086::RULE,
    sc2102::RULE,
    sc2155::RULE,
    sc2164::RULE,
    sc3010::RULE,
    sc3014::RULE,
    sc3037::RULE,
    sc3040::RULE,
];

/// Scripts of RUN, also after ONBUILD.
fn scripts<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = (&'l Step<'l>, &'l Script)> {
    lint.steps
        .iter()
        .filter(|step| step.exec().is_none() && step.is_run())
        .filter_map(|step| Some((step, step.script.as_ref()?)))
}

/// All programs with their arguments.
fn simples<'s>(script: &'s Script, look: &mut dyn FnMut(&'s Simple)) {
    script.visit(&mut |visited, context| {
        if let (Visited::Simple(simple), false) = (visited, context.inner) {
            look(simple);
        }
    });
}

/// All lists, and whether each decides something.
fn lists<'s>(script: &'s Script, look: &mut dyn FnMut(&'s List, bool)) {
    script.visit(&mut |visited, context| {
        if let (Visited::List(list), false) = (visited, context.inner) {
            look(list, context.condition);
        }
    });
}

/// All neighbours in pipes.
fn pipes<'s>(script: &'s Script, look: &mut dyn FnMut(&'s Simple, &'s Simple)) {
    script.visit(&mut |visited, context| {
        let (Visited::Item(item), false) = (visited, context.inner) else { return };
        for pair in item.pipeline.commands.windows(2) {
            if let [one, next] = pair
                && let (CommandKind::Simple(one), CommandKind::Simple(next)) = (&one.kind, &next.kind)
            {
                look(one, next);
            }
        }
    });
}

/// All parts of words.
fn parts<'s>(script: &'s Script, look: &mut dyn FnMut(&'s Part)) {
    script.visit(&mut |visited, context| match visited {
        Visited::Word(word, _) if !context.inner => word.parts.iter().for_each(&mut *look),
        Visited::Document(document) if !context.inner => document.parts.iter().for_each(&mut *look),
        _ => {}
    });
}

/// What a rule about values sees, in the order of the text.
enum Seen<'s, 'w> {
    /// A variable gets a value: one of these, or one that is not known.
    Value(&'s str, Option<&'w [&'s Word]>),
    /// A word that the shell cuts at its blanks.
    Split(&'s Word),
}

/// All words that are cut, and all values before them.
fn words_and_values<'s>(script: &'s Script, look: &mut dyn FnMut(Seen<'s, '_>)) {
    let dialect = script.dialect;
    script.visit(&mut |visited, context| match visited {
        _ if context.inner => {}
        Visited::Simple(simple) => {
            for assignment in &simple.assignments {
                match &assignment.value {
                    Value::Word(word) => look(Seen::Value(&assignment.name, Some(&[word]))),
                    Value::Array(_) => look(Seen::Value(&assignment.name, None)),
                }
            }
            let declares = declares(simple);
            for word in simple.arguments() {
                match assigned(word).filter(|_| declares) {
                    // Of sh alone it is not known that it does not cut `export a=$b`.
                    Some(_) if dialect != crate::shell::Dialect::Sh => {}
                    _ => look(Seen::Split(word)),
                }
            }
            if first(simple).as_deref() == Some("read") {
                simple.arguments().iter().for_each(|word| look(Seen::Value(&word.raw, None)));
            }
        }
        Visited::Command(command) => {
            if let CommandKind::For { name, words, .. } = &command.kind {
                let words: Vec<&Word> = words.iter().flatten().collect();
                let known = words.iter().all(|word| !word.is_dynamic());
                look(Seen::Value(name, known.then_some(words.as_slice())));
            }
        }
        Visited::Word(word, Role::Target) => look(Seen::Split(word)),
        _ => {}
    });
}

/// All words that are cut.
fn split_words<'s>(script: &'s Script, look: &mut dyn FnMut(&'s Word)) {
    words_and_values(script, &mut |seen| {
        if let Seen::Split(word) = seen {
            look(word);
        }
    });
}

/// Does it declare variables?
fn declares(simple: &Simple) -> bool {
    matches!(first(simple).as_deref(), Some("export" | "declare" | "local" | "readonly" | "typeset"))
}

/// The name before `=`, where a word begins so.
fn assigned(word: &Word) -> Option<&str> {
    let PartKind::Text(text) = &word.parts.first()?.kind else { return None };
    let (name, _) = text.split_once('=')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// The program as it is written.
fn first(simple: &Simple) -> Option<std::borrow::Cow<'_, str>> {
    simple.words.first()?.literal()
}

/// `-x` among other letters.
fn is_flag_with(word: &Word, letter: char) -> bool {
    let start = word.known_start();
    start.starts_with('-') && !start.starts_with("--") && start.contains(letter)
}

/// Has one of its arguments this letter as an option?
fn has_letter(simple: &Simple, letter: char) -> bool {
    simple.arguments().iter().any(|word| is_flag_with(word, letter))
}

/// Does the script switch an option of the shell on: `set -e`, `set -o errexit`?
fn sets(script: &Script, letter: char, option: &str) -> bool {
    let mut sets = false;
    simples(script, &mut |simple| {
        let named = || simple.arguments().iter().any(|word| word.is(option));
        sets |= first(simple).as_deref() == Some("set") && (has_letter(simple, letter) || named());
    });
    sets
}

/// Quotes around a part of a word: what was cut before is not any more, which may have been meant.
fn around(lint: &Lint<'_>, part: &Part) -> Option<Fix> {
    let text = lint.text(part.at.clone());
    let edits = vec![lint.edit(part.at.clone(), format!("\"{text}\""))];
    (!text.contains('\n') && !text.is_empty()).then(|| unsafe_fix("put it in double quotes", edits)).flatten()
}
