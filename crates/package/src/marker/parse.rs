//! Text → marker, by the grammar of PEP 508.

use super::{Comparison, Node, Term, Variable};
use crate::pep440::Operator;

/// Deeper nesting than anybody writes; guards the stack.
const DEPTH: usize = 64;

pub(super) fn marker(text: &str) -> Result<Node, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let node = parser.or()?;
    match parser.rest() {
        "" => Ok(node),
        rest => Err(format!("'{rest}' is left over")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_ascii_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        self.at += if found { prefix.len() } else { 0 };
        found
    }

    /// A word that ends where it ends: `or` but not `order`.
    fn skip_word(&mut self, word: &str) -> bool {
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
        self.rest().strip_prefix(word).is_some_and(ends) && self.skip(word)
    }

    fn or(&mut self) -> Result<Node, String> {
        let mut parts = vec![self.and()?];
        while self.skip_word("or") {
            parts.push(self.and()?);
        }
        Ok(join(parts, Node::Or))
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut parts = vec![self.atom()?];
        while self.skip_word("and") {
            parts.push(self.atom()?);
        }
        Ok(join(parts, Node::And))
    }

    fn atom(&mut self) -> Result<Node, String> {
        if !self.skip("(") {
            return self.compare();
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deep".into());
        }
        let node = self.or()?;
        self.depth -= 1;
        if self.skip(")") { Ok(node) } else { Err("a ')' is missing".into()) }
    }

    fn compare(&mut self) -> Result<Node, String> {
        let left = self.term()?;
        let comparison = self.comparison()?;
        let right = self.term()?;
        match (left.variable(), right.variable()) {
            (None, None) => Err("it compares two texts".into()),
            (Some(_), Some(_)) => Err("it compares two variables".into()),
            _ => Ok(Node::Compare { left, comparison, right }),
        }
    }

    fn comparison(&mut self) -> Result<Comparison, String> {
        if self.skip_word("in") {
            return Ok(Comparison::In);
        }
        if self.skip_word("not") {
            return if self.skip_word("in") {
                Ok(Comparison::NotIn)
            } else {
                Err("'in' is missing after 'not'".into())
            };
        }
        let rest = self.rest();
        let (operator, behind) =
            Operator::split(rest).ok_or_else(|| format!("a comparison is missing before '{rest}'"))?;
        self.at += rest.len() - behind.len();
        Ok(Comparison::Version(operator))
    }

    fn term(&mut self) -> Result<Term, String> {
        let rest = self.rest();
        for quote in ['\'', '"'] {
            if let Some(inner) = rest.strip_prefix(quote) {
                let (text, _) = inner.split_once(quote).ok_or("a quote is not closed")?;
                self.at += text.len() + 2;
                return Ok(Term::Text(text.to_owned()));
            }
        }
        let part = |next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | '.');
        let word = rest.split(|next: char| !part(next)).next().unwrap_or_default();
        self.at += word.len();
        match Variable::named(word) {
            Some(variable) => Ok(Term::Variable(variable)),
            None if word.is_empty() => Err("it ends too early or has a stray character".into()),
            None => Err(format!("'{word}' is not something to ask about")),
        }
    }
}

fn join(mut parts: Vec<Node>, kind: fn(Vec<Node>) -> Node) -> Node {
    match parts.len() {
        1 => parts.remove(0),
        _ => kind(parts),
    }
}
