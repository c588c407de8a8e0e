//! The bad example of every rule in the shapes in which people write commands: as a list, in `sh -c "…"` with escapes, behind
//! `sudo`, by a program's whole path. Whatever a rule has to say there, a fix changes no word but those that it names, puts
//! nothing between a program and what starts it, and leaves a list a list.

use std::path::Path;

use corten_diagnostic::Fix;
use corten_frontend::dockerfile::Dockerfile;

use super::examples::{about_files, applied, findings};
use super::*;
use crate::lint::Config;

/// Programs that start others, with options that may stand there.
const WRAPPERS: [&str; 8] = ["sudo", "sudo -E", "env A=b", "command", "exec", "busybox", "nice -n 5", "timeout 9"];

/// One command of RUN in other shapes, each the whole rest of the line.
fn shapes(command: &str) -> Vec<String> {
    let in_double = |text: &str| {
        let escaped = text
            .chars()
            .flat_map(|letter| matches!(letter, '"' | '\\' | '$' | '`').then_some('\\').into_iter().chain([letter]));
        format!("\"{}\"", escaped.collect::<String>())
    };
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let escape = format!("echo \"a\" 'é' && {command}");
    let mut all: Vec<String> = WRAPPERS.iter().map(|wrapper| format!("{wrapper} {command}")).collect();
    all.extend(["/usr/bin/", "/opt/conda/bin/", "./"].iter().map(|folder| format!("{folder}{command}")));
    all.extend([
        format!("sh -c {}", in_double(command)),
        format!("bash -lc {}", in_double(&escape)),
        format!("sudo sh -c {}", in_double(&escape)),
        format!("sh -c {}", in_double(&format!("bash -c {}", in_double(&escape)))),
        format!("[\"sh\", \"-c\", {}]", quoted(&escape)),
        format!("[{}]", command.split_whitespace().map(quoted).collect::<Vec<_>>().join(", ")),
        format!("echo \"`{command}`\""),
        format!("echo \"$({command})\""),
        format!("if true; then {command}; fi"),
        format!("f() {{ {command}; }}; f"),
        format!("<<EOF\n{command}\nEOF"),
        format!("true && \\\n    # why\n    {} \\\n    ", command.replacen(' ', " \\\n    ", 1)),
    ]);
    all
}

/// A text in which one RUN after the other has other shapes.
fn reshaped(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("RUN ").filter(|rest| !rest.contains("<<") && !rest.ends_with('\\')) else {
            continue;
        };
        let command_at = rest.split_inclusive(' ').take_while(|word| word.starts_with("--")).map(str::len).sum();
        let (flags, command) = rest.split_at(command_at);
        let with = |shape: String| {
            let shaped = format!("RUN {flags}{shape}");
            let lines = lines.iter().enumerate().map(|(one, line)| if one == at { shaped.as_str() } else { line });
            lines.map(|line| format!("{line}\n")).collect()
        };
        all.extend(shapes(command).into_iter().map(with));
    }
    all
}

/// What a Dockerfile runs.
#[derive(Debug)]
struct Commands {
    /// Keywords, and which of the instructions are lists.
    kinds: Vec<(String, bool)>,
    mistakes: usize,
    unread: usize,
    /// All words of all programs, as they are meant.
    words: Vec<String>,
    /// What stands before a program that it starts.
    wrappers: Vec<String>,
}

impl Commands {
    fn of(text: &str) -> Self {
        let (file, mistakes) = Dockerfile::read_what_can_be(Path::new("Dockerfile"), text);
        let config = Config::default();
        let lint = Lint::new(&file, &mistakes, &config);
        // Quotes around what is decided later are no part of what it means.
        let shown =
            |words: &[crate::shell::Word]| words.iter().map(|word| word.shown().replace('"', "")).collect::<Vec<_>>();
        let calls = || lint.scripts().flat_map(|(_, script)| script.calls());
        // The text for another shell is looked at word by word, not as one.
        let plain = |word: &String| !word.contains(char::is_whitespace);
        Self {
            kinds: lint
                .steps
                .iter()
                .map(|step| (format!("{:?}", step.instruction.keyword), step.exec().is_some()))
                .collect(),
            mistakes: mistakes.len(),
            unread: lint.unread(),
            words: calls().flat_map(|call| shown(call.words)).filter(plain).collect(),
            wrappers: calls().map(|call| shown(call.wrapper).join(" ")).filter(|wrapper| !wrapper.is_empty()).collect(),
        }
    }
}

/// What is in one and not in the other.
fn without(all: &[String], other: &[String]) -> Vec<String> {
    let mut left = other.to_vec();
    let is_new = |one: &&String| match left.iter().position(|other| other == *one) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    all.iter().filter(is_new).cloned().collect()
}

/// Words of a text, without what quotes and joins them.
fn words(text: &str) -> Vec<String> {
    let cut = text.split(|letter: char| letter.is_whitespace() || "'\"`\\;&|()$".contains(letter));
    cut.map(str::to_owned).collect()
}

fn judge(rule: &Rule, text: &str, fix: &Fix) {
    let after = applied(text, fix);
    let told = format!("{}: '{}' made of\n{text}\nthis:\n{after}", rule.id, fix.title);
    let (was, is) = (Commands::of(text), Commands::of(&after));
    assert!(is.mistakes <= was.mistakes && is.unread <= was.unread, "{told}");
    let lists = |commands: &Commands| commands.kinds.iter().filter(|(_, is_list)| *is_list).count();
    assert!(lists(&is) >= lists(&was), "{told}");
    let written: Vec<String> = fix.edits.iter().flat_map(|edit| words(&edit.text)).collect();
    let taken: Vec<String> = fix.edits.iter().flat_map(|edit| words(&text[edit.span.range()])).collect();
    for word in without(&is.words, &was.words) {
        assert!(words(&word).iter().all(|word| written.contains(word)), "{word} is new, {told}");
    }
    for word in without(&was.words, &is.words) {
        assert!(words(&word).iter().all(|word| taken.contains(word)), "{word} is gone, {told}");
    }
    let new = without(&is.wrappers, &was.wrappers);
    assert!(new.is_empty() || !taken.is_empty(), "{new:?} is new, {told}");
}

#[test]
fn fixes_change_what_they_name_and_nothing_else() {
    let (mut seen, mut rules) = (0, std::collections::BTreeSet::new());
    for rule in about_files().filter(|rule| rule.subject() == Subject::Dockerfile) {
        for text in reshaped(rule.bad) {
            for fix in findings(rule, &text).iter().filter_map(|finding| finding.fix.as_ref()) {
                judge(rule, &text, fix);
                seen += 1;
                rules.insert(rule.id);
            }
        }
    }
    assert!(seen > 100 && rules.len() > 15, "{seen} fixes of {rules:?}");
}
