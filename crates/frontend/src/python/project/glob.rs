//! The patterns of six backends, matched without ever walking exponentially many ways.
//!
//! | type | `*`, `?` | `**` | hidden names | who |
//! |---|---|---|---|---|
//! | [`Glob::shell`] | cross `/` | as `*` | match | Python's `fnmatch` |
//! | [`PathGlob`] | stop at `/` | any folders | as asked | `glob.glob`, `pathlib`, MANIFEST.in, git, uv |

/// A pattern that is matched letter by letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    One(Letters),
    /// Any number of letters.
    Many(Letters),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Letters {
    Any,
    /// All but the slash.
    InName,
    Just(char),
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Letters {
    fn has(&self, letter: char) -> bool {
        match self {
            Self::Any => true,
            Self::InName => letter != '/',
            Self::Just(just) => *just == letter,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated
            }
        }
    }
}

/// Letters of a pattern that are looked at; longer ones match nothing.
const LONGEST: usize = 4096;

impl Glob {
    /// Python's `fnmatch.fnmatchcase`.
    pub fn shell(pattern: &str) -> Self {
        Self::compile(pattern, &Letters::Any)
    }

    /// One component of a path.
    pub fn name(pattern: &str) -> Self {
        Self::compile(pattern, &Letters::InName)
    }

    fn compile(pattern: &str, wild: &Letters) -> Self {
        let mut steps = Vec::new();
        let mut rest: &str = pattern.get(..LONGEST).unwrap_or(pattern);
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '*' => steps.push(Step::Many(wild.clone())),
                '?' => steps.push(Step::One(wild.clone())),
                '[' => match set(rest, wild) {
                    Some((letters, behind)) => {
                        steps.push(Step::One(letters));
                        rest = behind;
                    }
                    None => steps.push(Step::One(Letters::Just('['))),
                },
                letter => steps.push(Step::One(Letters::Just(letter))),
            }
        }
        Self(steps)
    }

    /// Does it match the whole text? At most pattern × text steps.
    pub fn matches(&self, text: &str) -> bool {
        let mut at = vec![false; self.0.len() + 1];
        if let Some(first) = at.first_mut() {
            *first = true;
        }
        self.pass(&mut at);
        for letter in text.chars() {
            at = self.advance(&at, letter);
            if !at.contains(&true) {
                return false;
            }
        }
        at.last().copied().unwrap_or(false)
    }

    fn advance(&self, at: &[bool], letter: char) -> Vec<bool> {
        let mut next = vec![false; at.len()];
        for (index, step) in self.0.iter().enumerate().filter(|(index, _)| at[*index]) {
            match step {
                Step::One(letters) => next[index + 1] |= letters.has(letter),
                Step::Many(letters) => next[index] |= letters.has(letter),
            }
        }
        self.pass(&mut next);
        next
    }

    /// Passes the steps that may match nothing.
    fn pass(&self, at: &mut [bool]) {
        for (index, step) in self.0.iter().enumerate() {
            if matches!(step, Step::Many(_)) {
                at[index + 1] |= at[index];
            }
        }
    }
}

/// Is it a glob of PEP 639? Other characters are refused, and `..`.
pub(super) fn portable(pattern: &str) -> Result<(), String> {
    let known = |letter: char| letter.is_alphanumeric() || "_-.*?/[]@+ ~:!,{}".contains(letter);
    if let Some(odd) = pattern.chars().find(|letter| !known(*letter)) {
        return Err(format!("'{pattern}' is no pattern: '{odd}' is not allowed"));
    }
    if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
        return Err(format!("'{pattern}' is no pattern: it leaves the project"));
    }
    Ok(())
}

/// Reads a set behind its `[`: `abc]`, `!a-z]`, `]x]`; and what stands behind it.
fn set<'p>(text: &'p str, wild: &Letters) -> Option<(Letters, &'p str)> {
    let (negated, inner) = match text.strip_prefix(['!', '^']) {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let first = inner.chars().next()?;
    let end = first.len_utf8() + inner.get(first.len_utf8()..)?.find(']')?;
    let letters: Vec<char> = inner[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(low) = letters.get(at) {
        match (letters.get(at + 1), letters.get(at + 2)) {
            (Some('-'), Some(high)) => {
                ranges.push((*low, *high));
                at += 3;
            }
            _ => {
                ranges.push((*low, *low));
                at += 1;
            }
        }
    }
    if negated && *wild == Letters::InName {
        ranges.push(('/', '/'));
    }
    Some((Letters::Set { negated, ranges }, &inner[end + 1..]))
}

/// A pattern that is matched component by component; `**` is any folders where it stands alone.
#[derive(Debug, Clone)]
pub(super) struct PathGlob {
    parts: Vec<Part>,
    hidden: Hidden,
}

#[derive(Debug, Clone)]
enum Part {
    Folders,
    Name { glob: Glob, literal: Option<String>, dotted: bool },
}

/// Does `*` match names that begin with a dot?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// `pathlib`, git.
    Match,
    /// `glob.glob`: only where the pattern has the dot, too.
    NeedDot,
}

/// Is `**` more than `*`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recursive {
    Yes,
    No,
}

impl PathGlob {
    pub fn new(pattern: &str, hidden: Hidden, recursive: Recursive) -> Self {
        let part = |text: &str| match text {
            "**" if recursive == Recursive::Yes => Part::Folders,
            text => Part::Name {
                glob: Glob::name(text),
                literal: (!text.contains(['*', '?', '['])).then(|| text.to_owned()),
                dotted: text.starts_with('.'),
            },
        };
        let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "."));
        let mut parts: Vec<Part> = parts.take(LONGEST).map(part).collect();
        if matches!(parts.last(), Some(Part::Folders)) {
            parts.push(Part::Name { glob: Glob::name("*"), literal: None, dotted: false });
        }
        Self { parts, hidden }
    }

    /// Does it match the whole path? `**` at the end is everything below.
    pub fn matches(&self, path: &str) -> bool {
        let mut at = vec![false; self.parts.len() + 1];
        if let Some(first) = at.first_mut() {
            *first = true;
        }
        self.pass(&mut at);
        for name in path.split('/') {
            at = self.advance(&at, name);
        }
        at.last().copied().unwrap_or(false)
    }

    fn advance(&self, at: &[bool], name: &str) -> Vec<bool> {
        let mut next = vec![false; at.len()];
        for (index, part) in self.parts.iter().enumerate().filter(|(index, _)| at[*index]) {
            let shown = self.hidden == Hidden::Match || !name.starts_with('.');
            match part {
                Part::Folders => next[index] |= shown,
                Part::Name { literal: Some(literal), .. } => next[index + 1] |= literal == name,
                Part::Name { glob, dotted, .. } => next[index + 1] |= (shown || *dotted) && glob.matches(name),
            }
        }
        self.pass(&mut next);
        next
    }

    fn pass(&self, at: &mut [bool]) {
        for (index, part) in self.parts.iter().enumerate() {
            if matches!(part, Part::Folders) {
                at[index + 1] |= at[index];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of Python 3.11's fnmatch.
    #[test]
    fn shell_patterns_cross_slashes() {
        for (pattern, text, answer) in [
            ("*.py", "a/b.py", true),
            ("a*", "a.b.c", true),
            ("[!a]*", "abc", false),
            ("[a-c]x", "bx", true),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("?", "/", true),
            ("", "", true),
            ("", "a", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(Glob::shell(pattern).matches(text), answer, "{pattern} {text}");
        }
    }

    #[test]
    fn double_stars_are_any_folders() {
        for (pattern, text, answer) in [
            ("**/a", "a", true),
            ("**/a", "x/y/a", true),
            ("**/a", "xa", false),
            ("src/**/t.py", "src/t.py", true),
            ("src/**/t.py", "src/a/b/t.py", true),
            ("src/**/t.py", "srct.py", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("*.py", "a/b.py", false),
            ("a**b", "a/x/b", false),
            ("[!x]*/b", "a/b", true),
        ] {
            let glob = PathGlob::new(pattern, Hidden::Match, Recursive::Yes);
            assert_eq!(glob.matches(text), answer, "{pattern} {text}");
        }
    }

    #[test]
    fn path_patterns_know_hidden_names() {
        let glob = |pattern: &str| PathGlob::new(pattern, Hidden::NeedDot, Recursive::Yes);
        assert!(glob("**/*.txt").matches("a/b.txt") && glob("**/*.txt").matches("b.txt"));
        assert!(!glob("**/*.txt").matches(".a/b.txt") && !glob("*").matches(".b"));
        assert!(glob(".*").matches(".b") && glob("./a//b").matches("a/b"));
        assert!(PathGlob::new("**/x", Hidden::Match, Recursive::Yes).matches(".a/x"));
        assert!(!PathGlob::new("l/**/x", Hidden::Match, Recursive::No).matches("l/x"));
        assert!(PathGlob::new("l/**/x", Hidden::Match, Recursive::No).matches("l/a/x"));
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = "*a".repeat(2000);
        assert!(!Glob::shell(&pattern).matches(&"a".repeat(1999)));
        let folders = "**/".repeat(1000);
        let deep = "a/".repeat(100);
        assert!(PathGlob::new(&format!("{folders}x"), Hidden::Match, Recursive::Yes).matches(&format!("{deep}x")));
    }
}
