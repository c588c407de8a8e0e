//! Where Corten says something else than hadolint on purpose: the rows of `docs/lint.md`, left out of the figures.

use super::Told;

/// Where Corten says something else on purpose.
pub struct Difference {
    /// The rules.
    pub rules: &'static [&'static str],
    /// What the file looks like, as `docs/lint.md` has it.
    pub shape: &'static str,
    /// Is it this, by the text from the line of the finding on, and the whole?
    is: fn(&str, &str) -> bool,
}

/// All of them; `docs/lint.md` says why.
pub const DIFFERENCES: [Difference; 8] = [
    Difference {
        rules: &["DL3025"],
        shape: "`HEALTHCHECK CMD` with a text",
        is: |text, _| first_word(text).eq_ignore_ascii_case("HEALTHCHECK"),
    },
    Difference {
        rules: &["DL3064"],
        shape: "`ARG USERNAME`, `…_FILE`, `…_PATH`, `…_DIR`, `TOKENIZER…`, `MAX_…TOKENS`",
        is: |text, _| {
            let line = text.lines().next().unwrap_or_default().to_ascii_uppercase();
            let words = ["USERNAME", "_FILE", "_PATH", "_DIR", "TOKENIZER", "TOKENS"];
            words.iter().any(|word| line.contains(word))
        },
    },
    Difference {
        rules: &["DL3006", "DL3022", "DL3023", "DL3024", "DL3009", "DL3060"],
        shape: "a stage named in other letters: `FROM a AS Build`, `--from=build`",
        is: |text, whole| names_a_stage_in_other_letters(text.lines().next().unwrap_or_default(), whole),
    },
    Difference {
        rules: &["DL3020"],
        shape: "`ADD git@host:repository`",
        is: |text, _| ["git@", "git://", "ssh://"].iter().any(|start| logical(text).contains(start)),
    },
    Difference {
        rules: &["DL3026"],
        shape: "`COPY --from=0`",
        is: |text, _| {
            logical(text)
                .split_once("--from=")
                .is_some_and(|(_, rest)| rest.starts_with(|letter: char| letter.is_ascii_digit()))
        },
    },
    Difference {
        rules: &[
            "DL4006", "DL3003", "DL3008", "DL3009", "DL3013", "DL3014", "DL3015", "DL3018", "DL3042", "DL3047",
            "DL3059", "DL4001",
        ],
        shape: "a here-document that a program of the line reads: `RUN bash <<EOF`, `RUN <<EOF bash`",
        is: |text, _| is_document_with_program(&logical(text)),
    },
    Difference {
        rules: &["DL3059"],
        shape: "several here-documents in one RUN",
        is: |text, _| logical(text).matches("<<").count() > 1,
    },
    Difference {
        rules: &["DL3043"],
        shape: "`ONBUILD FROM`: also DL1000, as no builder takes it",
        is: |text, _| {
            let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
            words.next().as_deref() == Some("ONBUILD") && words.next().as_deref() == Some("FROM")
        },
    },
];

/// Is a finding that one side alone tells one of these, by the file's text?
pub(super) fn is_different((_, line, rule): &Told, text: &str) -> bool {
    let from: String = text.split_inclusive('\n').skip(line.saturating_sub(1)).collect();
    DIFFERENCES.iter().any(|difference| difference.rules.contains(&rule.as_str()) && (difference.is)(&from, text))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Does the line name a stage in other letters than its `AS` has?
fn names_a_stage_in_other_letters(line: &str, whole: &str) -> bool {
    let is_from = |line: &&str| first_word(line).eq_ignore_ascii_case("FROM");
    let used: Vec<&str> = match is_from(&line) {
        true => line.split_whitespace().collect(),
        false => line.split_whitespace().filter_map(|word| word.strip_prefix("--from=")).collect(),
    };
    let mut names = whole
        .lines()
        .filter(is_from)
        .filter_map(|line| line.split_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("AS")).nth(1));
    names.any(|name| used.iter().any(|word| word.eq_ignore_ascii_case(name) && *word != name))
}

/// A line with those that continue it.
fn logical(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        whole.push_str(line);
        whole.push(' ');
        if !line.trim_end().ends_with('\\') && !line.trim_start().starts_with('#') {
            break;
        }
    }
    whole
}

/// `<<NAME` and something beside it that is no option of RUN.
fn is_document_with_program(line: &str) -> bool {
    let words = line.split_whitespace().skip(1).filter(|word| !word.starts_with("--"));
    line.contains("<<") && words.filter(|word| !word.starts_with("<<")).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_seen_in_the_text() {
        let file = "FROM a AS Build\nFROM build\nCOPY --from=BUILD /a /b\nCOPY --from=Build /a /b\nFROM c\nRUN d\n";
        let seen: Vec<bool> = file.lines().map(|line| names_a_stage_in_other_letters(line, file)).collect();
        assert_eq!(seen, [false, true, true, false, false, false]);
        let told = |line, rule: &str| ("f".to_owned(), line, rule.to_owned());
        assert!(is_different(&told(2, "DL3006"), file) && !is_different(&told(5, "DL3006"), file));
        let file = "ONBUILD FROM a\nONBUILD RUN b\n";
        assert!(is_different(&told(1, "DL3043"), file) && !is_different(&told(2, "DL3043"), file));
        assert!(is_document_with_program("RUN --mount=type=cache,target=/a <<EOF bash"));
        assert!(
            is_document_with_program("RUN cat <<EOF > /a") && !is_document_with_program("RUN --network=none <<EOF")
        );
        assert_eq!(logical("RUN a \\\n# why\n b\nRUN c\n"), "RUN a \\ # why  b ");
    }
}
