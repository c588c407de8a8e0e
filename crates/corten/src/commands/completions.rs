//! `corten completions` and `corten man`: what shells and `man` know of the command line, made of the command line itself.

use std::fs;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use corten_diagnostic::{Failure, Report};

use crate::args::{self, Arguments, Shell};
use crate::render::print;

/// Prints the completions of a shell.
pub fn run(arguments: &args::Completions) -> Result<u8, Report> {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "corten", &mut text);
    print(String::from_utf8_lossy(&text).trim_end())?;
    Ok(0)
}

/// Writes `corten.1` and a page for each command: `corten-push.1`.
pub fn man(arguments: &args::Man) -> Result<u8, Report> {
    let folder = &arguments.folder;
    let failed = |error: std::io::Error| Failure::world(format!("writing {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    for (name, page) in pages(&command, "corten") {
        let mut text = Vec::new();
        // No date: the same program writes the same pages.
        Man::new(page).title(name.to_uppercase()).section("1").date("").render(&mut text).map_err(failed)?;
        fs::write(folder.join(format!("{name}.1")), text).map_err(failed)?;
    }
    Ok(0)
}

/// Every command that is shown, with the name of its page.
fn pages(command: &Command, name: &str) -> Vec<(String, Command)> {
    let mut all = vec![(name.to_owned(), command.clone())];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        all.extend(pages(below, &format!("{name}-{}", below.get_name())));
    }
    all
}
