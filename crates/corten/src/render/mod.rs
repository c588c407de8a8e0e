//! What the user sees: errors, progress, tables. The only place that prints.

pub mod error;
pub mod progress;
pub mod text;

use std::io::{self, Write};

use corten_diagnostic::Failure;

/// A line on stderr. A closed stderr is no reason to stop.
pub fn say(line: &str) {
    drop(writeln!(anstream::stderr().lock(), "{line}"));
}

/// A line on stdout: data. A closed pipe ends the output quietly, as others do; data that is lost otherwise is an error.
pub fn print(line: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::world(format!("writing to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
