//! Reading Python without running it: logical lines, imports, what is made at the top of a module.
//!
//! No grammar of Python is needed for that. Comments and long strings are left out, what stands in brackets is joined to one
//! line; the rest is looking at the first words of lines.

use std::collections::BTreeMap;

/// A statement, or the head of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub number: usize,
    /// Columns in front of it.
    pub indent: usize,
    /// Without comments; strings in three quotes are empty.
    pub code: String,
}

/// A module of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module<'a> {
    pub path: &'a str,
    pub text: &'a str,
    pub lines: Vec<Line>,
    /// Local name to what it stands for: `FastAPI` → `fastapi.FastAPI`.
    pub imports: BTreeMap<String, String>,
}

impl<'a> Module<'a> {
    pub fn read(path: &'a str, text: &'a str) -> Self {
        let lines = logical_lines(text);
        let imports = lines.iter().flat_map(|line| imported(&line.code)).collect();
        Self { path, text, lines, imports }
    }

    pub fn top(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.indent == 0)
    }

    /// What a dotted name of this module stands for.
    pub fn resolve(&self, name: &str) -> String {
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        match (self.imports.get(first), rest) {
            (Some(known), Some(rest)) => format!("{known}.{rest}"),
            (Some(known), None) => known.clone(),
            (None, _) => name.to_owned(),
        }
    }

    pub fn imports_package(&self, package: &str) -> bool {
        self.imports.values().any(|name| name == package || name.starts_with(&format!("{package}.")))
    }

    /// The line of `if __name__ == "__main__":`.
    pub fn main_guard(&self) -> Option<&Line> {
        self.top().find(|line| {
            line.code.starts_with("if ") && line.code.contains("__name__") && line.code.contains("__main__")
        })
    }

    /// The lines that belong to the block that `head` begins.
    pub fn block<'m>(&'m self, head: &Line) -> impl Iterator<Item = &'m Line> + use<'m, 'a> {
        let (number, indent) = (head.number, head.indent);
        let behind = self.lines.iter().skip_while(move |line| line.number <= number);
        behind.take_while(move |line| line.indent > indent)
    }

    pub fn file_name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    pub fn depth(&self) -> usize {
        self.path.matches('/').count()
    }
}

/// `from a.b import c as d` gives `d` → `a.b.c`; `import a.b` gives `a` → `a`.
fn imported(code: &str) -> Vec<(String, String)> {
    let pair = |item: &str, prefix: &str| {
        let mut words = item.split_whitespace();
        let name = words.next()?;
        let local = if words.next() == Some("as") { words.next()? } else { name };
        Some((local.to_owned(), format!("{prefix}{name}")))
    };
    if let Some((module, names)) = code.strip_prefix("from ").and_then(|rest| rest.split_once(" import ")) {
        let prefix = format!("{}.", module.trim());
        let names = names.trim().trim_start_matches('(').trim_end_matches(')');
        return names.split(',').filter_map(|item| pair(item, &prefix)).collect();
    }
    let Some(names) = code.strip_prefix("import ") else { return Vec::new() };
    let first = |(local, name): (String, String)| match local.split_once('.') {
        Some((first, _)) => (first.to_owned(), first.to_owned()),
        None => (local, name),
    };
    names.split(',').filter_map(|item| pair(item, "")).map(first).collect()
}

/// The callee of `name = callee(…)` or `name: type = callee(…)`, with the name.
pub(super) fn assigned_call(code: &str) -> Option<(&str, &str)> {
    let (target, value) = code.split_once('=')?;
    let name = target.split(':').next()?.trim();
    let (callee, _) = value.trim_start().split_once('(')?;
    let callee = callee.trim_end();
    (is_name(name) && callee.split('.').all(is_name)).then_some((name, callee))
}

/// Dotted names that are called anywhere in the line.
pub(super) fn calls(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices('(').filter_map(|(at, _)| {
        let before = &code[..at];
        let start = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let name = &before[start..];
        name.split('.').all(is_name).then_some(name)
    })
}

/// The first string behind `opening`, without its quotes.
pub(super) fn string_behind<'c>(code: &'c str, opening: &str) -> Option<&'c str> {
    let rest = code.split_once(opening)?.1.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split(quote).next()
}

pub(super) fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn logical_lines(text: &str) -> Vec<Line> {
    let mut reader = Reader { rest: text, number: 1, lines: Vec::new(), line: None, depth: 0 };
    while !reader.rest.is_empty() {
        reader.step();
    }
    reader.end_line();
    indent(text, &mut reader.lines);
    reader.lines
}

struct Reader<'a> {
    rest: &'a str,
    number: usize,
    lines: Vec<Line>,
    line: Option<Line>,
    /// Of brackets.
    depth: usize,
}

impl Reader<'_> {
    fn step(&mut self) {
        let Some(letter) = self.rest.chars().next() else { return };
        match letter {
            '#' => self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at..]),
            '\n' => {
                self.advance(1);
                if self.depth == 0 {
                    self.end_line();
                } else {
                    self.push(" ");
                }
            }
            '\\' if self.rest[1..].starts_with('\n') => self.advance(2),
            '"' | '\'' => self.string(letter),
            ' ' | '\t' | '\r' | '\u{feff}' => {
                self.advance(letter.len_utf8());
                if self.line.is_some() {
                    self.push(" ");
                }
            }
            other => {
                match other {
                    '(' | '[' | '{' => self.depth += 1,
                    ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                let length = other.len_utf8();
                let piece = &self.rest[..length];
                self.begin();
                if let Some(line) = &mut self.line {
                    line.code.push_str(piece);
                }
                self.advance(length);
            }
        }
    }

    fn begin(&mut self) {
        if self.line.is_none() {
            self.line = Some(Line { number: self.number, indent: 0, code: String::new() });
        }
    }

    fn push(&mut self, text: &str) {
        self.begin();
        if let Some(line) = &mut self.line {
            line.code.push_str(text);
        }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.number += passed.matches('\n').count();
        self.rest = rest;
    }

    fn end_line(&mut self) {
        if let Some(mut line) = self.line.take() {
            line.code.truncate(line.code.trim_end().len());
            self.lines.push(line);
        }
    }

    /// A string: copied if it ends in its line, left empty if it has three quotes.
    fn string(&mut self, quote: char) {
        self.begin();
        let triple = if quote == '"' { "\"\"\"" } else { "'''" };
        if self.rest.starts_with(triple) {
            let length = end_of(&self.rest[3..], triple).map_or(self.rest.len(), |end| 3 + end + 3);
            self.advance(length);
            return self.push("\"\"");
        }
        let mut buffer = [0; 4];
        let line_end = self.rest.find('\n').unwrap_or(self.rest.len());
        let inside = &self.rest[1..line_end];
        let length = end_of(inside, quote.encode_utf8(&mut buffer)).map_or(line_end, |end| 1 + end + 1);
        let piece = self.rest[..length].to_owned();
        self.push(&piece);
        self.advance(length);
    }
}

/// Where `end` begins that no backslash precedes.
fn end_of(text: &str, end: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find([end.chars().next()?, '\\']) {
        let here = at + found;
        let rest = &text[here..];
        if let Some(escaped) = rest.strip_prefix('\\') {
            at = here + 1 + escaped.chars().next()?.len_utf8();
        } else if rest.starts_with(end) {
            return Some(here);
        } else {
            at = here + 1;
        }
    }
    None
}

/// Indents are counted afterwards, from the text.
fn indent(text: &str, lines: &mut [Line]) {
    let starts: Vec<&str> = text.lines().collect();
    for line in lines {
        let start = starts.get(line.number - 1).copied().unwrap_or_default().trim_start_matches('\u{feff}');
        line.indent = start.chars().take_while(|c| matches!(c, ' ' | '\t')).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_strings_and_comments_do_not_confuse() {
        let text = "\"\"\"doc (\napp = FastAPI()\n\"\"\"\nx = 'it''s # not (' # comment (\nfrom a import (\n    b,  # why\n    c as d,\n)\nif x:\n    y = f(1,\n  2)\nz = \"\\\"(\"\n";
        let module = Module::read("m.py", text);
        let shown: Vec<_> = module.lines.iter().map(|line| (line.number, line.indent, line.code.as_str())).collect();
        assert_eq!(shown[0], (1, 0, "\"\""));
        assert_eq!(shown[1], (4, 0, "x = 'it''s # not ('"));
        assert_eq!((shown[4].0, shown[4].1), (10, 4));
        assert_eq!(shown[5].0, 12);
        assert_eq!(module.resolve("d.e"), "a.c.e");
        assert_eq!(calls("x = a.b(c(1), 2)").collect::<Vec<_>>(), ["a.b", "c"]);
    }

    #[test]
    fn no_text_makes_it_fall_over() {
        for text in ["'", "\"\"\"", "\\", "\\\n", "é'é\\", "(((", ")))", "'''\\", "x=é(", "\u{feff}#", "=(", ":=("] {
            let module = Module::read("m.py", text);
            for line in &module.lines {
                assigned_call(&line.code);
                assert!(calls(&line.code).count() < 9);
                string_behind(&line.code, "(");
            }
        }
    }
}
