//! The `corten` program: arguments → settings → one call of flow → rendering → exit status.

mod args;
mod commands;
mod lsp;
mod quantities;
mod render;
mod surroundings;
mod user;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::Arguments;

fn main() -> ExitCode {
    // Before anything else: no thread runs yet.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == corten_flow::SANDBOX_ARGUMENT) {
        return corten_flow::sandbox_init().into();
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == corten_flow::run::MONITOR_ARGUMENT) {
        return corten_flow::run::monitor(std::env::args_os().skip(2)).into();
    }
    let matches = args::parse(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match commands::run(&arguments, &matches) {
        Ok(status) => ExitCode::from(status),
        Err(report) => {
            render::say(&render::error::error(&report));
            ExitCode::from(render::error::exit_status(&report))
        }
    }
}
