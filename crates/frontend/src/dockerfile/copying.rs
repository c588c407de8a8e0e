//! ADD and COPY: from where, whereto, and how the history says it.

use corten_diagnostic::Failure;
use corten_plan::recipe::{Action, CopyAction, CopySource, Files, Step};

use super::command::{Copy, Source};
use super::expand::Lexer;
use super::heredoc::Heredoc;
use super::lower::{Lowering, join};
use super::syntax::Instruction;
use super::words::Word;

pub(super) fn action(
    lowering: &Lowering<'_, '_>,
    line: &Instruction,
    copy: &Copy,
) -> Result<(CopyAction, String), Failure> {
    let expand = |word: &Option<Word>| word.as_ref().map(|word| lowering.expand(line, word)).transpose();
    let (owner, mode, checksum) = (expand(&copy.chown)?, expand(&copy.chmod)?, expand(&copy.checksum)?);
    if let (Some(mode), Some(word)) = (&mode, &copy.chmod) {
        check_mode(mode).map_err(|why| lowering.failure(line, word, format!("--chmod={mode}: {why}")))?;
    }
    let from = match &copy.from {
        None => Files::Context,
        Some(word) if word.text.contains('$') => {
            let hint = "name a stage FROM it, and copy from that: FROM $IMAGE AS other";
            return Err(lowering.failure(line, word, "--from takes no variable").hint(hint));
        }
        Some(word) => lowering.files(&word.text, line, word)?,
    };
    let mut said = Said::new(copy, owner.as_deref(), mode.as_deref(), checksum.as_deref());
    let mut sources = Vec::new();
    for source in &copy.sources {
        sources.push(match source {
            Source::Inline(heredoc) => inline(lowering, line, heredoc)?,
            Source::Path(word) => {
                let text = lowering.expand(line, word)?;
                said.source(&text);
                path(lowering, line, copy, (word, text), checksum.as_deref())?
            }
        });
    }
    if let (Some(word), true) = (&copy.checksum, sources.len() > 1) {
        return Err(lowering.failure(line, word, "--checksum is of one source, and there are several"));
    }
    for source in &sources {
        if let CopySource::Inline { name, .. } = source {
            said.source(&format!("<<{name}"));
        }
    }
    let written = lowering.expand(line, &copy.destination)?;
    let exclude = copy.exclude.iter().map(|word| word.text.clone()).collect();
    let destination = destination(lowering, &written);
    let action = CopyAction { sources, from, destination, owner, mode, link: copy.link, exclude };
    Ok((action, said.end(&written)))
}

fn destination(lowering: &Lowering<'_, '_>, written: &str) -> String {
    let path = lowering.in_folder(written);
    let is_folder = written.is_empty() || written == "." || written.ends_with('/');
    if is_folder && !path.ends_with('/') { format!("{path}/") } else { path }
}

fn inline(lowering: &Lowering<'_, '_>, line: &Instruction, heredoc: &Heredoc) -> Result<CopySource, Failure> {
    let mut content = heredoc.meant();
    if heredoc.expand {
        let lexer = Lexer { plain_quotes: true, ..Lexer::new(lowering.stages.file.escape) };
        let word = Word { text: heredoc.name.clone(), range: line.name.range.clone() };
        let expanded = lexer.expand(&content, &|name| lowering.variable(name));
        content =
            expanded.map_err(|error| lowering.failure(line, &word, format!("in {}: {error}", heredoc.name)))?.text;
    }
    Ok(CopySource::Inline { name: heredoc.name.clone(), content })
}

fn path(
    lowering: &Lowering<'_, '_>,
    line: &Instruction,
    copy: &Copy,
    (word, text): (&Word, String),
    checksum: Option<&str>,
) -> Result<CopySource, Failure> {
    let checksum = checksum.map(str::to_owned);
    if is_git(&text) && copy.add {
        return Ok(CopySource::Git { url: text, keep: copy.keep_git_dir.unwrap_or_default(), checksum });
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        if !copy.add {
            let hint = "ADD takes addresses";
            return Err(lowering.failure(line, word, format!("COPY cannot fetch {text}")).hint(hint));
        }
        let name = name_of(&text);
        return Ok(CopySource::Http { name, url: text, checksum, unpack: copy.unpack.unwrap_or_default() });
    }
    if let (Some(word), true) = (&copy.checksum, checksum.is_some()) {
        return Err(lowering.failure(line, word, "--checksum is for addresses and repositories"));
    }
    let unpack = copy.unpack.unwrap_or(copy.add);
    if !copy.parents {
        return Ok(CopySource::Path { path: join("/", &text), parents: None, unpack });
    }
    // `/./` marks where the folders that are kept begin.
    let (above, below) = text.split_once("/./").unwrap_or(("/", &text));
    let below = join("/", below).trim_start_matches('/').to_owned();
    Ok(CopySource::Path { path: join("/", above), parents: Some(below), unpack })
}

fn is_git(text: &str) -> bool {
    let (before, _) = text.split_once('#').unwrap_or((text, ""));
    let (before, _) = before.split_once('?').unwrap_or((before, ""));
    text.starts_with("git://")
        || text.starts_with("ssh://")
        || text.starts_with("git@")
        || (before.starts_with("http") && before.contains("://") && before.ends_with(".git"))
}

/// The last part of an address's path.
fn name_of(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    match path.split_once('/').and_then(|(_, path)| path.trim_end_matches('/').rsplit('/').next()) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "__unnamed__".to_owned(),
    }
}

/// Octal, or `u+x,g-w` and the like.
fn check_mode(mode: &str) -> Result<(), String> {
    if mode.starts_with(|first: char| first.is_ascii_digit()) {
        let octal = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
        return octal.map(drop).ok_or_else(|| "an octal mode between 0 and 7777 is meant".to_owned());
    }
    let clause = |clause: &str| {
        let who = clause.find(['+', '-', '=']).unwrap_or(clause.len());
        clause[..who].chars().all(|letter| "ugoa".contains(letter))
            && !clause[who..].is_empty()
            && clause[who..].chars().all(|letter| "+-=rwxXstugo".contains(letter))
    };
    match mode.split(',').all(clause) && !mode.is_empty() {
        true => Ok(()),
        false => Err("a mode is octal, or as u+x,go-w".to_owned()),
    }
}

/// The line of the history.
struct Said(String);

impl Said {
    fn new(copy: &Copy, owner: Option<&str>, mode: Option<&str>, checksum: Option<&str>) -> Self {
        let mut text = String::from(if copy.add { "ADD" } else { "COPY" });
        if copy.parents {
            text.push_str(" --parents");
        }
        for (name, value) in [("chown", owner), ("chmod", mode), ("checksum", checksum)] {
            if let Some(value) = value {
                text.push_str(&format!(" --{name}={value}"));
            }
        }
        Self(text)
    }

    fn source(&mut self, text: &str) {
        self.0.push(' ');
        self.0.push_str(&without_user(text));
    }

    fn end(mut self, destination: &str) -> String {
        self.source(destination);
        self.0 + " # buildkit"
    }
}

/// An address without the user and password that may stand in it: a history goes where the image goes.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    format!("{scheme}://{}{path}", place.rsplit('@').next().unwrap_or_default())
}

/// What a stage does that begins with a folder of `--build-context`.
pub(super) fn whole_folder(name: &str) -> Step {
    let source = CopySource::Path { path: "/".to_owned(), parents: None, unpack: false };
    let copy = CopyAction {
        sources: vec![source],
        from: Files::Folder(name.to_owned()),
        destination: "/".to_owned(),
        owner: None,
        mode: None,
        link: false,
        exclude: Vec::new(),
    };
    Step { action: Action::Copy(Box::new(copy)), created_by: format!("FROM {name}"), range: 0..0 }
}
