//! `$((…))` and `((…))`: what is in them is kept as text, with the variables that a `$` marks.

use std::ops::Range;

use super::Arithmetic;
use super::parse::{Parser, Read};

impl Parser<'_, '_> {
    /// Where the expression that begins at `from` ends: at its `))`. None where there is none: then it is a subshell in a
    /// substitution, `$((a); (b))`.
    pub(super) fn arithmetic_end(&mut self, from: usize) -> Read<Option<usize>> {
        let mut depth = 0_usize;
        let text = self.text.get(from..).unwrap_or_default();
        let mut letters = text.char_indices().peekable();
        let mut end = None;
        let mut seen = text.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => drop(letters.next()),
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                ')' => {
                    end = letters.peek().filter(|(_, next)| *next == ')').map(|_| from + at);
                    seen = at;
                    break;
                }
                _ => {}
            }
        }
        self.pay(seen)?;
        Ok(end)
    }

    /// Reads the expression and goes behind its `))`.
    pub(super) fn arithmetic(&mut self, range: Range<usize>) -> Read<Arithmetic> {
        self.enter()?;
        let parts = self.embedded(range.clone())?;
        self.leave();
        self.at = range.end + 2;
        Ok(Arithmetic { raw: self.text.get(range).unwrap_or_default().to_owned(), parts })
    }
}
