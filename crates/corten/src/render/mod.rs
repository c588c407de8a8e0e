//! What the user sees: errors, progress, tables. The only place that prints.

pub mod error;
pub mod findings;
pub mod progress;
pub mod steps;
pub mod text;

use std::io::{self, Write};

use corten_diagnostic::Failure;

/// A line on stderr. A closed stderr is no reason to stop.
pub fn say(line: &str) {
    drop(writeln!(anstream::stderr().lock(), "{line}"));
}

/// A line on stdout: data. A closed pipe ends the output quietly, as others do; data that is lost otherwise is an error.
pub fn print(line: &str) -> Result<(), Failure> {
    let text = match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => format!("{}\n", anstream::adapter::strip_str(line)),
        _ => format!("{line}\n"),
    };
    // At once: what is stripped in pieces is written in pieces.
    print_bytes(text.as_bytes())
}

/// Bytes on stdout, unchanged, by the same rule.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    printed(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn printed(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::world(format!("writing to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
