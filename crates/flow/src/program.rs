//! Running a program of a base's tree on this machine: its Python, which compiles its standard library.
//!
//! It comes from Debian's signed archive, runs as the calling user, with an environment of its own.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use corten_install::debian::bytecode::Invocation;

/// Runs it to its end; what it wrote to standard output.
pub fn run(invocation: &Invocation) -> io::Result<Vec<u8>> {
    let mut command = Command::new(&invocation.program);
    command.args(&invocation.arguments).env_clear().envs(invocation.environment.iter().cloned());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Fed on the side: it may answer before it has read everything.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(&invocation.input)));
        child.wait_with_output()
    })?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(io::Error::other(format!(
            "{} ended with {}: {}",
            invocation.program.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
