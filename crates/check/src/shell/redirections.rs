//! Redirections, and the here-documents behind them.

use super::parse::{Parser, Read};
use super::{Document, Redirect, Redirection, Word};

impl Parser<'_, '_> {
    pub(super) fn redirections(&mut self, all: &mut Vec<Redirection>) -> Read<()> {
        loop {
            let at = self.at;
            self.blanks();
            match self.redirection()? {
                Some(redirection) => all.push(redirection),
                None => {
                    self.at = at;
                    return Ok(());
                }
            }
        }
    }

    pub(super) fn redirection(&mut self) -> Read<Option<Redirection>> {
        let start = self.at;
        let digits = self.rest().len() - self.rest().trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let descriptor = self.rest().get(..digits).and_then(|digits| digits.parse().ok());
        let Some((operator, mark)) = redirect(self.rest().get(digits..).unwrap_or_default(), digits == 0) else {
            return Ok(None);
        };
        self.at += digits + mark.len();
        self.blanks();
        if !self.begins_word() {
            return Err(self.unreadable("a file is missing behind it", start));
        }
        let target = self.word()?;
        let at = self.place(start);
        let document = match operator {
            Redirect::Document => Some(self.document(&target, mark == "<<-")?),
            _ => None,
        };
        Ok(Some(Redirection { descriptor, operator, target, document, at }))
    }

    /// Reads the lines of a here-document, behind the line that this is.
    fn document(&mut self, target: &Word, chomp: bool) -> Read<Document> {
        let name = target.literal().unwrap_or_default().into_owned();
        let quoted = target.is_quoted();
        let line = self.at + self.rest().find('\n').unwrap_or(self.rest().len());
        self.pay(line - self.at)?;
        let from = match self.documents {
            Some((known, end)) if known == line => (end + 1).min(self.text.len()),
            _ => (line + 1).min(self.text.len()),
        };
        let (mut text, mut at) = (String::new(), from);
        let mut end = self.text.len();
        for raw in self.text.get(from..).unwrap_or_default().split_inclusive('\n') {
            let kept = if chomp { raw.trim_start_matches('\t') } else { raw };
            if kept.trim_end_matches(['\r', '\n']) == name {
                // The end of its last line goes on as one of the script.
                end = at + raw.trim_end_matches(['\r', '\n']).len();
                break;
            }
            text.push_str(kept);
            at += raw.len();
        }
        self.pay(at - from)?;
        let body = from..at;
        let parts = if quoted { Vec::new() } else { self.embedded(body.clone()).unwrap_or_default() };
        self.documents = Some((line, end));
        Ok(Document { text, parts, quoted, at: self.source.place(body) })
    }
}

/// The redirection at the beginning of a text.
fn redirect(text: &str, without_number: bool) -> Option<(Redirect, &'static str)> {
    const ALL: [(&str, Redirect); 12] = [
        ("&>>", Redirect::AllAppend),
        ("&>", Redirect::All),
        ("<<<", Redirect::Text),
        ("<<-", Redirect::Document),
        ("<<", Redirect::Document),
        ("<&", Redirect::InCopy),
        ("<>", Redirect::Both),
        ("<", Redirect::In),
        (">>", Redirect::Append),
        (">&", Redirect::OutCopy),
        (">|", Redirect::Clobber),
        (">", Redirect::Out),
    ];
    // `<(…)` is a word.
    if without_number && (text.starts_with("<(") || text.starts_with(">(")) {
        return None;
    }
    let (mark, operator) = ALL.into_iter().find(|(mark, _)| text.starts_with(mark))?;
    (without_number || !mark.starts_with('&')).then_some((operator, mark))
}
