//! How the rest of a line falls into words. Each instruction has one of these ways; positions are bytes of the line.

use std::ops::Range;

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text.
    pub text: String,
    /// In bytes of the joined line.
    pub range: Range<usize>,
}

/// What lies between words where quotes mean nothing.
pub const BLANKS: [char; 5] = [' ', '\t', '\u{b}', '\u{c}', '\r'];

/// Cut at blanks; quotes mean nothing.
pub fn by_blanks(line: &str, from: usize) -> Vec<Word> {
    let rest = line.get(from..).unwrap_or_default();
    let mut words = Vec::new();
    let mut at = from;
    for piece in rest.split(BLANKS) {
        if !piece.is_empty() {
            words.push(Word { text: piece.to_owned(), range: at..at + piece.len() });
        }
        at += piece.len() + 1;
    }
    words
}

/// Cut at blanks outside quotes; quotes and escapes stay, to be read when variables are.
pub fn quoted(line: &str, from: usize, escape: char) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line.char_indices().skip_while(|(at, _)| *at < from).peekable();
    while let Some(&(start, first)) = rest.peek() {
        if first.is_whitespace() {
            rest.next();
            continue;
        }
        let mut text = String::new();
        let mut open: Option<char> = None;
        let mut end = start;
        while let Some((at, character)) = rest.next_if(|(_, next)| open.is_some() || !next.is_whitespace()) {
            end = at + character.len_utf8();
            match open {
                Some(quote) if quote == character => open = None,
                None if matches!(character, '\'' | '"') => open = Some(character),
                // At the end of the line an escape escapes nothing.
                _ if character == escape && open != Some('\'') => {
                    let Some((at, next)) = rest.next() else { break };
                    end = at + next.len_utf8();
                    text.extend([character, next]);
                    continue;
                }
                _ => {}
            }
            text.push(character);
        }
        words.push(Word { text, range: start..end });
    }
    words
}

/// `--name=value` at the beginning: the flags, without quotes and escapes, and where the rest begins.
pub fn flags(line: &str, from: usize) -> (Vec<Word>, usize) {
    let mut words = Vec::new();
    let mut at = from;
    loop {
        at += blanks(line, at);
        if !line.get(at..).unwrap_or_default().starts_with("--") {
            return (words, at);
        }
        let word = flag(line, at);
        at = word.range.end;
        if word.text == "--" {
            return (words, at);
        }
        words.push(word);
    }
}

fn blanks(line: &str, at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    rest.len() - rest.trim_start().len()
}

fn flag(line: &str, start: usize) -> Word {
    let mut word = Word { text: String::new(), range: start..line.len() };
    let mut open = None;
    let mut rest = line.char_indices().skip_while(|(at, _)| *at < start);
    while let Some((at, character)) = rest.next() {
        match (open, character) {
            (None, blank) if blank.is_whitespace() => {
                word.range.end = at;
                return word;
            }
            (None, '\'' | '"') => open = Some(character),
            (Some(quote), _) if quote == character => open = None,
            (_, '\\') => word.text.extend(rest.next().map(|(_, escaped)| escaped)),
            _ => word.text.push(character),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn words_know_where_they_stand() {
        let line = r#"ENV a="x y" b=c\ d e='\'"#;
        let words = quoted(line, 3, '\\');
        assert_eq!(texts(&words), [r#"a="x y""#, r"b=c\ d", r"e='\'"]);
        assert!(words.iter().all(|word| line[word.range.clone()] == word.text));
        let words = by_blanks("FROM  a \t AS b", 4);
        assert_eq!(texts(&words), ["a", "AS", "b"]);
        assert_eq!(words[1].range, 10..12);
    }

    #[test]
    fn flags_end_where_no_flag_is() {
        let line = r#"COPY --from="a b" --chown=1\:2  -- --x /"#;
        let (words, rest) = flags(line, 4);
        assert_eq!(texts(&words), ["--from=a b", "--chown=1:2"]);
        assert_eq!(&line[rest..], " --x /");
        assert_eq!(&line[words[0].range.clone()], r#"--from="a b""#);
        assert_eq!(flags("RUN -x --y", 3).1, 4);
    }
}
