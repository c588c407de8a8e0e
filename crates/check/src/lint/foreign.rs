//! Scripts as ShellCheck wants them: with a `#!`, and with the variables that the Dockerfile defines.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use corten_diagnostic::Span;
use corten_frontend::dockerfile::{Arguments, Dockerfile};

use super::scripts::dialect;
use super::suppress::{Comments, means_foreign, pragmas};
use super::{Choice, Config, Lint, Step};
use crate::shell::{Dialect, Source, base_name, is_name};

/// Variables that every stage has.
const USUAL: [&str; 8] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy"];

/// Bytes of a code.
const LONGEST: usize = 6;

/// A script of a Dockerfile, for another program.
#[derive(Debug)]
pub struct ShellScript {
    text: String,
    /// Bytes of `text` before the script.
    head: usize,
    source: Source,
    file: Arc<Dockerfile>,
    silent: Arc<Silent>,
    /// The instruction.
    number: usize,
}

/// Codes that comments and settings silence.
#[derive(Debug)]
struct Silent {
    everywhere: BTreeSet<String>,
    /// By instruction.
    at: HashMap<usize, Vec<String>>,
}

impl Silent {
    fn of(file: &Dockerfile, choice: &Choice) -> Self {
        // There is no such instruction: what is silenced there is so in the whole file.
        let everywhere = Comments::of(file, choice).at(usize::MAX);
        let everywhere = everywhere.iter().chain(&choice.ignore).filter(|written| is_foreign(written)).cloned();
        let mut at: HashMap<usize, Vec<String>> = HashMap::new();
        for pragma in pragmas(file).into_iter().filter(|one| !choice.no_pragmas || one.tool == "check") {
            let Some(number) = pragma.instruction else { continue };
            at.entry(number).or_default().extend(pragma.rules.into_iter().filter(|written| is_foreign(written)));
        }
        Self { everywhere: everywhere.collect(), at }
    }

    fn has(&self, instruction: usize, id: &str) -> bool {
        let here = self.at.get(&instruction).into_iter().flatten();
        self.everywhere.iter().chain(here).any(|written| means_foreign(written, id))
    }
}

/// Can it mean a code of ShellCheck: `SC2086`, `SC20`?
fn is_foreign(written: &str) -> bool {
    written.len() <= LONGEST && written.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("SC"))
}

/// All scripts of a Dockerfile that a shell of the POSIX family runs.
pub fn shell_scripts(path: &Path, text: &str, choice: &Choice) -> Vec<ShellScript> {
    let (file, mistakes) = Dockerfile::read_what_can_be(path, text);
    let file = Arc::new(file);
    let config = Config::default();
    let lint = Lint::new(&file, &mistakes, &config);
    let silent = Arc::new(Silent::of(&file, choice));
    let whole = |(number, text, head, source)| {
        let (file, silent) = (Arc::clone(&file), Arc::clone(&silent));
        ShellScript { text, head, source, file, silent, number }
    };
    lint.steps.iter().filter_map(|step| script(&lint, step)).map(whole).collect()
}

/// The number of its instruction, its text, how much of that stands before it, and where it stands.
fn script(lint: &Lint<'_>, step: &Step<'_>) -> Option<(usize, String, usize, Source)> {
    let arguments = match &step.meant_instruction().arguments {
        Arguments::Check(_, rest) => rest.as_ref(),
        other => other,
    };
    step.command_line()?;
    let Arguments::Text(word) = arguments else { return None };
    let dialect = dialect(step, word)?;
    let source = Source::of(step.line(), word.range.clone(), &step.instruction.heredocs);
    let mut text = format!("#!{}\n", program(step, dialect));
    for name in names(lint, step, source.text()) {
        text.push_str(&format!("export {name}=1\n"));
    }
    let head = text.len();
    text.push_str(source.text());
    text.push('\n');
    Some((step.number, text, head, source))
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

/// Names that are defined before a step and that its script may use: a file may have thousands of each.
fn names<'s>(lint: &Lint<'_>, step: &Step<'_>, script: &'s str) -> BTreeSet<&'s str> {
    let words = script.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let words: BTreeSet<&str> = words.filter(|word| is_name(word)).collect();
    let known = words.into_iter().filter(|word| lint.definition(step, word).is_some());
    known.chain(USUAL).collect()
}

impl ShellScript {
    /// With its `#!`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Is a code silenced where it stands?
    pub fn silences(&self, id: &str) -> bool {
        self.silent.has(self.number, id)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(text: &str, choice: &Choice) -> Vec<ShellScript> {
        shell_scripts(Path::new("Dockerfile"), text, choice)
    }

    #[test]
    fn names_that_a_script_uses_are_exported_and_no_others() {
        let text = "ARG G\nFROM a AS one\nENV A=1 B=2\nRUN echo $A ${C:-x} $G\nENV C=3\nFROM one\nRUN echo \"$B-$C\"\n";
        let scripts = scripts(text, &Choice::default());
        let exported = |script: &ShellScript| -> Vec<String> {
            let names = script.text().lines().filter_map(|line| line.strip_prefix("export ")?.strip_suffix("=1"));
            names.filter(|name| !USUAL.contains(name)).map(str::to_owned).collect()
        };
        assert_eq!(scripts.iter().map(exported).collect::<Vec<_>>(), [vec!["A"], vec!["B", "C"]]);
        assert!(USUAL.iter().all(|name| scripts[0].text().contains(&format!("export {name}=1\n"))));
    }

    #[test]
    fn comments_silence_codes_where_they_stand() {
        let text = "# hadolint global ignore=SC1091,DL3008\nFROM a\n# hadolint ignore=SC2046,sc2086\nRUN a\nRUN b\n";
        let choice = Choice { ignore: vec!["SC30".into(), "ML101".into()], ..Choice::default() };
        let silent = |choice: &Choice| -> Vec<Vec<&str>> {
            let codes = ["SC1091", "SC2046", "SC2086", "SC3037"];
            let of = |script: &ShellScript| codes.into_iter().filter(|code| script.silences(code)).collect();
            scripts(text, choice).iter().map(of).collect()
        };
        assert_eq!(silent(&choice), [vec!["SC1091", "SC2046", "SC2086", "SC3037"], vec!["SC1091", "SC3037"]]);
        assert_eq!(silent(&Choice { no_pragmas: true, ..choice }), [["SC3037"], ["SC3037"]]);
    }

    #[test]
    fn many_scripts_with_many_names_and_pragmas_stay_small() {
        let names: String = (0..20_000).map(|number| format!("ENV A{number}=1\n")).collect();
        let codes: String = (0..9000).map(|number| format!("SC{},", 1000 + number)).collect();
        let text = format!("# hadolint global ignore={codes}\nFROM a\n{names}{}", "RUN x $A1\n".repeat(20_000));
        let scripts = scripts(&text, &Choice::default());
        let bytes: usize = scripts.iter().map(|script| script.text().len()).sum();
        assert!(scripts.len() == 20_000 && bytes < 20_000 * 300, "{bytes}");
        assert!(scripts.iter().all(|script| script.text().contains("export A1=1\n")) && scripts[7].silences("SC2086"));
    }
}
