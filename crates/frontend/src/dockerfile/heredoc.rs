//! Here-documents: `<<NAME` in a line, and the lines that follow to `NAME`.

use super::expand::Lexer;
use super::source::Lines;

/// A here-document of RUN, COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it; for COPY and ADD the name of the file.
    pub name: String,
    /// Its lines with their ends. Those of `<<-` still have their tabs.
    pub content: String,
    /// Variables in it are expanded: its word had no quotes.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of lines go.
    pub chomp: bool,
    /// `3<<NAME`; 0 where there is no number.
    pub descriptor: u32,
    /// Where its lines begin, in bytes of the file.
    pub at: usize,
}

impl Heredoc {
    /// As it is meant: without the tabs that `<<-` drops.
    pub fn meant(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Is a here-document all that a line says? Then its lines are the command; else the line's command reads them.
    pub fn is_all_of(line: &str) -> bool {
        one(line).is_some()
    }

    /// Reads the lines up to its end; false where the file ends before.
    pub(super) fn read(&mut self, lines: &mut Lines<'_>) -> bool {
        self.at = lines.at();
        while let Some(line) = lines.raw() {
            let bare = line.text.trim_end_matches(['\r', '\n']);
            let bare = if self.chomp { bare.trim_start_matches('\t') } else { bare };
            if bare == self.name {
                return true;
            }
            self.content.push_str(line.text);
        }
        false
    }
}

/// The here-documents that a line announces.
pub(super) fn announced(line: &str) -> Vec<Heredoc> {
    let lexer = Lexer { keep_quotes: true, keep_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    let Ok(words) = lexer.expand(line, &|_| None) else { return Vec::new() };
    words.words.iter().filter_map(|word| one(word)).collect()
}

/// `3<<-"NAME"`.
pub(super) fn one(word: &str) -> Option<Heredoc> {
    let (number, rest) = word.split_once("<<")?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
        return None;
    }
    let descriptor = if number.is_empty() { 0 } else { number.parse().ok()? };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let name = |lexer: Lexer| {
        let mut words = lexer.expand(rest, &|_| None).ok()?.words;
        // `<<NAME cat` is a line of a shell.
        (words.len() == 1).then(|| words.pop()).flatten()
    };
    let bare = name(lexer)?;
    let written = name(Lexer { keep_quotes: true, ..lexer })?;
    Some(Heredoc { expand: bare == written, name: bare, content: String::new(), chomp, descriptor, at: 0 })
}
