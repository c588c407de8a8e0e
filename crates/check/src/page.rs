//! A rule's page: what it says, why, how it is written badly and well. The same words in Markdown and for a terminal.

use crate::fix::changes;
use crate::rules::{Initially, Rule, Subject};

/// Where its authors explain a rule that has its number or name from another tool.
pub fn url(rule: &Rule) -> Option<String> {
    let id = rule.id.0;
    let numbered = |prefix: &str| id.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    match () {
        () if id == "DL1000" || numbered("ML") => None,
        () if numbered("DL") => Some(format!("https://github.com/hadolint/hadolint/wiki/{id}")),
        () if numbered("SC") => Some(format!("https://www.shellcheck.net/wiki/{id}")),
        () => Some(format!("https://docs.docker.com/reference/build-checks/{}/", dashed(id))),
    }
}

/// `JSONArgsRecommended` is `json-args-recommended`.
fn dashed(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut dashed = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && letters[at - 1].is_lowercase();
        let before_small = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) {
            dashed.push('-');
        }
        dashed.extend(letter.to_lowercase());
    }
    dashed
}

/// One part of a page.
struct Part {
    title: &'static str,
    body: Body,
}

enum Body {
    Words(String),
    /// With its language.
    Example(&'static str, &'static str),
}

fn parts(rule: &Rule) -> Vec<Part> {
    let words = |title, text: String| Part { title, body: Body::Words(text) };
    let language = match rule.subject() {
        // Facts, which no reader of settings takes.
        Subject::Image => "text",
        Subject::Dockerfile => "dockerfile",
        Subject::Compose => "yaml",
    };
    let mut parts = vec![words("What", sentence(rule.what)), words("Why", sentence(rule.why))];
    if let Some(when) = when(rule) {
        parts.push(words("When", when.to_owned()));
    }
    if let Some(changes) = changes(rule.id.0) {
        parts.push(words("What `--fix` changes", sentence(changes)));
    }
    parts.push(Part { title: "Bad", body: Body::Example(language, rule.bad) });
    parts.push(Part { title: "Good", body: Body::Example(language, rule.good) });
    if !rule.aliases.is_empty() {
        parts.push(words("Also known as", rule.aliases.join(", ")));
    }
    if let Some(url) = url(rule) {
        parts.push(words("More", url));
    }
    parts
}

fn when(rule: &Rule) -> Option<&'static str> {
    match rule.initially {
        Initially::On => None,
        Initially::Off => Some("It says nothing until it is selected: `--select`, or `select` of `[lint]`."),
        Initially::Experimental => Some("It says nothing until it is selected, or `# check=experimental=` names it."),
    }
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

/// For people who read documents; the title is of the second level.
pub fn markdown(rule: &Rule) -> String {
    let mut page = format!("## {}\n\n`{}` · {}\n", rule.id, rule.name, rule.severity);
    for part in parts(rule) {
        match part.body {
            Body::Words(words) if matches!(part.title, "What" | "Why") => page.push_str(&format!("\n{words}\n")),
            Body::Words(words) => page.push_str(&format!("\n{}: {words}\n", part.title)),
            Body::Example(language, text) => {
                page.push_str(&format!("\n{}:\n\n{}\n", part.title, fenced(language, text)));
            }
        }
    }
    page.truncate(page.trim_end().len());
    page
}

/// A fence that is longer than any in the text.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", text.trim_end())
}

/// For a terminal, and for programs that show plain text.
pub fn text(rule: &Rule) -> String {
    let mut page = format!("{} {} ({})\n", rule.id, rule.name, rule.severity);
    for part in parts(rule) {
        match part.body {
            Body::Words(words) if matches!(part.title, "What" | "Why") => page.push_str(&format!("\n{words}\n")),
            Body::Words(words) => page.push_str(&format!("\n{}: {words}\n", part.title.replace('`', ""))),
            Body::Example(_, text) => page.push_str(&format!("\n{}:\n\n{}\n", part.title, indented(text))),
        }
    }
    page.truncate(page.trim_end().len());
    page
}

fn indented(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("    {line}") };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rules;

    const HEAD: &str = "# Rules\n\n\
        Printed from the rules themselves, as `corten rule` prints each. The bad example of a rule is a test that it speaks, the good\n\
        one that it does not. `corten rule` lists them; docs/lint.md says how they are selected and silenced.\n";

    /// All pages, in the order of `corten rule`: a table of contents, then each.
    fn document() -> String {
        let mut text = format!("{HEAD}\n| rule | | says |\n|---|---|---|\n");
        for rule in rules() {
            let anchor = rule.id.0.to_ascii_lowercase();
            text.push_str(&format!("| [{}](#{anchor}) | {} | {} |\n", rule.id, rule.severity, cell(rule.what)));
        }
        rules().for_each(|rule| text.push_str(&format!("\n{}\n", markdown(rule))));
        text
    }

    fn cell(text: &str) -> String {
        text.replace('|', "\\|").replace('\n', " ")
    }

    #[test]
    fn the_document_of_rules_is_printed_from_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
        let text = document();
        if std::env::var_os("CORTEN_WRITE_DOCS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let stale = "docs/rules.md is stale: CORTEN_WRITE_DOCS=1 cargo test -p corten-check document";
        assert!(committed == text, "{stale}");
    }

    #[test]
    fn names_have_dashes_between_their_words() {
        for (name, expected) in [
            ("StageNameCasing", "stage-name-casing"),
            ("JSONArgsRecommended", "json-args-recommended"),
            ("UndefinedArgInFrom", "undefined-arg-in-from"),
            ("ExposeInvalidFormat", "expose-invalid-format"),
        ] {
            assert_eq!(dashed(name), expected);
        }
    }

    #[test]
    fn a_fence_is_longer_than_those_within() {
        assert_eq!(fenced("sh", "a\n```\nb\n"), "````sh\na\n```\nb\n````");
        assert_eq!(fenced("sh", "`a`"), "```sh\n`a`\n```");
    }

    #[test]
    fn the_page_about_guides_names_rules_that_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides.md");
        let text = std::fs::read_to_string(path).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
        let named: Vec<&str> = words.filter(|word| word.starts_with("ML1") || word.starts_with("DL")).collect();
        assert!(named.len() > 15, "{named:?}");
        for id in named {
            assert!(crate::rule(id).is_some(), "{id}");
        }
    }
}
