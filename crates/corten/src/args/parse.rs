//! What was typed, taken apart with no more than that needs.
//!
//! clap describes all verbs before it reads a word: their options with all their texts, and the global ones once more for each.
//! That took most of the time of a process that lints one file. So only the verbs that the words name are described here.
//! Where that is enough, nothing else is asked; help, mistakes and what they suggest come from the whole description.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, CommandFactory};

use super::*;

/// Takes a command line apart, the program's name first.
///
/// # Errors
/// Help, the version, or what is wrong with it, as clap prints them.
pub fn parse(words: Vec<OsString>) -> Result<ArgMatches, clap::Error> {
    let mut command = described(&words);
    command.build();
    let words = with_volumes(words, &command);
    match command.try_get_matches_from_mut(&words) {
        Err(error) if error.kind() != ErrorKind::DisplayVersion => Arguments::command().try_get_matches_from(words),
        matches => matches,
    }
}

/// The global options, and those of the verbs that the words name, wherever.
fn described(words: &[OsString]) -> Command {
    let command = Command::new("corten").version(env!("CARGO_PKG_VERSION")).propagate_version(true);
    let mut command = Global::augment_args(command).disable_help_subcommand(true).subcommand_required(true);
    for name in words.iter().skip(1).filter_map(|word| word.to_str()) {
        let verb = VERBS.iter().find(|(verb, _)| *verb == name);
        if let Some((verb, describe)) = verb.filter(|_| command.find_subcommand(name).is_none()) {
            command = command.subcommand(describe(Command::new(*verb)));
        }
    }
    command
}

/// Adds a verb's options to it.
type Describe = fn(Command) -> Command;

/// The verbs of [`super::Command`] with what describes their options: a test compares.
const VERBS: &[(&str, Describe)] = &[
    ("ship", Ship::augment_args),
    ("build", Build::augment_args),
    ("plan", Plan::augment_args),
    ("init", Init::augment_args),
    ("base", Base::augment_args),
    ("lock", Lock::augment_args),
    ("check", Check::augment_args),
    ("lint", Lint::augment_args),
    ("rule", Rule::augment_args),
    ("lsp", |command| command),
    ("test", Test::augment_args),
    ("sbom", Sbom::augment_args),
    ("run", Run::augment_args),
    ("exec", Exec::augment_args),
    ("ps", Ps::augment_args),
    ("logs", Logs::augment_args),
    ("stop", Stop::augment_args),
    ("rm", Rm::augment_args),
    ("images", Images::augment_args),
    ("inspect", Inspect::augment_args),
    ("history", History::augment_args),
    ("diff", Diff::augment_args),
    ("tag", Tag::augment_args),
    ("prune", Prune::augment_args),
    ("push", Push::augment_args),
    ("pull", Pull::augment_args),
    ("resolve", Resolve::augment_args),
    ("login", Login::augment_args),
    ("logout", Logout::augment_args),
    ("save", Save::augment_args),
    ("load", Load::augment_args),
    ("registry", Registry::augment_args),
    ("schema", Schema::augment_args),
    ("store", Store::augment_args),
    ("gpu", Gpu::augment_args),
    ("explain", Explain::augment_args),
    ("doctor", Doctor::augment_args),
    ("completions", Completions::augment_args),
    ("man", Man::augment_args),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::FromArgMatches;
    use clap::builder::Resettable;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    /// By the description of everything alone.
    fn whole(line: &str) -> Result<ArgMatches, clap::Error> {
        let mut command = Arguments::command();
        command.build();
        Arguments::command().try_get_matches_from(with_volumes(words(line), &command))
    }

    /// Everything that is done by a command line, or the whole answer to it.
    fn said(matches: Result<ArgMatches, clap::Error>) -> Result<String, String> {
        let matches = matches.map_err(|error| format!("{} {}", error.exit_code(), error.render().ansi()))?;
        let mut sources = BTreeMap::new();
        let mut of = Some(("corten", &matches));
        while let Some((name, matches)) = of {
            // Global options of the verb above have an id here that one must not ask for.
            let ids = matches.ids().filter(|id| matches.try_contains_id(id.as_str()).is_ok());
            let ids = ids.map(|id| format!("{id} {:?}", matches.value_source(id.as_str())));
            sources.insert(name, ids.collect::<Vec<_>>());
            of = matches.subcommand();
        }
        Ok(format!("{:?} {sources:?}", Arguments::from_arg_matches(&matches).unwrap()))
    }

    fn assert_same(line: &str) -> bool {
        let said_here = said(parse(words(line)));
        assert_eq!(said_here, said(whole(line)), "{line}");
        said_here.is_ok()
    }

    /// Every verb with those below it: `corten`, `corten ship`, …, `corten base build`.
    fn lines(command: &Command, line: &str) -> Vec<String> {
        let mut all = vec![line.to_owned()];
        for below in command.get_subcommands() {
            all.extend(lines(below, &format!("{line} {}", below.get_name())));
        }
        all
    }

    #[test]
    fn each_verb_is_described_as_in_the_whole() {
        let mut whole = Arguments::command().disable_help_subcommand(true);
        let names: Vec<String> = whole.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        whole.build();
        for name in names {
            let whole = whole.find_subcommand(&name).unwrap();
            let mut alone = described(&["corten".into(), OsString::from(&name)]).mut_subcommand(&name, |alone| {
                // What a verb is for is said where they are listed.
                let (about, long) = (whole.get_about().cloned(), whole.get_long_about().cloned());
                alone.about(Resettable::from(about)).long_about(Resettable::from(long))
            });
            alone.build();
            let alone = alone.find_subcommand_mut(&name).unwrap();
            assert_eq!(alone.render_long_help().to_string(), whole.clone().render_long_help().to_string());
            assert_eq!(lines(alone, &name), lines(whole, &name));
        }
    }

    #[test]
    fn help_versions_and_mistakes_are_those_of_the_whole() {
        let mut all = lines(&Arguments::command(), "corten");
        assert!(all.len() > 45, "{all:?}");
        for line in all.clone() {
            let more = ["-h", "--help", "--version", "--jsos"];
            all.extend(more.map(|more| format!("{line} {more}")));
        }
        let more = [
            "help lint",
            "help base build",
            "lnit",
            "run",
            "images rn x",
            "--home lint",
            "--home",
            "-x",
            "--",
            "-- lint",
            "-qv lint",
            "",
        ];
        all.extend(more.map(|more| format!("corten {more}")));
        let understood = all.iter().filter(|line| assert_same(line)).count();
        assert!(understood > 10 && understood < all.len() / 2, "{understood} of {}", all.len());
    }

    #[test]
    fn a_verb_is_the_first_word_that_is_no_option() {
        for line in [
            "corten lint Dockerfile --format sarif",
            "corten --format json lint a b --ignore DL3008,SC2086",
            "corten -q --home /x lint lint build",
            "corten --home lint ps -v",
            "corten --home -x ps",
            "corten --home=-x -j3 images",
            "corten run --rm -v a:/b image build -v -- x",
            "corten -v run image lint",
            "corten --home run run -v a:/b run run -v x",
            "corten base build . --only build --name lint",
            "corten images rm run",
            "corten build . -t x --explain-settings --jobs 2",
            "corten lsp",
        ] {
            assert!(assert_same(line), "{line}");
        }
    }
}
