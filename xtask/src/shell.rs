//! Starting programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `cargo`, the one that runs us if one does.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs it, output going where ours goes but all to standard error.
///
/// # Errors
/// When it cannot be started, or ends with anything but 0.
pub fn run(command: &mut Command) -> Result<(), String> {
    eprintln!("+ {}", shown(command));
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.map_err(|error| format!("cannot start '{}': {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("'{}' failed: {status}", shown(command))) }
}

/// Runs it; what it says is told where it fails, so that among the results of tests there is no list of packages.
///
/// # Errors
/// As [`run`], with all that was said.
pub fn quietly(command: &mut Command) -> Result<(), String> {
    eprintln!("+ {}", shown(command));
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start '{}': {error}", shown(command)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("'{}' failed: {}\n{}", shown(command), output.status, String::from_utf8_lossy(&said)))
}

/// Runs it and takes what it says on standard output.
///
/// # Errors
/// As [`run`].
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start '{}': {error}", shown(command)))?;
    if !output.status.success() {
        return Err(format!("'{}' failed: {}", shown(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("'{}' says what is no text: {error}", shown(command)))
}

/// A program in `PATH`, or in the folders where Debian keeps root's.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(program)).find(|path| path.is_file())
}

/// Are we root?
pub fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Are we in CI, where nothing may be left out?
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some()
}

fn shown(command: &Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}
