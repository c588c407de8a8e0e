//! The `corten` program: arguments → settings → one call of flow → rendering → exit status.

mod args;
mod commands;
mod render;
mod surroundings;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Arguments;

fn main() -> ExitCode {
    // Before anything else: no thread runs yet.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == corten_flow::SANDBOX_ARGUMENT) {
        return corten_flow::sandbox_init().into();
    }
    let arguments = Arguments::parse();
    match commands::run(&arguments) {
        Ok(status) => ExitCode::from(status),
        Err(report) => {
            render::say(&render::error::error(&report));
            ExitCode::from(render::error::exit_status(&report))
        }
    }
}
