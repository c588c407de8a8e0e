//! Scripts as ShellCheck wants them: with a `#!`, and with the variables that the Dockerfile defines.

use std::path::Path;

use corten_diagnostic::Span;
use corten_frontend::dockerfile::{Arguments, Dockerfile};

use super::scripts::dialect;
use super::suppress::{Comments, means_foreign};
use super::{Choice, Config, DefinitionKind, Lint, Step};
use crate::shell::{Dialect, Source, base_name};

/// Variables that every stage has.
const USUAL: [&str; 8] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy"];

/// A script of a Dockerfile, for another program.
#[derive(Debug)]
pub struct ShellScript {
    text: String,
    /// Bytes of `text` before the script.
    head: usize,
    source: Source,
    file: Dockerfile,
    /// What comments and settings silence there.
    silent: Vec<String>,
}

/// All scripts of a Dockerfile that a shell of the POSIX family runs.
pub fn shell_scripts(path: &Path, text: &str, choice: &Choice) -> Vec<ShellScript> {
    let (file, mistakes) = Dockerfile::read_what_can_be(path, text);
    let config = Config::default();
    let lint = Lint::new(&file, &mistakes, &config);
    let comments = Comments::of(&file, choice);
    lint.steps.iter().filter_map(|step| script(&lint, step, &comments, choice)).collect()
}

fn script(lint: &Lint<'_>, step: &Step<'_>, comments: &Comments, choice: &Choice) -> Option<ShellScript> {
    let arguments = match &step.meant_instruction().arguments {
        Arguments::Check(_, rest) => rest.as_ref(),
        other => other,
    };
    step.command_line()?;
    let Arguments::Text(word) = arguments else { return None };
    let dialect = dialect(step, word)?;
    let source = Source::of(step.line(), word.range.clone(), &step.instruction.heredocs);
    let mut text = format!("#!{}\n", program(step, dialect));
    for name in names(lint, step) {
        text.push_str(&format!("export {name}=1\n"));
    }
    let head = text.len();
    text.push_str(source.text());
    text.push('\n');
    let silent = comments.at(step.number).into_iter().chain(choice.ignore.iter().cloned()).collect();
    Some(ShellScript { text, head, source, file: lint.file.clone(), silent })
}

fn program(step: &Step<'_>, dialect: Dialect) -> String {
    let name = match dialect {
        Dialect::Sh => "sh",
        Dialect::Dash => "dash",
        Dialect::Ash => "busybox sh",
        Dialect::Bash => "bash",
        Dialect::Ksh => "ksh",
    };
    let written = step.shell.words.first().map_or("", |word| base_name(word));
    format!("/bin/{}", if written == name { written } else { name })
}

/// Names that are defined before a step.
fn names<'l>(lint: &'l Lint<'_>, step: &Step<'_>) -> Vec<&'l str> {
    let mut names: Vec<&str> = USUAL.to_vec();
    let below: Vec<usize> =
        lint.stage_of(step).map(|stage| lint.below(stage).map(|one| one.number).collect()).unwrap_or_default();
    let is_seen = |one: &&super::Definition| {
        let here = one.stage.is_some_and(|stage| below.contains(&stage));
        here && one.step < step.number && matches!(one.kind, DefinitionKind::Arg | DefinitionKind::Env)
    };
    names.extend(lint.definitions().iter().filter(is_seen).map(|one| one.name.as_str()));
    names.retain(|name| crate::shell::is_name(name));
    names.sort_unstable();
    names.dedup();
    names
}

impl ShellScript {
    /// With its `#!`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Is a code silenced where it stands?
    pub fn silences(&self, id: &str) -> bool {
        self.silent.iter().any(|written| means_foreign(written, id))
    }

    /// From a line and column (characters, from 1) of the text to one behind it, in the Dockerfile.
    pub fn span(&self, from: (usize, usize), to: (usize, usize)) -> Span {
        let (start, end) = (self.byte(from), self.byte(to));
        let place = self.source.place(start..end.max(start + 1).min(self.source.text().len().max(start)));
        self.file.span(place)
    }

    /// Of the script.
    fn byte(&self, (line, column): (usize, usize)) -> usize {
        let start: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        let rest = rest.lines().next().unwrap_or_default();
        let column = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        (start + column).saturating_sub(self.head).min(self.source.text().len())
    }
}
