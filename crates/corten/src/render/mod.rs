//! What the user sees: errors, progress, tables. The only place that prints.

pub mod error;
pub mod progress;
pub mod text;

use std::io::Write;

/// A line on stderr. A closed stderr is no reason to stop.
pub fn say(line: &str) {
    drop(writeln!(anstream::stderr().lock(), "{line}"));
}

/// A line on stdout: data. A closed pipe ends the output quietly, as others do.
pub fn print(line: &str) {
    drop(writeln!(anstream::stdout().lock(), "{line}"));
}
